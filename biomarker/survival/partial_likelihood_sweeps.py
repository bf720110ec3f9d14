"""Compiled sweeps over a cohort sorted by falling duration: risk sets, hazards, late entries.

Rows are sorted by stratum, then by falling duration, and within a tied duration the deaths come
last. The risk set of the k-th death time (times fall with k) is then every row from the start of
the stratum up to ``end[k]``; rows ``begin[k]:mid[k]`` join it alive, rows ``mid[k]:end[k]`` are the
deaths. Nothing here depends on NaN tests, so no fast-math flag is needed or set.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = [
    "cumulative_hazard",
    "death_blocks",
    "hazard_jumps",
    "late_entries",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@njit(cache=True, nogil=True, error_model="numpy")
def death_blocks(
    order: Ints, stratum: Ints, duration: Floats, event: Flags
) -> tuple[Ints, Ints, Ints, Flags]:
    """Move deaths to the end of each tie (in ``order``) and return begin, mid, end, first."""
    n = len(order)
    begin = np.empty(n, np.int64)
    mid = np.empty(n, np.int64)
    end = np.empty(n, np.int64)
    first = np.empty(n, np.bool_)
    held = np.empty(n, np.int64)
    k = 0
    start = 0
    joined = 0
    opened = False
    while start < n:
        row = order[start]
        if start == 0 or stratum[row] != stratum[order[start - 1]]:
            joined = start
            opened = False
        stop = start + 1
        while (
            stop < n
            and duration[order[stop]] == duration[row]
            and stratum[order[stop]] == stratum[row]
        ):
            stop += 1
        deaths = 0
        alive = start
        for i in range(start, stop):
            if event[order[i]]:
                held[deaths] = order[i]
                deaths += 1
            else:
                order[alive] = order[i]
                alive += 1
        for i in range(deaths):
            order[alive + i] = held[i]
        if deaths > 0:
            begin[k] = joined
            mid[k] = alive
            end[k] = stop
            first[k] = not opened
            opened = True
            joined = stop
            k += 1
        start = stop
    return begin[:k].copy(), mid[:k].copy(), end[:k].copy(), first[:k].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def late_entries(
    left_order: Ints, stratum: Ints, entry: Floats, first: Flags, end: Ints, time: Floats
) -> tuple[Ints, Ints]:
    """Return, per death time, the slice of ``left_order`` whose observation begins later.

    ``left_order`` runs by stratum and falling entry; ``stratum`` and ``entry`` are in sorted-row
    order; a row is at risk at t when entry < t.
    """
    n = len(left_order)
    begin = np.empty(len(end), np.int64)
    stop = np.empty(len(end), np.int64)
    q = 0
    for k in range(len(end)):
        code = stratum[end[k] - 1]
        if first[k]:
            while stratum[left_order[q]] != code:
                q += 1
        begin[k] = q
        while q < n and stratum[left_order[q]] == code and entry[left_order[q]] >= time[k]:
            q += 1
        stop[k] = q
    return begin, stop


@njit(cache=True, nogil=True, error_model="numpy")
def hazard_jumps(
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
    jump: Floats,
    jump_dying: Floats,
) -> float:
    """Fill each death time's hazard and return the sum of weighted log denominators.

    ``jump`` is what a survivor of the death time accrues, ``jump_dying`` what a death accrues:
    under Efron the l-th of d tied deaths leaves the denominator by the fraction l/d. Late entries
    leave the running sum again (``left_*``); it is compensated then, since sums that both grow and
    shrink keep the rounding error of their largest value.
    """
    late = len(left_order) > 0
    total = 0.0
    s = 0.0
    lost = 0.0
    inside = 0
    for k in range(len(begin)):
        if first[k]:
            s = 0.0
            lost = 0.0
            inside = 0
        d0 = 0.0
        for i in range(mid[k], end[k]):
            d0 += risk[i]
        if late:
            for i in range(begin[k], end[k]):
                t = s + risk[i]
                lost += (s - t) + risk[i] if abs(s) >= abs(risk[i]) else (risk[i] - t) + s
                s = t
            for q in range(left_begin[k], left_end[k]):
                x = -risk[left_order[q]]
                t = s + x
                lost += (s - t) + x if abs(s) >= abs(x) else (x - t) + s
                s = t
            inside += (end[k] - begin[k]) - (left_end[k] - left_begin[k])
            s0 = d0 if inside == end[k] - mid[k] else s + lost
        else:
            for i in range(begin[k], mid[k]):
                s += risk[i]
            s += d0
            s0 = s
        at_risk[k] = s0
        dying[k] = d0
        d = end[k] - mid[k]
        if d == 1 or not efron:
            total += death_weight[k] * np.log(s0)
            jump[k] = death_weight[k] / s0
            jump_dying[k] = jump[k]
        else:
            mean_weight = death_weight[k] / d
            logs = 0.0
            h = 0.0
            hd = 0.0
            for m in range(d):
                fraction = m / d
                z = s0 - fraction * d0
                logs += np.log(z)
                h += 1.0 / z
                hd += (1.0 - fraction) / z
            total += mean_weight * logs
            jump[k] = mean_weight * h
            jump_dying[k] = mean_weight * hd
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def cumulative_hazard(
    begin: Ints,
    mid: Ints,
    end: Ints,
    first: Flags,
    jump: Floats,
    jump_dying: Floats,
    left_order: Ints,
    left_begin: Ints,
    left_end: Ints,
    out: Floats,
) -> None:
    """Fill each row's baseline hazard accrued from entry to exit (0 before any death time).

    A late entry's hazard up to its entry is taken off when the sweep, which runs in rising time,
    reaches the first death time after that entry. The running hazard is kept to twice the digits
    then: a patient at high risk who enters late accrues a small difference of large hazards.
    """
    n_times = len(begin)
    late = len(left_order) > 0
    low = np.zeros(len(out) if late else 0)
    level = 0.0
    lost = 0.0
    for back in range(n_times):
        k = n_times - 1 - back
        if k == n_times - 1 or first[k + 1]:
            level = 0.0
            lost = 0.0
        for i in range(mid[k], end[k]):
            out[i] = level + jump_dying[k]
        if late:
            for i in range(mid[k], end[k]):
                # The rounding error of the sum above, exactly.
                part = out[i] - level
                low[i] = lost + ((level - (out[i] - part)) + (jump_dying[k] - part))
        higher = level + jump[k]
        part = higher - level
        lost += (level - (higher - part)) + (jump[k] - part)
        level = higher
        for i in range(begin[k], mid[k]):
            out[i] = level
        if late:
            for i in range(begin[k], mid[k]):
                low[i] = lost
    if not late:
        return
    level = 0.0
    lost = 0.0
    for back in range(n_times):
        k = n_times - 1 - back
        if k == n_times - 1 or first[k + 1]:
            level = 0.0
            lost = 0.0
        higher = level + jump[k]
        part = higher - level
        lost += (level - (higher - part)) + (jump[k] - part)
        level = higher
        # Entries left_begin[k]:left_end[k] are at or after time k and before time k-1.
        for q in range(left_begin[k], left_end[k]):
            i = left_order[q]
            out[i] = (out[i] - level) + (low[i] - lost)
