from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from biomarker.errors import CohortError, NotEstimableError
from biomarker.resampling import (
    bootstrap_indices,
    check_disjoint,
    joint_strata,
    make_folds,
    repeated_folds,
    spawn,
)


def test_stream_depends_on_seed_and_keys_only():
    """Same task, same numbers; another key, type or seed, other numbers."""
    first = spawn(1, "fold", 3).random(4)
    assert np.array_equal(first, spawn(1, "fold", 3).random(4))
    for other in (spawn(2, "fold", 3), spawn(1, "fold", 4), spawn(1, "fold", "3"), spawn(1)):
        assert not np.array_equal(first, other.random(4))


def test_stream_is_the_same_in_another_process():
    """Python's per-process string hashing plays no part."""
    code = "from biomarker.resampling import spawn; print(spawn(5, 'x', (1, 'y')).integers(10**9))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) == spawn(5, "x", (1, "y")).integers(10**9)


def test_keys_do_not_run_together():
    """("ab", "c") and ("a", "bc") are different tasks."""
    assert spawn(0, "ab", "c").random() != spawn(0, "a", "bc").random()
    assert spawn(0, ("a",), "b").random() != spawn(0, ("a", "b")).random()


def test_folds_cover_every_row_once_and_balance_strata():
    """Each row is tested once; strata and sizes differ by at most one between folds."""
    strata = joint_strata([1] * 23 + [0] * 40, ["a", "b"] * 31 + ["a"])
    folds = make_folds(5, None, strata, np.random.default_rng(0))
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested) == list(range(63))
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    for label in np.unique(strata):
        counts = [int((strata[test] == label).sum()) for _, test in folds]
        assert max(counts) - min(counts) <= 1


def test_rows_of_a_patient_stay_together():
    """Grouped rows of unequal numbers never straddle a split."""
    rng = np.random.default_rng(2)
    groups = rng.integers(0, 20, 90)
    events = rng.random(90) < 0.4
    for train, test in make_folds(4, groups, events, rng):
        assert not set(groups[train]) & set(groups[test])
        assert len(test) > 0


def test_a_patient_on_both_sides_is_a_hard_error():
    """The message counts the patients and tells the way out."""
    with pytest.raises(CohortError, match="got 1 on both"):
        check_disjoint([0, 1], [2], groups=["p1", "p2", "p1"])
    with pytest.raises(CohortError):
        check_disjoint([0, 1], [1])


def test_more_folds_than_patients_is_refused():
    """Three patients cannot be split in five, however many rows they have."""
    with pytest.raises(NotEstimableError, match="number of patients"):
        make_folds(5, [0, 0, 1, 1, 2, 2], None, np.random.default_rng(0))


def test_sizes_that_disagree_are_refused():
    """Groups and strata must be of one length."""
    with pytest.raises(ValueError, match="agree on one number"):
        make_folds(2, [0, 1], [0, 1, 1], np.random.default_rng(0))


def test_repeats_are_shuffled_apart_and_reproducible():
    """Two repeats differ; the same seed gives the same folds."""
    first = list(repeated_folds(3, 2, None, [0, 1] * 15, seed=4))
    again = list(repeated_folds(3, 2, None, [0, 1] * 15, seed=4))
    assert [(r, k) for r, k, _ in first] == [(r, k) for r in range(2) for k in range(3)]
    assert all(np.array_equal(a[2][1], b[2][1]) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0][2][1], first[3][2][1])


def test_bootstrap_keeps_strata_and_whole_patients():
    """As many patients per stratum as before, each drawn with all its rows."""
    groups = np.array([0, 0, 1, 2, 2, 2, 3])
    strata = np.array([0, 0, 0, 1, 1, 1, 1])
    rows = bootstrap_indices(groups, strata, np.random.default_rng(9))
    drawn = np.bincount(groups[rows], minlength=4) / np.bincount(groups)
    assert np.array_equal(drawn, drawn.astype(int))
    assert drawn[:2].sum() == 2
    assert drawn[2:].sum() == 2
