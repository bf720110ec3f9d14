"""What a run keeps of its resampling, so that a later run can be compared with it: no patient row.

Kept per model are sums over parts of ten patients or more, metrics per repeat and per part left
out of training, and two fingerprints: of the patients with their outcomes, and of the splits. Two
runs with equal fingerprints may be paired; others are compared as two independent samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.errors import NotEstimableError
from biomarker.validation.differences import (
    Change,
    MetricNoise,
    metric_change,
    metric_noise,
    patient_parts,
)
from pipelines.results import ModelRun

__all__ = ["NOISE_FILE", "noise_record", "read_noise", "stored_change"]

NOISE_FILE = "resampling.json"

_FORMAT = 1
_NUMBERS = ("by_patients", "by_repeat", "by_training")
Key = tuple[str, float | None]


def noise_record(cohort: Cohort, model: ModelRun) -> dict[str, Any]:
    """The artifact of one model.

    Parameters
    ----------
    cohort : Cohort
        The patients the model was judged on.
    model : ModelRun

    Returns
    -------
    dict
        JSON-able; a metric without value or interval is absent.
    """
    outcome = cohort.outcomes[model.endpoint]
    ids = [str(name) for name in cohort.ids[outcome.included]]
    parts = patient_parts(ids)
    folds = model.nested.folds
    share = float(np.mean([len(train) for repeat in folds for train, _ in repeat])) / len(ids)
    kept = []
    for estimate in model.nested.performance:
        noise = metric_noise(estimate, parts, share)
        if noise is not None:
            kept.append(
                {
                    "metric": estimate.metric,
                    "horizon": estimate.horizon,
                    "value": noise.value,
                    "low": noise.low,
                    "high": noise.high,
                    **{name: list(getattr(noise, name)) for name in _NUMBERS},
                }
            )
    # The same patients in another order are the same patients.
    order = sorted(range(len(ids)), key=lambda row: (ids[row], row))
    return {
        "format": _FORMAT,
        "patients": _fingerprint([[ids[row] for row in order], _bytes(outcome.y[order])]),
        "splits": _fingerprint([[sorted(ids[row] for row in t) for _, t in f] for f in folds]),
        "n_parts": int(parts.max()) + 1 if len(parts) else 0,
        "n_train_share": share,
        "metrics": kept,
    }


def _bytes(y: npt.NDArray[Any]) -> str:
    """Outcomes as text, field by field: a structured array's padding is not defined."""
    names = y.dtype.names
    columns = [y] if names is None else [y[name] for name in names]
    return "".join(np.ascontiguousarray(column).tobytes().hex() for column in columns)


def _fingerprint(value: Any) -> str:
    """SHA-256 (hex) of nested lists of text."""
    import json

    return hashlib.sha256(json.dumps(value, ensure_ascii=True).encode()).hexdigest()


def read_noise(record: Mapping[str, Any] | None) -> dict[Key, MetricNoise]:
    """Metrics of a stored artifact by name and horizon; empty for what this release cannot read."""
    if record is None or record.get("format") != _FORMAT:
        return {}
    return {
        (row["metric"], row["horizon"]): MetricNoise(
            row["value"],
            row["low"],
            row["high"],
            n_train_share=record["n_train_share"],
            **{name: tuple(row[name]) for name in _NUMBERS},
        )
        for row in record["metrics"]
    }


def stored_change(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    records: Sequence[Mapping[str, Any] | None],
) -> Change:
    """How one metric moved from run A to run B: paired where the artifacts allow it.

    Parameters
    ----------
    a, b : mapping
        Rows of the two performance tables: ``metric``, ``horizon``, ``value``, ``low``, ``high``.
    records : sequence of two mappings or None
        The two runs' artifacts; a run of an earlier release has none.

    Raises
    ------
    NotEstimableError
        If a run has no value or no interval.
    """
    for row in (a, b):
        if row["value"] is None or row["low"] is None or row["high"] is None:
            raise NotEstimableError(
                f"{row['metric']} must have an interval in both runs; one has none."
            )
    mine, other = (
        read_noise(record).get((row["metric"], row["horizon"]))
        or MetricNoise(row["value"], row["low"], row["high"])
        for record, row in zip(records, (a, b), strict=True)
    )
    first, second = (record or {} for record in records)
    same = {
        name: first.get(name) is not None and first.get(name) == second.get(name)
        for name in ("patients", "splits")
    }
    return metric_change(mine, other, same["patients"], same["splits"])
