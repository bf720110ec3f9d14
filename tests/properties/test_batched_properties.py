"""Identities of batched fits and concordance on any cohort."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.errors import NotEstimableError
from biomarker.metrics import concordance_index
from biomarker.models import CoxRegression
from biomarker.outcomes import SurvivalOutcome, survival_outcome
from biomarker.survival.batched_concordance import resampled_concordance
from biomarker.survival.batched_cox import (
    fit_batch,
    fit_batch_columns,
    fit_batch_outcomes,
    resample_counts,
)

Floats = npt.NDArray[np.float64]
several = settings(max_examples=100, deadline=None)
seeds = st.integers(0, 2**32 - 1)
either = st.sampled_from(["efron", "breslow"])


def cohort(seed: int) -> tuple[Floats, Any, Any, Any, np.random.Generator]:
    """Small cohorts, tied or not, binary or not, stratified or not; some of them separated."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(6, 70)), int(rng.integers(1, 7))
    X = rng.normal(size=(n, p))
    if rng.random() < 0.3:
        X = (X > 0.5).astype(float)
    duration = rng.exponential(size=n) * np.exp(-X @ rng.normal(scale=0.4, size=p)) + 0.01
    if rng.random() < 0.6:
        duration = np.ceil(duration * 5)
    strata = rng.integers(0, 3, n) if rng.random() < 0.4 else None
    return X, rng.random(n) < 0.7, duration, strata, rng


def single(X: Floats, event: Any, duration: Floats, ties: Any, strata: Any) -> CoxRegression | None:
    """The single fit, or None where it refuses."""
    try:
        return CoxRegression(ties=ties).fit(X, survival_outcome(event, duration), strata=strata)
    except NotEstimableError:
        return None


def assert_same(fit: Any, b: int, model: CoxRegression | None) -> None:
    """Replicate b equals the single fit, or is flagged where that refuses."""
    assert fit.converged[b] == (model is not None)
    if model is None:
        assert np.isnan(fit.coefficients[b]).all()
        return
    np.testing.assert_allclose(fit.coefficients[b], model.coef_, rtol=1e-8, atol=1e-8)
    assert abs(fit.log_likelihood[b] - model.log_likelihood_[1]) < 1e-8
    # The information is taken within 1e-6 standard deviations of the maximum.
    unit = 1 / np.sqrt(np.diag(model.information_))
    gap = (fit.information[b] - model.information_) * np.outer(unit, unit)
    assert np.max(np.abs(gap)) < 1e-5


@several
@given(seeds, either)
def test_a_resample_is_the_fit_of_its_rows(seed: int, ties: Any) -> None:
    """Weights of k equal k duplicated rows under both tie methods; separated ones are flagged."""
    X, event, duration, strata, rng = cohort(seed)
    weights = resample_counts(rng, 4, len(X))
    n_null = int(rng.integers(0, X.shape[1]))
    fit = fit_batch(
        X, survival_outcome(event, duration), weights, ties=ties, strata=strata, n_null=n_null
    )
    for b, counts in enumerate(weights):
        rows = np.repeat(np.arange(len(X)), counts)
        here = None if strata is None else strata[rows]
        model = single(X[rows], event[rows], duration[rows], ties, here)
        assert_same(fit, b, model)
        if model is None:
            continue
        height = model.log_likelihood_[0]
        if n_null:
            null = single(X[rows][:, :n_null], event[rows], duration[rows], ties, here)
            assert null is not None
            height = null.log_likelihood_[1]
        assert abs(fit.log_likelihood_null[b] - height) < 1e-8


@several
@given(seeds, either)
def test_redrawn_outcomes_and_columns_are_single_fits(seed: int, ties: Any) -> None:
    """Each outcome, and each set of columns, gives what fitting it alone gives."""
    X, event, duration, strata, rng = cohort(seed)
    times = np.ceil(rng.exponential(size=(3, len(X))) * float(rng.choice([8.0, 1e6])))
    events = rng.random(times.shape) < 0.6
    fit = fit_batch_outcomes(
        X, times, events, ties=ties, strata=strata, n_null=int(rng.integers(0, X.shape[1]))
    )
    for b in range(3):
        assert_same(fit, b, single(X, events[b], times[b], ties, strata))
    columns = np.array([rng.permutation(X[:, -1:]) for _ in range(3)])
    fixed = X[:, :-1] if X.shape[1] > 1 else None
    try:
        fit = fit_batch_columns(
            columns, survival_outcome(event, duration), fixed=fixed, ties=ties, strata=strata
        )
    except NotEstimableError:
        return
    for b in range(3):
        table = np.column_stack([X[:, :-1], columns[b]])
        assert_same(fit, b, single(table, event, duration, ties, strata))


@several
@given(seeds, either)
def test_order_of_patients_columns_and_replicates(seed: int, ties: Any) -> None:
    """Permuting patients changes nothing, permuting columns or replicates permutes the result."""
    X, event, duration, strata, rng = cohort(seed)
    weights = resample_counts(rng, 5, len(X))
    y = survival_outcome(event, duration)
    fit = fit_batch(X, y, weights, ties=ties, strata=strata)
    rows, columns = rng.permutation(len(X)), rng.permutation(X.shape[1])
    turns = rng.permutation(5)
    moved = fit_batch(
        X[rows][:, columns], y[rows], weights[turns][:, rows], ties=ties,
        strata=None if strata is None else strata[rows],
    )  # fmt: skip
    assert np.array_equal(moved.converged, fit.converged[turns])
    np.testing.assert_allclose(
        moved.coefficients, fit.coefficients[turns][:, columns], rtol=1e-7, atol=1e-8
    )
    ok = moved.converged
    np.testing.assert_allclose(
        moved.likelihood_ratio[ok], fit.likelihood_ratio[turns][ok], atol=1e-8
    )


@several
@given(seeds, either)
def test_the_maximum_and_its_slopes_by_differences(seed: int, ties: Any) -> None:
    """Refitting cannot climb higher: the likelihood falls by the information's quadratic."""
    X, event, duration, strata, rng = cohort(seed)
    y = survival_outcome(event, duration)
    weights = np.ones((1, len(X)), dtype=int)
    fit = fit_batch(X, y, weights, ties=ties, strata=strata)
    if not fit.converged[0]:
        return
    from biomarker.survival.partial_likelihood import PartialLikelihood, sort_cohort

    codes = None if strata is None else strata.astype(np.int64)
    prepared = sort_cohort(X, event.copy(), duration.copy(), stratum=codes)
    likelihood = PartialLikelihood(prepared, ties)
    scaled = fit.coefficients[0] * prepared.scale
    move = rng.normal(size=X.shape[1])
    move *= 1e-3 / np.linalg.norm(move)
    fall = [
        2 * fit.log_likelihood[0] - likelihood.evaluate(scaled + h * move)[0]
        - likelihood.evaluate(scaled - h * move)[0]
        for h in (1.0, 0.5)
    ]  # fmt: skip
    unscaled = move / prepared.scale
    expected = unscaled @ fit.information[0] @ unscaled
    # Richardson's step takes the fourth-order term out.
    assert abs((16 * fall[1] - fall[0]) / 3 - expected) < 1e-9 + 1e-4 * expected


@several
@given(seeds)
def test_concordance_of_a_resample_is_that_of_its_rows(seed: int) -> None:
    """Weighted pair counts give the metric of the drawn rows, to the last bit."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 90))
    duration = np.ceil(rng.exponential(size=n) * float(rng.choice([4.0, 1e6])))
    y: SurvivalOutcome = survival_outcome(rng.random(n) < 0.6, duration)
    risk = rng.normal(size=n).round(int(rng.integers(0, 3)))
    weights = resample_counts(rng, 4, n)
    found = resampled_concordance(y, risk, weights, threads=int(rng.integers(1, 4)))
    for b, counts in enumerate(weights):
        rows = np.repeat(np.arange(n), counts)
        earlier = y["duration"][rows][:, None] < y["duration"][rows]
        same = y["duration"][rows][:, None] == y["duration"][rows]
        pair = y["event"][rows][:, None] & (earlier | (same & ~y["event"][rows]))
        assert found.comparable[b] == pair.sum()
        assert found.concordant[b] == (pair & (risk[rows][:, None] > risk[rows])).sum()
        assert found.tied[b] == (pair & (risk[rows][:, None] == risk[rows])).sum()
        if found.comparable[b]:
            assert found.value[b] == concordance_index(y[rows], risk[rows]).value
        else:
            assert np.isnan(found.value[b])
