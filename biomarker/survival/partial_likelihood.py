r"""The Cox partial likelihood of one sorted cohort, and the Newton steps that maximise it.

With patients at risk R(t), weights w, and risks r = w exp(x'b), Breslow's log-likelihood is
sum over deaths of w x'b - sum over death times of W log S0, where S0 = sum of r over R(t) and W is
the deaths' weight. Efron replaces log S0 by the mean of log(S0 - l/d D0), l = 0..d-1, with D0 the
sum of r over the d tied deaths and W/d the weight of each term.

Everything an iteration needs is a linear scan or a sum of squares. With L_i the baseline hazard
that patient i accrues, the gradient is X'm for the martingale residuals m = w event - r L, and the
information is X' diag(r L) X - U'U, U holding the weighted risk-set means. So the gradient costs
two passes over X, and only the information costs n p^2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from biomarker.survival import partial_likelihood_products as products
from biomarker.survival import partial_likelihood_sweeps as sweeps

__all__ = ["CoxFit", "PartialLikelihood", "SortedCohort", "Ties", "maximise", "sort_cohort"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Ties = Literal["efron", "breslow"]

_CHORD = 0.02  # keep an information matrix while steps shrink at least this much
_MAX_HALVINGS = 40
_TINY = 1e-100  # a root of information below this is none
_ROUNDING = 1e-13  # of the terms summed: a smaller fall of the likelihood is no fall
_FAR = 300.0  # |x'b| above which risks are shifted before exp


@dataclass(frozen=True)
class SortedCohort:
    """A cohort sorted once for any number of partial-likelihood evaluations.

    Rows run by stratum, then by falling duration, deaths last within a tie. Row ``i`` is patient
    ``order[i]`` of the caller's table. Columns are centred and scaled: a coefficient g here is
    ``g / scale`` on the caller's scale. The k-th death time's risk set is the rows from its
    stratum's start to ``end[k]``, less late entries ``left_order[...left_end[k]]``.

    Attributes
    ----------
    columns : ndarray, shape (n_features, n_patients)
        Covariates, one column after the other.
    weight, dead_weight : ndarray, shape (n_patients,)
        Case weights; the same for deaths and 0 for the censored.
    time, death_weight : ndarray, shape (n_death_times,)
    """

    columns: Floats
    order: Ints
    centre: Floats
    scale: Floats
    weight: Floats
    dead_weight: Floats
    stratum: Ints
    begin: Ints
    mid: Ints
    end: Ints
    first: Flags
    time: Floats
    death_weight: Floats
    left_order: Ints
    left_begin: Ints
    left_end: Ints
    entry: Floats | None

    @property
    def X(self) -> Floats:  # noqa: N802  (the field's symbol)
        """Covariates as a table, shape (n_patients, n_features)."""
        return self.columns.T

    def reweighted(self, weight: Floats) -> SortedCohort:
        """Return the same sorted cohort under other case weights.

        Parameters
        ----------
        weight : ndarray, shape (n_patients,)
            Positive, in sorted-row order (``weight[order]`` of the caller's). A weight of 0 would
            still count among Efron's tied deaths.
        """
        dead = np.where(self.dead_weight > 0, weight, 0.0)
        return replace(
            self,
            weight=weight,
            dead_weight=dead,
            death_weight=_sum_blocks(dead, self.mid, self.end),
        )


def sort_cohort(
    X: Floats,
    event: Flags,
    duration: Floats,
    weight: Floats | None = None,
    entry: Floats | None = None,
    stratum: Ints | None = None,
) -> SortedCohort:
    """Sort, centre and scale a cohort for the partial likelihood.

    Parameters
    ----------
    X : ndarray, shape (n_patients, n_features)
        Finite covariates.
    event : ndarray of bool, shape (n_patients,)
    duration : ndarray, shape (n_patients,)
        Positive, any unit.
    weight : ndarray, shape (n_patients,), optional
        Positive case weights; 1 by default.
    entry : ndarray, shape (n_patients,), optional
        Time at which a patient comes under observation, before ``duration``; at risk at t when
        ``entry < t <= duration``.
    stratum : ndarray of int, shape (n_patients,), optional
        Patients of different strata share coefficients, never a risk set.

    Returns
    -------
    SortedCohort

    Notes
    -----
    Costs n log n once. Columns are scaled by their weighted standard deviation (divisor: the sum
    of weights); a constant column keeps scale 1.
    """
    n = len(duration)
    order = np.argsort(-duration)
    if stratum is None:
        codes = np.zeros(n, dtype=np.int64)
    else:
        codes = stratum.astype(np.int64)
        order = order[np.argsort(codes[order], kind="stable")]
    begin, mid, end, first = sweeps.death_blocks(order, codes, duration, event)
    weights = np.ones(n) if weight is None else weight[order]
    X = np.ascontiguousarray(X)
    n_features = X.shape[1]
    centre, scale = np.empty(n_features), np.empty(n_features)
    products.centre_and_scale(X, np.empty(0) if weight is None else weight, centre, scale)
    columns = np.empty((n_features, n))
    products.sorted_columns(order, X, centre, scale, columns)
    dead_weight = weights * event[order]
    time = duration[order[end - 1]]
    stratum_sorted = codes[order]
    none = np.empty(0, dtype=np.int64)
    left_order, left_begin, left_end = none, none, none
    entry_sorted = None
    if entry is not None and len(time) and entry.max() >= time.min():
        entry_sorted = entry[order]
        left_order = np.lexsort((-entry_sorted, stratum_sorted))
        left_begin, left_end = sweeps.late_entries(
            left_order, stratum_sorted, entry_sorted, first, end, time
        )
    return SortedCohort(
        columns=columns,
        order=order,
        centre=centre,
        scale=scale,
        weight=weights,
        dead_weight=dead_weight,
        stratum=stratum_sorted,
        begin=begin,
        mid=mid,
        end=end,
        first=first,
        time=time,
        death_weight=_sum_blocks(dead_weight, mid, end),
        left_order=left_order,
        left_begin=left_begin,
        left_end=left_end,
        entry=entry_sorted,
    )


class PartialLikelihood:
    """Value, gradient and information of one sorted cohort's Cox partial likelihood.

    Coefficients are those of the cohort's centred and scaled columns. Work arrays are held, so an
    instance serves one thread.

    Parameters
    ----------
    cohort : SortedCohort
    ties : {"efron", "breslow"}
    """

    def __init__(self, cohort: SortedCohort, ties: Ties = "efron") -> None:
        n, k = len(cohort.order), len(cohort.time)
        self.cohort = cohort
        self.efron = ties == "efron"
        self.risk, self.hazard = np.empty(n), np.zeros(n)
        self._eta, self._expected = np.empty(n), np.zeros(n)
        self.jump, self.jump_dying = np.empty(k), np.empty(k)
        self._at_risk, self._dying = np.empty(k), np.empty(k)

    def evaluate(self, coef: Floats) -> tuple[float, Floats]:
        """Log-likelihood and its gradient at ``coef``; (-inf, zeros) where it overflows."""
        c = self.cohort
        eta, gradient = self._eta, np.empty_like(coef)
        low, high, gains = products.linear_predictor(c.columns, coef, c.dead_weight, eta)
        with np.errstate(over="ignore", invalid="ignore"):
            shift = 0.0
            if not -_FAR < low <= high < _FAR:
                shift = 0.5 * (low + high)
                eta -= shift
                gains = float(np.sum(c.dead_weight * eta))
            np.exp(eta, out=self.risk)
            self.risk *= c.weight
        logs = sweeps.hazard_jumps(
            self.risk, c.begin, c.mid, c.end, c.first, c.death_weight, self.efron,
            c.left_order, c.left_begin, c.left_end,
            self._at_risk, self._dying, self.jump, self.jump_dying,
        )  # fmt: skip
        sweeps.cumulative_hazard(
            c.begin, c.mid, c.end, c.first, self.jump, self.jump_dying,
            c.left_order, c.left_begin, c.left_end, self.hazard,
        )  # fmt: skip
        products.gradient(
            c.columns, c.dead_weight, self.risk, self.hazard, self._expected, gradient
        )
        value = gains - logs
        if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
            return -np.inf, np.zeros_like(coef)
        self._shift = shift
        self.rounding: float = _ROUNDING * (abs(gains) + abs(logs))
        return value, gradient

    def information(self) -> Floats:
        """Observed information (negative Hessian) at the coefficients last evaluated."""
        c = self.cohort
        upper = np.zeros((len(c.columns), len(c.columns)))
        products.add_squares(c.columns, self._expected, upper)
        self.squares: Floats = np.diag(upper).copy()
        products.subtract_mean_squares(
            c.columns, self.risk, c.begin, c.mid, c.end, c.first, c.death_weight, self.efron,
            c.left_order, c.left_begin, c.left_end, self._at_risk, self._dying, upper,
        )  # fmt: skip
        return np.triu(upper) + np.triu(upper, 1).T

    def residuals(self) -> Floats:
        """Martingale residuals at the coefficients last evaluated, in the caller's row order."""
        out = np.empty(len(self.risk))
        c = self.cohort
        out[c.order] = (c.dead_weight - self._expected) / c.weight
        return out

    def baseline(self) -> tuple[Floats, Floats]:
        """Hazard jumps at each of ``cohort.time`` for a patient at the cohort's centre.

        Returns
        -------
        tuple of two ndarray, shape (n_death_times,)
            What a survivor of that time accrues, and what a death at that time accrues (less,
            under Efron with ties).
        """
        factor = np.exp(-self._shift)
        return self.jump * factor, self.jump_dying * factor


@dataclass(frozen=True)
class CoxFit:
    """Where Newton's steps ended, on the sorted cohort's centred and scaled columns.

    Attributes
    ----------
    coef : ndarray, shape (n_features,)
    information : ndarray, shape (n_features, n_features)
        Of the penalised likelihood at ``coef``.
    null_information : ndarray, shape (n_features, n_features)
        Of the unpenalised likelihood at zero.
    null_squares : ndarray, shape (n_features,)
        The sums of squares whose difference is the diagonal of ``null_information``: the size
        against which its rounding error is judged.
    last_step : ndarray, shape (n_features,)
        The direction in which a monotone likelihood runs away.
    """

    coef: Floats
    log_likelihood: float
    null_log_likelihood: float
    information: Floats
    null_information: Floats
    null_squares: Floats
    n_iter: int
    converged: bool
    last_step: Floats


def maximise(
    likelihood: PartialLikelihood,
    penalty: Floats,
    max_iter: int = 50,
    tol: float = 1e-10,
    start: Floats | None = None,
) -> CoxFit:
    """Maximise logL(b) - sum(penalty b^2)/2 by Newton steps halved until the objective rises.

    Parameters
    ----------
    likelihood : PartialLikelihood
    penalty : ndarray, shape (n_features,)
        Per coefficient of the scaled columns, at least 0.
    max_iter : int
        Steps allowed.
    tol : float
        Stop when a whole Newton step moves no scaled coefficient by more than this.
    start : ndarray, shape (n_features,), optional
        Warm start; zero by default.

    Notes
    -----
    A gradient costs far less than an information matrix, so one matrix serves several steps as
    long as each still shrinks the distance left fiftyfold; the last one is taken at the
    maximum.
    """
    p = len(likelihood.cohort.columns)
    coef = np.zeros(p)
    value, gradient = likelihood.evaluate(coef)
    null_value = value
    information = null_information = likelihood.information()
    null_squares = likelihood.squares
    if start is not None:
        value_there, gradient_there = likelihood.evaluate(start)
        coef, value, gradient = start.copy(), value_there, gradient_there
        information = likelihood.information()
    objective = value - 0.5 * float(penalty @ coef**2)
    fresh = True
    previous, last_shrink = 0.0, 1.0
    step = np.zeros(p)
    converged = False
    taken = 0
    while taken < max_iter and not converged:
        taken += 1
        slope = gradient - penalty * coef
        trial = _newton_step(information, penalty, slope)
        length = np.inf if trial is None else float(np.max(np.abs(trial), initial=0.0))
        if not fresh and not length <= _CHORD * previous and not length <= tol:
            information, fresh = likelihood.information(), True
            trial = _newton_step(information, penalty, slope)
        if trial is None:
            break
        step = trial
        length = float(np.max(np.abs(step), initial=0.0))
        fraction = 1.0
        for _ in range(_MAX_HALVINGS):
            candidate = coef + fraction * step
            value, gradient = likelihood.evaluate(candidate)
            there = value - 0.5 * float(penalty @ candidate**2)
            if there >= objective - likelihood.rounding:
                break
            fraction *= 0.5
        else:
            value, gradient = likelihood.evaluate(coef)
            break
        coef, objective = candidate, there
        fresh = False
        # The next step is at most this one times the slower of the last two contractions: one
        # alone can be small by luck, where the error happens to change its sign.
        shrink = length / previous if previous > 0 else 1.0
        next_length = max(shrink, last_shrink) * length
        converged = fraction == 1.0 and min(length, 10 * next_length) <= tol
        last_shrink = shrink
        previous = length if fraction == 1.0 else 0.0  # a halved step asks for a new matrix
    return CoxFit(
        coef=coef,
        log_likelihood=value,
        null_log_likelihood=null_value,
        information=likelihood.information() + np.diag(penalty),
        null_information=null_information,
        null_squares=null_squares,
        n_iter=taken,
        converged=converged,
        last_step=step,
    )


def _newton_step(information: Floats, penalty: Floats, slope: Floats) -> Floats | None:
    """Solve for the step, or None where the matrix is not positive definite to rounding."""
    penalised = information + np.diag(penalty)
    unit = np.sqrt(np.maximum(np.diag(penalised), 0.0))
    if not np.all(unit > _TINY) or not np.all(np.isfinite(penalised)):
        return None
    try:
        factor = np.linalg.cholesky(penalised / np.outer(unit, unit))
    except np.linalg.LinAlgError:
        return None
    half = np.linalg.solve(factor, slope / unit)
    step: Floats = np.linalg.solve(factor.T, half) / unit
    return step if np.all(np.isfinite(step)) else None


def _sum_blocks(values: Floats, begin: Ints, end: Ints) -> Floats:
    """Sums of ``values[begin[k]:end[k]]``."""
    running = np.concatenate([[0.0], np.cumsum(values)])
    return running[end] - running[begin]
