"""How well models do: every estimate with its interval beside the null model; calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.figures.canvas import (
    GROUND,
    INK,
    MUTED,
    SERIES,
    canvas,
    mark_row,
    markup,
    plain,
    spare_axes,
)
from biomarker.metrics.calibration_measures import CalibrationResult

__all__ = ["Mark", "Panel", "calibration_plot", "interval_panels", "number"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """One model's estimate in a panel; ``low`` and ``high`` are None where none exists."""

    label: str
    value: float
    low: float | None
    high: float | None
    chosen: bool = False


@dataclass(frozen=True)
class Panel:
    """One metric: its estimates and what a model that ignores the patient scores.

    Attributes
    ----------
    title : str
        The metric in words, horizon and unit included.
    better : str
        ``higher``, ``lower`` or ``nearer`` (to the reference).
    null : float or None
        Value without any information from the patient, or the ideal for ``nearer``.
    """

    title: str
    better: str
    null: float | None
    marks: tuple[Mark, ...]


def number(value: float | None, digits: int = 3) -> str:
    """A number as tables and figures print it; an en dash where there is none.

    Examples
    --------
    >>> number(-0.12345), number(None)
    ('−0.123', '–')
    """
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


def interval_panels(panels: Sequence[Panel], *, name: str) -> str:
    """Dots with 95% intervals, one panel a metric, the null model as a vertical line.

    Parameters
    ----------
    panels : sequence of Panel
        Drawn one under the other.
    name : str
        Keeps this figure's ids apart on a page.

    Returns
    -------
    str
        One ``<svg>`` element.
    """
    row, head, foot = 0.27, 0.36, 0.42
    height = sum(head + foot + row * len(panel.marks) for panel in panels)
    with canvas(height) as figure:
        top, first = height, 0
        for panel in panels:
            span = row * len(panel.marks)
            bottom = top - head - span
            axes = figure.add_axes((0.29, bottom / height, 0.31, span / height))
            _interval_panel(
                figure, axes, panel, (top - 0.17) / height, (bottom - 0.14) / height, first
            )
            first += len(panel.marks)
            top -= head + span + foot
        return markup(figure, name)


def _interval_panel(
    figure: Any, axes: Any, panel: Panel, title_at: float, foot_at: float, first: int
) -> None:
    """One metric: title, null line, a row per model with its numbers in words at the right."""
    words = f"{panel.better} is better" if panel.better != "nearer" else "nearer the line is better"
    figure.text(0.012, title_at, plain(panel.title, 56), fontweight="bold", va="center")
    figure.text(0.988, foot_at, words, color=MUTED, fontsize=9, ha="right", va="center")
    count = len(panel.marks)
    if panel.null is not None:
        axes.axvline(panel.null, color=MUTED, linewidth=1.1, linestyle=(0, (3, 2)))
    for i, mark in enumerate(panel.marks):
        y = count - 1 - i
        colour = SERIES[0] if mark.chosen else INK
        if mark.low is not None and mark.high is not None:
            (bar,) = axes.plot([mark.low, mark.high], [y, y], color=colour, linewidth=2)
            mark_row(bar, first + i)
        (dot,) = axes.plot([mark.value], [y], "o", color=colour, markersize=6 if mark.chosen else 5)
        mark_row(dot, first + i)
        where = axes.get_yaxis_transform()
        weight = "bold" if mark.chosen else "normal"
        label = {"color": colour, "fontsize": 10, "fontweight": weight, "va": "center"}
        axes.text(-0.04, y, plain(mark.label, 20), transform=where, ha="right", **label)
        words = number(mark.value)
        if mark.low is not None and mark.high is not None:
            words += f" ({number(mark.low)} to {number(mark.high)})"
        said = axes.text(1.03, y, words, transform=where, ha="left", **label)
        mark_row(said, first + i)
    axes.set_ylim(-0.6, count - 0.4)
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=3)
    _room(axes, panel)
    spare_axes(axes, grid="x", hide=("left",))
    axes.tick_params(axis="x", labelsize=9)


def _room(axes: Any, panel: Panel) -> None:
    """Limits that hold every dot, interval and the null line with a margin."""
    ends = [v for m in panel.marks for v in (m.value, m.low, m.high) if v is not None]
    if panel.null is not None:
        ends.append(panel.null)
    ends = [v for v in ends if np.isfinite(v)]
    if ends:
        pad = 0.06 * (max(ends) - min(ends)) or 0.05
        axes.set_xlim(min(ends) - pad, max(ends) + pad)


def calibration_plot(
    result: CalibrationResult, *, risk: npt.ArrayLike, name: str, outcome: str = "event"
) -> str:
    """Observed against predicted risk: smooth curve, fifths with intervals, and who is where.

    Parameters
    ----------
    result : CalibrationResult
        Pooled out-of-fold.
    risk : array-like, shape (n_patients,)
        The predicted probabilities it was computed from, for the histogram under the curve.
    name : str
        Keeps this figure's ids apart on a page.
    outcome : str
        What the probability is of, such as ``event by 24 months`` or ``response``.

    Returns
    -------
    str
        One ``<svg>`` element.
    """
    groups, predicted = result.groups, np.asarray(risk, dtype=np.float64)
    end = _upper(predicted, groups.high, result.curve_observed)
    with canvas(4.6) as figure:
        axes = figure.add_axes((0.145, 0.305, 0.815, 0.675))
        axes.plot([0, end], [0, end], color=MUTED, linewidth=1.1, linestyle=(0, (3, 2)))
        axes.plot(result.curve_predicted, result.curve_observed, color=SERIES[0], linewidth=2.2)
        known = np.isfinite(groups.low) & np.isfinite(groups.high)
        for x, low, high in zip(
            groups.predicted[known], groups.low[known], groups.high[known], strict=True
        ):
            axes.plot([x, x], [low, high], color=INK, linewidth=1.2)
        for i, (x, y) in enumerate(zip(groups.predicted, groups.observed, strict=True)):
            (dot,) = axes.plot(
                [x], [y], "o", color=INK, markersize=6, markeredgecolor=GROUND, markeredgewidth=1
            )
            mark_row(dot, i)
        axes.set(xlim=(0, end), ylim=(0, end), ylabel=plain(f"observed share: {outcome}", 44))
        axes.tick_params(labelbottom=False)
        spare_axes(axes, grid="both")
        _calibration_legend(axes, end)
        below = figure.add_axes((0.145, 0.125, 0.815, 0.15))
        counts, edges = np.histogram(np.clip(predicted, 0, end), bins=30, range=(0, end))
        below.bar(
            edges[:-1], counts, width=np.diff(edges), align="edge", color=SERIES[0], alpha=0.5
        )
        below.set(xlim=(0, end), xlabel=plain(f"predicted probability: {outcome}", 52))
        below.set_ylabel("patients", fontsize=9)
        below.set_yticks([0, int(counts.max())])
        below.tick_params(axis="y", labelsize=9)
        spare_axes(below)
        for pane in (axes, below):
            pane.locator_params(axis="x", nbins=6)
            pane.xaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f}%")
        axes.yaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f}%")
        return markup(figure, name)


def _calibration_legend(axes: Any, end: float) -> None:
    """Words beside the marks, in the corner the diagonal leaves free."""
    for i, (words, colour) in enumerate(
        (
            ("smooth curve", SERIES[0]),
            ("fifths of predicted risk, 95% interval", INK),
            ("dashed: perfect agreement", MUTED),
        )
    ):
        axes.text(
            0.02, 0.965 - 0.068 * i, words, transform=axes.transAxes, color=colour,
            fontsize=9.5, va="top", bbox={"facecolor": "none", "edgecolor": "none", "pad": 0},
        )  # fmt: skip


def _upper(*parts: npt.ArrayLike) -> float:
    """End of the axes: the next tenth above everything shown, at most 1."""
    top = max(float(np.nanmax(np.asarray(part, dtype=np.float64), initial=0.0)) for part in parts)
    return float(min(1.0, np.ceil(top * 10 + 1e-9) / 10))
