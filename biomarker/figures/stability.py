"""How far a ranking of columns can be trusted: importance and ranks over refits, noise in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biomarker.explain.controls import NullBand
from biomarker.explain.stability_result import Stability, UnitStability
from biomarker.figures.canvas import (
    LINE,
    MUTED,
    SERIES,
    canvas,
    hover_row,
    mark_names,
    mark_row,
    markup,
    plain,
    spare_axes,
    two_lines,
)
from biomarker.figures.caution import cautioned

__all__ = ["importance_over_refits", "rank_intervals"]

MOST_ROWS = 12


def importance_over_refits(
    found: Stability, band: NullBand | None, labels: Mapping[str, str], *, name: str
) -> str:
    """Importance of every unit with its limits over refits, before what permuted outcomes give.

    Parameters
    ----------
    found : Stability
        Not withheld.
    band : NullBand or None
        Grey: up to each unit's own limit on permuted outcomes; dashed: the limit of the largest
        importance of any unit. The arm has no grey.
    labels : mapping of str to str
        Source column to the words a reader knows it by.
    name : str
        Keeps this figure's ids apart on a page.

    Returns
    -------
    str
        One ``<svg>`` element; at most twelve rows.

    Raises
    ------
    ValueError
        If importance is withheld.
    """
    units = _shown(found)
    row, head, foot = 0.38, 0.50 if band is not None else 0.30, 0.56
    height = head + foot + row * len(units)
    with canvas(height) as figure:
        axes = figure.add_axes((0.36, foot / height, 0.615, row * len(units) / height))
        for i, unit in enumerate(units):
            y = len(units) - 1 - i
            null = None if band is None else band.of(unit.members)
            if null is not None and null.limit is not None:
                axes.barh(y, null.limit, height=0.78, color=LINE, linewidth=0)
            ends = [unit.bootstrap.low, unit.bootstrap.high]
            for drawn in (
                axes.plot(ends, [y, y], color=SERIES[0], linewidth=2),
                axes.plot([unit.importance], [y], "o", color=SERIES[0], markersize=5),
            ):
                mark_row(drawn[0], i)
            hover_row(axes, y, i)
        if band is not None:
            axes.axvline(band.largest, color=MUTED, linewidth=1.2, linestyle=(0, (3, 2)))
        axes.set_ylim(-0.6, len(units) - 0.4)
        axes.set_xlim(left=0)
        _names(axes, units, labels)
        axes.set_xlabel(f"mean |attribution| ({found.scale})")
        spare_axes(axes, grid="x", hide=("left",))
        _key(figure, height, band)
        return cautioned(markup(figure, name))


def rank_intervals(found: Stability, labels: Mapping[str, str], *, name: str) -> str:
    """Rank of every unit, 1 = largest importance, with its 95% limits over bootstrap refits.

    Parameters and result as for :func:`importance_over_refits`.
    """
    units = _shown(found)
    row, head, foot = 0.35, 0.30, 0.56
    height = head + foot + row * len(units)
    with canvas(height) as figure:
        axes = figure.add_axes((0.36, foot / height, 0.615, row * len(units) / height))
        for i, unit in enumerate(units):
            y = len(units) - 1 - i
            ends = [unit.bootstrap.rank_low, unit.bootstrap.rank_high]
            for drawn in (
                axes.plot(ends, [y, y], color=SERIES[0], linewidth=2),
                axes.plot(ends, [y, y], "|", color=SERIES[0], markersize=7, markeredgewidth=1.6),
                axes.plot([unit.rank], [y], "o", color=SERIES[0], markersize=5),
            ):
                mark_row(drawn[0], i)
            hover_row(axes, y, i)
        axes.set_ylim(-0.6, len(units) - 0.4)
        axes.set_xlim(0.5, max(len(found.units), 2) + 0.5)
        axes.locator_params(axis="x", integer=True, nbins=8)
        _names(axes, units, labels)
        axes.set_xlabel(f"rank among {len(found.units)}, 1 = largest importance")
        spare_axes(axes, grid="x", hide=("left",))
        _key(figure, height, None)
        return cautioned(markup(figure, name))


def _shown(found: Stability) -> Sequence[UnitStability]:
    """The rows drawn, refused where nothing may be."""
    if found.withheld:
        raise ValueError(
            "found must not be withheld; got importance of a model at chance. Print its sentence."
        )
    return found.units[:MOST_ROWS]


def _names(axes: Any, units: Sequence[UnitStability], labels: Mapping[str, str]) -> None:
    """Row names from the top down; a group's members together."""
    words = [_label(unit.members, labels) for unit in units]
    axes.set_yticks(range(len(units) - 1, -1, -1), words)
    axes.tick_params(axis="y", labelsize=9)
    mark_names(axes)


def _label(members: Sequence[str], labels: Mapping[str, str]) -> str:
    """A column's name on two lines; of a group each member's, or how many more there are."""
    names = [labels.get(source, source) for source in members]
    if len(names) == 1:
        return two_lines(names[0])
    if len(names) == 2:
        return f"{plain(names[0], 20)} +\n{plain(names[1], 22)}"
    return f"{plain(names[0], 20)} +\n{len(names) - 1} correlated with it"


def _key(figure: Any, height: float, band: NullBand | None) -> None:
    """What point, line, grey and dashes mean, above the plot."""
    small = {"fontsize": 9, "va": "center", "color": MUTED}
    y = 1 - 0.15 / height
    figure.text(0.36, y, "●", fontsize=9, va="center", color=SERIES[0])
    figure.text(0.385, y, "full fit", **small)
    figure.text(0.52, y, "━", fontsize=10, va="center", color=SERIES[0])
    figure.text(0.555, y, "95% of bootstrap refits", **small)
    if band is None:
        return
    y = 1 - 0.36 / height
    share = f"{1 - band.alpha:.0%}"
    figure.text(0.36, y, "■", fontsize=11, va="center", color=LINE)
    figure.text(0.395, y, f"{share} on permuted outcomes", **small)
    figure.text(0.745, y, "┆", fontsize=10, va="center", color=MUTED)
    figure.text(0.768, y, "of the largest one", **small)
