"""The game of columns: its plan, its margins, and how its error falls with the budget."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xgboost

from biomarker.explain.coalitions import Plan, make_plan, play, set_up
from biomarker.explain.scales import LinkTable

Floats = Any


def rows(n: int, p: int, seed: int = 0) -> Floats:
    """Normal features, exact in single precision."""
    found = np.random.default_rng(seed).normal(size=(n, p))
    return found.astype(np.float32).astype(np.float64)


def grown(p: int = 6, depth: int = 4, n_trees: int = 25) -> Any:
    """A tree model of the protocol's form, its margin of reversed sign."""
    X = rows(400, p)
    y = X[:, 0] * X[:, 1] + X[:, 2] + np.maximum(X[:, 3], 0)
    settings = {"max_depth": depth, "learning_rate": 0.2, "nthread": 1, "base_score": 0.7}
    booster = xgboost.train(settings, xgboost.DMatrix(X, y), n_trees)

    def margin(features: Floats) -> Floats:
        return -booster.predict(xgboost.DMatrix(features), output_margin=True).astype(np.float64)

    return SimpleNamespace(
        attribution="tree", booster_=booster, contribution_sign=-1, predict_margin=margin
    )


def table(low: float, high: float, link: Any, n: int = 20_001) -> LinkTable:
    """A link read off a fine grid."""
    at = np.linspace(low - 1e-6, high + 1e-6, n)
    return LinkTable(float(at[0]), float(at[1] - at[0]), link(at), 0.0)


def identity(margin: Floats) -> Floats:
    """The margin itself."""
    return margin[:, None]


def squash(margin: Floats) -> Floats:
    """Two bent links at once."""
    return np.column_stack([np.exp(-np.exp(margin)), np.tanh(margin)])


@pytest.mark.parametrize(("n", "b", "budget", "exact"), [(3, 10, 80, True), (3, 10, 79, False),
                                                        (17, 1, 2**20, False), (1, 99, 1, True),
                                                        (0, 5, 1, True)])  # fmt: skip
def test_the_plan_spends_no_more_than_the_budget(n: int, b: int, budget: int, exact: bool) -> None:
    """Everything where it fits, else as many pairs of orders as fit; one column needs no order."""
    if (n, budget) == (3, 79):
        with pytest.raises(ValueError, match="budget must be at least 80"):
            make_plan(n, b, budget)
        return
    plan = make_plan(n, b, budget)
    assert plan.exact == exact
    assert plan.n_coalitions <= max(budget, 2**n * b if exact else 0)
    if not exact:
        assert plan.n_coalitions == 2 * plan.n_pairs * (n - 1) * b > budget - 2 * (n - 1) * b


@pytest.mark.parametrize("depth", [1, 3, 6, 9])
def test_tree_margins_are_the_boosters_own(depth: int) -> None:
    """Sums of table entries and the booster agree, for any depth that has tables."""
    model = grown(depth=depth)
    X, background = rows(40, 6, seed=1), rows(7, 6, seed=2)
    players = set_up(model, tuple(range(6)), X, background)
    np.testing.assert_allclose(players.parts(X)[2], model.predict_margin(X), atol=1e-5)
    np.testing.assert_allclose(
        players.game.background_margin, model.predict_margin(background), atol=1e-5
    )
    margins = np.concatenate([players.parts(X)[2], players.game.background_margin])
    assert players.low <= margins.min() <= margins.max() <= players.high


def test_missing_values_go_the_trees_own_way() -> None:
    """Boosters of other callers may meet them."""
    model = grown()
    X = rows(60, 6, seed=1)
    X[np.random.default_rng(4).random(X.shape) < 0.3] = np.nan
    players = set_up(model, tuple(range(6)), X, X)
    np.testing.assert_allclose(players.parts(X)[2], model.predict_margin(X), atol=1e-5)


@pytest.mark.parametrize("exact", [True, False])
def test_linear_margins_have_their_closed_form(exact: bool) -> None:
    """On the margin itself each column's value is its part less the background's mean part."""
    X, background = rows(30, 7, seed=1), rows(9, 7, seed=2)
    coef = np.array([0.5, -1.0, 0.0, 2.0, 0.3, 0.1, -0.2])
    owner = (0, 0, 1, 2, 3, 3, 4)
    model = SimpleNamespace(attribution="linear", coef_=coef, intercept_=0.4)
    players = set_up(model, owner, X, background)
    assert players.active == (0, 2, 3, 4)
    plan = make_plan(4, 9, 2**4 * 9 if exact else 2**4 * 9 - 1)
    assert plan.exact == exact
    link = table(players.low, players.high, identity)
    found = play(players, plan, link, X, np.random.default_rng(0))
    parts = coef * (X - background.mean(axis=0))
    wanted = np.column_stack([parts[:, np.equal(owner, j)].sum(axis=1) for j in players.active])
    np.testing.assert_allclose(found.values[:, :, 0], wanted, atol=1e-9)
    # An order changes nothing in a sum.
    np.testing.assert_allclose(found.standard_error, 0, atol=1e-7)


def sampled(players: Any, X: Floats, link: LinkTable, n_pairs: int, seed: int = 0) -> Any:
    """Values from so many pairs of orders a background patient."""
    k, b = len(players.active), len(players.game.background_margin)
    plan = Plan(False, k, b, n_pairs, 0)
    return play(players, plan, link, X, np.random.default_rng(seed))


def test_sampled_values_come_to_the_exact_ones() -> None:
    """With sixteen times the orders the error is a quarter, and what is stated falls with it."""
    model = grown()
    X, background = rows(30, 6, seed=1), rows(8, 6, seed=2)
    players = set_up(model, tuple(range(6)), X, background)
    link = table(players.low, players.high, squash)
    exact = play(players, make_plan(len(players.active), 8, 2**14), link, X,
                 np.random.default_rng(0)).values  # fmt: skip
    few, many = (sampled(players, X, link, n) for n in (8, 128))
    error = [np.sqrt(np.square(f.values - exact).mean()) for f in (few, many)]
    stated = [np.sqrt(np.square(f.standard_error).mean()) for f in (few, many)]
    assert 0.15 < error[1] / error[0] < 0.4
    assert 0.2 < stated[1] / stated[0] < 0.3
    assert 0.75 < error[1] / stated[1] < 1.3
    far = np.abs(many.values - exact) > 3 * many.standard_error + 1e-12
    assert far.mean() < 0.01


def test_columns_that_play_alike_get_alike() -> None:
    """Two columns with one coefficient and equal values in patient and background."""
    X, background = rows(20, 3, seed=1), rows(5, 3, seed=2)
    X[:, 1], background[:, 1] = X[:, 0], background[:, 0]
    model = SimpleNamespace(attribution="linear", coef_=np.array([1, 1, -0.5]), intercept_=0.0)
    players = set_up(model, (0, 1, 2), X, background)
    link = table(players.low, players.high, squash)
    found = play(players, make_plan(3, 5, 100), link, X, np.random.default_rng(0)).values
    np.testing.assert_allclose(found[:, 0], found[:, 1], atol=1e-12)
    assert np.abs(found[:, 0] - found[:, 2]).max() > 0.1
