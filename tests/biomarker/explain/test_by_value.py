"""Means by fifth and by level are those of the patients in them, and never of one patient."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker.errors import UsageError
from biomarker.explain.by_value import FEWEST, FIFTHS, by_value, fifths


def made(columns: Any, values: Any, levels: Any = ((),)) -> Any:
    """What by_value reads of an attribution."""
    columns, values = np.asarray(columns, float), np.asarray(values, float)
    names = tuple(f"c{j}" for j in range(columns.shape[1]))
    return SimpleNamespace(sources=names, columns=columns, values=values, levels=levels)


def test_five_equal_fifths_have_their_own_means() -> None:
    """Known answer: values 0 to 49 with twice the value as attribution; means 9, 29, 49, 69, 89."""
    x = np.random.default_rng(1).permutation(50.0 * np.arange(50) / 50)
    found = by_value(made(x[:, None], 2 * x[:, None]), "c0")
    assert [group.label for group in found] == list(FIFTHS)
    assert [group.mean for group in found] == pytest.approx([9.0, 29.0, 49.0, 69.0, 89.0])
    assert [group.n_rows for group in found] == [10] * 5
    assert all(group.low is None for group in found)


@given(
    st.lists(st.one_of(st.integers(0, 6), st.just(None)), min_size=1, max_size=60),
    st.integers(0, 99),
)
def test_groups_share_out_the_patients_and_the_sum(raw: list[int | None], seed: int) -> None:
    """Nobody is counted twice or lost; equal values stay together; order is kept; sums agree."""
    x = np.array([np.nan if v is None else float(v) for v in raw])
    shares = np.random.default_rng(seed).normal(size=len(x))
    code = fifths(x)
    known = np.isfinite(x)
    assert ((code == -1) == ~known).all()
    order = np.argsort(x[known], kind="stable")
    assert (np.diff(code[known][order]) >= 0).all()
    for value in np.unique(x[known]):
        assert len(set(code[x == value])) == 1
    found = by_value(made(x[:, None], shares[:, None]), "c0")
    assert sum(group.n_rows for group in found) == len(x)
    if all(group.mean is not None for group in found):
        total = sum(group.n_rows * (group.mean or 0.0) for group in found)
        assert total == pytest.approx(shares.sum(), abs=1e-9)


def test_few_patients_have_no_mean() -> None:
    """A mean of fewer than five would come close to one patient's value; the count is given."""
    x = np.repeat([0.0, 1.0, np.nan], [FEWEST, FEWEST - 1, 1])
    found = by_value(made(x[:, None], x[:, None], (("a", "b", "c"),)), "c0")
    assert [(g.label, g.n_rows, g.mean is None) for g in found] == [
        ("a", FEWEST, False), ("b", FEWEST - 1, True), ("missing", 1, True),
    ]  # fmt: skip


def test_rows_of_one_patient_are_one_patient() -> None:
    """Ten rows of two patients have no mean; of ten they have, with a wider interval than rows."""
    rng = np.random.default_rng(3)
    level = np.zeros(60)
    own = np.repeat(rng.normal(size=20), 3)
    found = made(level[:, None], own[:, None], (("a",),))
    two = by_value(found, "c0", patient_numbers=np.arange(60) // 30)
    assert two[0].mean is None
    widths = []
    for numbers in (np.repeat(np.arange(20), 3), None):
        (group,) = by_value(found, "c0", rng=np.random.default_rng(0), patient_numbers=numbers)
        assert group.low is not None
        assert group.high is not None
        widths.append(group.high - group.low)
    assert widths[0] > 1.4 * widths[1]


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    """95% of intervals of 60 patients a fifth hold the mean of the population they came from.

    400 draws: within 0.95 ± 1.96 * sqrt(0.95 * 0.05 / 400), and half a point less for the
    percentile bootstrap at this size.
    """
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(400):
        shares = rng.normal(0.3, 1.0, (60, 1))
        (group,) = by_value(
            made(np.zeros((60, 1)), shares, (("a",),)), "c0", n_bootstrap=300, rng=rng
        )
        assert group.low is not None
        assert group.high is not None
        covered += group.low <= 0.3 <= group.high
    assert abs(covered / 400 - 0.95) <= 1.96 * np.sqrt(0.95 * 0.05 / 400) + 0.005


def test_what_cannot_be_asked_is_refused() -> None:
    """Another column, and no bootstrap sample."""
    found = made(np.zeros((9, 1)), np.zeros((9, 1)))
    with pytest.raises(UsageError, match="source must be"):
        by_value(found, "age")
    with pytest.raises(UsageError, match="at least 1; got 0"):
        by_value(found, "c0", n_bootstrap=0)
