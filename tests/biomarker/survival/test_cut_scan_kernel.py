"""The compiled scan against fits that look at one cut at a time."""

from __future__ import annotations

import numpy as np
import pytest

from biomarker import survival_outcome
from biomarker.survival.cut_scan_kernel import Cuts, scan_hazards, scan_odds
from biomarker.survival.partial_likelihood import PartialLikelihood, sort_cohort
from biomarker.survival.score_statistics import score_statistics


def scan(
    X: np.ndarray,
    values: np.ndarray,
    cuts: np.ndarray,
    duration: np.ndarray,
    event: np.ndarray,
    coef: np.ndarray,
    treated: np.ndarray | None = None,
    stratum: np.ndarray | None = None,
    n_events: int = 0,
) -> np.ndarray:
    """Statistics of one set of survival outcomes at given null coefficients."""
    n = len(values)
    codes = np.zeros(n, dtype=np.int64) if stratum is None else stratum
    order = np.lexsort((-duration, codes))[None, :]
    layout = Cuts(
        np.ascontiguousarray(X, dtype=np.float64),
        np.searchsorted(cuts, values, side="left").astype(np.int64),
        np.zeros(n, dtype=np.bool_) if treated is None else treated,
        len(cuts),
        1 if treated is None else 2,
        n_events,
    )
    found = np.empty((1, len(cuts)))
    risk = np.exp(X @ coef)[None, :]
    scan_hazards(layout, order, duration[None, :], event[None, :], codes, risk, found)
    return found[0]


def data(seed: int, n: int = 60) -> tuple[np.random.Generator, np.ndarray, np.ndarray, np.ndarray]:
    """Marker, tied times and events."""
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=n), np.ceil(rng.exponential(4, size=n)), rng.random(n) < 0.7


def test_four_patients_by_hand() -> None:
    """Deaths of two high then two low patients: U = 2 - 5/6, V = 1/4 + 2/9, U / sqrt(V) = 1.69774.

    At the first death 2 of 4 at risk are high, at the second 1 of 3, then none: expected 1/2 + 1/3.
    """
    z = scan(
        np.empty((4, 0)), np.array([1.0, 1, 0, 0]), np.array([0.5]),
        np.array([1.0, 2, 3, 4]), np.ones(4, dtype=bool), np.empty(0),
    )  # fmt: skip
    assert z[0] == pytest.approx((2 - 5 / 6) / np.sqrt(1 / 4 + 2 / 9), abs=1e-12)
    assert z[0] ** 2 == pytest.approx(2.8824, abs=5e-5)


@pytest.mark.parametrize("strata", [False, True])
def test_each_cut_equals_a_score_test_of_its_own(strata: bool) -> None:
    """With ties, covariates and strata: the same as one fit and one statistic per cut."""
    rng, marker, duration, event = data(3)
    X = rng.normal(size=(60, 2))
    codes = (np.arange(60) % 2).astype(np.int64) if strata else None
    cuts = np.quantile(marker, [0.2, 0.5, 0.7])
    sorted_rows = sort_cohort(X, event.copy(), duration.copy(), stratum=codes)
    from biomarker.survival.partial_likelihood import maximise

    fit = maximise(PartialLikelihood(sorted_rows), np.zeros(2))
    z = scan(X, marker, cuts, duration, event, fit.coef / sorted_rows.scale, stratum=codes)
    high = (marker[:, None] > cuts).astype(float)
    y = survival_outcome(event, duration)
    one_by_one = score_statistics(high, y, covariates=X, strata=codes).value[0]
    np.testing.assert_allclose(z**2, one_by_one, rtol=1e-7)


def efficient(U: np.ndarray, V: np.ndarray) -> float:
    """Last column's score less what the others explain, in standard errors."""
    rest = np.linalg.solve(V[:-1, :-1], np.column_stack([U[:-1], V[:-1, -1]]))
    u = U[-1] - V[-1, :-1] @ rest[:, 0]
    return float(u / np.sqrt(V[-1, -1] - V[-1, :-1] @ rest[:, 1]))


def test_an_interaction_is_cleared_of_the_marker_s_own_step() -> None:
    """By the full score and information of [null, above, above x treated], off the fit too."""
    rng, marker, duration, event = data(5, 80)
    treated = rng.random(80) < 0.5
    X = np.column_stack([treated, marker])
    coef = np.array([-0.3, 0.2])
    cuts = np.quantile(marker, [0.25, 0.5, 0.75])
    z = scan(X, marker, cuts, duration, event, coef, treated=treated)
    for k, cut in enumerate(cuts):
        above = (marker > cut).astype(float)
        table = np.column_stack([X, above, above * treated])
        rows = sort_cohort(table, event.copy(), duration.copy())
        likelihood = PartialLikelihood(rows)
        _, gradient = likelihood.evaluate(np.append(coef, [0.0, 0.0]) * rows.scale)
        U = gradient * rows.scale
        V = likelihood.information() * np.outer(rows.scale, rows.scale)
        assert z[k] == pytest.approx(efficient(U, V), abs=1e-9)


def test_responses_need_no_risk_sets() -> None:
    """Odds: score y - p and weights p (1 - p), cleared of the null columns."""
    rng, marker, _, response = data(7)
    treated = rng.random(60) < 0.5
    X = np.column_stack([np.ones(60), treated])
    chance = np.full(60, 0.6) + 0.1 * treated
    cuts = np.quantile(marker, [0.3, 0.6])
    bins = np.searchsorted(cuts, marker, side="left").astype(np.int64)
    found = np.empty((1, 2))
    scan_odds(Cuts(X, bins, treated, 2, 2, 0), response[None, :], chance[None, :], found)
    for k, cut in enumerate(cuts):
        above = (marker > cut).astype(float)
        table = np.column_stack([X, above, above * treated])
        U = table.T @ (response - chance)
        V = table.T @ (table * (chance * (1 - chance))[:, None])
        assert found[0, k] == pytest.approx(efficient(U, V), abs=1e-9)


def test_a_cut_without_events_on_one_side_is_passed_over() -> None:
    """Events are counted in each group, and by arm for an interaction."""
    _, marker, duration, _ = data(9)
    event = marker > np.quantile(marker, 0.5)
    cuts = np.quantile(marker, [0.3, 0.8])
    nothing = np.empty((60, 0))
    z = scan(nothing, marker, cuts, duration, event, np.empty(0), n_events=1)
    assert z[0] == 0.0
    assert z[1] != 0.0
    treated = marker > np.quantile(marker, 0.6)  # few controls lie above, none with events
    z = scan(nothing, marker, cuts, duration, event, np.empty(0), treated=treated, n_events=1)
    assert z.tolist() == [0.0, 0.0]


def test_columns_that_leave_nothing_give_no_statistic() -> None:
    """A step that the null model already holds is 0, not a ratio of rounding errors."""
    _, marker, duration, event = data(11)
    cut = np.quantile(marker, [0.5])
    X = (marker > cut[0]).astype(float)[:, None]
    assert scan(X, marker, cut, duration, event, np.zeros(1)).tolist() == [0.0]
