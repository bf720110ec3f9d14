"""One place that turns a drawing into SVG text: same style, same bytes, light and dark.

Colours are written as CSS variables with a fixed fallback, so that a page may restyle a figure for
a dark screen while the same file stands alone. Text stays text: selectable, searchable, small.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "CELLS",
    "GROUND",
    "INK",
    "LINE",
    "MISSING",
    "MUTED",
    "RAMP",
    "SERIES",
    "STYLES",
    "WIDTH",
    "canvas",
    "dots",
    "hover_row",
    "mark_names",
    "mark_row",
    "markup",
    "plain",
    "spare_axes",
    "thinned",
    "two_lines",
]

Floats = npt.NDArray[np.float64]

WIDTH = 5.2
INK, MUTED, LINE, GROUND = "#1d2b36", "#566572", "#d5dde3", "#fdfdfe"
MISSING = "#8b97a1"
# Blue, vermillion, bluish green, purple, brown: told apart by readers with any colour vision,
# and each series also has its own line style.
# A hundred and fiftieth of the axis is two pixels wide: finer than the eye, coarser than a value.
CELLS = 150
SERIES = ("#0b69a3", "#c8500a", "#0a7d5c", "#7b4ea0", "#7a5c12", "#4a5560")
STYLES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 2, 1.2, 2)), "-", "-")
RAMP = ("#1769aa", "#4c7fb0", "#7f86a8", "#a4818f", "#c0795f", "#cf6a35", "#d4550d")

_NAMES = {
    INK: "fig-ink",
    MUTED: "fig-muted",
    LINE: "fig-line",
    GROUND: "fig-ground",
    MISSING: "fig-missing",
    **{colour: f"fig-series-{i + 1}" for i, colour in enumerate(SERIES)},
    **{colour: f"fig-ramp-{i + 1}" for i, colour in enumerate(RAMP)},
}
_SETTINGS = {
    "font.size": 10.5,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 10.5,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "xtick.major.size": 3.5,
    "ytick.major.size": 3.5,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.7,
    "path.simplify": False,
    "svg.fonttype": "none",
    "svg.image_inline": True,
}


@contextmanager
def canvas(height: float, width: float = WIDTH) -> Iterator[Any]:
    """A figure in the house style; settings and warnings go back to what they were on leaving.

    Parameters
    ----------
    height, width : float
        In inches; one inch is 72 units of the SVG's view box.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # A name in a script the layout font lacks is drawn by the reader's own fonts.
        warnings.filterwarnings("ignore", message=".*missing from (current )?font.*")
        figure = Figure(figsize=(width, height), facecolor="none")
        FigureCanvasSVG(figure)
        yield figure


def markup(figure: Any, name: str) -> str:
    """The figure as one ``<svg>`` element: byte-stable, no date, ids of its own.

    Parameters
    ----------
    figure : matplotlib Figure
        Drawn inside :func:`canvas`.
    name : str
        Letters, digits and hyphens; keeps the ids of several figures on one page apart.
    """
    import matplotlib

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name):
        raise ValueError(f"name must be letters, digits and hyphens; got {len(name)} characters.")
    for axes in figure.axes:
        axes.set_facecolor("none")
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": f"biomarker-{name}"}):
        figure.savefig(
            buffer,
            format="svg",
            facecolor="none",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return _tidied(buffer.getvalue(), name)


def plain(text: object, longest: int = 34) -> str:
    """A name as figures may print it: no control characters, cut with an ellipsis when long."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return clean if len(clean) <= longest else clean[: longest - 1].rstrip() + "…"


def two_lines(text: object, width: int = 20) -> str:
    """A row's name on at most two lines of ``width`` characters."""
    return "\n".join(textwrap.wrap(plain(text, 2 * width - 2), width)[:2])


def dots(axes: Any, x: npt.ArrayLike, y: npt.ArrayLike, colour: str, size: float = 3.6) -> None:
    """Many points as one path of zero-length round-capped strokes: fifteen bytes a point.

    Points are drawn at the centre of a cell a :data:`CELLS`th of their spread wide, each cell once
    and in order of place, so that neither a patient's exact value nor which points belong to one
    patient can be read out of the file.
    """
    from matplotlib.collections import PathCollection
    from matplotlib.path import Path

    at = np.column_stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)])
    at = at[np.isfinite(at).all(axis=1)]
    if len(at) == 0:
        return
    at = axes.transScale.inverted().transform(_cells(axes.transScale.transform(at)))
    codes = np.tile([Path.MOVETO, Path.LINETO], len(at))
    strokes = PathCollection(
        [Path(np.repeat(at, 2, axis=0), codes)],
        facecolors="none",
        edgecolors=colour,
        linewidths=size,
        capstyle="round",
        alpha=0.75,
        transOffset=None,
    )
    strokes.set_gid("dots")
    strokes.set_transform(axes.transData)
    axes.add_collection(strokes, autolim=False)
    axes.update_datalim(at)
    axes.autoscale_view()


def mark_row(artist: Any, row: int) -> None:
    """Tie a mark to a row of the figure's numbers, which a page then shows beside the mark.

    The mark carries ``data-row`` in the SVG, counted from 0; a patient's point never does.
    """
    artist.set_gid(f"row-{row}")


def hover_row(axes: Any, y: float, row: int, height: float = 0.96) -> None:
    """A strip across the axes, too faint to see, that ties the whole of a row to its numbers."""
    strip = axes.axhspan(y - height / 2, y + height / 2)
    strip.set(facecolor=GROUND, alpha=0.01, linewidth=0, zorder=9)
    mark_row(strip, row)


def mark_names(axes: Any) -> None:
    """Tie each name beside the rows, in the order the ticks were set, to its row of the numbers."""
    for row, name in enumerate(axes.get_yticklabels()):
        mark_row(name, row)


def _cells(at: Floats) -> Floats:
    """Centres of the cells that hold points, each once, by place."""
    spread = np.ptp(at, axis=0)
    width = np.where(spread > 0, spread, 1.0) / CELLS
    centres = (np.floor(at / width) + 0.5) * width
    # A coordinate all points share is no measurement: a level's place, a constant attribution.
    return np.asarray(np.unique(np.where(spread > 0, centres, at), axis=0))


def thinned(values: Floats, most: int) -> npt.NDArray[np.intp]:
    """Positions of at most ``most`` values, evenly by rank, both extremes kept.

    Drawing fewer points changes no number: every statistic comes from all of them.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) <= most:
        return known
    order = known[np.argsort(values[known], kind="stable")]
    return np.sort(order[np.linspace(0, len(order) - 1, most).round().astype(np.intp)])


def spare_axes(axes: Any, grid: str | None = None, hide: Sequence[str] = ()) -> None:
    """Leave the axes as quiet as the data allow."""
    axes.set_axisbelow(True)
    if grid:
        axes.grid(True, axis=grid)
    for side in hide:
        axes.spines[side].set_visible(False)
        if side == "left":
            axes.tick_params(axis="y", length=0)
        if side == "bottom":
            axes.tick_params(axis="x", length=0)


# --- the text of the SVG --------------------------------------------------------------------------


def _tidied(svg: str, name: str) -> str:
    """Only the element itself, scalable, with short numbers, own ids and themable colours.

    Every rule is applied inside tags alone: what stands between them is the reader's text, which
    the backend has escaped and nothing here may touch.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    box = re.search(r'viewBox="([^"]+)"', svg)
    assert box is not None
    svg = re.sub(
        r"<svg[^>]*>",
        f'<svg class="drawing" viewBox="{box.group(1)}" xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" stroke-linejoin="round" '
        'aria-hidden="true" focusable="false">',
        svg,
        count=1,
    )
    tags = re.findall(r"<[^>]+>", svg)
    used = {m for tag in tags for m in re.findall(r'(?:url\(#|href="#)([^)"]+)', tag)}
    svg = re.sub(r"<[^>]+>", lambda m: _tidied_tag(m.group(0), name, used), svg)
    return re.sub(r">\s+<", "><", svg).strip()


def _tidied_tag(tag: str, name: str, used: set[str]) -> str:
    """One tag with short numbers, own ids and themable colours."""
    tag = re.sub(r' d="([^"]*)"', lambda m: f' d="{_short_path(m.group(1))}"', tag)
    tag = re.sub(r"-?\d+\.\d{3,}", lambda m: _short(m.group(0)), tag)
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    tag = re.sub(r' id="row-(\d+)"', r' data-row="\1"', tag)
    tag = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", tag)
    tag = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", tag)
    tag = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', tag)
    return re.sub(r'style="([^"]*)"', lambda m: f'style="{_themed_style(m[1])}"', tag)


def _short(number: str) -> str:
    """A coordinate to a hundredth of a unit."""
    return f"{float(number):.2f}".rstrip("0").rstrip(".")


def _short_path(data: str) -> str:
    """Path data with two decimals; a zero-length stroke becomes ``h0``."""
    data = re.sub(r"-?\d+\.\d+", lambda m: _short(m.group(0)), data)
    data = re.sub(r"\s+", " ", data).strip()
    data = re.sub(r"M (\S+) (\S+) L \1 \2(?= |$)", r"M\1 \2h0", data)
    return re.sub(r" ?([MLCQZz]) ?", r"\1", data)


def _themed_style(style: str) -> str:
    """Named colours with their fallback; of a font, size and weight only."""
    style = re.sub(r"font-family:[^;]*;? ?", "", style)
    style = re.sub(r"font: ([^;]*);? ?", _font, style)
    return re.sub(
        r"#[0-9a-f]{6}\b",
        lambda m: f"var(--{_NAMES[m[0]]}, {m[0]})" if m[0] in _NAMES else m[0],
        style,
    )


def _font(match: re.Match[str]) -> str:
    size = re.search(r"[\d.]+px", match.group(1))
    weight = "font-weight: 600; " if re.search(r"\b(bold|[67]00)\b", match.group(1)) else ""
    return f"{weight}font-size: {size.group(0)}; " if size else weight
