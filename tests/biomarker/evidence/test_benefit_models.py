"""Benefit models: batches equal single fits, the baseline is Efron's, failures are NaN."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from biomarker import survival_outcome
from biomarker.errors import NotEstimableError
from biomarker.evidence.benefit_models import (
    BenefitData,
    BuiltBenefit,
    CoxBenefit,
    OddsBenefit,
    independent_columns,
)
from biomarker.models import CoxRegression


def data(
    n: int = 120, seed: int = 0, measure: Any = "survival", response: bool = False
) -> BenefitData:
    """Two covariates, one marker, times rounded so that some deaths tie."""
    rng = np.random.default_rng(seed)
    covariates, marker = rng.normal(size=(n, 2)), rng.normal(size=(n, 1))
    arm = np.arange(n) % 2 == 1
    if response:
        y: Any = rng.random(n) < 0.3 + 0.3 * arm * (marker[:, 0] > 0)
        return BenefitData(covariates, marker, arm, y, "survival", np.nan)
    time = rng.exponential(np.exp(-0.5 * arm * marker[:, 0]))
    limit = rng.uniform(0.3, 3.0, n)
    y = survival_outcome(time <= limit, np.round(np.minimum(time, limit), 1) + 0.05)
    return BenefitData(covariates, marker, arm, y, measure, 1.0)


EVERYBODY = np.ones((1, 120), dtype=bool)


@pytest.mark.parametrize("measure", ["survival", "restricted_mean"])
def test_a_resample_is_the_single_fit_to_the_drawn_rows(measure: Any) -> None:
    """Coefficients, Efron baseline and curves as the Cox model gives them for repeated rows."""
    whole = data(measure=measure)
    counts = np.random.default_rng(2).integers(0, 4, (1, 120)).astype(np.uint16)
    found = CoxBenefit().resamples(whole, counts, EVERYBODY)[0]
    drawn = np.repeat(np.arange(120), counts[0])
    model = CoxRegression().fit(whole.columns[drawn], whole.y[drawn])
    grid = np.array([1.0])
    if measure == "restricted_mean":
        grid = np.concatenate([[0.0], np.unique(whole.y["duration"])])
        grid = grid[grid < 1.0]
    curves = [model.predict_survival(whole.columns_if(side), grid) for side in (1.0, 0.0)]
    width = np.ones(1) if measure == "survival" else np.diff(np.append(grid, 1.0))
    assert found == pytest.approx((curves[0] - curves[1]) @ width, abs=1e-7)
    assert np.ptp(found) > 0.05


def test_redrawn_outcomes_are_the_single_fits_of_the_training_patients() -> None:
    """Two draws, one fold: the same benefit as a resample that counts the others out."""
    whole = data()
    other = data(seed=5).y
    train, test = np.arange(0, 100), np.arange(100, 120)
    duration = np.stack([whole.y["duration"], other["duration"]])
    event = np.stack([whole.y["event"], other["event"]])
    found = CoxBenefit().outcomes(whole, train, test, (duration, event))
    counts = (np.arange(120) < 100)[None, :].astype(np.uint16)
    for row, y in zip(found, (whole.y, other), strict=True):
        again = CoxBenefit().resamples(replace(whole, y=y), counts, counts == 0)[0]
        assert row == pytest.approx(again[test], abs=1e-8)
        assert np.isnan(again[train]).all()


def test_a_response_is_the_difference_of_two_chances() -> None:
    """In resamples and redrawn responses alike, strata as intercepts."""
    whole = replace(data(response=True), strata=np.arange(120) // 60)
    once = np.ones((1, 120), dtype=np.uint16)
    found = OddsBenefit().resamples(whole, once, EVERYBODY)[0]
    assert np.all((found > -1) & (found < 1))
    assert np.ptp(found) > 0.1
    rows = np.arange(120)
    again = OddsBenefit().outcomes(whole, rows, rows, whole.y[None, :])[0]
    assert found == pytest.approx(again, abs=1e-8)
    doubled = OddsBenefit().resamples(whole, 2 * once, EVERYBODY)[0]
    assert found == pytest.approx(doubled, abs=1e-8)


def test_a_stratum_that_was_not_drawn_does_not_stop_a_response_model() -> None:
    """Its patients are predicted from the others' effects."""
    whole = replace(data(response=True), strata=np.arange(120) // 60)
    counts = (np.arange(120) < 60)[None, :].astype(np.uint16)
    assert np.isfinite(OddsBenefit().resamples(whole, counts, EVERYBODY)).all()


def test_a_model_without_a_maximum_is_missing_and_no_other_is() -> None:
    """Separated or empty resamples give NaN rows; the next resample is none the worse."""
    wanted = np.ones((2, 120), dtype=bool)
    few = np.zeros(120, dtype=np.uint16)
    few[:4] = 1
    counts = np.stack([few, np.ones(120, dtype=np.uint16)])
    for model, whole in ((CoxBenefit(), data()), (OddsBenefit(), data(response=True))):
        found = model.resamples(whole, counts, wanted)
        assert np.isnan(found[0]).all()
        assert np.isfinite(found[1]).all()


def test_any_procedure_may_be_given() -> None:
    """It is called with the drawn rows, on each resample; its refusal is a missing row."""
    seen = []

    def build(train: BenefitData) -> Any:
        seen.append(train.n_patients)
        if train.n_patients < 10:
            raise NotEstimableError("too few")
        level = train.markers.mean()
        return lambda judged: judged.markers[:, 0] - level

    whole = data()
    counts = np.stack([np.full(120, 2), np.zeros(120), np.ones(120)]).astype(np.uint16)
    found = BuiltBenefit(build).resamples(whole, counts, np.ones((3, 120), dtype=bool))
    assert seen == [240, 0, 120]
    assert np.isnan(found[1]).all()
    assert found[0] == pytest.approx(found[2])
    train, test = np.arange(100), np.arange(100, 120)
    outcomes = (whole.y["duration"][None, :], whole.y["event"][None, :])
    found = BuiltBenefit(build).outcomes(whole, train, test, outcomes)
    assert found.shape == (1, 20)
    assert seen[-1] == 100


def test_dependent_columns_are_left_out() -> None:
    """The first of each set stays, in order."""
    x = np.arange(6.0)[:, None]
    kept = independent_columns(np.hstack([x, np.ones((6, 1)), 2 * x + 1, x**2]))
    assert np.array_equal(kept, np.hstack([x, x**2]))
