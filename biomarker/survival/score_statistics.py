"""Score and likelihood-ratio statistics of many markers over many resamples of one cohort.

One draw serves every marker, so that the largest statistic of each draw has the distribution that a
family-wise correction needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import CohortError
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.survival.batched_cox import BatchFit, fit_batch_columns, fit_batch_outcomes
from biomarker.survival.partial_likelihood_inputs import feature_table

if TYPE_CHECKING:
    from biomarker.survival.partial_likelihood import Ties

__all__ = ["Statistics", "nested_statistics", "score_statistics"]

Floats = npt.NDArray[np.float64]
Kind = Literal["likelihood_ratio", "score"]


@dataclass(frozen=True)
class Statistics:
    """One statistic per resample and marker.

    Attributes
    ----------
    value : ndarray, shape (n_replicates, n_markers)
        Likelihood-ratio or score statistic, at least 0, higher = further from the null; NaN where
        the fit it needs did not converge.
    reason : ndarray of int8, shape (n_replicates, n_markers)
        Index into :data:`biomarker.survival.batched_cox.REASONS`.
    """

    value: Floats
    reason: npt.NDArray[np.int8]


def score_statistics(
    markers: npt.ArrayLike,
    y: SurvivalOutcome,
    *,
    covariates: npt.ArrayLike | None = None,
    orders: npt.ArrayLike | None = None,
    ties: Ties = "efron",
    strata: npt.ArrayLike | None = None,
    threads: int = 1,
) -> Statistics:
    """Score statistic of each marker beside the covariates, for the data or permutations of them.

    U' V^-1 U with U the marker's sum of martingale residuals of the covariates' model and V its
    information less what the covariates explain. The covariates' model is fitted once; a marker
    then costs one sweep over the patients, and no exponential.

    Assumes that patients may be exchanged (within the strata, if the orders respect them) when the
    marker has no effect: permuted markers are independent of the covariates too.

    Parameters
    ----------
    markers : array-like, shape (n_patients, n_markers)
        Finite numbers.
    y : structured array, shape (n_patients,)
    covariates : array-like, shape (n_patients, n_covariates), optional
    orders : array-like of int, shape (n_replicates, n_patients), optional
        Permutations of rows: replicate b gives patient i the markers of patient
        ``orders[b, i]``. The data as they are by default, as one replicate.
    ties, strata, threads
        As in :func:`biomarker.survival.batched_cox.fit_batch`.

    Returns
    -------
    Statistics
        Asymptotically chi squared with one degree of freedom.

    Raises
    ------
    NotEstimableError
        If the covariates' model cannot be fitted.
    CohortError, OutcomeError
        If an input is malformed.

    Examples
    --------
    >>> from biomarker.outcomes import survival_outcome
    >>> y = survival_outcome([1, 1, 1, 1], [1.0, 2.0, 3.0, 4.0])
    >>> score_statistics([[1], [1], [0], [0]], y).value.round(4).tolist()
    [[2.8824]]
    """
    table, outcome = feature_table(markers), check_survival_outcome(y)
    n = len(outcome)
    rows = np.arange(n)[None, :] if orders is None else np.asarray(orders)
    if rows.ndim != 2 or rows.shape[1] != n or rows.dtype.kind not in "iu" or len(table) != n:
        raise CohortError(
            f"markers and orders must have {n} patients; got shapes {table.shape}, {rows.shape}."
        )
    # One row too many to reach, or twice the same, is no permutation.
    if not np.array_equal(np.sort(rows, axis=1), np.broadcast_to(np.arange(n), rows.shape)):
        raise CohortError("orders must be permutations of the rows; got some that are not.")
    found = [
        fit_batch_columns(
            table[rows, j][:, :, None], outcome, fixed=covariates, ties=ties, strata=strata,
            score_only=True, threads=threads,
        )
        for j in range(table.shape[1])
    ]  # fmt: skip
    return _table(found, "score")


def nested_statistics(
    designs: Sequence[npt.ArrayLike],
    duration: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    n_null: int,
    starts: Sequence[npt.ArrayLike] | None = None,
    statistic: Kind = "likelihood_ratio",
    ties: Ties = "efron",
    strata: npt.ArrayLike | None = None,
    threads: int = 1,
) -> Statistics:
    """Test the same kind of term in many designs, over the same redrawn outcomes.

    For interactions a design's columns are covariates, arm and marker (the null model, fitted anew
    to each outcome), then arm x marker.

    Parameters
    ----------
    designs : sequence of array-like, each of shape (n_patients, n_features)
        One per marker; null columns first.
    duration, event : array-like, shape (n_replicates, n_patients)
        Outcomes, for instance from :class:`biomarker.survival.null_outcomes.NullModel`.
    n_null : int
        Leading columns of the null model.
    starts : sequence of array-like, each of shape (n_features,), optional
        Where climbs start: null coefficients fitted to the data, then zeros.
    statistic : {"likelihood_ratio", "score"}
        Score statistics need the null fit alone, about half the work.
    ties, strata, threads
        As in :func:`biomarker.survival.batched_cox.fit_batch`.

    Returns
    -------
    Statistics
        Asymptotically chi squared with ``n_features - n_null`` degrees of freedom.

    Raises
    ------
    CohortError, OutcomeError
        If an input is malformed.

    Examples
    --------
    >>> rng = np.random.default_rng(2)
    >>> X, times = rng.normal(size=(30, 3)), rng.exponential(size=(200, 30))
    >>> designs = [X[:, [0, 1]], X[:, [0, 2]]]
    >>> nested_statistics(designs, times, times < 1.0, n_null=1).value.shape
    (200, 2)
    """
    if statistic not in ("likelihood_ratio", "score"):
        raise CohortError(f"statistic must be 'likelihood_ratio' or 'score'; got {statistic!r}.")
    begun = [None] * len(designs) if starts is None else list(starts)
    found = [
        fit_batch_outcomes(
            design, duration, event, n_null=n_null, start=start, ties=ties, strata=strata,
            score_only=statistic == "score", threads=threads,
        )
        for design, start in zip(designs, begun, strict=True)
    ]  # fmt: skip
    return _table(found, statistic)


def _table(fits: Sequence[BatchFit], statistic: Kind) -> Statistics:
    """Put each marker's replicates into a column."""
    value = [
        fit.likelihood_ratio
        if statistic == "likelihood_ratio"
        else np.where(fit.converged, fit.score_statistic, np.nan)
        for fit in fits
    ]
    return Statistics(np.column_stack(value), np.column_stack([fit.reason for fit in fits]))
