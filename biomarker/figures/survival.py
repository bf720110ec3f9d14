"""Kaplan-Meier curves with their bands and the numbers at risk under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.figures.canvas import (
    INK,
    MUTED,
    SERIES,
    STYLES,
    canvas,
    mark_row,
    markup,
    plain,
    spare_axes,
)
from biomarker.survival.curves import KaplanMeier

__all__ = ["at_risk", "survival_curves"]

Floats = npt.NDArray[np.float64]

_STEPS = 500


def survival_curves(
    curves: Mapping[str, KaplanMeier],
    *,
    unit: str,
    name: str,
    y_label: str = "event-free",
    limit: float | None = None,
    shades: Sequence[int] = range(len(SERIES)),
) -> str:
    """Curves with 95% pointwise bands, and at risk under them the patients with T >= t.

    Parameters
    ----------
    curves : mapping of str to KaplanMeier
        Label to curve, in the order drawn; at most six.
    unit : str
        Unit of the durations, for the axis.
    name : str
        Keeps this figure's ids apart on a page.
    y_label : str
        What survival means here.
    limit : float, optional
        Right end of the time axis; the last observed time by default.
    shades : sequence of int
        Which of the house's series colours and line styles each curve takes.

    Returns
    -------
    str
        One ``<svg>`` element.
    """
    if not 1 <= len(curves) <= len(SERIES):
        raise ValueError(f"curves must be 1 to {len(SERIES)}; got {len(curves)}.")
    end = limit or max(float(curve.times[-1]) for curve in curves.values())
    ticks = _ticks(end)
    row, top = 0.19, 0.16
    below = 0.62 + row * (len(curves) + 1)
    height = 2.75 + below + top
    with canvas(height) as figure:
        left, right = 0.21, 0.975
        axes = figure.add_axes((left, below / height, right - left, 2.75 / height))
        for i, (label, curve) in enumerate(curves.items()):
            _draw(axes, curve, end, SERIES[shades[i]], STYLES[i], plain(label, 30), i)
        axes.set(xlim=(0, end), ylim=(0, 1.02), xticks=ticks)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_ylabel(y_label)
        axes.set_xlabel(f"time ({unit})")
        spare_axes(axes, grid="y")
        if len(curves) > 1:
            _legend(axes, curves, end)
        _risk_rows(figure, axes, curves, shades, ticks, end, row / height)
        return markup(figure, name)


def at_risk(curve: KaplanMeier, times: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Patients of a curve still under observation at each time: those with T >= t.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> from biomarker.survival.curves import kaplan_meier
    >>> at_risk(kaplan_meier(survival_outcome([1, 0, 1], [2.0, 3.0, 5.0])), [0, 3, 4]).tolist()
    [3, 2, 1]
    """
    position = np.searchsorted(curve.times, np.asarray(times, dtype=np.float64), side="left")
    counts: npt.NDArray[np.int64] = np.append(curve.n_at_risk, 0.0)[position].round().astype(int)
    return counts


def _draw(
    axes: Any, curve: KaplanMeier, end: float, colour: str, style: Any, label: str, row: int
) -> None:
    """One curve as steps over its band."""
    x, survival, low, high = _steps(curve, end)
    band = axes.fill_between(x, low, high, step="post", color=colour, alpha=0.13, linewidth=0)
    (line,) = axes.step(x, survival, where="post", color=colour, linestyle=style, label=label)
    mark_row(band, row)
    mark_row(line, row)


def _steps(curve: KaplanMeier, end: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Corners of the step functions from (0, 1) to the end of follow-up, thinned to the eye."""
    inside = np.flatnonzero((curve.n_events > 0) & (curve.times <= end))
    if len(inside) > _STEPS:
        # Within one five-hundredth of the axis only the last step is seen.
        cell = np.floor(curve.times[inside] / end * _STEPS)
        inside = inside[np.append(np.diff(cell) > 0, True)]
    stop = min(end, float(curve.times[-1]))

    def path(values: Floats) -> Floats:
        kept = values[inside]
        return np.concatenate([[1.0], kept, [kept[-1] if len(kept) else 1.0]])

    x = np.concatenate([[0.0], curve.times[inside], [stop]])
    return x, path(curve.survival), path(curve.low), path(curve.high)


def _legend(axes: Any, curves: Mapping[str, KaplanMeier], end: float) -> None:
    """The labels where the curves leave room: below them if they stay high, else above."""
    early = [curve.low[curve.times <= end * 0.45] for curve in curves.values()]
    floor = min(float(low[-1]) if len(low) else 1.0 for low in early)
    place = "lower left" if floor > 0.12 + 0.1 * len(curves) else "upper right"
    axes.legend(loc=place, handlelength=2.6, borderaxespad=0.3)


def _risk_rows(
    figure: Any,
    axes: Any,
    curves: Mapping[str, KaplanMeier],
    shades: Sequence[int],
    ticks: Floats,
    end: float,
    row: float,
) -> None:
    """The table under the axes, one named row a curve, aligned with the ticks."""
    box = axes.get_position()
    small = {"fontsize": 9, "va": "bottom"}
    figure.text(0.012, row * (len(curves) + 0.45), "At risk (T ≥ t)", color=MUTED, **small)
    for i, (label, curve) in enumerate(curves.items()):
        y = row * (len(curves) - 1 - i) + row * 0.25
        colour = SERIES[shades[i]]
        figure.text(
            0.012, y, plain(label.split(" (")[0], 11), color=colour, fontweight="bold", **small
        )
        for tick, count in zip(ticks, at_risk(curve, ticks), strict=True):
            x = box.x0 + box.width * tick / end
            figure.text(x, y, f"{count:,}", color=INK, ha="center", **small)


def _ticks(end: float) -> Floats:
    """Round times from zero, five to seven of them, none past the end."""
    from matplotlib.ticker import MaxNLocator

    found = np.asarray(MaxNLocator(6, steps=[1, 2, 2.5, 3, 5, 6, 10]).tick_values(0, end))
    return found[(found >= 0) & (found <= end * 1.0001)]
