"""Drivers are the largest shares; trees that cannot be split are refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker import survival_outcome
from biomarker.errors import BundleError
from biomarker.explain.contributions import contributions, drivers
from biomarker.features.frozen_column import ColumnPlan
from biomarker.models import BoostedCox
from biomarker.models.pipeline import EncodedModel
from biomarker.parsing import ParseRule


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=6),
    st.integers(1, 6),
)
def test_drivers_are_the_largest_shares_with_their_signs(rows: Any, k: int) -> None:
    """No share left out is larger in size than one listed, and signs are kept."""
    values = np.array(rows)
    order, share = drivers(values, k)
    assert order.shape == (len(values), min(k, 4))
    np.testing.assert_array_equal(np.take_along_axis(values, order, axis=1), share)
    for row, kept in zip(values, order, strict=True):
        left = np.delete(np.abs(row), kept)
        assert left.size == 0 or left.max() <= np.abs(row[kept]).min()


@pytest.mark.parametrize("node", [0, 1])
def test_trees_with_nodes_that_no_weight_reached_are_refused(node: int) -> None:
    """XGBoost's own call fails on some of them and gives no number on others; neither is passed on.

    Such weights do not come from training: somebody wrote them.
    """
    rng = np.random.default_rng(1)
    X = rng.normal(size=(120, 2))
    y = survival_outcome(rng.random(120) < 0.7, rng.exponential(np.exp(-X[:, 0])))
    plans = tuple(ColumnPlan(ParseRule(name, "continuous")) for name in ("age", "ldh"))
    model = EncodedModel(plans, BoostedCox(n_estimators=4, max_depth=3)).fit(X, y)
    booster = model.model.booster_
    learned = json.loads(bytes(booster.save_raw("json")))
    for tree in learned["learner"]["gradient_booster"]["model"]["trees"]:
        tree["sum_hessian"][node] = 0.0
    booster.load_model(bytearray(json.dumps(learned).encode()))
    with pytest.raises(BundleError, match="nodes without training weight"):
        contributions(model, X)
