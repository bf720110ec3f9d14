"""Drift: the index, what chance alone reaches, and when a verdict is given."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker.features.encoding import fit_encoder
from biomarker.features.frozen_column import ColumnPlan
from biomarker.features.support import Support, fit_support
from biomarker.metrics.drift import Check, Drift, _holm, judge_drift, stability_index
from biomarker.parsing import ParseRule, State


def support_of(n: int, n_missing: int = 0, n_below: int = 0) -> Support:
    """One continuous column of n rows."""
    raw = np.random.default_rng(0).normal(100, 10, (n, 1))
    states = np.zeros((n, 1), np.uint8)
    raw[:n_missing], states[:n_missing] = np.nan, State.MISSING
    below = slice(n_missing, n_missing + n_below)
    raw[below], states[below] = 50.0, State.BELOW_DETECTION
    encoder = fit_encoder((ColumnPlan(ParseRule("x", "continuous", lower_limit=60.0)),), raw)
    return fit_support(encoder, raw, states)


def judged(support: Support, cells: Any, missing: int = 0, outside: int = 0, far: int = 0) -> Drift:
    """A file with these counts."""
    n = int(sum(cells)) + missing
    return judge_drift(support, {"x": [*cells, missing, 0, outside]}, [n, 0, far], n)


def check_of(drift: Drift, what: str) -> Check:
    """The check of a kind."""
    return next(check for check in drift.checks if check.what == what)


def test_the_index_is_the_published_sum() -> None:
    """Shares .5/.5 against .4/.6: (.1)ln(.5/.4) + (.1)ln(.6/.5), up to the row that is added."""
    expected = 0.1 * math.log(0.5 / 0.4) + 0.1 * math.log(0.6 / 0.5)
    found = float(stability_index([500_000, 500_000], [400_000, 600_000]))
    assert found == pytest.approx(expected, rel=1e-4)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12))
def test_the_index_is_finite_symmetric_and_never_negative(pairs: list[tuple[int, int]]) -> None:
    """Also with empty cells; nothing between equal shares; order of cells does not matter."""
    old, new = np.array(pairs).T
    value = float(stability_index(old, new))
    assert 0 <= value < 100
    assert float(stability_index(new, old)) == pytest.approx(value)
    assert float(stability_index(old[::-1], new[::-1])) == pytest.approx(value)
    assert float(stability_index(old, old)) == 0.0


def test_what_chance_reaches_has_its_exact_distribution() -> None:
    """Rows beyond the extremes of n training rows: BetaBinomial(m, 2, n - 1)."""
    from scipy.stats import betabinom

    support = support_of(80)
    check = check_of(judged(support, [0, 4, *[4] * 9], outside=0), "outside_training_range")
    assert check.n == 40
    reached = round(check.by_chance * 40)
    exact = betabinom(40, 2, 79)
    assert exact.cdf(reached) >= 0.94
    assert exact.cdf(reached - 1) <= 0.96


def test_intervals_of_changes_are_newcombes() -> None:
    """His own example: 56 of 70 less 48 of 80 is 0.2, 95% interval 0.0524 to 0.3339.

    Newcombe, R. G. (1998). Statistics in Medicine 17, 873-890, Table II (a), method 10.
    """
    support = support_of(80, n_missing=48)
    known = [0, 14] + [0] * (len(support.columns[0].cells) - 2)
    drift = judged(support, known, missing=56)
    check = check_of(drift, "missing")
    assert check.value == pytest.approx(0.2)
    assert check.low == pytest.approx(0.0524, abs=5e-5)
    assert check.high == pytest.approx(0.3339, abs=5e-5)


def test_holm_steps_down() -> None:
    """Times 3, 2, 1 in order of size, never falling."""
    assert _holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert _holm([0.5, 0.9]) == [1.0, 1.0]
    assert _holm([]) == []


def test_equal_shares_are_no_drift_and_a_shift_is_major() -> None:
    """At a size that can tell; the counts decide, whatever the order they came in."""
    support = support_of(400)
    same = judged(support, [0, *[50] * 10], far=5)
    assert same.verdict == "none"
    assert same.drifting == ()
    moved = judged(support, [0, 5, 10, 20, 30, 50, 50, 60, 75, 90, 110], far=5)
    assert moved.verdict == "major"
    assert [check.what for check in moved.drifting] == ["psi"]
    again = judged(support, [0, 5, 10, 20, 30, 50, 50, 60, 75, 90, 110], far=5)
    assert again == moved
    assert json.loads(json.dumps(moved.to_dict(), allow_nan=False))["verdict"] == "major"


def test_size_alone_is_no_verdict() -> None:
    """Twelve rows of which some ranges have none: an index above .25 that chance brings."""
    drift = judged(support_of(400), [0, 2, 0, 2, 1, 3, 0, 1, 0, 2, 1])
    check = check_of(drift, "psi")
    assert check.value > 0.25
    assert check.by_chance > check.value
    assert drift.verdict == "none"


def test_proof_alone_is_no_verdict() -> None:
    """A million rows prove a change of no size; it stays below the threshold."""
    support = support_of(2000)
    counts = [0, *[100_000] * 10]
    counts[1] += 12_000
    counts[2] -= 12_000
    drift = judged(support, counts)
    assert check_of(drift, "psi").value < 0.1
    assert drift.verdict == "none"


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("missing", {"missing": 200}),
        ("outside_training_range", {"outside": 90}),
        ("distance", {"far": 80}),
    ],
)
def test_each_kind_of_change_is_seen(what: str, options: dict[str, int]) -> None:
    """Each raises its own check and no other."""
    drift = judged(support_of(400), [0, *[50] * 10], **options)
    assert [check.what for check in drift.drifting] == [what]


def test_more_below_detection_is_seen_and_so_is_less() -> None:
    """A share of readings beyond a limit may move either way."""
    support = support_of(400, n_below=100)
    known = np.array(support.columns[0].counts[1:])
    for below in (0, 450):
        drift = judged(support, [below, *known])
        check = check_of(drift, "below_detection")
        assert check.verdict == "major"
        assert check.training == pytest.approx(0.25)
        assert check.low is not None
        assert check.high is not None
        assert (check.high < 0) == (below == 0)


def test_fewer_far_rows_are_no_drift() -> None:
    """A file of ordinary rows is not flagged for lacking outliers."""
    drift = judged(support_of(400), [0, *[5000] * 10], far=0)
    assert check_of(drift, "distance").verdict == "none"


def test_nothing_known_is_not_judged() -> None:
    """A file whose column is empty has its missing share judged alone."""
    drift = judge_drift(support_of(100), {"x": [0] * 11 + [30, 0, 0]}, [0, 0, 0], 30)
    assert [check.what for check in drift.checks] == ["missing"]
    assert drift.verdict == "major"
