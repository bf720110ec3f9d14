"""Where batched climbs start, and how each copy of a row moves that."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from biomarker.errors import CohortError

if TYPE_CHECKING:
    from biomarker.survival.partial_likelihood import SortedCohort, Ties

__all__ = ["REACH", "given_start", "risk_of", "starting_point"]

Floats = npt.NDArray[np.float64]

REACH = 50.0  # |x'b| at a usable warm start


def starting_point(
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
        begun = given_start(start, cohort.scale)
        begun[used:] = 0.0
    elif len(cohort.time):
        part = replace(cohort, columns=np.ascontiguousarray(cohort.columns[:used]))
        fit = maximise(PartialLikelihood(part, ties), np.zeros(used))
        if fit.converged:
            begun[:used] = fit.coef
    far = np.max(np.abs(cohort.X @ begun), initial=0.0)
    if not np.any(begun) or far > REACH:
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
    risk = risk_of(rows, coef)
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


def given_start(start: npt.ArrayLike, scale: Floats) -> Floats:
    """Pass a starting point on to the scaled columns."""
    begun = np.array(start, dtype=np.float64)
    if begun.shape != scale.shape or not np.all(np.isfinite(begun)):
        raise CohortError(f"start must be finite, of shape {scale.shape}; got shape {begun.shape}.")
    return begun * scale


def risk_of(rows: Floats, coef: Floats) -> Floats:
    """Risks, summed in an order that no linear-algebra library chooses."""
    risk: Floats = np.exp((rows * coef).sum(axis=1))
    return risk
