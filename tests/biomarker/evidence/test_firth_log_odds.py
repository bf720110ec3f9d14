"""Penalised logistic regression: half a patient more in each cell, and an independent maximum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from biomarker.evidence.firth_log_odds import fit_firth_log_odds


@pytest.mark.parametrize(
    ("responders", "sizes"), [((0, 4), (5, 9)), ((3, 3), (3, 8)), ((2, 5), (10, 10))]
)
def test_two_groups_are_a_table_with_a_half_in_each_cell(
    responders: tuple[int, int], sizes: tuple[int, int]
) -> None:
    """A saturated 2 x 2 table: log odds ratio of the counts plus one half, empty cells or not."""
    group = np.repeat([0.0, 1.0], sizes)
    y = np.concatenate([np.arange(n) < r for r, n in zip(responders, sizes, strict=True)])
    fit = fit_firth_log_odds(np.column_stack([np.ones(len(y)), group]), y[None, :])
    odds = [(r + 0.5) / (n - r + 0.5) for r, n in zip(responders, sizes, strict=True)]
    assert fit.coefficients[0, 1] == pytest.approx(np.log(odds[1] / odds[0]), abs=1e-6)
    assert fit.converged[0]


@given(st.lists(st.integers(1, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
                min_size=4, max_size=4))  # fmt: skip
def test_four_groups_with_an_interaction_are_tables_with_a_half_in_each_cell(
    groups: list[tuple[int, int]],
) -> None:
    """Whatever their sizes, one patient included: a saturated model has a closed form.

    Coordinates: log odds of the four groups, (responders + 1/2) / (others + 1/2), as intercept, two
    main effects and their interaction.
    """
    sizes = [n for _, n in groups]
    arm, marker = np.repeat([0.0, 0.0, 1.0, 1.0], sizes), np.repeat([0.0, 1.0, 0.0, 1.0], sizes)
    X = np.column_stack([np.ones(len(arm)), arm, marker, arm * marker])
    y = np.concatenate([np.arange(n) < r for r, n in groups])
    fit = fit_firth_log_odds(X, y[None, :])
    a, b, c, d = (np.log((r + 0.5) / (n - r + 0.5)) for r, n in groups)
    assert fit.converged[0]
    np.testing.assert_allclose(fit.coefficients[0], [a, c - a, b - a, d - c - b + a], atol=1e-6)


def test_the_maximum_is_the_one_an_independent_search_finds() -> None:
    """Also with a column held: the penalty stays that of all columns."""
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(40), rng.normal(size=(40, 2))])
    y = rng.random(40) < 0.3

    def loss(coef: np.ndarray) -> float:
        eta = X @ coef
        chance = 1.0 / (1.0 + np.exp(-eta))
        information = X.T @ (X * (chance * (1 - chance))[:, None])
        height = np.sum(y * eta - np.logaddexp(0, eta))
        return -(height + 0.5 * np.linalg.slogdet(information)[1])

    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 5000}
    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options=options)
    found = fit_firth_log_odds(X, y[None, :])
    np.testing.assert_allclose(found.coefficients[0], best.x, atol=1e-6)
    held = minimize(lambda c: loss(np.append(c, 0.0)), np.zeros(2), method="Nelder-Mead",
                    options=options)  # fmt: skip
    kept = fit_firth_log_odds(X, y[None, :], free=[0, 1])
    np.testing.assert_allclose(kept.coefficients[0, :2], held.x, atol=1e-6)
    gain = 2 * (found.log_likelihood[0] - kept.log_likelihood[0])
    assert gain == pytest.approx(2 * (held.fun - best.fun), abs=1e-8)


def test_dependent_columns_do_not_converge() -> None:
    """And never carry a number that looks like one."""
    X = np.column_stack([np.ones(6), np.arange(6.0), np.arange(6.0)])
    fit = fit_firth_log_odds(X, np.array([[True, False] * 3]))
    assert not fit.converged[0]
