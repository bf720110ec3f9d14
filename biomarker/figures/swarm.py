"""A row of patients' points, piled up where they are dense and coloured by a column's value."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.figures.canvas import MISSING, MUTED, RAMP, dots, thinned

__all__ = ["MOST_POINTS", "ramp_key", "swarm"]

Floats = npt.NDArray[np.float64]

MOST_POINTS = 500


def swarm(axes: Any, shares: Floats, columns: Floats, j: int, row: int) -> None:
    """One column's points, piled up where they are dense, one path a colour.

    Parameters
    ----------
    axes : matplotlib Axes
    shares, columns : ndarray, shape (n_patients, n_columns)
        What is drawn, and the columns' values, NaN where missing.
    j : int
        Position of the column.
    row : int
        Height on the axes.
    """
    values, level = shares[:, j], _ramp_level(columns[:, j])
    kept = thinned(values, MOST_POINTS)
    span = float(np.ptp(shares)) or 1.0
    y = row + _pile(values[kept], span / 110)
    for shade in range(-1, len(RAMP)):
        here = level[kept] == shade
        colour = MISSING if shade < 0 else RAMP[shade]
        dots(axes, values[kept][here], y[here], colour, size=3.4)


def _ramp_level(column: Floats) -> npt.NDArray[np.intp]:
    """Shade of each patient by rank of the column's value, -1 where missing."""
    known = np.isfinite(column)
    level = np.full(len(column), -1, dtype=np.intp)
    distinct, code = np.unique(column[known], return_inverse=True)
    if len(distinct) > 1:
        # Mid-rank of each distinct value, so that ties share a shade.
        counts = np.bincount(code)
        middle = (np.cumsum(counts) - counts / 2) / counts.sum()
        if len(distinct) <= len(RAMP):
            middle = np.arange(len(distinct)) / (len(distinct) - 1)
        level[known] = np.minimum((middle * len(RAMP)).astype(np.intp), len(RAMP) - 1)[code]
    else:
        level[known] = len(RAMP) // 2
    return level


def _pile(values: Floats, width: float) -> Floats:
    """Vertical offsets within ±0.4 that spread points sharing a bin."""
    code = np.unique(np.floor(values / width), return_inverse=True)[1]
    order = np.lexsort((values, code))
    counts = np.bincount(code)
    within = np.empty(len(values))
    start = np.cumsum(counts) - counts
    within[order] = np.arange(len(values)) - start[code[order]]
    # Alternate above and below the row's middle, as a swarm sits on a branch.
    side = np.where(within % 2 == 0, 1, -1) * np.ceil(within / 2)
    return np.asarray(side * np.minimum(0.11, 0.8 / counts)[code])


def ramp_key(figure: Any, height: float) -> None:
    """Low to high in the shades used, and the shade of a missing value."""
    y, start, step = 1 - 0.17 / height, 0.59, 0.019
    small = {"color": MUTED, "fontsize": 9, "va": "center"}
    figure.text(start - 0.012, y, "value of the column:  low", ha="right", **small)
    for i, colour in enumerate(RAMP):
        figure.text(start + step * i, y, "■", color=colour, fontsize=10, va="center")
    figure.text(start + step * len(RAMP) + 0.012, y, "high", **small)
    figure.text(0.835, y, "●", color=MISSING, fontsize=9, va="center")
    figure.text(0.862, y, "missing", **small)
