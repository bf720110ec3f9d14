"""Identities of tree Shapley values on any booster and any rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.explain.tree_paths import compile_paths

Floats = npt.NDArray[np.float64]
several = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int) -> tuple[Any, Floats, np.random.Generator]:
    """A booster of any shape on tied, skewed and missing columns, and rows to explain."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(20, 200)), int(rng.integers(1, 12))
    X = rng.normal(size=(2 * n, p)) * 10.0 ** rng.integers(-3, 4, p)
    coarse = rng.random(p) < 0.4
    X[:, coarse] = np.sign(X[:, coarse])
    y = np.sign(X[:n, 0]) * X[:n, -1] / X[:, -1].std() + rng.normal(size=n)
    X[rng.random(X.shape) < rng.choice([0.0, 0.1, 0.6])] = np.nan
    params = {
        "max_depth": int(rng.integers(1, 8)),
        "learning_rate": float(rng.choice([0.05, 0.5])),
        "min_child_weight": float(rng.choice([0.0, 1.0, 5.0])),
        "subsample": float(rng.choice([0.5, 1.0])),
        "gamma": float(rng.choice([0.0, 0.0, 0.5])),
        "tree_method": str(rng.choice(["hist", "exact"])),
        "seed": int(rng.integers(1000)),
        "nthread": 1,
    }
    booster = xgboost.train(params, xgboost.DMatrix(X[:n], y), int(rng.integers(1, 30)))
    return booster, X[n:], rng


@several
@given(seeds)
def test_values_are_the_boosters_own_and_sum_to_the_margin(seed: int) -> None:
    """Contributions, bias and interactions agree with the booster's; rows sum to the margin."""
    booster, X, _ = drawn(seed)
    paths = compile_paths(booster)
    ours, both = paths.contributions(X), paths.interactions(X)
    matrix = xgboost.DMatrix(X)
    assert np.abs(ours - booster.predict(matrix, pred_contribs=True)).max() < 1e-5
    pairs = booster.predict(xgboost.DMatrix(X), pred_interactions=True)[:, :-1, :-1]
    assert np.abs(both - pairs).max() < 3e-5
    margin = booster.predict(xgboost.DMatrix(X), output_margin=True)
    assert np.abs(ours.sum(axis=1) - margin).max() < 1e-5


@several
@given(seeds)
def test_order_of_rows_and_sums_of_pairs(seed: int) -> None:
    """Rows may come in any order or repeat; pairs are symmetric and sum to the single shares."""
    booster, X, rng = drawn(seed)
    paths = compile_paths(booster)
    ours, both = paths.contributions(X), paths.interactions(X)
    rows = rng.integers(0, len(X), 300)
    threads = int(rng.integers(1, 4))
    np.testing.assert_array_equal(paths.contributions(X[rows], threads), ours[rows])
    np.testing.assert_array_equal(both, np.swapaxes(both, 1, 2))
    np.testing.assert_allclose(both.sum(axis=2), ours[:, :-1], atol=1e-12)


@several
@given(seeds)
def test_shares_average_to_nothing_over_the_training_weight(seed: int) -> None:
    """A tree on one feature: the mean share of the rows it was trained on is zero.

    With more features the path-dependent expectation is no average over rows.
    """
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(80, 1)).round(1)
    X[rng.random(80) < 0.2] = np.nan
    y = np.nan_to_num(X[:, 0]) ** 2 + rng.normal(size=80)
    params = {"max_depth": int(rng.integers(1, 6)), "nthread": 1, "base_score": 0.0}
    booster = xgboost.train(params, xgboost.DMatrix(X, y), 1)
    shares = compile_paths(booster).contributions(X)
    assert abs(shares[:, 0].mean()) < 1e-6
    assert np.abs(shares.sum(axis=1) - booster.predict(xgboost.DMatrix(X))).max() < 1e-6
