"""Would acting on the prediction help? Net benefit over decision thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.metrics.estimate import check_response
from biomarker.metrics.scoring_rules import check_probability
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.survival.censoring import ipcw_weights

__all__ = ["NetBenefit", "net_benefit", "survival_net_benefit"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NetBenefit:
    """Net benefit of treating those above a threshold, beside treating all and none (0).

    Attributes
    ----------
    thresholds, value, low, high, treat_all : ndarray, shape (n_thresholds,)
        In true positives per patient; higher is better; treating none is 0. The interval holds the
        predictions fixed.
    n_patients : int
    horizon : float or None
    """

    thresholds: Floats
    value: Floats
    low: Floats
    high: Floats
    treat_all: Floats
    n_patients: int
    horizon: float | None = None


def net_benefit(
    response: npt.ArrayLike,
    probability: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    alpha: float = 0.05,
) -> NetBenefit:
    """Net benefit of acting when the predicted probability reaches a threshold.

    NB(q) = TP / n - FP / n * q / (1 - q): the threshold q says how many false positives one true
    positive is worth.

    Parameters
    ----------
    response : array-like of bool or 0/1, shape (n_patients,)
    probability : array-like, shape (n_patients,)
        Predicted P(response).
    thresholds : array-like, shape (n_thresholds,)
        Strictly between 0 and 1.
    alpha : float

    Returns
    -------
    NetBenefit

    References
    ----------
    Vickers and Elkin (2006), Medical Decision Making 26.

    Examples
    --------
    >>> net_benefit([0, 1, 0, 1], [0.1, 0.9, 0.6, 0.4], [0.5]).value.tolist()
    [0.0]
    """
    outcome = check_response(response)
    predicted = check_probability("probability", probability, (len(outcome),))
    ones = np.ones(len(outcome))
    return _net_benefit(outcome.astype(np.float64), ones, predicted, thresholds, alpha, None)


def survival_net_benefit(
    y_train: SurvivalOutcome,
    y: SurvivalOutcome,
    survival: npt.ArrayLike,
    horizon: float,
    thresholds: npt.ArrayLike,
    alpha: float = 0.05,
) -> NetBenefit:
    """Net benefit of acting when the predicted risk of an event by the horizon reaches a threshold.

    As :func:`net_benefit`, with true and false positives counted by censoring weights. Assumes
    censoring independent of event time and covariates. The interval takes the weights as known,
    which makes it slightly wide.

    Parameters
    ----------
    y_train : structured array, shape (n_train,)
        Where the censoring distribution is learned.
    y : structured array, shape (n_patients,)
    survival : array-like, shape (n_patients,)
        Predicted P(T > horizon); the risk is its complement.
    horizon : float
    thresholds : array-like, shape (n_thresholds,)
        Risks, strictly between 0 and 1.
    alpha : float

    Returns
    -------
    NetBenefit

    Raises
    ------
    NotEstimableError
        If the horizon lies beyond the follow-up of ``y_train``.

    References
    ----------
    Vickers, Cronin, Elkin and Gonen (2008), BMC Medical Informatics and Decision Making 8:53.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    >>> survival_net_benefit(y, y, [0.1, 0.4, 0.8, 0.9], 2.5, [0.5]).value.tolist()
    [0.5]
    """
    y = check_survival_outcome(y)
    predicted = check_probability("survival", survival, (len(y),))
    weight = ipcw_weights(y_train, y, horizon)
    status = (y["event"] & (y["duration"] <= horizon)).astype(np.float64)
    return _net_benefit(status, weight, 1.0 - predicted, thresholds, alpha, float(horizon))


def _net_benefit(
    status: Floats,
    weight: Floats,
    risk: Floats,
    thresholds: npt.ArrayLike,
    alpha: float,
    horizon: float | None,
) -> NetBenefit:
    """Weighted net benefit, its interval, and that of treating all."""
    from scipy.special import ndtri

    levels = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if not np.all((levels > 0.0) & (levels < 1.0)):
        raise ValueError("thresholds must lie strictly between 0 and 1; got some outside.")
    odds = levels / (1.0 - levels)
    gain = weight[:, None] * (status[:, None] - (1.0 - status[:, None]) * odds)
    acted = gain * (risk[:, None] >= levels)
    value = acted.mean(axis=0)
    n = len(status)
    error = acted.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(levels))
    half = float(ndtri(1.0 - alpha / 2.0)) * error
    return NetBenefit(levels, value, value - half, value + half, gain.mean(axis=0), n, horizon)
