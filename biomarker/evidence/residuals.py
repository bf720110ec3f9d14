"""Residuals of a Cox fit: who moves it, and whether hazards stay proportional."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from biomarker.outcomes import SurvivalOutcome

__all__ = ["proportionality_p", "score_residuals"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _risk_means(X: Floats, y: SurvivalOutcome, coef: Floats) -> tuple[Floats, Floats, Floats]:
    """Death times of one stratum, covariate means of their risk sets, and hazard jumps."""
    eta = X @ coef
    risk = np.exp(eta - eta.max())
    order = np.argsort(-y["duration"], kind="stable")
    times, deaths = np.unique(y["duration"][y["event"]], return_counts=True)
    upto = np.searchsorted(-y["duration"][order], -times, side="right") - 1
    total = np.cumsum(risk[order])[upto]
    mean = np.cumsum(risk[order, None] * X[order], axis=0)[upto] / total[:, None]
    return times, mean, deaths / total


def score_residuals(
    X: Floats, y: SurvivalOutcome, coef: Floats, strata: Ints | None = None
) -> Floats:
    r"""Each patient's share of the score: what leaving it in adds to the gradient.

    .. math:: s_i = \delta_i (x_i - \bar x(t_i)) - \sum_{u \le t_i} (x_i - \bar x(u)) r_i dH(u)

    with Breslow's hazard H and risk-set means. Times the covariance this is the first-order change
    of the coefficients when patient i is taken out, with the sign turned.

    Parameters
    ----------
    X : ndarray, shape (n_patients, n_features)
    y : structured array, shape (n_patients,)
    coef : ndarray, shape (n_features,)
    strata : ndarray of int, shape (n_patients,), optional

    Returns
    -------
    ndarray, shape (n_patients, n_features)

    References
    ----------
    Therneau, Grambsch and Fleming (1990), Biometrika 77:147.
    """
    out = np.zeros_like(X)
    codes = np.zeros(len(y), dtype=np.int64) if strata is None else strata
    for code in np.unique(codes):
        here = np.flatnonzero(codes == code)
        if not y["event"][here].any():
            continue
        part, table = y[here], X[here]
        times, mean, jump = _risk_means(table, part, coef)
        eta = table @ coef
        risk = np.exp(eta - eta.max())
        at = np.searchsorted(times, part["duration"], side="right")
        hazard = np.append(0.0, np.cumsum(jump))[at]
        drift = np.vstack([np.zeros(X.shape[1]), np.cumsum(mean * jump[:, None], axis=0)])[at]
        out[here] = -risk[:, None] * (table * hazard[:, None] - drift)
        died = part["event"]
        own = np.searchsorted(times, part["duration"][died])
        out[here[died]] += table[died] - mean[own]
    return out


def proportionality_p(
    X: Floats,
    y: SurvivalOutcome,
    coef: Floats,
    covariance: Floats,
    columns: Sequence[int],
    strata: Ints | None = None,
) -> float:
    r"""P-value of the test that these columns' log hazard ratios do not drift with time.

    Scaled Schoenfeld residuals against the rank of event times: with
    :math:`u = d V \sum_k (g_k - \bar g) s_k`, the statistic
    :math:`u_J' [d V_{JJ} \sum_k (g_k - \bar g)^2]^{-1} u_J` is chi squared with \|J\| degrees of
    freedom where hazards are proportional.

    Parameters
    ----------
    X, y, coef, strata
        As in :func:`score_residuals`.
    covariance : ndarray, shape (n_features, n_features)
    columns : sequence of int
        Columns tested together.

    Returns
    -------
    float
        In [0, 1]; small = the ratio changes over time. NaN with fewer than three deaths.

    References
    ----------
    Grambsch and Therneau (1994), Biometrika 81:515.
    """
    from scipy.special import chdtrc
    from scipy.stats import rankdata

    codes = np.zeros(len(y), dtype=np.int64) if strata is None else strata
    residuals, times = [], []
    for code in np.unique(codes):
        here = np.flatnonzero(codes == code)
        died = y["event"][here]
        if not died.any():
            continue
        at, mean, _ = _risk_means(X[here], y[here], coef)
        when = y["duration"][here][died]
        residuals.append(X[here][died] - mean[np.searchsorted(at, when)])
        times.append(when)
    when = np.concatenate(times) if times else np.empty(0)
    if len(when) < 3:
        return float("nan")
    g = rankdata(when)
    g -= g.mean()
    if not np.any(g):
        return float("nan")
    drift = len(when) * covariance @ (g @ np.concatenate(residuals))
    pick = list(columns)
    spread = len(when) * covariance[np.ix_(pick, pick)] * float(g @ g)
    statistic = float(drift[pick] @ np.linalg.solve(spread, drift[pick]))
    return float(chdtrc(len(pick), statistic))
