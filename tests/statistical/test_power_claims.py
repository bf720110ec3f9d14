"""Power of the procedure, small: e03 with few cohorts, and the test it is held against."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta, binom

from biomarker.evidence import assess
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.interaction import ask_interaction
from biomarker.evidence.power import interaction_power
from biomarker.resampling import spawn
from experiments.e03_power.reference import alternative, critical_value, likelihood_ratios
from experiments.e03_power.run import CONTROL
from experiments.e03_power.trials import MARKERS, Design, cohort, draw

POINTS = 0.05


@pytest.mark.parametrize("marker", MARKERS)
def test_the_reference_has_the_procedure_s_statistic(marker: str) -> None:
    """Two codes, one likelihood ratio: over many trials at once, and one cohort at a time."""
    design = Design(marker, 80, math.log(0.5))
    trials = draw(design, 12, np.random.default_rng(4))
    found = likelihood_ratios(trials)
    for row in range(12):
        data = analysis_set(cohort(design, trials, row), "marker", "os")
        assert ask_interaction(data).likelihood_ratio == pytest.approx(found[row], abs=1e-6)


def test_trials_have_the_events_and_the_null_they_are_drawn_for() -> None:
    """60% events; without an interaction the critical value is near chi squared's 3.84."""
    design = Design("normal", 300)
    rng = np.random.default_rng(5)
    assert draw(design, 200, rng).event.mean() == pytest.approx(0.6, abs=0.01)
    assert critical_value(design, 3000, rng) == pytest.approx(3.84, abs=0.35)


def test_the_alternative_is_the_one_asked_for() -> None:
    """Half of fresh trials are beyond the critical value at the alternative with 50% power."""
    design = Design("binary", 120)
    critical = critical_value(design, 2000, np.random.default_rng(6))
    strength = alternative(design, critical, 0.5, 1000, seed=7)
    fresh = draw(replace(design, interaction=strength), 1000, np.random.default_rng(8))
    assert np.mean(likelihood_ratios(fresh) > critical) == pytest.approx(0.5, abs=0.06)


@pytest.mark.slow
def test_the_rules_cost_little_power() -> None:
    """Where the exact test rejects, the procedure claims, but for 5 points and chance."""
    n = 30
    design = Design("normal", 120)
    critical = critical_value(design, 2000, spawn(9, "null"))
    # 80% power of the exact test, found by e03
    design = replace(design, interaction=math.log(0.493))
    lost = rejected = 0
    for b in range(n):
        trial = draw(design, 1, spawn(9, "trial", b))
        verdict = assess(cohort(design, trial, 0), ("marker",), random_state=b)[0]
        beyond = bool(likelihood_ratios(trial)[0] > critical)
        rejected += beyond
        lost += beyond and not verdict.claimed
    assert rejected >= binom.ppf(0.01, n, 0.8)
    assert lost <= binom.ppf(0.975, n, POINTS)


@pytest.mark.slow
def test_the_positive_control_is_claimed_as_often_as_the_formula_says() -> None:
    """Hazard ratio .6 in the half that is marker-positive, 1 in the rest, 400 patients."""
    n = 30
    claims = events = 0
    for b in range(n):
        trial = draw(CONTROL, 1, spawn(10, "trial", b))
        verdict = assess(cohort(CONTROL, trial, 0), ("marker",), random_state=b)[0]
        claims += verdict.claimed
        events += verdict.events_treated + verdict.events_control
    assert events / n == pytest.approx(295, abs=5)
    formula = interaction_power(0.6, events / n, marker_variance=0.25)
    low, high = beta.ppf(0.025, claims, n - claims + 1), beta.ppf(0.975, claims + 1, n - claims)
    assert low - POINTS < formula < high + POINTS
