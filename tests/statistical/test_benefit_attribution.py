"""Predictive parts find the true marker, and the null band holds a prognostic one: small version.

experiments/e04_benefit_attribution holds the full grid; bounds here are those a right procedure
passes 999 times in 1,000.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from biomarker.explain.benefit_null import upper
from biomarker.explain.benefit_refits import null_refits, patient_refits
from biomarker.resampling import spawn
from experiments.e04_benefit_attribution import measures
from experiments.e04_benefit_attribution.measures import one_band, one_ranking, rankings
from experiments.e04_benefit_attribution.trials import Design, drawn


def at_least(count, n, rate):
    """Whether a count is no surprise at this rate, from below."""
    return count >= binom.ppf(0.001, n, rate)


@pytest.mark.slow
@pytest.mark.parametrize("design", rankings()[::4], ids=lambda d: f"{d.endpoint}-{d.n_markers}")
def test_the_marker_that_acts_through_treatment_comes_first(design):
    """By the predictive part in 95% of cohorts, and never by the prognostic part."""
    found = np.array([one_ranking(design, b, 3) for b in range(50)])
    assert at_least(found[:, 0].sum(), 50, 0.95)
    assert found[:, 1].mean() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ["survival", "response"])
def test_a_prognostic_marker_stays_within_its_band(endpoint, monkeypatch):
    """Its predictive share exceeds the band in 5%, no more, and no family of markers in more."""
    monkeypatch.setattr(measures, "N_NULL", 99)
    found = np.array([one_band(Design(endpoint, 160, n_markers=4), b, 3) for b in range(120)])
    assert not np.isnan(found).any()
    assert at_least(found[:, 0].sum(), 120, 0.95)
    assert at_least(120 - found[:, 3].sum(), 120, 0.95)
    # Nor is the band so wide that nothing could exceed it.
    assert found[:, 2].mean() < 0.995


@pytest.mark.slow
def test_the_band_does_not_hold_a_marker_that_acts_through_treatment():
    """The positive control: at high power its part is beyond its band nearly always."""
    design = Design("survival", 240, np.log(2.7), n_markers=4)
    found = np.array([one_band(design, b, 3) for b in range(25)])
    assert found[:, 4].mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("interaction", [0.0, np.log(1.8)], ids=["none", "true"])
def test_intervals_of_the_predictive_part_cover(interaction):
    """The true size at these patients' values is inside in at least 95%: the interval is wide."""
    design = Design("survival", 200, interaction, n_markers=4)
    inside = 0
    for b in range(100):
        trial = drawn(design, spawn(5, "interval", b))
        coefficients = trial.fit()
        shares = trial.shares(coefficients)
        moved = patient_refits(trial, coefficients, 79, b).predictive_moved
        value = np.abs(shares.predictive).mean(axis=0)[0]
        truth = abs(interaction) * np.abs(trial.centred[:, 0]).mean()
        inside += abs(value - truth) <= upper(moved, 0.05)[0]
    assert at_least(inside, 100, 0.95)


@pytest.mark.slow
def test_permuting_the_arm_instead_gives_a_narrower_band():
    """Where treatment works well: why outcomes are redrawn, and the arm is never permuted."""
    ratio = []
    for b in range(6):
        trial = drawn(Design("response", 300, n_markers=3, treatment=2.2, events=0.5), spawn(6, b))
        coefficients = trial.fit()
        redrawn = null_refits(trial, coefficients, 199, b).predictive[:, 1]
        rng, permuted = np.random.default_rng(b), []
        for _ in range(99):
            data = replace(trial.data, treated=rng.permutation(trial.data.treated))
            other = replace(trial, data=data)
            permuted.append(np.abs(other.shares(other.fit()).predictive[:, 1]).mean())
        ratio.append(upper(np.array(permuted), 0.05) / upper(redrawn, 0.05))
    assert np.mean(ratio) < 0.95
