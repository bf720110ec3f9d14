"""A stored run read back whole: what it logged of its data, settings, models and verdicts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from biomarker.errors import TrackingError
from pipelines.tracking_store import open_store, store_faults

__all__ = ["StoredModel", "StoredRun", "load_run", "stored_report"]

_OF_RUN = (
    *("cohort.json", "study.json", "settings.json", "software.json", "evidence.json"),
    "tables/performance.json",
)
_OF_MODEL = ("tables/importance.json", "tables/stability.json", "resampling.json")


@dataclass(frozen=True)
class StoredModel:
    """One model of a stored run.

    Attributes
    ----------
    params : mapping of str to str
    files : mapping of str to Any
        Parsed JSON artifacts by path; what was not stored is absent.
    """

    endpoint: str
    name: str
    params: Mapping[str, str]
    files: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class StoredRun:
    """One finished training or evidence run as the store holds it.

    Attributes
    ----------
    started : str
        In UTC.
    files : mapping of str to Any
        Parsed JSON artifacts by path; what was not stored is absent.
    """

    run_id: str
    name: str
    study: str
    kind: str
    started: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    files: Mapping[str, Any] = field(repr=False)
    models: tuple[StoredModel, ...] = ()


def stored_report(run: str, store: str | Path | None = None) -> str:
    """The HTML report of a run, by run id or by study name (its latest run).

    Parameters
    ----------
    run : str
        As :func:`load_run` takes it.
    store : path or URI, optional

    Raises
    ------
    TrackingError
        If there is no such run or it has no report.
    """
    client = open_store(store)
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    with store_faults():
        run_id = _find(client, run)
        try:
            return str(mlflow.artifacts.load_text(f"runs:/{run_id}/report.html"))
        except (MlflowException, OSError):
            raise TrackingError(
                f"The tracking store must hold a finished run '{run}' with a report; it does not. "
                f"{_listed(client)}"
            ) from None


def _find(client: Any, run: str) -> str:
    """Run id; a model's own run stands for the run it is part of."""
    from mlflow.exceptions import MlflowException

    named = re.fullmatch(r"(.+?)(?:~(\d{1,4}))?", run)
    if named is not None:
        experiment = client.get_experiment_by_name(named[1])
        if experiment is not None:
            back = int(named[2] or 0)
            found = _finished(client, experiment.experiment_id, back + 1)
            if len(found) > back:
                return str(found[back].info.run_id)
            raise TrackingError(
                f"Study '{named[1]}' must have {back + 1} finished training run(s) for '{run}'; "
                f"the store holds {len(found)}."
            )
    try:
        found_run = client.get_run(run)
    except MlflowException:
        raise TrackingError(
            f"The tracking store must hold a finished run '{run}'; it does not. {_listed(client)}"
        ) from None
    parent = found_run.data.tags.get("mlflow.parentRunId")
    return str(parent or found_run.info.run_id)


def _finished(client: Any, experiment_id: str, most: int) -> list[Any]:
    """Finished training runs of a study, the latest first."""
    return list(
        client.search_runs(
            [experiment_id],
            filter_string="tags.`biomarker.kind` = 'study' and attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
            max_results=most,
        )
    )


def _listed(client: Any) -> str:
    """The latest runs of every study, for a person who mistyped one."""
    lines = []
    for experiment in client.search_experiments(max_results=20):
        for run in _finished(client, experiment.experiment_id, 3):
            lines.append(f"{run.info.run_id} ({run.info.run_name})")
    if not lines:
        return "It holds no training run; check --store, or train first."
    return f"Name a study, or one of: {', '.join(lines[:9])}."


def load_run(run: str, store: str | Path | None = None) -> StoredRun:
    """Read what a finished run stored.

    Parameters
    ----------
    run : str
        A run id, a study's name for its latest run, or ``NAME~1`` for the one before it. A model's
        own run stands for the run it is part of.
    store : path or URI, optional

    Raises
    ------
    TrackingError
        If there is no such run, it is not finished, or it is none of this project's.
    """
    client = open_store(store)
    with store_faults():
        run_id = _find(client, run)
        found = client.get_run(run_id)
        kind = found.data.tags.get("biomarker.kind", "")
        if kind not in ("study", "evidence") or found.info.status != "FINISHED":
            raise TrackingError(
                f"Run '{run}' must be a finished training or evidence run; it is "
                f"{found.info.status.lower()}, of kind '{kind or 'unknown'}'. {_listed(client)}"
            )
        children = client.search_runs(
            [found.info.experiment_id],
            filter_string=f"tags.`mlflow.parentRunId` = '{run_id}'",
            order_by=["attributes.start_time ASC"],
        )
        models = tuple(
            StoredModel(
                child.data.params["endpoint"],
                child.data.params["model"],
                dict(child.data.params),
                _files(client, child.info.run_id, _OF_MODEL),
            )
            for child in children
            if child.data.tags.get("biomarker.kind") == "model"
        )
        return StoredRun(
            run_id=run_id,
            name=str(found.info.run_name),
            study=found.data.tags.get("biomarker.study", ""),
            kind=kind,
            started=datetime.fromtimestamp(found.info.start_time / 1000, UTC).strftime(
                "%Y-%m-%d %H:%M UTC"
            ),
            tags=dict(found.data.tags),
            params=dict(found.data.params),
            files=_files(client, run_id, _OF_RUN),
            models=models,
        )


def _files(client: Any, run_id: str, wanted: tuple[str, ...]) -> dict[str, Any]:
    """Parsed JSON artifacts of a run that are there."""
    import mlflow.artifacts

    there = {item.path for item in client.list_artifacts(run_id)}
    if "tables" in there:
        there |= {item.path for item in client.list_artifacts(run_id, "tables")}
    return {
        name: json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{name}"))
        for name in wanted
        if name in there
    }
