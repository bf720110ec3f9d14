"""A threshold is placed only where a step beats nothing and a smooth trend."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from biomarker import Cohort, survival_outcome
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.cut_design import CutDesign, candidate_cuts
from biomarker.evidence.cut_place import (
    Place,
    alternative,
    place_threshold,
    smooth_columns,
    trend_fits_better,
    trend_shapes,
)
from biomarker.evidence.cut_result import CutSettings
from biomarker.evidence.interaction import regression_of

N = 500
QUICK = CutSettings(n_draws=199)


def planned(trial: Callable[..., Cohort], effect: Callable[[np.ndarray], np.ndarray]) -> CutDesign:
    """Prognosis of everybody whose log hazard ratio is a given function of the marker."""
    cohort = trial(n=N)
    data = replace(analysis_set(cohort, "m1", "os"), arm=None)
    values = data.marker_columns[:, 0]
    rng = np.random.default_rng(4)
    time = rng.exponential(size=N) / np.exp(effect(values))
    data = replace(data, y=survival_outcome(time < 2.0, np.minimum(time, 2.0)))
    cuts = candidate_cuts(values, np.zeros(N, dtype=int), 0.1, 0.9, 20, 10)
    return CutDesign("prognostic", data, regression_of(data), np.empty((N, 0)), values, cuts, 3)


def placed(design: CutDesign, p: float = 0.001) -> Place:
    """Where the best cut's threshold is put."""
    z = design.scan()
    cut = float(design.cuts[np.abs(z).argmax()])
    noise = alternative(design, design.columns_at(cut), QUICK, 0, "step").noise
    assert noise is not None
    smooth = smooth_columns(design, design.data.marker_columns)
    return place_threshold(design, smooth, z, noise, design.carried(), p, QUICK, 0)


def test_a_step_is_placed(trial: Callable[..., Cohort]) -> None:
    """Hazard ratio 5 above .5: an interval of few cuts that holds it."""
    found = placed(planned(trial, lambda m: np.log(5.0) * (m > 0.5)))
    assert found.identified
    assert found.p_beyond_trend < 0.05
    assert found.low <= 0.5 <= found.high
    assert found.high - found.low < 0.6


@pytest.mark.parametrize("effect", [lambda m: 0.8 * m, lambda m: np.log(4.0) / (1 + np.exp(-m))])
def test_a_smooth_effect_is_not(
    trial: Callable[..., Cohort], effect: Callable[[np.ndarray], np.ndarray]
) -> None:
    """A line and a gentle S carry no threshold, however clear the association."""
    found = placed(planned(trial, effect))
    assert not found.identified
    assert "smooth trend" in found.note
    assert math.isnan(found.low)


def test_without_a_difference_nothing_is_placed(trial: Callable[..., Cohort]) -> None:
    """A corrected p at or above alpha ends the matter."""
    found = placed(planned(trial, lambda m: np.log(5.0) * (m > 0.5)), p=0.05)
    assert not found.identified
    assert math.isnan(found.p_beyond_trend)


def test_draws_with_an_effect_have_its_mean_and_their_own_noise(
    trial: Callable[..., Cohort],
) -> None:
    """The mean is the scan of data with that step; two cuts below it differ by more than null ones.

    There patients at risk are fewer than without effect once those above have died.
    """
    design = planned(trial, lambda m: np.log(4.0) * (m > 0.0))
    settings = CutSettings(n_draws=999)
    found = alternative(design, design.columns_at(0.0), settings, 0, "step")
    assert found.noise is not None
    np.testing.assert_allclose(found.noise.mean(axis=0), 0.0, atol=1e-12)
    assert np.abs(found.shape - design.scan()).max() < 3.5
    k = int(np.searchsorted(design.cuts, 0.0))
    null = design.redrawn(999, 0, "null")
    apart = (found.noise[:, k - 3] - found.noise[:, k]).std()
    assert apart > 1.15 * (null[:, k - 3] - null[:, k]).std()


def test_a_weak_trend_has_the_shape_that_information_says(trial: Callable[..., Cohort]) -> None:
    """Means over cuts of a gentle fitted line agree with those of outcomes redrawn with it."""
    design = planned(trial, lambda m: 0.15 * m)
    smooth = design.data.marker_columns
    (told,) = trend_shapes(design, smooth)
    drawn = alternative(design, smooth, CutSettings(n_draws=999), 0, "smooth")
    np.testing.assert_allclose(told.shape, drawn.shape, atol=0.35)


def test_the_better_of_step_and_trend_is_told(trial: Callable[..., Cohort]) -> None:
    """By likelihood less columns; no trend is never better."""
    step = planned(trial, lambda m: np.log(4.0) * (m > 0.0))
    line = planned(trial, lambda m: 0.9 * m)
    cut = float(step.cuts[np.abs(step.scan()).argmax()])
    assert not trend_fits_better(step, smooth_columns(step, step.data.marker_columns), cut)
    assert not trend_fits_better(step, np.empty((N, 0)), cut)
    cut = float(line.cuts[np.abs(line.scan()).argmax()])
    assert trend_fits_better(line, smooth_columns(line, line.data.marker_columns), cut)


def test_dependent_trends_are_left_out(trial: Callable[..., Cohort]) -> None:
    """A marker that is its own rank gives one smooth column, and none beside itself."""
    design = planned(trial, lambda m: 0.0 * m)
    ranked = replace(design, values=np.arange(float(N)))
    trend = np.arange(float(N))[:, None]
    assert smooth_columns(ranked, trend).shape == (N, 1)
    assert smooth_columns(replace(ranked, null=trend), trend).shape == (N, 0)
