"""Sums of leaves equal the booster's own to the last bit, or are not offered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.explain.tree_margin import compile_margin
from biomarker.explain.tree_paths import UnsupportedTreesError

xgboost = pytest.importorskip("xgboost")


def rows_of(n: int, seed: int) -> Any:
    """Rows with ties and missing values."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)).astype(np.float32)
    X[:, 3] = rng.integers(0, 3, n)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


def trained(seed: int, depth: int, rounds: int, **settings_: Any) -> Any:
    """A booster of these trees."""
    X = rows_of(300, seed)
    noise = np.random.default_rng(seed).normal(size=len(X))
    y = np.nan_to_num(X[:, 0] * X[:, 1]) + noise
    if settings_.get("objective") == "binary:logistic":
        y = y > 0
    options = {"max_depth": depth, "nthread": 1, "seed": seed} | settings_
    return xgboost.train(options, xgboost.DMatrix(X, y), rounds)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    depth=st.integers(1, 5),
    rounds=st.integers(1, 40),
    objective=st.sampled_from(["reg:squarederror", "binary:logistic"]),
    base=st.sampled_from([0.1, 0.5, 0.93]),
)
def test_every_bit_is_the_boosters(
    seed: int, depth: int, rounds: int, objective: str, base: float
) -> None:
    """For any trees, rows, missing values and memory order; a row's sum is its own."""
    booster = trained(seed, depth, rounds, objective=objective, base_score=base)
    rows = rows_of(700, seed + 1)
    theirs = booster.inplace_predict(rows, predict_type="margin")
    ours = compile_margin(booster)
    assert np.array_equal(ours.margin(rows), theirs)
    assert np.array_equal(ours.margin(np.asfortranarray(rows)), theirs)
    assert np.array_equal(ours.margin(rows[123:125]), theirs[123:125])


def test_deep_trees_are_refused() -> None:
    """A tree of more leaves than a mask has bits is left to the booster."""
    booster = trained(0, 8, 3, min_child_weight=0.0, reg_lambda=0.0)
    with pytest.raises(UnsupportedTreesError, match="32 leaves"):
        compile_margin(booster)


def test_a_single_leaf_is_a_tree() -> None:
    """Trees that never split add their one leaf."""
    booster = trained(0, 2, 3, gamma=1e9)
    rows = rows_of(5, 1)
    theirs = booster.inplace_predict(rows, predict_type="margin")
    assert np.array_equal(compile_margin(booster).margin(rows), theirs)
