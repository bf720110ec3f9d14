"""Compiled layout of each replicate's rows, and the loop that fits one after another.

Replicates of a cohort differ in how often its patients count (weights), in what happened to them
(outcomes), or in some columns; each is written as sorted rows into a thread's work arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from biomarker.survival import batched_cox_kernels as kernels
from biomarker.survival.batched_cox_kernels import COMPILE, Flags, Floats, Ints, Work, fit_one

__all__ = ["COLUMNS", "OUTCOMES", "WEIGHTS", "Base", "Batch", "Fits", "fit_range"]

WEIGHTS, OUTCOMES, COLUMNS = 0, 1, 2


class Base(NamedTuple):
    """What all replicates share. Rows are sorted, except for outcomes: the caller's order."""

    rows: Floats  # (n, max(p, 3)), or (n, n_fixed) for columns: centred and scaled, padded with 0
    risk_start: Floats  # (n,) exp(x'start)
    start: Floats  # (p,)
    order: Ints  # (n,) the caller's row number
    begin: Ints
    mid: Ints
    end: Ints
    first: Flags
    stratum: Ints  # (n,) codes from 0, in the caller's order; empty for none


class Batch(NamedTuple):
    """In what replicates differ; arrays of the other kinds are empty."""

    weights: npt.NDArray[np.uint16]  # (B, n)
    order: Ints  # (B, n) rows by rising duration
    duration: Floats  # (B, n)
    event: Flags  # (B, n)
    columns: Floats  # (B, n, q)


class Fits(NamedTuple):
    """Where results go."""

    coef: Floats  # (B, p)
    information: Floats  # (B, p, p)
    summary: Floats  # (B, 3)
    scale: Floats  # (B, q) of columns
    status: npt.NDArray[np.int8]
    n_events: Ints


@njit(**COMPILE)
def _lay_weights(base: Base, batch: Batch, work: Work, b: int) -> tuple[int, int, int]:
    """Lay out the patients that count; returns rows, death times and deaths.

    Written without a branch on the weight: a patient of weight 0 is overwritten by the next.
    """
    rows, begin, mid, end, first = base.rows, base.begin, base.mid, base.end, base.first
    weights, order = batch.weights[b], base.order
    p = len(base.start)
    c0, c1, c2 = work.columns[0], work.columns[1], work.columns[2]
    oa = ob = oc = 0.0
    m = n_times = joined = total = 0
    fresh = True
    for k in range(len(begin)):
        if first[k]:
            fresh = True
            joined = m
        for i in range(begin[k], mid[k]):
            count: int = weights[order[i]]
            w = float(count)
            work.weight[m] = w
            work.risk_start[m] = w * base.risk_start[i]
            if p <= 3:
                c0[m], c1[m], c2[m] = rows[i, 0], rows[i, 1], rows[i, 2]
            else:
                for j in range(p):
                    work.columns[j, m] = work.rows[m, j] = rows[i, j]
            m += 1 if count > 0 else 0
        middle = m
        d = 0
        for i in range(mid[k], end[k]):
            count = weights[order[i]]
            w = float(count)
            work.weight[m] = w
            work.risk_start[m] = w * base.risk_start[i]
            if p <= 3:
                c0[m], c1[m], c2[m] = rows[i, 0], rows[i, 1], rows[i, 2]
                oa += w * rows[i, 0]
                ob += w * rows[i, 1]
                oc += w * rows[i, 2]
            else:
                for j in range(p):
                    work.columns[j, m] = work.rows[m, j] = rows[i, j]
                    work.observed[j] += w * rows[i, j]
            d += count
            m += 1 if count > 0 else 0
        work.begin[n_times] = joined
        work.mid[n_times] = middle
        work.end[n_times] = m
        work.first[n_times] = fresh
        work.deaths[n_times] = d
        if d > 0:
            total += d
            n_times += 1
            joined = m
            fresh = False
    if p <= 3:
        work.observed[0], work.observed[1], work.observed[2] = oa, ob, oc
    return m, n_times, total


@njit(**COMPILE)
def _sort(base: Base, batch: Batch, work: Work, b: int, ends: Ints) -> None:
    """Order rows by stratum and falling duration into ``work.order``."""
    order = batch.order[b]
    n = len(order)
    if len(base.stratum) == 0:
        for i in range(n):
            work.order[i] = order[n - 1 - i]
        return
    ends[:] = 0
    for i in range(n):
        ends[base.stratum[i]] += 1
    for s in range(1, len(ends)):
        ends[s] += ends[s - 1]
    # Rows rise in duration, so filling each stratum from its end leaves them falling.
    for i in range(n):
        s = base.stratum[order[i]]
        ends[s] -= 1
        work.order[ends[s]] = order[i]


@njit(**COMPILE)
def _place(base: Base, work: Work, row: int, m: int) -> None:
    """Copy one patient to position m."""
    p = len(base.start)
    work.risk_start[m] = base.risk_start[row]
    for j in range(p):
        work.columns[j, m] = base.rows[row, j]
    if p > 3:
        for j in range(p):
            work.rows[m, j] = base.rows[row, j]


@njit(**COMPILE)
def _lay_outcomes(base: Base, batch: Batch, work: Work, b: int, ends: Ints) -> tuple[int, int, int]:
    """Sort this replicate's outcomes and lay the patients out."""
    _sort(base, batch, work, b, ends)
    duration, event, stratum = batch.duration[b], batch.event[b], base.stratum
    strata = len(stratum) > 0
    n, p = len(base.rows), len(base.start)
    n_times = total = start = joined = 0
    fresh = True
    while start < n:
        row = work.order[start]
        if strata and start > 0 and stratum[row] != stratum[work.order[start - 1]]:
            fresh = True
            joined = start
        stop = start + 1
        d = 1 if event[row] else 0
        while stop < n:
            other = work.order[stop]
            if duration[other] != duration[row] or (strata and stratum[other] != stratum[row]):
                break
            d += 1 if event[other] else 0
            stop += 1
        alive, dead = start, stop - d
        for i in range(start, stop):
            other = work.order[i]
            if event[other]:
                at = dead
                dead += 1
                for j in range(p):
                    work.observed[j] += base.rows[other, j]
            else:
                at = alive
                alive += 1
            work.weight[at] = 1.0
            _place(base, work, other, at)
        if d > 0:
            work.begin[n_times] = joined
            work.mid[n_times] = stop - d
            work.end[n_times] = stop
            work.first[n_times] = fresh
            work.deaths[n_times] = d
            total += d
            n_times += 1
            fresh = False
            joined = stop
        start = stop
    return (work.end[n_times - 1] if n_times > 0 else 0), n_times, total


@njit(**COMPILE)
def _lay_columns(
    base: Base, batch: Batch, work: Work, b: int, scale: Floats
) -> tuple[int, int, int]:
    """Lay out the shared outcome with this replicate's columns, centred and scaled."""
    n, fixed = base.rows.shape
    extra = batch.columns.shape[2]
    p = fixed + extra
    m: int = base.end[len(base.end) - 1] if len(base.end) > 0 else 0
    for i in range(m):
        work.weight[i] = 1.0
        work.risk_start[i] = base.risk_start[i]
        for j in range(fixed):
            work.columns[j, i] = base.rows[i, j]
    for q in range(extra):
        mean = 0.0
        for i in range(n):
            mean += batch.columns[b, i, q]
        mean /= n
        spread = 0.0
        for i in range(n):
            gap = batch.columns[b, i, q] - mean
            spread += gap * gap
        scale[q] = np.sqrt(spread / n)
        inverse = 1.0 / scale[q] if scale[q] > 0.0 else 1.0
        column = work.columns[fixed + q]
        for i in range(m):
            column[i] = (batch.columns[b, base.order[i], q] - mean) * inverse
    if p > 3:
        for i in range(m):
            for j in range(p):
                work.rows[i, j] = work.columns[j, i]
    total = 0
    for k in range(len(base.begin)):
        work.begin[k] = base.begin[k]
        work.mid[k] = base.mid[k]
        work.end[k] = base.end[k]
        work.first[k] = base.first[k]
        work.deaths[k] = base.end[k] - base.mid[k]
        total += base.end[k] - base.mid[k]
        for i in range(base.mid[k], base.end[k]):
            for j in range(p):
                work.observed[j] += work.columns[j, i]
    return m, len(base.begin), total


def _stamp() -> int:
    """A number that changes with any compiled function or constant of these two files.

    numba's cache of a function notices changes in that function alone. The entry point holds all
    the others inlined, and would be served stale after one of them changed.
    """
    digest = hashlib.blake2b(digest_size=6)
    for module in (kernels.__dict__, globals()):
        for name, value in sorted(module.items()):
            code = getattr(getattr(value, "py_func", None), "__code__", None)
            if code is not None:
                digest.update(code.co_code + repr(code.co_consts + code.co_names).encode())
            elif isinstance(value, int | float):
                digest.update(f"{name}={value!r}".encode())
    return int.from_bytes(digest.digest(), "little") + 1000


def _entry(stamp: int) -> Callable[..., None]:
    """Compile the loop over replicates, the only function of these files that is cached."""

    @njit(**{**COMPILE, "cache": True})
    def fit_range(
        kind: int,
        base: Base,
        batch: Batch,
        work: Work,
        fits: Fits,
        low: int,
        high: int,
        n_null: int,
        null_at_start: bool,
        efron: bool,
        score_only: bool,
    ) -> None:
        """Fit replicates low:high."""
        if kind == stamp:
            return  # never: the mention makes the stamp part of the cached function's key
        p = len(base.start)
        ends = np.zeros((np.max(base.stratum) + 1) if len(base.stratum) > 0 else 0, np.int64)
        for b in range(low, high):
            work.observed[:] = 0.0
            if kind == WEIGHTS:
                m, n_times, total = _lay_weights(base, batch, work, b)
            elif kind == OUTCOMES:
                m, n_times, total = _lay_outcomes(base, batch, work, b, ends)
            else:
                m, n_times, total = _lay_columns(base, batch, work, b, fits.scale[b])
            fits.n_events[b] = total
            fits.status[b] = fit_one(
                work, p, n_null, null_at_start, m, n_times, total, efron, score_only,
                base.start, fits.summary[b],
            )  # fmt: skip
            for j in range(p):
                fits.coef[b, j] = work.coef[j]
                for k in range(j, p):
                    fits.information[b, j, k] = work.information[j, k]
                    fits.information[b, k, j] = work.information[j, k]

    return fit_range


fit_range = _entry(_stamp())
