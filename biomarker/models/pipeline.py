"""A frozen encoder and a model as one estimator, so that nothing is learned outside the fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from biomarker.features.encoding import FrozenEncoder, fit_encoder
from biomarker.features.frozen_column import ColumnPlan
from biomarker.models.zoo import model_choice

__all__ = ["EncodedModel", "PipelineBuilder"]

Floats = npt.NDArray[np.float64]


class EncodedModel(BaseEstimator):
    """Encode parsed columns, then fit or predict.

    Parameters
    ----------
    plans : tuple of ColumnPlan
        What the study declares about each column of ``X``, in order.
    model : estimator
        Any model of the zoo; fitted on the encoded features.

    Attributes
    ----------
    encoder_ : FrozenEncoder
    columns_ : ndarray of int
        Positions in ``X`` of the encoder's columns (a column never known is left out).
    """

    def __init__(self, plans: tuple[ColumnPlan, ...], model: Any) -> None:
        self.plans = plans
        self.model = model

    def fit(self, X: Floats, y: Any, sample_weight: Any = None) -> EncodedModel:
        """Learn the encoder and the model from training rows.

        Parameters
        ----------
        X : ndarray of float64, shape (n_patients, n_columns)
            Parsed values, NaN where missing.
        y : ndarray, shape (n_patients,)
            Survival records or booleans.
        """
        self.encoder_ = fit_encoder(self.plans, X)
        self._locate()
        features = self.encode(X)
        if sample_weight is None:
            self.model.fit(features, y)
        else:
            self.model.fit(features, y, sample_weight=sample_weight)
        return self

    @classmethod
    def from_parts(cls, encoder: FrozenEncoder, model: Any) -> EncodedModel:
        """Join a stored encoder and a stored model; ``X`` then has the encoder's columns."""
        joined = cls(tuple(column.plan for column in encoder.columns), model)
        joined.encoder_ = encoder
        joined._locate()
        return joined

    def _locate(self) -> None:
        names = [plan.rule.column for plan in self.plans]
        self.columns_ = np.array([names.index(column.name) for column in self.encoder_.columns])

    def encode(self, X: Floats) -> Floats:
        """Features the model sees; shape (n_patients, n_features)."""
        return self.encoder_.transform(np.asarray(X, dtype=np.float64)[:, self.columns_])

    def predict_risk(self, X: Floats) -> Floats:
        """Risk of each patient, higher = worse; shape (n_patients,)."""
        return np.asarray(self.model.predict_risk(self.encode(X)))

    def predict_survival(self, X: Floats, times: npt.ArrayLike) -> Floats:
        """Survival probability at each time; shape (n_patients, n_times)."""
        return np.asarray(self.model.predict_survival(self.encode(X), times))

    def predict_response(self, X: Floats) -> Floats:
        """Probability of response; shape (n_patients,)."""
        return np.asarray(self.model.predict_response(self.encode(X)))


@dataclass(frozen=True)
class PipelineBuilder:
    """Builds unfitted pipelines of one zoo model; a plain object, so that processes can share it.

    Parameters
    ----------
    plans : tuple of ColumnPlan
    model : str
        Name in the zoo.
    """

    plans: tuple[ColumnPlan, ...]
    model: str

    def __call__(self, params: Mapping[str, Any], seed: int) -> EncodedModel:
        """A fresh pipeline with these parameters; ``seed`` feeds the model's random parts."""
        return EncodedModel(self.plans, model_choice(self.model).build(params, seed))
