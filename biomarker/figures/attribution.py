"""Which columns moved the predictions: beeswarm, importance, dependence, one patient at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.explain.attribution import Attribution
from biomarker.explain.by_value import FIFTHS, ValueGroup, fifths
from biomarker.explain.illustrations import Illustration
from biomarker.figures.canvas import (
    INK,
    MUTED,
    SERIES,
    canvas,
    dots,
    hover_row,
    mark_names,
    mark_row,
    markup,
    plain,
    spare_axes,
    thinned,
    two_lines,
)
from biomarker.figures.caution import cautioned
from biomarker.figures.swarm import MOST_POINTS, ramp_key, swarm

__all__ = ["beeswarm", "dependence", "importance", "value_words", "waterfall"]

Floats = npt.NDArray[np.float64]

MOST_ROWS = 12
_RAISES, _LOWERS = SERIES[1], SERIES[0]


def beeswarm(found: Attribution, labels: Mapping[str, str], *, name: str) -> str:
    """Every patient's attribution for the most important columns, coloured by the column's value.

    Parameters
    ----------
    found : Attribution
    labels : mapping of str to str
        Source column to the words a reader knows it by.
    name : str
        Keeps this figure's ids apart on a page.

    Returns
    -------
    str
        One ``<svg>`` element; with many patients at most 500 points a column, extremes kept.
    """
    shown = [item.source for item in found.importance[:MOST_ROWS]]
    row, head, foot = 0.38, 0.36, 0.74
    height = head + foot + row * len(shown)
    with canvas(height) as figure:
        axes = figure.add_axes((0.36, foot / height, 0.615, row * len(shown) / height))
        axes.axvline(0, color=MUTED, linewidth=1)
        for i, source in enumerate(shown):
            j = found.sources.index(source)
            swarm(axes, found.values, found.columns, j, len(shown) - 1 - i)
            hover_row(axes, len(shown) - 1 - i, i)
        axes.set_ylim(-0.6, len(shown) - 0.4)
        _names(axes, [labels.get(s, s) for s in shown])
        axes.set_xlabel(f"attribution ({found.scale})\nright = {_way(found)}")
        spare_axes(axes, grid="x", hide=("left",))
        ramp_key(figure, height)
        return cautioned(markup(figure, name))


def importance(found: Attribution, labels: Mapping[str, str], *, name: str) -> str:
    """Mean absolute attribution per column with its bootstrap interval.

    Parameters and result as for :func:`beeswarm`.
    """
    items = found.importance[:MOST_ROWS]
    row, head, foot = 0.35, 0.08, 0.56
    height = head + foot + row * len(items)
    with canvas(height) as figure:
        axes = figure.add_axes((0.36, foot / height, 0.615, row * len(items) / height))
        for i, item in enumerate(items):
            y = len(items) - 1 - i
            for drawn in (
                axes.barh(y, item.value, height=0.56, color=SERIES[0], alpha=0.28, linewidth=0),
                axes.plot([item.low, item.high], [y, y], color=SERIES[0], linewidth=2),
                axes.plot([item.value], [y], "o", color=SERIES[0], markersize=5),
            ):
                mark_row(drawn[0], i)
            hover_row(axes, y, i)
        axes.set_ylim(-0.6, len(items) - 0.4)
        axes.set_xlim(left=0)
        _names(axes, [labels.get(item.source, item.source) for item in items])
        axes.set_xlabel(f"mean |attribution| ({found.scale})")
        spare_axes(axes, grid="x", hide=("left",))
        return cautioned(markup(figure, name))


def dependence(
    found: Attribution,
    source: str,
    labels: Mapping[str, str],
    groups: Sequence[ValueGroup] = (),
    *,
    name: str,
) -> str:
    """Attribution of one column against its value; levels side by side where it has levels.

    Parameters as for :func:`beeswarm`, with ``source`` the column to draw, and ``groups`` its means
    by fifth or level: bars, with their limits as boxes where there are any.
    """
    j = found.sources.index(source)
    x, y = found.columns[:, j], found.values[:, j]
    unit = f" ({found.units[j]})" if found.units[j] else ""
    with canvas(2.9) as figure:
        axes = figure.add_axes((0.18, 0.19, 0.80, 0.76))
        axes.axhline(0, color=MUTED, linewidth=1)
        if found.levels[j]:
            _by_level(axes, x, y, found.levels[j], groups)
        else:
            kept = thinned(x, MOST_POINTS)
            _stretch(axes, x)
            dots(axes, x[kept], y[kept], SERIES[0], size=3.8)
            _by_fifth(axes, x, groups)
        axes.set_xlabel(plain(labels.get(source, source), 40) + unit)
        axes.set_ylabel(f"attribution\n({found.scale})", fontsize=9.5)
        axes.yaxis.set_label_coords(-0.13, 0.5)
        spare_axes(axes, grid="y")
        return cautioned(markup(figure, name))


def _by_level(
    axes: Any, x: Floats, y: Floats, levels: tuple[str, ...], groups: Sequence[ValueGroup]
) -> None:
    """A strip of points for each level that occurs, and its mean where it is known."""
    present = [code for code in range(len(levels)) if np.any(x == code)]
    for place, code in enumerate(present):
        rows = np.flatnonzero(x == code)
        rows = rows[thinned(y[rows], MOST_POINTS // max(1, len(present)))]
        spread = np.linspace(-0.22, 0.22, len(rows)) if len(rows) > 1 else np.zeros(1)
        # A fixed shuffle: neighbours in the file must not be neighbours in the strip.
        spread = spread[np.random.default_rng(code).permutation(len(rows))]
        dots(axes, place + spread, y[rows], SERIES[0], size=3.6)
        for row, group in enumerate(groups):
            if group.label == levels[code]:
                _mean(axes, place - 0.32, place + 0.32, group, row)
    axes.set_xticks(
        range(len(present)), [plain(levels[code], 46 // max(2, len(present))) for code in present]
    )
    axes.set_xlim(-0.6, len(present) - 0.4)


def _by_fifth(axes: Any, x: Floats, groups: Sequence[ValueGroup]) -> None:
    """The mean of each fifth over its stretch of the axis; the outer ones reach to the ends."""
    known = x[np.isfinite(x)]
    if len(known) == 0:
        return
    start, end = axes.get_xlim()
    edges = [start, *np.quantile(known, (0.2, 0.4, 0.6, 0.8)), end]
    for row, group in enumerate(groups):
        if group.label in FIFTHS:
            k = FIFTHS.index(group.label)
            _mean(axes, edges[k], edges[k + 1], group, row)
    axes.set_xlim(start, end)


def _mean(axes: Any, left: float, right: float, group: ValueGroup, row: int) -> None:
    """A bar at a group's mean, before a box as high as its limits."""
    if group.mean is None:
        return
    if group.low is not None and group.high is not None:
        box = axes.fill_between([left, right], group.low, group.high, color=INK, alpha=0.16, lw=0)
        mark_row(box, row)
    (bar,) = axes.plot([left, right], [group.mean, group.mean], color=INK, linewidth=2.2)
    mark_row(bar, row)


def _stretch(axes: Any, x: Floats) -> None:
    """A log axis where the column spans more than a decade; linear below 1 where it holds zeros."""
    known = x[np.isfinite(x)]
    if len(known) == 0 or known.min() < 0:
        return
    low, high = np.quantile(known, (0.05, 0.95))
    if known.min() > 0 and high > 12 * low:
        axes.set_xscale("log")
    elif known.min() == 0 and high > 50:
        axes.set_xscale("symlog", linthresh=1)
    else:
        return
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axes.xaxis.set_minor_formatter(lambda v, _: "")


def waterfall(
    found: Attribution, patient: Illustration, labels: Mapping[str, str], *, name: str
) -> str:
    """How one illustrative patient's margin builds up from the base value.

    Columns beyond the seven largest are summed in one bar (an eighth has its own). Values are shown
    by fifths or levels, never as measured.

    Parameters as for :func:`beeswarm`, with ``patient`` one of ``found.illustrations``.
    """
    share = found.values[patient.row]
    order = np.argsort(-np.abs(share), kind="stable")
    most = 8 if len(order) == 8 else 7
    top, rest = order[:most], order[most:]
    rows = [(labels.get(found.sources[j], found.sources[j]), value_words(found, j, patient.row),
             float(share[j])) for j in top]  # fmt: skip
    if len(rest):
        rows.append((f"{len(rest)} other columns", "", float(share[rest].sum())))
    row, head, foot = 0.40, 0.10, 0.56
    height = head + foot + row * len(rows)
    with canvas(height) as figure:
        axes = figure.add_axes((0.36, foot / height, 0.59, row * len(rows) / height))
        level = found.base_value
        edges = [level]
        for i, (_, _, amount) in enumerate(rows):
            y = len(rows) - 1 - i
            colour = _RAISES if amount > 0 else _LOWERS
            (bar,) = axes.barh(
                y, amount, left=level, height=0.56, color=colour, linewidth=0, alpha=0.85
            )
            if i < most:
                mark_row(bar, i)
            level += amount
            edges.append(level)
            axes.plot([level, level], [y - 0.72, y + 0.28], color=MUTED, linewidth=0.9)
        pad = 0.24 * (max(edges) - min(edges)) or 0.1
        axes.set_xlim(min(edges) - pad, max(edges) + pad)
        axes.set_ylim(-0.75, len(rows) - 0.4)
        _amounts(axes, rows, found.base_value, pad)
        axes.axvline(found.base_value, color=MUTED, linewidth=1, linestyle=(0, (3, 2)))
        axes.set_yticks([])
        where = axes.get_yaxis_transform()
        for i, (label, words, _) in enumerate(rows):
            y = len(rows) - 1 - i
            lift = 0.17 if words else 0.0
            said = axes.text(
                -0.03, y + lift, plain(label, 22), transform=where, ha="right", va="center",
                fontsize=9.5,
            )  # fmt: skip
            if i < most:
                mark_row(said, i)
                hover_row(axes, y, i)
            axes.text(
                -0.03, y - 0.22, plain(words, 24), transform=where, ha="right", va="center",
                fontsize=8.5, color=MUTED,
            )  # fmt: skip
        axes.set_xlabel(f"margin ({found.scale})")
        axes.locator_params(axis="x", nbins=5)
        spare_axes(axes, grid="x", hide=("left",))
        return cautioned(markup(figure, name))


def _amounts(axes: Any, rows: list[tuple[str, str, float]], start: float, pad: float) -> None:
    """The signed share beside the end of each bar."""
    level = start
    for i, (_, _, amount) in enumerate(rows):
        level += amount
        text = f"{amount:+.2f}".replace("-", "−")
        axes.text(
            level + (0.08 * pad if amount >= 0 else -0.08 * pad), len(rows) - 1 - i, text,
            ha="left" if amount >= 0 else "right", va="center", fontsize=9, color=INK,
        )  # fmt: skip


def value_words(found: Attribution, j: int, row: int) -> str:
    """A patient's value of one column as a level or a fifth of the patients: never the number."""
    column = found.columns[:, j]
    value = column[row]
    if not np.isfinite(value):
        return "missing"
    if found.levels[j]:
        return found.levels[j][int(value)]
    return FIFTHS[int(fifths(column)[row])]


def _names(axes: Any, names: list[str]) -> None:
    """Row names from the top down."""
    axes.set_yticks(range(len(names) - 1, -1, -1), [two_lines(name) for name in names])
    axes.tick_params(axis="y", labelsize=9)
    mark_names(axes)


def _way(found: Attribution) -> str:
    """What a bar or point to the right means."""
    return found.direction.removeprefix("higher = ")
