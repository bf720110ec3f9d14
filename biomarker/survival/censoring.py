"""How long patients could have been followed: censoring weights and the times they support."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome

__all__ = [
    "CensoringDistribution",
    "TimeGrid",
    "censoring_influence",
    "default_tau",
    "ipcw_weights",
    "safe_time_grid",
    "supported_survival",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CensoringDistribution:
    """Chance of still being under follow-up, by reverse Kaplan-Meier.

    G(t) = P(C > t), from the product over censoring times u <= t of 1 - c(u) / (n(u) - d(u)):
    events at u leave the risk set before censorings at u, because a patient with the event at u
    could no longer be censored there. Two values matter, and they differ at a censoring time:

    - ``at(t)``: G(t) = P(C > t), the chance to be seen beyond t;
    - ``before(t)``: G(t-) = P(C >= t), the chance that an event at t is seen.

    Assumes censoring independent of the event time and of covariates.

    Attributes
    ----------
    times, survival : ndarray, shape (n_times,)
        Distinct observed times and G just after each.
    n_patients : int

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> G = CensoringDistribution.fit(survival_outcome([1, 0, 1, 0], [1.0, 2.0, 3.0, 4.0]))
    >>> G.before([2.0]).tolist(), G.at([2.0]).round(4).tolist()
    ([1.0], [0.6667])
    """

    times: Floats
    survival: Floats
    n_patients: int

    @classmethod
    def fit(cls, y: SurvivalOutcome) -> CensoringDistribution:
        """Learn G from the censored patients of ``y``."""
        from biomarker.survival.curves import reverse_kaplan_meier

        curve = reverse_kaplan_meier(y)
        return cls(curve.times, curve.survival, curve.n_patients)

    @property
    def support(self) -> float:
        """Largest observed time: beyond it nothing is known of the follow-up."""
        return float(self.times[-1])

    def at(self, times: npt.ArrayLike) -> Floats:
        """G(t) = P(C > t)."""
        return self._step(times, "right")

    def before(self, times: npt.ArrayLike) -> Floats:
        """G(t-) = P(C >= t)."""
        return self._step(times, "left")

    def _step(self, times: npt.ArrayLike, side: str) -> Floats:
        wanted = np.asarray(times, dtype=np.float64)
        beyond = int(np.count_nonzero(wanted > self.support))
        if beyond:
            raise NotEstimableError(
                f"times must be at most the largest follow-up ({self.support:g}); got {beyond} "
                "beyond it. Choose an earlier time."
            )
        steps = np.concatenate([[1.0], self.survival])
        position = np.searchsorted(self.times, wanted, side=side)  # type: ignore[call-overload]
        return np.asarray(steps[position], dtype=np.float64)


def ipcw_weights(
    y_train: SurvivalOutcome | CensoringDistribution, y: SurvivalOutcome, horizon: float
) -> Floats:
    """Weights that let the patients with known status at a horizon speak for all.

    1 / G(T-) for an event at T <= horizon, 1 / G(horizon) for a patient seen beyond the horizon
    (T > horizon), 0 for one censored at or before it. Their mean has expectation 1 when censoring
    is independent of outcome and covariates; without that the weighted status is biased.

    Parameters
    ----------
    y_train : structured array, shape (n_train,), or CensoringDistribution
        Where the censoring distribution is learned.
    y : structured array, shape (n_patients,)
        The patients to weight.
    horizon : float
        In the unit of the durations.

    Returns
    -------
    ndarray, shape (n_patients,)
        At least 0.

    Raises
    ------
    NotEstimableError
        If nobody of ``y_train`` was followed beyond the horizon, so that G there is 0 or unknown.

    References
    ----------
    Graf et al. (1999), Statistics in Medicine 18.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1, 0, 1, 0], [1.0, 2.0, 3.0, 4.0])
    >>> ipcw_weights(y, y, horizon=2.5).round(6).tolist()
    [1.0, 0.0, 1.5, 1.5]
    """
    y = check_survival_outcome(y)
    followed = (
        y_train
        if isinstance(y_train, CensoringDistribution)
        else CensoringDistribution.fit(y_train)
    )
    beyond = supported_survival(followed, horizon)
    duration = y["duration"]
    weights = np.zeros(len(y))
    happened = y["event"] & (duration <= horizon)
    weights[happened] = 1.0 / followed.before(duration[happened])
    weights[duration > horizon] = 1.0 / beyond
    return weights


def supported_survival(followed: CensoringDistribution, horizon: float) -> float:
    """G(horizon), refused where it is 0 or unknown."""
    if not (np.isfinite(horizon) and 0.0 < horizon < followed.support):
        raise NotEstimableError(
            f"horizon must lie above 0 and below the largest follow-up ({followed.support:g}); "
            f"got {horizon:g}. Choose an earlier horizon."
        )
    value = float(followed.at(horizon))
    if value <= 0.0:
        raise NotEstimableError(
            f"horizon must leave some patient under follow-up; got {horizon:g}, where none is. "
            "Choose an earlier horizon."
        )
    return value


def censoring_influence(
    y_train: SurvivalOutcome, times: npt.ArrayLike, mass: npt.ArrayLike
) -> Floats:
    """What each patient's follow-up adds to a weighted mean through the estimated G.

    For an estimate sum of m_i / G(t_i-) the error of log G spreads over the training patients as
    the martingale integral of Q(u) dM(u) / pi(u), with Q(u) the mass at t_i > u and pi(u) the share
    at risk of censoring. Leaving it out makes intervals too wide, since weighting by an estimated
    G is more precise than by the true one.

    Parameters
    ----------
    y_train : structured array, shape (n_train,)
        Patients that G was learned from.
    times, mass : array-like, shape (n_terms,)
        t_i and the estimate's term there, m_i / G(t_i-).

    Returns
    -------
    ndarray, shape (n_train,)
        Influence values: the estimate moves by their mean.
    """
    y = check_survival_outcome(y_train)
    n = len(y)
    grid, position = np.unique(y["duration"], return_inverse=True)
    events = np.bincount(position, weights=y["event"], minlength=len(grid))
    leaving = np.bincount(position, minlength=len(grid)).astype(np.float64)
    at_risk = np.cumsum(leaving[::-1])[::-1] - events
    censored = leaving - events
    moment, weight = np.asarray(times, dtype=np.float64), np.asarray(mass, dtype=np.float64)
    order = np.argsort(moment)
    tail = np.concatenate([np.cumsum(weight[order][::-1])[::-1], [0.0]])
    later = tail[np.searchsorted(moment[order], grid, side="right")]
    # The exact derivative of the product-limit estimate divides by those who stay; where nobody
    # does, nothing lies later and the term is 0.
    staying = at_risk - censored
    jump = np.where((censored > 0) & (staying > 0), later / np.maximum(staying, 1.0), 0.0)
    drift = np.cumsum(jump * censored / np.maximum(at_risk, 1.0))
    before = np.concatenate([[0.0], drift])[position]
    event = y["event"]
    return n * np.where(event, -before, jump[position] - drift[position])


@dataclass(frozen=True)
class TimeGrid:
    """The times at which curves are compared, and why they end where they do.

    Attributes
    ----------
    times : ndarray, shape (n_times,)
        Evenly spaced from ``lower`` to ``upper``.
    lower, upper : float
        First and last time; ``upper`` also serves as the default tau.
    n_at_risk_upper : int
        Patients with T >= ``upper``.
    reason : str
        What limits the grid, in words for a report.
    """

    times: Floats
    lower: float
    upper: float
    n_at_risk_upper: int
    reason: str


def safe_time_grid(y: SurvivalOutcome, n_times: int = 25, minimum_share: float = 0.10) -> TimeGrid:
    """Choose once the times over which survival can be judged in these data.

    The last time is the smallest of: the last event, the last time at which at least
    ``minimum_share`` of all patients are at risk (T >= t), and just inside the follow-up at which
    the censoring distribution is still above zero. The first is the 5% quantile of event times.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
        All patients, before any split, so that every fold is judged on the same grid.
    n_times : int
        Number of times, at least 2.
    minimum_share : float
        Share of patients that must still be at risk at the last time.

    Returns
    -------
    TimeGrid

    Raises
    ------
    NotEstimableError
        If there is no event, or the events leave no interval to span.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1] * 10, range(1, 11))
    >>> grid = safe_time_grid(y, n_times=3, minimum_share=0.3)
    >>> grid.times.round(3).tolist(), grid.n_at_risk_upper
    ([1.45, 4.725, 8.0], 3)
    """
    y = check_survival_outcome(y)
    if n_times < 2:
        raise ValueError(f"n_times must be at least 2; got {n_times}.")
    if not 0.0 < minimum_share < 1.0:
        raise ValueError(f"minimum_share must lie between 0 and 1; got {minimum_share}.")
    event_times = np.sort(y["duration"][y["event"]])
    if not event_times.size:
        raise NotEstimableError("y must hold at least one event; got none.")
    upper, reason = _upper_limit(y, float(event_times[-1]), minimum_share)
    lower = float(np.quantile(event_times, 0.05))
    if not lower < upper:
        lower = float(event_times[0])
    if not lower < upper:
        raise NotEstimableError(
            f"events must span an interval while {minimum_share:.0%} are at risk; got "
            f"{len(event_times)} event(s), the first at the limit. More follow-up is needed."
        )
    at_risk = int(np.count_nonzero(y["duration"] >= upper))
    return TimeGrid(np.linspace(lower, upper, n_times), lower, upper, at_risk, reason)


def _upper_limit(y: SurvivalOutcome, last_event: float, share: float) -> tuple[float, str]:
    """The last safe time and the rule that set it."""
    duration = np.sort(y["duration"])
    needed = int(np.ceil(share * len(duration) - 1e-9))
    last_populated = float(duration[len(duration) - needed])
    if last_event <= last_populated:
        upper, reason = last_event, "the last event"
    else:
        upper, reason = last_populated, f"at least {share:.0%} of patients at risk"
    followed = CensoringDistribution.fit(y)
    if upper >= followed.support or followed.at(upper) <= 0.0:
        # Just inside: the last earlier observed time at which some patient is still followed.
        alive = followed.times[(followed.times < upper) & (followed.survival > 0.0)]
        if not alive.size:
            raise NotEstimableError(
                "y must hold follow-up beyond its first observed time; got none. "
                "All patients were censored or had the event together."
            )
        upper, reason = float(alive[-1]), "the end of follow-up"
    return upper, reason


def default_tau(y: SurvivalOutcome, minimum_share: float = 0.10) -> float:
    """Last time up to which concordance is judged: the upper end of the safe grid.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
    minimum_share : float
        Share of patients that must still be at risk.

    Returns
    -------
    float
        In the unit of the durations.

    Raises
    ------
    NotEstimableError
        If there is no event.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> default_tau(survival_outcome([1] * 10, range(1, 11)), minimum_share=0.3)
    8.0
    """
    return safe_time_grid(y, n_times=2, minimum_share=minimum_share).upper
