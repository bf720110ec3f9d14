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
from biomarker.evidence.splines import mean_ranks

__all__ = [
    "OVERLAP",
    "EffectType",
    "compared",
    "effect_type",
    "n_influential",
    "p_without_influential",
    "proportionality",
    "same_sign_on_ranks",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
EffectType = Literal["qualitative", "quantitative", "type not determined"]

_SHARE, _LEAST = 0.01, 3
OVERLAP = (0.05, 0.95)  # of the propensity of treatment
_INSIDE = 0.90


def n_influential(data: AnalysisSet) -> int:
    """How many patients a claim has to do without: 1% of them, at least 3."""
    return max(_LEAST, math.ceil(_SHARE * len(data.rows)))


def p_without_influential(
    data: AnalysisSet, test: RatioTest, seed: int, alpha: float, adjust_arm: bool = False
) -> float:
    """Calibrated p without the 1% most influential patients, at least 3.

    Influence is the first-order change of the interaction when a patient is left out, in standard
    errors, whichever way it points. It is measured at a fit whose marker is winsorised at its 5th
    and 95th percentile: patients far out cannot drag that fit towards themselves and so hide, alone
    or as a group.

    Returns
    -------
    float
        1 where nothing can be fitted without them: then they carried it.

    Notes
    -----
    A price is paid where information itself sits in few patients: 2 to 5 points of power for a
    normal marker or a level that a fifth of patients have, about 10 for a heavy tail.
    """
    keep = np.ones(len(data.rows), dtype=np.bool_)
    keep[_most_influential(data, test.question, n_influential(data), adjust_arm)] = False
    try:
        question = ask_interaction(data.where(keep), adjust_arm)
    except NotEstimableError:
        return 1.0
    draws = draw_until_clear([question], seed, ("influence", data.outcome.name), alpha)
    return calibrated_p(question.likelihood_ratio, draws[:, 0])


def _most_influential(data: AnalysisSet, question: Nested, n_out: int, adjust_arm: bool) -> Ints:
    """Patients whose absence would move the tested coefficients furthest."""
    tested = slice(question.n_null, None)
    covariance = question.fit.covariance
    at = Fit(_undragged(data, question, adjust_arm), covariance, math.nan)
    moved = question.regression.influence(question.X, at)[:, tested]
    size = np.einsum("ij,jk,ik->i", moved, np.linalg.inv(covariance[tested, tested]), moved)
    chosen: Ints = np.argsort(-size, kind="stable")[:n_out]
    return chosen


def _undragged(data: AnalysisSet, question: Nested, adjust_arm: bool) -> Floats:
    """Coefficients of the fit to the winsorised marker; the fit's own where there is none."""
    if data.graded:
        low, high = np.quantile(data.marker_columns, (0.05, 0.95))
        inner = replace(data, marker_columns=np.clip(data.marker_columns, low, high))
        try:
            return ask_interaction(inner, adjust_arm).fit.coefficients
        except NotEstimableError:
            pass
    return question.fit.coefficients


def same_sign_on_ranks(data: AnalysisSet, test: RatioTest, adjust_arm: bool = False) -> bool:
    """Whether the interaction keeps its sign with the marker replaced by its ranks.

    True for markers without an order.
    """
    if not data.graded:
        return True
    ranks = mean_ranks(data.marker_columns[:, 0])
    ranks = ((ranks - ranks.mean()) / ranks.std())[:, None]
    try:
        again = ask_interaction(replace(data, marker_columns=ranks), adjust_arm)
    except NotEstimableError:
        return False
    return bool(again.fit.coefficients[-1] * test.question.fit.coefficients[-1] > 0)


def proportionality(
    data: AnalysisSet, test: RatioTest | None, association: RatioTest | None
) -> float | None:
    """P-value of the proportionality of arm, marker and interaction together; None for a response.

    Small: ratios of hazards change over time, and wording is limited to that scale. Where there is
    no interaction to look at, of the marker in the only arm, or under control.
    """
    found = association if test is None else test
    if data.kind != "survival" or found is None:
        return None
    question = found.question
    if test is None:
        data, first = data.control, question.n_null
    else:
        first = question.n_null - data.df - 1
    columns = list(range(first, question.X.shape[1]))
    p = proportionality_p(question.X, data.y, question.fit.coefficients, columns, data.strata)
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
    if data.graded:
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


def compared(
    data: AnalysisSet, test: RatioTest
) -> tuple[tuple[str, ...], tuple[float, float] | None]:
    """Reasons why a non-randomised comparison cannot carry a claim, and what it rests on.

    It needs a declared adjustment set, overlap (90% of patients with a propensity of treatment
    between .05 and .95), and an interaction of the same sign after weighting by the propensity.

    Returns
    -------
    faults : tuple of str
        None if it can.
    shown : (float, float) or None
        Share of patients inside the overlap, and the weighted ratio; None where there are faults.
    """
    from biomarker.evidence.log_odds import fit_log_odds

    if data.covariates.shape[1] == 0:
        return ("a non-randomised comparison needs a declared adjustment set",), None
    assert data.arm is not None
    X = np.column_stack([np.ones(len(data.arm)), data.covariates])
    found = fit_log_odds(X, data.arm[None, :] == 1)
    if not found.converged[0]:
        return ("covariates separate treated from control patients: no overlap",), None
    score = 1.0 / (1.0 + np.exp(-X @ found.coefficients[0]))
    inside = float(np.mean((score > OVERLAP[0]) & (score < OVERLAP[1])))
    if inside < _INSIDE:
        return (f"treated and control patients overlap for {inside:.0%} of patients only",), None
    share = data.arm.mean()
    weight = np.where(data.arm == 1, share / score, (1 - share) / (1 - score))
    centred = data.arm - share
    columns = np.column_stack(
        [centred[:, None], data.marker_columns, data.marker_columns * centred[:, None]]
    )
    try:
        weighted = regression_of(data).fit(columns, weight)
    except NotEstimableError:
        return ("the propensity-weighted comparison cannot be estimated",), None
    log_ratio = float(weighted.coefficients[-1])
    if log_ratio * test.question.fit.coefficients[-1] <= 0:
        return ("the propensity-weighted comparison points the other way",), None
    return (), (inside, math.exp(log_ratio))
