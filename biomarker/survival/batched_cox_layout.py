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

from biomarker.survival import batched_cox_likelihood, batched_cox_newton
from biomarker.survival.batched_cox_likelihood import null_value
from biomarker.survival.batched_cox_newton import fit_one
from biomarker.survival.batched_cox_work import COMPILE, Flags, Floats, Ints, Work

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
    died: Floats  # (n,) 1 for deaths, 0 for others
    influence: Floats  # (n, p) what one copy of a row moves the start by, or (n, 0)
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
def _lay_weights(
    base: Base, batch: Batch, work: Work, b: int, efron: bool
) -> tuple[int, int, int, float]:
    """Lay out the patients that count; returns rows, death times, deaths and the value at zero.

    Weights are random, so no branch depends on them. The log-likelihood at zero is a sum of
    logarithms of whole numbers, looked up: log N! - log (N - d)! over each death time.
    """
    begin, mid, end, first = base.begin, base.mid, base.end, base.first
    weights, order, kept = batch.weights[b], base.order, work.order
    before, copies, factorial = work.before, work.copies, work.factorial
    into_begin, into_mid, into_end = work.begin, work.mid, work.end
    into_first, into_deaths = work.first, work.deaths
    n = end[len(end) - 1] if len(end) > 0 else 0
    m = running = 0
    for i in range(n):
        w: int = weights[order[i]]
        kept[m] = i
        before[i] = m
        copies[i] = running
        running += w
        m += 1 if w > 0 else 0
    before[n] = m
    copies[n] = running
    _copy(base, work, weights, m)
    n_times = joined = total = start = 0
    fresh = True
    logs = 0.0
    for k in range(len(begin)):
        if first[k]:
            fresh = True
            joined = before[begin[k]]
            start = copies[begin[k]]
        d = copies[end[k]] - copies[mid[k]]
        some = d > 0
        into_begin[n_times] = joined
        into_mid[n_times] = before[mid[k]]
        into_end[n_times] = before[end[k]]
        into_first[n_times] = fresh
        into_deaths[n_times] = d
        total += d
        n_times += 1 if some else 0
        joined = before[end[k]] if some else joined
        fresh = fresh and not some
        at_risk = copies[end[k]] - start
        if at_risk < len(factorial):
            if efron:
                logs += factorial[at_risk] - factorial[at_risk - d]
            else:
                logs += d * np.log(float(max(at_risk, 1)))
        else:
            for q in range(d):
                logs += np.log(float(at_risk - q if efron else at_risk))
    return m, n_times, total, -logs


@njit(forceinline=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _copy(base: Base, work: Work, weights: npt.NDArray[np.uint16], m: int) -> None:
    """Copy the rows kept, and sum the deaths' columns, in loops that vectorise."""
    rows, order, kept, dead = base.rows, base.order, work.order, work.share
    weight, risk_start, of_base, died = work.weight, work.risk_start, base.risk_start, base.died
    p = len(base.start)
    count = 0.0
    for i in range(m):
        row = kept[i]
        w = float(weights[order[row]])
        weight[i] = w
        risk_start[i] = w * of_base[row]
        dead[i] = w * died[row]
        count += w
    for j in range(len(work.columns)):
        column = work.columns[j]
        total = 0.0
        for i in range(m):
            x = rows[kept[i], j]
            column[i] = x
            total += dead[i] * x
        work.observed[j] = total
    if p > 3:
        for i in range(m):
            for j in range(p):
                work.rows[i, j] = rows[kept[i], j]
    for j in range(base.influence.shape[1]):
        total = 0.0
        for i in range(m):
            total += weight[i] * base.influence[kept[i], j]
        # A resample far from the cohort is not led astray by more than one standard deviation.
        work.shift[j] = min(max(total * (len(rows) / count), -1.0), 1.0) if count > 0.0 else 0.0


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
    """A number that changes with any compiled function or constant of these three files.

    numba's cache of a function notices changes in that function alone. The entry point holds all
    the others inlined, and would be served stale after one of them changed.
    """
    digest = hashlib.blake2b(digest_size=6)
    others = (batched_cox_likelihood.__dict__, batched_cox_newton.__dict__)
    for module in (*others, globals()):
        for name, value in sorted(module.items()):
            code = getattr(getattr(value, "py_func", None), "__code__", None)
            if code is not None:
                digest.update(code.co_code + repr(code.co_consts + code.co_names).encode())
            elif isinstance(value, int | float) or name == "COMPILE":
                digest.update(f"{name}={value!r}".encode())
    return int.from_bytes(digest.digest(), "little") + 1000


def _entry(stamp: int) -> Callable[..., None]:
    """Compile the loop over replicates, the only function of these files that is cached."""

    @njit(**{**COMPILE, "cache": True, "forceinline": False})
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
            zero = np.nan
            if kind == WEIGHTS:
                m, n_times, total, zero = _lay_weights(base, batch, work, b, efron)
            elif kind == OUTCOMES:
                m, n_times, total = _lay_outcomes(base, batch, work, b, ends)
                if n_null == 0 and not null_at_start:
                    zero = null_value(work, n_times, efron)
            else:
                m, n_times, total = _lay_columns(base, batch, work, b, fits.scale[b])
            fits.n_events[b] = total
            fits.status[b] = fit_one(
                work, p, n_null, null_at_start, m, n_times, total, efron, score_only,
                kind == WEIGHTS and base.influence.shape[1] > 0,
                zero, base.start, fits.summary[b],
            )  # fmt: skip
            for j in range(p):
                fits.coef[b, j] = work.coef[j]
                for k in range(j, p):
                    fits.information[b, j, k] = work.information[j, k]
                    fits.information[b, k, j] = work.information[j, k]

    return fit_range


fit_range = _entry(_stamp())
