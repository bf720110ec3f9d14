"""Refits of boosted models say how much of their predictive part is noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from biomarker import survival_outcome
from biomarker.explain.benefit_null import column_parts, upper
from biomarker.explain.benefit_shares import zoo_benefit
from biomarker.explain.benefit_zoo_refits import zoo_null_refits, zoo_patient_refits
from biomarker.features.frozen_column import ColumnPlan
from biomarker.models import BoostedCox, BoostedResponse
from biomarker.models.pipeline import EncodedModel
from biomarker.parsing import ParseRule

PLANS = (
    ColumnPlan(ParseRule("vegf", "continuous")),
    ColumnPlan(ParseRule("age", "continuous")),
    ColumnPlan(ParseRule("noise", "continuous")),
    ColumnPlan(ParseRule("arm", "arm", levels=("0", "1"), control=("0",))),
)


def fitted(
    model: Any, n: int = 300, delta: float = 1.3, seed: int = 3
) -> tuple[EncodedModel, Any, Any]:
    """VEGF acts through treatment alone (by ``delta``), age on the disease alone."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(size=(n, 3)), np.arange(n) % 2])
    risk = -delta * X[:, 0] * X[:, 3] + 0.8 * X[:, 1]
    y: Any = rng.random(n) < 1 / (1 + np.exp(risk))
    if isinstance(model, BoostedCox):
        y = survival_outcome(rng.random(n) < 0.8, rng.exponential(np.exp(-risk)) + 1e-3)
    return EncodedModel(PLANS, model).fit(X, y), X, y


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [BoostedCox(20, 0.1, 3), BoostedResponse(20, 0.1, 3)],
    ids=lambda m: type(m).__name__,
)  # fmt: skip
def test_the_column_that_acts_through_treatment_leads_beyond_its_band(model: Any) -> None:
    """Trees give others a predictive part too; VEGF's is first, and beyond the family's band."""
    run, X, y = fitted(model)
    shares = zoo_benefit(run, X, "arm")
    null, resamples = (f(run, X, y, "arm", 39, 0) for f in (zoo_null_refits, zoo_patient_refits))
    parts = column_parts(
        shares.sources, np.abs(shares.prognostic).mean(axis=0),
        np.abs(shares.predictive).mean(axis=0), np.ones(3, np.bool_), resamples, null, frozenset(),
    )  # fmt: skip
    assert null.n_failed == resamples.n_failed == 0
    assert parts[0].source == "vegf"
    assert parts[0].predictive > parts[0].family_high > 0.0
    assert sum(part.predictive for part in parts[1:]) > 0.0


@pytest.mark.slow
def test_bands_are_seldom_left_where_nothing_acts_through_treatment() -> None:
    """At 5% a prognostic column leaves its band in three of five cohorts once in 860 times."""
    left = 0
    for seed in range(5):
        run, X, y = fitted(BoostedResponse(15, 0.1, 3), n=200, delta=0.0, seed=seed)
        value = np.abs(zoo_benefit(run, X, "arm").predictive).mean(axis=0)[1]
        left += value > upper(zoo_null_refits(run, X, y, "arm", 39, seed).predictive, 0.05)[1]
    assert left <= 2


def test_refits_repeat_and_leave_the_model_as_it_was() -> None:
    """Same seed, same refits; the fitted model's own parts do not change."""
    run, X, y = fitted(BoostedResponse(10), n=120)
    before = zoo_benefit(run, X, "arm").predictive
    one, other = (zoo_null_refits(run, X, y, "arm", 2, 5) for _ in range(2))
    assert np.array_equal(one.predictive, other.predictive)
    assert np.array_equal(zoo_benefit(run, X, "arm").predictive, before)


def test_a_refit_that_cannot_be_fitted_counts_as_infinite() -> None:
    """Resamples of two responders often hold one answer only: they widen the band, not vanish."""
    run, X, _ = fitted(BoostedResponse(10), n=120)
    few = np.zeros(120, np.bool_)
    few[:6] = True
    found = zoo_patient_refits(run, X, few, "arm", 12, 0)
    assert found.n_failed > 0
    assert np.isinf(found.predictive).all(axis=1).sum() == found.n_failed
