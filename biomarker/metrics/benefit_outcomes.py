"""What benefit metrics are computed from: arms, groups, and one outcome a patient."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError, OutcomeError, UsageError
from biomarker.metrics.estimate import check_numbers, check_response
from biomarker.outcomes import check_survival_outcome
from biomarker.survival.censoring import CensoringDistribution
from biomarker.survival.pseudo_observations import Measure, pseudo_observations

__all__ = [
    "benefit_and_arm",
    "group_codes",
    "known_outcomes",
    "pseudo_outcomes",
    "rising_groups",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]


def benefit_and_arm(benefit: npt.ArrayLike, treated: npt.ArrayLike) -> tuple[Floats, Bools]:
    """Pass predictions and arms that fit each other."""
    arm = np.asarray(treated)
    if arm.ndim != 1 or (arm.dtype != np.bool_ and not np.all(np.isin(arm, (0, 1)))):
        raise OutcomeError(
            f"treated must be one-dimensional and hold only 0/1 or booleans; got shape {arm.shape}."
        )
    side = arm.astype(np.bool_)
    fewest = min(int(side.sum()), int((~side).sum()))
    if fewest < 2:
        raise NotEstimableError(
            f"treated must hold at least two patients of each arm; got an arm of {fewest}. Benefit "
            "is a difference between arms."
        )
    return check_numbers("benefit", benefit, side.shape), side


def _survival(y: npt.ArrayLike, n: int, at: float | None) -> npt.NDArray[np.void] | None:
    """Survival outcomes with their limit given, or None for a response."""
    array = np.asarray(y)
    if len(array) != n:
        raise OutcomeError(f"y must hold {n} outcomes; got {len(array)}.")
    if array.dtype.names is None:
        return None
    if at is None or not (math.isfinite(at) and at > 0.0):
        raise UsageError(f"at must be a time greater than 0 for a survival outcome; got {at}.")
    return check_survival_outcome(array)


def known_outcomes(
    y: npt.ArrayLike, arm: Bools, at: float | None, measure: Measure
) -> tuple[Floats, Floats]:
    """Outcome up to the limit, and the inverse chance of its being known (0: it is not)."""
    survival = _survival(y, len(arm), at)
    if survival is None:
        return check_response(y).astype(np.float64), np.ones(len(arm))
    assert at is not None
    duration, event = survival["duration"], survival["event"]
    # Events come before censorings of the same time: who is censored at the limit has reached it.
    reached = (duration > at) | (~event & (duration == at))
    outcome = np.where(reached, at, duration) if measure == "restricted_mean" else reached
    weight = np.zeros(len(arm))
    for side in (arm, ~arm):
        followed = CensoringDistribution.fit(survival[side])
        if at > followed.support and not event[side & (duration == followed.support)].any():
            raise NotEstimableError(
                f"at must be at most the last observed time of each arm ({followed.support:g}); "
                f"got {at:g}. Choose an earlier limit."
            )
        known = side & (event | reached)
        weight[known] = 1.0 / followed.before(np.minimum(duration[known], at))
    return outcome.astype(np.float64), weight


def pseudo_outcomes(y: npt.ArrayLike, arm: Bools, at: float | None, measure: Measure) -> Floats:
    """One outcome a patient, with the right mean given what is known at baseline, within arm."""
    survival = _survival(y, len(arm), at)
    if survival is None:
        return check_response(y).astype(np.float64)
    assert at is not None
    found = np.empty(len(arm))
    for side in (arm, ~arm):
        found[side] = pseudo_observations(survival[side], at, measure)
    return found


def group_codes(groups: npt.ArrayLike | None, n: int) -> Ints:
    """Number of each patient's group; one group where none are given."""
    if groups is None:
        return np.zeros(n, dtype=np.intp)
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise OutcomeError(f"groups must have shape ({n},); got {labels.shape}.")
    return np.unique(labels, return_inverse=True)[1].reshape(-1)


def rising_groups(predicted: Floats, arm: Bools, n_groups: int) -> Ints:
    """Group of each patient by rising prediction, each with two patients of both arms."""
    for wanted in range(n_groups, 1, -1):
        edges = np.unique(np.quantile(predicted, np.arange(1, wanted) / wanted))
        code = np.unique(np.searchsorted(edges, predicted, side="left"), return_inverse=True)[1]
        if min(np.bincount(code[side], minlength=code.max() + 1).min() for side in (arm, ~arm)) > 1:
            return code
    return np.zeros(len(arm), dtype=np.intp)
