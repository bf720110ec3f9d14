"""Whether the data place a threshold at all, and where: a step against a smooth trend."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.evidence.cut_design import RUNAWAY, CutDesign, independent_columns
from biomarker.evidence.cut_interval import Alternative, accepted_cuts, corrected_p
from biomarker.evidence.cut_result import CutSettings
from biomarker.evidence.splines import mean_ranks

__all__ = [
    "Place",
    "alternative",
    "place_threshold",
    "smooth_columns",
    "trend_fits_better",
    "trend_shapes",
]

Floats = npt.NDArray[np.float64]

_WIDE = 0.80  # share of the cuts that a useful interval may not reach


@dataclass(frozen=True)
class Place:
    """Where a threshold lies, if anywhere."""

    note: str
    p_beyond_trend: float = math.nan
    low: float = math.nan
    high: float = math.nan
    identified: bool = False


def smooth_columns(design: CutDesign, trend: Floats) -> Floats:
    """A trend without steps: the tested marker on its transform, and by rank."""
    rank = mean_ranks(design.values) - 0.5
    if design.question == "interaction":
        rank = rank * design.treated
    more = independent_columns(np.column_stack([design.null, trend, rank]))
    return more[:, design.null.shape[1] :]


def alternative(
    design: CutDesign, effect: Floats, settings: CutSettings, seed: int, key: str
) -> Alternative:
    """Statistics of outcomes redrawn with the fitted effect of some columns: mean and noise.

    Raises
    ------
    NotEstimableError
        If that effect has no finite maximum.
    """
    name = (design.question, key, design.data.outcome.name)
    drawn = design.redrawn(settings.n_draws, seed, name, effect)
    drawn = drawn[np.abs(drawn).max(axis=1) < RUNAWAY]
    mean = drawn.mean(axis=0)
    return Alternative(mean, drawn - mean)


def trend_fits_better(design: CutDesign, smooth: Floats, cut: float) -> bool:
    """Whether smooth columns beat a step at the chosen cut, each by likelihood less columns."""
    if not smooth.shape[1]:
        return False
    X = np.column_stack([design.null, design.columns_at(cut)])
    fit = design.regression.fit
    try:
        trend = fit(np.column_stack([design.null, smooth])).log_likelihood
        gained = trend - fit(design.null).log_likelihood - smooth.shape[1]
    except NotEstimableError:
        return False
    step = fit(X).log_likelihood - fit(independent_columns(X[:, :-1])).log_likelihood - 1.0
    return bool(gained > step)


def trend_shapes(design: CutDesign, smooth: Floats) -> list[Alternative]:
    """Means where the fitted trend holds, by information; none where it cannot be fitted."""
    if not smooth.shape[1]:
        return []
    q = design.null.shape[1]
    try:
        slopes = design.regression.fit(np.column_stack([design.null, smooth])).coefficients[q:]
    except NotEstimableError:
        return []
    return [Alternative(design.carried(smooth @ slopes)[:, 0])]


def place_threshold(
    design: CutDesign,
    smooth: Floats,
    observed: Floats,
    noise: Floats,
    carried: Floats,
    p: float,
    settings: CutSettings,
    seed: int,
) -> Place:
    """Interval of a threshold, where there is one rather than nothing or a smooth trend."""
    if not p < settings.alpha:
        return Place("not identified: the corrected p-value shows no difference at any cut")
    wider = design.beside(smooth)
    try:
        key = (design.question, "trend", design.data.outcome.name)
        p_beyond = corrected_p(wider.scan(), wider.redrawn(settings.n_draws, seed, key))
    except NotEstimableError:
        return Place("not identified: a step cannot be told from a smooth trend in these patients")
    if not p_beyond < settings.alpha:
        return Place("not identified: a step fits no better than a smooth trend", p_beyond)
    # An interval is shown only where a step stood out: choosing to show it costs coverage where
    # effects are weak, 2 points in 95 at 3 standard errors, which half the level pays for.
    kept = np.flatnonzero(accepted_cuts(observed, noise, carried, settings.alpha / 2.0))
    first, last, n = int(kept[0]), int(kept[-1]), len(design.cuts)
    if last - first + 1 >= _WIDE * n:
        return Place("not identified: its interval spans nearly the whole scan", p_beyond)
    edges = [side for side, at in (("lowest", first == 0), ("highest", last == n - 1)) if at]
    note = f"the interval reaches the {edges[0]} cut scanned" if edges else ""
    # A threshold between two cuts belongs to neither: the interval runs to the next one.
    low, high = design.cuts[max(first - 1, 0)], design.cuts[min(last + 1, n - 1)]
    return Place(note, p_beyond, float(low), float(high), True)
