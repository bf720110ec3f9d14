"""What holds of stability and null bands whatever the refits gave."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from biomarker.explain.controls import null_band
from biomarker.explain.refit_runs import permuted_rows
from biomarker.explain.refits import RefitTable
from biomarker.explain.stability import stability
from tests.biomarker.explain.test_refits import explained


@cache
def start():
    """A plan and an attribution to put numbers into."""
    return explained()


def filled(importance, scheme, n):
    """A plan and attribution of n single columns whose full fit is the first row."""
    found, plan = start()
    names = tuple(f"c{j}" for j in range(n))
    found = replace(
        found, sources=names, values=np.stack([-importance[0], importance[0]]),
        columns=np.tile([[1.0], [2.0]], n), kinds=("continuous",) * n, correlated=(),
    )  # fmt: skip
    plan = replace(
        plan, sources=names, units=tuple((name,) for name in names), y=plan.y[:2],
        ordered=np.tile([[-0.5], [0.5]], n), groups=None, folds=(),
    )  # fmt: skip
    table = RefitTable(
        scheme, importance, importance.copy(), np.ones(importance.shape, np.int8),
        np.ones(len(importance), bool),
    )  # fmt: skip
    return plan, found, table


refits = st.integers(2, 5).flatmap(
    lambda n: npst.arrays(
        np.float64,
        st.tuples(st.integers(20, 40), st.just(n)),
        elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 3.0]),
    )
)


@given(refits)
@settings(max_examples=40)
def test_ranks_and_shares_are_coherent(importance):
    """Ranks sum to a constant, k columns at most are among the first k, limits hold the median."""
    n = importance.shape[1]
    plan, found, table = filled(importance, "bootstrap", n)
    read = stability(plan, found, [table], above_chance=True)
    assert sum(unit.rank for unit in read.units) == pytest.approx(n * (n + 1) / 2)
    for k, size in enumerate((1, 3, 5)):
        assert sum(unit.bootstrap.top[k] for unit in read.units) <= min(size, n) + 1e-9
    for unit in read.units:
        middle = np.median(importance[:, int(unit.members[0][1:])])
        assert unit.bootstrap.low <= middle <= unit.bootstrap.high
        assert 1 <= unit.bootstrap.rank_low <= unit.bootstrap.rank_high <= n
        assert list(unit.bootstrap.top) == sorted(unit.bootstrap.top)
    named = [u for u in read.units if u.bootstrap.top[0] >= 0.8]
    assert read.top == (named[0].members[0] if named else None)


@given(refits, st.floats(0.01, 100.0), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_units_of_measurement_and_column_order_change_no_rank(importance, scale, random):
    """The same ranks, shares and name when importance is rescaled and columns are shuffled."""
    n = importance.shape[1]
    order = list(range(n))
    random.shuffle(order)
    one = stability(*_parts(importance, n), above_chance=True)
    two = stability(*_parts(importance[:, order] * scale, n), above_chance=True)
    first = {unit.members[0]: unit.bootstrap for unit in one.units}
    for unit in two.units:
        same = first[f"c{order[int(unit.members[0][1:])]}"]
        assert unit.bootstrap.top == same.top
        assert (unit.bootstrap.rank_low, unit.bootstrap.rank_high) == (
            same.rank_low, same.rank_high,
        )  # fmt: skip
    assert (one.top is None) == (two.top is None)


@given(refits, st.sampled_from([0.05, 0.1, 0.2]))
@settings(max_examples=40)
def test_a_unit_is_shown_exactly_when_it_is_above_the_largest(importance, alpha):
    """P below alpha, importance above the dashed line and the list of names are one statement."""
    plan, found, table = filled(importance, "permuted", importance.shape[1])
    band = null_band(plan, found, [table], above_chance=True, alpha=alpha)
    for unit in band.units:
        assert 0 < unit.p <= 1
        assert (unit.p < alpha) == (unit.importance > band.largest) == (unit.members in band.shown)
        assert unit.limit <= band.largest
    assert null_band(plan, found, [table], above_chance=False, alpha=alpha).shown == ()


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3)), min_size=1, max_size=25),
    st.integers(0, 2**31),
)
def test_outcomes_change_hands_within_arm_and_by_whole_patients(patients, seed):
    """A permutation of rows; arms and patients are kept together whatever the number of rows."""
    groups = np.repeat(np.arange(len(patients)), [rows for _, rows in patients])
    arm = np.repeat([a for a, _ in patients], [rows for _, rows in patients])
    shuffle = np.random.default_rng(seed).permutation(len(groups))
    groups, arm = groups[shuffle], arm[shuffle]
    order = permuted_rows(np.random.default_rng(seed), len(groups), arm, groups)
    assert sorted(order.tolist()) == list(range(len(groups)))
    np.testing.assert_array_equal(arm[order], arm)
    partner = {}
    for here, there in zip(groups.tolist(), groups[order].tolist(), strict=True):
        assert partner.setdefault(here, there) == there
    assert len(set(partner.values())) == len(partner)


def _parts(importance, n):
    plan, found, table = filled(importance, "bootstrap", n)
    return plan, found, [table]
