"""Compiled Newton fits of many small Cox models, one replicate after another.

Every replicate is computed by one thread in one order, so results do not depend on how replicates
are shared out.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from biomarker.survival.batched_cox_likelihood import evaluate
from biomarker.survival.batched_cox_work import COMPILE, Floats, Work

__all__ = ["HARD", "NO_EVENTS", "OK", "fit_one"]

OK, NO_EVENTS, HARD = 0, 1, 2

_STEPS = 15  # what settles has settled by then; the rest is looked at with care
_HALVINGS = 20
_SETTLED = 1e-11  # predicted error, in standard deviations of a column, of the last step
_CLOSE = 1e-3  # a step this short may be the last
# A step this short is taken without looking: coefficients and likelihood are exact to its square,
# the information to its length. A null fit, whose score is wanted, asks for more.
_NOTHING, _NOTHING_NULL = 1e-6, 1e-8
_PIVOT = 1e-9  # share of a column's information that the columns before it must leave
_FLOOR = 1e-6  # information per event and variance of a column: less is looked at with care


@njit(**COMPILE)
def _solve(work: Work, p: int, floor: float) -> bool:
    """Solve information * step = gradient for the first p columns; False where singular.

    ``floor`` is the least pivot accepted.
    """
    factor, half, information = work.factor, work.half, work.information
    for j in range(p):
        pivot = information[j, j]
        least = max(floor, _PIVOT * pivot)
        for k in range(j):
            pivot -= factor[k, j] * factor[k, j]
        if not pivot > least:
            return False
        inverse = 1.0 / np.sqrt(pivot)
        factor[j, j] = inverse
        total = work.gradient[j]
        for k in range(j):
            total -= factor[k, j] * half[k]
        half[j] = total * inverse
        for c in range(j + 1, p):
            total = information[j, c]
            for k in range(j):
                total -= factor[k, j] * factor[k, c]
            factor[j, c] = total * inverse
    for back in range(p):
        j = p - 1 - back
        total = half[j]
        for k in range(j + 1, p):
            total -= factor[j, k] * work.step[k]
        work.step[j] = total * factor[j, j]
    return True


@njit(**COMPILE)
def _longest(step: Floats, p: int) -> float:
    """Largest component of a step."""
    length = 0.0
    for j in range(p):
        length = max(length, abs(step[j]))
    return length


@njit(**COMPILE)
def _step_on_paper(work: Work, p: int, columns: int) -> float:
    """Take a tiny Newton step by the quadratic at hand; returns the gain in log-likelihood."""
    gain = 0.0
    for j in range(columns):
        gain += 0.5 * work.gradient[j] * work.step[j]
    for j in range(p):
        for k in range(columns):
            a = work.information[j, k] if j <= k else work.information[k, j]
            work.gradient[j] -= a * work.step[k]
    for j in range(columns):
        work.coef[j] += work.step[j]
        work.trial[j] = work.coef[j]
    return gain


@njit(**COMPILE)
def fit_one(
    work: Work,
    p: int,
    n_null: int,
    null_at_start: bool,
    m: int,
    n_times: int,
    n_events: int,
    efron: bool,
    score_only: bool,
    shifted: bool,
    zero: float,
    start: Floats,
    summary: Floats,
) -> int:
    """Fit the replicate laid out in ``work``; returns its status.

    Climbs over the first ``n_null`` columns and from there over all p; each model ends evaluated
    within ``_NOTHING`` of its maximum. ``summary`` receives the log-likelihood of the null model
    and of the full one, and the score statistic of the remaining columns at the null fit (NaN where
    the climb starts elsewhere). Coefficients and information stay in ``work``. A climb starts at
    ``start``, where ``risk_start`` holds the risks already, or ``shifted`` from it. ``zero`` is the
    log-likelihood at zero, for a null model without columns.
    """
    coef, trial, step = work.coef, work.trial, work.step
    summary[0] = summary[1] = summary[2] = np.nan
    for j in range(p):
        coef[j] = trial[j] = start[j] + (work.shift[j] if shifted else 0.0)
    for j in range(p, len(coef)):
        coef[j] = trial[j] = 0.0
    if n_times == 0:
        return NO_EVENTS
    floor = _FLOOR * n_events
    in_null = n_null > 0 and not null_at_start
    if not in_null and not null_at_start:
        summary[0] = zero
    columns = n_null if in_null else p
    opening, last, switched = True, False, null_at_start
    value, rounding = -np.inf, 0.0
    previous = length = 0.0
    fraction = 1.0
    taken = halved = 0
    while True:
        there, error = evaluate(work, trial, p, m, n_times, efron, opening and not shifted)
        if opening and not np.isfinite(there):
            return HARD
        if not there >= value - rounding:
            halved += 1
            fraction *= 0.5
            if halved > _HALVINGS:
                return HARD
            for j in range(columns):
                trial[j] = coef[j] + fraction * step[j]
            continue
        value, rounding = there, error
        summary[1] = value
        for j in range(p):
            coef[j] = trial[j]
        finished = False
        if last and fraction == 1.0:
            finished = not in_null
            switched = in_null
            in_null = False
        if switched:
            summary[0] = value
            columns = p
            taken = 0
        whole = fraction == 1.0 and not opening and not switched
        previous = length if whole else 0.0
        opening = False
        # Also at the maximum: its matrix must still carry every direction.
        if not _solve(work, columns, floor):
            return HARD
        if finished:
            return OK
        length = _longest(step, columns)
        if length <= (_NOTHING_NULL if in_null else _NOTHING) and not switched:
            value += _step_on_paper(work, p, columns)
            summary[1] = value
            if not in_null:
                return OK
            summary[0] = value
            columns, taken, previous = p, 0, 0.0
            in_null, switched = False, True
            if not _solve(work, columns, floor):
                return HARD
            length = _longest(step, columns)
        if switched:
            statistic = 0.0
            for j in range(p):
                statistic += work.gradient[j] * step[j]
            summary[2] = statistic
            switched = False
            if score_only:
                return OK
        taken += 1
        if taken > _STEPS or not np.isfinite(length):
            return HARD
        # Newton squares the error, up to a factor that the last two steps show.
        ahead = length * length
        if previous > 0.0:
            ahead *= max(1.0, length / (previous * previous))
        last = previous > 0.0 and length <= _CLOSE and ahead <= _SETTLED
        fraction = 1.0
        halved = 0
        for j in range(columns):
            trial[j] = coef[j] + step[j]
