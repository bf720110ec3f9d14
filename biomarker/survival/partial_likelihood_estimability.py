"""Whether a Cox partial likelihood has a finite maximum, and which columns are to blame if not."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.survival.partial_likelihood import CoxFit, SortedCohort

__all__ = ["check_columns", "check_finite_maximum", "is_monotone_direction"]

Floats = npt.NDArray[np.float64]

_NO_INFORMATION = 1e-11  # what rounding leaves of a difference of squares, with room to spare
_COLLAPSED = 1e-8  # information left in some direction, relative to that at zero
_UNSETTLED = 1e-3  # the same share where Newton's steps did not settle
_FLAT = 1e-9  # of the score's range: what counts as equal along a direction of escape
_SHARE = 1e-3  # of the largest component: which columns a direction names


def check_columns(fit: CoxFit, names: Sequence[str]) -> None:
    """Refuse columns that carry no information of their own at zero coefficients.

    Raises
    ------
    NotEstimableError
        If a column does not vary within any risk set, or is a linear combination of the columns
        before it there.
    """
    per_column = np.diag(fit.null_information)
    floor = _NO_INFORMATION * fit.null_squares
    silent = [j for j in range(len(names)) if not per_column[j] > floor[j]]
    if silent:
        raise NotEstimableError(
            f"X must vary among the patients at risk together; got {len(silent)} column(s) that do "
            f"not: {_listed(silent, names)}. Drop them, or set a penalty."
        )
    dependent = _first_dependent(fit.null_information)
    if dependent is not None:
        raise NotEstimableError(
            "X must have linearly independent columns; got "
            f"{names[dependent]} collinear with the columns before it. Drop one, or set a penalty."
        )


def check_finite_maximum(cohort: SortedCohort, fit: CoxFit, names: Sequence[str]) -> None:
    """Refuse a fit whose likelihood keeps rising along some direction (separation).

    Where information has all but vanished in some direction, or Newton's steps did not settle,
    the directions they were taking are tested exactly against every risk set. A large but finite
    estimate settles, and passes.

    Raises
    ------
    NotEstimableError
        If the likelihood is monotone, or its information is singular to rounding.
    """
    least, weakest = _least_information(fit)
    if fit.converged and least > _COLLAPSED:
        return
    for direction in (fit.last_step, fit.coef, weakest, -weakest):
        if is_monotone_direction(cohort, direction):
            size = np.abs(direction) / np.max(np.abs(direction))
            columns = [j for j in range(len(names)) if size[j] > _SHARE]
            raise NotEstimableError(
                "X must leave some overlap between patients who die and patients at risk with "
                f"them; got a likelihood that rises without end along {_listed(columns, names)} "
                "(separation: no finite coefficient exists). Drop or merge these, or set a penalty."
            )
    if not least > (_NO_INFORMATION if fit.converged else _UNSETTLED):
        raise NotEstimableError(
            "X must leave information in every direction at the maximum; got a likelihood that is "
            "flat to rounding there (all but separated). Use fewer columns, or set a penalty."
        )


def is_monotone_direction(cohort: SortedCohort, direction: Floats) -> bool:
    """Tell whether every death has the highest score in its risk set, and some patient a lower one.

    That is the exact condition for the partial likelihood, Breslow's or Efron's, to rise without
    end along ``direction`` (coefficients of the cohort's scaled columns).
    """
    score = cohort.X @ direction
    width = float(np.ptp(score)) if len(score) else 0.0
    if not width > 0 or not np.isfinite(width):
        return False
    slack = _FLAT * width
    late = cohort.entry
    heap: list[tuple[float, int]] = []
    lowest = np.inf
    strict = False
    for k in range(len(cohort.time)):
        if cohort.first[k]:
            heap, lowest = [], np.inf
        for i in range(cohort.begin[k], cohort.end[k]):
            heapq.heappush(heap, (-score[i], i))
            lowest = min(lowest, score[i])
        while late is not None and late[heap[0][1]] >= cohort.time[k]:
            heapq.heappop(heap)
        dying = score[cohort.mid[k] : cohort.end[k]]
        if dying.min() < -heap[0][0] - slack:
            return False
        if not strict and dying.max() > lowest + slack:
            strict = late is None or any(
                late[i] < cohort.time[k] and -s < dying.max() - slack for s, i in heap
            )
    return strict


def _least_information(fit: CoxFit) -> tuple[float, Floats]:
    """Smallest share of the information at zero that is left at the fit, and its direction."""
    if not np.all(np.isfinite(fit.information)):
        return 0.0, np.zeros_like(fit.coef)
    unit = 1.0 / np.sqrt(np.diag(fit.null_information))
    root = np.linalg.inv(np.linalg.cholesky(fit.null_information * np.outer(unit, unit)))
    values, vectors = np.linalg.eigh(root @ (fit.information * np.outer(unit, unit)) @ root.T)
    return float(values[0]), unit * (root.T @ vectors[:, 0])


def _first_dependent(information: Floats) -> int | None:
    """Return the first column whose information vanishes once the columns before it are known."""
    unit = 1.0 / np.sqrt(np.diag(information))
    matrix = information * np.outer(unit, unit)
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        factor = None
    if factor is not None and np.min(np.diag(factor)) ** 2 > _NO_INFORMATION:
        return None
    rest = matrix.copy()
    for j in range(len(rest)):
        if not rest[j, j] > _NO_INFORMATION:
            return j
        rest[j + 1 :, j + 1 :] -= np.outer(rest[j + 1 :, j], rest[j, j + 1 :]) / rest[j, j]
    return None


def _listed(columns: Sequence[int], names: Sequence[str]) -> str:
    """Name up to five columns."""
    text = ", ".join(names[j] for j in columns[:5])
    return text if len(columns) <= 5 else f"{text} and {len(columns) - 5} more"
