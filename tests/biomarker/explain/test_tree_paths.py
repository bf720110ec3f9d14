"""Tree Shapley values from tables are exact, for any row, tree and number of threads."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xgboost

from biomarker.explain import tree_paths
from biomarker.explain.contributions import _tree_shares
from biomarker.explain.tree_paths import UnsupportedTreesError, compile_paths

Floats = npt.NDArray[np.float64]


class Saved:
    """Trees written by hand: what ``save_raw`` gives, and a base value."""

    feature_names = None

    def __init__(self, *trees: dict[str, Any], n_features: int = 2, **model: Any) -> None:
        self.learner = {
            "learner_model_param": {"num_feature": str(n_features), "num_class": "0"} | model,
            "gradient_booster": {"name": "gbtree", "model": {"trees": list(trees)}},
        }

    def save_raw(self, _: str) -> bytearray:
        """The model as JSON."""
        return bytearray(json.dumps({"learner": self.learner}).encode())

    def predict(self, _: Any, pred_contribs: bool) -> Floats:
        """A base value only."""
        return np.zeros((1, 3))


def tree(**changes: Any) -> dict[str, Any]:
    """x0 < 0 and x1 < 0 give 1, all else 0; a missing x0 goes left, a missing x1 right.

    Of training weight 8, 4 goes left at the root, and of this 1 goes left again.
    """
    return {
        "tree_param": {"size_leaf_vector": "1"},
        "left_children": [1, 3, -1, -1, -1],
        "right_children": [2, 4, -1, -1, -1],
        "split_indices": [0, 1, 0, 0, 0],
        "split_conditions": [0.0, 0.0, 0.0, 1.0, 0.0],
        "default_left": [1, 0, 0, 0, 0],
        "sum_hessian": [8.0, 4.0, 4.0, 1.0, 3.0],
        "split_type": [0, 0, 0, 0, 0],
    } | changes


def trained(depth: int, n_features: int = 6, rounds: int = 20, **params: Any) -> Any:
    """A booster on 400 rows of noise and products, a tenth of the values missing."""
    rng = np.random.default_rng(depth)
    X = rng.normal(size=(400, n_features)).round(1)
    y = X[:, 0] * X[:, 1] + np.abs(X[:, -1]) + rng.normal(size=400)
    X[rng.random(X.shape) < 0.1] = np.nan
    if params.get("objective") == "binary:logistic":
        y = (y > 0).astype(float)
    settings = {"max_depth": depth, "nthread": 1, "learning_rate": 0.3, "verbosity": 0} | params
    return xgboost.train(settings, xgboost.DMatrix(X, y), rounds)


def drawn(n: int, n_features: int = 6, seed: int = 9) -> Floats:
    """Rows with a fifth of the values missing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, n_features))
    X[rng.random(X.shape) < 0.2] = np.nan
    return X


def theirs(booster: Any, X: Floats, **kind: bool) -> Floats:
    """The booster's own answer."""
    return np.asarray(booster.predict(xgboost.DMatrix(X), **kind), dtype=np.float64)


def coalition_value(booster: Any, row: Floats, known: frozenset[int]) -> float:
    """Sum over trees of the value where unknown features go both ways by training weight."""

    def value(node: dict[str, Any]) -> float:
        if "leaf" in node:
            return float(node["leaf"])
        children = {child["nodeid"]: child for child in node["children"]}
        feature = int(node["split"].removeprefix("f"))
        if feature not in known:
            return sum(c["cover"] / node["cover"] * value(c) for c in children.values())
        x, threshold = np.float32(row[feature]), np.float32(node["split_condition"])
        side = "missing" if np.isnan(x) else "yes" if x < threshold else "no"
        return value(children[node[side]])

    return sum(value(json.loads(t)) for t in booster.get_dump("", True, "json"))


def shapley(game: Callable[[frozenset[int]], float], p: int) -> tuple[Floats, Floats]:
    """Shapley values, and Shapley interactions halved, from every coalition."""
    worth = {
        frozenset(s): game(frozenset(s)) for k in range(p + 1) for s in combinations(range(p), k)
    }
    values, pairs = np.zeros(p), np.zeros((p, p))
    for s, own in worth.items():
        k = len(s)
        for i in set(range(p)) - s:
            weight = factorial(k) * factorial(p - k - 1) / factorial(p)
            values[i] += weight * (worth[s | {i}] - own)
            for j in set(range(p)) - s - {i}:
                weight = factorial(k) * factorial(p - k - 2) / factorial(p - 1)
                joint = worth[s | {i, j}] - worth[s | {i}] - worth[s | {j}] + own
                pairs[i, j] += weight * joint / 2
    return values, pairs


def test_two_splits_give_the_shares_worked_out_by_hand() -> None:
    """With z0 in {o0, 1/2} and z1 in {o1, 1/4} the margin is z0 z1 of the one leaf above 0.

    A row that follows both: v() = 1/8, v(0) = 1/4, v(1) = 1/2, v(01) = 1; share of 0:
    ((1/4 - 1/8) + (1 - 1/2)) / 2 = 5/16, of 1: ((1/2 - 1/8) + (1 - 1/4)) / 2 = 9/16;
    half the interaction: (1 - 1/4 - 1/2 + 1/8) / 2 = 3/16. A row that follows 0 only: v(1) = 0 and
    v(01) = 0: 1/16 and -3/16. One that follows 1 only: v(0) = 0, v(1) = 1/2: -5/16 and 3/16. One
    that follows neither: all 0 but v(): -1/16 and -1/16. Missing: x0 follows, x1 does not.
    """
    paths = compile_paths(Saved(tree()))
    rows = [[-1, -1], [-1, 1], [1, -1], [1, 1], [np.nan, -1], [-1, np.nan], [0, 0]]
    expected = np.array([[5, 9], [1, -3], [-5, 3], [-1, -1], [5, 9], [1, -3], [-1, -1]]) / 16
    np.testing.assert_allclose(paths.contributions(rows)[:, :2], expected, atol=1e-7)
    both = paths.interactions(rows[:1])[0]
    np.testing.assert_allclose(both, [[2 / 16, 3 / 16], [3 / 16, 6 / 16]], atol=1e-7)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
def test_values_and_interactions_are_those_of_every_coalition(depth: int) -> None:
    """A brute-force sum over all coalitions of the dumped trees gives the same numbers.

    Five features, so that deep paths test some of them twice; missing values included.
    """
    booster, X = trained(depth, n_features=5, rounds=4), drawn(8, n_features=5)
    paths = compile_paths(booster)
    ours, both = paths.contributions(X), paths.interactions(X)
    for r, row in enumerate(X):
        values, pairs = shapley(lambda known, row=row: coalition_value(booster, row, known), 5)
        np.testing.assert_allclose(ours[r, :5], values, atol=2e-6)
        np.testing.assert_allclose(both[r] - np.diag(np.diag(both[r])), pairs, atol=2e-6)
        np.testing.assert_allclose(both[r].sum(axis=1), values, atol=2e-6)


@pytest.mark.parametrize(
    ("depth", "params"),
    [
        (3, {}),
        (4, {"objective": "binary:logistic"}),
        (6, {"gamma": 1.0}),  # pruning leaves dead nodes behind
        (6, {"grow_policy": "lossguide", "max_leaves": 20}),
        (8, {"num_parallel_tree": 2, "subsample": 0.5}),
        (10, {"min_child_weight": 0}),
    ],
)
def test_values_agree_with_the_booster(depth: int, params: dict[str, Any]) -> None:
    """Within 1e-5 of the booster's own call, base value the same; rows sum to the margin."""
    booster, X = trained(depth, **params), drawn(3000)
    ours = compile_paths(booster).contributions(X)
    reference = theirs(booster, X, pred_contribs=True)
    assert np.abs(ours - reference).max() < 1e-5
    assert np.all(ours[:, -1] == reference[:, -1])
    assert np.abs(ours.sum(axis=1) - theirs(booster, X, output_margin=True)).max() < 1e-5
    np.testing.assert_array_equal(compile_paths(booster).margin(X), ours.sum(axis=1))
    some = X[:50]
    pairs = theirs(booster, some, pred_interactions=True)[:, :-1, :-1]
    assert np.abs(compile_paths(booster).interactions(some) - pairs).max() < 2e-5


def test_values_at_a_threshold_go_right() -> None:
    """At, just below and just above every threshold, and where float64 rounds onto one."""
    booster = trained(4)
    nodes = booster.trees_to_dataframe()
    at = nodes.Split.dropna().unique().astype(np.float32)
    below, above = np.nextafter(at, np.float32(-9)), np.nextafter(at, np.float32(9))
    near = at.astype(np.float64) * (1 - 1e-12)
    values = np.concatenate([at, below, above, near]).astype(np.float64)
    X = np.random.default_rng(0).choice(values, size=(2000, 6))
    ours = compile_paths(booster).contributions(X)
    assert np.abs(ours - theirs(booster, X, pred_contribs=True)).max() < 1e-5


def test_many_features_and_features_no_tree_tests() -> None:
    """Three hundred columns fill many bands; one that no tree tests gets exactly nothing."""
    booster, X = trained(4, n_features=300, rounds=60), drawn(500, n_features=300)
    paths = compile_paths(booster)
    ours = paths.contributions(X)
    assert np.abs(ours - theirs(booster, X, pred_contribs=True)).max() < 1e-5
    idle = np.setdiff1d(np.arange(300), paths.used)
    assert len(idle) > 0
    assert len(paths.used) > 100
    assert np.all(ours[:, idle] == 0)


def test_threads_and_blocks_change_no_bit() -> None:
    """Any number of threads, and rows alone or together, give the same bits."""
    booster, X = trained(6), drawn(5000)
    paths = compile_paths(booster)
    alone = paths.contributions(X)
    for threads in (2, 3, 8):
        assert paths.contributions(X, threads).tobytes() == alone.tobytes()
    for part in (slice(0, 1), slice(17, 40), slice(1000, 4000)):
        assert paths.contributions(X[part]).tobytes() == alone[part].tobytes()
    some = X[:300]
    assert paths.interactions(some, 2).tobytes() == paths.interactions(some).tobytes()


def test_a_booster_trained_further_is_read_again() -> None:
    """Tables are kept with the booster, for as long as its trees are the same."""
    booster = trained(3)
    first = compile_paths(booster)
    assert compile_paths(booster) is first
    X = drawn(400)
    booster.update(xgboost.DMatrix(X, np.nan_to_num(X[:, 0])), 20)
    later = compile_paths(booster)
    assert later is not first
    gap = later.contributions(X) - theirs(booster, X, pred_contribs=True)
    assert np.abs(gap).max() < 1e-5


def test_no_rows_no_splits_and_no_trees() -> None:
    """Nothing to explain gives an empty answer; a model without splits its base value only."""
    assert compile_paths(trained(2)).contributions(np.empty((0, 6))).shape == (0, 7)
    for booster in (trained(3, gamma=1e9), trained(3, rounds=0)):
        X = drawn(5)
        ours = compile_paths(booster).contributions(X)
        np.testing.assert_array_equal(ours, theirs(booster, X, pred_contribs=True))
        assert not compile_paths(booster).interactions(X).any()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((3, 5)), r"X must have shape \(n_rows, 6\); got \(3, 5\)"),
        (np.zeros(6), r"got \(6,\)"),
        (np.full((2, 6), np.inf), "12 infinite"),
        (np.full((1, 6), 1e39), "6 infinite"),
    ],
)
def test_rows_the_booster_would_not_take_are_refused(X: Floats, message: str) -> None:
    """A wrong width, and values infinite in single precision."""
    with pytest.raises(ValueError, match=message):
        compile_paths(trained(2)).contributions(X)


def test_threads_must_be_a_number_of_threads() -> None:
    """Zero threads do no work."""
    with pytest.raises(ValueError, match="threads must be at least 1; got 0"):
        compile_paths(trained(2)).contributions(drawn(3), threads=0)


def several_classes() -> Any:
    """One output per class."""
    y = np.arange(30) % 3
    settings = {"objective": "multi:softprob", "num_class": 3}
    return xgboost.train(settings, xgboost.DMatrix(drawn(30), y), 2)


def on_categories() -> Any:
    """A split on levels rather than a threshold."""
    X = np.arange(60).reshape(-1, 1) % 5
    y = (X[:, 0] % 2).astype(float)
    matrix = xgboost.DMatrix(X, y, feature_types=["c"], enable_categorical=True)
    return xgboost.train({"min_child_weight": 0}, matrix, 2)


def vector_leaves() -> Any:
    """One tree for two targets."""
    X = drawn(50)
    matrix = xgboost.DMatrix(X, np.nan_to_num(X[:, :2]))
    return xgboost.train({"multi_strategy": "multi_output_tree"}, matrix, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: trained(2, booster="dart", rate_drop=0.5), "kind gbtree; got dart"),
        (lambda: trained(2, booster="gblinear"), "kind gbtree; got gblinear"),
        (several_classes, "one output; got 3"),
        (vector_leaves, "one output; got 2"),
        (on_categories, "on categories"),
        (lambda: trained(11, min_child_weight=0), "at most 10 splits deep"),
        (lambda: Saved(tree(left_children=[1, 9, -1, -1, -1])), "inside their tree"),
        (lambda: Saved(tree(left_children=[1, 0, -1, -1, -1])), "inside their tree"),
        (lambda: Saved(tree(split_indices=[0, 2, 0, 0, 0])), "inside their tree"),
        (lambda: Saved(tree(left_children=[1, 2, -1, -1, -1])), "one parent"),
        (lambda: Saved(tree(sum_hessian=[8, 0, 4, 0, 0])), r"1 of 2 split\(s\) without weight"),
        (lambda: Saved(tree(split_conditions=[0, 0, 0, 1e39, 0])), "finite values"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_boosters_are_refused_with_the_reason(make: Callable[[], Any], message: str) -> None:
    """What has no tables here, or would send compiled code astray, is named."""
    with pytest.raises(UnsupportedTreesError, match=message):
        compile_paths(make())


def test_tables_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded before any table is made."""
    monkeypatch.setattr(tree_paths, "_MOST_TABLE", 100)
    with pytest.raises(UnsupportedTreesError, match="tables must stay below 100 numbers"):
        compile_paths(trained(3))


@pytest.mark.parametrize("depth", [3, 11])
def test_a_model_too_deep_for_tables_is_explained_by_its_booster(depth: int) -> None:
    """Attribution falls back on the booster's own call; either way rows sum to the margin."""

    class Model:
        booster_ = trained(depth, min_child_weight=0)
        contribution_sign = -1

    X = drawn(100)
    shares, base = _tree_shares(Model(), X)
    margin = -theirs(Model.booster_, X, output_margin=True)
    np.testing.assert_allclose(shares.sum(axis=1) + base, margin, atol=1e-4)
