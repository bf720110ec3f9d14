"""Ranks, shares and flips against counts made by hand, and what is refused a name."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from biomarker.errors import NotEstimableError, UsageError
from biomarker.explain import refit_runs
from biomarker.explain.refits import RefitTable
from biomarker.explain.stability import assess_stability, stability
from tests.biomarker.explain.test_refits import explained


def table(rows, sign=None, scheme="bootstrap", fitted=None):
    """Importance of three columns, each its own unit, written out."""
    importance = np.array(rows, dtype=np.float64)
    return RefitTable(
        scheme,
        importance,
        importance.copy(),
        np.ones(importance.shape, np.int8) if sign is None else np.array(sign, np.int8),
        np.ones(len(importance), bool) if fitted is None else np.array(fitted),
    )


@pytest.fixture
def three():
    """A full fit of columns a, b and c with importance 3, 2 and 1, all upwards."""
    found, plan = explained()
    values = np.array([[-3.0, -2.0, -1.0], [3.0, 2.0, 1.0]])
    names = ("a", "b", "c")
    found = replace(
        found, sources=names, values=values, columns=np.array([[1.0] * 3, [2.0] * 3]),
        kinds=("continuous",) * 3, correlated=(),
    )  # fmt: skip
    ordered = np.array([[-0.5] * 3, [0.5] * 3])
    units = tuple((name,) for name in names)
    plan = replace(
        plan, sources=names, units=units, ordered=ordered, y=plan.y[:2], groups=None, folds=()
    )
    return plan, found


def test_ranks_shares_and_flips_are_the_counts_made_by_hand(three):
    """Ten refits: a first in nine, unused in one; b turns in three of eight that use it."""
    rows = [[3, 2, 1]] * 6 + [[3, 1, 2]] * 3 + [[0, 0, 4]]
    sign = [[1, -1, 1]] * 3 + [[1, 1, 1]] * 5 + [[1, 0, 1]] + [[0, 0, -1]]
    found = stability(*three, [table(rows, sign)], above_chance=True)
    a, b, c = found.units
    assert [unit.members for unit in found.units] == [("a",), ("b",), ("c",)]
    assert [unit.rank for unit in found.units] == [1.0, 2.0, 3.0]
    assert a.bootstrap.top == (0.9, 0.9, 0.9)
    assert b.bootstrap.top == (0.0, 0.9, 0.9)
    assert c.bootstrap.top == (0.1, 1.0, 1.0)
    assert (a.bootstrap.rank_low, a.bootstrap.rank_high) == (1.0, 2.5)
    assert (c.bootstrap.rank_low, c.bootstrap.rank_high) == (1.0, 3.0)
    assert b.detail[0].flip_rate == 3 / 8
    assert b.detail[0].n_signed == 8
    assert c.detail[0].flip_rate == 0.1
    assert a.detail[0].sign == 1
    assert found.top == "a"
    assert found.sentence == ("a has the largest importance in 90% of 10 bootstrap refits (n = 2).")


def test_importance_limits_are_percentiles_over_refits(three):
    """41 refits with a at 0, 1, ..., 40: the 2.5% and 97.5% points are 1 and 39."""
    rows = [[k, 100, 50] for k in range(41)]
    a = next(
        u for u in stability(*three, [table(rows)], above_chance=True).units if u.members == ("a",)
    )
    assert (a.bootstrap.low, a.bootstrap.high) == (1.0, 39.0)
    assert (a.detail[0].low, a.detail[0].high) == (1.0, 39.0)


def test_no_column_is_named_below_four_in_five(three):
    """At 79% none is, and the sentence carries the shares; at 80% one is."""
    rows = [[3, 2, 1]] * 79 + [[2, 3, 1]] * 21
    found = stability(*three, [table(rows)], above_chance=True)
    assert found.top is None
    assert found.sentence == (
        "No single column is named first, which takes 80% of 100 bootstrap refits (n = 2): the "
        "largest importance is that of a in 79%, b in 21%."
    )
    rows[79] = [3, 2, 1]
    assert stability(*three, [table(rows)], above_chance=True).top == "a"


def test_a_leading_group_is_named_as_a_group(three):
    """Two correlated columns first in every refit: together, and neither alone."""
    plan, found = three
    plan = replace(plan, units=(("a", "b"), ("c",)))
    tables = [RefitTable("bootstrap", np.ones((5, 3)), np.tile([2.0, 1.0], (5, 1)),
                         np.ones((5, 3), np.int8), np.ones(5, bool))]  # fmt: skip
    read = stability(plan, found, tables, above_chance=True)
    assert read.top is None
    assert read.units[0].members == ("a", "b")
    assert [m.source for m in read.units[0].detail] == ["a", "b"]
    assert read.sentence == (
        "a and b together have the largest importance in 100% of 5 bootstrap refits (n = 2). They "
        "correlate above 0.8: the data do not say how it divides among them, so no single column "
        "is named first."
    )


def test_importance_is_withheld_and_no_refit_made_for_a_model_at_chance(monkeypatch):
    """The gate comes before the cost."""
    found, plan = explained()
    monkeypatch.setattr(refit_runs, "run_block", lambda *_: pytest.fail("a refit was run"))
    read = assess_stability(plan, found, above_chance=False)
    assert read.withheld
    assert read.units == ()
    assert read.top is None
    assert "withheld (n = 90)" in read.sentence
    json.dumps(read.to_dict(), allow_nan=False)


def test_folds_and_seeds_are_read_by_their_extremes(three):
    """Few refits have no percentiles: smallest and largest, ranks too."""
    tables = [table([[3, 2, 1]] * 20), table([[5, 4, 1], [2, 3, 1]], scheme="fold")]
    read = stability(*three, tables, above_chance=True)
    a = read.units[0]
    assert (a.folds.low, a.folds.high, a.folds.rank_low, a.folds.rank_high) == (2, 5, 1, 2)
    assert a.folds.top == (0.5, 1.0, 1.0)
    assert a.seeds is None
    assert dict(read.n_refits) == {"bootstrap": 20, "fold": 2}


def test_failed_refits_are_counted_and_too_many_refused(three):
    """One in ten may fail; two may not."""
    rows = [[3.0, 2.0, 1.0]] * 9 + [[np.nan] * 3]
    found = stability(*three, [table(rows, fitted=[True] * 9 + [False])], above_chance=True)
    assert (found.n_refits["bootstrap"], found.n_failed["bootstrap"]) == (9, 1)
    with pytest.raises(NotEstimableError, match="90% of bootstrap refits must be estimable; got 8"):
        stability(*three, [table(rows, fitted=[True] * 8 + [False] * 2)], above_chance=True)


def test_ranks_without_bootstrap_refits_are_refused(three):
    """Folds alone give no interval."""
    with pytest.raises(UsageError, match="must hold bootstrap refits"):
        stability(*three, [table([[3, 2, 1]], scheme="fold")], above_chance=True)


def test_a_real_cohort_reads_twins_as_one_and_first():
    """The marker that drives the hazard and its twin: one unit, first, upwards, no name."""
    found, plan = explained()
    read = assess_stability(plan, found, above_chance=True, n_bootstrap=60)
    assert read.units[0].members == ("vegf", "twin")
    assert read.units[0].bootstrap.top[0] > 0.9
    assert read.units[0].detail[0].flip_rate < 0.2
    assert read.top is None
    assert read.n_refits["bootstrap"] == 60
    stored = json.dumps(read.to_dict(), allow_nan=False)
    assert "vegf" in stored
