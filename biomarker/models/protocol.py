"""What every model agrees to: the methods it offers, the scale it speaks on, the state it leaves.

A survival model orders patients (``predict_risk``, higher = worse) and draws their survival curves;
a response model gives the probability of response. Both speak on one named margin scale, which
is also the scale on which they are explained. The checks at the end of this file are the ones
all models share, so that each refuses the same thing in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from biomarker.errors import BundleError, NotEstimableError, SchemaError

__all__ = [
    "STATE_FORMAT",
    "Attribution",
    "FloatArray",
    "MarginScale",
    "ResponseModel",
    "SurvivalModel",
    "check_features",
    "check_fitted",
    "check_response",
    "check_rows",
    "check_times",
    "check_weights",
    "linear_margin",
    "open_blobs",
    "open_state",
    "state_integer",
    "state_number",
    "state_params",
    "state_vector",
]

FloatArray = npt.NDArray[np.float64]
MarginScale = Literal["log hazard", "log time, sign reversed", "log odds"]
Attribution = Literal["linear", "tree"]

STATE_FORMAT = 1


@runtime_checkable
class SurvivalModel(Protocol):
    """A scikit-learn estimator that ranks patients by risk and draws their survival curves.

    ``X`` is a finite float64 matrix of shape (n_patients, n_features); ``y`` is the structured
    array of :func:`biomarker.outcomes.survival_outcome`. Durations and ``times`` share one unit,
    whichever it is.

    Linear models (``attribution == "linear"``) also hold ``coef_``, ``intercept_`` and ``center_``
    (the training mean of every feature), and ``predict_margin(X) = intercept_ + X @ coef_``.
    Tree models (``attribution == "tree"``) hold ``booster_`` and the class attribute
    ``contribution_sign``: ``predict_margin(X)`` is that sign times the sum of the booster's
    contributions, bias included.
    """

    margin_scale: ClassVar[MarginScale]
    attribution: ClassVar[Attribution]

    def fit(self, X: npt.ArrayLike, y: Any, sample_weight: npt.ArrayLike | None = None) -> Any:
        """Learn from patients; return the estimator itself."""

    def predict_risk(self, X: npt.ArrayLike) -> FloatArray:
        """Risk of each patient on ``margin_scale``, shape (n_patients,); higher = worse."""

    def predict_margin(self, X: npt.ArrayLike) -> FloatArray:
        """The number that attributions sum to, shape (n_patients,), on ``margin_scale``."""

    def predict_survival(self, X: npt.ArrayLike, times: npt.ArrayLike) -> FloatArray:
        """Probability of no event up to each time, shape (n_patients, n_times), in [0, 1]."""

    def to_state(self, horizons: npt.ArrayLike = ()) -> tuple[dict[str, Any], dict[str, bytes]]:
        """What was learned, as a JSON-able dictionary and named bytes; never patient rows.

        ``horizons`` are times at which a model that stores its curve on a grid must be exact.
        """

    @classmethod
    def from_state(cls, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Any:
        """The model that :meth:`to_state` described, predicting the same numbers to the bit."""


@runtime_checkable
class ResponseModel(Protocol):
    """A scikit-learn estimator that gives the probability of response.

    ``y`` holds booleans, shape (n_patients,), True = response. The margin is in log odds of
    response: unlike a risk, higher = better. The rest is as for :class:`SurvivalModel`.
    """

    margin_scale: ClassVar[MarginScale]
    attribution: ClassVar[Attribution]

    def fit(self, X: npt.ArrayLike, y: Any, sample_weight: npt.ArrayLike | None = None) -> Any:
        """Learn from patients; return the estimator itself."""

    def predict_margin(self, X: npt.ArrayLike) -> FloatArray:
        """Log odds of response before any calibration, shape (n_patients,)."""

    def predict_response(self, X: npt.ArrayLike) -> FloatArray:
        """Probability of response, shape (n_patients,), in [0, 1]."""

    def to_state(self, horizons: npt.ArrayLike = ()) -> tuple[dict[str, Any], dict[str, bytes]]:
        """What was learned, as a JSON-able dictionary and named bytes; never patient rows.

        ``horizons`` are times at which a model that stores its curve on a grid must be exact.
        """

    @classmethod
    def from_state(cls, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Any:
        """The model that :meth:`to_state` described, predicting the same numbers to the bit."""


# --- what goes in -----------------------------------------------------------------------------


def check_features(X: npt.ArrayLike, n_features: int | None = None) -> FloatArray:
    """Pass a finite feature matrix through as contiguous float64; say what is wrong otherwise."""
    array = np.ascontiguousarray(X, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"X must be a matrix with at least one column; got shape {array.shape}. "
            "Give one row per patient and one column per feature."
        )
    if n_features is not None and array.shape[1] != n_features:
        raise SchemaError(
            f"X must have the {n_features} column(s) the model was fitted on; got "
            f"{array.shape[1]}. Encode the patients with the encoder frozen beside the model."
        )
    if not np.isfinite(array).all():
        bad = ~np.isfinite(array)
        raise ValueError(
            f"X must be finite; got {int(bad.sum())} missing or infinite value(s) in "
            f"{int(bad.any(axis=0).sum())} of {array.shape[1]} column(s). "
            "Fill missing values with the frozen encoder first."
        )
    return array


def check_weights(sample_weight: npt.ArrayLike | None, n_patients: int) -> FloatArray:
    """Case weights of shape (n_patients,), ones when none are given."""
    if sample_weight is None:
        return np.ones(n_patients)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (n_patients,):
        raise ValueError(
            f"sample_weight must have shape ({n_patients},); got {weight.shape}. "
            "Give one weight per patient."
        )
    bad = int(np.count_nonzero(~(np.isfinite(weight) & (weight >= 0))))
    if bad or not weight.any():
        raise ValueError(
            f"sample_weight must be finite, at least 0 and not all 0; got {bad} other value(s) "
            f"among {n_patients}."
        )
    return weight


def check_rows(n_patients: int, n_outcomes: int) -> None:
    """Refuse features and outcomes of different length."""
    if n_patients != n_outcomes:
        raise ValueError(
            f"X and y must have equally many rows; got {n_patients} and {n_outcomes}. "
            "Join them on the patient identifier first."
        )


def check_response(y: Any) -> npt.NDArray[np.bool_]:
    """Pass booleans (or exact 0/1) through; refuse a response that has one class only."""
    array = np.asarray(y)
    if array.ndim != 1 or array.dtype.names is not None:
        raise ValueError(
            f"y must be one-dimensional booleans, True = response; got shape {array.shape} and "
            f"dtype {array.dtype}."
        )
    if array.dtype != np.bool_:
        if not np.isin(array, (0, 1)).all():
            raise ValueError(
                "y must hold booleans or 0/1 only; got other values. "
                "Declare which levels count as response in the study."
            )
        array = array.astype(np.bool_)
    if array.all() or not array.any():
        raise NotEstimableError(
            f"y must hold both responders and non-responders; got {int(array.sum())} "
            f"responder(s) among {len(array)}. A response model cannot be estimated here."
        )
    return array


def check_times(times: npt.ArrayLike) -> FloatArray:
    """Horizons as a one-dimensional float64 array, finite and at least 0."""
    array = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if array.ndim != 1 or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(
            f"times must be one-dimensional, finite and at least 0; got shape {array.shape}. "
            "Give horizons in the unit of the durations the model was fitted on."
        )
    return array


def check_fitted(model: Any, attribute: str) -> None:
    """Refuse to predict before ``fit`` or ``from_state``."""
    if not hasattr(model, attribute):
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(
            f"{type(model).__name__} must be fitted before it predicts; got an unfitted one. "
            "Call fit(X, y) or from_state(state, blobs) first."
        )


def linear_margin(X: FloatArray, coef: FloatArray, intercept: float) -> FloatArray:
    """``intercept + X @ coef``, each row's sum independent of the rows around it.

    A BLAS product may change a row's last bit with the number of rows in the call; a score must
    not depend on the batch a patient arrives in, nor on the matrix's memory order.
    """
    return np.einsum("ij,j->i", np.ascontiguousarray(X), coef) + intercept


# --- what is stored ---------------------------------------------------------------------------


def open_state(state: Any, model: str, keys: Iterable[str]) -> dict[str, Any]:
    """Check that a state is of this model and format and holds exactly the keys expected."""
    if not isinstance(state, Mapping):
        raise BundleError(f"model state must be a mapping; got {type(state).__name__}.")
    if state.get("class") != model or state.get("format") != STATE_FORMAT:
        raise BundleError(
            f"model state must be of class {model} and format {STATE_FORMAT}; got class "
            f"{state.get('class')!r} and format {state.get('format')!r}. "
            "Read it with the version that wrote it."
        )
    expected = {"class", "format", *keys}
    if set(state) != expected:
        missing, unknown = sorted(expected - set(state)), sorted(map(str, set(state) - expected))
        raise BundleError(
            f"{model} state must hold exactly its own keys; got missing {missing} and unknown "
            f"{unknown}. The bundle is damaged or of another version."
        )
    return dict(state)


def open_blobs(blobs: Any, model: str, names: Iterable[str]) -> dict[str, bytes]:
    """Check that exactly the named byte blobs are there."""
    expected = set(names)
    if not isinstance(blobs, Mapping) or set(blobs) != expected:
        raise BundleError(
            f"{model} must come with exactly the blobs {sorted(expected)}; got "
            f"{sorted(map(str, blobs)) if isinstance(blobs, Mapping) else type(blobs).__name__}."
        )
    return {name: bytes(blob) for name, blob in blobs.items()}


def state_number(state: Mapping[str, Any], key: str, low: float = -np.inf) -> float:
    """One finite number of a state, at least ``low``."""
    value = state[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BundleError(f"{key} must be a number; got {type(value).__name__}.")
    if not np.isfinite(value) or value < low:
        raise BundleError(f"{key} must be finite and at least {low}; got {value}.")
    return float(value)


def state_integer(state: Mapping[str, Any], key: str, low: int = 1) -> int:
    """One integer of a state, at least ``low``."""
    value = state[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise BundleError(f"{key} must be an integer of at least {low}; got {value!r}.")
    return value


def state_vector(state: Mapping[str, Any], key: str, length: int | None = None) -> FloatArray:
    """One list of finite numbers of a state, of the given length."""
    value = state[key]
    if not isinstance(value, list) or any(
        isinstance(item, bool) or not isinstance(item, (int, float)) for item in value
    ):
        raise BundleError(f"{key} must be a list of numbers; got {type(value).__name__}.")
    vector = np.array(value, dtype=np.float64)
    if not np.isfinite(vector).all() or (length is not None and len(vector) != length):
        raise BundleError(
            f"{key} must hold {'finite' if length is None else f'{length} finite'} number(s); "
            f"got {len(vector)}, {int(np.count_nonzero(~np.isfinite(vector)))} not finite."
        )
    return vector


def state_params(state: Mapping[str, Any], model: type[Any]) -> dict[str, Any]:
    """The constructor arguments of a state: exactly the model's own, and plain values."""
    params = state["params"]
    names = set(model._get_param_names())
    if not isinstance(params, Mapping) or set(params) != names:
        raise BundleError(f"params must name exactly {sorted(names)}. The bundle is damaged.")
    if any(
        value is not None and not isinstance(value, (bool, int, float, str))
        for value in params.values()
    ):
        raise BundleError("params must hold plain numbers and words. The bundle is damaged.")
    return dict(params)
