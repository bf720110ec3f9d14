"""Each column's stability index beside its marks and what chance alone reaches.

Drawn as text, without the plotting library: a scoring job must not wait for one to load.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from biomarker.figures.canvas import GROUND, INK, LINE, MUTED, SERIES, plain

__all__ = ["MOST_ROWS", "stability_bars"]

MOST_ROWS = 25
_WIDTH, _LEFT, _RIGHT, _ROW, _HEAD, _FOOT = 374.0, 118.0, 12.0, 20.0, 30.0, 34.0
_NAMES = {INK: "fig-ink", MUTED: "fig-muted", LINE: "fig-line", GROUND: "fig-ground"} | {
    SERIES[0]: "fig-series-1",
    SERIES[1]: "fig-series-2",
}


def stability_bars(
    rows: Sequence[tuple[str, float, float, bool]], marks: tuple[float, float]
) -> str:
    """One bar a column: its index, with a tick at what 95% of files without drift stay under.

    Parameters
    ----------
    rows : sequence of (label, index, by chance, drifting)
        The first twenty-five are drawn; those drifting in another colour, with a square end.
    marks : pair of float
        Moderate and major.

    Returns
    -------
    str
        One ``<svg>`` element.
    """
    shown = list(rows[:MOST_ROWS])
    top = max([1.2 * marks[1], *(1.05 * max(row[1], row[2]) for row in shown)])
    height = _HEAD + _ROW * max(1, len(shown)) + _FOOT
    floor = height - _FOOT

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / top

    parts = [
        f'<svg class="drawing" viewBox="0 0 {_WIDTH:g} {height:g}" '
        'xmlns="http://www.w3.org/2000/svg" aria-hidden="true" focusable="false">'
    ]
    # Marks close together would write their words over each other: the second goes higher.
    for mark, word, y in ((marks[0], "moderate", _HEAD - 6), (marks[1], "major", _HEAD - 17)):
        parts.append(_line(x(mark), y + 2, x(mark), floor, MUTED, dash="3 3"))
        parts.append(_text(x(mark), y, f"{word}, {mark:g}", "middle", MUTED, 8.5))
    for i, (label, index, chance, drifting) in enumerate(shown):
        y = _HEAD + _ROW * (i + 0.5)
        colour = SERIES[1] if drifting else SERIES[0]
        parts.append(_text(_LEFT - 7, y + 3.4, plain(label, 20), "end", INK, 9.5))
        parts.append(
            f'<rect data-row="{i}" x="{_LEFT:g}" y="{y - 4.5:.2f}" width="{x(index) - _LEFT:.2f}" '
            f'height="9" style="{_fill(colour)}"/>'
        )
        if drifting:
            parts.append(
                f'<rect x="{x(index) - 3:.2f}" y="{y - 6.5:.2f}" width="6" height="13" '
                f'style="{_fill(colour)}"/>'
            )
        parts.append(_line(x(chance), y - 7, x(chance), y + 7, INK, width=2.0))
    parts.append(_line(_LEFT, floor, _WIDTH - _RIGHT, floor, MUTED))
    step = next(s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, top) if top / s <= 6)
    ticks = [k * step for k in range(int(top / step) + 1)]
    for tick in ticks:
        parts.append(_line(x(tick), floor, x(tick), floor + 3.5, MUTED))
        parts.append(_text(x(tick), floor + 13.5, f"{tick:g}", "middle", INK, 9))
    parts.append(
        _text((_LEFT + _WIDTH - _RIGHT) / 2, floor + 27, "population stability index", "middle",
              INK, 9.5)
    )  # fmt: skip
    return "".join([*parts, "</svg>"])


def _fill(colour: str) -> str:
    return f"fill: var(--{_NAMES[colour]}, {colour})"


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 0.8, dash: str = ""
) -> str:
    dashed = f"; stroke-dasharray: {dash}" if dash else ""
    return (
        f'<path d="M{x1:.2f} {y1:.2f}L{x2:.2f} {y2:.2f}" style="fill: none; stroke: '
        f'var(--{_NAMES[colour]}, {colour}); stroke-width: {width:g}{dashed}"/>'
    )


def _text(x: float, y: float, words: str, anchor: str, colour: str, size: float) -> str:
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" style="font-size: {size:g}px; text-anchor: {anchor}; '
        f'{_fill(colour)}">{html.escape(words)}</text>'
    )
