"""The whole procedure: folds, resamples and redrawn outcomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from biomarker import survival_outcome
from biomarker.errors import NotEstimableError
from biomarker.evidence.benefit_models import BenefitData, BuiltBenefit
from biomarker.evidence.benefit_runs import NAMES, Judge, Run


def data(n: int = 200) -> BenefitData:
    """One marker, no effects."""
    rng = np.random.default_rng(0)
    time, limit = rng.exponential(size=n), rng.uniform(0.3, 3.0, n)
    y = survival_outcome(time <= limit, np.minimum(time, limit))
    marker = rng.normal(size=(n, 1))
    arm = np.arange(n) % 2 == 1
    return BenefitData(np.empty((n, 0)), marker, arm, y, "restricted_mean", 0.8)


def run(build: Any) -> Run:
    """Five folds of the data under a procedure."""
    judge = Judge(0.8, "restricted_mean", 0.0, 0.05, 0)
    return Run(BuiltBenefit(build), data(), judge, 5, 0, 1)


def test_folds_share_the_arms_evenly_and_are_dealt_anew_for_each_resample() -> None:
    """Same key, same folds; another key, others."""
    made = run(lambda train: lambda judged: judged.markers[:, 0])
    fold = made.folds("data")
    assert np.bincount(fold).tolist() == [40] * 5
    assert np.bincount(fold[made.data.treated]).tolist() == [20] * 5
    assert np.array_equal(fold, made.folds("data"))
    assert not np.array_equal(fold, made.folds("resample", 0))


def test_copies_of_a_patient_never_stand_on_both_sides() -> None:
    """In no resample does a training part hold a patient that is predicted from it."""
    met = []

    def build(train: BenefitData) -> Any:
        known = set(train.markers[:, 0].tolist())
        return lambda judged: met.append(known & set(judged.markers[:, 0])) or judged.markers[:, 0]

    found = run(build).resampled(20)
    assert found.shape == (20, len(NAMES))
    assert len(met) == 100
    assert not any(met)


def test_redrawn_outcomes_have_no_interaction_and_keep_the_patients() -> None:
    """Markers and arms stay; a prediction by the marker alone orders nothing there."""
    made = run(lambda train: lambda judged: judged.markers[:, 0])
    null = made.under_null(60, None)
    error = null[:, 0].std(ddof=1) / np.sqrt(60)
    assert null[:, 0].mean() == pytest.approx(0.5, abs=3 * error)
    assert np.array_equal(null, made.under_null(60, None))
    fixed = made.under_null(60, made.data.markers[:, 0])
    assert fixed[:, 3] == pytest.approx(null[:, 3])


def test_a_missing_value_in_a_tenth_of_resamples_is_too_many() -> None:
    """Fewer are dropped, and more are refused."""
    calls = iter(range(10_000))

    def build(train: BenefitData) -> Any:
        # Five folds a resample: every sixteenth resample fails in one fold.
        if next(calls) % 80 == 0:
            raise NotEstimableError("now and then")
        return lambda judged: judged.markers[:, 0]

    assert len(run(build).resampled(64)) == 60
    with pytest.raises(NotEstimableError, match="90% of resamples"):
        run(lambda train: lambda judged: np.full(judged.n_patients, np.nan)).resampled(20)


def test_redrawn_follow_up_is_that_of_the_patients_own_arm() -> None:
    """Controls were all seen to their event: redrawn, none is censored before the last of them."""
    whole = data()
    y = whole.y.copy()
    y["event"][~whole.treated] = True
    last = y["duration"][~whole.treated].max()
    seen = []

    def build(train: BenefitData) -> Any:
        censored = ~train.y["event"] & (train.y["duration"] < last)
        seen.append((censored[train.treated].sum(), censored[~train.treated].sum()))
        return lambda judged: judged.markers[:, 0]

    made = Run(BuiltBenefit(build), replace(whole, y=y), run(build).judge, 5, 0, 1)
    made.under_null(20, None)
    treated, control = np.array(seen).T
    assert control.sum() == 0
    assert treated.min() > 0
