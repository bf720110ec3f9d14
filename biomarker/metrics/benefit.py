"""How good predictions of treatment benefit are: order, size, and what acting on them gains."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.metrics.benefit_outcomes import (
    benefit_and_arm,
    group_codes,
    known_outcomes,
    pseudo_outcomes,
    rising_groups,
)
from biomarker.metrics.benefit_pairs import match, pair_concordance
from biomarker.metrics.estimate import MetricEstimate, interval
from biomarker.resampling import spawn
from biomarker.survival.pseudo_observations import Measure

__all__ = ["BenefitCalibration", "RuleGain", "benefit_calibration", "c_for_benefit", "rule_gain"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BenefitCalibration:
    """Observed against predicted benefit, in the benefit's own unit.

    Attributes
    ----------
    slope : MetricEstimate
        Observed benefit gained per unit of predicted benefit; 1 is ideal, below 1: predictions too
        spread out.
    in_the_large : MetricEstimate
        Observed mean benefit less the mean predicted; 0 is ideal, negative: promised too much.
    predicted, observed, low, high : ndarray, shape (n_groups,)
        By groups of rising predicted benefit: mean predicted, and the arms' difference there.
    n_treated, n_control : ndarray of int, shape (n_groups,)
    """

    slope: MetricEstimate
    in_the_large: MetricEstimate
    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    n_treated: npt.NDArray[np.int64]
    n_control: npt.NDArray[np.int64]


@dataclass(frozen=True)
class RuleGain:
    """What "treat where predicted benefit exceeds a threshold" gains per patient.

    Attributes
    ----------
    over_all, over_none : MetricEstimate
        Mean outcome under the rule less that of treating everybody, and nobody; higher is better.
        Costs of treatment are not in it.
    share_treated : float
        Share of patients the rule treats.
    threshold : float
    n_treated, n_control : int
        Patients by the arm they were in.
    """

    over_all: MetricEstimate
    over_none: MetricEstimate
    share_treated: float
    threshold: float
    n_treated: int
    n_control: int


def c_for_benefit(
    benefit: npt.ArrayLike,
    treated: npt.ArrayLike,
    y: npt.ArrayLike,
    at: float | None = None,
    measure: Measure = "restricted_mean",
    *,
    groups: npt.ArrayLike | None = None,
    n_matchings: int = 10,
    random_state: int = 0,
    alpha: float = 0.05,
) -> MetricEstimate:
    r"""Chance that, of two matched pairs, the one with more predicted benefit saw more of it.

    Treated and control patients are matched one to one by rank of predicted benefit; a pair's
    predicted benefit is the mean of its two, its observed benefit g(treated) - g(control), with
    g = min(T, at), 1{T > at}, or response. Over pairs of pairs whose observed benefits differ,

    .. math:: C = \sum w_k w_l (1\{p_k > p_l\} + \tfrac12 1\{p_k = p_l\}) 1\{o_k > o_l\}
              / \sum w_k w_l 1\{o_k > o_l\}.

    Censoring: a pair counts where both g are known, with weight the inverse chance of that,
    1 / (G_1 G_0), learned within arm: consistent for C without censoring where censoring depends on
    nothing but the arm. Assumes arms assigned at random: otherwise pairs differ in more than
    treatment.

    Parameters
    ----------
    benefit : array-like, shape (n_patients,)
        Predicted benefit, higher = the treatment helps more.
    treated : array-like of bool or 0/1, shape (n_patients,)
    y : structured array, or array-like of bool, shape (n_patients,)
        Survival, or response (True is good).
    at : float
        Limit or horizon of a survival outcome, in its unit.
    measure : {"restricted_mean", "survival"}
    groups : array-like, shape (n_patients,), optional
        Pairs are formed and compared within groups only: the folds, where predictions are out of
        fold. Across folds a model whose own patients did well by chance meets others who did badly,
        which puts C below .5 for predictions that tell nothing.
    n_matchings : int
        Ties in predicted benefit are ordered, and patients of the larger arm left out, at random:
        the mean over this many matchings is returned (one where nothing is left to chance).
    random_state : int
    alpha : float

    Returns
    -------
    MetricEstimate
        In [0, 1], higher is better; .5 for predictions that tell nothing. The interval holds the
        predictions and the matching fixed.

    Raises
    ------
    NotEstimableError
        If an arm has fewer than two patients, no two pairs' observed benefits differ, or ``at``
        lies beyond an arm's follow-up.
    OutcomeError, UsageError
        If an input is malformed.

    Notes
    -----
    C depends on the outcome's spread as well as on the predictions: even true benefits rarely give
    more than .6 to .7, because a pair's observed benefit is mostly chance. Cost: pairs squared.

    References
    ----------
    van Klaveren, Steyerberg, Serruys and Kent (2018), Journal of Clinical Epidemiology 94:59.

    Examples
    --------
    >>> benefit, treated = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3], [1, 1, 1, 0, 0, 0]
    >>> c_for_benefit(benefit, treated, [0, 1, 1, 1, 1, 0]).value
    1.0
    """
    predicted, arm = benefit_and_arm(benefit, treated)
    outcome, weight = known_outcomes(y, arm, at, measure)
    code = group_codes(groups, len(arm))
    sides = [
        (np.flatnonzero(arm & (code == g)), np.flatnonzero(~arm & (code == g)))
        for g in range(int(code.max()) + 1)
    ]
    chancy = any(
        len(one) != len(none)
        or len(np.unique(predicted[one])) < len(one)
        or len(np.unique(predicted[none])) < len(none)
        for one, none in sides
    )
    rng = spawn(random_state, "benefit matching")
    values, variances = [], []
    for _ in range(n_matchings if chancy else 1):
        pairs = [match(predicted, one, none, rng) for one, none in sides]
        value, variance = pair_concordance(
            [(predicted[one] + predicted[none]) / 2.0 for one, none in pairs],
            [outcome[one] - outcome[none] for one, none in pairs],
            [weight[one] * weight[none] for one, none in pairs],
        )
        values.append(value)
        variances.append(variance)
    value, error = float(np.mean(values)), math.sqrt(float(np.mean(variances)))
    low, high = interval(value, error, "logit", alpha)
    return MetricEstimate("c_for_benefit", value, low, high, error, len(predicted), at)


def benefit_calibration(
    benefit: npt.ArrayLike,
    treated: npt.ArrayLike,
    y: npt.ArrayLike,
    at: float | None = None,
    measure: Measure = "restricted_mean",
    *,
    groups: npt.ArrayLike | None = None,
    n_groups: int = 4,
    alpha: float = 0.05,
) -> BenefitCalibration:
    r"""Whether predicted benefits are of the right size.

    Within each arm the outcome (pseudo-observations of min(T, at) or 1{T > at}; or response) is
    regressed on predicted benefit b by least squares. The slope is the treated arm's less the
    control arm's: E[outcome | treated, b] - E[outcome | control, b] = a + slope b. Assumes arms
    assigned at random, and censoring that depends on nothing but the arm.

    Parameters
    ----------
    benefit, treated, y, at, measure
        As in :func:`c_for_benefit`; ``benefit`` in the outcome's unit (time for a restricted mean,
        else a difference of probabilities).
    groups : array-like, shape (n_patients,), optional
        Each group has its own intercepts in the slope's regressions: the folds, where predictions
        are out of fold (see :func:`c_for_benefit`).
    n_groups : int
        Groups of rising predicted benefit; fewer where predictions tie or a group would hold fewer
        than two patients of an arm.
    alpha : float

    Returns
    -------
    BenefitCalibration
        Intervals hold the predictions fixed (HC3 variance for the slope); groups are unadjusted
        for their number.

    Raises
    ------
    NotEstimableError
        If predictions do not vary within an arm, or ``at`` lies beyond an arm's follow-up.
    OutcomeError, UsageError
        If an input is malformed.

    References
    ----------
    van Klaveren et al. (2019), Diagnostic and Prognostic Research 3:17. Andersen and Pohar Perme
    (2010), Statistical Methods in Medical Research 19:71.

    Examples
    --------
    >>> benefit, treated = np.repeat([0.0, 0.5], 8), np.tile([0, 1], 8)
    >>> response = [0, 0, 0, 0, 1, 1, 1, 1] + [0, 0, 0, 1, 1, 1, 1, 1]
    >>> found = benefit_calibration(benefit, treated, response, n_groups=2)
    >>> found.slope.value, found.observed.tolist(), found.in_the_large.value
    (0.5, [0.0, 0.25], -0.125)
    """
    predicted, arm = benefit_and_arm(benefit, treated)
    outcome = pseudo_outcomes(y, arm, at, measure)
    n, code = len(predicted), group_codes(groups, len(predicted))
    slopes, variances = zip(
        *(_slope(predicted[side], outcome[side], code[side]) for side in (arm, ~arm)),
        strict=True,
    )
    slope = _identity(
        "benefit_calibration_slope", slopes[0] - slopes[1], sum(variances), n, at, alpha
    )
    means = [float(outcome[side].mean()) for side in (arm, ~arm)]
    gap = means[0] - means[1] - float(predicted.mean())
    # A patient's outcome moves the mean of one arm, and the prediction moves that of predictions.
    moved = np.where(
        arm, (outcome - means[0]) / arm.mean(), (means[1] - outcome) / (1.0 - arm.mean())
    )
    influence = moved - (predicted - predicted.mean())
    large = _identity("benefit_in_the_large", gap, float(influence.var(ddof=1)) / n, n, at, alpha)
    part = rising_groups(predicted, arm, n_groups)
    rows = []
    for label in np.unique(part):
        inside = part == label
        observed, variance = _difference(outcome, arm, inside)
        bounds = interval(observed, math.sqrt(variance), "identity", alpha)
        low, high = (math.nan if b is None else b for b in bounds)
        counts = [int((inside & side).sum()) for side in (arm, ~arm)]
        rows.append([float(predicted[inside].mean()), observed, low, high, *counts])
    table = np.array(rows, dtype=np.float64).T
    return BenefitCalibration(
        slope, large, table[0], table[1], table[2], table[3],
        table[4].astype(np.int64), table[5].astype(np.int64),
    )  # fmt: skip


def rule_gain(
    benefit: npt.ArrayLike,
    treated: npt.ArrayLike,
    y: npt.ArrayLike,
    at: float | None = None,
    measure: Measure = "restricted_mean",
    *,
    threshold: float = 0.0,
    alpha: float = 0.05,
) -> RuleGain:
    r"""Gain of treating where predicted benefit exceeds a threshold, over treating all and none.

    The rule and "treat all" differ in the patients the rule spares, "treat none" in those it
    treats. With D = 1 where they differ, p the share randomised to treatment and
    :math:`\bar g_a` the mean outcome of arm a, the treated arm's advantage in these patients is

    .. math:: \frac1n \sum_i D_i \Bigl[\bar g_1 - \bar g_0 + \frac{A_i (g_i - \bar g_1)}{p}
              - \frac{(1 - A_i)(g_i - \bar g_0)}{1 - p}\Bigr],

    inverse weighting by the chance of the arm; the means take out noise and leave no bias. The gain
    over "none" is that; over "all", its negative. g are pseudo-observations of min(T, at) or
    1{T > at} within arm, or responses. Assumes arms assigned at random, and censoring that depends
    on nothing but the arm.

    Parameters
    ----------
    benefit, treated, y, at, measure
        As in :func:`c_for_benefit`.
    threshold : float
        Least predicted benefit that treatment is worth, in the unit of ``benefit``.
    alpha : float

    Returns
    -------
    RuleGain
        In the outcome's unit per patient; exactly 0 without an interval where the rule treats
        everybody (or nobody). Intervals hold the predictions fixed.

    Raises
    ------
    NotEstimableError
        If an arm has fewer than two patients, or ``at`` lies beyond an arm's follow-up.
    OutcomeError, UsageError
        If an input is malformed.

    References
    ----------
    Vickers, Kattan and Sargent (2007), Trials 8:14. Janes, Brown, Huang and Pepe (2014),
    International Journal of Biostatistics 10:99.

    Examples
    --------
    >>> found = rule_gain([-1, -1, -1, -1, 1, 1, 1, 1], [1, 1, 0, 0] * 2, [0, 0, 1, 1, 1, 1, 0, 0])
    >>> found.over_all.value, found.over_none.value, found.share_treated
    (0.5, 0.5, 0.5)
    """
    predicted, arm = benefit_and_arm(benefit, treated)
    outcome = pseudo_outcomes(y, arm, at, measure)
    n, chosen, p = len(predicted), predicted > threshold, float(arm.mean())
    means = [float(outcome[side].mean()) for side in (arm, ~arm)]
    advantage = (
        means[0]
        - means[1]
        + np.where(arm, (outcome - means[0]) / p, (means[1] - outcome) / (1.0 - p))
    )
    found = []
    for name, terms in (
        ("over_all", np.where(chosen, 0.0, -advantage)),
        ("over_none", np.where(chosen, advantage, 0.0)),
    ):
        if chosen.all() if name == "over_all" else not chosen.any():
            found.append(MetricEstimate(f"gain_{name}", 0.0, None, None, None, n, at))
            continue
        value, variance = float(terms.mean()), float(terms.var(ddof=1)) / n
        found.append(_identity(f"gain_{name}", value, variance, n, at, alpha))
    return RuleGain(
        found[0], found[1], float(chosen.mean()), threshold, int(arm.sum()), int((~arm).sum())
    )


def _slope(predicted: Floats, outcome: Floats, code: Ints) -> tuple[float, float]:
    """Least-squares slope within one arm, an intercept for each group, and its HC3 variance."""
    size = np.bincount(code).astype(np.float64)
    filled = np.maximum(size, 1.0)
    x = predicted - (np.bincount(code, predicted) / filled)[code]
    rest = outcome - (np.bincount(code, outcome) / filled)[code]
    total = float(x @ x)
    if float(np.abs(x).max()) <= 1e-12 * max(1.0, float(np.abs(predicted).max())):
        raise NotEstimableError(
            f"benefit must differ between patients of an arm; got one value for all {len(x)}. A "
            "slope needs predictions that vary."
        )
    slope = float(x @ rest) / total
    left = 1.0 - 1.0 / size[code] - x**2 / total
    # A group of one patient fits itself, and says nothing about the slope.
    if np.any((left < 1e-8) & (size[code] > 1.0)):
        raise NotEstimableError(
            "benefit must not rest on a single patient of an arm; got one with full leverage."
        )
    error = x * (rest - slope * x) / np.where(left < 1e-8, 1.0, left)
    return slope, float((error**2).sum()) / total**2


def _difference(outcome: Floats, arm: Bools, inside: Bools) -> tuple[float, float]:
    """Treated less control among some of the patients, and its variance."""
    sides = [outcome[inside & side] for side in (arm, ~arm)]
    fewest = min(map(len, sides))
    if fewest < 2:
        raise NotEstimableError(
            f"each group must hold at least two patients of each arm; got a group of "
            f"{int(inside.sum())} with {fewest} of an arm. Move the threshold, or make fewer "
            "groups."
        )
    means = [float(side.mean()) for side in sides]
    variance = sum(float(side.var(ddof=1)) / len(side) for side in sides)
    return means[0] - means[1], variance


def _identity(
    name: str, value: float, variance: float, n: int, at: float | None, alpha: float
) -> MetricEstimate:
    """Estimate with an interval symmetric on its own scale."""
    error = math.sqrt(variance)
    low, high = interval(value, error, "identity", alpha)
    return MetricEstimate(name, value, low, high, error, n, at)
