from __future__ import annotations

import numpy as np
import pytest

from biomarker.errors import NotEstimableError
from biomarker.metrics import calibration, response_calibration
from biomarker.outcomes import survival_outcome


@pytest.fixture(scope="module")
def population():
    """Four thousand exponential patients, a third censored, with their true survival at 1."""
    rng = np.random.default_rng(9)
    x = rng.normal(0, 0.7, 4000)
    t, c = rng.exponential(1 / np.exp(x)), rng.uniform(0.3, 4.0, 4000)
    return survival_outcome(t <= c, np.minimum(t, c)), x


def test_true_survival_is_calibrated(population):
    """Slope 1, intercept 0, O:E 1 within their intervals, and a small ICI."""
    y, x = population
    result = calibration(y, y, np.exp(-np.exp(x)), 1.0)
    for estimate, target in (
        (result.slope, 1.0),
        (result.intercept, 0.0),
        (result.observed_expected, 1.0),
    ):
        assert estimate.low < target < estimate.high
    assert result.ici < 0.02
    assert result.e50 <= result.e90
    np.testing.assert_allclose(result.curve_observed, result.curve_predicted, atol=0.06)


def test_extreme_predictions_have_slope_below_one(population):
    """Doubling the log hazard halves the slope (while no risk reaches the edge)."""
    y, x = population
    right, extreme = (calibration(y, y, np.exp(-np.exp(k * x)), 1.0).value for k in (0.5, 1.0))
    assert extreme == pytest.approx(right / 2, rel=1e-6)


def test_low_risks_have_a_positive_intercept(population):
    """Halved hazards: observed over expected above one, intercept log 2."""
    y, x = population
    result = calibration(y, y, np.exp(-np.exp(x - np.log(2))), 1.0)
    assert result.intercept.value == pytest.approx(np.log(2), abs=0.1)
    assert result.observed_expected.low > 1.0


def test_groups_add_up_to_the_cohort(population):
    """Every patient is in one fifth; observed rises with predicted."""
    y, x = population
    groups = calibration(y, y, np.exp(-np.exp(x)), 1.0).groups
    assert groups.n_patients.sum() == 4000
    assert np.all(np.diff(groups.observed) > 0)
    assert np.all((groups.low < groups.observed) & (groups.observed < groups.high))


def test_separation_is_not_estimable():
    """Predictions that part responders from the rest have no finite slope."""
    with pytest.raises(NotEstimableError, match="separate"):
        response_calibration([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.8])


def test_one_prediction_for_all_has_no_slope():
    """A constant prediction cannot be regressed on."""
    with pytest.raises(NotEstimableError, match="must differ"):
        response_calibration([0, 1, 0], [0.3, 0.3, 0.3])


def test_no_event_by_the_horizon_is_not_estimable():
    """Nothing observed, nothing calibrated."""
    y = survival_outcome([1, 0, 0], [5.0, 6.0, 7.0])
    with pytest.raises(NotEstimableError, match="with and without the event"):
        calibration(y, y, [0.2, 0.5, 0.8], 2.0)


def test_extreme_predictions_still_converge():
    """Predictions near 0 and 1 do not throw the regression about."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=500)
    y = survival_outcome(np.ones(500, dtype=bool), rng.exponential(1 / np.exp(0.2 * x)) + 1e-9)
    result = calibration(y, y, np.exp(-np.exp(6 * x)), 0.7)
    assert 0.0 < result.value < 0.2
