"""Harrell's basis, and the curve or ranks that a marker's own effect is redrawn with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker import Cohort
from biomarker.evidence.analysis_set import AnalysisSet, analysis_set
from biomarker.evidence.calibration import Nested, bootstrap_likelihood_ratio
from biomarker.evidence.interaction import (
    ask_interaction,
    interaction_columns,
    own_effect,
    regression_of,
)
from biomarker.evidence.splines import mean_ranks, own_curve, spline_columns

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
    found = own_curve(data, 3)
    assert found.shape == (200, more)
    assert found.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    line = np.column_stack([np.ones(200), data.marker_columns])
    assert np.linalg.matrix_rank(np.column_stack([line, found])) == 2 + more


def test_one_value_that_dwarfs_all_others_leaves_the_line(trial: Trial) -> None:
    """No curve can be drawn, and the question is asked all the same."""

    def dwarfed(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[0, "m1"] = 1e12
        return frame

    data = analysis_set(trial(n=200, change=dwarfed), "m1", "os")
    assert own_curve(data, 3).shape == (200, 0)


def test_levels_have_nothing_to_bend(trial: Trial) -> None:
    """No column."""
    assert own_curve(analysis_set(trial(n=80), "m2", "os"), 1).shape == (80, 0)


@pytest.mark.parametrize(("n_others", "more"), [(1, 2), (5, 2), (6, 0), (7, 0)])
def test_a_curve_needs_ten_events_a_coefficient(trial: Trial, n_others: int, more: int) -> None:
    """79 events: room for seven coefficients in all, of which a curve takes two."""
    data = analysis_set(trial(n=120, seed=0), "m1", "os")
    assert 70 <= data.event.sum() < 80
    assert own_curve(data, n_others).shape == (120, more)


def skewed(frame: pd.DataFrame) -> pd.DataFrame:
    """A marker that acts strongly by its logarithm, and is given as it is."""
    frame["months"] *= np.exp(-1.5 * frame["m1"])
    frame["m1"] = np.exp(frame["m1"])
    return frame


def drawn_by_the_line(data: AnalysisSet) -> Nested:
    """The same question, its outcomes redrawn from the null that is tested."""
    null, tested = interaction_columns(data, data.marker_columns)
    X = np.column_stack([null, tested])
    return Nested.ask(regression_of(data), X, null.shape[1], data.places, data.n_rows)


def redrawn(question: Nested) -> np.ndarray:
    """Two thousand likelihood ratios."""
    return bootstrap_likelihood_ratio(question, 0, ("s",), 0, 2000)


def test_outcomes_are_redrawn_from_the_curve_where_there_is_room(trial: Trial) -> None:
    """The statistic stays the line's; a bent own effect widens its redrawn distribution.

    Two thousand redrawn ratios from the line have the spread of chi squared; from the curve, more.
    """
    data = analysis_set(trial(n=300, change=skewed, seed=1), "m1", "os")
    line, curve = drawn_by_the_line(data), ask_interaction(data)
    assert curve.likelihood_ratio == line.likelihood_ratio
    spread = [float(np.quantile(redrawn(q), 0.95)) for q in (line, curve)]
    assert spread[0] == pytest.approx(3.84, abs=0.6)
    assert spread[1] > spread[0] + 0.8


def test_ranks_are_even_and_share_ties() -> None:
    """From 0 to 1, midway through each patient's own share."""
    assert mean_ranks(np.array([3.0, 1.0, 1.0, 9.0])).tolist() == [0.625, 0.25, 0.25, 0.875]


def few_events(
    trial: Trial, change: Callable[[pd.DataFrame], pd.DataFrame], seed: int = 1
) -> AnalysisSet:
    """Sixty patients, fewer than sixty events: no curve can be fitted."""
    data = analysis_set(trial(n=60, change=change, seed=seed), "m1", "os")
    assert data.event.sum() < 60
    return data


def heights(data: AnalysisSet) -> list[float]:
    """Log-likelihood with the marker's value, its rank, and both."""
    null, _ = interaction_columns(data, data.marker_columns)
    return [regression_of(data).fit(some).log_likelihood for some in own_effect(data, null)]


def test_with_few_events_outcomes_are_redrawn_by_value_rank_or_both(trial: Trial) -> None:
    """One coefficient for the value, one for the rank, two for both."""
    data = few_events(trial, skewed)
    null, _ = interaction_columns(data, data.marker_columns)
    value, rank, both = own_effect(data, null)
    assert value is null
    assert rank[:, :-1] == pytest.approx(null[:, :-1])
    order = np.argsort(data.marker_columns[:, 0])
    assert np.diff(rank[order, -1]) == pytest.approx(1 / 60)
    assert both == pytest.approx(np.column_stack([null, rank[:, -1]]))


def test_a_rank_that_fits_better_stands_in_for_the_value(trial: Trial) -> None:
    """The statistic stays the line's; the redrawn ones spread further."""
    data = few_events(trial, skewed)
    line, found = drawn_by_the_line(data), ask_interaction(data)
    value, rank, both = heights(data)
    assert value + 1 < rank > both - 1.92
    assert found.likelihood_ratio == line.likelihood_ratio
    assert found.null.log_likelihood == line.null.log_likelihood
    assert np.quantile(redrawn(found), 0.95) > np.quantile(redrawn(line), 0.95) + 0.8


def test_a_value_that_fits_better_is_redrawn_as_it_is(trial: Trial) -> None:
    """The very draws of the line; ranks would have drawn others."""

    def straight(frame: pd.DataFrame) -> pd.DataFrame:
        frame["m1"] = np.exp(frame["m1"])
        frame["months"] *= np.exp(-0.5 * frame["m1"])
        return frame

    data = few_events(trial, straight)
    value, rank, both = heights(data)
    assert rank < value > both - 1.92
    assert np.array_equal(redrawn(ask_interaction(data)), redrawn(drawn_by_the_line(data)))


def test_three_patients_far_out_are_redrawn_by_value_and_rank(trial: Trial) -> None:
    """They die early under treatment and nobody else goes by the marker: no interaction.

    By either alone the redrawn ratios would be too small for what three patients can do.
    """

    def far_out(frame: pd.DataFrame) -> pd.DataFrame:
        rows = frame.index[frame["arm"] == "drug"][:3]
        frame.loc[rows, "m1"] = [6.0, 7.0, 6.5]
        frame.loc[rows, "months"] = [0.01, 0.02, 0.015]
        frame.loc[rows, "died"] = "1"
        return frame

    data = few_events(trial, far_out, seed=0)
    value, rank, both = heights(data)
    assert both - 1.92 > max(value, rank)
    line, found = drawn_by_the_line(data), ask_interaction(data)
    assert np.quantile(redrawn(found), 0.95) > np.quantile(redrawn(line), 0.95) + 0.8


@pytest.mark.parametrize(("marker", "change"), [("m2", untouched), ("m1", halves)])
def test_levels_and_two_values_are_redrawn_as_they_are(
    trial: Trial, marker: str, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    """Without an order there are no ranks; those of two values are the values again."""
    data = analysis_set(trial(n=60, change=change), marker, "os")
    null, _ = interaction_columns(data, data.marker_columns)
    assert own_effect(data, null) == ()


def test_a_penalised_choice_compares_penalised_fits(trial: Trial) -> None:
    """One event under treatment, at its lowest value: Firth's likelihood, here best by rank.

    That of the null holds the penalty of the interaction too, which would always speak for it.
    """

    def spared(frame: pd.DataFrame) -> pd.DataFrame:
        treated = frame["arm"] == "drug"
        frame.loc[treated, "died"] = "0"
        frame.loc[frame.loc[treated, "m1"].idxmin(), "died"] = "1"
        return frame

    data = analysis_set(trial(n=60, change=spared, seed=11), "m1", "os")
    null, _ = interaction_columns(data, data.marker_columns)
    question = ask_interaction(data)
    assert question.penalised
    value, rank, both = (question.regression.fit(c).log_likelihood for c in own_effect(data, null))
    assert both - 1.92 < value < rank < question.null.log_likelihood
    assert not np.allclose(redrawn(question), redrawn(drawn_by_the_line(data)))
