"""Pairwise values are symmetric and sum to the attribution they refine."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xgboost

from biomarker import survival_outcome
from biomarker.explain import pairs
from biomarker.explain.contributions import AdditivityError, contributions
from biomarker.explain.pairs import interactions
from biomarker.features.frozen_column import ColumnPlan
from biomarker.models import BoostedAFT, BoostedCox, BoostedResponse, CoxRegression
from biomarker.models.pipeline import EncodedModel
from biomarker.parsing import ParseRule

PLANS = (
    ColumnPlan(ParseRule("vegf", "continuous")),
    ColumnPlan(ParseRule("histology", "categorical", levels=("clear", "papillary", "other"))),
    ColumnPlan(ParseRule("crp", "continuous")),
)
BOOSTED = [BoostedCox(n_estimators=20), BoostedAFT(n_estimators=20), BoostedResponse()]


def fitted(model: Any, n: int = 200) -> tuple[EncodedModel, Any]:
    """A model whose outcome depends on a product, a level and missing values."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=n), rng.integers(0, 3, n), rng.normal(size=n)])
    margin = 1.5 * X[:, 0] * X[:, 2] + 0.7 * (X[:, 1] == 1)
    X[rng.random(n) < 0.1, 0] = np.nan
    y: Any = survival_outcome(rng.random(n) < 0.8, rng.exponential(np.exp(-margin)) + 0.01)
    if hasattr(model, "predict_response"):
        y = margin + rng.normal(size=n) > 0
    return EncodedModel(PLANS, model).fit(X, np.nan_to_num(y) if y.dtype == bool else y), X


@pytest.mark.parametrize("model", BOOSTED, ids=lambda m: type(m).__name__)
def test_rows_sum_to_the_attribution_and_pairs_are_shared_equally(model: Any) -> None:
    """On the model's own margin scale and sign, and as the booster's own call has it."""
    run, X = fitted(model)
    found, parts = interactions(run, X), contributions(run, X)
    np.testing.assert_allclose(found.values.sum(axis=2), parts.values, atol=1e-4)
    np.testing.assert_allclose(found.values, found.values.transpose(0, 2, 1), atol=1e-12)
    assert found.sources == parts.sources
    booster = run.model.booster_
    matrix = xgboost.DMatrix(run.encode(X), feature_names=booster.feature_names)
    own = run.model.contribution_sign * booster.predict(matrix, pred_interactions=True)
    member = [np.flatnonzero(np.equal(run.encoder_.sources, s)) for s in found.sources]
    for i, first in enumerate(member):
        for j, second in enumerate(member):
            wanted = own[:, first][:, :, second].sum(axis=(1, 2))
            np.testing.assert_allclose(found.values[:, i, j], wanted, atol=1e-4)


def test_the_planted_pair_comes_first_and_no_row_is_stored() -> None:
    """Aggregates only, largest first."""
    run, X = fitted(BoostedCox(n_estimators=40))
    stored = interactions(run, X).to_dict()
    assert json.loads(json.dumps(stored)) == stored
    assert stored["pairs"][0]["sources"] == ["vegf", "crp"]
    assert len(stored["pairs"]) == 3
    assert stored["n_patients"] == len(X)


def test_a_linear_margin_has_no_pairs() -> None:
    """The diagonal is the attribution."""
    run, X = fitted(CoxRegression(penalty=1.0))
    found = interactions(run, X)
    off = found.values[:, ~np.eye(3, dtype=bool)]
    assert np.all(off == 0)
    np.testing.assert_allclose(found.values.sum(axis=2), contributions(run, X).values)


def test_pairs_that_miss_the_attribution_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disagreement is an error."""
    run, X = fitted(BoostedCox(n_estimators=5))
    paths = pairs.compile_paths(run.model.booster_)

    class Wrong:
        """Tables that are off."""

        def interactions(self, rows: Any, threads: int) -> Any:
            return paths.interactions(rows, threads) + 0.01

    monkeypatch.setattr(pairs, "compile_paths", lambda booster: Wrong())
    with pytest.raises(AdditivityError, match=r"within 0.0001; got a gap of 0\.\d"):
        interactions(run, X)
