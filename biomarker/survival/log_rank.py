"""The log-rank test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError, OutcomeError
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome

__all__ = ["LogRank", "log_rank"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LogRank:
    """The log-rank test that all groups share one hazard."""

    statistic: float
    degrees_of_freedom: int
    p_value: float
    observed: Floats
    expected: Floats
    n_patients: int

    @property
    def df(self) -> int:
        """Degrees of freedom under their usual short name."""
        return self.degrees_of_freedom


def log_rank(
    y: SurvivalOutcome, group: npt.ArrayLike, strata: npt.ArrayLike | None = None
) -> LogRank:
    """Test whether groups share one hazard, by the log-rank statistic.

    Sums observed minus expected events per group over event times, with the hypergeometric
    variance; under equal hazards the quadratic form is chi-squared with one degree of freedom
    fewer than there are groups. Most sensitive to proportional hazards; crossing ones may cancel.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
    group : array-like, shape (n_patients,)
        Two or more labels.
    strata : array-like, shape (n_patients,), optional
        Patients are compared within strata only.

    Returns
    -------
    LogRank
        Statistic, degrees of freedom, p-value, and observed and expected events per sorted label.

    Raises
    ------
    NotEstimableError
        If there are fewer than two groups, or no event.

    References
    ----------
    Mantel (1966), Cancer Chemotherapy Reports 50.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1, 1, 1, 1], [1.0, 2.0, 3.0, 4.0])
    >>> round(log_rank(y, ["a", "a", "b", "b"]).statistic, 6)
    2.882353
    """
    from scipy.special import chdtrc

    y = check_survival_outcome(y)
    labels, code = np.unique(np.asarray(group), return_inverse=True)
    if code.shape != (len(y),):
        raise OutcomeError(f"group must hold {len(y)} labels; got shape {np.shape(group)}.")
    if len(labels) < 2:
        raise NotEstimableError(f"group must hold at least two labels; got {len(labels)}.")
    if not y["event"].any():
        raise NotEstimableError("y must hold at least one event; got none.")
    layers = np.zeros(len(y)) if strata is None else np.asarray(strata)
    difference, variance = np.zeros(len(labels)), np.zeros((len(labels), len(labels)))
    expected = np.zeros(len(labels))
    for layer in np.unique(layers):
        inside = layers == layer
        gap, mean, spread = _log_rank_sums(y[inside], code[inside], len(labels))
        difference += gap
        expected += mean
        variance += spread
    # The differences sum to zero, so one group is redundant.
    solved = np.linalg.lstsq(variance[:-1, :-1], difference[:-1], rcond=None)[0]
    statistic = float(difference[:-1] @ solved)
    df = len(labels) - 1
    return LogRank(
        statistic, df, float(chdtrc(df, statistic)), difference + expected, expected, len(y)
    )


def _log_rank_sums(
    y: SurvivalOutcome, code: npt.NDArray[np.intp], n_groups: int
) -> tuple[Floats, Floats, Floats]:
    """Observed minus expected, expected, and hypergeometric variance within one stratum."""
    times, position = np.unique(y["duration"], return_inverse=True)
    cell = position * n_groups + code
    shape = (len(times), n_groups)
    size = len(times) * n_groups
    leaving = np.bincount(cell, minlength=size).reshape(shape)
    events = np.bincount(cell, weights=y["event"], minlength=size).reshape(shape)
    at_risk = np.cumsum(leaving[::-1], axis=0)[::-1].astype(np.float64)
    d, n = events.sum(axis=1), at_risk.sum(axis=1)
    share = at_risk / n[:, None]
    expected = (d[:, None] * share).sum(axis=0)
    scale = np.where(n > 1, d * (n - d) / np.maximum(n - 1, 1), 0.0)
    variance = np.diag((scale[:, None] * share).sum(axis=0)) - (share * scale[:, None]).T @ share
    return events.sum(axis=0) - expected, expected, variance
