"""The drift report beside a file's scores: made from the counts of its chunks, written at the end.

``NAME.drift.json`` and ``NAME.drift.html`` stand beside the output NAME. They hold counts and
shares, no row and no id, and are the same bytes whichever engine scored the chunks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biomarker import __version__
from biomarker.features.support import Support, fit_support
from biomarker.metrics.drift import Drift, judge_drift
from pipelines.bundle import Bundle
from pipelines.row_scores import FAR
from pipelines.storage import write_text

if TYPE_CHECKING:
    from biomarker.cohort import Cohort
    from biomarker.models.pipeline import EncodedModel

__all__ = [
    "file_drift",
    "report_drift",
    "training_support",
]


def training_support(cohort: Cohort, endpoint: str, fitted: EncodedModel) -> Support:
    """What the rows a model was trained on looked like."""
    included = cohort.outcomes[endpoint].included
    parsed = [cohort.columns[column.name] for column in fitted.encoder_.columns]
    return fit_support(
        fitted.encoder_,
        np.column_stack([one.values[included] for one in parsed]),
        np.column_stack([one.states[included] for one in parsed]),
    )


def file_drift(bundle: Bundle, parts: Iterable[Mapping[str, Any]], n_rows: int) -> Drift | None:
    """Judge a file by the counts of its parts.

    Parameters
    ----------
    bundle : Bundle
    parts : iterable of mapping
        :attr:`ScoredRows.support` of each part, or its lists in the ledger.
    n_rows : int

    Returns
    -------
    Drift or None
        None where the bundle holds no support, or the file no row.
    """
    if bundle.support is None or n_rows == 0:
        return None
    total: dict[str, Any] = {}
    for part in parts:
        for name, tally in part.items():
            total[name] = total.get(name, 0) + np.asarray(tally, dtype=np.int64)
    far = total.pop(FAR, (0, 0, 0))
    return judge_drift(bundle.support, total, far, n_rows)


def report_drift(drift: Drift | None, bundle: Bundle, out: Path, source_name: str) -> Drift | None:
    """Write both files beside an output, each whole or not at all, and return what was given.

    Without drift to tell, reports of an output that this one replaced are removed: they describe
    rows that are gone.

    Raises
    ------
    StorageError
    """
    places = [out.with_name(f"{out.name}.drift.{kind}") for kind in ("json", "html")]
    if drift is None:
        for place in places:
            place.unlink(missing_ok=True)
        return None
    from pipelines.report.drift import render_drift

    write_text(places[0], json.dumps(record(drift, bundle, source_name), indent=1) + "\n")
    write_text(places[1], render_drift(drift, bundle, source_name))
    return drift


def record(drift: Drift, bundle: Bundle, source_name: str) -> dict[str, Any]:
    """The JSON report: verdicts, their numbers, and the counts they come from."""
    support = bundle.support
    assert support is not None
    told = drift.to_dict()
    counts = told.pop("counts")
    units = {column.name: column.plan.rule.unit for column in bundle.encoder.columns}
    return {
        "format": 1,
        "release": __version__,
        "source": source_name,
        "model": bundle.description["name"],
        "bundle": bundle.digest,
        **told,
        "interval": "Newcombe 95% of a change; Wilson 95% of a share; none of the index",
        "by_chance": "the size that 95% of files of this n without drift stay at or below",
        "thresholds": {name: list(pair) for name, pair in support.thresholds.items()},
        "columns": [
            {
                "name": column.name,
                "unit": units[column.name],
                "training_range": None if column.low is None else [column.low, column.high],
                "cells": list(column.cells),
                "training": list(column.counts),
                "file": counts[column.name],
            }
            for column in support.columns
            if column.name in counts
        ],
    }
