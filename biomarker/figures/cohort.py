"""What is missing from a cohort, and whether that goes with the outcome."""

from __future__ import annotations

from collections.abc import Sequence

from biomarker.figures.canvas import (
    LINE,
    MUTED,
    SERIES,
    canvas,
    mark_row,
    markup,
    spare_axes,
    two_lines,
)

__all__ = ["missing_shares"]

MOST_ROWS = 20


def missing_shares(
    rows: Sequence[tuple[str, float, float]], groups: tuple[str, str], *, name: str
) -> str:
    """Share missing in two outcome groups, one row a column.

    Parameters
    ----------
    rows : sequence of (label, share, share)
        Shares in [0, 1], in the order of ``groups``; the first twenty are drawn.
    groups : pair of str
        What the two shares are of.
    name : str
        Keeps this figure's ids apart on a page.

    Returns
    -------
    str
        One ``<svg>`` element.
    """
    shown = list(rows[:MOST_ROWS])
    row, head, foot = 0.35, 0.34, 0.56
    height = head + foot + row * len(shown)
    with canvas(height) as figure:
        axes = figure.add_axes((0.36, foot / height, 0.60, row * len(shown) / height))
        for i, (_, first, second) in enumerate(shown):
            y = len(shown) - 1 - i
            for drawn in (
                axes.plot([100 * first, 100 * second], [y, y], color=LINE, linewidth=4),
                axes.plot([100 * second], [y], "s", color=SERIES[0], markersize=6),
                axes.plot([100 * first], [y], "o", color=SERIES[1], markersize=6),
            ):
                mark_row(drawn[0], i)
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.set_xlim(0, max(5.0, 105 * max(max(r[1:]) for r in shown)))
        axes.set_yticks(range(len(shown) - 1, -1, -1), [two_lines(r[0]) for r in shown])
        axes.tick_params(axis="y", labelsize=9)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel("missing (%)")
        spare_axes(axes, grid="x", hide=("left",))
        top = 1 - 0.17 / height
        for x, mark, colour, words in ((0.36, "●", SERIES[1], groups[0]),
                                       (0.66, "■", SERIES[0], groups[1])):  # fmt: skip
            figure.text(x, top, mark, color=colour, fontsize=9, va="center")
            figure.text(x + 0.025, top, words, color=MUTED, fontsize=9, va="center")
        return markup(figure, name)
