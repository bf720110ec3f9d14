"""Matched pairs: rank meets rank, and blocks change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from biomarker.errors import NotEstimableError
from biomarker.metrics import benefit_pairs
from biomarker.metrics.benefit_pairs import match, pair_concordance


def test_ranks_meet_and_the_larger_arm_gives_up_patients() -> None:
    """As many pairs as the smaller arm has patients, both sides rising."""
    rng = np.random.default_rng(0)
    predicted = rng.normal(size=30)
    one, none = match(predicted, np.arange(10), np.arange(10, 30), rng)
    assert sorted(one) == list(range(10))
    assert len(set(none)) == 10
    assert set(none) <= set(range(10, 30))
    assert np.all(np.diff(predicted[one]) > 0)
    assert np.all(np.diff(predicted[none]) > 0)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of pairs are counted in slices only to bound memory."""
    rng = np.random.default_rng(1)
    pairs = [rng.normal(size=57)], [np.round(rng.normal(size=57))], [rng.uniform(0.5, 2, 57)]
    whole = pair_concordance(*pairs)
    monkeypatch.setattr(benefit_pairs, "_BLOCK", 100)
    assert pair_concordance(*pairs) == pytest.approx(whole, abs=1e-12)


def test_pairs_of_different_groups_are_not_compared() -> None:
    """Two groups that each agree perfectly, against each other across: 1 all the same."""
    value, _ = pair_concordance(
        [np.array([0.0, 1.0]), np.array([5.0, 6.0])],
        [np.array([8.0, 9.0]), np.array([1.0, 2.0])],
        [np.ones(2), np.ones(2)],
    )
    assert value == 1.0
    with pytest.raises(NotEstimableError, match="do not"):
        pair_concordance([np.zeros(1)] * 2, [np.ones(1)] * 2, [np.ones(1)] * 2)
