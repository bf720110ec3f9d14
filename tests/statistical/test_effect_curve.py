"""Error rates of the effect curve, reduced: its test of no variation, and its band."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from biomarker import Cohort, Study
from biomarker.evidence.effect_curve import effect_curve
from tests.biomarker.evidence.conftest import small_frame, small_study

N_NULLS, N_DRAWS = 200, 99


@pytest.mark.slow
def test_a_common_effect_is_called_varying_one_time_in_twenty() -> None:
    """A strongly prognostic marker, hazard ratio .6 everywhere, 200 cohorts of 240 patients.

    Rejections inside the 99.8% range of a 4% test (p < .05 of 99 draws is 4 ranks of 100); the
    band holds the whole line in at least 95% less three standard errors. A test that never rejects
    fails too, as its lower end is 2.
    """
    study = small_study()
    del study["columns"]["age"]
    rejected = held = 0
    for b in range(N_NULLS):
        frame = small_frame(n=240, seed=5000 + b, prognostic=0.5, treatment=float(np.log(0.6)))
        cohort = Cohort.from_frame(frame.drop(columns="age"), Study.from_dict(study))
        found = effect_curve(cohort, "m1", "os", n_draws=N_DRAWS, seed=b)
        rejected += found.p < 0.05
        held += bool(np.all((found.band_low < 0.6) & (found.band_high > 0.6)))
    low, high = binom.ppf([0.001, 0.999], N_NULLS, 0.04)
    assert low <= rejected <= high
    assert low >= 1
    assert held / N_NULLS >= 0.95 - 3.0 * np.sqrt(0.95 * 0.05 / N_NULLS)


@pytest.mark.slow
def test_a_varying_effect_is_found() -> None:
    """Ratio of hazard ratios .45 per SD among 300 patients: seen in most of 30 cohorts."""
    study = small_study()
    del study["columns"]["age"]
    found = 0
    for b in range(30):
        frame = small_frame(n=300, seed=7000 + b, predictive=float(np.log(0.45)))
        cohort = Cohort.from_frame(frame.drop(columns="age"), Study.from_dict(study))
        found += effect_curve(cohort, "m1", "os", n_draws=N_DRAWS, seed=b).p < 0.05
    assert found >= 24
