"""Settings by precedence: flag, then environment, then the study's TOML, then the default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from biomarker.errors import UsageError
from biomarker.study import TrainingSettings

__all__ = ["ENVIRONMENT_PREFIX", "resolve"]

ENVIRONMENT_PREFIX = "BIOMARKER_"


def resolve(
    flags: Mapping[str, Any],
    declared: TrainingSettings,
    environment: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Decide every training setting and say where each came from.

    Parameters
    ----------
    flags : mapping
        Setting to value; None means the flag was not given.
    declared : TrainingSettings
        The study's ``[training]`` table.
    environment : mapping, optional
        Defaults to the process environment; ``BIOMARKER_FOLDS`` sets ``folds``, and so on.

    Returns
    -------
    dict
        Setting to ``{"value": ..., "from": "flag" | "environment" | "study" | "default"}``.

    Raises
    ------
    UsageError
        If a value breaks the setting's rule; the message names where it came from.

    Examples
    --------
    >>> chosen = resolve({"folds": 4}, TrainingSettings(repeats=3), {"BIOMARKER_SEED": "7"})
    >>> [(chosen[k]["value"], chosen[k]["from"]) for k in ("folds", "seed", "repeats")]
    [(4, 'flag'), (7, 'environment'), (3, 'study')]
    """
    environment = os.environ if environment is None else environment
    resolved: dict[str, dict[str, Any]] = {}
    for name in TrainingSettings.model_fields:
        text = environment.get(ENVIRONMENT_PREFIX + name.upper())
        if flags.get(name) is not None:
            value, source = flags[name], "flag"
        elif text is not None:
            value, source = (text.split(",") if name == "models" else text), "environment"
        elif name in declared.model_fields_set:
            value, source = getattr(declared, name), "study"
        else:
            value, source = getattr(declared, name), "default"
        resolved[name] = {"value": _checked(name, value, source), "from": source}
    return resolved


def _checked(name: str, value: Any, source: str) -> Any:
    try:
        return getattr(TrainingSettings.model_validate({name: value}), name)
    except ValidationError as error:
        rule = error.errors(include_url=False)[0]["msg"]
        raise UsageError(f"{name} (from {source}) is not usable: {rule}; got {value!r}.") from None
