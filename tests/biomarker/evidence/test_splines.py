"""Harrell's basis, and the curve that every graded marker's values allow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker import Cohort
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.splines import own_curve, spline_columns

Trial = Callable[..., Cohort]


def test_the_basis_is_harrells() -> None:
    """Cubic truncated powers that cancel beyond the outer knots, at knots 1, 5, 9 of 0 to 10.

    R: Hmisc::rcspline.eval(0:10, knots = c(1, 5, 9)), norm = 2: at x = 3 it is 2^3 / 8^2 = .125;
    at x = 7 (6^3 - 2 * 2^3) / 8^2 = 3.125; beyond 9 a line of slope 1.5: 6 at 9, 7.5 at 10.
    """
    columns = spline_columns(np.arange(11.0), 3)
    assert columns[[0, 1, 3, 7, 9, 10], 0] == pytest.approx([0, 0, 0.125, 3.125, 6.0, 7.5])


@given(st.integers(0, 2**31))
def test_the_curve_is_straight_beyond_its_outer_knots(seed: int) -> None:
    """Zero below the first knot, one slope above the last, whatever the data."""
    marker = np.random.default_rng(seed).normal(size=80)
    bent, t = spline_columns(marker, 4), np.quantile(marker, (0.05, 0.95))
    order = np.argsort(marker)
    left = order[marker[order] <= t[0]]
    assert np.all(bent[left] == 0.0)
    right = order[marker[order] >= t[-1]]
    assert len(right) >= 3
    line = np.polyfit(marker[right], bent[right, 0], 1)
    assert bent[right, 0] == pytest.approx(np.polyval(line, marker[right]), abs=1e-9)


def crowd(frame: pd.DataFrame) -> pd.DataFrame:
    """Half of the patients at one value, as below a detection limit."""
    frame["m1"] = np.maximum(frame["m1"], 0.0)
    return frame


def doses(frame: pd.DataFrame) -> pd.DataFrame:
    """Three values, as copies of an allele."""
    frame["m1"] = np.clip(np.round(frame["m1"]), -1, 1)
    return frame


def halves(frame: pd.DataFrame) -> pd.DataFrame:
    """Two values, between which nothing bends."""
    frame["m1"] = (frame["m1"] > 0) * 1.0
    return frame


def untouched(frame: pd.DataFrame) -> pd.DataFrame:
    """A value each."""
    return frame


@pytest.mark.parametrize(("change", "more"), [(untouched, 2), (crowd, 1), (doses, 1), (halves, 0)])
def test_every_graded_marker_gets_the_curve_its_values_allow(
    trial: Trial, change: Callable[[pd.DataFrame], pd.DataFrame], more: int
) -> None:
    """Knots, knots among the distinct values, a level each, or nothing to bend; never a line."""
    data = analysis_set(trial(n=200, change=change), "m1", "os")
    found = own_curve(data)
    assert found.shape == (200, more)
    assert found.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    line = np.column_stack([np.ones(200), data.marker_columns])
    assert np.linalg.matrix_rank(np.column_stack([line, found])) == 2 + more


def test_levels_have_nothing_to_bend(trial: Trial) -> None:
    """No column."""
    assert own_curve(analysis_set(trial(n=80), "m2", "os")).shape == (80, 0)
