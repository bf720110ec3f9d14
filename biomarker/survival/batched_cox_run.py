"""Replicates shared out over threads, and what comes back in the caller's units."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biomarker.survival.batched_cox_careful import OK, REASONS, Problem, fit_with_care

if TYPE_CHECKING:
    from biomarker.survival.partial_likelihood import Ties

__all__ = ["BatchFit", "batch_of", "finish", "padded", "run"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_CELLS = 4_000_000  # outcomes sorted at a time, which bounds memory


@dataclass(frozen=True)
class BatchFit:
    """B Cox fits, in the order of the replicates, on the caller's units.

    Attributes
    ----------
    coefficients : ndarray, shape (n_replicates, n_features)
        Log hazard ratios, higher = worse; NaN where not converged.
    log_likelihood_null : ndarray, shape (n_replicates,)
        Of the null model: its own maximum over the leading ``n_null`` columns, or all coefficients
        zero where ``n_null`` is 0.
    log_likelihood : ndarray, shape (n_replicates,)
        At the maximum; where separated, the height that the climb reached, a lower bound of the
        supremum; NaN without events.
    information : ndarray, shape (n_replicates, n_features, n_features)
        Negative second derivative within 1e-6 standard deviations of ``coefficients``, to about
        that relative accuracy; NaN where not converged.
    score_statistic : ndarray, shape (n_replicates,)
        Efficient score statistic of the columns that the null model lacks, at the null fit:
        asymptotically chi squared with as many degrees of freedom. NaN where the climb did not pass
        the null fit.
    reason : ndarray of int8, shape (n_replicates,)
        Index into ``REASONS``: 0 ok, 1 no events, 2 flat (a column does not vary, or depends on
        others, within risk sets), 3 separated (no finite maximum), 4 iteration limit.
    n_events : ndarray of int, shape (n_replicates,)
        Deaths, copies counted.
    """

    coefficients: Floats
    log_likelihood_null: Floats
    log_likelihood: Floats
    information: Floats
    score_statistic: Floats
    reason: npt.NDArray[np.int8]
    n_events: Ints

    @property
    def converged(self) -> Flags:
        """Whether each replicate has a finite maximum that was reached."""
        return self.reason == OK

    @property
    def likelihood_ratio(self) -> Floats:
        """Twice the gain over the null model; NaN where not converged, never below 0."""
        gain = np.maximum(2.0 * (self.log_likelihood - self.log_likelihood_null), 0.0)
        return np.where(self.converged, gain, np.nan)

    @property
    def covariance(self) -> Floats:
        """Inverse information, shape (n_replicates, n_features, n_features)."""
        found = np.full_like(self.information, np.nan)
        found[self.converged] = np.linalg.inv(self.information[self.converged])
        return found

    def count(self, reason: str) -> int:
        """Number of replicates that ended for this reason, one of ``REASONS``."""
        return int(np.count_nonzero(self.reason == REASONS.index(reason)))


def padded(rows: Floats) -> Floats:
    """Rows with at least three columns, the missing ones 0, as the compiled path wants them."""
    return np.pad(rows, ((0, 0), (0, max(3 - rows.shape[1], 0))))


def batch_of(
    weights: npt.NDArray[np.uint16] | None = None,
    duration: Floats | None = None,
    event: Flags | None = None,
    columns: Floats | None = None,
) -> Any:
    """The arrays in which replicates differ, empty where they do not."""
    from biomarker.survival.batched_cox_layout import Batch

    return Batch(
        np.empty((0, 0), dtype=np.uint16) if weights is None else weights,
        np.empty((0, 0), dtype=np.int64),
        np.empty((0, 0)) if duration is None else duration,
        np.empty((0, 0), dtype=np.bool_) if event is None else event,
        np.empty((0, 0, 0)) if columns is None else columns,
    )


def run(
    kind: int,
    base: Any,
    batch: Any,
    n_replicates: int,
    n_null: int,
    null_at_start: bool,
    ties: Ties,
    threads: int,
    score_only: bool = False,
) -> Any:
    """Share the replicates out over threads; each is computed alone, so sharing changes nothing."""
    from biomarker.survival.batched_cox_layout import OUTCOMES, Fits, fit_range
    from biomarker.survival.batched_cox_work import make_work

    n, p = base.rows.shape[0], len(base.start)
    fits = Fits(
        np.full((n_replicates, p), np.nan),
        np.full((n_replicates, p, p), np.nan),
        np.full((n_replicates, 3), np.nan),
        np.ones((n_replicates, batch.columns.shape[2])),
        np.zeros(n_replicates, dtype=np.int8),
        np.zeros(n_replicates, dtype=np.int64),
    )
    step = max(1, _CELLS // n) if kind == OUTCOMES else max(n_replicates, 1)

    def work_through(low: int, high: int) -> None:
        work = make_work(n, p)
        for first in range(low, high, step):
            last = min(first + step, high)
            part, into, begin, end = batch, fits, first, last
            if kind == OUTCOMES:
                # NumPy's sort is vectorised; a slice at a time bounds the memory it needs.
                here = slice(first, last)
                part = batch._replace(
                    order=np.argsort(batch.duration[here], axis=1),
                    duration=batch.duration[here],
                    event=batch.event[here],
                )
                into, begin, end = Fits._make(array[here] for array in fits), 0, last - first
            fit_range(
                kind, base, part, work, into, begin, end,
                n_null, null_at_start, ties == "efron", score_only,
            )  # fmt: skip

    edges = np.linspace(0, n_replicates, min(threads, max(n_replicates, 1)) + 1).astype(int)
    spans = [(int(low), int(high)) for low, high in itertools.pairwise(edges)]
    if len(spans) == 1:
        work_through(*spans[0])
    else:
        with ThreadPoolExecutor(len(spans)) as pool:
            for done in [pool.submit(work_through, *span) for span in spans]:
                done.result()
    return fits


def finish(
    fits: Any,
    scale: Floats,
    replicate: Callable[[int], Problem],
    n_null: int,
    scored: bool,
    ties: Ties,
) -> BatchFit:
    """Turn to the caller's units, and fit with care what did not settle."""
    from biomarker.survival.batched_cox_newton import HARD

    scales = np.broadcast_to(scale, fits.coef.shape)
    reason = fits.status.copy()
    coefficients = fits.coef / scales
    information = fits.information * scales[:, :, None] * scales[:, None, :]
    summary = fits.summary
    for b in np.flatnonzero(reason == HARD):
        reason[b], coefficients[b], information[b], summary[b] = fit_with_care(
            replicate(int(b)), n_null, ties
        )
    if not scored:
        summary[:, 2] = np.nan
    failed = reason != OK
    coefficients[failed], information[failed] = np.nan, np.nan
    return BatchFit(
        coefficients, summary[:, 0].copy(), summary[:, 1].copy(), information,
        summary[:, 2].copy(), reason, fits.n_events,
    )  # fmt: skip
