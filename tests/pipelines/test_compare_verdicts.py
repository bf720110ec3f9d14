import math

import pytest

from pipelines.compare_verdicts import verdict_rows
from tests.pipelines.compared import evidence, stored, verdict


def rows(a, b, **tests):
    """Rows of two assessments of one marker, by what they compare."""
    pair = [stored(evidence=evidence(record)) for record in (a, b)]
    return {row.what: row for row in verdict_rows(*pair)}


def test_a_verdict_may_change_while_its_ratio_moves_within_noise():
    """Both ratios are shown, with whether each interval excludes the other's estimate."""
    a = verdict("not_established", (0.75, 0.55, 1.02), p_adjusted=0.07)
    b = verdict("predictive", (0.70, 0.52, 0.94), p_adjusted=0.02)
    found = rows(a, b)
    assert found["os vegf"].judgement == "not_judged"
    assert found["os vegf"].after == "predictive (adjusted p 0.020)"
    ratio = found["os vegf: treatment × marker ratio"]
    assert ratio.judgement == "within"
    assert "each interval holds the other run's estimate" in ratio.basis
    assert ratio.before == "0.75 (0.55 to 1.02), hazard ratio per SD, n = 200"


def test_a_ratio_that_moves_far_exceeds_noise():
    """On the log scale, as B over A, by the two intervals."""
    found = rows(verdict(ratio=(1.0, 0.9, 1 / 0.9)), verdict(ratio=(0.5, 0.45, 0.5 / 0.9)))
    ratio = found["os vegf: treatment × marker ratio"]
    assert ratio.judgement == "exceeds"
    assert ratio.difference == pytest.approx(0.5)
    half = math.sqrt(2) * math.log(1 / 0.9)
    assert ratio.low == pytest.approx(0.5 * math.exp(-half))
    assert "each interval excludes the other run's estimate" in ratio.basis


def test_other_units_are_not_compared():
    """A ratio per SD against a ratio per 10 units is no change of effect."""
    found = rows(verdict(), verdict(ratio=(2.0, 1.5, 2.7), contrast="per 10 units"))
    assert found["os vegf: treatment × marker ratio"].judgement == "not_judged"


def test_missing_ratios_and_markers_are_said():
    """Not estimable in one run, not assessed in one run."""
    found = rows(verdict(), verdict(ratio=(None, None, None)))
    ratio = found["os vegf: treatment × marker ratio"]
    assert (ratio.judgement, ratio.after) == ("not_judged", "not estimable")
    lone = verdict_rows(stored(evidence=evidence(verdict())), stored(evidence=evidence()))
    assert [row.after for row in lone] == ["not assessed"]


def test_a_grown_ledger_is_told():
    """More tests of the dataset make adjusted p-values larger: the reader must see it."""
    pair = [stored(evidence=evidence(verdict(), tests=n)) for n in (2, 6)]
    (row,) = verdict_rows(*pair)
    assert (row.before, row.after) == ("2", "6")
    assert rows(verdict(), verdict()) == {}
