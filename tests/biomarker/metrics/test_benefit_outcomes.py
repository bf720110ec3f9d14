"""What benefit metrics are computed from: weights that make up for censoring, and groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from biomarker.errors import OutcomeError
from biomarker.metrics.benefit_outcomes import (
    group_codes,
    known_outcomes,
    pseudo_outcomes,
    rising_groups,
)
from biomarker.outcomes import survival_outcome


@pytest.mark.parametrize("measure", ["survival", "restricted_mean"])
def test_known_outcomes_speak_for_the_censored(measure: Any) -> None:
    """Within arm weights average 1, and the weighted mean is that of the pseudo-observations."""
    rng = np.random.default_rng(3)
    arm = np.arange(4000) % 2 == 1
    time, limit = rng.exponential(np.where(arm, 2.0, 1.0)), rng.uniform(0.2, 3.0, 4000)
    y = survival_outcome(time <= limit, np.minimum(time, limit))
    outcome, weight = known_outcomes(y, arm, 1.0, measure)
    pseudo = pseudo_outcomes(y, arm, 1.0, measure)
    for side in (arm, ~arm):
        assert weight[side].mean() == pytest.approx(1.0, abs=0.01)
        assert (weight * outcome)[side].mean() == pytest.approx(pseudo[side].mean(), abs=0.01)
    hidden = ~y["event"] & (y["duration"] < 1.0)
    assert np.array_equal(weight == 0.0, hidden)


def test_weights_are_learned_within_arm() -> None:
    """Censoring in one arm leaves the other's weights at 1."""
    arm = np.array([True, True, True, False, False, False])
    y = survival_outcome([0, 1, 1, 1, 1, 1], [1.0, 2.0, 4.0, 1.0, 2.0, 4.0])
    _, weight = known_outcomes(y, arm, 3.0, "survival")
    assert weight == pytest.approx([0.0, 1.5, 1.5, 1.0, 1.0, 1.0])


def test_a_response_is_known_of_everybody() -> None:
    """Weights of 1, outcomes 0 and 1."""
    outcome, weight = known_outcomes(
        np.array([True, False]), np.array([True, False]), None, "survival"
    )
    assert (outcome.tolist(), weight.tolist()) == ([1.0, 0.0], [1.0, 1.0])


def test_groups_are_numbered_or_refused() -> None:
    """Any labels; one group without; a wrong length says so."""
    assert group_codes(["b", "a", "b"], 3).tolist() == [1, 0, 1]
    assert group_codes(None, 3).tolist() == [0, 0, 0]
    with pytest.raises(OutcomeError, match="groups must have shape"):
        group_codes([1], 3)


def test_groups_rise_with_the_prediction() -> None:
    """Even in size where both arms allow, and never without two of each arm."""
    arm = np.arange(80) % 2 == 1
    code = rising_groups(np.arange(80.0), arm, 4)
    assert np.bincount(code).tolist() == [20, 20, 20, 20]
    assert np.all(np.diff(code) >= 0)
    lopsided = np.r_[np.zeros(40), np.ones(40)] == 1
    assert np.unique(rising_groups(np.arange(80.0), lopsided, 4)).tolist() == [0]
