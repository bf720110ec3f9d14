from __future__ import annotations

import numpy as np
import pytest

from biomarker.errors import NotEstimableError
from biomarker.outcomes import survival_outcome
from biomarker.survival.censoring import (
    CensoringDistribution,
    censoring_influence,
    default_tau,
    ipcw_weights,
    safe_time_grid,
)


def test_the_two_sides_of_the_censoring_distribution():
    """G(t) drops at a censoring time, G(t-) only after it."""
    followed = CensoringDistribution.fit(survival_outcome([0, 1, 0], [1.0, 2.0, 3.0]))
    assert followed.before([1.0]) == 1.0
    assert followed.at([1.0]) == pytest.approx(2 / 3)
    assert followed.support == 3.0
    with pytest.raises(NotEstimableError, match="largest follow-up"):
        followed.at([3.5])


def test_weights_are_zero_only_for_unknown_status():
    """A patient censored at the horizon has unknown status; one seen beyond it has not."""
    y = survival_outcome([1, 0, 0, 1], [1.0, 2.0, 3.0, 2.0])
    weights = ipcw_weights(y, y, 2.0)
    assert (weights > 0).tolist() == [True, False, True, True]


def test_weights_average_one_at_any_horizon():
    """Weighted patients stand for all: the mean weight is 1 where G is learned from them."""
    rng = np.random.default_rng(3)
    y = survival_outcome(rng.random(80) < 0.5, rng.integers(1, 20, 80).astype(float))
    for horizon in (2.0, 7.5, 12.0):
        assert ipcw_weights(y, y, horizon).mean() == pytest.approx(1.0, abs=1e-12)


def test_a_horizon_beyond_follow_up_is_refused():
    """Neither the last time nor anything after it can be a horizon."""
    y = survival_outcome([1, 0], [1.0, 2.0])
    for horizon in (2.0, 5.0, -1.0, float("nan")):
        with pytest.raises(NotEstimableError, match="horizon must"):
            ipcw_weights(y, y, horizon)


def test_influence_is_the_derivative_of_the_weighted_mean():
    """Moving one patient's case weight moves the estimate as its influence says."""
    rng = np.random.default_rng(5)
    n = 60
    y = survival_outcome(rng.random(n) < 0.5, rng.exponential(size=n) + 0.01)
    horizon = float(np.quantile(y["duration"], 0.7))
    mark = rng.normal(size=n)

    def mean_of_marks(weight: np.ndarray) -> float:
        duration, event = y["duration"], y["event"]
        times = np.unique(duration[~event])
        G = np.ones(n)
        limit = np.minimum(duration, horizon)
        for t in times:
            at_risk = weight[duration >= t].sum() - weight[(duration == t) & event].sum()
            drop = 1 - weight[(duration == t) & ~event].sum() / at_risk
            counts = (t < limit) | ((duration > horizon) & (t <= horizon))
            G = np.where(counts, G * drop, G)
        known = (event & (duration <= horizon)) | (duration > horizon)
        return float((weight * known * mark / G).sum() / n)

    weights = ipcw_weights(y, y, horizon)
    moments = np.where(y["duration"] > horizon, np.nextafter(horizon, np.inf), y["duration"])
    terms = weights * mark
    influence = terms + censoring_influence(y, moments, terms / n)
    for patient in (0, 7, 31):
        step = np.zeros(n)
        step[patient] = 1e-6
        slope = (mean_of_marks(1 + step) - mean_of_marks(1 - step)) / 2e-6
        assert slope * n == pytest.approx(influence[patient], abs=1e-5)


def test_grid_stops_where_a_tenth_is_at_risk():
    """With long events the risk set limits the grid, and the reason says so."""
    y = survival_outcome([1] * 100, np.arange(1.0, 101.0))
    grid = safe_time_grid(y)
    assert grid.upper == 91.0
    assert grid.n_at_risk_upper == 10
    assert "at risk" in grid.reason
    assert default_tau(y) == grid.upper
    assert len(grid.times) == 25


def test_grid_stops_at_the_last_event():
    """Long event-free follow-up does not stretch the grid."""
    y = survival_outcome([1, 1, 1] + [0] * 7, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    grid = safe_time_grid(y)
    assert grid.upper == 3.0
    assert grid.reason == "the last event"


def test_grid_stays_below_a_common_end_of_study():
    """Everyone censored at one day: G is 0 there, so the grid ends before it."""
    y = survival_outcome([1] * 5 + [0] * 15 + [1], [1, 2, 3, 4, 5] + [10] * 15 + [10])
    grid = safe_time_grid(y)
    assert grid.upper == 5.0
    assert grid.reason == "the end of follow-up"
    assert CensoringDistribution.fit(y).at(grid.upper) > 0


def test_grid_without_events_is_refused():
    """No event, no grid."""
    with pytest.raises(NotEstimableError, match="at least one event"):
        safe_time_grid(survival_outcome([0, 0], [1.0, 2.0]))
