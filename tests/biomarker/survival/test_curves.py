from __future__ import annotations

import numpy as np
import pytest

from biomarker.errors import NotEstimableError, OutcomeError
from biomarker.outcomes import survival_outcome
from biomarker.survival.curves import (
    at_risk_table,
    kaplan_meier,
    nelson_aalen,
    restricted_mean,
    reverse_kaplan_meier,
)
from biomarker.survival.log_rank import log_rank


def test_survival_is_right_continuous_and_starts_at_one():
    """An event at t has happened at t; before the first time everyone survives."""
    curve = kaplan_meier(survival_outcome([1, 1], [2.0, 4.0]))
    assert curve.survival_at([0.0, 1.999, 2.0, 3.0, 4.0, 99.0]).tolist() == [1, 1, 0.5, 0.5, 0, 0]


def test_survival_beyond_a_censored_end_is_refused():
    """Beyond the last censored time the curve is unknown."""
    curve = kaplan_meier(survival_outcome([1, 0], [2.0, 4.0]))
    with pytest.raises(NotEstimableError, match="times must be at most"):
        curve.survival_at([4.1])


def test_patient_censored_at_an_event_time_is_at_risk_there():
    """Tied event and censoring: the event comes first."""
    curve = kaplan_meier(survival_outcome([1, 0, 1], [2.0, 2.0, 3.0]))
    assert curve.survival[0] == pytest.approx(2 / 3)
    assert curve.n_at_risk.tolist() == [3, 1]


def test_median_not_reached_is_infinite():
    """A curve that stays above one half has no median, and says infinite."""
    median = kaplan_meier(survival_outcome([1, 0, 0, 0], [1.0, 2.0, 3.0, 4.0])).median
    assert np.isinf(median.value)
    assert np.isinf(median.high)


def test_interval_before_any_event_is_one_and_after_the_last_is_bounded():
    """The log-log interval has no value at 1 and 0; both ends stay honest and finite."""
    curve = kaplan_meier(survival_outcome([0, 1, 1], [1.0, 2.0, 3.0]))
    assert (curve.low[0], curve.high[0]) == (1.0, 1.0)
    assert curve.low[-1] == 0.0
    assert curve.high[-1] == curve.high[-2] < 1.0


def test_reverse_curve_takes_events_out_before_censorings():
    """Follow-up: at a tie the event leaves the risk set before the censoring counts."""
    curve = reverse_kaplan_meier(survival_outcome([1, 0, 0], [2.0, 2.0, 3.0]))
    assert curve.survival.tolist() == [0.5, 0.0]
    assert curve.median.value == 2.0


def test_at_risk_counts_include_the_time_itself():
    """At risk at t means T >= t."""
    y = survival_outcome([1, 0, 1], [1.0, 2.0, 2.0])
    assert at_risk_table(y, [0, 1, 1.5, 2, 2.5]).tolist() == [3, 3, 2, 2, 0]


def test_weight_two_equals_a_repeated_patient():
    """Case weights count patients in curve and variance."""
    y = survival_outcome([1, 0, 1, 1], [1.0, 2.0, 3.0, 5.0])
    doubled = kaplan_meier(y[[0, 0, 1, 2, 3]])
    weighted = kaplan_meier(y, weights=[2, 1, 1, 1])
    np.testing.assert_allclose(weighted.survival, doubled.survival)
    np.testing.assert_allclose(weighted.low, doubled.low)


def test_entry_must_precede_duration():
    """A patient who enters after leaving is an error that counts such patients."""
    y = survival_outcome([1, 1], [1.0, 2.0])
    with pytest.raises(OutcomeError, match="got 1 otherwise"):
        kaplan_meier(y, entry=[1.0, 0.5])


def test_hazard_interval_contains_the_hazard():
    """The Nelson-Aalen interval surrounds the estimate and is 0 before any event."""
    result = nelson_aalen(survival_outcome([0, 1, 1], [1.0, 2.0, 3.0]))
    assert result.low[0] == result.high[0] == 0.0
    assert np.all(result.low[1:] < result.cumulative_hazard[1:])
    assert np.all(result.cumulative_hazard[1:] < result.high[1:])


def test_restricted_mean_past_an_exhausted_curve_is_the_mean():
    """Once everyone had the event, the area adds nothing and the limit is free."""
    y = survival_outcome([1, 1], [2.0, 4.0])
    assert restricted_mean(y, 4.0).value == restricted_mean(y, 100.0).value == 3.0


def test_log_rank_needs_groups_and_events():
    """One group, or no event, cannot be tested."""
    with pytest.raises(NotEstimableError, match="two labels"):
        log_rank(survival_outcome([1, 1], [1.0, 2.0]), [0, 0])
    with pytest.raises(NotEstimableError, match="at least one event"):
        log_rank(survival_outcome([0, 0], [1.0, 2.0]), [0, 1])
