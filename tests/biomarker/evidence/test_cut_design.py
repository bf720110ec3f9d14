"""Which cuts are tried, how outcomes without effect are made, and how an effect carries over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from biomarker import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.cut_design import CutDesign, candidate_cuts, independent_columns
from biomarker.evidence.interaction import regression_of
from biomarker.evidence.regressions import OddsRegression

Trial = Callable[..., Cohort]
NOBODY = np.zeros(100, dtype=np.int64)


def design(
    trial: Trial, question: Any = "prognostic", covariates: bool = True, **keywords: Any
) -> CutDesign:
    """A scan of ``m1`` for overall survival."""
    cohort = trial(**keywords)
    data = analysis_set(cohort, "m1", "os")
    values = cohort.columns["m1"].values[data.rows]
    arm = [] if data.arm is None or question == "prognostic" else [data.arm, data.marker_columns]
    null = np.column_stack([*arm, data.covariates if covariates else data.covariates[:, :0]])
    cuts = candidate_cuts(values, data.arm.astype(int), 0.1, 0.9, 12, 5)
    return CutDesign(
        question, data, regression_of(data), independent_columns(null), values, cuts, 2
    )


def test_cuts_lie_between_the_quantiles_evenly_in_rank() -> None:
    """A hundred distinct values, 10-90%: from after the 10th to after the 90th smallest."""
    cuts = candidate_cuts(np.arange(100.0), NOBODY, 0.1, 0.9, 9, 1)
    assert cuts.tolist() == [9, 19, 29, 39, 49, 59, 69, 79, 89]


def test_cuts_are_distinct_and_keep_patients_on_both_sides() -> None:
    """Tied values give one cut; a side with too few patients gives none, in any group."""
    values = np.repeat([1.0, 2.0, 3.0], [60, 30, 10])
    assert candidate_cuts(values, NOBODY, 0.1, 0.95, 40, 10).tolist() == [1.0, 2.0]
    assert candidate_cuts(values, NOBODY, 0.1, 0.95, 40, 11).tolist() == [1.0]
    groups = np.where(values == 1.0, 0, 1)
    assert candidate_cuts(values, groups, 0.1, 0.95, 40, 1).tolist() == []


@pytest.mark.parametrize("range_", [(0.0, 0.9), (0.6, 0.5), (0.1, 1.0)])
def test_a_range_that_is_none_is_named(range_: tuple[float, float]) -> None:
    """Quantiles strictly inside 0 and 1."""
    with pytest.raises(UsageError, match="low and high"):
        candidate_cuts(np.arange(10.0), np.zeros(10, dtype=int), *range_, 5, 1)


def test_without_columns_outcomes_are_dealt_out_within_strata(trial: Trial) -> None:
    """Every redrawn set holds the stratum's own outcomes, no other."""
    scan = design(trial, covariates=False, n=60)
    strata = (np.arange(60) % 2).astype(np.int64)
    scan = replace(scan, data=replace(scan.data, strata=strata))
    duration, event = scan.source()(np.random.default_rng(1), 5)
    y = scan.data.y
    for b in range(5):
        for s in (0, 1):
            here = strata == s
            assert sorted(duration[b, here]) == sorted(y["duration"][here])
        assert {(d, e) for d, e in zip(duration[b], event[b], strict=True)} == set(
            y[["duration", "event"]].tolist()
        )
    assert not np.array_equal(duration[0], duration[1])


@pytest.mark.parametrize("question", ["prognostic", "interaction"])
def test_draws_are_standard_normal_at_each_cut(trial: Trial, question: str) -> None:
    """Mean 0 and standard deviation 1, within four Monte Carlo errors, with 400 events."""
    scan = design(trial, question, n=600)
    draws = scan.redrawn(2000, 3, "test")
    assert np.abs(draws.mean(axis=0)).max() < 0.09
    assert np.abs(draws.std(axis=0) - 1.0).max() < 0.064
    assert np.array_equal(draws, scan.redrawn(2000, 3, "test"))


def test_an_effect_shows_at_other_cuts_as_information_says(trial: Trial) -> None:
    """Without covariates the share at cut c of an effect at k is close to the binomial one.

    sqrt(p_c (1 - p_k) / (p_k (1 - p_c))) for c below k, p the shares at or below the cut.
    """
    scan = design(trial, covariates=False, n=400)
    carried = scan.carried()
    below = (scan.values[:, None] <= scan.cuts).mean(axis=0)
    c, k = 2, 8
    expected = np.sqrt(below[c] * (1 - below[k]) / (below[k] * (1 - below[c])))
    assert carried[c, k] / carried[k, k] == pytest.approx(expected, abs=0.05)
    # The information itself is symmetric.
    own = np.diag(carried)
    np.testing.assert_allclose(carried * own[:, None], (carried * own[:, None]).T, atol=1e-9)


def test_a_trend_is_the_sum_of_its_steps(trial: Trial) -> None:
    """Means are linear in the effect: a staircase carries what its steps carry."""
    scan = design(trial, "interaction", n=200)
    steps = scan.high * scan.treated[:, None]
    stairs = scan.carried(steps @ np.arange(steps.shape[1], dtype=float))[:, 0]
    np.testing.assert_allclose(stairs, scan.carried() @ np.arange(steps.shape[1]), atol=1e-8)


def test_a_response_is_scanned_like_survival(trial: Trial) -> None:
    """A single cut's statistic is Pearson's: z squared = chi squared of the 2 x 2 table."""
    from scipy.stats import chi2_contingency

    scan = design(trial, covariates=False, n=100)
    event = scan.data.event
    scan = replace(scan, regression=OddsRegression(event))
    z = scan.statistics(event[None, :])[0]
    high = scan.high[:, 4]
    table = [[np.sum(high & event), np.sum(high & ~event)],
             [np.sum(~high & event), np.sum(~high & ~event)]]  # fmt: skip
    assert z[4] ** 2 == pytest.approx(chi2_contingency(table, correction=False)[0], rel=1e-9)


def test_a_scan_without_events_enough_says_so(trial: Trial) -> None:
    """And never gives a patient's value."""
    scan = replace(design(trial, n=60), least_events=50)
    with pytest.raises(NotEstimableError, match="at least 50 event"):
        scan.scan()


def test_dependent_columns_are_left_out() -> None:
    """Constants and combinations go; the first of each stays."""
    x = np.arange(6.0)
    table = np.column_stack([x, np.ones(6), 2 * x - 3, x**2])
    np.testing.assert_array_equal(independent_columns(table), np.column_stack([x, x**2]))
