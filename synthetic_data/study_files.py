"""The study that goes with a simulated cohort: design, roles, units, limits and endpoints."""

from __future__ import annotations

import copy
from typing import Any

from biomarker.errors import StudyError
from synthetic_data.facts import recipe

__all__ = ["COLUMNS", "study_for"]


def _number(
    role: str, label: str, unit: str, low: float, high: float, **more: Any
) -> dict[str, Any]:
    """A continuous column."""
    return {
        "role": role,
        "kind": "continuous",
        "label": label,
        "unit": unit,
        "range": [low, high],
        **more,
    }


def _levels(role: str, kind: str, label: str, *levels: str) -> dict[str, Any]:
    """An ordinal, categorical or genotype column."""
    return {"role": role, "kind": kind, "label": label, "levels": list(levels)}


_RISK = ("favourable", "intermediate", "poor")

# Every column a simulated cohort may hold; a design picks those its frame has.
COLUMNS: dict[str, dict[str, Any]] = {
    "caix": _number("marker", "Tumour CAIX, positive cells", "%", 0.0, 100.0, check_units=False),
    "vegf": _number("marker", "Serum VEGF", "pg/mL", 0.1, 50000.0, transform="log"),
    "fibronectin": _number("marker", "Plasma fibronectin, total", "mg/L", 10.0, 2000.0),
    "histology": _levels(
        "marker",
        "categorical",
        "Histology",
        "clear_cell",
        "papillary",
        "chromophobe",
        "unclassified",
    ),
    "upton_group": _levels(
        "marker",
        "ordinal",
        "Histology pattern group",
        "good",
        "intermediate",
        "poor",
        "non_clear",
    ),
    "ccr5": _levels(
        "marker", "genotype", "CCR5 genotype, copies of d32", "WT/WT", "WT/d32", "d32/d32"
    ),
    "age": _number("covariate", "Age", "years", 18.0, 110.0),
    "sex": _levels("covariate", "categorical", "Sex", "male", "female"),
    "ecog": _levels("covariate", "ordinal", "ECOG performance status", "0", "1", "2"),
    "mskcc": _levels("covariate", "ordinal", "MSKCC risk group", *_RISK),
    "imdc": _levels("covariate", "ordinal", "IMDC risk group", *_RISK),
    "grade": _levels("covariate", "ordinal", "Nuclear grade", "1", "2", "3", "4"),
    "stage": _levels("covariate", "ordinal", "Metastatic stage", "M1a", "M1b", "M1c"),
    "ldh": _number("covariate", "Lactate dehydrogenase", "U/L", 10.0, 20000.0, transform="log"),
    "platelets": _number("covariate", "Platelets", "10^9/L", 1.0, 3000.0),
    "era": _levels("covariate", "categorical", "Treatment era", "1990s", "2000s", "2010s"),
    "centre": {"role": "centre"},
    "plate": {"role": "batch"},
    "alveolar_percent": {"role": "ignore"},
    "granular_percent": {"role": "ignore"},
    "papillary_percent": {"role": "ignore"},
}

_OUTCOMES = {
    "os": {
        "type": "survival",
        "label": "Overall survival",
        "duration": "os_months",
        "event": "os_event",
        "event_values": ["1"],
        "censored_values": ["0"],
        "unit": "months",
    },
    "pfs": {
        "type": "survival",
        "label": "Progression-free survival",
        "duration": "pfs_months",
        "event": "pfs_event",
        "event_values": ["1"],
        "censored_values": ["0"],
        "unit": "months",
    },
    "response": {
        "type": "response",
        "label": "Objective response",
        "column": "response",
        "positive": ["CR", "PR"],
        "negative": ["SD", "PD"],
        "not_evaluable": ["NE"],
        "not_evaluable_rule": "non_response",
        "missing_rule": "exclude",
    },
}


def _open_columns(design: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Columns of an open design's frame, with the design's own limits and levels."""
    derived = {"pattern": "upton_group", "caix": "caix"}
    held = {derived.get(name, name) for name in design["margins"]}
    if "pattern" in design["margins"]:
        held |= {"alveolar_percent", "granular_percent", "papillary_percent"}
    if "diagnosis_months" in design["margins"]:
        held |= {"mskcc", "imdc"}
    held |= {"centre", "plate"}
    columns = {name: copy.deepcopy(spec) for name, spec in COLUMNS.items() if name in held}
    for name, spec in columns.items():
        limit = design["assay"].get(name, {}).get("lower_limit")
        if limit is not None:
            spec["detection"] = {"lower": limit}
        levels = design["margins"].get(name, {}).get("levels")
        if levels:
            spec["levels"] = list(levels)
    return columns


def _outcomes(present: list[str], horizons: list[float]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Endpoint columns and endpoints, the first of them primary."""
    columns: dict[str, Any] = {}
    endpoints: dict[str, Any] = {}
    for position, name in enumerate(present):
        entry: dict[str, Any] = copy.deepcopy(_OUTCOMES[name])
        needed = ["response"]
        if entry["type"] == "survival":
            needed = [f"{name}_months", f"{name}_event"]
            if horizons:
                entry["horizons"] = horizons
        columns |= {column: {"role": "endpoint"} for column in needed}
        endpoints[name] = entry | {"primary": position == 0}
    return columns, endpoints


def _published_columns(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Columns a published recipe's frame holds, with their roles there."""
    columns = {}
    for role in ("marker", "covariate"):
        for name in spec.get(f"{role}s", []):
            own = spec.get("columns", {}).get(name, {})
            columns[name] = copy.deepcopy(COLUMNS.get(name, {})) | own | {"role": role}
    for role in ("centre", "ignore"):
        columns |= {name: {"role": role} for name in spec.get(role, [])}
    return columns


def study_for(name: str) -> dict[str, Any]:
    """Study that goes with a cohort of this recipe, ready to be written as TOML.

    Parameters
    ----------
    name : str
        An open design, or a published recipe whose patients have an outcome.

    Returns
    -------
    dict
        Accepted by ``biomarker.Study.from_dict``. It declares the design (randomised or one
        treated arm), roles, units, detection limits, endpoints and horizons, and nothing of the
        truth.

    Raises
    ------
    StudyError
        If the recipe does not exist or holds no outcome (a reference distribution).

    Examples
    --------
    >>> study_for("select-like")["single_arm"]
    'treated'
    """
    known = recipe(name)
    design = known.design
    if known.kind == "open":
        columns = _open_columns(design)
        spec = {
            "endpoints": ["os", "pfs", "response"],
            "horizons": design["horizons_months"],
            "arms": design["arms"] if design["randomised"] else [],
            "randomised": design["randomised"],
            "single_arm": None if design["randomised"] else "treated",
        }
    elif "study" in design:
        spec = design["study"]
        columns = _published_columns(spec)
    else:
        raise StudyError(
            f"name must be a recipe whose patients have an outcome; {name!r} has none."
        )
    outcomes, endpoints = _outcomes(list(spec["endpoints"]), list(spec.get("horizons", [])))
    study: dict[str, Any] = {"format_version": 1, "name": name, "title": known.title}
    if spec.get("single_arm"):
        study["single_arm"] = spec["single_arm"]
    arms = list(spec.get("arms", []))
    arm = {
        "role": "arm",
        "levels": arms,
        "control": arms[:1],
        "randomised": bool(spec.get("randomised", False)),
    }
    study["columns"] = {"patient_id": {"role": "id"}} | ({"arm": arm} if arms else {})
    study["columns"] |= columns | outcomes
    study["endpoints"] = endpoints
    return study
