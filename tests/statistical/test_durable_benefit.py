"""Error rates of durable benefit, at reduced replication; the full grid is experiment e02.

Bounds are binomial: a procedure at its stated rate passes with probability .99 or more, one that is
off by the error named in the test does not.
"""

from __future__ import annotations

import numpy as np
import pytest

from biomarker.resampling import spawn
from biomarker.survival.log_rank import log_rank
from experiments.e02_false_claims import durable


def rate(name, found):
    """Share of replicates that have a property."""
    return np.mean([replicate[name] for replicate in found if name in replicate])


def bound(chance, n):
    """Largest share that a true rate gives with probability .995."""
    from scipy.stats import binom

    return binom.ppf(0.995, n, chance) / n


@pytest.mark.slow
def test_a_landmark_comparison_keeps_its_level_where_the_naive_one_does_not():
    """No effect, n = 120: from the start more than half are "significant", from a landmark 5%."""
    cell, n = {"n": 120, "responders": 0.4, "arms": 1}, 120
    found = [durable.landmark_replicate(cell, 11, b) for b in range(n)]
    assert rate("naive", found) > 0.5
    assert rate("rejected", found) <= bound(0.05, n)
    assert rate("refused", found) == 1.0
    assert rate("shown", found) == 1.0
    assert rate("not_estimable", found) <= 0.02


def test_a_landmark_comparison_finds_a_real_association():
    """A test that never rejects would pass the level: members who live four times as long."""
    found = 0
    for b in range(20):
        rng = spawn(12, "association", b)
        member = np.arange(120) % 2 == 1
        time = rng.exponential(np.where(member, 24.0, 6.0)) + 3.0
        y = durable.survival_outcome(np.ones(120), time)
        result = durable.landmark_association(y, member, landmark=3.0, known_at=2.0, seed=b)
        found += result.p < 0.05 and result.hazard_ratio < 1.0
        assert log_rank(y, member).p_value < 0.05
    assert found == 20


def test_log_log_limits_cover_at_the_median_and_plain_ones_less():
    """At n = 50: log-log within binomial limits of 95%; plain ones fall short of log-log."""
    n = 1500
    found = [durable.curve_replicate({"n": 50, "censored": 0.0}, 13, b) for b in range(n)]
    misses = 1.0 - rate("log_log", found)
    assert 0.05 - 0.015 - 0.012 < misses <= bound(0.055, n)
    assert rate("plain", found) < rate("log_log", found)


@pytest.mark.parametrize("marker", ["normal", "binary", "lognormal on its log"])
def test_the_slope_of_the_restricted_mean_covers_its_truth(marker, monkeypatch):
    """At n = 300 against the slope in potential outcomes: misses as often as 5% allows.

    A standard error half as large would miss in a third of cohorts, twice as large in none.
    """
    monkeypatch.setattr(durable, "N_TRUTH", 200_000)
    cell, n = {"n": 300, "marker": marker, "events": 0.5}, 200
    truth = durable.absolute_truth(cell, 14)
    found = [durable.absolute_replicate(cell, truth, 14, b) for b in range(n)]
    misses = 1.0 - rate("restricted_mean_slope", found)
    assert 0.005 <= misses <= bound(0.055, n)
    assert rate("not_estimable", found) == 0.0


@pytest.mark.slow
def test_given_predictions_are_covered_too(monkeypatch):
    """C-for-benefit and both gains with the predictions held fixed, n = 300."""
    monkeypatch.setattr(durable, "N_TRUTH", 200_000)
    cell, n = durable.PREDICTED[0], 150
    truth = durable.rule_truth(cell, 15)
    found = [durable.rule_replicate(cell, truth, 15, b) for b in range(n)]
    for name in truth:
        misses = 1.0 - rate(f"{name}, fixed predictions", found)
        assert misses <= bound(0.06, n), name
        assert misses > 0.0, name


@pytest.mark.slow
def test_without_heterogeneity_predictions_order_nothing():
    """The whole procedure on null data: mean C-for-benefit .5, and its redrawn null beside it."""
    found = [durable.null_replicate(durable.PREDICTED[0], 16, b) for b in range(16)]
    for name in ("c_for_benefit", "c_for_benefit, redrawn"):
        values = np.array([replicate[name] for replicate in found])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert values.mean() == pytest.approx(0.5, abs=0.01 + 2.6 * error)
        assert error < 0.015
    gains = np.array([replicate["gain_over_all"] for replicate in found])
    assert abs(gains.mean()) < 0.02 + 2.6 * gains.std(ddof=1) / 4.0
