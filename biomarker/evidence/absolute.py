"""What a marker changes about the treatment's gain in months, survival or response: no hazards."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.analysis_set import AnalysisSet
from biomarker.survival.pseudo_observations import Measure, pseudo_observations

__all__ = [
    "AbsoluteEffect",
    "absolute_effect",
    "longest_tau",
    "pseudo_observations",
    "supported_until",
]

Floats = npt.NDArray[np.float64]

_SHARE = 0.10


@dataclass(frozen=True)
class AbsoluteEffect:
    """How the treatment's absolute gain differs by marker.

    Attributes
    ----------
    measure : str
        ``restricted_mean``, ``survival`` or ``response``.
    value, low, high : float
        Change of (treated - control) per contrast unit: in the endpoint's time unit for a
        restricted mean, as a difference of probabilities otherwise. Positive: the treatment gains
        more where the marker is high.
    standard_error : float
    p : float
        Of no difference; a flag beside the primary scale, never a verdict.
    quartiles, quartiles_low, quartiles_high : float
        The same between the marker's 75th and 25th percentile; NaN for levels.
    at : float
        The limit or horizon, NaN for a response.
    contrast : str
    """

    measure: str
    value: float
    low: float
    high: float
    standard_error: float
    p: float
    quartiles: float
    quartiles_low: float
    quartiles_high: float
    at: float
    contrast: str


def longest_tau(data: AnalysisSet, share: float = _SHARE) -> float:
    """Largest time at which at least this share of each arm is still at risk.

    Parameters
    ----------
    data : AnalysisSet
        Survival, two arms.
    share : float

    Returns
    -------
    float
        In the endpoint's time unit.
    """
    if data.arm is None:
        raise UsageError("data must have a treated and a control arm; got one arm.")
    if len(np.unique(data.arm)) < 2:
        raise NotEstimableError(
            f"{data.marker} must be measured in both arms; got patients of one arm."
        )
    return supported_until(data.y["duration"], data.arm == 1.0, share)


def supported_until(
    duration: Floats, treated: npt.NDArray[np.bool_], share: float = _SHARE
) -> float:
    """Largest time at which at least this share of both groups is still at risk; 0 for none."""
    limits = []
    for side in (False, True):
        falling = np.sort(duration[treated == side])[::-1]
        if len(falling) == 0:
            return 0.0
        limits.append(float(falling[max(1, math.ceil(share * len(falling))) - 1]))
    return min(limits)


def absolute_effect(
    data: AnalysisSet,
    measure: Measure = "restricted_mean",
    at: float | None = None,
    alpha: float = 0.05,
) -> AbsoluteEffect:
    r"""Estimate how much more the treatment gains per unit of the marker, on an absolute scale.

    With :math:`\Delta(m) = E[g(T) | treated, m] - E[g(T) | control, m]` and g the time up to
    ``at``, being event-free then, or response, the slope of :math:`\Delta` in m: the difference
    between the arms of regressions of pseudo-observations on the marker, computed within arm, with
    HC3 variance. Proportional hazards are not assumed; independent censoring within arm, and a
    straight line in m on the declared transform, are.

    Parameters
    ----------
    data : AnalysisSet
        Both arms.
    measure : {"restricted_mean", "survival"}
        For survival endpoints; a response has one measure.
    at : float, optional
        Declared limit or horizon; for a restricted mean :func:`longest_tau` by default.
    alpha : float

    Returns
    -------
    AbsoluteEffect

    Raises
    ------
    UsageError
        If a horizon is needed and not given, or fewer than 10% of an arm are at risk at ``at``.
    NotEstimableError
        If the marker does not vary in an arm, or nothing happened there (or to everybody).

    Notes
    -----
    A slope is an average over the marker's spread. Where the declared scale has a heavy tail (a
    lognormal marker without its log) it rests on the few largest values, and intervals cover less
    than they state; neither a jackknife nor a studentised bootstrap mends that, a declared
    transform does.

    References
    ----------
    Andersen and Pohar Perme (2010), Statistical Methods in Medical Research 19:71.
    """
    from scipy.special import ndtr, ndtri

    if data.arm is None:
        raise UsageError("data must have a treated and a control arm; got one arm.")
    name: str = measure
    limit = math.nan
    if data.kind == "response":
        name = "response"
    else:
        limit = _limit(data, measure, at)
    data.check_outcomes()
    slopes, variances = [], []
    for side in (1.0, 0.0):
        here = data.arm == side
        target = (
            np.asarray(data.y[here], dtype=np.float64)
            if name == "response"
            else pseudo_observations(data.y[here], limit, measure)
        )
        slope, variance = _robust_slope(data.marker_columns[here], target, data.marker)
        slopes.append(slope)
        variances.append(variance)
    value, error = slopes[0] - slopes[1], math.sqrt(variances[0] + variances[1])
    if not error > 0:
        raise NotEstimableError(
            "outcomes must differ between patients of the same arm and marker for an interval on "
            "the absolute scale; got none that do."
        )
    half = float(-ndtri(alpha / 2.0)) * error
    distance = math.nan
    if data.graded:
        low, high = np.quantile(data.marker_columns[:, 0], (0.25, 0.75))
        distance = float(high - low)
    p = float(2.0 * ndtr(-abs(value) / error))
    return AbsoluteEffect(
        name, value, value - half, value + half, error, p,
        value * distance, (value - half) * distance, (value + half) * distance,
        limit, data.contrast,
    )  # fmt: skip


def _limit(data: AnalysisSet, measure: Measure, at: float | None) -> float:
    """Hold a declared limit to what both arms support, or take the longest."""
    longest = longest_tau(data)
    if at is None:
        if measure == "survival":
            raise UsageError("at must be a declared horizon for survival; got none.")
        return longest
    if not 0.0 < at <= longest:
        raise UsageError(
            f"at must be above 0 and at most {longest:g}, where 10% of each arm are still at risk; "
            f"got {at:g}. Beyond it the curves rest on a handful of patients."
        )
    return at


def _robust_slope(marker: Floats, target: Floats, name: str) -> tuple[float, float]:
    """Last column's least-squares slope and its HC3 variance."""
    X = np.column_stack([np.ones(len(target)), marker])
    if len(target) <= X.shape[1] or np.linalg.matrix_rank(X) < X.shape[1]:
        raise NotEstimableError(
            f"{name} must vary in each arm; got an arm of {len(target)} patient(s) where it does "
            "not."
        )
    bread = np.linalg.inv(X.T @ X)
    coef = bread @ (X.T @ target)
    leverage = np.einsum("ij,jk,ik->i", X, bread, X)
    gap = (target - X @ coef) / np.maximum(1.0 - leverage, 1e-8)
    if np.any(leverage > 1.0 - 1e-8):
        raise NotEstimableError(
            f"{name} must not rest on a single patient in an arm; got one with full leverage."
        )
    covariance = bread @ (X.T * gap**2) @ X @ bread
    return float(coef[-1]), float(covariance[-1, -1])
