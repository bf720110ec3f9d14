"""Whether the treatment's effect differs by a marker: the interaction on the primary scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.analysis_set import AnalysisSet
from biomarker.evidence.calibration import (
    Nested,
    calibrated_p,
    critical_value,
    draw_until_clear,
    profile_interval,
)
from biomarker.evidence.regressions import HazardRegression, OddsRegression, Regression
from biomarker.evidence.splines import mean_ranks, own_curve

__all__ = [
    "RatioTest",
    "ask_interaction",
    "interaction_columns",
    "interaction_test",
    "ratio_from_draws",
    "regression_of",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RatioTest:
    """A calibrated test of one ratio, and the interval that agrees with it.

    Attributes
    ----------
    ratio, low, high : float
        Per contrast unit. Of an interaction: the effect in the treated over that in controls
        (hazard ratios; odds ratios of response). With one tested column the interval excludes 1
        exactly when ``p`` is below alpha; with more it is the last level against the
        first at the joint critical value, which excludes 1 only if ``p`` is below alpha.
    p : float
        Calibrated by redrawing outcomes under the null model.
    monte_carlo_error : float
        Standard error of ``p``.
    p_asymptotic : float
        Chi squared.
    n_draws, seed : int
    standard_error : float
        Of the log ratio, from the information.
    draws : ndarray, shape (n_draws,)
        Likelihood ratios under the null.
    question : Nested
    others : tuple of (float, float, float)
        Ratio and interval of the tested columns before the last.
    """

    ratio: float
    low: float
    high: float
    p: float
    monte_carlo_error: float
    p_asymptotic: float
    n_draws: int
    seed: int
    standard_error: float
    draws: Floats
    question: Nested
    others: tuple[tuple[float, float, float], ...] = ()

    def detectable(self, power: float = 0.80, alpha: float = 0.05) -> float:
        """Smallest ratio above 1 that would be found with this power at this precision."""
        from scipy.special import ndtri

        reach = float(ndtri(1.0 - alpha / 2.0) + ndtri(power)) * self.standard_error
        return math.exp(reach) if reach < 700 else math.inf


def regression_of(data: AnalysisSet) -> Regression:
    """Cox for survival, logistic for response, within the declared strata."""
    if data.kind == "survival":
        return HazardRegression(data.y, data.strata, data.arm)
    return OddsRegression(np.asarray(data.y, dtype=np.bool_), data.strata)


def interaction_columns(
    data: AnalysisSet, marker: Floats, adjust_arm: bool = False
) -> tuple[Floats, Floats]:
    """Null columns (covariates, arm, marker) and tested ones (arm x marker) of a two-arm question.

    Raises
    ------
    UsageError
        If the study has one arm.
    NotEstimableError
        If the marker was measured in one arm only.
    """
    if data.arm is None:
        raise UsageError("data must have a treated and a control arm; got one arm.")
    if len(np.unique(data.arm)) < 2:
        raise NotEstimableError(
            f"{data.marker} must be measured in both arms; got patients of one arm."
        )
    # The arm is centred too: products then hardly depend on their factors.
    arm = (data.arm - data.arm.mean())[:, None]
    parts = [data.covariates]
    if adjust_arm:
        parts.append(data.covariates * arm)
    return np.column_stack([*parts, arm, marker]), marker * arm


def ask_interaction(data: AnalysisSet, adjust_arm: bool = False) -> Nested:
    """Fit the model with and without treatment x marker.

    Null columns: declared covariates, covariates x arm where ``adjust_arm`` (an observational
    comparison), arm, marker. Tested: arm x marker. Outcomes are redrawn from :func:`own_effect`.

    Raises
    ------
    UsageError
        If there is one arm.
    NotEstimableError
        If a fit has no finite maximum.
    """
    null, tested = interaction_columns(data, data.marker_columns, adjust_arm)
    data.check_outcomes()
    data.check_marker()
    X = np.column_stack([null, tested])
    redrawn = own_effect(data, null)
    return Nested.ask(regression_of(data), X, null.shape[1], data.places, data.n_rows, redrawn)


def own_effect(data: AnalysisSet, null: Floats) -> tuple[Floats, ...]:
    """Columns that outcomes may be redrawn with, so that the marker's own effect may bend.

    An own effect that bends, or that travels with a strong prognostic marker, is misdrawn by a
    line, and outcomes redrawn from that line would spread the interaction too little.

    Parameters
    ----------
    data : AnalysisSet
    null : ndarray, shape (n_patients, n_columns)
        The marker last.

    Returns
    -------
    tuple of ndarray, each of shape (n_patients, n_redrawn)
        The null's columns and a curve. With too few events for one: the null's, the marker's rank
        in place of its value, and both. None for two values, or levels without an order.
    """
    marker = data.marker_columns
    if not data.graded or len(np.unique(marker)) == 2:
        return ()
    curve = own_curve(data, null.shape[1])
    if curve.shape[1]:
        return (np.column_stack([null, curve]),)
    rank = mean_ranks(marker[:, 0])[:, None] - 0.5
    return null, np.column_stack([null[:, :-1], rank]), np.column_stack([null, rank])


def ratio_from_draws(question: Nested, draws: Floats, seed: int, alpha: float) -> RatioTest:
    """Turn null draws into p, interval and Monte Carlo error."""
    p = calibrated_p(question.likelihood_ratio, draws)
    critical = critical_value(draws, alpha)
    column = question.X.shape[1] - 1

    def shown(column: int) -> tuple[float, float, float]:
        low, high = profile_interval(question, column, critical)
        return _exp(float(question.fit.coefficients[column])), _exp(low), _exp(high)

    ratio, low, high = shown(column)
    return RatioTest(
        ratio=ratio,
        low=low,
        high=high,
        p=p,
        monte_carlo_error=math.sqrt(p * (1.0 - p) / len(draws)),
        p_asymptotic=question.p_asymptotic,
        n_draws=len(draws),
        seed=seed,
        standard_error=math.sqrt(float(question.fit.covariance[column, column])),
        draws=draws,
        question=question,
        others=tuple(shown(j) for j in range(question.n_null, column)),
    )


def interaction_test(
    data: AnalysisSet, seed: int = 0, alpha: float = 0.05, adjust_arm: bool = False
) -> RatioTest:
    r"""Test whether the treatment's effect differs by the marker.

    The likelihood ratio of :math:`\gamma` in :math:`\eta = c'\delta + a\beta + m\theta + am\gamma`,
    with a the arm, m the marker on its declared transform and c the covariates, on the log hazard
    or log odds. Its p-value comes from outcomes redrawn under the fitted null :math:`\gamma = 0`,
    in which the marker's own effect is a restricted cubic spline.

    Assumes the null's proportional hazards (or log-odds linearity), and censoring that depends on
    the arm alone. Randomisation makes a difference in effect causal; nothing here does.

    Parameters
    ----------
    data : AnalysisSet
    seed : int
    alpha : float
        Two-sided level of the interval.
    adjust_arm : bool
        Let covariates change the treatment's effect, as a non-randomised comparison needs.

    Returns
    -------
    RatioTest
        ``ratio`` below 1: the treatment lowers the hazard (or the odds) more where the marker is
        high.

    Raises
    ------
    UsageError
        With one arm: no interaction exists.
    NotEstimableError
        If a fit has no finite maximum; separation is never evidence.

    Notes
    -----
    Without a declared reason to do otherwise 999 outcomes are redrawn, and 3,999 where the p-value
    is near alpha. Cost: n times draws.

    References
    ----------
    Davison and Hinkley (1997), Bootstrap Methods and their Application, section 7.3.
    """
    question = ask_interaction(data, adjust_arm)
    draws = draw_until_clear([question], seed, ("interaction", data.outcome.name), alpha)
    return ratio_from_draws(question, draws[:, 0], seed, alpha)


def _exp(value: float) -> float:
    """Exponential that runs to infinity quietly."""
    return math.exp(value) if value < 700 else math.inf
