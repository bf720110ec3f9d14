from __future__ import annotations

import numpy as np
import pytest

from biomarker.errors import NotEstimableError, OutcomeError
from biomarker.metrics import (
    brier_score,
    brier_skill,
    integrated_brier_score,
    integrated_brier_skill,
    log_loss,
    response_brier,
)
from biomarker.outcomes import survival_outcome
from biomarker.survival.curves import kaplan_meier


@pytest.fixture
def cohort():
    """Sixty patients, half censored."""
    rng = np.random.default_rng(4)
    return survival_outcome(rng.random(60) < 0.5, rng.exponential(size=60) + 0.01)


def test_brier_without_censoring_is_the_plain_mean():
    """With everyone followed it is the mean squared error of the status."""
    y = survival_outcome([1, 1, 1], [1.0, 2.0, 3.0])
    S = np.array([0.3, 0.6, 0.8])
    expected = ((np.array([0, 0, 1]) - S) ** 2).mean()
    assert brier_score(y, y, S, [2.0]).value[0] == pytest.approx(expected)


def test_kaplan_meier_has_no_skill_over_itself(cohort):
    """The reference's own predictions score as the reference: skill exactly 0."""
    times = [0.2, 0.5, 0.9]
    S = np.tile(kaplan_meier(cohort).survival_at(times), (60, 1))
    result = brier_score(cohort, cohort, S, times)
    np.testing.assert_allclose(result.value, result.reference)
    np.testing.assert_allclose(result.skill, 0.0, atol=1e-12)
    assert integrated_brier_score(cohort, cohort, S, times).skill[0] == pytest.approx(0, abs=1e-12)


def test_integrated_score_is_the_trapezoid_of_its_scores(cohort):
    """Unevenly spaced times are weighed by their spacing."""
    times = np.array([0.1, 0.2, 0.8])
    S = np.random.default_rng(0).uniform(size=(60, 3))
    scores = brier_score(cohort, cohort, S, times).value
    expected = np.trapezoid(scores, times) / 0.7
    assert integrated_brier_score(cohort, cohort, S, times).value[0] == pytest.approx(expected)


def test_skill_agrees_between_the_two_ways_to_ask(cohort):
    """brier_score carries the skill that brier_skill returns, interval included."""
    S = np.random.default_rng(1).uniform(size=(60, 2))
    asked, carried = (f(cohort, cohort, S, [0.3, 0.8]) for f in (brier_skill, brier_score))
    np.testing.assert_allclose(asked.value, carried.skill)
    np.testing.assert_allclose(asked.low, carried.skill_low)
    together = integrated_brier_skill(cohort, cohort, S, [0.3, 0.8])
    assert together.value[0] == pytest.approx(
        integrated_brier_score(cohort, cohort, S, [0.3, 0.8]).skill[0]
    )


def test_survival_outside_the_unit_interval_is_refused(cohort):
    """A curve above one is an error, not a number."""
    with pytest.raises(OutcomeError, match=r"survival must lie in \[0, 1\]"):
        brier_score(cohort, cohort, np.full(60, 1.2), [0.5])


def test_shape_errors_name_what_was_got(cohort):
    """A missing time axis is told by shape."""
    with pytest.raises(OutcomeError, match=r"shape \(60, 2\); got \(60,\)"):
        brier_score(cohort, cohort, np.full(60, 0.5), [0.2, 0.5])


def test_time_beyond_follow_up_is_refused(cohort):
    """No weight exists beyond the last patient."""
    with pytest.raises(NotEstimableError):
        brier_score(cohort, cohort, np.full(60, 0.5), [1e6])


def test_one_wrong_certainty_costs_a_bounded_amount():
    """Log loss of a failed certainty is -log(1e-6)."""
    assert log_loss([1], [0.0]).value == pytest.approx(-np.log(1e-6))


def test_response_scores_refuse_other_codes():
    """A response must be 0/1."""
    with pytest.raises(OutcomeError, match="0/1"):
        response_brier([0, 2], [0.1, 0.2])
