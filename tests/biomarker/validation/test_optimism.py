from __future__ import annotations

import numpy as np
import pytest

from biomarker.errors import NotEstimableError
from biomarker.metrics import concordance_index
from biomarker.validation import optimism_corrected


def test_apparent_less_optimism(quick, survival_cohort):
    """The value is the difference, for each metric and horizon, and apparent is plain."""
    X, y = survival_cohort
    results = optimism_corrected(quick, [{}], X, y, kind="survival", horizons=[1.0], n_bootstrap=20)
    names = [(r.metric, r.horizon is None) for r in results]
    assert names == [
        ("concordance_index", True),
        ("uno_concordance_index", False),
        ("calibration_slope", False),
    ]
    first = results[0]
    own = concordance_index(y, quick({}, 0).fit(X, y).predict_risk(X)).value
    assert first.apparent == pytest.approx(own)
    assert first.value == pytest.approx(first.apparent - first.optimism)
    assert first.low < first.value < first.high
    assert first.monte_carlo_error > 0


def test_noise_columns_bring_optimism(quick, response_cohort):
    """Forty columns of noise flatter the apparent AUC; the correction takes it back."""
    _, y = response_cohort
    X = np.random.default_rng(3).normal(size=(120, 40))
    auc, slope = optimism_corrected(quick, [{}], X, y, kind="response", n_bootstrap=30)
    assert auc.apparent > 0.75
    assert auc.optimism > 0.1
    assert slope.value < slope.apparent


def test_same_seed_same_answer(quick, response_cohort):
    """The bootstrap is keyed to its seed."""
    X, y = response_cohort
    runs = [
        optimism_corrected(quick, [{}], X, y, kind="response", n_bootstrap=5, seed=s)[0].optimism
        for s in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_failure_everywhere_is_said(quick, response_cohort):
    """A model that cannot be fitted has no optimism."""
    X, y = response_cohort
    with pytest.raises(NotEstimableError):
        optimism_corrected(quick, [{"fails": True}], X, y, kind="response", n_bootstrap=5)
