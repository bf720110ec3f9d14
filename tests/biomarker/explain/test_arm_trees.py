"""A booster with the arm held fixed explains what the booster says of patients in that arm."""

from __future__ import annotations

import json
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.explain.arm_trees import paths_with_arm_fixed
from biomarker.explain.tree_paths import UnsupportedTreesError

Floats = npt.NDArray[np.float64]


def trained(depth: int, seed: int = 0, rounds: int = 12, **params: Any) -> tuple[Any, Floats]:
    """A booster that splits often on column 0, the arm, and 300 rows with missing values."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.integers(0, 2, 300), rng.normal(size=(300, 3)).round(1)]).astype(float)
    y = X[:, 0] * (X[:, 1] + 0.5) + X[:, 2] + 0.3 * rng.normal(size=300)
    X[:, 1:][rng.random((300, 3)) < 0.1] = np.nan
    given = {"max_depth": depth, "nthread": 1, "learning_rate": 0.3} | params
    return xgboost.train(given, xgboost.DMatrix(X, y), rounds), X


def value(node: dict[str, Any], row: Floats, known: frozenset[int]) -> float:
    """Expectation of a tree where the known features are the row's and others go both ways."""
    if "leaf" in node:
        return float(node["leaf"])
    children = {child["nodeid"]: child for child in node["children"]}
    feature = int(node["split"].removeprefix("f"))
    if feature in known:
        x, threshold = np.float32(row[feature]), np.float32(node["split_condition"])
        side = "missing" if np.isnan(x) else "yes" if x < threshold else "no"
        return value(children[node[side]], row, known)
    return sum(c["cover"] / node["cover"] * value(c, row, known) for c in children.values())


@pytest.mark.parametrize("side", [0.0, 1.0])
def test_shares_are_the_shapley_values_of_the_game_in_which_the_arm_is_known(side: float) -> None:
    """All coalitions of the other columns, the arm known in each, give the same shares."""
    booster, X = trained(3)
    trees = [json.loads(text) for text in booster.get_dump("", True, "json")]
    found = paths_with_arm_fixed(booster, {0: side}).contributions(X[:4])
    for row, ours in zip(X[:4], found, strict=True):
        there = row.copy()
        there[0] = side
        worth = {
            frozenset(s): sum(value(tree, there, frozenset((0, *s))) for tree in trees)
            for k in range(4)
            for s in combinations((1, 2, 3), k)
        }
        for i in (1, 2, 3):
            share = sum(
                factorial(len(s)) * factorial(2 - len(s)) / 6 * (worth[s | {i}] - own)
                for s, own in worth.items()
                if i not in s
            )
            assert ours[i] == pytest.approx(share, abs=1e-5)
        assert ours[0] == 0.0


@given(depth=st.integers(1, 6), seed=st.integers(0, 30), side=st.sampled_from([0.0, 1.0]))
@settings(max_examples=25, deadline=None)
def test_margins_are_those_of_the_same_patients_in_that_arm(
    depth: int, seed: int, side: float
) -> None:
    """For any depth and data the shares sum to the booster's prediction with the arm changed."""
    booster, X = trained(depth, seed)
    there = X.copy()
    there[:, 0] = side
    wanted = booster.predict(xgboost.DMatrix(there), output_margin=True)
    np.testing.assert_allclose(
        paths_with_arm_fixed(booster, {0: side}).margin(X), wanted, atol=1e-4
    )


def test_the_base_value_is_the_expectation_with_the_arm_known() -> None:
    """Unlike the booster's own base value, it differs between the arms by their mean effect."""
    booster, X = trained(3)
    trees = [json.loads(text) for text in booster.get_dump("", True, "json")]
    base = booster.predict(xgboost.DMatrix(X), pred_contribs=True)[0, -1]
    nobody = frozenset[int]()
    start = base - sum(value(tree, X[0], nobody) for tree in trees)
    for side in (0.0, 1.0):
        row = np.array([side, 0, 0, 0])
        wanted = start + sum(value(tree, row, frozenset({0})) for tree in trees)
        assert paths_with_arm_fixed(booster, {0: side}).base_value == pytest.approx(
            wanted, abs=1e-5
        )


def test_trees_that_only_split_on_the_arm_become_constants() -> None:
    """Nothing is left to attribute, and the base value is the prediction."""
    X = np.repeat([[0.0, 1.0], [1.0, 1.0]], 30, axis=0)
    booster = xgboost.train({"max_depth": 2, "nthread": 1}, xgboost.DMatrix(X, X[:, 0]), 5)
    fixed = paths_with_arm_fixed(booster, {0: 1.0})
    there = booster.predict(xgboost.DMatrix(X[-1:]))
    assert np.all(fixed.contributions(X)[:, :-1] == 0.0)
    assert fixed.base_value == pytest.approx(float(there[0]), abs=1e-6)


def test_trees_without_paths_are_refused() -> None:
    """A booster that no tables fit is refused before it is walked."""
    booster, _ = trained(2, booster="dart")
    with pytest.raises(UnsupportedTreesError, match="gbtree"):
        paths_with_arm_fixed(booster, {0: 1.0})
