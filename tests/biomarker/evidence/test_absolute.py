"""Absolute effects: limits that the data carry, and the right sign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort, survival_outcome
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.absolute import absolute_effect, longest_tau
from biomarker.evidence.analysis_set import analysis_set

Trial = Callable[..., Cohort]


def test_the_limit_is_the_last_time_with_a_tenth_of_each_arm(trial: Trial) -> None:
    """At it 10% are at risk in both arms; a hair later some arm has fewer."""
    data = analysis_set(trial(n=150), "m1", "os")
    tau = longest_tau(data)
    assert data.arm is not None
    shares = [
        [np.mean(data.y["duration"][data.arm == side] >= t) for side in (0, 1)]
        for t in (tau, tau * (1 + 1e-9))
    ]
    assert min(shares[0]) >= 0.10 > min(shares[1])


def test_a_limit_beyond_support_is_refused(trial: Trial) -> None:
    """Not clipped in silence."""
    data = analysis_set(trial(n=150), "m1", "os")
    with pytest.raises(UsageError, match="10% of each arm"):
        absolute_effect(data, at=longest_tau(data) * 1.01)


def test_a_marker_that_raises_the_gain_has_a_positive_slope(trial: Trial) -> None:
    """Treatment helps the marker-high: more event-free time there, and not the other way."""
    found = absolute_effect(analysis_set(trial(n=500, predictive=-0.9), "m1", "os"))
    assert 0.0 < found.low < found.value < found.high
    assert found.p < 0.001
    assert found.quartiles > 0.0
    assert found.quartiles / found.value == pytest.approx(1.35, abs=0.2)


def test_levels_differ_by_the_difference_of_differences(trial: Trial) -> None:
    """For a two-level marker without censoring: means of min(T, tau), treated less control."""

    def everyone_dies(frame: pd.DataFrame) -> pd.DataFrame:
        frame["died"] = "1"
        return frame

    cohort = trial(n=120, change=everyone_dies)
    data = analysis_set(cohort, "m2", "os")
    found = absolute_effect(data, at=0.8)
    seen = np.minimum(data.y["duration"], 0.8)
    high, drug = data.marker_columns[:, 0] > 0, data.arm == 1
    gains = [seen[h & drug].mean() - seen[h & ~drug].mean() for h in (high, ~high)]
    assert found.value == pytest.approx(gains[0] - gains[1])
    assert np.isnan(found.quartiles)


def test_the_interval_covers_at_the_stated_rate(trial: Trial) -> None:
    """300 trials of 200 patients without any difference of gain: 95% within binomial limits."""
    rng = np.random.default_rng(8)
    data = analysis_set(trial(n=200), "m1", "os")
    covered = 0
    for _ in range(300):
        time = rng.exponential(size=200)
        limit = rng.uniform(0.4, 2.0, size=200)
        y = survival_outcome(time <= limit, np.minimum(time, limit))
        found = absolute_effect(replace(data, y=y), at=0.9)
        covered += found.low <= 0.0 <= found.high
    assert abs(covered / 300 - 0.95) < 1.96 * np.sqrt(0.0475 / 300) + 1e-9


def test_an_arm_without_variation_is_not_estimable(trial: Trial) -> None:
    """A level no treated patient has gives no difference of differences."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["arm"] == "drug", "m2"] = "low"
        return frame

    with pytest.raises(NotEstimableError, match="vary in each arm"):
        absolute_effect(analysis_set(trial(n=80, change=change), "m2", "os"))
