"""What a claim of a differing effect must survive: few patients, ranks, and how it differs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.evidence.analysis_set import AnalysisSet
from biomarker.evidence.calibration import Nested, calibrated_p, draw_until_clear
from biomarker.evidence.interaction import RatioTest, ask_interaction, regression_of
from biomarker.evidence.regressions import Fit
from biomarker.evidence.residuals import proportionality_p

__all__ = [
    "EffectType",
    "effect_type",
    "observational_faults",
    "p_without_influential",
    "proportionality",
    "same_sign_on_ranks",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
EffectType = Literal["qualitative", "quantitative", "type not determined"]

_SHARE, _LEAST, _ROUNDS = 0.01, 3, 10
_CANDIDATES = 10  # refitted without, beyond those to leave out, by each ranking
_OVERLAP = (0.05, 0.95)
_INSIDE = 0.90


def p_without_influential(
    data: AnalysisSet, test: RatioTest, seed: int, alpha: float, adjust_arm: bool = False
) -> float:
    """Calibrated p without the 1% most influential patients, at least 3.

    Influence is the change of the interaction when a patient is left out, in standard errors,
    whichever way it points: by refitting, among candidates that stand out at the fit or under the
    null. Patients go in up to ten rounds with a fit after each, so that one who hid behind another
    shows. What deletion one at a time cannot show is a group so alike and so far out that it holds
    the fit by itself: look at the marker's distribution too.

    Returns
    -------
    float
        1 where a fit without them has no finite maximum: then they carried it.
    """
    left, question = data, test.question
    n_out = max(_LEAST, math.ceil(_SHARE * len(data.rows)))
    try:
        for share in np.array_split(np.arange(n_out), min(n_out, _ROUNDS)):
            keep = np.ones(len(left.rows), dtype=np.bool_)
            keep[_most_influential(question, len(share))] = False
            left = left.where(keep)
            question = ask_interaction(left, adjust_arm)
    except NotEstimableError:
        return 1.0
    draws = draw_until_clear([question], seed, ("influence", data.outcome.name), alpha)
    return calibrated_p(question.likelihood_ratio, draws[:, 0])


def _most_influential(question: Nested, n_out: int) -> Ints:
    """Patients whose absence moves the tested coefficients furthest."""
    tested = slice(question.n_null, None)
    precision = np.asarray(np.linalg.inv(question.fit.covariance[tested, tested]), dtype=np.float64)
    regression, X, fit = question.regression, question.X, question.fit
    null = Fit(
        np.append(question.null.coefficients, np.zeros(question.df)), fit.covariance, math.nan
    )
    n_candidates = min(len(X), n_out + max(_CANDIDATES, len(X) // 50))
    candidates = np.unique(
        [
            np.argsort(-_size(regression.influence(X, at)[:, tested], precision), kind="stable")[
                :n_candidates
            ]
            for at in (fit, null)
        ]
    )
    moved = np.empty((len(candidates), question.df))
    for k, patient in enumerate(candidates):
        keep = np.ones(len(X), dtype=np.bool_)
        keep[patient] = False
        try:
            moved[k] = (fit.coefficients - regression.where(keep).fit(X[keep]).coefficients)[tested]
        except NotEstimableError:
            moved[k] = np.inf  # without this patient there is no finite ratio: nobody matters more
    size = _size(moved, precision)
    chosen: Ints = candidates[np.argsort(-size, kind="stable")[:n_out]]
    return chosen


def _size(moved: Floats, precision: Floats) -> Floats:
    """Squared distance in standard errors."""
    out = np.full(len(moved), np.inf)
    finite = np.isfinite(moved).all(axis=1)
    out[finite] = np.einsum("ij,jk,ik->i", moved[finite], precision, moved[finite])
    return out


def same_sign_on_ranks(data: AnalysisSet, test: RatioTest, adjust_arm: bool = False) -> bool:
    """Whether the interaction keeps its sign with the marker replaced by its ranks.

    True for markers without an order.
    """
    from scipy.stats import rankdata

    if not data.graded or data.df != 1:
        return True
    ranks = rankdata(data.marker_columns[:, 0])
    ranks = ((ranks - ranks.mean()) / ranks.std())[:, None]
    try:
        again = ask_interaction(replace(data, marker_columns=ranks), adjust_arm)
    except NotEstimableError:
        return False
    return bool(again.fit.coefficients[-1] * test.question.fit.coefficients[-1] > 0)


def proportionality(data: AnalysisSet, test: RatioTest) -> float | None:
    """P-value of the proportionality of arm, marker and interaction together; None for a response.

    Small: ratios of hazards change over time, and wording is limited to that scale.
    """
    if data.kind != "survival":
        return None
    question = test.question
    columns = range(question.n_null - data.df - 1, question.X.shape[1])
    p = proportionality_p(
        question.X,
        data.y,
        question.fit.coefficients,
        question.fit.covariance,
        list(columns),
        data.strata,
    )
    return None if math.isnan(p) else p


def effect_type(data: AnalysisSet, test: RatioTest, alpha: float = 0.05) -> EffectType:
    """Whether treatment changes side over the marker, only changes size, or neither is shown.

    Scheffé's simultaneous band of the treatment's log ratio over the marker's 5th to 95th
    percentile (or its levels): qualitative where the band lies below 1 somewhere and above it
    elsewhere, quantitative where it lies on one side throughout.

    References
    ----------
    Scheffé (1953), Biometrika 40:87; Gail and Simon (1985), Biometrics 41:361 for the question.
    """
    from scipy.stats import chi2

    fit, n_null, df = test.question.fit, test.question.n_null, data.df
    pick = [n_null - df - 1, *range(n_null, n_null + df)]
    if df == 1 and data.graded:
        low, high = np.quantile(data.marker_columns[:, 0], (0.05, 0.95))
        grid = np.linspace(low, high, 41)[:, None]
    else:
        grid = np.unique(data.marker_columns, axis=0)
    L = np.column_stack([np.ones(len(grid)), grid])
    effect = L @ fit.coefficients[pick]
    spread = np.sqrt(np.einsum("ij,jk,ik->i", L, fit.covariance[np.ix_(pick, pick)], L))
    half = math.sqrt(float(chi2.isf(alpha, df + 1))) * spread
    below, above = effect + half < 0, effect - half > 0
    if below.any() and above.any():
        return "qualitative"
    if below.all() or above.all():
        return "quantitative"
    return "type not determined"


def observational_faults(data: AnalysisSet, test: RatioTest) -> tuple[str, ...]:
    """Reasons why a non-randomised comparison cannot carry a claim; none if it can.

    It needs a declared adjustment set, overlap (90% of patients with a propensity of treatment
    between .05 and .95), and an interaction of the same sign after weighting by the propensity.
    """
    from biomarker.evidence.log_odds import fit_log_odds

    if data.covariates.shape[1] == 0:
        return ("a non-randomised comparison needs a declared adjustment set",)
    assert data.arm is not None
    X = np.column_stack([np.ones(len(data.arm)), data.covariates])
    found = fit_log_odds(X, data.arm[None, :] == 1)
    if not found.converged[0]:
        return ("covariates separate treated from control patients: no overlap",)
    score = 1.0 / (1.0 + np.exp(-X @ found.coefficients[0]))
    inside = float(np.mean((score > _OVERLAP[0]) & (score < _OVERLAP[1])))
    if inside < _INSIDE:
        return (f"treated and control patients overlap for {inside:.0%} of patients only",)
    share = data.arm.mean()
    weight = np.where(data.arm == 1, share / score, (1 - share) / (1 - score))
    centred = data.arm - share
    columns = np.column_stack(
        [centred[:, None], data.marker_columns, data.marker_columns * centred[:, None]]
    )
    try:
        weighted = regression_of(data).fit(columns, weight)
    except NotEstimableError:
        return ("the propensity-weighted comparison cannot be estimated",)
    if weighted.coefficients[-1] * test.question.fit.coefficients[-1] <= 0:
        return ("the propensity-weighted comparison points the other way",)
    return ()
