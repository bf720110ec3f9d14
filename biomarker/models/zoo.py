"""The names users choose models by, what each is tuned over, and how a stored one is read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from biomarker.errors import BundleError

__all__ = ["ModelChoice", "ModelKind", "default_zoo", "model_choice", "model_from_state"]

ModelKind = Literal["survival", "response"]

# The only classes a stored model can name: a state's text never decides what is imported.
_CLASSES = {
    "CoxRegression": "biomarker.models.cox",
    "WeibullAFT": "biomarker.models.parametric",
    "BoostedCox": "biomarker.models.boosted",
    "BoostedAFT": "biomarker.models.boosted",
    "LogisticResponse": "biomarker.models.response",
    "BoostedResponse": "biomarker.models.response",
}


@dataclass(frozen=True)
class ModelChoice:
    """One model of the zoo.

    Attributes
    ----------
    name : str
        What a user types.
    kind : {"survival", "response"}
        The endpoints it is for.
    description : str
        One line for a reader who chooses.
    build : callable of (params, seed)
        A fresh estimator with these parameters of the grid; ``seed`` feeds its random parts and
        is ignored by models that have none.
    grid : tuple of dict
        Parameters that tuning compares, simplest model first.
    """

    name: str
    kind: ModelKind
    description: str
    build: Callable[[Mapping[str, Any], int], Any]
    grid: tuple[dict[str, Any], ...]


def _builder(
    class_name: str, *, seeded: bool, **fixed: Any
) -> Callable[[Mapping[str, Any], int], Any]:
    """A function that builds the named class, loading its module only then."""

    def build(params: Mapping[str, Any], seed: int) -> Any:
        settings = {**fixed, **params}
        if seeded:
            settings["random_state"] = seed
        return _class(class_name)(**settings)

    return build


def _class(class_name: str) -> type[Any]:
    """A model class from the fixed list."""
    found: type[Any] = getattr(import_module(_CLASSES[class_name]), class_name)
    return found


# Ridge penalties act on standardised features and the total log-likelihood, where a feature's
# information is about the number of events: 0.3 leaves 20 events nearly alone, 300 all but silences
# them and still leaves 3,000 events nine tenths of their say.
_RIDGE = (300.0, 100.0, 30.0, 10.0, 3.0, 0.3)

# Shallow and slow: with few events stumps win, and depth 3 needs hundreds.
_TREES: tuple[dict[str, Any], ...] = (
    {"max_depth": 1, "n_estimators": 80, "learning_rate": 0.05},
    {"max_depth": 2, "n_estimators": 80, "learning_rate": 0.05},
    {"max_depth": 3, "n_estimators": 120, "learning_rate": 0.05},
)

_ZOO = (
    ModelChoice(
        "cox",
        "survival",
        "Cox proportional hazards with a ridge penalty: the interpretable default",
        _builder("CoxRegression", seeded=False, ties="efron", standardise=True),
        tuple({"penalty": penalty} for penalty in _RIDGE),
    ),
    ModelChoice(
        "weibull_aft",
        "survival",
        "Weibull accelerated failure time: smooth curves from few events",
        _builder("WeibullAFT", seeded=False),
        tuple({"penalty": penalty} for penalty in (100.0, 10.0, 0.3)),
    ),
    ModelChoice(
        "boosted_cox",
        "survival",
        "Boosted trees on the partial likelihood: non-linear effects and interactions",
        _builder("BoostedCox", seeded=True),
        _TREES,
    ),
    ModelChoice(
        "boosted_aft",
        "survival",
        "Boosted trees on log time: non-linear effects where hazards are not proportional",
        _builder("BoostedAFT", seeded=True),
        _TREES,
    ),
    ModelChoice(
        "logistic",
        "response",
        "Logistic regression with a ridge penalty: the interpretable default",
        _builder("LogisticResponse", seeded=False),
        tuple({"penalty": penalty} for penalty in _RIDGE),
    ),
    ModelChoice(
        "boosted_response",
        "response",
        "Boosted trees for the probability of response, calibrated",
        _builder("BoostedResponse", seeded=True),
        _TREES,
    ),
)


def model_choice(name: str) -> ModelChoice:
    """The model of this name.

    Raises
    ------
    ValueError
        If the zoo has no such name.

    Examples
    --------
    >>> model_choice("boosted_cox").build({"max_depth": 1}, seed=7).random_state
    7
    """
    for choice in _ZOO:
        if choice.name == name:
            return choice
    names = ", ".join(choice.name for choice in _ZOO)
    raise ValueError(f"model must be one of {names}; got {name!r}. Choose a name from that list.")


def default_zoo(kind: ModelKind) -> tuple[ModelChoice, ...]:
    """Every model for this kind of endpoint, the plainest first.

    Examples
    --------
    >>> [choice.name for choice in default_zoo("response")]
    ['logistic', 'boosted_response']
    """
    if kind not in ("survival", "response"):
        raise ValueError(f"kind must be 'survival' or 'response'; got {kind!r}.")
    return tuple(choice for choice in _ZOO if choice.kind == kind)


def model_from_state(state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Any:
    """The fitted model that a ``to_state`` of any class of the zoo described.

    Parameters
    ----------
    state : mapping
        The JSON-able part; its ``"class"`` must be a class of the zoo.
    blobs : mapping of str to bytes
        The binary part, hashes already verified.

    Raises
    ------
    BundleError
        If the class is not of the zoo, or its state is damaged.
    """
    name = state.get("class") if isinstance(state, Mapping) else None
    if not isinstance(name, str) or name not in _CLASSES:
        raise BundleError(
            f"class must be one of {sorted(_CLASSES)}; got {name!r}. "
            "The bundle is damaged or of another version."
        )
    return _class(name).from_state(state, blobs)
