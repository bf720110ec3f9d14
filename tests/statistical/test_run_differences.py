"""How often two runs are said to differ: by their seed alone, and by a strong marker left out."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from biomarker.models import CoxRegression
from biomarker.outcomes import survival_outcome
from biomarker.resampling import spawn
from biomarker.validation import nested_cross_validation
from biomarker.validation.differences import metric_change, metric_noise, patient_parts

N_COHORTS = 24
N = 150
PARTS = patient_parts([str(i) for i in range(N)])


def draw(number: int):
    """Four markers, the first strong, the second weak, two of no effect."""
    rng = spawn(20261127, "run differences", number)
    X = rng.normal(size=(N, 4))
    time = rng.exponential(12.0 * np.exp(-X @ np.array([1.2, 0.3, 0.0, 0.0])))
    censored = rng.uniform(4.0, 40.0, N)
    return X, survival_outcome(time <= censored, np.minimum(time, censored))


def validated(X, y, seed):
    """Two repeats of three folds, as a run has them."""
    result = nested_cross_validation(
        lambda params, seed: CoxRegression(penalty=0.1),
        [{}],
        X,
        y,
        kind="survival",
        times=np.linspace(1.0, 12.0, 8),
        horizons=[8.0],
        tau=12.0,
        n_splits=3,
        seed=seed,
    )
    return {p.metric: metric_noise(p, PARTS, 2 / 3) for p in result.performance}


def share_called_different(a, b, same_patients, same_splits):
    """Metric to whether p < .05."""
    return {
        metric: metric_change(a[metric], b[metric], same_patients, same_splits).p_value < 0.05
        for metric in a
        if a[metric] is not None and b[metric] is not None
    }


@pytest.mark.slow
def test_a_seed_is_noise_and_a_strong_marker_is_not():
    """Seed alone, or other patients of the same population: at most about 5% a metric.

    A strong marker left out, on the same patients, is seen in nine of ten by concordance and
    skill: a rule that calls everything noise fails.
    """
    called = defaultdict(lambda: defaultdict(list))
    before = None
    for number in range(N_COHORTS):
        X, y = draw(number)
        base = validated(X, y, 1)
        found = {
            "seed": share_called_different(base, validated(X, y, 2), True, False),
            "marker": share_called_different(base, validated(X[:, 1:], y, 1), True, True),
        }
        if before is not None:
            found["patients"] = share_called_different(before, base, False, False)
        before = base
        for kind, verdicts in found.items():
            for metric, different in verdicts.items():
                called[kind][metric].append(different)
    rates = {kind: {m: np.mean(v) for m, v in by.items()} for kind, by in called.items()}
    limit = 0.05 + 1.96 * np.sqrt(0.05 * 0.95 / N_COHORTS)
    for kind in ("seed", "patients"):
        assert max(rates[kind].values()) <= limit, rates[kind]
    for metric in ("uno_concordance_index", "integrated_brier_skill"):
        assert rates["marker"][metric] >= 0.9, rates["marker"]
