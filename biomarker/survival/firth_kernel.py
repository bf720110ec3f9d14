"""Compiled sweeps and climbs of Firth's penalised Cox likelihood."""

from __future__ import annotations

import numba as nb
import numpy as np

__all__ = ["climb", "climb_many"]

OK, NO_EVENTS, FLAT, UNSETTLED = 0, 1, 2, 4
_STEPS = 200
_LONGEST = 3.0  # of one step, in standard deviations of a column
_LEAST = -60.0  # log determinant of the information below which nothing is known


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _sweep(X, event, fresh, last, coef, efron, W, penalised, gradient, information, penalty):  # type: ignore[no-untyped-def]
    """Log-likelihood; fills gradient and information, or the penalty's gradient given W."""
    n, p = X.shape
    eta = np.zeros(n)
    for i in range(n):
        for j in range(p):
            eta[i] += X[i, j] * coef[j]
    shift = eta.max()
    S0, D0, Sq, Dq = 0.0, 0.0, 0.0, 0.0
    S1, D1, Sqx, Dqx = np.zeros(p), np.zeros(p), np.zeros(p), np.zeros(p)
    S2, D2, V = np.zeros((p, p)), np.zeros((p, p)), np.zeros((p, p))
    mean = np.zeros(p)
    value, died, height = 0.0, 0, 0.0
    for i in range(n):
        if fresh[i]:
            S0, Sq = 0.0, 0.0
            S1[:], Sqx[:], S2[:, :] = 0.0, 0.0, 0.0
        risk = np.exp(eta[i] - shift)
        q = 0.0
        if penalised:
            for j in range(p):
                for k in range(p):
                    q += X[i, j] * W[j, k] * X[i, k]
        S0 += risk
        Sq += risk * q
        for j in range(p):
            S1[j] += risk * X[i, j]
            Sqx[j] += risk * q * X[i, j]
            for k in range(p):
                S2[j, k] += risk * X[i, j] * X[i, k]
        if event[i]:
            died += 1
            height += eta[i] - shift
            D0 += risk
            Dq += risk * q
            for j in range(p):
                if not penalised:
                    gradient[j] += X[i, j]
                D1[j] += risk * X[i, j]
                Dqx[j] += risk * q * X[i, j]
                for k in range(p):
                    D2[j, k] += risk * X[i, j] * X[i, k]
        if not last[i] or died == 0:
            continue
        value += height
        for tied in range(died):
            part = tied / died if efron else 0.0
            total = S0 - part * D0
            value -= np.log(total)
            for j in range(p):
                mean[j] = (S1[j] - part * D1[j]) / total
            for j in range(p):
                for k in range(p):
                    V[j, k] = (S2[j, k] - part * D2[j, k]) / total - mean[j] * mean[k]
            if not penalised:
                for j in range(p):
                    gradient[j] -= mean[j]
                    for k in range(p):
                        information[j, k] += V[j, k]
                continue
            # Half the trace of W times the third central moment, contracted before it is formed.
            mean_q = (Sq - part * Dq) / total
            for j in range(p):
                found = (Sqx[j] - part * Dqx[j]) / total - mean[j] * mean_q
                for k in range(p):
                    along = 0.0
                    for m in range(p):
                        along += W[k, m] * mean[m]
                    found -= 2.0 * V[j, k] * along
                penalty[j] += 0.5 * found
        died, height, D0, Dq = 0, 0.0, 0.0, 0.0
        D1[:], Dqx[:], D2[:, :] = 0.0, 0.0, 0.0
    return value


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _state(X, event, fresh, last, coef, efron, gradient, information):  # type: ignore[no-untyped-def]
    """Penalised log-likelihood, its gradient and the information; minus infinity where flat."""
    p = len(coef)
    gradient[:], information[:, :] = 0.0, 0.0
    nothing = np.zeros((p, p))
    value = _sweep(X, event, fresh, last, coef, efron, nothing, False, gradient, information, coef)
    if not (np.isfinite(value) and np.isfinite(information).all()):
        return -np.inf
    sign, size = np.linalg.slogdet(information)
    if not sign > 0.0 or size < _LEAST:
        return -np.inf
    W = np.linalg.inv(information)
    penalty = np.zeros(p)
    _sweep(X, event, fresh, last, coef, efron, W, True, gradient, information, penalty)
    gradient += penalty
    return value + 0.5 * size


@nb.njit(cache=True, nogil=True, error_model="numpy")
def climb(X, event, fresh, last, start, free, efron):  # type: ignore[no-untyped-def]
    """Maximise over ``free`` coefficients; returns these, information, height and status.

    Rows stand by stratum, latest time first; ``fresh`` marks a stratum's first row, ``last`` the
    last row of each time.
    """
    p = X.shape[1]
    coef, gradient, information = start.copy(), np.zeros(p), np.zeros((p, p))
    if not event.any():
        return coef, information, np.nan, NO_EVENTS
    value = _state(X, event, fresh, last, coef, efron, gradient, information)
    if not np.isfinite(value):
        return coef, information, np.nan, FLAT
    m = len(free)
    slope, matrix = np.zeros(m), np.zeros((m, m))
    there, there_matrix = np.zeros(p), np.zeros((p, p))
    for _ in range(_STEPS):
        if m == 0:
            return coef, information, value, OK
        for a in range(m):
            slope[a] = gradient[free[a]]
            for b in range(m):
                matrix[a, b] = information[free[a], free[b]]
        step = np.linalg.solve(matrix, slope)
        longest = np.abs(step).max()
        if longest > _LONGEST:
            step *= _LONGEST / longest
        fraction, risen = 1.0, False
        for _ in range(30):
            trial = coef.copy()
            for a in range(m):
                trial[free[a]] += fraction * step[a]
            height = _state(X, event, fresh, last, trial, efron, there, there_matrix)
            along, beyond = 0.0, 0.0
            for a in range(m):
                along += slope[a] * step[a]
                beyond += there[free[a]] * step[a]
            # The penalty's curvature is left out of the step, which may then overshoot: where the
            # slope has turned, the secant says how far to go back.
            if beyond < -0.2 * along and fraction * longest > 1e-6:
                fraction *= along / (along - beyond)
                continue
            if height >= value - 1e-11 * (1.0 + abs(value)):
                risen = True
                break
            fraction *= 0.5
        if not risen:
            break
        coef, value = trial, height
        gradient[:], information[:, :] = there, there_matrix
        if longest < 1e-8:
            return coef, information, value, OK
    status = OK if np.abs(slope).max() < 1e-5 else UNSETTLED
    return coef, information, value, status


@nb.njit(cache=True, nogil=True, error_model="numpy")
def climb_many(X, order, event, fresh, last, start, n_null, efron, full, null, status):  # type: ignore[no-untyped-def]
    """Penalised heights of the full model and of the null within it, for many outcomes."""
    p = X.shape[1]
    everything, leading = np.arange(p), np.arange(n_null)
    for b in range(order.shape[0]):
        rows = X[order[b]]
        coef, _, null[b], first = climb(rows, event[b], fresh[b], last[b], start, leading, efron)
        begun = coef if first == OK else np.zeros(p)
        _, _, full[b], second = climb(rows, event[b], fresh[b], last[b], begun, everything, efron)
        status[b] = max(first, second)
