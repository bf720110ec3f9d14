"""Compiled climbs of the plain and of Firth's logistic likelihood, one replicate after another."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["climb_many"]

_HALVINGS = 30


@njit(cache=True, nogil=True, error_model="numpy")
def _state(X, y, shift, w, coef, slope, information, spread):  # type: ignore[no-untyped-def]
    """Log-likelihood; fills slope, information and each row's variance."""
    n, p = X.shape
    slope[:] = 0.0
    information[:, :] = 0.0
    value = 0.0
    for i in range(n):
        eta = shift[i]
        for j in range(p):
            eta += X[i, j] * coef[j]
        small = np.exp(-abs(eta))
        chance = 1.0 / (1.0 + small) if eta >= 0.0 else small / (1.0 + small)
        value += w[i] * ((eta if y[i] else 0.0) - max(eta, 0.0) - np.log1p(small))
        gap = w[i] * ((1.0 if y[i] else 0.0) - chance)
        weight = w[i] * small / ((1.0 + small) * (1.0 + small))
        spread[i] = weight
        for j in range(p):
            slope[j] += gap * X[i, j]
            a = weight * X[i, j]
            for k in range(j, p):
                information[j, k] += a * X[i, k]
    for j in range(p):
        for k in range(j):
            information[j, k] = information[k, j]
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _penalised(  # type: ignore[no-untyped-def]
    X, shift, coef, value, slope, information, spread, bend
):
    """Add Firth's penalty to value and slope; minus infinity where no information is left.

    ``bend`` becomes the information of patients who count for one and their leverage, as if the
    penalty were so many more of them: where there is a column for each group it is the penalised
    slope's own derivative, and without it a step into a group of one patient is twice too long.
    """
    n, p = X.shape
    if not (np.isfinite(value) and np.isfinite(information).all()):
        return -np.inf
    sign, size = np.linalg.slogdet(information)
    if not sign > 0.0 or not size > -200.0:
        return -np.inf
    inverse = np.linalg.inv(information)
    bend[:, :] = information
    for i in range(n):
        eta = shift[i]
        leverage = 0.0
        for j in range(p):
            eta += X[i, j] * coef[j]
            along = 0.0
            for k in range(p):
                along += inverse[j, k] * X[i, k]
            leverage += along * X[i, j]
        more = leverage * spread[i]
        half = -0.5 * np.tanh(0.5 * eta) * more
        for j in range(p):
            slope[j] += half * X[i, j]
            for k in range(p):
                bend[j, k] += more * spread[i] * X[i, j] * X[i, k]
    return value + 0.5 * size


@njit(cache=True, nogil=True, error_model="numpy")
def climb_many(  # type: ignore[no-untyped-def]
    X, Y, shift, w, free, firth, steps, longest_step, settled_at, coef, height, information, settled
):
    """Newton steps over ``free``, halved until the likelihood rises; ``coef`` holds the starts."""
    n, p = X.shape
    m = len(free)
    slope, there_slope = np.zeros(p), np.zeros(p)
    matrix, there_matrix = np.zeros((p, p)), np.zeros((p, p))
    bend, there_bend = np.zeros((p, p)), np.zeros((p, p))
    curvature = bend if firth else matrix
    part, spread, moved = np.zeros((m, m)), np.zeros(n), np.zeros(m)
    trial = np.zeros(p)
    for b in range(Y.shape[0]):
        y = Y[b]
        value = _state(X, y, shift, w, coef[b], slope, matrix, spread)
        if firth:
            value = _penalised(X, shift, coef[b], value, slope, matrix, spread, bend)
        settled[b] = m == 0 and np.isfinite(value)
        for _ in range(steps):
            if m == 0 or not np.isfinite(value):
                break
            trace = 0.0
            for a in range(m):
                trace += curvature[free[a], free[a]]
                moved[a] = slope[free[a]]
                for c in range(m):
                    part[a, c] = curvature[free[a], free[c]]
            # Where information has all but vanished a step means nothing: it is kept short.
            for a in range(m):
                part[a, a] += 1e-10 if not firth else 1e-12 * trace + 1e-14
            step = np.linalg.solve(part, moved)
            length = np.abs(step).max()
            if length > longest_step:
                step *= longest_step / length
            along = 0.0
            for a in range(m):
                along += slope[free[a]] * step[a]
            fraction = 1.0
            for _ in range(_HALVINGS):
                trial[:] = coef[b]
                for a in range(m):
                    trial[free[a]] += fraction * step[a]
                there = _state(X, y, shift, w, trial, there_slope, there_matrix, spread)
                if firth:
                    there = _penalised(
                        X, shift, trial, there, there_slope, there_matrix, spread, there_bend
                    )
                    beyond = 0.0
                    for a in range(m):
                        beyond += there_slope[free[a]] * step[a]
                    # The step knows the penalty's curvature in part: where the slope has turned,
                    # the secant says how far to go back.
                    if beyond < -0.2 * along and fraction * length > 1e-6:
                        fraction *= along / (along - beyond)
                        continue
                if there >= value - 1e-12 * (1.0 + abs(value)):
                    break
                fraction *= 0.5
            coef[b], value = trial, there
            slope[:], matrix[:, :] = there_slope, there_matrix
            bend[:, :] = there_bend
            if length < settled_at:
                settled[b] = True
                break
        height[b] = value
        information[b] = matrix
