"""Power of the procedure, small: e03 with few cohorts, and the test it is held against."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binom

from biomarker import Cohort, Study
from biomarker.evidence import assess
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.interaction import ask_interaction
from biomarker.evidence.power import interaction_power
from biomarker.resampling import spawn
from experiments.e03_power.reference import (
    alternative,
    critical_value,
    likelihood_ratios,
    weight_of_extremes,
    without_extremes,
)
from experiments.e03_power.run import CONTROL
from experiments.e03_power.trials import MARKERS, Design, Trials, cohort, draw, study

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


def test_patients_furthest_out_are_left_out_whatever_became_of_them() -> None:
    """By hand on one trial; and three of 120 hold half of a lognormal marker's sum of squares."""
    marker = np.array([[0.0, 1.0, -9.0, 2.0, 12.0, 1.0]])
    trial = Trials(
        np.array([[0.0, 1, 0, 1, 0, 1]]), marker, np.arange(1.0, 7.0)[None], marker[:1] > 1
    )
    left = without_extremes(trial, 2)
    assert left.marker.tolist() == [[0.0, 1.0, 2.0, 1.0]]
    assert left.arm.tolist() == [[0.0, 1.0, 1.0, 1.0]]
    assert left.time.tolist() == [[1.0, 2.0, 4.0, 6.0]]
    assert left.event.tolist() == [[False, False, True, False]]
    far = np.array([-61 / 6, 65 / 6])  # from the mean of 7/6
    held = (far**2).sum() / (marker.var() * 6)
    assert weight_of_extremes(trial, 2) == pytest.approx(held)
    many = draw(Design("lognormal", 120), 2000, np.random.default_rng(11))
    assert weight_of_extremes(many, 3) == pytest.approx(0.5, abs=0.03)


def test_a_declared_logarithm_makes_a_lognormal_marker_a_normal_one() -> None:
    """So its power is that of the normal marker: same ratio, same redrawn p, same verdict."""
    trials = draw(Design("normal", 120, math.log(0.5)), 1, np.random.default_rng(12))
    (same,) = assess(cohort(Design("normal", 120), trials, 0), ("marker",), random_state=3)
    declared = study("normal").to_dict()
    declared["columns"]["marker"] |= {"transform": "log", "range": [1e-9, 1e9]}
    frame = pd.DataFrame(
        {
            "patient": [f"p{i}" for i in range(120)],
            "arm": np.where(trials.arm[0] == 1, "drug", "control"),
            "marker": np.exp(trials.marker[0]),
            "months": trials.time[0],
            "died": trials.event[0].astype(int).astype(str),
        }
    )
    lognormal = Cohort.from_frame(frame, Study.from_dict(declared))
    (log,) = assess(lognormal, ("marker",), random_state=3)
    assert log.p_interaction == same.p_interaction < 0.05
    assert log.ratio == pytest.approx(same.ratio, rel=1e-9)
    assert log.ratio_low == pytest.approx(same.ratio_low, rel=1e-9)
    assert (log.verdict, log.claimed) == (same.verdict, same.claimed)


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
