"""Bands and intervals of the parts hold what they say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from biomarker.errors import NotEstimableError
from biomarker.explain.benefit_null import column_parts, upper
from biomarker.explain.benefit_refits import Refits

N = 199


def refits(scale: float = 1.0, n_failed: int = 0, seed: int = 0) -> Refits:
    """Three columns; absolute normal noise, twice as wide in the second; none in the third."""
    rng = np.random.default_rng(seed)
    width = np.array([1.0, 2.0, 0.0])
    tables = [np.abs(rng.normal(size=(N, 3))) * scale * width for _ in range(4)]
    for table in tables:
        table[:n_failed] = np.inf
    return Refits(*tables, n_failed)


def parts(resamples: Refits, null: Refits, predictive: tuple[float, ...] = (3.0, 1.0, 0.0)):
    """Records of three columns, the third without an interaction."""
    return column_parts(
        ("a", "b", "c"), np.array([1.0, 1.0, 2.0]), np.array(predictive),
        np.array([True, True, False]), resamples, null, frozenset({"a"}),
    )  # fmt: skip


def test_a_band_is_exceeded_by_a_newcomer_once_in_twenty() -> None:
    """Of 199 draws the 190th smallest: an exchangeable 200th exceeds it with chance 10 / 200."""
    rng = np.random.default_rng(3)
    draws = rng.normal(size=(N, 4000))
    exceeded = rng.normal(size=4000) > upper(draws, 0.05)
    assert abs(exceeded.mean() - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 4000)


def test_a_draw_without_a_value_widens_the_band_until_there_is_none() -> None:
    """Nine of 199 count as the largest; a tenth leaves no band to report."""
    clean = upper(refits().predictive, 0.05)
    assert np.all(upper(refits(n_failed=9).predictive, 0.05)[:2] > clean[:2])
    with pytest.raises(NotEstimableError, match="at most 9 of 199 refits"):
        upper(refits(n_failed=10).predictive, 0.05)


def test_too_few_draws_are_refused() -> None:
    """A 95% band needs 19 draws, the joined records 39."""
    with pytest.raises(NotEstimableError, match="at least 19"):
        upper(np.arange(18.0), 0.05)
    few = Refits(*(np.ones((38, 3)) for _ in range(4)), 0)
    with pytest.raises(NotEstimableError, match="at least 39"):
        parts(few, refits())


def test_records_come_largest_first_and_hold_their_ends() -> None:
    """Intervals hold their values, shares stay in [0, 1], covariates have no band."""
    found = parts(refits(0.2, seed=1), refits())
    assert [part.source for part in found] == ["a", "b", "c"]
    for part in found:
        assert 0.0 <= part.prognostic_low <= part.prognostic <= part.prognostic_high
        assert 0.0 <= part.predictive_low <= part.predictive <= part.predictive_high
        assert 0.0 <= part.share_low <= part.share <= part.share_high <= 1.0
    assert found[0].established
    assert found[0].beyond_null
    assert not found[1].beyond_null
    assert math.isnan(found[2].null_high)
    assert not found[2].beyond_null
    assert found[2].share == 0.0


def test_the_familys_band_is_wider_and_fair_to_every_column() -> None:
    """It keeps the columns' own proportions, and holds all columns at once in 95% of new nulls."""
    found = {part.source: part for part in parts(refits(0.2, seed=1), refits())}
    assert found["a"].family_high > found["a"].null_high
    assert 1.5 < found["b"].family_high / found["a"].family_high < 2.7
    fresh = refits(seed=9).predictive
    outside = (fresh[:, 0] > found["a"].family_high) | (fresh[:, 1] > found["b"].family_high)
    assert outside.mean() < 0.12


def test_a_column_that_no_refit_uses_has_a_band_of_nothing() -> None:
    """Trees may never split on it: its bands are 0, and the others' are unmoved."""
    null = refits()
    idle = replace(null, predictive=null.predictive * np.array([1.0, 0.0, 0.0]))
    found = {part.source: part for part in parts(refits(0.2, seed=1), idle)}
    assert found["b"].null_high == found["b"].family_high == 0.0
    assert found["a"].family_high == pytest.approx(found["a"].null_high)


def test_first_place_counts_refits_not_the_one_fit() -> None:
    """Where refits disagree about the largest part, its share of first places says so."""
    found = parts(refits(1.0, seed=4), refits())
    assert found[0].source == "a"
    assert sum(part.first for part in found) == pytest.approx(1.0)
    assert found[0].first < 0.5
