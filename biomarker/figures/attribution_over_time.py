"""How much each column moves predicted survival, by the time that is predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from biomarker.explain.over_time import TimeAttribution
from biomarker.figures.canvas import (
    INK,
    MUTED,
    SERIES,
    STYLES,
    canvas,
    mark_row,
    markup,
    spare_axes,
    two_lines,
)
from biomarker.figures.caution import cautioned

__all__ = ["MOST_LINES", "attribution_over_time"]

MOST_LINES = 8
_LINE = 0.045  # height of a line of a name at the lines' ends, as a share of the axis
_BANDS = 3  # intervals of more lines than these hide one another


def attribution_over_time(found: TimeAttribution, labels: Mapping[str, str], *, name: str) -> str:
    """Mean absolute attribution of the most important columns as lines over time.

    Columns are ranked by their largest mean at any time. The three largest carry their pointwise
    95% interval as a band; the table beside the figure holds all. Names stand at the lines' ends.

    Parameters
    ----------
    found : TimeAttribution
        On survival or a restricted mean, at two times or more.
    labels : mapping of str to str
        Source column to the words a reader knows it by.
    name : str
        Keeps this figure's ids apart on a page.

    Returns
    -------
    str
        One ``<svg>`` element with at most eight lines.

    Raises
    ------
    ValueError
        With fewer than two times: there is no line to draw.
    """
    if len(found.times) < 2:
        raise ValueError(
            f"times must be at least two; got {len(found.times)}. Draw a bar for each column."
        )
    times = np.array(found.times)
    order = np.argsort(-found.mean_absolute.max(axis=1), kind="stable")[:MOST_LINES]
    with canvas(3.7) as figure:
        axes = figure.add_axes((0.13, 0.175, 0.565, 0.79))
        top = float(found.mean_absolute[order].max())
        top = max(top, float(found.high[order[:_BANDS]].max())) or 1.0
        for place, j in enumerate(order):
            colour, style = _look(place)
            if place < _BANDS:
                band = axes.fill_between(
                    times, found.low[j], found.high[j], color=colour, alpha=0.13, linewidth=0
                )
                mark_row(band, place)
            (line,) = axes.plot(times, found.mean_absolute[j], color=colour, linestyle=style)
            mark_row(line, place)
        axes.set_ylim(0, 1.05 * top)
        axes.set_xlim(times[0], times[-1])
        words = [labels.get(found.sources[j], found.sources[j]) for j in order]
        _names(axes, found.mean_absolute[order, -1] / (1.05 * top), words)
        size = f" ({found.unit})" if found.scale.startswith("restricted") else ""
        axes.set_ylabel(f"mean |attribution|{size}")
        what = "limit of the mean" if size else "time predicted"
        axes.set_xlabel(f"{what} ({found.unit})\nof the {found.scale}; n = {found.n_patients:,}")
        axes.locator_params(axis="both", nbins=5)
        spare_axes(axes, grid="y")
        return cautioned(markup(figure, name))


def _look(place: int) -> tuple[str, Any]:
    """Colour and line style: after the last colour the first come again in another style."""
    rounds, colour = divmod(place, len(SERIES))
    return SERIES[colour], STYLES[(colour + 2 * rounds) % 4] if rounds else STYLES[colour]


def _names(axes: Any, heights: Any, words: list[str]) -> None:
    """Names beside the lines' ends, moved apart where they would touch, each with its leader."""
    order = np.argsort(heights, kind="stable")
    texts = [two_lines(words[place], 20) for place in order]
    room = np.array([_LINE * (0.2 + len(text.split("\n"))) for text in texts])
    gap = (room[1:] + room[:-1]) / 2
    at = np.array(heights)[order]
    for i in range(1, len(at)):
        at[i] = max(at[i], at[i - 1] + gap[i - 1])
    # Down again from the top, if they were pushed out of it.
    at[-1] = min(at[-1], 1.0)
    for i in range(len(at) - 2, -1, -1):
        at[i] = min(at[i], at[i + 1] - gap[i])
    for i, place in enumerate(order):
        colour, style = _look(int(place))
        axes.plot(
            [1.0, 1.045, 1.075], [heights[place], at[i], at[i]], transform=axes.transAxes,
            color=colour, linestyle=style, linewidth=1.1, clip_on=False,
        )  # fmt: skip
        said = axes.text(
            1.09, at[i], texts[i], transform=axes.transAxes, va="center",
            fontsize=8.5, color=INK if place < _BANDS else MUTED, linespacing=0.95,
        )  # fmt: skip
        mark_row(said, int(place))
