"""Null bands against order statistics made by hand; the arm, the gate, and the words."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from biomarker.errors import NotEstimableError, UsageError
from biomarker.explain.controls import assess_null, null_band
from biomarker.explain.refits import RefitTable
from tests.biomarker.explain.test_refits import explained


def permuted(together, fitted=None):
    """Permuted refits of three units, written out."""
    together = np.array(together, dtype=np.float64)
    return RefitTable(
        "permuted", together.copy(), together, np.zeros(together.shape, np.int8),
        np.ones(len(together), bool) if fitted is None else np.array(fitted),
    )  # fmt: skip


@pytest.fixture
def three():
    """A full fit of a marker at 3, another at 2, and the arm at 5."""
    found, plan = explained()
    names = ("a", "b", "arm")
    found = replace(
        found, sources=names, values=np.array([[-3.0, -2.0, -5.0], [3.0, 2.0, 5.0]]),
        columns=np.zeros((2, 3)), kinds=("continuous", "continuous", "arm"), correlated=(),
    )  # fmt: skip
    plan = replace(
        plan, sources=names, units=tuple((name,) for name in names), ordered=np.zeros((2, 3)),
        y=plan.y[:2], groups=None,
    )  # fmt: skip
    return plan, found


def test_limits_are_order_statistics_of_the_largest(three):
    """39 refits, largest importance .1, .2, ..., 3.9, the arm's left out: the second from above."""
    rows = [[0.1 * k, 0.05 * k, 9.0] for k in range(1, 40)]
    band = null_band(*three, [permuted(rows)], above_chance=True)
    assert band.largest == pytest.approx(3.9)
    a, b, arm = (band.of((name,)) for name in ("a", "b", "arm"))
    assert a.p == pytest.approx(11 / 40)
    assert b.p == pytest.approx(21 / 40)
    assert a.middle == pytest.approx(2.0)
    assert b.limit == pytest.approx(1.95)
    assert (arm.middle, arm.limit, arm.p) == (None, None, None)
    assert band.shown == ()
    assert band.of(("c",)) is None


def test_p_below_alpha_and_above_the_largest_are_one_rule(three):
    """B at 2 over refits that end at 1.9: shown, and so is a; at 2.1 b is not."""
    quiet = [[0.05 * k, 0.0, 0.0] for k in range(1, 40)]
    band = null_band(*three, [permuted(quiet)], above_chance=True)
    assert band.shown == (("a",), ("b",))
    assert all(u.importance > band.largest for u in band.units if u.p is not None)
    quiet[0] = [2.5, 0.0, 0.0]
    assert null_band(*three, [permuted(quiet)], above_chance=True).shown == (("a",),)


def test_nothing_is_shown_of_a_model_at_chance(three):
    """The band stands, the claim does not."""
    quiet = [[0.1, 0.1, 0.0]] * 39
    band = null_band(*three, [permuted(quiet)], above_chance=False)
    assert band.shown == ()
    assert band.of(("a",)).p == pytest.approx(1 / 40)
    assert "withheld" in band.sentence


def test_the_sentence_carries_level_refits_and_patients(three):
    """Words for a reader, none of them of cause."""
    band = null_band(*three, [permuted([[0.1, 2.5, 0.0]] * 39)], above_chance=True)
    assert band.sentence == (
        "Importance larger than the largest importance of any column, the arm aside, in all but 5% "
        "of 39 refits on outcomes permuted within arm (n = 2): a."
    )
    band = null_band(*three, [permuted([[4.0, 2.5, 0.0]] * 39)], above_chance=True)
    assert band.sentence.startswith("No column's importance is larger")
    json.dumps(band.to_dict(), allow_nan=False)
    plan, found = three
    no_arm = replace(found, kinds=("continuous",) * 3)
    band = null_band(plan, no_arm, [permuted([[0.1, 2.5, 0.0]] * 39)], above_chance=True)
    assert band.sentence == (
        "Importance larger than the largest importance of any column in all but 5% of 39 refits on "
        "outcomes permuted (n = 2): arm; a."
    )


def test_too_few_refits_for_the_level_are_refused(three):
    """19 refits cannot speak at 5%; 20 can."""
    with pytest.raises(UsageError, match=r"at least 1 / alpha; got 0.05 and 19"):
        null_band(*three, [permuted([[1.0, 1.0, 1.0]] * 19)], above_chance=True)
    band = null_band(*three, [permuted([[1.0, 1.0, 1.0]] * 20)], above_chance=True)
    assert band.shown == (("a",), ("b",))


def test_an_arm_alone_has_no_band(three):
    """Permuting within arm keeps the arm's effect, so nothing is left to judge."""
    plan, found = three
    found = replace(found, sources=("arm",), kinds=("arm",), values=found.values[:, 2:])
    plan = replace(plan, sources=("arm",), units=(("arm",),))
    with pytest.raises(NotEstimableError, match="other than the arm"):
        null_band(plan, found, [permuted([[1.0]] * 39)], above_chance=True)


def test_failed_refits_are_left_out_and_counted(three):
    """A refit without a fit is no quiet refit."""
    rows = [[1.0, 1.0, 0.0]] * 38 + [[np.nan] * 3] * 2
    band = null_band(*three, [permuted(rows, [True] * 38 + [False] * 2)], above_chance=True)
    assert (band.n_refits, band.n_failed) == (38, 2)
    assert np.isfinite(band.largest)


def test_a_real_driver_is_shown_and_the_arm_keeps_its_effect_in_permuted_refits():
    """Vegf and its twin leave the band; permuting within arm leaves the arm's importance alone."""
    found, plan = explained()
    arm = plan.X[:, 4]
    plan = replace(plan, arm=arm)
    band = assess_null(plan, found, above_chance=True, n_permuted=39)
    assert band.shown == (("vegf", "twin"),)
    assert band.of(("arm",)).p is None
