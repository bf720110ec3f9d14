"""Harrell's concordance of many resamples at once, in whole numbers of pairs."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import OutcomeError
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.survival.batched_cox_inputs import checked_counts
from biomarker.survival.partial_likelihood_inputs import finite_vector

__all__ = ["ConcordanceCounts", "resampled_concordance"]

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ConcordanceCounts:
    """Pairs of patients in each resample, counted by how their risks rank.

    Attributes
    ----------
    concordant, tied, comparable : ndarray of int, shape (n_replicates,)
        Comparable pairs whose earlier event has the higher risk; whose risks tie; all of them.
    """

    concordant: Counts
    tied: Counts
    comparable: Counts

    @property
    def value(self) -> npt.NDArray[np.float64]:
        """Concordance in [0, 1], higher = better; NaN where no pair is comparable."""
        with np.errstate(invalid="ignore"):
            return (self.concordant + self.tied / 2) / self.comparable


def resampled_concordance(
    y: SurvivalOutcome, risk: npt.ArrayLike, weights: npt.ArrayLike, *, threads: int = 1
) -> ConcordanceCounts:
    """Count concordant pairs in B resamples of the same patients and risks.

    C = (concordant + ties in risk / 2) / comparable pairs, with pairs as in
    :func:`biomarker.metrics.concordance_index`: comparable when the earlier time is an event; an
    event and a censoring at one time are comparable, two events at one time are not. A patient
    drawn k times stands for k patients, who form no comparable pair among themselves.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
    risk : array-like, shape (n_patients,)
        Higher means worse (earlier event).
    weights : array-like of int, shape (n_replicates, n_patients)
        Copies of each patient; see :func:`biomarker.survival.batched_cox.resample_counts`.
    threads : int
        Results do not depend on it.

    Returns
    -------
    ConcordanceCounts

    Raises
    ------
    CohortError, OutcomeError
        If an input is malformed.

    Notes
    -----
    n log n per replicate, by counting ranks in a binary indexed tree. Counts are exact: quotients
    equal those of any other exact counting to the last bit.

    Examples
    --------
    >>> from biomarker.outcomes import survival_outcome
    >>> y = survival_outcome([1, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    >>> resampled_concordance(y, [4.0, 1.0, 3.0, 2.0], [[1, 1, 1, 1], [2, 0, 1, 1]]).value.tolist()
    [0.6, 1.0]
    """
    from biomarker.survival.batched_concordance_kernel import count_pairs
    from biomarker.survival.partial_likelihood_sweeps import death_blocks

    outcome = check_survival_outcome(y)
    n = len(outcome)
    score = finite_vector(risk, n, "risk")
    counts = checked_counts(weights, n)
    if threads < 1:
        raise OutcomeError(f"threads must be at least 1; got {threads}.")
    duration, event = outcome["duration"].copy(), outcome["event"].copy()
    order = np.argsort(-duration)
    begin, mid, end, _ = death_blocks(order, np.zeros(n, dtype=np.int64), duration, event)
    distinct, rank = np.unique(score[order], return_inverse=True)
    found = np.zeros((3, len(counts)), dtype=np.int64)
    edges = np.linspace(0, len(counts), min(threads, max(len(counts), 1)) + 1).astype(int)

    def work_through(low: int, high: int) -> None:
        count_pairs(
            begin, mid, end, rank.astype(np.int64), len(distinct), order, counts, low, high, found
        )

    with ThreadPoolExecutor(len(edges) - 1) as pool:
        tasks = [
            pool.submit(work_through, int(low), int(high))
            for low, high in itertools.pairwise(edges)
        ]
        for task in tasks:
            task.result()
    return ConcordanceCounts(found[0], found[1], found[2])
