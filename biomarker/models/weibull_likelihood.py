"""The Weibull log-likelihood with its derivatives, and the Newton steps that end a fit."""

from __future__ import annotations

import numpy as np

from biomarker.errors import NotEstimableError
from biomarker.models.protocol import FloatArray

__all__ = ["WeibullLikelihood"]

_NEWTON_STEPS = 30
_NEWTON_TOLERANCE = 1e-9


class WeibullLikelihood:
    """Penalised Weibull log-likelihood in (intercept, coefficients, log shape), to two derivatives.

    With u = rho (log t - mu), a patient adds event (log rho - log t + u) - exp(u), and
    + exp(u at entry) where observation began late; du/dmu = -rho and du/dlog rho = u.
    """

    def __init__(
        self,
        design: FloatArray,
        log_time: FloatArray,
        event: FloatArray,
        weight: FloatArray,
        log_entry: FloatArray,
        penalty: float,
    ) -> None:
        self.design, self.log_time, self.event = design, log_time, event
        self.weight, self.log_entry = weight, log_entry
        self.ridge = np.full(design.shape[1] + 1, penalty)
        self.ridge[[0, -1]] = 0.0

    def derivatives(self, theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Value, gradient and Hessian of the penalised log-likelihood."""
        shape, location = np.exp(theta[-1]), self.design @ theta[:-1]
        event, weight, late = self.event, self.weight, np.isfinite(self.log_entry)
        u = shape * (self.log_time - location)
        hazard = np.exp(u)
        v = np.where(late, shape * (np.where(late, self.log_entry, 0.0) - location), 0.0)
        before = np.where(late, np.exp(v), 0.0)
        value = weight @ (event * (theta[-1] + u - self.log_time) - hazard + before)
        net = hazard - before
        turned = u * hazard - v * before
        gradient = np.append(
            self.design.T @ (weight * shape * (net - event)),
            weight @ (event * (1.0 + u) - turned),
        )
        hessian = np.empty((len(theta), len(theta)))
        hessian[:-1, :-1] = -(self.design.T * (weight * shape**2 * net)) @ self.design
        hessian[-1, :-1] = self.design.T @ (weight * shape * (net - event + turned))
        hessian[:-1, -1] = hessian[-1, :-1]
        hessian[-1, -1] = weight @ (event * u - u * (1 + u) * hazard + v * (1 + v) * before)
        value -= 0.5 * self.ridge @ theta**2
        return float(value), gradient - self.ridge * theta, hessian - np.diag(self.ridge)

    def refine(self, theta: FloatArray) -> FloatArray:
        """Newton steps until none moves a coefficient; NotEstimableError if they never die out.

        Along a direction without a maximum the gradient and the curvature vanish together and the
        step stays near 1, so the size of the step tells an optimum from a runaway where
        the size of the gradient does not.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient, hessian = self.derivatives(theta)
            for _ in range(_NEWTON_STEPS):
                try:
                    step = np.linalg.solve(-hessian, gradient)
                except np.linalg.LinAlgError:
                    break
                if not np.isfinite(step).all():
                    break
                if np.abs(step).max() < _NEWTON_TOLERANCE:
                    return theta + step
                for _ in range(30):
                    trial = self.derivatives(theta + step)
                    if np.isfinite(trial[0]) and trial[0] >= value - 1e-9 * (1 + abs(value)):
                        break
                    step = step / 2
                theta = theta + step
                value, gradient, hessian = trial
        raise NotEstimableError(
            "the Weibull likelihood must have a maximum; got coefficients that keep growing "
            f"({int(self.event.sum())} events, {self.design.shape[1] - 1} features). "
            "Use fewer features, merge levels without events, or raise the penalty."
        )
