"""Compiled products over a cohort's columns: linear predictor, gradient, information.

Columns are stored one after the other (shape (n_features, n_patients)), so that every inner loop
runs along patients, and are visited in blocks that stay in cache. One thread, a fixed order of
sums: the same numbers on every machine load. The only fast-math freedoms used are those to
reorder and to fuse sums; NaN and infinity keep their meaning.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = [
    "add_squares",
    "centre_and_scale",
    "gradient",
    "linear_predictor",
    "sorted_columns",
    "subtract_mean_squares",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_SUMS = {"reassoc", "contract", "nsz"}
_BLOCK = 256
_DEATHS = 128


@njit(cache=True, nogil=True, error_model="numpy")
def centre_and_scale(X: Floats, weight: Floats, centre: Floats, scale: Floats) -> None:
    """Fill each column's weighted mean and standard deviation; a constant column keeps scale 1."""
    n, p = X.shape
    low = X[0].copy()
    high = X[0].copy()
    weighted = len(weight) > 0
    total = 0.0
    centre[:] = 0.0
    scale[:] = 0.0
    for i in range(n):
        w = weight[i] if weighted else 1.0
        total += w
        for j in range(p):
            x = X[i, j]
            centre[j] += w * (x - X[0, j])
            low[j] = min(low[j], x)
            high[j] = max(high[j], x)
    for j in range(p):
        centre[j] = X[0, j] + centre[j] / total
    for i in range(n):
        w = weight[i] if weighted else 1.0
        for j in range(p):
            x = X[i, j] - centre[j]
            scale[j] += w * (x * x)
    for j in range(p):
        scale[j] = np.sqrt(scale[j] / total)
        if low[j] == high[j] or not scale[j] > 0.0:
            scale[j] = 1.0
            centre[j] = X[0, j] if low[j] == high[j] else centre[j]


@njit(cache=True, nogil=True, error_model="numpy")
def sorted_columns(order: Ints, X: Floats, centre: Floats, scale: Floats, out: Floats) -> None:
    """Write the centred and scaled columns of ``X`` in sorted order."""
    p, n = out.shape
    for start in range(0, n, 64):
        stop = min(start + 64, n)
        for j in range(p):
            for i in range(start, stop):
                out[j, i] = (X[order[i], j] - centre[j]) / scale[j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_SUMS)
def linear_predictor(
    columns: Floats, coef: Floats, dead_weight: Floats, out: Floats
) -> tuple[float, float, float]:
    """Fill x'b; return its least and greatest value and its sum over deaths."""
    p, n = columns.shape
    low = np.inf
    high = -np.inf
    gains = 0.0
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        block = out[start:stop]
        block[:] = 0.0
        for j in range(p):
            b = coef[j]
            column = columns[j, start:stop]
            for i in range(stop - start):
                block[i] += b * column[i]
        dead = dead_weight[start:stop]
        for i in range(stop - start):
            gains += dead[i] * block[i]
            low = min(low, block[i])
            high = max(high, block[i])
    return low, high, gains


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_SUMS)
def gradient(
    columns: Floats,
    dead_weight: Floats,
    risk: Floats,
    hazard: Floats,
    expected: Floats,
    out: Floats,
) -> None:
    """Fill expected events (risk times hazard) and the sum of residual times covariate."""
    p, n = columns.shape
    residual = np.empty(_BLOCK)
    out[:] = 0.0
    for start in range(0, n, _BLOCK):
        size = min(_BLOCK, n - start)
        for i in range(size):
            e = risk[start + i] * hazard[start + i]
            expected[start + i] = e
            residual[i] = dead_weight[start + i] - e
        for j in range(p):
            column = columns[j, start : start + size]
            total = 0.0
            for i in range(size):
                total += residual[i] * column[i]
            out[j] += total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_SUMS)
def _add_products(A: Floats, B: Floats, start: int, size: int, sign: float, out: Floats) -> None:
    """Add sign A B' to the upper triangle of ``out``, over ``size`` patients (B's from start)."""
    p = A.shape[0]
    for j in range(p):
        a = A[j, :size]  # slices of one row are contiguous, hence vectorised
        k = j
        while k + 4 <= p:
            b0 = B[k, start : start + size]
            b1 = B[k + 1, start : start + size]
            b2 = B[k + 2, start : start + size]
            b3 = B[k + 3, start : start + size]
            t0 = 0.0
            t1 = 0.0
            t2 = 0.0
            t3 = 0.0
            for i in range(size):
                t0 += a[i] * b0[i]
                t1 += a[i] * b1[i]
                t2 += a[i] * b2[i]
                t3 += a[i] * b3[i]
            out[j, k] += sign * t0
            out[j, k + 1] += sign * t1
            out[j, k + 2] += sign * t2
            out[j, k + 3] += sign * t3
            k += 4
        while k < p:
            b = B[k, start : start + size]
            t = 0.0
            for i in range(size):
                t += a[i] * b[i]
            out[j, k] += sign * t
            k += 1


@njit(cache=True, nogil=True, error_model="numpy")
def add_squares(columns: Floats, expected: Floats, out: Floats) -> None:
    """Add the sum of expected events times x x' to the upper triangle of ``out``."""
    p, n = columns.shape
    scaled = np.empty((p, _BLOCK))
    for start in range(0, n, _BLOCK):
        size = min(_BLOCK, n - start)
        for j in range(p):
            for i in range(size):
                scaled[j, i] = expected[start + i] * columns[j, start + i]
        _add_products(scaled, columns, start, size, 1.0, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _risk_sums(
    columns: Floats,
    risk: Floats,
    begin: Ints,
    end: Ints,
    first: Flags,
    low: int,
    high: int,
    carried: Floats,
    sums: Floats,
) -> None:
    """Fill the risk sets' sums of risk times covariate at death times low:high.

    Four columns go together: a running sum waits on its last addition, and four need not wait on
    each other.
    """
    p = columns.shape[0]
    j = 0
    while j + 4 <= p:
        c0 = columns[j]
        c1 = columns[j + 1]
        c2 = columns[j + 2]
        c3 = columns[j + 3]
        t0 = carried[j]
        t1 = carried[j + 1]
        t2 = carried[j + 2]
        t3 = carried[j + 3]
        for k in range(low, high):
            if first[k]:
                t0 = 0.0
                t1 = 0.0
                t2 = 0.0
                t3 = 0.0
            for i in range(begin[k], end[k]):
                r = risk[i]
                t0 += r * c0[i]
                t1 += r * c1[i]
                t2 += r * c2[i]
                t3 += r * c3[i]
            sums[j, k - low] = t0
            sums[j + 1, k - low] = t1
            sums[j + 2, k - low] = t2
            sums[j + 3, k - low] = t3
        carried[j] = t0
        carried[j + 1] = t1
        carried[j + 2] = t2
        carried[j + 3] = t3
        j += 4
    while j < p:
        t = carried[j]
        for k in range(low, high):
            if first[k]:
                t = 0.0
            for i in range(begin[k], end[k]):
                t += risk[i] * columns[j, i]
            sums[j, k - low] = t
        carried[j] = t
        j += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _late_risk_sums(
    columns: Floats,
    risk: Floats,
    begin: Ints,
    mid: Ints,
    end: Ints,
    first: Flags,
    left_order: Ints,
    left_begin: Ints,
    left_end: Ints,
    low: int,
    high: int,
    inside: int,
    carried: Floats,
    lost: Floats,
    sums: Floats,
) -> int:
    """As :func:`_risk_sums` with late entries leaving again, by compensated sums.

    Where only the dying are at risk, their own sum replaces the running one. Returns how many are
    at risk at the end.
    """
    p = columns.shape[0]
    start_inside = inside
    for j in range(p):
        s = carried[j]
        e = lost[j]
        inside = start_inside
        for k in range(low, high):
            if first[k]:
                s = 0.0
                e = 0.0
                inside = 0
            for i in range(begin[k], end[k]):
                x = risk[i] * columns[j, i]
                t = s + x
                e += (s - t) + x if abs(s) >= abs(x) else (x - t) + s
                s = t
            for q in range(left_begin[k], left_end[k]):
                x = -risk[left_order[q]] * columns[j, left_order[q]]
                t = s + x
                e += (s - t) + x if abs(s) >= abs(x) else (x - t) + s
                s = t
            inside += (end[k] - begin[k]) - (left_end[k] - left_begin[k])
            if inside == end[k] - mid[k]:
                alone = 0.0
                for i in range(mid[k], end[k]):
                    alone += risk[i] * columns[j, i]
                sums[j, k - low] = alone
            else:
                sums[j, k - low] = s + e
        carried[j] = s
        lost[j] = e
    return inside


@njit(cache=True, nogil=True, error_model="numpy")
def subtract_mean_squares(
    columns: Floats,
    risk: Floats,
    begin: Ints,
    mid: Ints,
    end: Ints,
    first: Flags,
    death_weight: Floats,
    efron: bool,
    left_order: Ints,
    left_begin: Ints,
    left_end: Ints,
    at_risk: Floats,
    dying: Floats,
    out: Floats,
) -> None:
    """Subtract the weighted squares of the risk-set means from the upper triangle of ``out``.

    Over d tied deaths Efron's means (S1 - f D1)/(S0 - f D0) all lie in the plane of S1 and D1, so
    their d squares sum to a 2 x 2 form: two vectors to square, whatever d.
    """
    p = columns.shape[0]
    n_times = len(begin)
    carried = np.zeros(p)
    lost = np.zeros(p)
    inside = 0
    sums = np.empty((p, _DEATHS))
    rows = np.empty((p, 2 * _DEATHS))
    for low in range(0, n_times, _DEATHS):
        high = min(low + _DEATHS, n_times)
        if len(left_order) > 0:
            inside = _late_risk_sums(
                columns, risk, begin, mid, end, first, left_order, left_begin, left_end,
                low, high, inside, carried, lost, sums,
            )  # fmt: skip
        else:
            _risk_sums(columns, risk, begin, end, first, low, high, carried, sums)
        used = 0
        for k in range(low, high):
            d = end[k] - mid[k]
            if d == 1 or not efron:
                factor = np.sqrt(death_weight[k]) / at_risk[k]
                for j in range(p):
                    rows[j, used] = factor * sums[j, k - low]
                used += 1
                continue
            a = 0.0
            b = 0.0
            c = 0.0
            for m in range(d):
                fraction = m / d
                z = 1.0 / (at_risk[k] - fraction * dying[k])
                a += z * z
                b += fraction * z * z
                c += fraction * fraction * z * z
            mean_weight = death_weight[k] / d
            slope = b / a
            root_a = np.sqrt(mean_weight * a)
            root_c = np.sqrt(mean_weight * max(c - b * slope, 0.0))
            for j in range(p):
                tied = 0.0
                for i in range(mid[k], end[k]):
                    tied += risk[i] * columns[j, i]
                rows[j, used] = root_a * (sums[j, k - low] - slope * tied)
                rows[j, used + 1] = root_c * tied
            used += 2
        _add_products(rows, rows, 0, used, -1.0, out)
