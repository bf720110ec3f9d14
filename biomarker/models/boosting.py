"""How a booster is trained, cross-fitted and stored: shared by the boosted models.

Rows are first put in one canonical order, so that folds, subsamples and rounding depend on the
patients and the seed, never on the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from biomarker.errors import BundleError
from biomarker.models.booster_bytes import check_booster
from biomarker.models.protocol import (
    STATE_FORMAT,
    Attribution,
    FloatArray,
    check_features,
    check_fitted,
    open_blobs,
    open_state,
    state_integer,
    state_number,
    state_params,
    state_vector,
)

__all__ = ["FEWEST_FOLDS", "BoostedModel", "booster_margin", "canonical_order"]

# Fewest and most folds of the cross-fitting behind a calibration: five, unless a fold would then
# hold fewer than two events.
FEWEST_FOLDS, MOST_FOLDS = 3, 5
_FLOAT32_MAX = float(np.finfo(np.float32).max)

Gradients = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


def canonical_order(X: FloatArray, *keys: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Order of the rows by the first key, then the next, then the features: the same for any file.

    Rows that tie everywhere are the same patient as far as a model can see.
    """
    return np.lexsort((*X.T[::-1], *keys[::-1]))


def assign_folds(
    stratum: npt.NDArray[np.bool_], n_folds: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Fold of each row, as even as can be within each stratum."""
    fold = np.empty(len(stratum), dtype=np.intp)
    for value in (True, False):
        rows = np.flatnonzero(stratum == value)
        fold[rng.permutation(rows)] = np.arange(len(rows)) % n_folds
    return fold


class BoostedModel(BaseEstimator):
    """What the boosted models share: parameters, training, cross-fitting, margins and state."""

    attribution: ClassVar[Attribution] = "tree"
    contribution_sign: ClassVar[int] = 1
    _numbers: ClassVar[tuple[str, ...]] = ()
    _vectors: ClassVar[tuple[str, ...]] = ()
    _words: ClassVar[dict[str, tuple[str, ...]]] = {}

    def __init__(
        self,
        n_estimators: int = 100,
        learning_rate: float = 0.05,
        max_depth: int = 2,
        subsample: float = 0.8,
        min_child_weight: float = 2.0,
        reg_lambda: float = 1.0,
        random_state: int = 0,
        n_threads: int = 1,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.subsample = subsample
        self.min_child_weight = min_child_weight
        self.reg_lambda = reg_lambda
        self.random_state = random_state
        self.n_threads = n_threads

    def _check_parameters(self) -> None:
        """Refuse parameters outside their range by name, before any tree is grown."""
        integers = {"n_estimators": 1, "max_depth": 1, "random_state": 0, "n_threads": 1}
        for name, low in integers.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
                raise ValueError(f"{name} must be an integer of at least {low}; got {value!r}.")
        for name in ("learning_rate", "subsample"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} must be above 0 and at most 1; got {getattr(self, name)}."
                )
        for name in ("min_child_weight", "reg_lambda"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be at least 0; got {getattr(self, name)}.")

    def _train(
        self,
        X: FloatArray,
        seed: int,
        *,
        base_score: float,
        gradients: Gradients | None = None,
        **objective: Any,
    ) -> Any:
        """One booster on the given rows; ``objective`` holds labels, weights and parameters."""
        import xgboost

        data = {k: objective.pop(k) for k in tuple(objective) if k.startswith(("label", "weight"))}
        matrix = xgboost.DMatrix(_float32(X), nthread=self.n_threads, **data)
        settings = {
            "tree_method": "hist",
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "subsample": self.subsample,
            "min_child_weight": self.min_child_weight,
            "reg_lambda": self.reg_lambda,
            "nthread": self.n_threads,
            "seed": seed,
            "base_score": base_score,
            "verbosity": 0,
            **objective,
        }
        custom = None
        if gradients is not None:

            def custom(margin: Any, _: Any) -> tuple[FloatArray, FloatArray]:
                return gradients(margin.astype(np.float64))

        return xgboost.train(settings, matrix, num_boost_round=self.n_estimators, obj=custom)

    def _cross_fit(
        self,
        train: Callable[[npt.NDArray[np.intp], int], Any],
        X: FloatArray,
        stratum: npt.NDArray[np.bool_],
        n_rare: int,
    ) -> tuple[FloatArray, Any]:
        """Margins of every row from boosters that never saw it, and the booster of all rows.

        A margin is centred by the mean margin of the rows its booster was trained on, because a
        partial likelihood leaves each booster's level free.
        """
        self._check_parameters()
        sequence = np.random.SeedSequence(self.random_state)
        n_folds = min(MOST_FOLDS, max(FEWEST_FOLDS, n_rare // 2))
        fold_seed, *seeds = sequence.spawn(n_folds + 2)
        fold = assign_folds(stratum, n_folds, np.random.default_rng(fold_seed))
        numbers = [int(seed.generate_state(1)[0] >> 1) for seed in seeds]
        margin = np.empty(len(X))
        for k in range(n_folds):
            kept, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            booster = train(kept, numbers[k])
            margin[held] = self._level(booster, X[held], X[kept])
        return margin, train(np.arange(len(X)), numbers[-1])

    def _level(self, booster: Any, held: FloatArray, kept: FloatArray) -> FloatArray:
        """Margins of held-out rows as this model's calibration wants them."""
        return booster_margin(booster, held)

    def _raw_margin(self, X: npt.ArrayLike) -> FloatArray:
        """The booster's margin, to which its contributions sum."""
        check_fitted(self, "booster_")
        return booster_margin(self.booster_, check_features(X, self.n_features_in_))

    def predict_margin(self, X: npt.ArrayLike) -> FloatArray:
        """The number that attributions sum to, shape (n_patients,), on ``margin_scale``."""
        return self.contribution_sign * self._raw_margin(X)

    def to_state(self, horizons: npt.ArrayLike = ()) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Parameters and calibration as a JSON-able dictionary, the booster as UBJ bytes.

        The curve is kept on its own grid, so ``horizons`` changes nothing.
        """
        check_fitted(self, "booster_")
        state: dict[str, Any] = {
            "class": type(self).__name__,
            "format": STATE_FORMAT,
            "params": self.get_params(deep=False),
            "n_features": self.n_features_in_,
        }
        state |= {name: getattr(self, f"{name}_") for name in (*self._numbers, *self._words)}
        state |= {name: getattr(self, f"{name}_").tolist() for name in self._vectors}
        return state, {"booster.ubj": bytes(self.booster_.save_raw("ubj"))}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Any:
        """The model that ``to_state`` described.

        Raises
        ------
        BundleError
            If a key or blob is missing, unknown or holds the wrong kind of value.

        Notes
        -----
        XGBoost does not check the inside of a tree it reads: verify the bytes' hash before.
        """
        name = cls.__name__
        keys = ("params", "n_features", *cls._numbers, *cls._words, *cls._vectors)
        read = open_state(state, name, keys)
        raw = open_blobs(blobs, name, ("booster.ubj",))["booster.ubj"]
        model = cls(**state_params(read, cls))
        model.n_features_in_ = state_integer(read, "n_features")
        for key in cls._numbers:
            # A negative slope would turn the ranking round: no fit gives one.
            low = 0.0 if key == "calibration_slope" else -np.inf
            setattr(model, f"{key}_", state_number(read, key, low))
        for key in cls._vectors:
            setattr(model, f"{key}_", state_vector(read, key))
        for key, allowed in cls._words.items():
            if read[key] not in allowed:
                raise BundleError(f"{key} must be one of {allowed}; the bundle is damaged.")
            setattr(model, f"{key}_", read[key])
        model.booster_ = _load_booster(raw, model.n_features_in_)
        return model


def booster_margin(booster: Any, X: npt.NDArray[Any]) -> FloatArray:
    """Untransformed predictions of a booster, as float64; X in double or single precision."""
    margin = booster.inplace_predict(_float32(X), predict_type="margin", validate_features=False)
    return np.asarray(margin, dtype=np.float64).reshape(len(X))


def _float32(X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Features in the precision trees split on; refuse what would overflow to infinity."""
    if X.dtype == np.float32:
        return X
    too_large = int(np.count_nonzero(np.abs(X) > _FLOAT32_MAX))
    if too_large:
        raise ValueError(
            f"X must stay below {_FLOAT32_MAX:.2g} in size; got {too_large} larger value(s). "
            "Check the unit, or transform the feature."
        )
    return X.astype(np.float32)


def _load_booster(raw: bytes, n_features: int) -> Any:
    """A booster from its UBJ bytes, checked for its number of features, on one thread."""
    check_booster(raw, n_features)
    import xgboost

    booster = xgboost.Booster({"nthread": 1, "verbosity": 0})
    try:
        booster.load_model(bytearray(raw))
        found = booster.num_features()
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise BundleError(
            f"booster.ubj must be an XGBoost model; {len(raw)} bytes could not be read as one. "
            "The bundle is damaged."
        ) from error
    if found != n_features:
        raise BundleError(
            f"booster.ubj must have {n_features} feature(s); got {found}. The bundle is damaged."
        )
    return booster
