"""Curves beside the line: Harrell's basis, bends found where planted, and none where not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker import Cohort
from biomarker.errors import NotEstimableError
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.interaction import ask_interaction
from biomarker.evidence.shape import (
    ask_bend,
    ask_interaction_beside_curve,
    ask_spline_interaction,
    shape_test,
    spline_columns,
)

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


def test_a_planted_bend_is_found_and_a_line_is_not_called_one(trial: Trial) -> None:
    """Risk that rises on both sides of the middle is no line."""

    def bend(frame: pd.DataFrame) -> pd.DataFrame:
        frame["months"] = np.maximum(frame["months"] * np.exp(-0.9 * frame["m1"] ** 2), 1e-6)
        return frame

    bent = shape_test(ask_bend(analysis_set(trial(change=bend, n=400), "m1", "os")), 0, ("s",))
    line = shape_test(ask_bend(analysis_set(trial(n=400, prognostic=0.5), "m1", "os")), 0, ("s",))
    assert bent.p < 0.01 < line.p
    assert bent.df == 2


def test_a_curved_interaction_is_found_where_the_line_sees_none(trial: Trial) -> None:
    """Treatment that helps in the middle and harms at both ends."""

    def curved(frame: pd.DataFrame) -> pd.DataFrame:
        drug = frame["arm"] == "drug"
        factor = np.where(drug, np.exp(1.0 - frame["m1"] ** 2), 1.0)
        frame["months"] = np.maximum(frame["months"] * factor, 1e-6)
        return frame

    data = analysis_set(trial(change=curved, n=500), "m1", "os")
    found = shape_test(ask_spline_interaction(data), 0, ("s",))
    assert found.p < 0.01
    assert found.df == 3


def test_levels_have_no_curve(trial: Trial) -> None:
    """Refused with a reason, not fitted."""
    with pytest.raises(NotEstimableError, match="curve"):
        ask_spline_interaction(analysis_set(trial(n=80), "m2", "os"))


def test_the_interaction_beside_a_curve_is_the_nested_fit_of_that_curve(trial: Trial) -> None:
    """Oracle: lifelines fits both models; twice the difference of their log likelihoods."""
    from lifelines import CoxPHFitter

    cohort = trial(n=200, prognostic=0.6, predictive=-0.5)
    data = analysis_set(cohort, "m1", "os")
    found = ask_interaction_beside_curve(data)
    assert found is not None
    assert (found.df, found.X.shape[1]) == (1, ask_interaction(data).X.shape[1] + 2)
    marker = data.marker_columns[:, 0]
    frame = pd.DataFrame(np.column_stack([data.covariates, data.arm, marker]))
    frame[["b1", "b2"]] = spline_columns(marker, 4)
    frame["product"] = marker * (data.arm - np.mean(data.arm))
    frame["time"], frame["event"] = data.y["duration"], data.y["event"]

    def log_likelihood(table: pd.DataFrame) -> float:
        table = table.rename(columns=str)
        return float(CoxPHFitter().fit(table, "time", "event").log_likelihood_)

    gain = 2 * (log_likelihood(frame) - log_likelihood(frame.drop(columns="product")))
    assert found.likelihood_ratio == pytest.approx(gain, abs=1e-6)


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


@pytest.mark.parametrize(("change", "more"), [(crowd, 1), (doses, 1), (halves, None)])
def test_every_graded_marker_gets_the_curve_its_values_allow(
    trial: Trial, change: Callable[[pd.DataFrame], pd.DataFrame], more: int | None
) -> None:
    """Knots among the distinct values, a level each, or nothing to bend."""
    data = analysis_set(trial(n=200, change=change), "m1", "os")
    found = ask_interaction_beside_curve(data)
    if more is None:
        assert found is None
    else:
        assert found is not None
        assert found.X.shape[1] == ask_interaction(data).X.shape[1] + more


def test_levels_have_nothing_to_bend(trial: Trial) -> None:
    """The plain question stands alone."""
    assert ask_interaction_beside_curve(analysis_set(trial(n=80), "m2", "os")) is None
