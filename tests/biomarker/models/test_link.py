"""A curve at a margin is the curve of a patient who has it, for every model of the zoo."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from biomarker import survival_outcome
from biomarker.errors import NotEstimableError
from biomarker.models import (
    BoostedAFT,
    BoostedCox,
    BoostedResponse,
    CoxRegression,
    LogisticResponse,
    WeibullAFT,
)
from biomarker.models.link import mean_time_rule, response_at_margin, survival_at_margin
from biomarker.models.zoo import default_zoo, model_from_state

SURVIVAL = [
    CoxRegression(penalty=1.0, standardise=True),
    WeibullAFT(penalty=1.0),
    BoostedCox(n_estimators=20),
    BoostedAFT(n_estimators=20),
    BoostedAFT(n_estimators=20, distribution="logistic"),
]
RESPONSE = [LogisticResponse(penalty=1.0), BoostedResponse(n_estimators=20)]
TIMES = [0.0, 0.01, 0.3, 1.0, 2.5, 50.0]


def rows(seed: int = 0, n: int = 150) -> tuple[Any, Any, Any]:
    """Features off their zero, tied durations, a response."""
    rng = np.random.default_rng(seed)
    X = rng.normal(3.0, 1.5, size=(n, 3))
    margin = 0.7 * (X[:, 0] - 3) - 0.4 * (X[:, 1] > 3)
    y = survival_outcome(rng.random(n) < 0.7, np.ceil(40 * rng.exponential(np.exp(-margin))) / 20)
    return X, y, rng.random(n) < 1 / (1 + np.exp(margin))


def test_the_cases_below_cover_the_zoo() -> None:
    """A model added to the zoo must be added here."""
    built = {type(c.build({}, 0)) for kind in ("survival", "response") for c in default_zoo(kind)}
    assert built == {type(model) for model in SURVIVAL + RESPONSE}


@pytest.mark.parametrize("model", SURVIVAL, ids=lambda m: type(m).__name__)
def test_survival_at_a_patients_margin_is_the_patients_survival(model: Any) -> None:
    """Fitted, and read back from its stored state, at times within and beyond the follow-up."""
    X, y, _ = rows()
    model.fit(X, y)
    for known in (model, model_from_state(*model.to_state())):
        found = survival_at_margin(known, known.predict_margin(X), TIMES)
        np.testing.assert_allclose(found, known.predict_survival(X, TIMES), atol=1e-12, rtol=0)
        assert np.all(found[:, 0] == 1)


@pytest.mark.parametrize("model", RESPONSE, ids=lambda m: type(m).__name__)
def test_response_at_a_patients_margin_is_the_patients_response(model: Any) -> None:
    """For both response models."""
    X, _, response = rows()
    model.fit(X, response)
    found = response_at_margin(model, model.predict_margin(X))
    np.testing.assert_allclose(found, model.predict_response(X), atol=1e-12, rtol=0)


@pytest.mark.parametrize("model", SURVIVAL, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("limit", [0.4, 3.0, 40.0])
def test_the_rule_gives_the_area_under_the_curve(model: Any, stored: bool, limit: float) -> None:
    """Against a fine midpoint sum; weights add up to the limit."""
    X, y, _ = rows()
    model.fit(X, y)
    known = model_from_state(*model.to_state()) if stored else model
    times, weights = mean_time_rule(known, limit)
    edges = np.linspace(0.0, limit, 40_001)
    fine = known.predict_survival(X[:5], 0.5 * (edges[1:] + edges[:-1])).mean(axis=1) * limit
    found = known.predict_survival(X[:5], times) @ weights
    np.testing.assert_allclose(found, fine, rtol=0, atol=1e-4 * limit)
    assert weights.sum() == pytest.approx(limit, rel=1e-12)


def test_what_is_no_function_of_one_margin_is_refused() -> None:
    """Strata, foreign models, the other endpoint, and a limit that is no time."""
    X, y, response = rows()
    strata = np.arange(len(X)) % 2
    stratified = CoxRegression(penalty=1.0).fit(X, y, strata=strata)
    with pytest.raises(NotEstimableError, match="strata must be absent.*got 2"):
        survival_at_margin(stratified, [0.0], [1.0])
    with pytest.raises(NotEstimableError, match="survival model of the zoo"):
        survival_at_margin(LogisticResponse().fit(X, response), [0.0], [1.0])
    with pytest.raises(NotEstimableError, match="response model of the zoo"):
        response_at_margin(WeibullAFT(penalty=1.0).fit(X, y), [0.0])
    with pytest.raises(NotEstimableError, match="SimpleNamespace"):
        mean_time_rule(SimpleNamespace(), 1.0)
    with pytest.raises(ValueError, match="limit must be finite and above 0; got 0"):
        mean_time_rule(stratified, 0.0)
