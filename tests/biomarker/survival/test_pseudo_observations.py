"""Pseudo-observations: the jackknife of the curve, and the data where nothing is censored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from biomarker import survival_outcome
from biomarker.errors import NotEstimableError
from biomarker.survival.curves import kaplan_meier, restricted_mean
from biomarker.survival.pseudo_observations import pseudo_observations


def test_without_censoring_a_pseudo_observation_is_the_observation() -> None:
    """min(T, tau), and whether the patient lived past the horizon; ties included."""
    time = np.array([1.0, 2.0, 2.0, 3.5, 7.0, 9.0])
    y = survival_outcome(np.ones(6), time)
    assert np.allclose(pseudo_observations(y, 5.0, "restricted_mean"), np.minimum(time, 5.0))
    assert np.allclose(pseudo_observations(y, 3.5, "survival"), time > 3.5)


@pytest.mark.parametrize("measure", ["restricted_mean", "survival"])
def test_each_pseudo_observation_is_the_jackknife_of_the_curve(measure: Any) -> None:
    """By leaving patients out one by one and asking the Kaplan-Meier room each time."""
    rng = np.random.default_rng(3)
    y = survival_outcome(rng.random(25) < 0.6, np.round(rng.exponential(5, 25) + 0.5, 0) + 0.5)
    at = float(np.quantile(y["duration"], 0.7))

    def functional(part: Any) -> float:
        if measure == "survival":
            return float(kaplan_meier(part).survival_at([at])[0])
        return restricted_mean(part, at).value

    keep = ~np.eye(25, dtype=bool)
    expected = [25 * functional(y) - 24 * functional(y[keep[i]]) for i in range(25)]
    assert np.allclose(pseudo_observations(y, at, measure), expected, atol=1e-10)


def test_a_limit_past_the_last_follow_up_is_not_estimable() -> None:
    """Unless the last patient had the event there, so that the curve has come down to 0."""
    censored_last = survival_outcome([1, 1, 0], [1.0, 2.0, 3.0])
    with pytest.raises(NotEstimableError, match="last observed time"):
        pseudo_observations(censored_last, 4.0, "survival")
    event_last = survival_outcome([1, 1, 1], [1.0, 2.0, 3.0])
    assert pseudo_observations(event_last, 4.0, "survival").tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(NotEstimableError, match="two patients"):
        pseudo_observations(event_last[:1], 0.5, "survival")
