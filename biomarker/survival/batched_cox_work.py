"""One thread's memory for the compiled Cox fits, and how their functions are compiled.

Fast-math flags are named one by one; none of them assumes that NaN is absent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["COMPILE", "Flags", "Floats", "Ints", "Work", "make_work"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# Not cached one by one: see the stamp in batched_cox_layout. Inlined, because every call of a
# compiled function counts the references of the arrays it is handed.
COMPILE = {"forceinline": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


class Work(NamedTuple):
    """One thread's arrays, reused by every replicate it fits."""

    columns: Floats  # (max(p, 3), n)
    rows: Floats  # (n, p), used where p > 3
    weight: Floats  # (n,)
    risk_start: Floats  # (n,) risk at the shared starting point, weight included
    risk: Floats
    share: Floats  # (n,) scratch
    bits: Ints  # the same memory as ``share`` seen as integers
    begin: Ints
    mid: Ints
    end: Ints
    first: Flags
    deaths: Ints  # (n,) per death time, copies counted
    hazard: Floats  # (n,) per death time, scratch
    hazard_dying: Floats
    observed: Floats  # (p,) sum of x over deaths
    shift: Floats  # (p,) where this replicate starts, from the shared start
    coef: Floats
    trial: Floats
    step: Floats
    gradient: Floats
    information: Floats  # (p, p)
    factor: Floats  # (p, p)
    half: Floats
    sums: Floats  # (4, p) scratch
    order: Ints  # (n,) scratch
    before: Ints  # (n + 1,) scratch
    copies: Ints  # (n + 1,) scratch
    factorial: Floats  # logarithms of factorials


def make_work(n: int, p: int) -> Work:
    """Allocate one thread's arrays for replicates of at most n rows and p columns."""
    wide = max(p, 3)
    share = np.zeros(n)
    floats = [np.zeros(wide) for _ in range(7)]
    return Work(
        columns=np.zeros((wide, n)),
        rows=np.zeros((n if p > 3 else 1, wide)),
        weight=np.zeros(n),
        risk_start=np.zeros(n),
        risk=np.zeros(n),
        share=share,
        bits=share.view(np.int64),
        begin=np.zeros(n + 1, np.int64),
        mid=np.zeros(n + 1, np.int64),
        end=np.zeros(n + 1, np.int64),
        first=np.zeros(n + 1, np.bool_),
        deaths=np.zeros(n + 1, np.int64),
        hazard=np.zeros(n + 1),
        hazard_dying=np.zeros(n + 1),
        observed=floats[0],
        coef=floats[1],
        trial=floats[2],
        step=floats[3],
        gradient=floats[4],
        information=np.zeros((wide, wide)),
        factor=np.zeros((wide, wide)),
        half=floats[5],
        shift=floats[6],
        sums=np.zeros((4, wide)),
        order=np.zeros(n, np.int64),
        before=np.zeros(n + 1, np.int64),
        copies=np.zeros(n + 1, np.int64),
        factorial=np.cumsum(np.log(np.maximum(np.arange(2 * n + 64), 1))),
    )
