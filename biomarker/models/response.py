"""Models of the probability of response: penalised logistic regression and boosted trees."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from biomarker.errors import NotEstimableError
from biomarker.models.boosting import (
    FEWEST_FOLDS,
    BoostedModel,
    canonical_order,
)
from biomarker.models.protocol import (
    STATE_FORMAT,
    Attribution,
    FloatArray,
    MarginScale,
    check_features,
    check_fitted,
    check_response,
    check_rows,
    check_weights,
    linear_margin,
    open_blobs,
    open_state,
    state_number,
    state_params,
    state_vector,
)
from biomarker.models.recalibration import calibrate_log_odds

__all__ = ["BoostedResponse", "LogisticResponse"]

_CONSTANT = 1e-10


class LogisticResponse(BaseEstimator):
    r"""Ridge-penalised logistic regression for the probability of response.

    .. math:: \log\frac{p(x)}{1 - p(x)} = \beta_0 + x^\top\beta

    Parameters
    ----------
    penalty : float, default 1.0
        Ridge penalty :math:`\lambda \ge 0`: the total log-likelihood less
        :math:`\tfrac{\lambda}{2}\sum_j (s_j\beta_j)^2` is maximised, with :math:`s_j` the standard
        deviation of feature j. The intercept is not penalised.

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,)
        Log odds ratio of response per unit of each feature; positive = more response.
    intercept_ : float
        Log odds of response at X = 0.
    center_ : ndarray, shape (n_features,)
        Training mean of each feature (weighted): the reference of attributions.

    Notes
    -----
    Fitted by scikit-learn on standardised features. Classes are never re-weighted: that would
    make the probabilities wrong. Mean prediction and observed share of response agree on the
    training data. A constant feature gets coefficient 0 under a penalty.

    References
    ----------
    le Cessie S, van Houwelingen JC. Ridge estimators in logistic regression. Applied Statistics
    1992;41:191-201.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1))
    >>> y = rng.random(200) < 1 / (1 + np.exp(-2 * X[:, 0]))
    >>> model = LogisticResponse().fit(X, y)
    >>> bool(model.predict_response([[2.0]])[0] > 0.9)
    True
    """

    margin_scale: ClassVar[MarginScale] = "log odds"
    attribution: ClassVar[Attribution] = "linear"

    def __init__(self, penalty: float = 1.0) -> None:
        self.penalty = penalty

    def fit(
        self, X: npt.ArrayLike, y: Any, sample_weight: npt.ArrayLike | None = None
    ) -> LogisticResponse:
        """Learn coefficients.

        Parameters
        ----------
        X : array-like of float, shape (n_patients, n_features)
            Finite features.
        y : array-like of bool, shape (n_patients,)
            True = response.
        sample_weight : array-like of float, shape (n_patients,), optional
            Case weights: a weight of 2 counts as the same patient twice.

        Returns
        -------
        LogisticResponse
            The fitted model.

        Raises
        ------
        NotEstimableError
            With one class only; without a penalty, with constant or collinear features or where
            features separate the classes.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        features = check_features(X)
        check_rows(len(features), len(np.asarray(y)))
        weight = check_weights(sample_weight, len(features))
        if not self.penalty >= 0:
            raise ValueError(f"penalty must be at least 0; got {self.penalty}.")
        kept = weight > 0
        features, weight, response = (
            features[kept],
            weight[kept],
            check_response(np.asarray(y)[kept]),
        )
        center = np.average(features, axis=0, weights=weight)
        spread = np.sqrt(np.average((features - center) ** 2, axis=0, weights=weight))
        constant = spread <= _CONSTANT * np.maximum(1.0, np.abs(center))
        scale = np.where(constant, 1.0, spread)
        standard = np.where(constant, 0.0, (features - center) / scale)
        if self.penalty == 0 and np.linalg.matrix_rank(standard) < standard.shape[1]:
            raise NotEstimableError(
                "features must be independent and not constant; got "
                f"{int(constant.sum())} constant among {standard.shape[1]}, or collinear ones. "
                "Drop them or set a penalty."
            )
        solver = LogisticRegression(
            C=1.0 / self.penalty if self.penalty > 0 else np.inf,
            solver="newton-cholesky",
            tol=1e-10,
            max_iter=200,
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                solver.fit(standard, response, sample_weight=weight)
        except (ConvergenceWarning, RuntimeWarning, np.linalg.LinAlgError) as error:
            raise NotEstimableError(
                "the logistic likelihood must have a maximum; the fit did not converge "
                f"({int(response.sum())} responders among {len(response)} patients, "
                f"{standard.shape[1]} features). Set a penalty or use fewer features."
            ) from error
        standard_coef = solver.coef_[0]
        if self.penalty == 0:
            _check_separation(standard, standard_coef, float(solver.intercept_[0]), weight)
        self.coef_ = standard_coef / scale
        self.intercept_ = float(solver.intercept_[0] - center @ self.coef_)
        self.center_ = center
        self.n_features_in_ = len(center)
        return self

    def predict_margin(self, X: npt.ArrayLike) -> FloatArray:
        """Log odds of response, shape (n_patients,); higher = response more likely."""
        check_fitted(self, "coef_")
        return linear_margin(check_features(X, self.n_features_in_), self.coef_, self.intercept_)

    def predict_response(self, X: npt.ArrayLike) -> FloatArray:
        """Probability of response, shape (n_patients,), in [0, 1]."""
        from scipy.special import expit

        return expit(self.predict_margin(X))

    def to_state(self, horizons: npt.ArrayLike = ()) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Coefficients and feature means as a JSON-able dictionary; no bytes.

        There is no curve, so ``horizons`` changes nothing.
        """
        check_fitted(self, "coef_")
        return {
            "class": "LogisticResponse",
            "format": STATE_FORMAT,
            "params": self.get_params(deep=False),
            "intercept": self.intercept_,
            "coef": self.coef_.tolist(),
            "center": self.center_.tolist(),
        }, {}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> LogisticResponse:
        """The model that ``to_state`` described.

        Raises
        ------
        BundleError
            If a key is missing, unknown or holds the wrong kind of value.
        """
        read = open_state(state, "LogisticResponse", ("params", "intercept", "coef", "center"))
        open_blobs(blobs, "LogisticResponse", ())
        model = cls(**state_params(read, cls))
        model.coef_ = state_vector(read, "coef")
        model.center_ = state_vector(read, "center", len(model.coef_))
        model.intercept_ = state_number(read, "intercept")
        model.n_features_in_ = len(model.coef_)
        return model


class BoostedResponse(BoostedModel):
    r"""Gradient-boosted trees for the probability of response, calibrated.

    .. math:: p(x) = \operatorname{expit}\{a + b\, m(x)\}

    where :math:`m(x)` is the trees' log odds (the margin), and intercept :math:`a` and slope
    :math:`b` come from margins of patients whom the booster had not seen.

    Parameters
    ----------
    n_estimators, learning_rate, max_depth, subsample, min_child_weight, reg_lambda
        As for :class:`biomarker.models.boosted.BoostedCox`; ``min_child_weight`` is in units of
        p(1 - p) per patient.
    random_state : int, default 0
        Seed of folds and subsamples.
    n_threads : int, default 1
        Threads for one fit.

    Attributes
    ----------
    booster_ : xgboost.Booster
        Its contributions, bias included, sum to :meth:`predict_margin`.
    calibration_intercept_, calibration_slope_ : float
        :math:`a`, and :math:`b` in [0, 5]; applied after the margin, so attributions are on the
        trees' own log odds.

    Notes
    -----
    Classes are never re-weighted: that would make the probabilities wrong. A fit trains up to
    six boosters.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1))
    >>> y = rng.random(200) < 1 / (1 + np.exp(-2 * X[:, 0]))
    >>> model = BoostedResponse(n_estimators=50).fit(X, y)
    >>> bool(model.predict_response([[2.0]])[0] > model.predict_response([[-2.0]])[0])
    True
    """

    margin_scale: ClassVar[MarginScale] = "log odds"
    _numbers = ("calibration_intercept", "calibration_slope")

    def fit(
        self, X: npt.ArrayLike, y: Any, sample_weight: npt.ArrayLike | None = None
    ) -> BoostedResponse:
        """Learn trees and their calibration.

        Parameters
        ----------
        X : array-like of float, shape (n_patients, n_features)
            Finite features.
        y : array-like of bool, shape (n_patients,)
            True = response.
        sample_weight : array-like of float, shape (n_patients,), optional
            Case weights.

        Returns
        -------
        BoostedResponse
            The fitted model.

        Raises
        ------
        NotEstimableError
            With fewer than six responders or six non-responders: each of three folds needs two.
        """
        features, answer = check_features(X), np.asarray(y)
        check_rows(len(features), len(answer))
        weight = check_weights(sample_weight, len(features))
        kept = weight > 0
        features, weight, response = features[kept], weight[kept], check_response(answer[kept])
        n_rare = int(min(response.sum(), (~response).sum()))
        if n_rare < 2 * FEWEST_FOLDS:
            raise NotEstimableError(
                f"y must hold at least {2 * FEWEST_FOLDS} responders and as many non-responders; "
                f"got {n_rare} of one among {len(response)} patients. Use the logistic model."
            )
        order = canonical_order(features, response, weight)
        features, response, weight = features[order], response[order], weight[order]
        base_score = float(np.average(response, weights=weight))

        def train(rows: npt.NDArray[np.intp], seed: int) -> Any:
            return self._train(
                features[rows],
                seed,
                base_score=base_score,
                objective="binary:logistic",
                label=response[rows].astype(np.float32),
                weight=weight[rows],
            )

        margin, self.booster_ = self._cross_fit(train, features, response, n_rare)
        self.calibration_intercept_, self.calibration_slope_ = calibrate_log_odds(
            margin, response, weight
        )
        self.n_features_in_ = features.shape[1]
        return self

    def predict_response(self, X: npt.ArrayLike) -> FloatArray:
        """Calibrated probability of response, shape (n_patients,), in [0, 1]."""
        from scipy.special import expit

        return expit(self.calibration_intercept_ + self.calibration_slope_ * self._raw_margin(X))


def _check_separation(
    standard: FloatArray, coef: FloatArray, intercept: float, weight: FloatArray
) -> None:
    """Refuse an unpenalised fit whose information vanished: features that separate the classes."""
    from scipy.special import expit

    p = expit(standard @ coef + intercept)
    design = np.column_stack([np.ones(len(standard)), standard])
    information = (design.T * (weight * p * (1 - p))) @ design / weight.sum()
    if np.linalg.eigvalsh(information)[0] < 1e-8:
        raise NotEstimableError(
            "the logistic likelihood must have a maximum; the features separate responders from "
            f"non-responders ({len(standard)} patients, {len(coef)} features). Set a penalty."
        )
