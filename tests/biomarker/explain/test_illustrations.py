"""Patients to illustrate with come from the tenths they are said to come from, and say no more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker.explain.illustrations import illustrations_of


@given(st.integers(3, 200), st.integers(0, 2**32 - 1))
def test_each_is_from_its_tenth_whatever_the_draw(n: int, seed: int) -> None:
    """Named by letter, ordered by margin, the outer ones within the outer tenths."""
    margin = np.random.default_rng(seed).normal(size=n)
    found = illustrations_of(margin, np.random.default_rng(seed + 1))
    assert [one.pseudonym for one in found] == ["patient A", "patient B", "patient C"]
    assert [one.level for one in found] == ["low", "middle", "high"]
    low, middle, high = (margin[one.row] for one in found)
    width = max(1, n // 10)
    assert low <= np.sort(margin)[width - 1]
    assert high >= np.sort(margin)[-width]
    assert low <= middle <= high


def test_the_same_seed_picks_the_same_and_another_seed_others() -> None:
    """Drawn at random, and repeatable."""
    margin = np.arange(300.0)
    picks = [
        tuple(one.row for one in illustrations_of(margin, np.random.default_rng(seed)))
        for seed in (4, 4, 5)
    ]
    assert picks[0] == picks[1] != picks[2]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_patients_illustrate_nothing(n: int) -> None:
    """Three levels need three patients."""
    assert illustrations_of(np.arange(float(n)), np.random.default_rng(0)) == ()
