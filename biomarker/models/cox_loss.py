"""Cox's partial likelihood as boosting needs it: per-patient derivatives, slope and baseline."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from biomarker.models.protocol import FloatArray

__all__ = ["MAX_SLOPE", "CoxLoss"]

MAX_SLOPE = 5.0


class CoxLoss:
    r"""Negative Cox partial log-likelihood, its gradient, Hessian diagonal and baseline hazard.

    Tied deaths by Efron's approximation: of d deaths at one time, the l-th (from 0) sees the risk
    set's sum less the fraction l/d of the dying patients' own, each weighing the mean weight of
    the d. With ``ties="breslow"`` the fraction is 0.

    Parameters
    ----------
    duration : ndarray of float, shape (n_patients,)
        Times in any order and unit.
    event : ndarray of bool, shape (n_patients,)
        True where the event was observed.
    weight : ndarray of float, shape (n_patients,)
        Case weights, above 0.
    ties : {"efron", "breslow"}, default "efron"
        How tied deaths share a risk set.

    Notes
    -----
    Sorted once; each call then costs a few passes over the patients. A row's own second derivative
    is used, not a bound on it, as in XGBoost's own objectives.
    """

    def __init__(
        self,
        duration: FloatArray,
        event: npt.NDArray[np.bool_],
        weight: FloatArray,
        ties: Literal["efron", "breslow"] = "efron",
    ) -> None:
        self.order = np.argsort(duration, kind="stable")
        time = duration[self.order]
        self.times, self.start, self.group = np.unique(time, return_index=True, return_inverse=True)
        self.event, self.weight = event[self.order], weight[self.order]
        self.deaths = np.flatnonzero(self.event)
        self.death_group = self.group[self.deaths]
        n_groups = len(self.times)
        n_deaths = np.bincount(self.death_group, minlength=n_groups)
        first = np.cumsum(n_deaths) - n_deaths
        rank = np.arange(len(self.deaths)) - first[self.death_group]
        self.fraction = rank / n_deaths[self.death_group]
        if ties == "breslow":
            self.fraction = np.zeros_like(self.fraction)
        total = np.bincount(self.death_group, self.weight[self.deaths], minlength=n_groups)
        self.mean_weight = (total / np.maximum(n_deaths, 1))[self.death_group]
        self.n_deaths = n_deaths

    def _risk_sums(self, margin: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        """Weighted relative risks in time order, each death's denominator, and the shift taken."""
        eta = margin[self.order]
        shift = float(eta.max())
        risk = self.weight * np.exp(eta - shift)
        at_risk = np.cumsum(risk[::-1])[::-1][self.start]
        dying = np.bincount(self.death_group, risk[self.deaths], minlength=len(self.times))
        denominator = at_risk[self.death_group] - self.fraction * dying[self.death_group]
        return risk, denominator, shift

    def value(self, margin: FloatArray) -> float:
        """Negative log partial likelihood of the margins, shape (n_patients,)."""
        _, denominator, shift = self._risk_sums(margin)
        own = self.weight[self.deaths] @ margin[self.order][self.deaths]
        return float(self.mean_weight @ (np.log(denominator) + shift) - own)

    def gradients(self, margin: FloatArray) -> tuple[FloatArray, FloatArray]:
        """First and second derivative of the value in each patient's margin."""
        risk, denominator, _ = self._risk_sums(margin)
        n_groups = len(self.times)
        first = self.mean_weight / denominator
        second = first / denominator

        def by_time(values: FloatArray) -> FloatArray:
            summed: FloatArray = np.bincount(self.death_group, values, n_groups).astype(np.float64)
            return summed

        keep = 1.0 - self.fraction
        hazard = np.cumsum(by_time(first))[self.group]
        square = np.cumsum(by_time(second))[self.group]
        # A dying patient counts only (1 - l/d) in its own tied deaths' denominators.
        hazard[self.deaths] -= by_time(first * self.fraction)[self.death_group]
        square[self.deaths] -= by_time(second * (1.0 - keep**2))[self.death_group]
        gradient, curvature = np.empty(len(risk)), np.empty(len(risk))
        gradient[self.order] = risk * hazard - self.weight * self.event
        curvature[self.order] = np.maximum(risk * hazard - risk**2 * square, 1e-16)
        return gradient, curvature

    def baseline(self, margin: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Event times, ascending, and the jump of the cumulative hazard at margin 0 at each."""
        _, denominator, shift = self._risk_sums(margin)
        jump = np.bincount(
            self.death_group, self.mean_weight / denominator, minlength=len(self.times)
        )
        died = self.n_deaths > 0
        return self.times[died], jump[died] * np.exp(-shift)

    def slope(self, margin: FloatArray) -> float:
        """Multiplier of the margin that fits best, in [0, 5], drawn towards 1 as by one patient.

        The prior is a normal one of mean 1 and deviation 1: it settles margins too flat to say,
        and yields to a few events otherwise.
        """
        from scipy.optimize import minimize_scalar

        def loss(b: float) -> float:
            return self.value(b * margin) + 0.5 * (b - 1.0) ** 2

        found = minimize_scalar(
            loss, bounds=(0.0, MAX_SLOPE), method="bounded", options={"xatol": 1e-7}
        )
        return float(found.x) if found.fun < loss(0.0) else 0.0
