"""What holds of coalition games whatever the model, the link and the patients."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.explain.coalitions import Plan, make_plan, play, set_up
from biomarker.explain.scales import LinkTable


@st.composite
def games(draw: Any) -> tuple[Any, Any, Any, Any]:
    """A linear model of up to six columns, its patients and background, and a bent link."""
    k = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    coef = rng.normal(size=k) * (rng.random(k) < 0.8)
    n, b = draw(st.integers(1, 40)), draw(st.integers(1, 6))
    model = SimpleNamespace(attribution="linear", coef_=coef, intercept_=float(rng.normal()))
    X, background = rng.normal(size=(n, k)), rng.normal(size=(b, k))
    players = set_up(model, tuple(range(k)), X, background)
    at = np.linspace(players.low - 1e-6, players.high + 1e-6, 5000)
    bends = draw(st.lists(st.floats(-3, 3), min_size=1, max_size=3))
    values = np.column_stack([np.exp(-np.exp(at * bend)) for bend in bends])
    return model, players, X, LinkTable(float(at[0]), float(at[1] - at[0]), values, 0.0)


@given(games(), st.integers(2, 4), st.integers(0, 2**32), st.sampled_from([1, 2, 3]))
@settings(max_examples=60, deadline=None)
def test_shares_telescope_and_threads_change_nothing(
    game: Any, n_pairs: int, seed: int, threads: int
) -> None:
    """Sampled or enumerated, shares sum to the prediction less its background mean."""
    _, players, X, link = game
    k, b = len(players.active), len(players.game.background_margin)
    margin = players.parts(X)[2]
    gain = link.at(margin) - link.at(players.game.background_margin).mean(axis=0)
    plans = [make_plan(k, b, 2**k * b)]
    if k:
        plans.append(Plan(False, k, b, n_pairs, 0))
    for plan in plans:
        alone = play(players, plan, link, X, np.random.default_rng(seed))
        np.testing.assert_allclose(alone.values.sum(axis=1), gain if k else 0 * gain, atol=1e-10)
        again = play(players, plan, link, X, np.random.default_rng(seed), threads)
        assert again.values.tobytes() == alone.values.tobytes()
        assert again.standard_error.tobytes() == alone.standard_error.tobytes()


@given(games())
@settings(max_examples=40, deadline=None)
def test_a_patient_who_is_the_background_gets_nothing(game: Any) -> None:
    """Compared with nobody but oneself there is nothing to attribute."""
    model, _, X, link = game
    one = X[:1]
    players = set_up(model, tuple(range(X.shape[1])), one, one)
    plan = make_plan(len(players.active), 1, 2**6)
    found = play(players, plan, link, one, np.random.default_rng(0))
    np.testing.assert_allclose(found.values, 0, atol=1e-12)


@given(games(), st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_columns_is_no_matter(game: Any, random: Any) -> None:
    """Permuting columns permutes exact values."""
    model, players, X, link = game
    k = X.shape[1]
    order = list(range(k))
    random.shuffle(order)
    # The same background is rebuilt from its parts wherever the coefficient is not 0.
    coef = model.coef_
    background = np.zeros((len(players.game.background_margin), k))
    active = list(players.active)
    background[:, active] = players.game.background_parts / coef[active]
    turned = SimpleNamespace(attribution="linear", coef_=coef[order], intercept_=model.intercept_)
    other = set_up(turned, tuple(range(k)), X[:, order], background[:, order])
    b = len(background)
    mine = play(players, make_plan(len(active), b, 2**6 * b), link, X, np.random.default_rng(0))
    theirs = play(other, make_plan(len(active), b, 2**6 * b), link, X[:, order],
                  np.random.default_rng(0))  # fmt: skip
    place = {source: i for i, source in enumerate(active)}
    for i, position in enumerate(other.active):
        np.testing.assert_allclose(
            theirs.values[:, i], mine.values[:, place[order[position]]], atol=1e-9
        )
