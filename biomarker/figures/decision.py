"""Would acting on the prediction help? Net benefit beside acting on everyone and on no one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
from biomarker.metrics.decision_curve import NetBenefit

__all__ = ["decision_curve"]


def decision_curve(
    result: NetBenefit, *, name: str, outcome: str = "event", marked: Sequence[int] = ()
) -> str:
    """Net benefit of the model with its band, of acting on everyone, and of acting on no one.

    Parameters
    ----------
    result : NetBenefit
        Out-of-fold, in true positives per patient; higher is better.
    name : str
        Keeps this figure's ids apart on a page.
    outcome : str
        What the probability is of, such as ``event by 24 months`` or ``response``.
    marked : sequence of int
        Positions of ``result.thresholds`` that carry a dot, one for each row of the numbers.

    Returns
    -------
    str
        One ``<svg>`` element; the scale is net true positives per 100.

    Examples
    --------
    >>> from biomarker.metrics.decision_curve import net_benefit
    >>> found = net_benefit([0, 1, 0, 1], [0.1, 0.9, 0.6, 0.4], [0.2, 0.5])
    >>> decision_curve(found, name="dc", marked=[1]).startswith("<svg ")
    True
    """
    at = 100 * result.thresholds
    value, low, high, everyone = (
        100 * part for part in (result.value, result.low, result.high, result.treat_all)
    )
    top = max(1.0, 1.12 * float(max(np.nanmax(high), np.nanmax(everyone))))
    # Acting on everyone falls without end; what lies far below acting on no one decides nothing.
    bottom = -0.2 * top
    with canvas(3.5) as figure:
        axes = figure.add_axes((0.145, 0.145, 0.815, 0.835))
        axes.axhline(0, color=MUTED, linewidth=1.1, linestyle=(0, (3, 2)))
        axes.fill_between(at, low, high, color=SERIES[0], alpha=0.13, linewidth=0)
        axes.plot(at, everyone, color=SERIES[1], linestyle=STYLES[1], label="act on everyone")
        axes.plot(at, value, color=SERIES[0], linewidth=2.2, label="act by the model, 95% band")
        for row, i in enumerate(marked):
            (dot,) = axes.plot([at[i]], [value[i]], "o", color=SERIES[0], markersize=5)
            mark_row(dot, row)
        axes.plot([], [], color=MUTED, linewidth=1.1, linestyle=(0, (3, 2)), label="act on no one")
        axes.set(xlim=(0, float(at[-1])), ylim=(bottom, top))
        axes.set_xlabel(plain(f"threshold: probability of {outcome}", 52))
        axes.set_ylabel("net true positives per 100")
        axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}%")
        axes.legend(loc="upper right", handlelength=2.6, borderaxespad=0.3, labelcolor=INK)
        spare_axes(axes, grid="y")
        return markup(figure, name)
