"""Trees of four splits or fewer as planes of bits, one for each test that any of them asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from biomarker.explain.tree_forest import Nodes
    from biomarker.explain.tree_margin_planes_kernel import Planes

__all__ = ["planes_of", "sum_leaves"]


def planes_of(nodes: Nodes) -> Planes | None:
    """Tests and leaves of a booster's trees; None where a leaf lies deeper than four splits."""
    from biomarker.explain.tree_margin_planes_kernel import DEPTH, Planes

    inner = nodes.left >= 0
    feature, left = nodes.feature[inner], nodes.default_left[inner]
    threshold = nodes.threshold[inner]
    order = np.lexsort((threshold, left, feature))
    feature, left, threshold = feature[order], left[order], threshold[order]
    group = _changes(feature) | _changes(left)
    fresh = group | _changes(threshold)
    n_tests = int(np.count_nonzero(fresh))
    # A leaf asks the test after the last, at which every row goes left.
    test = np.full(len(inner), n_tests)
    test[np.flatnonzero(inner)[order]] = np.cumsum(fresh) - 1
    at, asked = nodes.root[:, None], []
    for _ in range(DEPTH):
        asked.append(test[at])
        both = [np.where(inner[at], child[at], at) for child in (nodes.left, nodes.right)]
        at = np.stack(both, axis=2).reshape(len(at), 2 * at.shape[1])
    if inner[at].any():
        return None
    first = np.flatnonzero(group[fresh])
    return Planes(
        feature=feature[fresh][first].astype(np.uint64),
        left=left[fresh][first],
        begin=np.append(first, n_tests).astype(np.uint64),
        threshold=threshold[fresh],
        node=np.concatenate(asked, axis=1).astype(np.uint64),
        value=nodes.threshold[at],
    )


def _changes(ordered: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether each value differs from the one before it; the first does."""
    return np.append(np.ones(min(1, len(ordered)), np.bool_), ordered[1:] != ordered[:-1])


def sum_leaves(
    planes: Planes, features: npt.NDArray[np.float32], out: npt.NDArray[np.float32]
) -> None:
    """Add every tree's leaf to ``out`` (n_rows,), in the trees' order."""
    from biomarker.explain.tree_margin_planes_kernel import ROWS, add_leaves

    n = len(out)
    whole = n - n % ROWS
    if whole:
        x = np.ascontiguousarray(features.T)
        add_leaves(x.ravel(), n, whole, planes, out)
    if whole < n:
        rest = np.zeros((features.shape[1], ROWS), np.float32)
        rest[:, : n - whole] = features[whole:].T
        sums = np.zeros(ROWS, np.float32)
        sums[: n - whole] = out[whole:]
        add_leaves(rest.ravel(), ROWS, ROWS, planes, sums)
        out[whole:] = sums[: n - whole]
