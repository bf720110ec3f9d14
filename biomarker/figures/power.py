"""Power of the whole procedure over cohort sizes, and its false claims under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from biomarker.evidence.claim_rate import ClaimRate, PowerCurve
from biomarker.figures.canvas import INK, MUTED, SERIES, canvas, markup, plain, spare_axes

__all__ = ["power_plot"]

_DASHED = (0, (3, 2))


def power_plot(curve: PowerCurve, *, name: str, target: float = 0.8) -> str:
    """Shares of cohorts in which the interaction is claimed, with exact 95% intervals.

    Above: where it was planted, beside the formula. Below: on the twin without interaction, beside
    the level. Under each size stand the patients enrolled and the mean number of events (of
    responses) analysed.

    Parameters
    ----------
    curve : PowerCurve
    name : str
        Keeps this figure's ids apart on a page.
    target : float
        Power drawn as a reference line.

    Returns
    -------
    str
        One ``<svg>`` element.

    Raises
    ------
    ValueError
        If the curve has no point.
    """
    if not curve.points:
        raise ValueError("curve must hold at least one size; got none.")
    points = sorted(curve.points, key=lambda point: point.n_patients)
    sizes = [float(point.n_patients) for point in points]
    false = [(n, p.false_claims) for n, p in zip(sizes, points, strict=True) if p.false_claims]
    height = 5.25 if false else 3.9
    with canvas(height) as figure:
        upper = figure.add_axes(_box(2.05 if false else 0.85, 2.75, height))
        _rates(upper, [(n, p.power) for n, p in zip(sizes, points, strict=True)], SERIES[0])
        known = [
            (n, p.formula) for n, p in zip(sizes, points, strict=True) if p.formula is not None
        ]
        if known:
            upper.plot(
                [n for n, _ in known], [f for _, f in known], color=INK, linestyle=_DASHED,
                linewidth=1.3, marker="_", markersize=7,
            )  # fmt: skip
        upper.axhline(target, color=MUTED, linewidth=0.9)
        upper.set(ylim=(0, 1.02), ylabel="claimed")
        upper.set_yticks([0, 0.25, 0.5, target, 1.0])
        _words(figure, height, bool(known), bool(false))
        last = upper
        if false:
            last = figure.add_axes(_box(0.85, 0.9, height))
            _rates(last, false, SERIES[1])
            last.axhline(curve.alpha, color=MUTED, linewidth=0.9)
            top = max(2.0 * curve.alpha, *(rate.high for _, rate in false))
            last.set(ylim=(0, min(1.0, 1.05 * top)), ylabel="false claims")
            last.set_yticks([0, curve.alpha])
            upper.set_xticks(sizes, [""] * len(sizes))
        for axes in {upper, last}:
            _frame(axes, sizes)
        unit = "events" if curve.kind == "survival" else "responses"
        last.set_xticks(sizes, [f"{p.n_patients:,}\n{p.power.mean_events:,.0f}" for p in points])
        for row, word in enumerate(("patients", unit)):
            figure.text(0.012, (0.615 - 0.17 * row) / height, word, color=MUTED, fontsize=9)
        last.set_xlabel(plain(_subject(curve), 60), fontsize=9.5)
        return markup(figure, name)


def _subject(curve: PowerCurve) -> str:
    """What is being looked for."""
    kind = "hazard" if curve.kind == "survival" else "odds"
    planted = "" if curve.ratio is None else f": ratio of {kind} ratios {curve.ratio:.3g}"
    return f"{plain(curve.marker, 16)} × treatment, {plain(curve.endpoint, 12)}{planted}"


def _box(bottom: float, tall: float, height: float) -> tuple[float, float, float, float]:
    """Axes of a height in inches."""
    return (0.17, bottom / height, 0.8, tall / height)


def _rates(axes: Any, rates: Sequence[tuple[float, ClaimRate]], colour: str) -> None:
    """Shares as dots on their intervals, joined by a thin line."""
    axes.plot([n for n, _ in rates], [r.share for _, r in rates], color=colour, linewidth=1.1)
    for n, rate in rates:
        axes.plot([n, n], [rate.low, rate.high], color=colour, linewidth=2.2)
        axes.plot([n], [rate.share], "o", color=colour, markersize=5.5)


def _frame(axes: Any, sizes: Sequence[float]) -> None:
    """Room at both ends, shares in per cent."""
    room = 0.08 * (sizes[-1] - sizes[0]) or 0.1 * sizes[0]
    axes.set_xlim(sizes[0] - room, sizes[-1] + room)
    axes.yaxis.set_major_formatter(lambda v, _: f"{100 * v:.3g}%")
    spare_axes(axes, grid="y")


def _words(figure: Any, height: float, formula: bool, false: bool) -> None:
    """What the marks are, above the panel they stand in."""
    at = (height - 0.2) / height
    figure.text(0.17, at, "this procedure, every rule", color=SERIES[0], fontsize=9.5)
    if formula:
        figure.text(0.63, at, "dashed: formula", color=INK, fontsize=9.5)
    if false:
        words = "the same without an interaction; line: the level"
        figure.text(0.17, 1.82 / height, words, color=SERIES[1], fontsize=9.5)
