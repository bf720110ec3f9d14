"""Compiled pair counting for :mod:`biomarker.survival.batched_concordance`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["count_pairs"]

Ints = npt.NDArray[np.int64]

_BITS = 5
_BLOCK = 1 << _BITS


@njit(cache=True, nogil=True)
def _enter(tree: Ints, level: Ints, rank: int, copies: int) -> int:
    """Count copies of a patient of this rank in; returns them."""
    level[rank] += copies
    at = (rank >> _BITS) + 1
    while at < len(tree):
        tree[at] += copies
        at += at & -at
    return copies


@njit(cache=True, nogil=True)
def count_pairs(
    begin: Ints,
    mid: Ints,
    end: Ints,
    rank: Ints,
    n_ranks: int,
    order: Ints,
    weights: npt.NDArray[np.uint16],
    low: int,
    high: int,
    found: Ints,
) -> None:
    """Fill concordant, tied and comparable pairs of replicates low:high.

    Patients enter from the last time to the first. Deaths look at those who are in before they
    enter themselves, which leaves out pairs of deaths at one time. Ranks are counted in blocks: a
    binary indexed tree over the blocks, and within a block a sum of fixed length, which vectorises.
    """
    n_blocks = (n_ranks >> _BITS) + 1
    tree = np.zeros(n_blocks + 1, np.int64)
    level = np.zeros(n_blocks << _BITS, np.int64)
    for b in range(low, high):
        tree[:] = 0
        level[:] = 0
        inside = concordant = tied = comparable = 0
        for k in range(len(begin)):
            for i in range(begin[k], mid[k]):
                inside += _enter(tree, level, rank[i], weights[b, order[i]])
            for i in range(mid[k], end[k]):
                w: int = weights[b, order[i]]
                below = 0
                at = rank[i] >> _BITS
                base = at << _BITS
                within = rank[i] - base
                for j in range(_BLOCK):
                    below += level[base + j] if j < within else 0
                while at > 0:
                    below += tree[at]
                    at &= at - 1
                concordant += w * below
                tied += w * level[rank[i]]
                comparable += w * inside
            for i in range(mid[k], end[k]):
                inside += _enter(tree, level, rank[i], weights[b, order[i]])
        found[0, b] = concordant
        found[1, b] = tied
        found[2, b] = comparable
