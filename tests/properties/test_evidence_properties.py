"""What holds for any data: invariances of the tests, and order among adjusted p-values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker import survival_outcome
from biomarker.errors import NotEstimableError
from biomarker.evidence.absolute import pseudo_observations
from biomarker.evidence.calibration import Nested
from biomarker.evidence.log_odds import fit_log_odds
from biomarker.evidence.multiplicity import benjamini_hochberg, holm, step_down_max
from biomarker.evidence.regressions import HazardRegression, OddsRegression

P_VALUES = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12)
SEEDS = st.integers(0, 2**31)


@given(P_VALUES)
def test_adjustment_never_strengthens_and_keeps_the_order(p: list[float]) -> None:
    """Holm and Benjamini-Hochberg: at least p, at most 1, Holm the larger, order kept."""
    values = np.array(p)
    strict, loose = holm(values), benjamini_hochberg(values)
    order = np.argsort(values)
    for adjusted in (strict, loose):
        assert np.all(adjusted >= values - 1e-15)
        assert np.all(adjusted <= 1.0)
        assert np.all(np.diff(adjusted[order]) >= 0)
    assert np.all(strict >= loose - 1e-15)


@given(SEEDS, st.integers(1, 8))
def test_max_t_lies_between_the_single_p_and_one(seed: int, m: int) -> None:
    """Also for tied and infinite draws, and it does not depend on the order of tests."""
    rng = np.random.default_rng(seed)
    seen = np.round(rng.chisquare(1, m), 1)
    draws = np.round(rng.chisquare(1, (60, m)), 1)
    draws[rng.random((60, m)) < 0.02] = np.inf
    adjusted = step_down_max(seen, draws)
    single = (1 + np.count_nonzero(draws >= seen, axis=0)) / 61
    assert np.all(adjusted >= single - 1e-15)
    assert np.all(adjusted <= 1.0)
    shuffle = rng.permutation(m)
    again = step_down_max(seen[shuffle], draws[:, shuffle])
    untied = len(np.unique(seen)) == m
    assert not untied or np.allclose(again, adjusted[shuffle])


def design(seed: int, n: int = 40) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Arm and marker, centred, with their product last."""
    rng = np.random.default_rng(seed)
    arm = rng.permutation(np.arange(n) % 2) - 0.5
    marker = rng.normal(size=n)
    return np.column_stack([arm, marker, arm * marker]), marker, rng


@settings(max_examples=25)
@given(SEEDS, st.floats(0.1, 20.0), st.floats(-5.0, 5.0))
def test_the_statistic_ignores_the_marker_s_unit(seed: int, scale: float, shift: float) -> None:
    """Affine rescaling of a marker keeps the likelihood ratio, in both regressions."""
    X, marker, rng = design(seed)
    other = scale * marker + shift
    Z = np.column_stack([X[:, 0], other, X[:, 0] * other])
    y = survival_outcome(rng.random(40) < 0.7, rng.exponential(size=40) + 0.01)
    rows = np.arange(40)
    for regression in (HazardRegression(y), OddsRegression(y["event"])):
        try:
            one = Nested.ask(regression, X, 2, rows, 40)
            two = Nested.ask(regression, Z, 2, rows, 40)
        except NotEstimableError:
            continue
        assert one.likelihood_ratio == pytest.approx(two.likelihood_ratio, abs=1e-6)


@settings(max_examples=25)
@given(SEEDS)
def test_patients_may_come_in_any_order(seed: int) -> None:
    """And time may be counted in any unit."""
    X, _, rng = design(seed)
    y = survival_outcome(rng.random(40) < 0.7, np.ceil(rng.exponential(5, size=40)))
    order = rng.permutation(40)
    moved = survival_outcome(y["event"][order], 12.0 * y["duration"][order])
    rows = np.arange(40)
    try:
        one = Nested.ask(HazardRegression(y), X, 2, rows, 40)
    except NotEstimableError:
        return
    two = Nested.ask(HazardRegression(moved), X[order], 2, rows, 40)
    assert one.likelihood_ratio == pytest.approx(two.likelihood_ratio, abs=1e-7)


@settings(max_examples=40)
@given(SEEDS)
def test_score_influence_sums_to_nothing(seed: int) -> None:
    """At the maximum every column's influences cancel; Breslow's hazard needs times apart."""
    X, _, rng = design(seed)
    y = survival_outcome(rng.random(40) < 0.7, rng.exponential(size=40) + 0.01)
    for regression in (HazardRegression(y), OddsRegression(y["event"])):
        try:
            fit = regression.fit(X)
        except NotEstimableError:
            continue
        assert np.allclose(regression.influence(X, fit).sum(axis=0), 0.0, atol=1e-6)


@settings(max_examples=40)
@given(SEEDS)
def test_a_likelihood_never_falls_with_a_column_more(seed: int) -> None:
    """Also for responses so few that fits run away."""
    X, _, rng = design(seed, 16)
    responses = rng.random((20, 16)) < 0.15
    full = fit_log_odds(np.column_stack([np.ones(16), X]), responses)
    null = fit_log_odds(np.column_stack([np.ones(16), X[:, :2]]), responses)
    assert np.all(full.log_likelihood >= null.log_likelihood - 1e-4)
    assert not full.converged[~responses.any(axis=1)].any()


@given(SEEDS)
def test_pseudo_observations_scale_with_time(seed: int) -> None:
    """A restricted mean in days is 30 times that in months of 30 days; survival has no unit."""
    rng = np.random.default_rng(seed)
    event, time = rng.random(20) < 0.6, np.ceil(rng.exponential(5, 20))
    at = float(np.median(time))
    months, days = survival_outcome(event, time), survival_outcome(event, 30.0 * time)
    assert np.allclose(
        30.0 * pseudo_observations(months, at, "restricted_mean"),
        pseudo_observations(days, 30.0 * at, "restricted_mean"),
    )
    assert np.allclose(
        pseudo_observations(months, at, "survival"), pseudo_observations(days, 30 * at, "survival")
    )
