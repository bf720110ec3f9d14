"""Observed against predicted benefit of treatment, by groups of rising prediction."""

from __future__ import annotations

import numpy as np

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
from biomarker.metrics.benefit import BenefitCalibration

__all__ = ["benefit_calibration_plot"]


def benefit_calibration_plot(
    groups: BenefitCalibration, *, name: str, unit: str, factor: float = 1.0
) -> str:
    """Difference between the arms, seen and predicted, in groups of patients.

    Parameters
    ----------
    groups : BenefitCalibration
        Predictions out of fold, or from elsewhere.
    name : str
        Keeps this figure's ids apart on a page.
    unit : str
        Of the axes.
    factor : float
        From the benefit's own unit to that, such as 100 for percentage points.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from biomarker.metrics.benefit import benefit_calibration
    >>> rng = np.random.default_rng(0)
    >>> treated, benefit = np.arange(400) % 2, rng.uniform(-0.2, 0.4, 400)
    >>> response = rng.random(400) < 0.3 + treated * benefit
    >>> found = benefit_calibration(benefit, treated, response)
    >>> drawn = benefit_calibration_plot(found, name="b", unit="points", factor=100.0)
    >>> drawn.startswith("<svg ")
    True
    """
    predicted, observed, lows, highs = (
        factor * part for part in (groups.predicted, groups.observed, groups.low, groups.high)
    )
    ends = np.concatenate([predicted, lows, highs, observed, [0.0]])
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    pad = 0.05 * (high - low) or 1.0
    low, high = low - pad, high + pad
    across = np.append(predicted, 0.0)
    side = 0.12 * float(np.ptp(across)) or pad
    left, right = float(across.min()) - side, float(across.max()) + side
    with canvas(3.7) as figure:
        axes = figure.add_axes((0.145, 0.145, 0.815, 0.825))
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.plot([low, high], [low, high], color=MUTED, linewidth=1.1, linestyle=(0, (3, 2)))
        for i, x in enumerate(predicted):
            (bar,) = axes.plot([x, x], [lows[i], highs[i]], color=SERIES[0], linewidth=1.8)
            (dot,) = axes.plot(
                [x], [observed[i]], "o", color=SERIES[0], markersize=7,
                markeredgecolor=GROUND, markeredgewidth=1,
            )  # fmt: skip
            mark_row(bar, i)
            mark_row(dot, i)
        axes.set(xlim=(left, right), ylim=(low, high))
        axes.set_xlabel(plain(f"predicted benefit, {unit}", 60))
        axes.set_ylabel(plain(f"observed, {unit}", 44))
        axes.text(
            0.98, 0.03, "dashed: as predicted", transform=axes.transAxes, color=INK,
            fontsize=9.5, ha="right",
        )  # fmt: skip
        axes.locator_params(nbins=6)
        spare_axes(axes, grid="both")
        return markup(figure, name)
