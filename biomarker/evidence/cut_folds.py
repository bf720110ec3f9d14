"""The effect of a cut in patients who had no part in choosing it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.evidence.cut_design import RUNAWAY, CutDesign
from biomarker.resampling import joint_strata, make_folds, spawn

__all__ = ["out_of_fold_effect"]

Floats = npt.NDArray[np.float64]

_DRAWS = 199


def out_of_fold_effect(
    design: CutDesign, n_folds: int, alpha: float, seed: int
) -> tuple[float, float, float]:
    """Ratio of high to low with each patient's group chosen without that patient's fold.

    Each fold's patients are put above or below the best cut of the others; one fit to everybody
    then gives the ratio. Groups of different folds lean on each other's outcomes, so the estimate
    varies more than its information says: its interval takes the critical value that the same
    procedure needs on outcomes redrawn without effect, and at least the normal one.

    Parameters
    ----------
    design : CutDesign
    n_folds : int
    alpha : float
    seed : int

    Returns
    -------
    ratio, low, high : float
        NaN where a fold has no cut to choose, or the fit has no finite maximum.

    References
    ----------
    Faraggi and Simon (1996), Statistics in Medicine 15:2203.
    """
    try:
        # Dealt by place, so that the order of rows does not decide who is in which fold.
        by_place = np.argsort(design.data.places)
        folds = make_folds(
            n_folds,
            None,
            joint_strata(design.data.event, design.treated)[by_place],
            spawn(seed, "cut folds", design.question),
        )
        parts = []
        for inside, outside in folds:
            keep = np.zeros(len(design.values), dtype=np.bool_)
            keep[by_place[inside]] = True
            test = by_place[outside]
            parts.append((design.where(keep), keep, test))
            parts[-1][0].scan()
        above = _groups(design, parts, design.observed)[0]
        apart = replace(design, values=above, cuts=np.array([0.5]))
        fit = design.regression.fit(np.column_stack([design.null, apart.columns_at(0.5)]))
        critical = _critical(design, parts, alpha, seed)
    except NotEstimableError:
        return math.nan, math.nan, math.nan
    value = float(fit.coefficients[-1])
    half = critical * math.sqrt(float(fit.covariance[-1, -1]))
    return _exp(value), _exp(value - half), _exp(value + half)


def _groups(design: CutDesign, parts: list[Any], outcomes: Any) -> Floats:
    """Who lies above the cut of the other folds, 1 or 0, for each set of outcomes."""
    survival = isinstance(outcomes, tuple)
    n_sets = len(outcomes[0]) if survival else len(outcomes)
    above = np.zeros((n_sets, len(design.values)))
    for part, keep, test in parts:
        here = tuple(o[:, keep] for o in outcomes) if survival else outcomes[:, keep]
        chosen = part.cuts[np.abs(part.statistics(here)).argmax(axis=1)]
        above[:, test] = design.values[test][None, :] > chosen[:, None]
    return above


def _critical(design: CutDesign, parts: list[Any], alpha: float, seed: int) -> float:
    """Size that the out-of-fold statistic exceeds with chance ``alpha`` without effect."""
    from scipy.special import ndtri

    outcomes = design.source()(spawn(seed, "cut folds null", design.question), _DRAWS)
    above = _groups(design, parts, outcomes)
    sizes = np.empty(_DRAWS)
    for b in range(_DRAWS):
        one = (
            tuple(o[b : b + 1] for o in outcomes)
            if isinstance(outcomes, tuple)
            else outcomes[b : b + 1]
        )
        apart = replace(design, values=above[b], cuts=np.array([0.5]), least_events=1)
        sizes[b] = abs(float(apart.statistics(one)[0, 0]))
    usable = sizes[sizes < RUNAWAY]
    return max(float(-ndtri(alpha / 2.0)), float(np.quantile(usable, 1.0 - alpha)))


def _exp(value: float) -> float:
    """Exponential that runs to infinity quietly."""
    return math.exp(value) if value < 700 else math.inf
