"""Each patient's prediction split over the columns of the file, exactly.

Shapley values of the margin a model speaks on: exact closed form for linear models, exact tree
paths through the booster for boosted ones. Encoded features are summed back to the column they
came from, and the sum is checked against the prediction before anything is returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import BiomarkerError, BundleError
from biomarker.explain.sources import DIRECTIONS, by_source
from biomarker.explain.tree_paths import UnsupportedTreesError, compile_paths

__all__ = [
    "ADDITIVITY_TOLERANCE",
    "AdditivityError",
    "Contributions",
    "contributions",
    "contributions_of",
    "drivers",
]

Floats = npt.NDArray[np.float64]

ADDITIVITY_TOLERANCE = 1e-4


class AdditivityError(BiomarkerError, ArithmeticError):
    """Attributions do not add up to the prediction they claim to explain."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """Every patient's margin split over source columns.

    Attributes
    ----------
    sources : tuple of str, length n_sources
        Columns that gave the model a feature, in the encoder's order.
    values : ndarray, shape (n_patients, n_sources)
        Shapley values on ``scale``; a row and ``base_value`` sum to ``margin``.
    base_value : float
        Margin of the average training patient (linear) or of the booster's expectation (tree).
    margin : ndarray, shape (n_patients,)
        What is explained, on ``scale``.
    scale : str
        ``log hazard``, ``log time, sign reversed`` or ``log odds``.
    direction : str
        What a higher margin means.
    method : str
        How the values were computed, in words for a methods section.
    """

    sources: tuple[str, ...]
    values: Floats
    base_value: float
    margin: Floats
    scale: str
    direction: str
    method: str


def contributions(fitted: Any, X: npt.ArrayLike) -> Contributions:
    r"""Split each patient's margin over the columns of the file.

    With features :math:`x`, training means :math:`\bar x` and coefficients :math:`\beta` a linear
    model gives feature j the share :math:`\beta_j (x_j - \bar x_j)`; a boosted model gives the
    exact path-dependent tree Shapley value of its margin. The shares of all features of one
    column (levels, missing indicator) are summed.

    Assumes, for linear models, that features may be varied one at a time: with correlated
    columns the split among them is a convention, not a finding.

    Parameters
    ----------
    fitted : EncodedModel
        Fitted; its model names ``attribution`` and ``margin_scale``.
    X : array-like of float, shape (n_patients, n_columns)
        Parsed values in the order of the model's plans, NaN where missing.

    Returns
    -------
    Contributions

    Raises
    ------
    AdditivityError
        If a row and the base value miss the prediction by more than 1e-4.
    BundleError
        If a boosted model's trees hold nodes that no training weight reached.
    """
    features = fitted.encode(np.asarray(X, dtype=np.float64))
    margin = np.asarray(fitted.model.predict_margin(features), dtype=np.float64)
    return contributions_of(fitted, features, margin)


def contributions_of(fitted: Any, features: npt.NDArray[Any], margin: Floats) -> Contributions:
    """As :func:`contributions`, for features and margins that the caller has already.

    Parameters
    ----------
    fitted : EncodedModel
    features : ndarray, shape (n_patients, n_features)
        From its encoder; single precision serves a boosted model.
    margin : ndarray, shape (n_patients,)
        ``predict_margin`` of the features.

    Raises
    ------
    AdditivityError, BundleError
        As :func:`contributions`.
    """
    model = fitted.model
    scale = model.margin_scale
    if model.attribution == "linear":
        by_feature, base = _linear_shares(model, features)
        method = "closed form: coefficient times distance from the training mean"
    else:
        by_feature, base = _tree_shares(model, features)
        method = "exact path-dependent tree Shapley values from the booster"
    gap = float(np.max(np.abs(by_feature.sum(axis=1) + base - margin), initial=0.0))
    if not gap <= ADDITIVITY_TOLERANCE:
        raise AdditivityError(
            f"Attributions must sum to the prediction within {ADDITIVITY_TOLERANCE:g}; got a gap "
            f"of {gap:.3g} on the {scale} scale. The model and its explanation "
            "disagree: report this with the model's name and the installed versions."
        )
    sources, values = by_source(fitted.encoder_, by_feature)
    return Contributions(
        sources,
        values,
        base,
        margin,
        scale,
        DIRECTIONS[scale],
        method,
    )


def drivers(values: npt.ArrayLike, k: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """The k columns that moved each patient's margin most.

    Parameters
    ----------
    values : array-like of float, shape (n_patients, n_sources)
        From :func:`contributions`.
    k : int
        At least 1; capped at n_sources.

    Returns
    -------
    order : ndarray of int, shape (n_patients, k)
        Positions of the sources, largest absolute share first; ties in column order.
    share : ndarray of float, shape (n_patients, k)
        Their signed shares; positive raises the margin.

    Examples
    --------
    >>> order, share = drivers([[0.1, -0.5, 0.2]], k=2)
    >>> order.tolist(), share.tolist()
    ([[1, 2]], [[-0.5, 0.2]])
    """
    array = np.asarray(values, dtype=np.float64)
    if k < 1:
        raise ValueError(f"k must be at least 1; got {k}.")
    order = np.argsort(-np.abs(array), axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(array, order, axis=1)


def _linear_shares(model: Any, features: Floats) -> tuple[Floats, float]:
    """Coefficient times distance from the training mean, and the mean's margin."""
    coef = np.asarray(model.coef_, dtype=np.float64)
    center = np.asarray(model.center_, dtype=np.float64)
    base = float(model.intercept_) + float(np.dot(center, coef))
    return coef * (features - center), base


def _tree_shares(model: Any, features: Floats) -> tuple[Floats, float]:
    """Tree Shapley values on the model's margin scale, and their base value."""
    booster = model.booster_
    try:
        shares = compile_paths(booster).contributions(features, getattr(model, "n_threads", 1))
    except UnsupportedTreesError:
        import xgboost

        # A fresh DMatrix: a booster answers a repeated one from its prediction cache.
        matrix = xgboost.DMatrix(features, feature_names=booster.feature_names)
        try:
            shares = np.asarray(booster.predict(matrix, pred_contribs=True), dtype=np.float64)
        except xgboost.core.XGBoostError:
            shares = np.full((1, 1), np.nan)
        if not np.isfinite(shares).all():
            raise BundleError(
                "The model's trees must be ones whose predictions can be split over columns; got "
                "nodes without training weight or with no finite value. The model is damaged: "
                "train it again."
            ) from None
    shares = shares * float(model.contribution_sign)
    return shares[:, :-1], float(shares[0, -1])
