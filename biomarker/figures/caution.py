"""The fixed words on every drawing of attribution: it goes where the drawing goes."""

from __future__ import annotations

import re

from biomarker.figures.canvas import MUTED

__all__ = ["PLOT_CAUTION", "cautioned"]

PLOT_CAUTION = "Describes this model: association, not cause."

_ROOM = 14.0


def cautioned(svg: str) -> str:
    """The drawing with the caution as a line of its own under it.

    Parameters
    ----------
    svg : str
        One ``<svg>`` element as :func:`biomarker.figures.canvas.markup` makes them.

    Examples
    --------
    >>> cautioned('<svg viewBox="0 0 100 50"><g/></svg>')[:30]
    '<svg viewBox="0 0 100 64"><g/>'
    """
    box = re.search(r'viewBox="([-\d.]+) ([-\d.]+) ([\d.]+) ([\d.]+)"', svg)
    if box is None or not svg.endswith("</svg>"):
        raise ValueError(
            f"svg must be one <svg> element with a viewBox; got {len(svg)} characters."
        )
    left, top, width, height = (float(part) for part in box.groups())
    taller = f'viewBox="{left:g} {top:g} {width:g} {round(height + _ROOM, 2):g}"'
    line = (
        f'<text x="{left + 6:g}" y="{round(top + height + 9, 2):g}" '
        f'style="font-size: 9px; fill: var(--fig-muted, {MUTED})">{PLOT_CAUTION}</text>'
    )
    return svg[: box.start()] + taller + svg[box.end() : -len("</svg>")] + line + "</svg>"
