"""Prognostic and predictive parts add up exactly, for every model of the zoo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from biomarker import survival_outcome
from biomarker.errors import UsageError
from biomarker.explain.benefit_shares import LINEAR_TOLERANCE, TREE_TOLERANCE, zoo_benefit
from biomarker.explain.contributions import AdditivityError, contributions
from biomarker.features.frozen_column import ColumnPlan
from biomarker.models import (
    BoostedAFT,
    BoostedCox,
    BoostedResponse,
    CoxRegression,
    LogisticResponse,
    WeibullAFT,
)
from biomarker.models.pipeline import EncodedModel
from biomarker.parsing import ParseRule

Floats = npt.NDArray[np.float64]

LINEAR = [CoxRegression(penalty=1.0), WeibullAFT(penalty=1.0), LogisticResponse(penalty=1.0)]
TREES = [BoostedCox(max_depth=3), BoostedAFT(max_depth=3), BoostedResponse(max_depth=3)]
PLANS = (
    ColumnPlan(ParseRule("vegf", "continuous")),
    ColumnPlan(ParseRule("arm", "arm", levels=("0", "1"), control=("0",))),
    ColumnPlan(ParseRule("grade", "categorical", levels=("a", "b", "c"))),
    ColumnPlan(ParseRule("age", "continuous")),
)


def fitted(model: Any, n: int = 400) -> tuple[EncodedModel, Floats]:
    """VEGF acts under treatment only, where it helps; age under both arms alike, where it harms."""
    rng = np.random.default_rng(11)
    X = np.column_stack(
        [rng.normal(size=n), rng.integers(0, 2, n), rng.integers(0, 3, n), rng.normal(size=n)]
    ).astype(float)
    risk = -1.2 * X[:, 0] * X[:, 1] + 0.8 * X[:, 3] - 0.3 * X[:, 1]
    X[rng.random(n) < 0.1, 0] = np.nan
    y = survival_outcome(rng.random(n) < 0.8, rng.exponential(np.exp(-risk)) + 0.01)
    response = rng.random(n) < 1 / (1 + np.exp(risk))
    target = response if hasattr(model, "predict_response") else y
    return EncodedModel(PLANS, model).fit(X, target), X


@pytest.mark.parametrize("model", LINEAR + TREES, ids=lambda m: type(m).__name__)
def test_both_parts_sum_to_the_prediction_under_either_arm(model: Any) -> None:
    """Within 1e-9 for linear models and 1e-4 for trees, against the model's own predictions."""
    run, X = fitted(model)
    parts = zoo_benefit(run, X, "arm")
    limit = LINEAR_TOLERANCE if model.attribution == "linear" else TREE_TOLERANCE
    margin = {}
    for side in (0.0, 1.0):
        there = X.copy()
        there[:, 1] = side
        margin[side] = model.predict_margin(run.encode(there))
    prognostic, predictive = parts.prognostic.sum(axis=1), parts.predictive.sum(axis=1)
    assert np.abs(parts.base_control + prognostic - margin[0.0]).max() <= limit
    whole = parts.base_treated + prognostic + parts.sign * predictive
    assert np.abs(whole - margin[1.0]).max() <= limit
    helped = margin[1.0] - margin[0.0] if parts.scale == "log odds" else margin[0.0] - margin[1.0]
    assert np.abs(parts.base_benefit + predictive - helped).max() <= limit
    assert parts.sources == ("vegf", "grade", "age")


@pytest.mark.parametrize("model", TREES, ids=lambda m: type(m).__name__)
def test_trees_find_which_column_acts_through_the_treatment(model: Any) -> None:
    """VEGF leads the predictive part, age the prognostic one, and high VEGF means more benefit."""
    run, X = fitted(model)
    parts = zoo_benefit(run, X, "arm")
    prognostic, predictive = (np.abs(v).mean(axis=0) for v in (parts.prognostic, parts.predictive))
    assert parts.sources[int(predictive.argmax())] == "vegf"
    assert parts.sources[int(prognostic.argmax())] == "age"
    known = ~np.isnan(X[:, 0])
    assert np.corrcoef(X[known, 0], parts.predictive[known, 0])[0, 1] > 0.7


@pytest.mark.parametrize("model", LINEAR, ids=lambda m: type(m).__name__)
def test_linear_models_of_the_zoo_say_that_they_hold_no_interaction(model: Any) -> None:
    """The predictive part is exactly 0, the other the usual attribution, and it says so."""
    run, X = fitted(model)
    parts = zoo_benefit(run, X, "arm")
    assert np.all(parts.predictive == 0.0)
    assert "by construction" in parts.note
    usual = contributions(run, X)
    columns = [usual.sources.index(s) for s in parts.sources]
    np.testing.assert_allclose(parts.prognostic, usual.values[:, columns], atol=1e-12)


def test_the_arm_a_patient_was_in_changes_nothing() -> None:
    """Parts concern both arms, so the column of the arm is not looked at."""
    run, X = fitted(BoostedCox(max_depth=3))
    swapped = X.copy()
    swapped[:, 1] = 1 - swapped[:, 1]
    one, other = zoo_benefit(run, X, "arm"), zoo_benefit(run, swapped, "arm")
    assert np.array_equal(one.predictive, other.predictive)
    assert np.array_equal(one.prognostic, other.prognostic)


def test_a_model_without_the_arm_is_refused() -> None:
    """There is no benefit to split where the model never saw the treatment."""
    run, X = fitted(BoostedCox())
    with pytest.raises(UsageError, match="arm must be a column the model was fitted on"):
        zoo_benefit(run, X, "centre")


def test_parts_that_do_not_add_up_are_refused() -> None:
    """A changed share is caught, whichever part it is in."""
    run, X = fitted(CoxRegression(penalty=1.0))
    parts = zoo_benefit(run, X, "arm")
    for name in ("prognostic", "predictive"):
        with pytest.raises(AdditivityError, match="must sum to the prediction"):
            replace(parts, **{name: getattr(parts, name) + 1e-6}).checked(LINEAR_TOLERANCE)
