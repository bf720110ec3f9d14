"""A run's results as JSON artefacts under their hash, and numbers quoted from them by place."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.limits import beats_chance
from pipelines.pack.derived import derived_numbers
from pipelines.results import StudyRun, performance_table, settings_table

__all__ = ["Artefact", "artefacts", "resolve"]


@dataclass(frozen=True)
class Artefact:
    """One JSON document of a run.

    Attributes
    ----------
    name : str
        File name.
    data : JSON value
    text : str
        As written, and as hashed.
    sha256 : str
        Hex digest of the text's bytes.
    """

    name: str
    data: Any
    text: str
    sha256: str


def _artefact(name: str, data: Any) -> Artefact:
    plain = _finite(data)
    text = json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n"
    # Read back, so that tuples, keys and numbers are what a reader of the file will find.
    return Artefact(name, json.loads(text), text, hashlib.sha256(text.encode()).hexdigest())


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    if hasattr(data, "item") and not isinstance(data, (str, bytes)):
        data = data.item()
    return None if isinstance(data, float) and not math.isfinite(data) else data


def artefacts(run: StudyRun, bundles: Mapping[str, str] | None = None) -> dict[str, Artefact]:
    """Every result of a run that prose may quote, by file name; no patient's values among them.

    Parameters
    ----------
    run : StudyRun
    bundles : mapping of str to str, optional
        ``endpoint-model`` to the digest of its bundle.
    """
    found = {
        "cohort.json": run.summary.to_dict(),
        "study.json": run.cohort.study.to_dict(),
        "settings.json": settings_table(run),
        "software.json": dict(run.software),
        "limits.json": list(run.limits),
        "models.json": _models(run, bundles or {}),
        "derived.json": derived_numbers(run),
        "explanations.json": {name: told.to_dict() for name, told in run.readings.items()},
    }
    if run.evidence is not None:
        found["evidence.json"] = run.evidence.to_dict()
        if run.evidence.result is not None:
            found["ledger.json"] = _ledger(run)
    return {name: _artefact(name, data) for name, data in found.items()}


def _models(run: StudyRun, bundles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every model on every endpoint: what it is, how it did, what of its attribution is shown."""
    return [
        {
            "endpoint": model.endpoint,
            "model": model.name,
            "kind": model.kind,
            "kept": run.best[model.endpoint] == model.name,
            "registered_name": f"{run.summary.study}-{model.endpoint}",
            "alias": model.name.replace("_", "-"),
            "params": dict(model.params),
            "n_patients": model.nested.n_patients,
            "n_features": len(model.fitted.encoder_.feature_names),
            "features": list(model.fitted.encoder_.feature_names),
            "n_fits": model.nested.n_fits,
            "n_failed_fits": model.nested.n_failed,
            "performance": performance_table(model.nested),
            "attribution": model.attribution.to_dict()
            if beats_chance(model)
            else {
                "withheld": "out of fold the interval reaches what chance gives",
                "scale": model.attribution.scale,
                "direction": model.attribution.direction,
            },
            "bundle_sha256": bundles.get(f"{model.endpoint}-{model.name}", ""),
        }
        for model in run.models
    ]


def _ledger(run: StudyRun) -> list[dict[str, Any]]:
    """Every test and hypothesis of this dataset; specifications as their key."""
    assert run.evidence is not None
    assert run.evidence.result is not None
    result = run.evidence.result
    return [
        {key: value for key, value in asdict(row).items() if key != "specification"}
        | {"key": row.key}
        for row in result.ledger
        if row.dataset == result.dataset
    ]


def resolve(data: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901).

    Raises
    ------
    KeyError
        If nothing stands there.

    Examples
    --------
    >>> resolve({"a/b": [10, {"c": 3}]}, "/a~1b/1/c")
    3
    """
    here = data
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        try:
            here = here[int(name)] if isinstance(here, list) else here[name]
        except (LookupError, TypeError, ValueError):
            raise KeyError(pointer) from None
    return here
