"""Concordance of resamples against the published small case, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from biomarker.errors import CohortError, OutcomeError
from biomarker.outcomes import survival_outcome
from biomarker.survival.batched_concordance import resampled_concordance

TIMES = [1, 5, 6, 11, 34, 45, 46, 50]
EVENT = [0, 1, 1, 0, 0, 1, 0, 0]
RISK = [5, 8, 11, 34, 12, 3, 9, 12]


def test_the_published_small_case() -> None:
    """3 concordant pairs of 13; drawing everybody twice makes four of every pair."""
    y = survival_outcome(EVENT, TIMES)
    found = resampled_concordance(y, RISK, np.array([[1] * 8, [2] * 8]))
    assert found.concordant.tolist() == [3, 12]
    assert found.comparable.tolist() == [13, 52]
    assert found.tied.tolist() == [0, 0]
    assert found.value.tolist() == [3 / 13, 12 / 52]


def test_more_than_one_block_of_ranks() -> None:
    """A perfect ranking of many patients scores 1, its reverse 0, on any threads."""
    n = 500
    y = survival_outcome(np.ones(n, dtype=bool), np.arange(1.0, n + 1))
    weights = np.random.default_rng(0).integers(0, 3, (7, n))
    for threads in (1, 3, 20):
        good = resampled_concordance(y, -y["duration"], weights, threads=threads)
        bad = resampled_concordance(y, y["duration"], weights, threads=threads)
        assert good.value.tolist() == [1.0] * 7
        assert bad.value.tolist() == [0.0] * 7


def test_refusals() -> None:
    """Malformed weights, risks and threads are named."""
    y = survival_outcome(EVENT, TIMES)
    with pytest.raises(CohortError, match=r"weights must be integers of shape \(n_replicates, 8\)"):
        resampled_concordance(y, RISK, [[1, 2]])
    with pytest.raises(OutcomeError, match="risk must be finite"):
        resampled_concordance(y, [np.nan] * 8, [[1] * 8])
    with pytest.raises(OutcomeError, match="threads must be at least 1"):
        resampled_concordance(y, RISK, [[1] * 8], threads=0)
