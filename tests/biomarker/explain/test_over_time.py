"""Attributions on readers' scales are Shapley values, add up, and know their own error."""

from __future__ import annotations

import json
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest

from biomarker import survival_outcome
from biomarker.errors import NotEstimableError
from biomarker.explain import over_time
from biomarker.explain.contributions import AdditivityError
from biomarker.explain.over_time import (
    PROBABILITY_TOLERANCE,
    TimeAttribution,
    attribute_over_time,
)
from biomarker.explain.scales import Scale
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
    BoostedCox(n_estimators=30, max_depth=3),
    BoostedAFT(n_estimators=30, max_depth=3),
]
RESPONSE = [LogisticResponse(penalty=1.0), BoostedResponse(n_estimators=30, max_depth=3)]
CURVE = Scale("survival", (0.2, 0.6, 1.5), "years")
MEAN = Scale("restricted mean", (0.5, 2.0), "years")
CASES = [(m, s) for m in SURVIVAL for s in (CURVE, MEAN)] + [
    (m, Scale("response")) for m in RESPONSE
]
PLANS = (
    ColumnPlan(ParseRule("vegf", "continuous", range=(0.1, 1e4), unit="pg/mL"), "log"),
    ColumnPlan(ParseRule("histology", "categorical", levels=("clear", "papillary", "other"))),
    ColumnPlan(ParseRule("age", "continuous", unit="years")),
    ColumnPlan(ParseRule("crp", "continuous")),
    ColumnPlan(ParseRule("arm", "arm", levels=("0", "1"), control=("0",))),
)


def name(value: Any) -> str:
    """A test's label."""
    return value.kind.replace(" ", "_") if isinstance(value, Scale) else type(value).__name__


def cohort(n: int = 150, seed: int = 3) -> tuple[Any, Any, Any]:
    """Five columns with missing values, a survival outcome and a response, with an interaction."""
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [
            np.exp(rng.normal(5, 0.7, n)),
            rng.integers(0, 3, n).astype(float),
            rng.normal(60, 10, n),
            rng.normal(size=n),
            rng.integers(0, 2, n).astype(float),
        ]
    )
    margin = 0.9 * (np.log(X[:, 0]) - 5) * (X[:, 4] + 0.5) + 0.6 * (X[:, 1] == 1) + 0.5 * X[:, 3]
    margin = margin + 0.03 * (X[:, 2] - 60)
    X[rng.random(n) < 0.1, 0] = np.nan
    X[rng.random(n) < 0.1, 1] = np.nan
    y = survival_outcome(rng.random(n) < 0.7, rng.exponential(np.exp(-margin)) + 0.01)
    return X, y, rng.random(n) < 1 / (1 + np.exp(margin))


def fitted(model: Any) -> tuple[EncodedModel, Any]:
    """A model of the zoo fitted on the cohort, with the rows it was fitted on."""
    X, y, response = cohort()
    return EncodedModel(PLANS, model).fit(
        X, response if hasattr(model, "predict_response") else y
    ), X


def explain(run: EncodedModel, X: Any, scale: Scale, **kwargs: Any) -> TimeAttribution:
    """With few bootstrap samples and a fixed seed unless told."""
    settings: dict[str, Any] = {"rng": np.random.default_rng(0), "n_bootstrap": 20, **kwargs}
    background = settings.pop("background", X)
    return attribute_over_time(run, X, scale, background, **settings)


def predict(run: EncodedModel, rows: Any, scale: Scale) -> Any:
    """Predictions without anything of the explaining room: curves, fine sums, probabilities."""
    if scale.kind == "response":
        return run.predict_response(rows)[:, None]
    if scale.kind == "survival":
        return run.predict_survival(rows, scale.times)
    means = []
    for limit in scale.times:
        edges = np.linspace(0.0, limit, 8001)
        means.append(limit * run.predict_survival(rows, (edges[1:] + edges[:-1]) / 2).mean(axis=1))
    return np.column_stack(means)


def brute_force(run: EncodedModel, row: Any, background: Any, scale: Scale) -> Any:
    """Shapley's sum over all coalitions of columns, each a prediction of mixed patients."""
    columns = range(len(row))

    def worth(members: tuple[int, ...]) -> Any:
        mixed = background.copy()
        mixed[:, list(members)] = row[list(members)]
        return predict(run, mixed, scale).mean(axis=0)

    worths = {s: worth(s) for size in range(len(row) + 1) for s in combinations(columns, size)}
    values = np.zeros((len(row), len(worths[()])))
    for j in columns:
        for members, without in worths.items():
            if j not in members:
                s = len(members)
                weight = factorial(s) * factorial(len(row) - s - 1) / factorial(len(row))
                values[j] += weight * (worths[tuple(sorted((*members, j)))] - without)
    return values, worths[()]


@pytest.mark.parametrize(("model", "scale"), CASES, ids=name)
def test_exact_values_are_shapleys_sum_over_all_coalitions(model: Any, scale: Scale) -> None:
    """A plain enumeration with the model's own predictions gives the same, on every scale."""
    run, X = fitted(model)
    background = X[20:27]
    found = explain(run, X[:3], scale, background=background)
    assert found.plan.exact
    assert np.all(found.standard_error == 0)
    limit = 1e-4 * scale.size if scale.kind == "restricted mean" else 1e-5
    for i in range(3):
        values, base = brute_force(run, X[i], background, scale)
        assert np.all(np.abs(found.values[i] - values) <= limit)
        assert np.all(np.abs(found.base_value - base) <= limit)


@pytest.mark.parametrize("budget", [2**14, 1280])
@pytest.mark.parametrize(("model", "scale"), CASES, ids=name)
def test_every_model_adds_up_to_its_own_prediction(model: Any, scale: Scale, budget: int) -> None:
    """Base value and shares sum to the prediction, enumerated or sampled."""
    run, X = fitted(model)
    found = explain(run, X, scale, budget=budget)
    total = found.values.sum(axis=1) + found.base_value
    own = predict(run, X, scale)
    assert np.max(np.abs(total - own) / scale.size) < PROBABILITY_TOLERANCE
    assert found.additivity_gap < 1e-5
    assert found.plan.n_coalitions <= budget
    assert found.values.shape == (len(X), 5, scale.n_points)
    assert found.sources == ("vegf", "histology", "age", "crp", "arm")


@pytest.mark.parametrize("model", [SURVIVAL[0], SURVIVAL[2]], ids=name)
def test_sampled_values_err_as_much_as_they_say(model: Any) -> None:
    """Over 60 draws of orders the mean squared error is the stated variance, within a fifth."""
    run, X = fitted(model)
    rows, background = X[:20], X[20:36]
    exact = explain(run, rows, CURVE, background=background)
    error, stated = [], []
    for seed in range(60):
        drawn = explain(
            run, rows, CURVE, background=background, budget=320,
            rng=np.random.default_rng(seed),
        )  # fmt: skip
        assert not drawn.plan.exact
        np.testing.assert_array_equal(drawn.base_value, exact.base_value)
        error.append(np.square(drawn.values - exact.values).mean())
        stated.append(np.square(drawn.standard_error).mean())
    ratio = float(np.mean(error) / np.mean(stated))
    assert 0.8 < ratio < 1.2


@pytest.mark.parametrize("model", [SURVIVAL[0], SURVIVAL[2]], ids=name)
@pytest.mark.parametrize("budget", [2**14, 1280])
def test_threads_change_no_bit(model: Any, budget: int) -> None:
    """One, two and five threads."""
    run, X = fitted(model)
    alone = explain(run, X, CURVE, budget=budget)
    for threads in (2, 5):
        again = explain(run, X, CURVE, budget=budget, threads=threads)
        assert again.values.tobytes() == alone.values.tobytes()
        assert again.standard_error.tobytes() == alone.standard_error.tobytes()


@pytest.mark.parametrize("budget", [2**14, 1280])
def test_a_patients_values_do_not_depend_on_who_else_is_explained(budget: int) -> None:
    """One patient alone gets what they get among all."""
    run, X = fitted(BoostedCox(n_estimators=30, max_depth=3))
    among = explain(run, X, CURVE, budget=budget)
    alone = explain(run, X[77:78], CURVE, budget=budget, background=X)
    np.testing.assert_allclose(alone.values[0], among.values[77], atol=1e-15, rtol=0)


def test_a_column_without_effect_gets_exactly_nothing() -> None:
    """A coefficient of 0, and a column no tree tests."""
    run, X = fitted(CoxRegression(penalty=1.0))
    run.model.coef_[list(run.encoder_.sources).index("age")] = 0.0
    assert np.all(explain(run, X, CURVE, budget=1280).values[:, 2] == 0)
    stumps, X = fitted(BoostedCox(n_estimators=2, max_depth=1))
    found = explain(stumps, X, CURVE)
    silent = np.all(found.values == 0, axis=(0, 2))
    assert 0 < silent.sum() < 5
    assert found.plan.n_players == 5 - silent.sum()


def test_a_model_without_any_effect_has_only_a_base_value() -> None:
    """All coefficients 0: nobody plays."""
    run, X = fitted(CoxRegression(penalty=1.0))
    run.model.coef_[:] = 0.0
    found = explain(run, X, CURVE)
    assert found.plan.n_players == 0
    assert np.all(found.values == 0)
    np.testing.assert_allclose(found.prediction, np.broadcast_to(found.base_value, (len(X), 3)))


def test_interval_and_error_bound_stand_beside_every_mean() -> None:
    """Means lie in their intervals; patients counted once; the bound is the mean error."""
    run, X = fitted(CoxRegression(penalty=1.0))
    found = explain(run, X, CURVE, budget=1280, n_bootstrap=200)
    assert np.all((found.low <= found.mean_absolute) & (found.mean_absolute <= found.high))
    np.testing.assert_allclose(found.mean_absolute, np.abs(found.values).mean(axis=0))
    np.testing.assert_allclose(found.mean_standard_error, found.standard_error.mean(axis=0))
    twice = explain(run, X, CURVE, patient_numbers=np.arange(len(X)) // 2)
    assert twice.n_patients == len(X) // 2
    assert "patients" in twice.interval_covers


def test_what_is_stored_holds_no_patients_row() -> None:
    """The dictionary is JSON, names every budget, and holds nothing as long as the cohort."""
    run, X = fitted(CoxRegression(penalty=1.0))
    stored = explain(run, X, CURVE, budget=1280).to_dict()
    assert json.loads(json.dumps(stored)) == stored
    assert stored["n_background"] == 64
    assert stored["n_coalitions"] == 1024
    assert not stored["exact"]
    assert stored["unit"] == "years"

    def lengths(part: Any) -> list[int]:
        if isinstance(part, dict):
            return [n for value in part.values() for n in lengths(value)]
        if isinstance(part, list):
            return [len(part), *(n for value in part for n in lengths(value))]
        return []

    assert max(lengths(stored)) <= 5


def test_progress_is_told_to_the_end() -> None:
    """In order, up to the number of rows."""
    run, X = fitted(CoxRegression(penalty=1.0))
    told: list[tuple[int, int]] = []
    explain(run, X, CURVE, threads=2, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert len(told) > 1
    assert told[-1] == (len(X), len(X))


def test_values_that_miss_the_prediction_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prediction the game does not know of is an error, not a small print."""
    run, X = fitted(CoxRegression(penalty=1.0))
    honest = over_time.predicted
    monkeypatch.setattr(over_time, "predicted", lambda *a: honest(*a) + 0.002)
    with pytest.raises(AdditivityError, match="within 0.001 of its size; got a gap of 0.002"):
        explain(run, X, CURVE)


def test_what_cannot_be_explained_is_said() -> None:
    """The other endpoint, too small a budget, wrong shapes."""
    run, X = fitted(CoxRegression(penalty=1.0))
    with pytest.raises(NotEstimableError, match="probability of response for a CoxRegression"):
        explain(run, X, Scale("response"))
    with pytest.raises(NotEstimableError, match="survival probability for a Logistic"):
        explain(fitted(LogisticResponse())[0], X, CURVE)
    with pytest.raises(ValueError, match="budget must be at least 1024 for 5 columns and 64"):
        explain(run, X, CURVE, budget=1000)
    with pytest.raises(ValueError, match="background must have at least one row and 5 column"):
        explain(run, X, CURVE, background=X[:0])
    with pytest.raises(ValueError, match="n_background and n_bootstrap must be at least 1"):
        explain(run, X, CURVE, n_background=0)
    with pytest.raises(ValueError, match="threads must be at least 1; got 0"):
        explain(run, X, CURVE, threads=0)
