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

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from biomarker.errors import CohortError
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.survival.batched_cox_careful import (
    REASONS,
    SEPARATED,
    Problem,
    null_coefficients,
)
from biomarker.survival.batched_cox_inputs import (
    check_settings,
    checked_columns,
    checked_counts,
    checked_outcomes,
)
from biomarker.survival.batched_cox_run import BatchFit, batch_of, finish, padded, run
from biomarker.survival.batched_cox_start import REACH, given_start, risk_of, starting_point
from biomarker.survival.partial_likelihood_inputs import feature_table, same_length, strata_codes

if TYPE_CHECKING:
    from biomarker.survival.partial_likelihood import Ties

__all__ = [
    "REASONS",
    "BatchFit",
    "fit_batch",
    "fit_batch_columns",
    "fit_batch_outcomes",
    "resample_counts",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_CELLS = 4_000_000  # draws at a time, which bounds memory


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
    check_settings(ties, n_null, p, threads)
    counts = checked_counts(weights, n)
    _, codes = strata_codes(strata, n)
    event, duration = outcome["event"].copy(), outcome["duration"].copy()
    cohort = sort_cohort(table, event, duration, stratum=codes)
    begun, influence = starting_point(cohort, start, n_null, ties)
    rows = padded(cohort.X)
    base = layout.Base(
        rows, risk_of(cohort.X, begun), begun, cohort.order,
        cohort.begin, cohort.mid, cohort.end, cohort.first, cohort.dead_weight,
        influence, np.empty(0, dtype=np.int64),
    )  # fmt: skip
    at_null = not np.any(begun) and n_null == 0
    fits = run(
        layout.WEIGHTS, base, batch_of(weights=counts), len(counts), n_null, at_null, ties, threads
    )

    def replicate(b: int) -> Problem:
        drawn = np.repeat(np.arange(n), counts[b])
        return table[drawn], event[drawn], duration[drawn], None if codes is None else codes[drawn]

    return finish(fits, cohort.scale, replicate, n_null, n_null > 0 or at_null, ties)


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
    from biomarker.survival.batched_cox_newton import HARD

    table = feature_table(X)
    n, p = table.shape
    check_settings(ties, n_null, p, threads)
    durations, events = checked_outcomes(duration, event, n)
    _, codes = strata_codes(strata, n)
    centre, scale = table.mean(axis=0), table.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    rows = (table - centre) / scale
    begun = np.zeros(p) if start is None else given_start(start, scale)
    if np.max(np.abs(rows @ begun), initial=0.0) > REACH:
        begun = np.zeros(p)
    if n_null:
        begun[n_null:] = 0.0
    none = np.empty(0, dtype=np.int64)
    base = layout.Base(
        padded(rows), risk_of(rows, begun), begun, none, none, none, none,
        np.empty(0, dtype=np.bool_), np.empty(0), np.empty((n, 0)),
        none if codes is None else codes,
    )  # fmt: skip
    at_null = n_null == 0 and not np.any(begun)
    if score_only and not (at_null or n_null):
        raise CohortError("score_only must go with a null start; got start. Leave start out.")
    batch = batch_of(duration=durations, event=events)
    fits = run(
        layout.OUTCOMES, base, batch, len(durations), n_null, at_null, ties, threads, score_only
    )

    def replicate(b: int) -> Problem:
        return table, events[b].copy(), durations[b].copy(), codes

    if heights_only:
        fits.status[(fits.status == HARD) & np.isfinite(fits.summary[:, 0])] = SEPARATED
    return finish(fits, scale, replicate, n_null, n_null > 0 or at_null, ties)


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
    tested = checked_columns(columns, n)
    table = np.empty((n, 0)) if fixed is None else feature_table(fixed)
    same_length(table, outcome)
    q = table.shape[1]
    check_settings(ties, q, q + tested.shape[2], threads)
    _, codes = strata_codes(strata, n)
    event, duration = outcome["event"].copy(), outcome["duration"].copy()
    cohort = sort_cohort(table, event, duration, stratum=codes)
    begun = np.zeros(q + tested.shape[2])
    if q and event.any():
        begun[:q] = null_coefficients(cohort, ties)
    rows = np.ascontiguousarray(cohort.X)
    base = layout.Base(
        rows, risk_of(rows, begun[:q]), begun, cohort.order,
        cohort.begin, cohort.mid, cohort.end, cohort.first, cohort.dead_weight,
        np.empty((n, 0)), np.empty(0, dtype=np.int64),
    )  # fmt: skip
    fits = run(
        layout.COLUMNS,
        base,
        batch_of(columns=tested),
        len(tested),
        q,
        True,
        ties,
        threads,
        score_only,
    )
    spread = np.where(fits.scale > 0, fits.scale, 1.0)
    scale = np.concatenate([np.broadcast_to(cohort.scale, (len(tested), q)), spread], axis=1)

    def replicate(b: int) -> Problem:
        return np.column_stack([table, tested[b]]), event, duration, codes

    return finish(fits, scale, replicate, q, True, ties)
