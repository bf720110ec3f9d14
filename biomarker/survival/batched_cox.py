r"""Thousands of Cox fits at once: resampled patients, redrawn outcomes, or exchanged columns.

One cohort, B replicates, one call. What the replicates share is prepared once (sorting, scaling, a
warm start, the risks there), the rest is compiled, and each replicate is a Newton climb whose steps
are halved until the likelihood rises. A replicate that does not settle quickly, or whose
information nearly vanishes in some direction, is fitted again by the careful single fit, which
tests for separation exactly. What then has no finite maximum keeps NaN coefficients and its reason:
it is never evidence.

A weight of k means k copies of a patient: k tied deaths where the patient died, and nobody where
k = 0. So a bootstrap replicate equals the fit to the drawn rows, under Efron too (case weights as
in R's ``coxph(weights=)`` would not).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import CohortError, NotEstimableError, OutcomeError
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome, survival_outcome
from biomarker.survival.partial_likelihood_inputs import feature_table, same_length, strata_codes

if TYPE_CHECKING:
    from biomarker.survival.partial_likelihood import SortedCohort, Ties

__all__ = [
    "REASONS",
    "BatchFit",
    "checked_counts",
    "fit_batch",
    "fit_batch_columns",
    "fit_batch_outcomes",
    "null_coefficients",
    "resample_counts",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

OK, NO_EVENTS, FLAT, SEPARATED, UNSETTLED = 0, 1, 2, 3, 4
REASONS = ("ok", "no events", "flat", "separated", "iteration limit")

_MOST_WEIGHT = 65_535
_CELLS = 4_000_000  # outcomes sorted at a time, which bounds memory
_REACH = 50.0  # |x'b| at a usable warm start


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


def resample_counts(
    rng: np.random.Generator,
    n_resamples: int,
    n_patients: int,
    strata: npt.ArrayLike | None = None,
) -> npt.NDArray[np.uint16]:
    """How often each bootstrap replicate draws each patient.

    Parameters
    ----------
    rng : numpy.random.Generator
        For instance from :func:`biomarker.resampling.spawn`.
    n_resamples, n_patients : int
    strata : array-like, shape (n_patients,), optional
        As many patients are drawn from each stratum as it has.

    Returns
    -------
    ndarray of uint16, shape (n_resamples, n_patients)
        Rows sum to ``n_patients``.

    Examples
    --------
    >>> resample_counts(np.random.default_rng(0), 2, 5).sum(axis=1).tolist()
    [5, 5]
    """
    codes = np.zeros(n_patients, dtype=np.int64)
    if strata is not None:
        codes = np.unique(np.asarray(strata), return_inverse=True)[1].astype(np.int64)
    counts = np.zeros((n_resamples, n_patients), dtype=np.uint16)
    for code in range(int(codes.max(initial=-1)) + 1):
        members = np.flatnonzero(codes == code)
        share = max(1, _CELLS // len(members))
        for low in range(0, n_resamples, share):
            size = min(share, n_resamples - low)
            drawn = rng.integers(0, len(members), size=(size, len(members)))
            drawn += np.arange(size)[:, None] * len(members)
            found = np.bincount(drawn.ravel(), minlength=size * len(members))
            counts[low : low + size, members] = found.reshape(size, -1)
    return counts


def fit_batch(
    X: npt.ArrayLike,
    y: SurvivalOutcome,
    weights: npt.ArrayLike,
    *,
    ties: Ties = "efron",
    strata: npt.ArrayLike | None = None,
    n_null: int = 0,
    start: npt.ArrayLike | None = None,
    threads: int = 1,
) -> BatchFit:
    """Fit one Cox model to B resamples of a cohort, each a count of every patient.

    Parameters
    ----------
    X : array-like, shape (n_patients, n_features)
        Finite numbers.
    y : structured array, shape (n_patients,)
    weights : array-like of int, shape (n_replicates, n_patients)
        Copies of each patient, 0 to 65,535; see :func:`resample_counts`.
    ties : {"efron", "breslow"}
    strata : array-like, shape (n_patients,), optional
        Patients of different strata share coefficients, never a risk set.
    n_null : int
        The null model's columns are the first ``n_null`` of ``X``; it is then fitted to each
        replicate too.
    start : array-like, shape (n_features,), optional
        Where climbs start, on the caller's units; the fit to all patients by default.
    threads : int
        Results do not depend on it, to the bit.

    Returns
    -------
    BatchFit

    Raises
    ------
    CohortError, OutcomeError
        If an input is malformed.

    Notes
    -----
    Sorting costs n log n once; a replicate costs about five linear sweeps of n p^2. The first call
    on a machine compiles for some seconds.

    Examples
    --------
    >>> from biomarker.outcomes import survival_outcome
    >>> y = survival_outcome([1, 0, 1, 1, 0, 1], [1, 1, 6, 6, 8, 9])
    >>> fit = fit_batch([[1], [1], [1], [0], [0], [0]], y, [[1] * 6, [2] * 6, [0, 0, 0, 1, 1, 1]])
    >>> fit.coefficients[:, 0].round(4).tolist(), [REASONS[r] for r in fit.reason]
    ([1.6769, 1.8558, nan], ['ok', 'ok', 'flat'])
    """
    from biomarker.survival import batched_cox_layout as layout
    from biomarker.survival.partial_likelihood import sort_cohort

    table, outcome = feature_table(X), check_survival_outcome(y)
    same_length(table, outcome)
    n, p = table.shape
    _check_settings(ties, n_null, p, threads)
    counts = checked_counts(weights, n)
    _, codes = strata_codes(strata, n)
    event, duration = outcome["event"].copy(), outcome["duration"].copy()
    cohort = sort_cohort(table, event, duration, stratum=codes)
    begun, influence = _starting_point(cohort, start, n_null, ties)
    rows = _padded(cohort.X)
    base = layout.Base(
        rows, _risk(cohort.X, begun), begun, cohort.order,
        cohort.begin, cohort.mid, cohort.end, cohort.first, cohort.dead_weight,
        influence, np.empty(0, dtype=np.int64),
    )  # fmt: skip
    at_null = not np.any(begun) and n_null == 0
    fits = _run(
        layout.WEIGHTS, base, _batch(weights=counts), len(counts), n_null, at_null, ties, threads
    )

    def replicate(b: int) -> _Problem:
        drawn = np.repeat(np.arange(n), counts[b])
        return table[drawn], event[drawn], duration[drawn], None if codes is None else codes[drawn]

    return _finish(fits, cohort.scale, replicate, n_null, n_null > 0 or at_null, ties)


def fit_batch_outcomes(
    X: npt.ArrayLike,
    duration: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    ties: Ties = "efron",
    strata: npt.ArrayLike | None = None,
    n_null: int = 0,
    start: npt.ArrayLike | None = None,
    score_only: bool = False,
    heights_only: bool = False,
    threads: int = 1,
) -> BatchFit:
    """Fit one design to B sets of outcomes, such as draws from a fitted null model.

    Parameters
    ----------
    X : array-like, shape (n_patients, n_features)
        Finite numbers; the null model's columns first.
    duration : array-like, shape (n_replicates, n_patients)
        Positive; any unit, or ranks of times.
    event : array-like of bool, shape (n_replicates, n_patients)
    ties, strata, threads
        As in :func:`fit_batch`.
    n_null : int
        Columns of the null model, fitted first; the full model climbs on from there.
    start : array-like, shape (n_features,), optional
        Where climbs start, on the caller's units: the null coefficients, then zeros. Zero by
        default.
    score_only : bool
        Stop at the null fit with its score statistic, about half the work: coefficients are then
        the null's, and ``log_likelihood`` equals ``log_likelihood_null``.
    heights_only : bool
        Only log-likelihoods are wanted. A full climb that runs away past a settled null model then
        ends where the information is all but gone, its height within about 1e-6 of the supremum,
        and counts as separated without the proof that takes a thousand times longer.

    Returns
    -------
    BatchFit

    Raises
    ------
    CohortError, OutcomeError
        If an input is malformed.

    Notes
    -----
    Each replicate is sorted once, n log n, for both models.

    Examples
    --------
    >>> rng = np.random.default_rng(5)
    >>> X, times = rng.normal(size=(40, 2)), rng.exponential(size=(500, 40))
    >>> fit = fit_batch_outcomes(X, times, times < 1.0, n_null=1)
    >>> bool(0.02 < np.mean(fit.likelihood_ratio > 3.84) < 0.09)
    True
    """
    from biomarker.survival import batched_cox_layout as layout
    from biomarker.survival.batched_cox_kernels import HARD

    table = feature_table(X)
    n, p = table.shape
    _check_settings(ties, n_null, p, threads)
    durations, events = _check_outcomes(duration, event, n)
    _, codes = strata_codes(strata, n)
    centre, scale = table.mean(axis=0), table.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    rows = (table - centre) / scale
    begun = np.zeros(p) if start is None else _given_start(start, scale)
    if np.max(np.abs(rows @ begun), initial=0.0) > _REACH:
        begun = np.zeros(p)
    if n_null:
        begun[n_null:] = 0.0
    none = np.empty(0, dtype=np.int64)
    base = layout.Base(
        _padded(rows), _risk(rows, begun), begun, none, none, none, none,
        np.empty(0, dtype=np.bool_), np.empty(0), np.empty((n, 0)),
        none if codes is None else codes,
    )  # fmt: skip
    at_null = n_null == 0 and not np.any(begun)
    if score_only and not (at_null or n_null):
        raise CohortError("score_only must go with a null start; got start. Leave start out.")
    batch = _batch(duration=durations, event=events)
    fits = _run(
        layout.OUTCOMES, base, batch, len(durations), n_null, at_null, ties, threads, score_only
    )

    def replicate(b: int) -> _Problem:
        return table, events[b].copy(), durations[b].copy(), codes

    if heights_only:
        fits.status[(fits.status == HARD) & np.isfinite(fits.summary[:, 0])] = SEPARATED
    return _finish(fits, scale, replicate, n_null, n_null > 0 or at_null, ties)


def fit_batch_columns(
    columns: npt.ArrayLike,
    y: SurvivalOutcome,
    *,
    fixed: npt.ArrayLike | None = None,
    ties: Ties = "efron",
    strata: npt.ArrayLike | None = None,
    score_only: bool = False,
    threads: int = 1,
) -> BatchFit:
    """Fit one outcome on B sets of columns beside the same covariates: other or permuted markers.

    The null model holds the fixed columns alone. It is fitted once, and every climb starts there.

    Parameters
    ----------
    columns : array-like, shape (n_replicates, n_patients, n_tested)
        Finite; what differs, tested against the null model.
    y : structured array, shape (n_patients,)
    fixed : array-like, shape (n_patients, n_fixed), optional
        Covariates of the null model; none by default.
    ties, strata, threads
        As in :func:`fit_batch`.
    score_only : bool
        Only the score statistic: one sweep per replicate, no climb. ``log_likelihood`` then equals
        ``log_likelihood_null`` and coefficients are the null's.

    Returns
    -------
    BatchFit
        Coefficients of the fixed columns first, then of the tested ones.

    Raises
    ------
    NotEstimableError
        If the null model cannot be fitted.
    CohortError, OutcomeError
        If an input is malformed.

    Examples
    --------
    >>> from biomarker.outcomes import survival_outcome
    >>> rng = np.random.default_rng(5)
    >>> y, marker = survival_outcome(rng.random(60) < 0.7, rng.random(60) + 0.1), rng.random(60)
    >>> permuted = np.array([rng.permutation(marker) for _ in range(500)])[:, :, None]
    >>> fit = fit_batch_columns(permuted, y)
    >>> bool(0.02 < np.mean(fit.score_statistic > 3.84) < 0.09)
    True
    """
    from biomarker.survival import batched_cox_layout as layout
    from biomarker.survival.partial_likelihood import sort_cohort

    outcome = check_survival_outcome(y)
    n = len(outcome)
    tested = _check_columns(columns, n)
    table = np.empty((n, 0)) if fixed is None else feature_table(fixed)
    same_length(table, outcome)
    q = table.shape[1]
    _check_settings(ties, q, q + tested.shape[2], threads)
    _, codes = strata_codes(strata, n)
    event, duration = outcome["event"].copy(), outcome["duration"].copy()
    cohort = sort_cohort(table, event, duration, stratum=codes)
    begun = np.zeros(q + tested.shape[2])
    if q and event.any():
        begun[:q] = null_coefficients(cohort, ties)
    rows = np.ascontiguousarray(cohort.X)
    base = layout.Base(
        rows, _risk(rows, begun[:q]), begun, cohort.order,
        cohort.begin, cohort.mid, cohort.end, cohort.first, cohort.dead_weight,
        np.empty((n, 0)), np.empty(0, dtype=np.int64),
    )  # fmt: skip
    fits = _run(
        layout.COLUMNS,
        base,
        _batch(columns=tested),
        len(tested),
        q,
        True,
        ties,
        threads,
        score_only,
    )
    spread = np.where(fits.scale > 0, fits.scale, 1.0)
    scale = np.concatenate([np.broadcast_to(cohort.scale, (len(tested), q)), spread], axis=1)

    def replicate(b: int) -> _Problem:
        return np.column_stack([table, tested[b]]), event, duration, codes

    return _finish(fits, scale, replicate, q, True, ties)


_Problem = tuple[Floats, Flags, Floats, Ints | None]


def _padded(rows: Floats) -> Floats:
    """Rows with at least three columns, the missing ones 0, as the compiled path wants them."""
    return np.pad(rows, ((0, 0), (0, max(3 - rows.shape[1], 0))))


def _risk(rows: Floats, coef: Floats) -> Floats:
    """Risks, summed in an order that no linear-algebra library chooses."""
    risk: Floats = np.exp((rows * coef).sum(axis=1))
    return risk


def _batch(
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


def _run(
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
    from biomarker.survival.batched_cox_kernels import make_work
    from biomarker.survival.batched_cox_layout import OUTCOMES, Fits, fit_range

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


def _finish(
    fits: Any,
    scale: Floats,
    replicate: Callable[[int], _Problem],
    n_null: int,
    scored: bool,
    ties: Ties,
) -> BatchFit:
    """Turn to the caller's units, and fit with care what did not settle."""
    from biomarker.survival.batched_cox_kernels import HARD

    scales = np.broadcast_to(scale, fits.coef.shape)
    reason = fits.status.copy()
    coefficients = fits.coef / scales
    information = fits.information * scales[:, :, None] * scales[:, None, :]
    summary = fits.summary
    for b in np.flatnonzero(reason == HARD):
        reason[b], coefficients[b], information[b], summary[b] = _fit_with_care(
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


def _fit_with_care(
    problem: _Problem, n_null: int, ties: Ties
) -> tuple[int, Floats, Floats, tuple[float, float, float]]:
    """Fit one replicate by the single fit: reason, coefficients, information, summary."""
    from biomarker.survival.partial_likelihood import PartialLikelihood, maximise, sort_cohort

    table, event, duration, codes = problem
    p = table.shape[1]
    missing = np.full(p, np.nan), np.full((p, p), np.nan)
    begun = np.zeros(p)
    null_value: float | None = None
    if n_null:
        smaller = sort_cohort(table[:, :n_null], event, duration, stratum=codes)
        fit = maximise(PartialLikelihood(smaller, ties), np.zeros(n_null))
        null_value = fit.log_likelihood
        reason = _reason(smaller, fit)
        if reason != OK:
            return reason, *missing, (null_value, np.nan, np.nan)
        begun[:n_null] = fit.coef / smaller.scale
    cohort = sort_cohort(table, event, duration, stratum=codes)
    likelihood = PartialLikelihood(cohort, ties)
    begun *= cohort.scale
    _, gradient = likelihood.evaluate(begun)
    matrix = likelihood.information()
    fit = maximise(likelihood, np.zeros(p), start=begun)
    if null_value is None:
        null_value = fit.null_log_likelihood
    reason = _reason(cohort, fit)
    score = np.nan
    if reason != FLAT:
        score = float(gradient @ np.linalg.solve(matrix, gradient))
    found = (null_value, fit.log_likelihood, score)
    if reason != OK:
        return reason, *missing, found
    return (
        OK,
        fit.coef / cohort.scale,
        fit.information * np.outer(cohort.scale, cohort.scale),
        found,
    )


def _reason(cohort: SortedCohort, fit: Any) -> int:
    """Why a careful fit is, or is not, an estimate."""
    from biomarker.survival.partial_likelihood_estimability import (
        check_columns,
        check_finite_maximum,
    )

    names = [""] * len(fit.coef)
    try:
        check_columns(fit, names)
    except NotEstimableError:
        return FLAT
    try:
        check_finite_maximum(cohort, fit, names)
    except NotEstimableError:
        return SEPARATED
    return OK if fit.converged else UNSETTLED


def null_coefficients(cohort: SortedCohort, ties: Ties) -> Floats:
    """Coefficients of a null model on the sorted cohort's scaled columns.

    Raises
    ------
    NotEstimableError
        If it has no finite maximum.
    """
    from biomarker.survival.partial_likelihood import PartialLikelihood, maximise

    if len(cohort.columns) == 0:
        return np.zeros(0)
    fit = maximise(PartialLikelihood(cohort, ties), np.zeros(len(cohort.columns)))
    reason = _reason(cohort, fit)
    if reason != OK:
        raise NotEstimableError(
            "the null model must have a finite maximum; got a fit that ended as "
            f"{REASONS[reason]!r}. Drop or merge columns."
        )
    return fit.coef


def _starting_point(
    cohort: SortedCohort, start: npt.ArrayLike | None, n_null: int, ties: Ties
) -> tuple[Floats, Floats]:
    """Where climbs start, on the scaled columns, and how each copy of a row moves that.

    The start is given, or the maximum over all patients (rows then move it), or zero.
    """
    from biomarker.survival.partial_likelihood import PartialLikelihood, maximise

    p = len(cohort.columns)
    used = n_null or p
    begun = np.zeros(p)
    still = np.empty((len(cohort.order), 0))
    if start is not None:
        begun = _given_start(start, cohort.scale)
        begun[used:] = 0.0
    elif len(cohort.time):
        part = replace(cohort, columns=np.ascontiguousarray(cohort.columns[:used]))
        fit = maximise(PartialLikelihood(part, ties), np.zeros(used))
        if fit.converged:
            begun[:used] = fit.coef
    far = np.max(np.abs(cohort.X @ begun), initial=0.0)
    if not np.any(begun) or far > _REACH:
        return np.zeros(p), still
    if start is not None:
        return begun, still
    moved = np.zeros((len(cohort.order), p))
    moved[:, :used] = _influence(part, begun[:used]) @ np.linalg.pinv(fit.information)
    return begun, moved


def _influence(cohort: SortedCohort, coef: Floats) -> Floats:
    """Each sorted row's share of the score at ``coef``: x dM less the risk set's mean, Breslow's.

    Tied deaths are taken as Breslow does: it only says where climbs start.
    """
    rows = cohort.X
    risk = _risk(rows, coef)
    found = np.zeros(rows.shape)
    opening = np.append(np.flatnonzero(cohort.first), len(cohort.time))
    for low, high in itertools.pairwise(opening):
        here = slice(low, high)
        begin, end = int(cohort.begin[low]), int(cohort.end[high - 1])
        x, r = rows[begin:end], risk[begin:end]
        last = cohort.end[here] - begin - 1
        total = np.cumsum(r)[last]
        mean = np.cumsum(r[:, None] * x, axis=0)[last] / total[:, None]
        jump = cohort.death_weight[here] / total
        # Hazard, and hazard times mean, accrued up to each death time: later times come first.
        hazard = np.cumsum(jump[::-1])[::-1]
        moment = np.cumsum((jump[:, None] * mean)[::-1], axis=0)[::-1]
        # The last death time at or before each row's own is the first whose end lies beyond it.
        at = np.searchsorted(cohort.end[here] - begin, np.arange(end - begin), side="right")
        died = cohort.dead_weight[begin:end, None]
        expected = r[:, None] * (x * hazard[at, None] - moment[at])
        found[begin:end] = died * (x - mean[at]) - expected
    return found


def _given_start(start: npt.ArrayLike, scale: Floats) -> Floats:
    """Pass a starting point on to the scaled columns."""
    begun = np.array(start, dtype=np.float64)
    if begun.shape != scale.shape or not np.all(np.isfinite(begun)):
        raise CohortError(f"start must be finite, of shape {scale.shape}; got shape {begun.shape}.")
    return begun * scale


def _check_settings(ties: str, n_null: int, p: int, threads: int) -> None:
    """Refuse settings that mean nothing."""
    if ties not in ("efron", "breslow"):
        raise CohortError(f"ties must be 'efron' or 'breslow'; got {ties!r}.")
    if not 0 <= n_null < p:
        raise CohortError(f"n_null must lie from 0 to {p - 1}; got {n_null}.")
    if threads < 1:
        raise CohortError(f"threads must be at least 1; got {threads}.")


def checked_counts(weights: npt.ArrayLike, n: int) -> npt.NDArray[np.uint16]:
    """Pass counts of patients as uint16, shape (n_replicates, n).

    Raises
    ------
    CohortError
        If they are not whole numbers from 0 to 65,535 of that shape.
    """
    counts = np.asarray(weights)
    if counts.ndim != 2 or counts.shape[1] != n or counts.dtype.kind not in "iu":
        raise CohortError(
            f"weights must be integers of shape (n_replicates, {n}); got {counts.dtype} of shape "
            f"{counts.shape}. See resample_counts."
        )
    if counts.dtype != np.uint16:
        if counts.size and not 0 <= counts.min() <= counts.max() <= _MOST_WEIGHT:
            raise CohortError(f"weights must lie from 0 to {_MOST_WEIGHT:,}; got some outside.")
        counts = counts.astype(np.uint16)
    return np.ascontiguousarray(counts)


def _check_outcomes(duration: npt.ArrayLike, event: npt.ArrayLike, n: int) -> tuple[Floats, Flags]:
    """Pass many outcomes of the same patients."""
    durations = np.ascontiguousarray(duration, dtype=np.float64)
    events = np.ascontiguousarray(event)
    if durations.ndim != 2 or durations.shape[1] != n or events.shape != durations.shape:
        raise OutcomeError(
            f"duration and event must have shape (n_replicates, {n}); "
            f"got {durations.shape} and {events.shape}."
        )
    flat = survival_outcome(events.ravel(), durations.ravel())
    return durations, np.ascontiguousarray(flat["event"].reshape(durations.shape))


def _check_columns(columns: npt.ArrayLike, n: int) -> Floats:
    """Pass the columns of every replicate."""
    tested = np.ascontiguousarray(columns, dtype=np.float64)
    if tested.ndim != 3 or tested.shape[1] != n or tested.shape[2] == 0:
        raise CohortError(
            f"columns must have shape (n_replicates, {n}, n_tested); got {tested.shape}."
        )
    if not np.isfinite(tested).all():
        raise CohortError(
            "columns must be finite; got "
            f"{int(np.count_nonzero(~np.isfinite(tested)))} missing or infinite value(s)."
        )
    return tested
