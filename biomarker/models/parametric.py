"""Survival times that scale with the patient's features: the Weibull model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from biomarker.errors import NotEstimableError
from biomarker.models.protocol import (
    STATE_FORMAT,
    Attribution,
    FloatArray,
    MarginScale,
    check_features,
    check_fitted,
    check_rows,
    check_times,
    check_weights,
    linear_margin,
    open_blobs,
    open_state,
    state_number,
    state_params,
    state_vector,
)
from biomarker.models.weibull_likelihood import WeibullLikelihood
from biomarker.outcomes import check_survival_outcome

__all__ = ["WeibullAFT"]

# A column whose spread is this small beside its size is a constant, up to rounding.
_CONSTANT = 1e-10


class WeibullAFT(BaseEstimator):
    r"""Weibull accelerated failure time model: features stretch or shrink survival time.

    .. math:: \log T = \beta_0 + x^\top \beta + \varepsilon / \rho, \qquad
              S(t \mid x) = \exp\{-(t\, e^{-\beta_0 - x^\top\beta})^{\rho}\}

    with shape :math:`\rho` and :math:`\varepsilon` standard extreme-value (minimum). A Weibull
    model is also a proportional hazards model, with log hazard ratio
    :math:`-\rho\beta` per unit of a feature; risks and margins are on that scale.

    Parameters
    ----------
    penalty : float, default 0.0
        Ridge penalty :math:`\lambda \ge 0`: the total log-likelihood less
        :math:`\tfrac{\lambda}{2}\sum_j (s_j\beta_j)^2` is maximised, with :math:`s_j` the standard
        deviation of feature j. Intercept and shape are not penalised.

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,)
        Log hazard ratio per unit of each feature; positive = worse.
    intercept_ : float
        ``-center_ @ coef_``: a patient at the training means has margin 0.
    center_ : ndarray, shape (n_features,)
        Training mean of each feature (weighted).
    log_time_coef_, log_time_intercept_ : ndarray and float
        :math:`\beta` and :math:`\beta_0`; positive = longer survival.
    log_shape_ : float
        :math:`\log\rho`; above 0 the hazard rises with time.

    Notes
    -----
    Fitted by lifelines on standardised features and durations divided by their geometric mean;
    its optimum is then refined by Newton steps on the analytic derivatives until no coefficient
    moves by more than 1e-9 on that scale, which lifelines' own stopping rule does not
    ensure. Where the steps do not die out the likelihood has no maximum. Censoring must be
    independent of survival given the features. Cost: some 0.1 s at 2,000 patients.

    References
    ----------
    Kalbfleisch JD, Prentice RL. The Statistical Analysis of Failure Time Data, 2nd ed., ch. 2.
    Wiley, 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from biomarker.outcomes import survival_outcome
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1))
    >>> y = survival_outcome(np.ones(200), np.exp(2 - X[:, 0]) * rng.weibull(1.5, 200))
    >>> model = WeibullAFT().fit(X, y)
    >>> bool(1.2 < model.coef_[0] < 1.8)
    True
    """

    margin_scale: ClassVar[MarginScale] = "log hazard"
    attribution: ClassVar[Attribution] = "linear"

    def __init__(self, penalty: float = 0.0) -> None:
        self.penalty = penalty

    def fit(
        self,
        X: npt.ArrayLike,
        y: Any,
        sample_weight: npt.ArrayLike | None = None,
        entry: npt.ArrayLike | None = None,
    ) -> WeibullAFT:
        """Learn coefficients and shape.

        Parameters
        ----------
        X : array-like of float, shape (n_patients, n_features)
            Finite features.
        y : structured array, shape (n_patients,)
            From :func:`biomarker.outcomes.survival_outcome`.
        sample_weight : array-like of float, shape (n_patients,), optional
            Case weights: a weight of 2 counts as the same patient twice.
        entry : array-like of float, shape (n_patients,), optional
            Time at which each patient came under observation (left truncation), below the
            duration and in its unit.

        Returns
        -------
        WeibullAFT
            The fitted model.

        Raises
        ------
        NotEstimableError
            Without events; with constant or collinear features and no penalty; where the
            likelihood has no maximum.
        """
        features = check_features(X)
        outcome = check_survival_outcome(y)
        check_rows(len(features), len(outcome))
        weight = check_weights(sample_weight, len(features))
        start = _check_entry(entry, outcome["duration"])
        if not self.penalty >= 0:
            raise ValueError(f"penalty must be at least 0; got {self.penalty}.")
        kept = weight > 0
        features, outcome = features[kept], outcome[kept]
        weight, start = weight[kept], start[kept]
        if not outcome["event"].any():
            raise NotEstimableError(
                f"y must hold at least one event; got 0 among {len(outcome)} patients. "
                "A survival model cannot be estimated from censored times alone."
            )
        center = np.average(features, axis=0, weights=weight)
        spread = np.sqrt(np.average((features - center) ** 2, axis=0, weights=weight))
        constant = spread <= _CONSTANT * np.maximum(1.0, np.abs(center))
        standard = (features - center) / np.where(constant, 1.0, spread)
        if self.penalty == 0:
            _check_rank(standard, constant)
        standard = standard[:, ~constant]
        _check_interpolation(standard)
        log_unit = float(np.average(np.log(outcome["duration"]), weights=weight))
        problem = WeibullLikelihood(
            np.column_stack([np.ones(len(standard)), standard]),
            np.log(outcome["duration"]) - log_unit,
            outcome["event"].astype(np.float64),
            weight,
            np.log(start, out=np.full(len(start), -np.inf), where=start > 0) - log_unit,
            float(self.penalty),
        )
        theta = problem.refine(_lifelines_optimum(problem))
        coef = np.zeros(len(center))
        coef[~constant] = theta[1:-1] / spread[~constant]
        self.center_ = center
        self._learned(float(theta[0] + log_unit - center @ coef), coef, float(theta[-1]))
        return self

    def _learned(self, intercept: float, coef: FloatArray, log_shape: float) -> None:
        """Set what is derived from the three estimated quantities, in fit and from_state alike."""
        self.log_time_intercept_, self.log_time_coef_ = intercept, coef
        self.log_shape_ = log_shape
        self.coef_ = -np.exp(log_shape) * coef
        self.intercept_ = -float(np.einsum("j,j->", self.center_, self.coef_))
        self.n_features_in_ = len(coef)

    def predict_margin(self, X: npt.ArrayLike) -> FloatArray:
        """Log hazard relative to a patient at the training means, shape (n_patients,)."""
        check_fitted(self, "coef_")
        return linear_margin(check_features(X, self.n_features_in_), self.coef_, self.intercept_)

    def predict_risk(self, X: npt.ArrayLike) -> FloatArray:
        """Risk of each patient, shape (n_patients,): the log hazard margin; higher = worse."""
        return self.predict_margin(X)

    def predict_survival(self, X: npt.ArrayLike, times: npt.ArrayLike) -> FloatArray:
        """Survival curves in closed form.

        Parameters
        ----------
        X : array-like of float, shape (n_patients, n_features)
            Finite features.
        times : array-like of float, shape (n_times,)
            Horizons, at least 0, in the unit of the durations.

        Returns
        -------
        ndarray, shape (n_patients, n_times)
            Probability of no event up to each time, in [0, 1]; falls with time.
        """
        check_fitted(self, "coef_")
        features, horizons = check_features(X, self.n_features_in_), check_times(times)
        location = linear_margin(features, self.log_time_coef_, self.log_time_intercept_)
        with np.errstate(divide="ignore", over="ignore"):
            log_hazard = np.exp(self.log_shape_) * (np.log(horizons) - location[:, None])
            return np.exp(-np.exp(log_hazard))

    def to_state(self, horizons: npt.ArrayLike = ()) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Coefficients, shape and feature means as a JSON-able dictionary; no bytes.

        The curve is a formula, so ``horizons`` changes nothing.
        """
        check_fitted(self, "coef_")
        return {
            "class": "WeibullAFT",
            "format": STATE_FORMAT,
            "params": self.get_params(deep=False),
            "intercept": self.log_time_intercept_,
            "coef": self.log_time_coef_.tolist(),
            "log_shape": self.log_shape_,
            "center": self.center_.tolist(),
        }, {}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> WeibullAFT:
        """The model that ``to_state`` described.

        Raises
        ------
        BundleError
            If a key is missing, unknown or holds the wrong kind of value.
        """
        read = open_state(
            state, "WeibullAFT", ("params", "intercept", "coef", "log_shape", "center")
        )
        open_blobs(blobs, "WeibullAFT", ())
        model = cls(**state_params(read, cls))
        coef = state_vector(read, "coef")
        model.center_ = state_vector(read, "center", len(coef))
        model._learned(state_number(read, "intercept"), coef, state_number(read, "log_shape"))
        return model


def _lifelines_optimum(problem: WeibullLikelihood) -> FloatArray:
    """Optimum by lifelines of the same likelihood: (intercept, coefficients, log shape)."""
    import pandas as pd
    from lifelines import WeibullAFTFitter
    from lifelines.exceptions import ConvergenceError

    names = [f"x{j:05d}" for j in range(problem.design.shape[1] - 1)]
    frame = pd.DataFrame(problem.design[:, 1:], columns=names)
    # lifelines penalises coefficients of columns divided by their sample deviation, the shape
    # included and per unit of weight: undo all three, so that the penalty is the documented one.
    deviation = frame.std(axis=0).to_numpy() if names else np.empty(0)
    penalties = np.append(problem.ridge[1:-1] / deviation**2, 0.0) / problem.weight.sum()
    frame["duration"], frame["event"] = np.exp(problem.log_time), problem.event
    frame["weight"] = problem.weight
    late = bool(np.isfinite(problem.log_entry).any())
    if late:
        frame["entry"] = np.exp(problem.log_entry)
    failure: Exception | None = None
    for method in ("SLSQP", "BFGS"):  # lifelines' own choice, then the one its message advises
        fitter = WeibullAFTFitter(penalizer=penalties if penalties.any() else 0.0)
        fitter._scipy_fit_method = method
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                # Its warnings are about standard errors, which are not used; the optimum itself
                # is judged by the Newton steps that follow.
                warnings.simplefilter("ignore")
                fitter.fit(
                    frame,
                    "duration",
                    event_col="event",
                    weights_col="weight",
                    entry_col="entry" if late else None,
                )
            break
        except (ConvergenceError, ValueError, np.linalg.LinAlgError) as error:
            failure = error
    else:
        raise NotEstimableError(
            "the Weibull likelihood must be maximised; lifelines did not converge "
            f"({len(frame)} patients, {int(problem.event.sum())} events, {len(names)} features). "
            "Use fewer features or set a penalty."
        ) from failure
    time, shape = fitter.params_["lambda_"], fitter.params_["rho_"]
    return np.concatenate([[time["Intercept"]], time[names].to_numpy(), [shape["Intercept"]]])


def _check_entry(entry: npt.ArrayLike | None, duration: FloatArray) -> FloatArray:
    """Entry times of shape (n_patients,), each below its duration; zeros when none are given."""
    if entry is None:
        return np.zeros(len(duration))
    start = np.asarray(entry, dtype=np.float64)
    if start.shape != duration.shape:
        raise ValueError(f"entry must have shape {duration.shape}; got {start.shape}.")
    bad = int(np.count_nonzero(~((start >= 0) & (start < duration))))
    if bad:
        raise ValueError(
            f"entry must be at least 0 and below the duration; got {bad} of {len(start)} otherwise."
        )
    return start


def _check_interpolation(standard: FloatArray) -> None:
    """Refuse as many features as patients: times met exactly let the shape grow without bound.

    A penalty on coefficients does not help, because the shape is not penalised.
    """
    n_patients, n_features = standard.shape
    if n_features + 1 >= n_patients:
        raise NotEstimableError(
            f"features must be fewer than patients less one; got {n_features} features and "
            f"{n_patients} patients. Use fewer features, or the Cox model with a penalty."
        )


def _check_rank(standard: FloatArray, constant: npt.NDArray[np.bool_]) -> None:
    """Refuse constant or collinear features where no penalty makes them estimable."""
    n_constant = int(constant.sum())
    rank = int(np.linalg.matrix_rank(standard[:, ~constant])) if not constant.all() else 0
    n_features = standard.shape[1]
    if n_constant or rank < n_features:
        raise NotEstimableError(
            f"features must be independent and not constant; got {n_constant} constant and "
            f"{n_features - n_constant - rank} collinear among {n_features}. "
            "Drop them or set a penalty."
        )
