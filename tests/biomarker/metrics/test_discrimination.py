from __future__ import annotations

import numpy as np
import pytest

from biomarker.errors import NotEstimableError, OutcomeError
from biomarker.metrics import (
    concordance_index,
    roc_auc,
    time_dependent_auc,
    uno_concordance_index,
)
from biomarker.outcomes import survival_outcome


def test_perfect_and_reversed_rankings():
    """The earliest event with the highest risk gives 1; the reverse gives 0."""
    y = survival_outcome([1, 1, 1], [1.0, 2.0, 3.0])
    assert concordance_index(y, [3.0, 2.0, 1.0]).value == 1.0
    assert concordance_index(y, [1.0, 2.0, 3.0]).value == 0.0


def test_equal_risks_count_one_half():
    """A constant risk is worth a coin."""
    y = survival_outcome([1, 0, 1, 1], [1.0, 2.0, 2.0, 5.0])
    assert concordance_index(y, np.zeros(4)).value == 0.5


def test_two_events_at_one_time_are_not_comparable():
    """Only the pairs with the later patient count."""
    y = survival_outcome([1, 1, 0], [1.0, 1.0, 2.0])
    assert concordance_index(y, [1.0, 9.0, 5.0]).value == 0.5


def test_a_patient_censored_at_an_event_time_outlived_it():
    """Event and censoring at the same time are comparable."""
    y = survival_outcome([1, 0], [1.0, 1.0])
    assert concordance_index(y, [2.0, 1.0]).value == 1.0


def test_no_interval_at_the_edge():
    """A perfect ranking has no first-order error, so no interval is claimed."""
    y = survival_outcome([1, 1, 1], [1.0, 2.0, 3.0])
    result = concordance_index(y, [3.0, 2.0, 1.0])
    assert (result.low, result.high) == (None, None)


def test_uno_equals_harrell_without_censoring():
    """Weights are 1 when everyone is followed to the event."""
    rng = np.random.default_rng(1)
    y = survival_outcome(np.ones(40, dtype=bool), rng.exponential(size=40))
    risk = rng.normal(size=40)
    tau = float(y["duration"].max())
    assert uno_concordance_index(y, y, risk, tau).value == pytest.approx(
        concordance_index(y, risk).value, abs=1e-12
    )


def test_tau_beyond_support_is_refused():
    """Nobody was followed that long, so nothing can be said of it."""
    y = survival_outcome([1, 0, 1], [1.0, 2.0, 3.0])
    with pytest.raises(NotEstimableError, match="tau must lie"):
        uno_concordance_index(y, y, [1.0, 2.0, 3.0], tau=3.5)
    with pytest.raises(NotEstimableError):
        time_dependent_auc(y, y, [1.0, 2.0, 3.0], [3.0])


def test_auc_may_rank_differently_at_each_time():
    """One column of risk per time is judged against that time's cases."""
    y = survival_outcome([1, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    risk = np.array([[9.0, 1.0], [1.0, 1.0], [1.0, 5.0], [1.0, 5.0]])
    assert time_dependent_auc(y, y, risk, [1.5, 2.5]).value.tolist() == [1.0, 0.0]


def test_times_must_ascend():
    """Unordered times are a usage error."""
    y = survival_outcome([1, 1, 0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="strictly ascending"):
        time_dependent_auc(y, y, [1.0, 2.0, 3.0], [2.0, 1.0])


def test_missing_risk_is_counted_not_shown():
    """The message tells how many risks are not finite and none of their values."""
    y = survival_outcome([1, 1], [1.0, 2.0])
    with pytest.raises(OutcomeError, match="got 1 value"):
        concordance_index(y, [np.nan, 123456.0])


def test_one_class_has_no_auc():
    """All responders: no pair to compare."""
    with pytest.raises(NotEstimableError, match="0 control"):
        roc_auc([1, 1], [0.1, 0.2])


def test_auc_interval_matches_delong_by_hand():
    """Placement values of a small table give the variance; ours has its n - 1 factors."""
    response = np.array([0, 0, 0, 1, 1, 1, 1], dtype=bool)
    score = np.array([0.1, 0.5, 0.3, 0.4, 0.9, 0.2, 0.8])
    cases, controls = score[response], score[~response]
    wins = (cases[:, None] > controls) + 0.5 * (cases[:, None] == controls)
    variance = wins.mean(1).var(ddof=1) / 4 + wins.mean(0).var(ddof=1) / 3
    error = roc_auc(response, score).standard_error
    # The outer n / (n - 1) of a mean of influences remains.
    assert error == pytest.approx(np.sqrt(variance * 7 / 6), rel=1e-12)
