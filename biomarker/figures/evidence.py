"""What the data carry of each marker: a forest of interactions, and the effect along a marker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.evidence.effect_curve import EffectCurve
from biomarker.evidence.sentences import level_words, ratio_number
from biomarker.evidence.verdict import Verdict, of_hazards
from biomarker.figures.canvas import (
    INK,
    MUTED,
    SERIES,
    canvas,
    mark_row,
    markup,
    plain,
    spare_axes,
    two_lines,
)

__all__ = ["effect_curve_plot", "forest"]

Floats = npt.NDArray[np.float64]

# Wider ratios than these are drawn to the edge with an arrow; the words keep the number.
_NARROWEST, _WIDEST = 1 / 16, 16.0
_TICKS = (
    (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 2.0),
    (0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5),
    (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0),
    (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    (0.1, 0.3, 1.0, 3.0, 10.0),
    (0.06, 0.25, 1.0, 4.0, 16.0),
)


def forest(verdicts: Sequence[Verdict], labels: Mapping[str, str], *, name: str) -> str:
    """Ratio and interval of every marker, with its p and the events and patients of each arm.

    In two arms the ratio is the interaction: effect in the treated over effect in control. In one
    arm it is the association in that arm, and no treatment is spoken of.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Of one endpoint and scale, in the order drawn.
    labels : mapping of str to str
        Marker to the words a reader knows it by.
    name : str
        Keeps this figure's ids apart on a page.

    Returns
    -------
    str
        One ``<svg>`` element.
    """
    if not verdicts:
        raise ValueError("verdicts must hold at least one; got none.")
    alone = verdicts[0].design.startswith("single_arm")
    row, head, foot = 0.62, 0.44, 0.62
    height = head + foot + row * len(verdicts)
    left, right = 0.345, 0.60
    with canvas(height) as figure:
        axes = figure.add_axes((left, foot / height, right - left, row * len(verdicts) / height))
        axes.set_xscale("log")
        low, high = _limits([_triple(v, alone) for v in verdicts])
        axes.set_xlim(low, high)
        axes.set_ylim(-0.5, len(verdicts) - 0.5)
        axes.axvline(1.0, color=MUTED, linewidth=1.1, linestyle=(0, (3, 2)))
        for i, verdict in enumerate(verdicts):
            _row(axes, verdict, labels, len(verdicts), i, alone, (low, high))
        _heads(figure, 1 - 0.2 / height, alone, verdicts[0])
        axes.set_yticks([])
        _ratio_ticks(axes.xaxis, low, high, 4)
        axes.set_xlabel(_axis_words(verdicts[0], alone), fontsize=9)
        spare_axes(axes, grid="x", hide=("left",))
        axes.tick_params(axis="x", labelsize=9, which="major")
        axes.tick_params(axis="x", which="minor", length=0)
        return markup(figure, name)


def _triple(verdict: Verdict, alone: bool) -> tuple[float | None, ...]:
    if alone:
        return verdict.hr_control, verdict.hr_control_low, verdict.hr_control_high
    return verdict.ratio, verdict.ratio_low, verdict.ratio_high


def _limits(triples: Sequence[tuple[float | None, ...]]) -> tuple[float, float]:
    """Ends of the axis: everything finite within bounds, and 1, with a margin."""
    known = [v for triple in triples for v in triple if v is not None and not math.isnan(v)]
    inside = [min(max(v, _NARROWEST), _WIDEST) for v in known] + [0.8, 1.25]
    return 0.92 * min(inside), 1.08 * max(inside)


def _row(
    axes: Any,
    verdict: Verdict,
    labels: Mapping[str, str],
    count: int,
    row: int,
    alone: bool,
    limits: tuple[float, float],
) -> None:
    """One marker: its name and contrast, its interval, and in words the numbers that go with it."""
    value, low, high = _triple(verdict, alone)
    y = count - 1 - row
    where = axes.get_yaxis_transform()
    lines = two_lines(labels.get(verdict.marker, verdict.marker), 22).split("\n")
    up = 0.17 if len(lines) == 1 else 0.27
    for i, words in enumerate([*lines, plain(verdict.contrast, 26)]):
        last = i == len(lines)
        axes.text(
            -0.333 / 0.255, y + up - 0.245 * i, words, transform=where, va="center", ha="left",
            fontsize=8.5 if last else 9.5, color=MUTED if last else INK,
            fontweight="normal" if last else "bold",
        )  # fmt: skip
    said = "not estimable"
    if value is not None and low is not None and high is not None:
        colour = SERIES[1] if verdict.claimed else SERIES[0]
        for drawn in _interval(axes, (value, low, high), y, colour, limits):
            mark_row(drawn, row)
        said = f"{ratio_number(value)} ({ratio_number(low)} to {ratio_number(high)})"
    for i, (words, colour) in enumerate(
        ((said, INK), (_p_words(verdict, alone), INK), (_counts(verdict, alone), MUTED))
    ):
        axes.text(
            1.05, y + 0.26 - 0.25 * i, words, transform=where, va="center", ha="left",
            fontsize=9, color=colour,
        )  # fmt: skip


def _interval(
    axes: Any,
    triple: tuple[float, float, float],
    y: int,
    colour: str,
    limits: tuple[float, float],
) -> list[Any]:
    """A dot on its interval; an arrow where the interval goes on beyond the axis."""
    value, low, high = triple
    shown = [max(low, limits[0]), min(high, limits[1])]
    drawn = axes.plot(
        shown, [y, y], color=colour, linewidth=2, solid_capstyle="butt", clip_on=False
    )
    for end, edge, mark in ((low, limits[0], "<"), (high, limits[1], ">")):
        if (end < edge) if mark == "<" else (end > edge):
            axes.plot([edge], [y], mark, color=colour, markersize=6, clip_on=False)
    if limits[0] <= value <= limits[1]:
        drawn += axes.plot([value], [y], "o", color=colour, markersize=6)
    return list(drawn)


def _p_words(verdict: Verdict, alone: bool) -> str:
    """The test's own p and the one its family pays for."""
    own = verdict.p_prognostic if alone else verdict.p_interaction
    adjusted = verdict.p_prognostic_adjusted if alone else verdict.p_adjusted
    return f"p {_p(own)}, adjusted {_p(adjusted)}"


def _counts(verdict: Verdict, alone: bool) -> str:
    if alone:
        events = verdict.events_treated + verdict.events_control
        return f"{events:,} of {verdict.n_treated + verdict.n_control:,}"
    return (
        f"{verdict.events_treated:,}/{verdict.n_treated:,} v "
        f"{verdict.events_control:,}/{verdict.n_control:,}"
    )


def _heads(figure: Any, at: float, alone: bool, verdict: Verdict) -> None:
    """What the columns hold."""
    what = "events" if of_hazards(verdict.scale) else "responses"
    counted = f"{what} of patients" if alone else f"{what}/patients, treated v control"
    step = 0.165 / (figure.get_size_inches()[1])
    figure.text(
        0.613, at + step / 2, f"ratio ({level_words(verdict.alpha)} interval)", color=MUTED,
        fontsize=8.5, va="center",
    )  # fmt: skip
    figure.text(0.613, at - step / 2, counted, color=MUTED, fontsize=8.5, va="center")


def _axis_words(verdict: Verdict, alone: bool) -> str:
    scale = "hazard" if of_hazards(verdict.scale) else "odds"
    return f"{scale} ratio" if alone else f"ratio of {scale} ratios"


def _ratio_ticks(axis: Any, low: float, high: float, most: int) -> None:
    """A few round ratios, written as decimals."""
    for chosen in _TICKS:
        ticks = [t for t in chosen if low <= t <= high]
        reaches = chosen[0] <= 1.8 * low and chosen[-1] >= high / 1.8
        if reaches and 1 < len(ticks) <= most:
            break
    axis.set_ticks(ticks, [f"{t:g}" for t in ticks])
    axis.set_ticks([], minor=True)


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


# --- the effect along a marker --------------------------------------------------------------------


def effect_curve_plot(
    curve: EffectCurve, *, label: str, unit: str | None, logarithmic: bool, name: str
) -> str:
    """Treatment effect in overlapping windows of a marker, with both bands and what is in each.

    Parameters
    ----------
    curve : EffectCurve
    label : str
        The words a reader knows the marker by.
    unit : str, optional
        Of the marker.
    logarithmic : bool
        Whether the marker's axis is spaced by its logarithm (of 1 + value, so that 0 has a place).
    name : str
        Keeps this figure's ids apart on a page.

    Returns
    -------
    str
        One ``<svg>`` element. Places on the marker's axis are rounded to three digits.
    """
    x = _rounded(curve.at)
    bands = zip(curve.ratio.tolist(), curve.band_low.tolist(), curve.band_high.tolist(),
                strict=True)  # fmt: skip
    low, high = _limits([tuple(band) for band in bands])
    height = 3.55
    with canvas(height) as figure:
        axes = figure.add_axes((0.125, 0.40, 0.845, 0.58))
        if logarithmic:
            axes.set_xscale("function", functions=(np.log1p, np.expm1))
        axes.set_yscale("log")
        axes.fill_between(
            x, _within(curve.band_low, low, high), _within(curve.band_high, low, high),
            color=SERIES[0], alpha=0.10, linewidth=0,
        )  # fmt: skip
        axes.fill_between(
            x, _within(curve.ratio_low, low, high), _within(curve.ratio_high, low, high),
            color=SERIES[0], alpha=0.20, linewidth=0,
        )  # fmt: skip
        axes.axhline(1.0, color=MUTED, linewidth=1.1, linestyle=(0, (3, 2)))
        ratio = _within(curve.ratio, low, high)
        axes.plot(x, ratio, color=SERIES[0])
        for row in np.flatnonzero(np.isfinite(ratio)):
            (dot,) = axes.plot([x[row]], [ratio[row]], "o", color=SERIES[0], markersize=4)
            mark_row(dot, int(row))
        axes.set_xlim(*_span(x, logarithmic))
        axes.set_ylim(low, high)
        _ratio_ticks(axes.yaxis, low, high, 6)
        axes.set_ylabel(
            plain(f"{curve.scale.removeprefix('cause-specific ')}, treated v control", 40),
            fontsize=9.5,
        )
        spare_axes(axes, grid="y")
        axes.tick_params(axis="both", which="minor", length=0)
        if logarithmic:
            _value_ticks(axes, x)
        else:
            axes.locator_params(axis="x", nbins=6)
        axes.tick_params(axis="x", labelbottom=False)
        _windows(figure, axes, curve, x, logarithmic)
        words = plain(label, 40) + (f" ({plain(unit, 14)})" if unit else "")
        figure.text(0.547, 0.035, words, ha="center", va="center")
        return markup(figure, name)


def _windows(figure: Any, axes: Any, curve: EffectCurve, x: Floats, logarithmic: bool) -> None:
    """Under the curve: events in every window by arm, on the same axis."""
    below = figure.add_axes((0.125, 0.165, 0.845, 0.16))
    if logarithmic:
        below.set_xscale("function", functions=(np.log1p, np.expm1))
    treated = np.asarray(curve.events_treated, dtype=np.float64)
    control = np.asarray(curve.events_control, dtype=np.float64)
    below.plot(x, treated, color=SERIES[1], linewidth=1.3)
    below.plot(x, control, color=INK, linewidth=1.3, linestyle=(0, (5, 2)))
    top = float(max(treated.max(), control.max(), 1.0))
    below.set_xlim(axes.get_xlim())
    below.set_ylim(0, 1.15 * top)
    below.set_yticks([0, int(top)])
    below.tick_params(axis="y", labelsize=9)
    spare_axes(below)
    if logarithmic:
        _value_ticks(below, x)
    else:
        below.locator_params(axis="x", nbins=6)
    below.tick_params(axis="x", labelsize=9.5)
    what = "events" if of_hazards(curve.scale) else "responses"
    figure.text(0.125, 0.357, f"{what} in the window:", color=MUTED, fontsize=8.5, va="center")
    figure.text(0.44, 0.357, "— treated", color=SERIES[1], fontsize=8.5, va="center")
    figure.text(0.62, 0.357, "- - control", color=INK, fontsize=8.5, va="center")


def _rounded(values: npt.ArrayLike) -> Floats:
    """At three digits: a place on the axis, not a patient's value."""
    return np.array([float(f"{v:.3g}") for v in np.asarray(values, dtype=np.float64)])


def _within(values: npt.ArrayLike, low: float, high: float) -> Floats:
    """Kept on the axis; what cannot be estimated is left out."""
    return np.clip(np.asarray(values, dtype=np.float64), low, high)


def _span(x: Floats, logarithmic: bool) -> tuple[float, float]:
    """Ends of the marker's axis with a margin on its own spacing."""
    place = np.log1p(x) if logarithmic else x
    pad = 0.03 * float(np.ptp(place)) or 0.5
    ends = np.array([place.min() - pad, place.max() + pad])
    low, high = np.expm1(ends) if logarithmic else ends
    return (max(low, 0.0) if logarithmic and x.min() >= 0 else float(low)), float(high)


def _value_ticks(axes: Any, x: Floats) -> None:
    """Round values a logarithmic reader expects, not closer than a ninth of the axis."""
    low, high = axes.get_xlim()
    width = (np.log1p(high) - np.log1p(low)) / 9
    kept: list[float] = []
    candidates = [0.0, *(m * 10.0**e for e in range(-3, 7) for m in (1.0, 3.0))]
    for value in candidates:
        inside = low <= value <= high
        if inside and (not kept or np.log1p(value) - np.log1p(kept[-1]) >= width):
            kept.append(value)
    if len(kept) < 2:
        kept = sorted({float(f"{v:.2g}") for v in (x.min(), x.max())})
    axes.set_xticks(kept, [f"{v:g}" for v in kept])
