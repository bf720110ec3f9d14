"""Read a booster's trees into arrays, check them, and share their leaves out into patches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from biomarker.errors import BiomarkerError

if TYPE_CHECKING:
    from biomarker.explain.tree_paths_kernel import Forest

__all__ = ["DEEPEST", "Nodes", "UnsupportedTreesError", "read_forest", "read_nodes"]

Ints = npt.NDArray[np.int64]

DEEPEST = 10
# Tests of a patch: its tables have 2**7 entries at most, unless a single path is longer, so that
# those in use at one time stay in the cache.
_TESTS = 7
_COLUMNS = {
    "left_children": np.int64,
    "right_children": np.int64,
    "split_indices": np.int64,
    "split_conditions": np.float32,
    "default_left": np.bool_,
    "sum_hessian": np.float64,
    "split_type": np.int64,
}
# Tests, as bits of a whole number that counts nodes from their root on; and leaves.
_Patch = tuple[int, list[int]]


class Nodes(NamedTuple):
    """Nodes of all trees, one after another."""

    root: Ints  # (n_trees,) first node of each tree
    left: Ints  # (n_nodes,) its children among all nodes; -1 for a leaf
    right: Ints
    feature: Ints
    threshold: npt.NDArray[np.float32]  # a leaf's value
    default_left: npt.NDArray[np.bool_]
    cover: npt.NDArray[np.float64]  # training weight
    n_features: int


class UnsupportedTreesError(BiomarkerError, NotImplementedError):
    """Trees whose paths have no tables here; the booster's own contributions may still serve."""


def read_forest(raw: bytes) -> tuple[Forest, Ints, int]:
    """Trees of a booster saved as JSON.

    Parameters
    ----------
    raw : bytes
        From ``booster.save_raw("json")``.

    Returns
    -------
    forest : Forest
        Nodes, thresholds and covers of all trees, and their patches.
    used : ndarray of int, shape (n_used,)
        Features that any tree tests; ``forest.feature`` counts among them.
    n_features : int

    Raises
    ------
    UnsupportedTreesError
        For linear or dropout boosters, several outputs, categorical splits, paths longer than 10,
        and nodes that no training weight reached.
    """
    from biomarker.explain.tree_paths_kernel import Forest

    nodes = read_nodes(json.loads(raw)["learner"])
    left, right, inner = nodes.left, nodes.right, nodes.left >= 0
    parent = np.full(len(left), -1)
    parent[left[inner]] = parent[right[inner]] = np.flatnonzero(inner)
    lefts, rights, roots = left.tolist(), right.tolist(), nodes.root.tolist()
    patches = [(root, patch) for root in roots for patch in _patches(root, lefts, rights)]
    used, position = np.unique(nodes.feature[inner], return_inverse=True)
    feature = np.zeros(len(left), np.int64)
    feature[inner] = position
    forest = Forest(
        parent, left, feature, nodes.threshold, nodes.default_left, nodes.cover, *_arrays(patches)
    )
    return forest, used, nodes.n_features


def read_nodes(learner: dict[str, Any]) -> Nodes:
    """Nodes of all trees, checked; refuses what :func:`read_forest` does, but for long paths."""
    trees = _trees(learner)
    n_features = int(learner["learner_model_param"]["num_feature"])
    size = np.array([len(tree["left_children"]) for tree in trees], dtype=np.int64)
    begin = np.cumsum(size) - size
    with np.errstate(over="ignore"):
        node = {
            name: np.concatenate([np.zeros(0), *(tree[name] for tree in trees)]).astype(dtype)
            for name, dtype in _COLUMNS.items()
        }
    inner = node["left_children"] >= 0
    _check_nodes(node, inner, np.repeat(size, size), n_features)
    base = np.repeat(begin, size)
    left = np.where(inner, node["left_children"] + base, -1)
    right = np.where(inner, node["right_children"] + base, -1)
    children = np.concatenate([left[inner], right[inner]])
    if len(np.unique(children)) < len(children):
        raise UnsupportedTreesError("nodes must have one parent each; the booster is damaged.")
    return Nodes(
        begin, left, right, node["split_indices"], node["split_conditions"], node["default_left"],
        node["sum_hessian"].astype(np.float64), n_features,
    )  # fmt: skip


def _trees(learner: dict[str, Any]) -> list[dict[str, Any]]:
    """The trees of a plain booster with one output."""
    kind = learner["gradient_booster"]["name"]
    if kind != "gbtree":
        raise UnsupportedTreesError(
            f"booster must be of the kind gbtree; got {kind}. Its trees, if any, are not summed."
        )
    outputs = learner["learner_model_param"]
    trees: list[dict[str, Any]] = learner["gradient_booster"]["model"]["trees"]
    widths = [int(tree["tree_param"].get("size_leaf_vector", 1)) for tree in trees]
    several = max(int(outputs["num_class"]), int(outputs.get("num_target", 1)), *widths, 1)
    if several > 1:
        raise UnsupportedTreesError(f"booster must have one output; got {several}.")
    return trees


def _check_nodes(
    node: dict[str, npt.NDArray[Any]], inner: npt.NDArray[np.bool_], size: Ints, n_features: int
) -> None:
    """Refuse what compiled code, which checks no index, must not meet."""
    categories = int(np.count_nonzero(node["split_type"][inner]))
    if categories:
        raise UnsupportedTreesError(
            f"splits must compare a number with a threshold; got {categories} on categories. "
            "Encode the levels."
        )
    children = np.concatenate([node["left_children"][inner], node["right_children"][inner]])
    feature = node["split_indices"][inner]
    inside = np.all((children > 0) & (children < np.tile(size[inner], 2)))
    if not inside or np.any((feature < 0) | (feature >= n_features)):
        raise UnsupportedTreesError(
            "children and features must lie inside their tree and model; got some outside. "
            "The booster is damaged."
        )
    empty = int(np.count_nonzero(~(node["sum_hessian"][inner] > 0)))
    if empty or not np.isfinite(node["split_conditions"]).all():
        raise UnsupportedTreesError(
            "nodes must hold training weight and finite values; got "
            f"{empty} of {int(inner.sum())} split(s) without weight."
        )


def _patches(root: int, left: list[int], right: list[int]) -> list[_Patch]:
    """Leaves of one tree, joined from the bottom up while their paths hold few tests together."""

    def below(node: int, path: int, depth: int) -> list[_Patch]:
        if left[node] < 0:
            return [(path, [node])]
        if depth == DEEPEST:
            raise UnsupportedTreesError(
                f"trees must be at most {DEEPEST} splits deep; got a deeper one. Tables double "
                "with every split of a path."
            )
        path |= 1 << (node - root)
        found: list[_Patch] = []
        for child in (left[node], right[node]):
            for patch in below(child, path, depth + 1):
                _join(found, patch)
        return found

    return [patch for patch in below(root, 0, 0) if patch[0]]


def _join(found: list[_Patch], patch: _Patch) -> None:
    """Put a patch's leaves to the first other that has room for its tests, or else beside them."""
    tests, leaves = patch
    for i, (others, kept) in enumerate(found):
        union = others | tests
        if union.bit_count() <= _TESTS or union in (others, tests):
            found[i] = union, kept + leaves
            return
    found.append(patch)


def _arrays(patches: list[tuple[int, _Patch]]) -> tuple[Ints, Ints, Ints, Ints]:
    """Tests of each patch, padded with -1, their number, and leaves with their bounds."""
    tests = [
        [root + i for i in range(bits.bit_length()) if bits >> i & 1] for root, (bits, _) in patches
    ]
    n_tests = np.array([len(nodes) for nodes in tests], dtype=np.int64)
    table = np.full((len(tests), int(n_tests.max(initial=1))), -1)
    for row, nodes in zip(table, tests, strict=True):
        row[: len(nodes)] = nodes
    bounds = np.cumsum([0, *(len(leaves) for _, (_, leaves) in patches)])
    leaves = np.array([leaf for _, (_, group) in patches for leaf in group], dtype=np.int64)
    return table, n_tests, bounds, leaves
