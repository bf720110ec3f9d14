"""Runs, models and aliases in MLflow: a parent run a study, a child a model, bundles registered."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biomarker import __version__
from biomarker.errors import TrackingError
from pipelines.tracking_served import write_served_model
from pipelines.tracking_store import artifact_location, open_store

__all__ = [
    "StudyTracker",
    "promote",
    "registered_bundle",
    "serve_ui",
]


class StudyTracker:
    """Logs one training run of a study.

    Parameters
    ----------
    study : str
        Name of the study: the experiment's name and the prefix of registered models.
    store : path or URI, optional
        See :func:`pipelines.tracking_store.store_uri`.
    """

    def __init__(self, study: str, store: str | Path | None = None) -> None:
        self.client = open_store(store)
        self.study = study
        self.experiment_id = self._experiment(store)
        self.run_id: str | None = None

    def _experiment(self, store: str | Path | None) -> str:
        """The study's experiment, made by whichever process comes first."""
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(self.study)
        if found is None:
            try:
                return str(
                    self.client.create_experiment(
                        self.study,
                        artifact_location=artifact_location(store, self.study),
                        # MLflow's word for training models, as against work on language models.
                        tags={"mlflow.experimentKind": "custom_model_development"},
                    )
                )
            except MlflowException:
                found = self.client.get_experiment_by_name(self.study)
        if found is None or found.lifecycle_stage != "active":
            raise TrackingError(
                f"The experiment '{self.study}' must be active in the store; it was deleted. "
                "Restore it in MLflow, or rename the study."
            )
        return str(found.experiment_id)

    def start(self, name: str, tags: Mapping[str, str], params: Mapping[str, Any]) -> str:
        """Open the parent run and return its id."""
        self.run_id = self._new_run(name, tags, params)
        return self.run_id

    def _new_run(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        parent: str | None = None,
    ) -> str:
        from mlflow.entities import Param, RunTag

        every = {"biomarker.release": __version__, **tags, "mlflow.runName": name}
        every["mlflow.source.name"] = "biomarker"
        every["mlflow.source.type"] = "LOCAL"
        if parent is not None:
            every["mlflow.parentRunId"] = parent
        run = self.client.create_run(self.experiment_id, run_name=name, tags=every)
        run_id = str(run.info.run_id)
        self.client.log_batch(
            run_id,
            params=[Param(key, str(value)[:6000]) for key, value in params.items()],
            tags=[RunTag("biomarker.study", self.study)],
        )
        return run_id

    def child(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tables: Mapping[str, Mapping[str, list[Any]]],
    ) -> str:
        """Log one model as a finished child run: parameters, metrics, fold tables."""
        run_id = self._new_run(name, tags, params, parent=self.run_id)
        self.metrics(run_id, metrics)
        for file, table in tables.items():
            self.table(run_id, table, file)
        self.client.set_terminated(run_id, "FINISHED")
        return run_id

    def metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Log finite metrics; a metric that could not be estimated is absent, never NaN."""
        import math

        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        values = [
            Metric(re.sub(r"[^\w\-./ ]", "_", key), float(value), now, 0)
            for key, value in metrics.items()
            if math.isfinite(value)
        ]
        for start in range(0, len(values), 500):
            self.client.log_batch(run_id, metrics=values[start : start + 500])

    def tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; characters MLflow refuses in a key become underscores."""
        from mlflow.entities import RunTag

        named = [RunTag(re.sub(r"[^\w\-./ ]", "_", k)[:250], v) for k, v in tags.items()]
        for start in range(0, len(named), 100):
            self.client.log_batch(run_id, tags=named[start : start + 100])

    def json(self, run_id: str, value: Any, name: str) -> None:
        """Log a JSON artifact."""
        self.text(run_id, json.dumps(value, indent=1, sort_keys=True), name)

    def table(self, run_id: str, table: Mapping[str, list[Any]], name: str) -> None:
        """Log columns as a table that MLflow's pages show and compare, as its log_table does."""
        self.json(run_id, {"columns": list(table), "data": _rows(table)}, f"tables/{name}.json")
        listed = json.loads(
            self.client.get_run(run_id).data.tags.get("mlflow.loggedArtifacts", "[]")
        )
        entry = {"path": f"tables/{name}.json", "type": "table"}
        self.client.set_tag(run_id, "mlflow.loggedArtifacts", json.dumps([*listed, entry]))

    def note(self, run_id: str, markdown: str) -> None:
        """Set the description MLflow shows above a run."""
        self.client.set_tag(run_id, "mlflow.note.content", markdown[:5000])

    def dataset(self, run_id: str, card: Mapping[str, Any]) -> None:
        """Name a run's input: digest, declared columns and counts; its rows are nowhere."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        columns = [{"type": kind, "name": name, "required": True} for name, kind in card["columns"]]
        # MLflow keeps 36 characters of a digest; the whole one is the run's tag.
        data = Dataset(
            name=card["name"][:500],
            digest=card["digest"][:36],
            source_type="local",
            source=json.dumps({"uri": card["name"]}),
            schema=json.dumps({"mlflow_colspec": columns}),
            profile=json.dumps(card["profile"]),
        )
        tag = InputTag("mlflow.data.context", "training")
        self.client.log_inputs(run_id, datasets=[DatasetInput(data, [tag])])

    def text(self, run_id: str, text: str, name: str) -> None:
        """Log a text artifact under its path in the run."""
        self.client.log_text(run_id, text, name)

    def model(
        self, run_id: str, bundle: Path, name: str, registered: str, tags: Mapping[str, str]
    ) -> int:
        """Log a bundle as an MLflow model, register it, and return its version."""
        from mlflow.entities import LoggedModelOutput

        logged = self.client.create_logged_model(
            self.experiment_id,
            name=name,
            source_run_id=run_id,
            tags=dict(tags),
            model_type="bundle",
        )
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            write_served_model(folder, bundle, logged.model_id, run_id, logged.artifact_location)
            self.client.log_model_artifacts(logged.model_id, str(folder))
        self.client.finalize_logged_model(logged.model_id, "READY")
        self.client.log_outputs(run_id, models=[LoggedModelOutput(logged.model_id, step=0)])
        return self._register(registered, logged.model_id, run_id, tags)

    def _register(self, name: str, model_id: str, run_id: str, tags: Mapping[str, str]) -> int:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        version = self.client.create_model_version(
            name, f"models:/{model_id}", run_id=run_id, tags=dict(tags), model_id=model_id
        )
        return int(version.version)

    def alias(self, registered: str, alias: str, version: int) -> None:
        """Point an alias of a registered model at a version."""
        self.client.set_registered_model_alias(registered, alias, str(version))

    def finish(self, status: str = "FINISHED") -> None:
        """Close the parent run."""
        if self.run_id is not None:
            self.client.set_terminated(self.run_id, status)


def registered_bundle(uri: str, store: str | Path | None = None) -> Path:
    """Local folder of the bundle inside a registered model.

    Parameters
    ----------
    uri : str
        ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.

    Raises
    ------
    TrackingError
        If there is no such model, version or alias.
    """
    match = re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))", uri)
    if match is None:
        raise TrackingError(
            f"A registered model must be named models:/NAME@ALIAS or models:/NAME/VERSION; "
            f"got '{uri}'."
        )
    client = open_store(store)
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    try:
        folder = mlflow.artifacts.download_artifacts(artifact_uri=uri)
    except MlflowException:
        raise TrackingError(
            f"The tracking store must hold '{uri}'; it does not. {_known(client, match[1])}"
        ) from None
    return Path(folder) / "artifacts" / "bundle"


def promote(
    name: str, version: int | None = None, store: str | Path | None = None
) -> tuple[int, int | None]:
    """Make a version (default: the candidate) the champion.

    Returns
    -------
    tuple of int and (int or None)
        The new champion's version and the former one's.
    """
    client = open_store(store)
    from mlflow.exceptions import MlflowException

    try:
        aliases = client.get_registered_model(name).aliases
        former = int(aliases["champion"]) if "champion" in aliases else None
        chosen = int(aliases["candidate"]) if version is None else version
        client.get_model_version(name, str(chosen))
        client.set_registered_model_alias(name, "champion", str(chosen))
    except (MlflowException, KeyError):
        what = f"version {version}" if version is not None else "a candidate"
        raise TrackingError(
            f"The registered model must have {what}; '{name}' has not. {_known(client, name)}"
        ) from None
    return chosen, former


def serve_ui(port: int, store: str | Path | None = None) -> int:
    """Run MLflow's pages on the loopback address until stopped; returns its exit code."""
    client = open_store(store)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", client.tracking_uri, "--workers", "1"]
    stop = signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A group of its own: MLflow's workers would outlive it, and hold the port, if it alone ended.
    server = subprocess.Popen(command, start_new_session=True)  # noqa: S603  # no shell, fixed words
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()
        signal.signal(signal.SIGTERM, stop)


def _known(client: Any, name: str) -> str:
    names = [model.name for model in client.search_registered_models(max_results=100)]
    if name in names:
        aliases = client.get_registered_model(name).aliases
        listed = ", ".join(f"@{alias} = version {v}" for alias, v in sorted(aliases.items()))
        then = "" if "champion" in aliases else f" To make a champion: biomarker promote {name}"
        return f"'{name}' has {listed or 'no aliases'}.{then}"
    return f"Registered are: {', '.join(sorted(names)) or 'none'}."


def _rows(table: Mapping[str, list[Any]]) -> list[list[Any]]:
    return [list(row) for row in zip(*table.values(), strict=True)]
