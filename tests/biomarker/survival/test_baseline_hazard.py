from __future__ import annotations

import numpy as np
import pytest

from biomarker.survival.baseline_hazard import MOST_CELLS, BaselineHazard


def test_step_function_jumps_at_its_times_and_stays_flat() -> None:
    """Zero before the first time, the jump included at its time, flat after the last."""
    hazard = BaselineHazard.from_jumps([2.0, 5.0], [0.5, 0.25], [0.4, 0.25])
    assert hazard.at([0.0, 1.999, 2.0, 4.9, 5.0, 50.0]).tolist() == [0, 0, 0.5, 0.5, 0.75, 0.75]


def test_deaths_accrue_their_own_share_of_a_tie() -> None:
    """A death at a tied time accrues its smaller share, a censored patient there the whole."""
    hazard = BaselineHazard.from_jumps([2.0, 5.0], [0.5, 0.25], [0.4, 0.2])
    duration = np.array([2.0, 2.0, 5.0, 3.0, 9.0])
    event = np.array([True, False, True, True, True])
    assert hazard.accrued(duration, event) == pytest.approx([0.4, 0.5, 0.7, 0.5, 0.75])


@pytest.mark.parametrize("scale", [1e-3, 0.37, 1.0, 36.5, 2659.0, 1e6])
def test_coarse_grid_is_round_small_and_exact_at_its_points(scale: float) -> None:
    """Whatever the unit: at most 400 cells, covering the last time, exact at every point."""
    rng = np.random.default_rng(4)
    time = np.sort(rng.uniform(0.01, 1, 900)) * scale
    hazard = BaselineHazard.from_jumps(time, np.full(900, 0.001), np.full(900, 0.001))
    coarse = hazard.coarse([scale / 3])
    assert 100 < len(coarse.time) <= MOST_CELLS + 3
    assert coarse.time[-1] >= time[-1]
    assert coarse.cumulative[-1] == hazard.cumulative[-1]
    np.testing.assert_array_equal(coarse.at(coarse.time), hazard.at(coarse.time))
    assert scale / 3 in coarse.time
    assert coarse.coarse() is coarse


def test_round_horizons_are_grid_points() -> None:
    """Whole months lie on the grid of a follow-up in months, to the last bit."""
    hazard = BaselineHazard.from_jumps([0.3, 31.4, 59.9], [0.1] * 3, [0.1] * 3)
    points = hazard.coarse().time
    assert all(month in points for month in (0.2, 0.6, 6.0, 12.0, 24.0, 36.0, 48.0))


def test_no_events_means_no_hazard() -> None:
    """A stratum without events has hazard zero, coarse or not."""
    nothing = BaselineHazard.from_jumps([], [], [])
    assert nothing.at([1.0, 2.0]).tolist() == [0, 0]
    assert nothing.accrued(np.array([1.0]), np.array([True])).tolist() == [0]
    assert nothing.coarse().at([3.0]).tolist() == [0]


@pytest.mark.parametrize(
    ("time", "value"), [([], []), ([1.0, 1.0], [0.0, 1.0]), ([1.0, 2.0], [1.0, 0.0])]
)
def test_points_that_do_not_rise_are_refused(time: list[float], value: list[float]) -> None:
    """A damaged grid is noticed when rebuilt."""
    with pytest.raises(ValueError, match="points must rise"):
        BaselineHazard.from_points(np.array(time), np.array(value))
