"""Each patient's contribution to survival at a time or to a restricted mean."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.outcomes import SurvivalOutcome

__all__ = ["Measure", "pseudo_observations"]

Floats = npt.NDArray[np.float64]
Measure = Literal["restricted_mean", "survival"]


def pseudo_observations(y: SurvivalOutcome, at: float, measure: Measure) -> Floats:
    r"""Each patient's contribution to a Kaplan-Meier functional: n F - (n - 1) F without them.

    Their mean is (up to rounding, without censoring exactly) the functional, and their regression
    on covariates estimates how its expectation depends on these. Assumes censoring independent of
    the outcome and of the covariates, within the group given.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
    at : float
        Limit of the restricted mean, or horizon of survival.
    measure : {"restricted_mean", "survival"}

    Returns
    -------
    ndarray, shape (n_patients,)
        min(T, at), or 1{T > at}, where nobody is censored before ``at``.

    Raises
    ------
    NotEstimableError
        If follow-up ends before ``at`` with patients still event-free.

    Notes
    -----
    Leaving a patient out changes the factors of the curve only while they are at risk, so cost is
    n log n.

    References
    ----------
    Andersen, Klein and Rosthøj (2003), Biometrika 90:15.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1, 1, 1], [1.0, 2.0, 5.0])
    >>> pseudo_observations(y, 4.0, "restricted_mean").round(6).tolist()
    [1.0, 2.0, 4.0]
    """
    duration, event = y["duration"], y["event"]
    n = len(y)
    if n < 2:
        raise NotEstimableError(f"y must hold at least two patients; got {n}.")
    longest = float(duration.max())
    if at > longest and not bool(event[duration == longest].any()):
        raise NotEstimableError(
            f"at must be at most the last observed time ({longest:g}); got {at:g}."
        )
    times = np.unique(duration[event & (duration <= at)])
    ordered = np.sort(duration)
    at_risk = n - np.searchsorted(ordered, times, side="left")
    deaths = np.searchsorted(np.sort(duration[event]), times, side="right") - np.searchsorted(
        np.sort(duration[event]), times, side="left"
    )
    kept, one_fewer, without_it = _factors(at_risk.astype(np.float64), deaths.astype(np.float64))
    widths = np.diff(np.concatenate([[0.0], times, [at]]))
    # rest[j]: the functional from the j-th event time on, of a curve that stands at 1 there.
    rest = np.empty(len(times) + 1)
    rest[-1] = 1.0 if measure == "survival" else widths[-1]
    for j in range(len(times) - 1, -1, -1):
        first = 0.0 if measure == "survival" else widths[j]
        rest[j] = first + kept[j] * rest[j + 1]
    # The curve without a patient who is at risk throughout, and the area under it so far.
    curve = np.concatenate([[1.0], np.cumprod(one_fewer)])
    area = np.zeros(len(times) + 1)
    if measure == "restricted_mean":
        area[1:] = np.cumsum(curve[:-1] * widths[:-1])
    seen = np.searchsorted(times, duration, side="right")
    height = curve[seen]
    dying = event & (duration <= at)
    height[dying] = curve[seen[dying] - 1] * without_it[seen[dying] - 1]
    without = area[seen] + height * rest[seen]
    pseudo: Floats = n * rest[0] - (n - 1) * without
    return pseudo


def _factors(at_risk: Floats, deaths: Floats) -> tuple[Floats, Floats, Floats]:
    """Factors of the curve at each event time: of all; without a survivor; without a death."""
    fewer = at_risk - 1.0
    # Where the patient left out was the only one at risk, the curve stays as it was.
    alone = fewer == 0.0
    divisor = np.where(alone, 1.0, fewer)
    one_fewer = np.where(alone, 1.0, 1.0 - deaths / divisor)
    without_it = np.where(alone, 1.0, 1.0 - (deaths - 1.0) / divisor)
    return 1.0 - deaths / at_risk, one_fewer, without_it
