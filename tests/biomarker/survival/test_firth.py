"""The penalised Cox likelihood: closed forms, an independent maximum, finite where plain is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from biomarker import survival_outcome
from biomarker.errors import NotEstimableError
from biomarker.survival.firth import firth_fit, firth_likelihood_ratios
from biomarker.survival.partial_likelihood import PartialLikelihood, sort_cohort


def drawn(seed: int, n: int = 60):
    """Tied times, one skewed and one rare column."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    X[:, 1] = X[:, 1] > 1
    time = np.ceil(rng.exponential(size=n) * 10) / 10
    return X, rng.random(n) < 0.5, time, rng.integers(0, 2, n)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_one_column_without_overlap_has_a_closed_form(k: int) -> None:
    """The k exposed die first, at one time, before one other: p^(k+1/2) (1-p)^(1/2) by Breslow.

    With p = k e^b / (k e^b + 1): score k(1-p) + (1 - 2p)/2 = 0 gives p = (k + 1/2) / (k + 1).
    """
    y = survival_outcome([1] * k + [0], [1.0] * k + [2.0])
    X = [[1.0]] * k + [[0.0]]
    p = (k + 0.5) / (k + 1.0)
    expected = np.log(p / (1.0 - p) / k)
    found = firth_fit(X, y, ties="breslow").coefficients[0]
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("stratified", [False, True])
def test_the_maximum_is_the_one_an_independent_search_finds(ties: str, stratified: bool) -> None:
    """Log-likelihood plus half the log determinant, from the plain likelihood's own pieces."""
    X, event, time, codes = drawn(0)
    strata = codes if stratified else None
    plain = PartialLikelihood(
        sort_cohort(X.copy(), event.copy(), time.copy(), stratum=strata), ties
    )

    def loss(coef: np.ndarray) -> float:
        value, _ = plain.evaluate(coef * plain.cohort.scale)
        return -(value + 0.5 * np.linalg.slogdet(plain.information())[1])

    found = firth_fit(X, survival_outcome(event, time), strata=strata, ties=ties)
    best = minimize(loss, np.zeros(3), method="Nelder-Mead",
                    options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 5000})  # fmt: skip
    np.testing.assert_allclose(found.coefficients, best.x, atol=1e-6)
    assert found.log_likelihood == pytest.approx(-best.fun, abs=1e-9)


def test_ratios_of_many_outcomes_are_those_of_single_fits() -> None:
    """The batch holds the tested column at zero and keeps the whole penalty, as one fit does."""
    X, _, _, _ = drawn(1)
    rng = np.random.default_rng(2)
    time, event = rng.exponential(size=(5, 60)), rng.random((5, 60)) < 0.5
    many = firth_likelihood_ratios(X, time, event, n_null=2)
    for b in range(5):
        y = survival_outcome(event[b], time[b])
        gain = firth_fit(X, y).log_likelihood - firth_fit(X, y, held={2: 0.0}).log_likelihood
        assert many[b] == pytest.approx(2.0 * gain, abs=1e-7)


@given(st.integers(0, 2**31), st.floats(0.1, 50.0))
def test_units_and_order_of_patients_do_not_matter(seed: int, factor: float) -> None:
    """A column times a factor divides its coefficient; rows may stand in any order."""
    X, event, time, _ = drawn(seed, 30)
    event[0] = True
    X[:, 1] = np.arange(30) % 3
    order = np.random.default_rng(seed).permutation(30)
    first = firth_fit(X, survival_outcome(event, time))
    scaled = X[order] * [factor, 1.0, 1.0]
    again = firth_fit(scaled, survival_outcome(event[order], time[order]))
    np.testing.assert_allclose(again.coefficients * [factor, 1, 1], first.coefficients, atol=2e-5)


def test_dependent_columns_and_no_events_are_refused() -> None:
    """The penalty makes estimates finite, not answers out of nothing."""
    X, event, time, _ = drawn(3)
    with pytest.raises(NotEstimableError, match="dependent columns"):
        firth_fit(np.column_stack([X, X[:, 0]]), survival_outcome(event, time))
    with pytest.raises(NotEstimableError, match="no event"):
        firth_fit(X, survival_outcome(np.zeros(60, dtype=bool), time))
