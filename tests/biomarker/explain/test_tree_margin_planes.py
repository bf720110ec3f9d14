"""Planes of bits add the leaves that walking each tree finds, in the trees' order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.explain.tree_forest import Nodes
from biomarker.explain.tree_margin import compile_margin
from biomarker.explain.tree_margin_planes import planes_of, sum_leaves
from biomarker.explain.tree_margin_planes_kernel import ROWS

xgboost = pytest.importorskip("xgboost")

Tree = dict[str, list[Any]]


def grown(rng: np.random.Generator, depth: int, n_features: int) -> Tree:
    """A random tree as a booster stores it; thresholds repeat, so that trees share tests."""
    tree: Tree = {
        "left_children": [], "right_children": [], "split_indices": [], "split_conditions": [],
        "default_left": [],
    }  # fmt: skip

    def node(level: int) -> int:
        here = len(tree["left_children"])
        for found in tree.values():
            found.append(0)
        if level == depth or rng.random() < 0.2:
            tree["left_children"][here] = tree["right_children"][here] = -1
            tree["split_conditions"][here] = float(np.float32(rng.normal()))
            return here
        tree["split_indices"][here] = int(rng.integers(n_features))
        tree["split_conditions"][here] = float(np.float32(rng.integers(-3, 4) / 3))
        tree["default_left"][here] = int(rng.integers(2))
        tree["left_children"][here] = node(level + 1)
        tree["right_children"][here] = node(level + 1)
        return here

    node(0)
    return tree


def laid(trees: list[Tree]) -> Nodes:
    """Their nodes, one after another."""
    sizes = [len(tree["left_children"]) for tree in trees]
    root = np.cumsum([0, *sizes])[:-1]

    def joined(key: str, kind: Any, shift: bool = False) -> Any:
        values = [
            k + begin if shift and k >= 0 else k
            for tree, begin in zip(trees, root, strict=True)
            for k in tree[key]
        ]
        return np.array(values, kind)

    return Nodes(
        root, joined("left_children", np.int64, True), joined("right_children", np.int64, True),
        joined("split_indices", np.int64), joined("split_conditions", np.float32),
        joined("default_left", np.bool_), np.ones(sum(sizes)), 3,
    )  # fmt: skip


def walked(trees: list[Tree], rows: Any, start: float) -> Any:
    """Each row down each tree, one comparison at a time."""
    out = np.full(len(rows), start, np.float32)
    for tree in trees:
        for i, row in enumerate(rows):
            at = 0
            while tree["left_children"][at] >= 0:
                value = row[tree["split_indices"][at]]
                under = value < np.float32(tree["split_conditions"][at])
                left = bool(tree["default_left"][at]) if np.isnan(value) else under
                at = tree["left_children" if left else "right_children"][at]
            out[i] += np.float32(tree["split_conditions"][at])
    return out


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_trees=st.integers(0, 12),
    depth=st.integers(0, 4),
    n=st.sampled_from([0, 1, ROWS - 1, ROWS, ROWS + 1, 8 * ROWS, 9 * ROWS + 5]),
)
def test_sums_are_those_of_walking_the_trees(seed: int, n_trees: int, depth: int, n: int) -> None:
    """Missing values either way, values at thresholds and infinities, any number of rows."""
    rng = np.random.default_rng(seed)
    trees = [grown(rng, depth, 3) for _ in range(n_trees)]
    rows = (rng.integers(-4, 5, (n, 3)) / 3).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    rows[rng.random(rows.shape) < 0.02] = np.inf
    planes = planes_of(laid(trees))
    assert planes is not None
    expected = walked(trees, rows, 0.25)
    for features in (rows, np.asfortranarray(rows)):
        out = np.full(n, 0.25, np.float32)
        sum_leaves(planes, features, out)
        assert out.tobytes() == expected.tobytes()


def test_a_test_that_trees_share_is_asked_once() -> None:
    """So many tests as there are pairs of feature and threshold, whatever the number of trees."""
    rng = np.random.default_rng(1)
    planes = planes_of(laid([grown(rng, 4, 3) for _ in range(200)]))
    assert planes is not None
    assert len(planes.threshold) <= 3 * 7 * 2


def test_deeper_trees_are_left_to_the_masks() -> None:
    """One leaf below the fourth split is enough; the sums stay the booster's own."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 3)).astype(np.float32)
    data = xgboost.DMatrix(X, X[:, 0] * X[:, 1])
    for depth, planes in ((4, True), (5, False)):
        booster = xgboost.train({"max_depth": depth, "nthread": 1}, data, 10)
        found = compile_margin(booster)
        assert hasattr(found.trees, "node") is planes
        theirs = booster.inplace_predict(X, predict_type="margin")
        assert np.array_equal(found.margin(X), theirs)
