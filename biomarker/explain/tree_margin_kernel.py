"""Compiled sums of leaves: which leaf each row reaches, found for many rows at a time.

Leaves of a tree are numbered from left to right, one bit each. A row that goes right at a node
cannot reach the leaves under its left child: their bits are cleared, and when every node has been
asked the lowest bit left is the row's leaf. There is no branch, and rows fill vector registers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["LEAVES", "Masks", "add_leaves"]

LEAVES = 32  # of a tree at most
# A lowest bit times this number has, in its top five bits, a number of its own (de Bruijn).
_SEQUENCE, _SHIFT = np.uint32(0x077CB531), np.uint32(27)

Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Masks(NamedTuple):
    """Nodes of all trees, tree by tree, and their leaves' values by number."""

    begin: Ints  # (n_trees + 1,) first node of each tree
    feature: Ints  # (n_nodes,)
    threshold: Singles  # (n_nodes,) a value below it goes left
    default_left: npt.NDArray[np.bool_]  # (n_nodes,) where a missing value goes
    kept: npt.NDArray[np.uint32]  # (n_nodes,) leaves not under the left child
    value: Singles  # (n_trees, LEAVES) by the number of a lowest bit


@njit(cache=True, nogil=True)
def add_leaves(x: Singles, masks: Masks, out: Singles) -> None:
    """Add every tree's leaf to ``out`` (n,), in the trees' order; x has shape (n_features, n)."""
    n = len(out)
    left = np.empty(n, np.uint32)
    for tree in range(len(masks.begin) - 1):
        left[:] = np.uint32(0xFFFFFFFF)
        for node in range(masks.begin[tree], masks.begin[tree + 1]):
            values, threshold = x[masks.feature[node]], masks.threshold[node]
            kept, all_leaves = masks.kept[node], np.uint32(0xFFFFFFFF)
            if masks.default_left[node]:
                for r in range(n):
                    left[r] &= kept if values[r] >= threshold else all_leaves
            else:
                for r in range(n):
                    left[r] &= all_leaves if values[r] < threshold else kept
        value = masks.value[tree]
        for r in range(n):
            low = left[r] & (~left[r] + np.uint32(1))
            out[r] += value[np.uint32(low * _SEQUENCE) >> _SHIFT]
