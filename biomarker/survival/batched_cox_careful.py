"""The single, careful fit behind the batch: for what did not settle, and why it has no estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError

if TYPE_CHECKING:
    from biomarker.survival.partial_likelihood import SortedCohort, Ties

__all__ = ["OK", "REASONS", "SEPARATED", "Problem", "fit_with_care", "null_coefficients"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

OK, NO_EVENTS, FLAT, SEPARATED, UNSETTLED = 0, 1, 2, 3, 4
REASONS = ("ok", "no events", "flat", "separated", "iteration limit")

Problem = tuple[Floats, Flags, Floats, Ints | None]


def fit_with_care(
    problem: Problem, n_null: int, ties: Ties
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
        reason = reason_of(smaller, fit)
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
    reason = reason_of(cohort, fit)
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


def reason_of(cohort: SortedCohort, fit: Any) -> int:
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
    reason = reason_of(cohort, fit)
    if reason != OK:
        raise NotEstimableError(
            "the null model must have a finite maximum; got a fit that ended as "
            f"{REASONS[reason]!r}. Drop or merge columns."
        )
    return fit.coef
