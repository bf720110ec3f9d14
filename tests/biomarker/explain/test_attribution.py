"""Attributions add up, agree with shap, and say what their intervals cover."""

from __future__ import annotations

import json
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from biomarker import survival_outcome
from biomarker.explain.attribution import attribute, to_shap
from biomarker.explain.contributions import (
    ADDITIVITY_TOLERANCE,
    AdditivityError,
    contributions,
)
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

SURVIVAL = [
    CoxRegression(penalty=1.0),
    WeibullAFT(penalty=1.0),
    BoostedCox(n_estimators=20),
    BoostedAFT(n_estimators=20),
]
RESPONSE = [LogisticResponse(penalty=1.0), BoostedResponse(n_estimators=20)]
PLANS = (
    ColumnPlan(ParseRule("vegf", "continuous", range=(0.1, 1e4), unit="pg/mL"), "log"),
    ColumnPlan(ParseRule("histology", "categorical", levels=("clear", "papillary", "other"))),
    ColumnPlan(ParseRule("age", "continuous", unit="years")),
    ColumnPlan(ParseRule("twin", "continuous")),
    ColumnPlan(ParseRule("arm", "arm", levels=("0", "1"), control=("0",))),
)


def cohort(n: int = 120, seed: int = 3) -> tuple[Any, Any, Any]:
    """Five columns with missing values, one near copy, a survival outcome and a response."""
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [
            np.exp(rng.normal(5, 0.7, n)),
            rng.integers(0, 3, n).astype(float),
            rng.normal(60, 10, n),
            np.zeros(n),
            rng.integers(0, 2, n).astype(float),
        ]
    )
    X[:, 3] = X[:, 2] + rng.normal(0, 2, n)
    margin = 0.8 * (np.log(X[:, 0]) - 5) + 0.5 * (X[:, 1] == 1) - 0.3 * X[:, 4]
    X[rng.random(n) < 0.1, 0] = np.nan
    X[rng.random(n) < 0.1, 1] = np.nan
    y = survival_outcome(rng.random(n) < 0.7, rng.exponential(np.exp(-margin)) + 0.01)
    return X, y, rng.random(n) < 1 / (1 + np.exp(margin))


def fitted(model: Any, **kwargs: Any) -> tuple[EncodedModel, Any]:
    """A model of the zoo fitted on the cohort, with the rows it was fitted on."""
    X, y, response = cohort(**kwargs)
    target = response if hasattr(model, "predict_response") else y
    return EncodedModel(PLANS, model).fit(X, target), X


@pytest.mark.parametrize("model", SURVIVAL + RESPONSE, ids=lambda m: type(m).__name__)
def test_every_model_of_the_zoo_adds_up_to_its_margin(model: Any) -> None:
    """A patient's shares and the base value sum to the margin, for every model."""
    run, X = fitted(model)
    parts = contributions(run, X)
    is_tree = isinstance(model, (BoostedCox, BoostedAFT, BoostedResponse))
    limit = ADDITIVITY_TOLERANCE if is_tree else 1e-6
    total = parts.values.sum(axis=1) + parts.base_value
    predict = run.predict_response if hasattr(model, "predict_response") else run.predict_risk
    np.testing.assert_allclose(total, parts.margin, atol=limit, rtol=0)
    assert np.all(np.diff(predict(X)[np.argsort(parts.margin)]) >= -1e-9)
    assert parts.sources == ("vegf", "histology", "age", "twin", "arm")
    assert ("respond" in parts.direction) == hasattr(model, "predict_response")


@pytest.mark.parametrize("model", SURVIVAL, ids=lambda m: type(m).__name__)
def test_a_higher_margin_means_a_worse_outcome(model: Any) -> None:
    """On every survival scale the direction is that of the predicted risk."""
    run, X = fitted(model)
    parts = contributions(run, X)
    order = np.argsort(parts.margin)
    survival = run.predict_survival(X, [0.5])[order, 0]
    assert np.all(np.diff(survival) <= 1e-9)
    assert parts.direction == "higher = worse"


def test_linear_shares_agree_with_shaps_linear_explainer() -> None:
    """The closed form equals shap's LinearExplainer about the training mean."""
    run, X = fitted(CoxRegression(penalty=1.0))
    features = run.encode(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

        model = (run.model.coef_, 0.0)
        background = (features.mean(axis=0), np.eye(features.shape[1]))
        theirs = shap.LinearExplainer(model, background).shap_values(features)
    summed = {name: np.zeros(len(X)) for name in run.encoder_.sources}
    for column, source in enumerate(run.encoder_.sources):
        summed[source] += theirs[:, column]
    ours = contributions(run, X)
    np.testing.assert_allclose(ours.values, np.column_stack(list(summed.values())), atol=1e-9)


def test_tree_shares_are_the_shapley_values_of_the_path_dependent_game() -> None:
    """A brute-force Shapley sum over all coalitions gives the same shares as the booster."""
    run, X = fitted(BoostedCox(n_estimators=5, max_depth=2))
    features = run.encode(X).astype(np.float32)
    names = run.encoder_.feature_names
    from itertools import combinations
    from math import factorial

    trees = [json.loads(text) for text in run.model.booster_.get_dump("", True, "json")]

    def value(node: dict[str, Any], row: Any, known: frozenset[int]) -> float:
        if "leaf" in node:
            return float(node["leaf"])
        children = {child["nodeid"]: child for child in node["children"]}
        feature = int(node["split"].removeprefix("f"))
        if feature in known:
            side = "yes" if row[feature] < np.float32(node["split_condition"]) else "no"
            return value(children[node[side]], row, known)
        return sum(c["cover"] * value(c, row, known) for c in children.values()) / sum(
            c["cover"] for c in children.values()
        )

    def game(row: Any, known: tuple[int, ...]) -> float:
        return sum(value(tree, row, frozenset(known)) for tree in trees)

    p = len(names)
    ours = contributions(run, X)
    for row in (0, 17):
        shares = dict.fromkeys(ours.sources, 0.0)
        for j in range(p):
            rest = [i for i in range(p) if i != j]
            for size in range(p):
                weight = factorial(size) * factorial(p - size - 1) / factorial(p)
                for held in combinations(rest, size):
                    gain = game(features[row], (*held, j)) - game(features[row], held)
                    shares[run.encoder_.sources[j]] += weight * gain
        np.testing.assert_allclose(ours.values[row], list(shares.values()), atol=1e-5)


def test_explanation_for_shap_carries_the_same_numbers() -> None:
    """What shap's plots receive sums to the margin and is named by source."""
    run, X = fitted(BoostedResponse(n_estimators=10))
    found = attribute(run, X, n_bootstrap=5, rng=np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explanation = to_shap(found)
    total = explanation.values.sum(axis=1) + explanation.base_values
    np.testing.assert_allclose(total, found.margin, atol=1e-4)
    assert explanation.feature_names == list(found.sources)


def test_a_model_that_disagrees_with_its_explanation_is_refused() -> None:
    """A margin that the shares do not sum to raises, and says by how much."""
    run, X = fitted(WeibullAFT(penalty=1.0))
    true = run.model.predict_margin
    run.model.predict_margin = lambda features: true(features) + 0.01
    with pytest.raises(AdditivityError, match=r"gap of 0\.01"):
        contributions(run, X)


def test_importance_is_the_mean_absolute_share_inside_its_interval() -> None:
    """Importance is sorted, equals the mean absolute share and lies inside its interval."""
    run, X = fitted(CoxRegression(penalty=1.0))
    found = attribute(run, X, n_bootstrap=300, rng=np.random.default_rng(1))
    mean = dict(zip(found.sources, np.abs(found.values).mean(axis=0), strict=True))
    assert [item.value for item in found.importance] == sorted(mean.values(), reverse=True)
    for item in found.importance:
        assert item.value == pytest.approx(mean[item.source])
        assert item.low <= item.value <= item.high
        assert item.n_patients == len(X)
    assert "not refitting" in found.interval_covers


def test_interval_of_importance_covers_the_mean_over_new_patients() -> None:
    """For one fitted model the interval covers the population mean at about 95%."""
    run, _ = fitted(CoxRegression(penalty=1.0))
    truth_rows, *_ = cohort(n=20_000, seed=99)
    truth = np.abs(contributions(run, truth_rows).values).mean(axis=0)
    replications, covered = 400, np.zeros(len(truth))
    for seed in range(replications):
        rows, *_ = cohort(n=150, seed=1000 + seed)
        found = attribute(run, rows, n_bootstrap=200, rng=np.random.default_rng(seed))
        by_name = {item.source: item for item in found.importance}
        for i, name in enumerate(found.sources):
            covered[i] += by_name[name].low <= truth[i] <= by_name[name].high
    # 95% less the bootstrap's small-sample shortfall and 2 standard errors over 400 replications.
    assert np.all(covered / replications > 0.91), covered / replications
    assert np.all(covered / replications < 0.985), covered / replications


def test_repeated_rows_of_one_patient_widen_the_interval() -> None:
    """Copies of a row bring no information when the bootstrap draws patients."""
    run, X = fitted(CoxRegression(penalty=1.0))
    repeated, patients = np.repeat(X, 4, axis=0), np.repeat(np.arange(len(X)), 4)

    def width(rows: Any, **kwargs: Any) -> float:
        rng = np.random.default_rng(2)
        first = attribute(run, rows, n_bootstrap=400, rng=rng, **kwargs).importance[0]
        return first.high - first.low

    by_patient = width(repeated, patient_numbers=patients)
    assert by_patient == pytest.approx(width(X), rel=0.15)
    assert width(repeated) < 0.65 * by_patient


def test_near_copies_are_grouped_and_missing_indicators_are_not() -> None:
    """A column and its noisy copy form a group; columns missing together do not."""
    X, y, _ = cohort()
    X[:, 0] = np.where(np.isnan(X[:, 1]), np.nan, np.nan_to_num(X[:, 0], nan=150.0))
    run = EncodedModel(PLANS, CoxRegression(penalty=1.0)).fit(X, y)
    found = attribute(run, X, n_bootstrap=5, rng=np.random.default_rng(0))
    assert found.correlated == (("age", "twin"),)


def test_stored_form_holds_aggregates_only() -> None:
    """The dictionary for the store has no entry as long as the patients are many."""
    run, X = fitted(CoxRegression(penalty=1.0))
    found = attribute(run, X, n_bootstrap=5, rng=np.random.default_rng(0))
    for value in found.to_dict().values():
        assert not isinstance(value, (list, tuple)) or len(value) <= len(found.sources)


def test_a_column_that_gave_no_feature_is_left_out() -> None:
    """A constant column has no share and takes no place among the sources."""
    X, y, _ = cohort()
    X[:, 4] = 1.0
    run = EncodedModel(PLANS, CoxRegression(penalty=1.0)).fit(X, y)
    assert "arm" not in contributions(run, X).sources


@pytest.mark.parametrize(("rows", "n_bootstrap"), [(0, 10), (5, 0)])
def test_nothing_to_explain_is_an_error(rows: int, n_bootstrap: int) -> None:
    """No patient, or no bootstrap sample, is refused before any work."""
    run = SimpleNamespace()
    with pytest.raises(ValueError, match="at least one patient"):
        attribute(run, np.empty((rows, 2)), n_bootstrap=n_bootstrap, rng=np.random.default_rng(0))
