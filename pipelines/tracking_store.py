"""The tracking store: made once under a lock, never half-opened, upgraded on request."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from biomarker.errors import BiomarkerError, TrackingError

__all__ = [
    "DEFAULT_STORE",
    "open_store",
    "quiet_mlflow",
    "store_faults",
    "store_uri",
    "upgrade_store",
]

DEFAULT_STORE = Path("biomarker-runs")
_DATABASE = "mlflow.db"


def quiet_mlflow() -> None:
    """Turn telemetry and chatter off before mlflow is first imported."""
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("DO_NOT_TRACK", "true"),
        ("MLFLOW_ENABLE_ASYNC_LOGGING", "false"),
        ("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "1"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
        ("MLFLOW_LOGGING_LEVEL", "ERROR"),
        # MLflow's seven retries keep a person waiting four minutes for a server that is not there.
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"),
        ("GIT_PYTHON_REFRESH", "quiet"),
    ):
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.ERROR)


def store_uri(store: str | Path | None = None) -> str:
    """Where runs are kept: the argument, else MLFLOW_TRACKING_URI, else ./biomarker-runs.

    A plain path names a folder that holds ``mlflow.db`` and ``artifacts``; anything with a scheme
    is handed to MLflow as it is.
    """
    chosen = str(store or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE)
    if "://" in chosen:
        return chosen
    return f"sqlite:///{(Path(chosen).resolve() / _DATABASE).as_posix()}"


def open_store(store: str | Path | None = None) -> Any:
    """An ``mlflow.MlflowClient`` on a store that exists and has this MLflow's schema.

    Raises
    ------
    TrackingError
        If the store was written by another MLflow or cannot be reached.
    """
    quiet_mlflow()
    uri = store_uri(store)
    database = _sqlite_path(uri)
    if database is not None:
        with _locked(database):
            if not database.exists():
                _create(database)
        _check_schema(database)
    with store_faults():
        import mlflow

        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        client = mlflow.MlflowClient(uri, uri)
        if database is None:
            client.search_experiments(max_results=1)
    return client


@contextlib.contextmanager
def store_faults() -> Iterator[None]:
    """Turn what MLflow, a database or a file system says of the store into one clear error.

    Raises
    ------
    TrackingError
        With the first line of what was said; a password in an address is left out.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except BiomarkerError:
        raise
    except (MlflowException, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        said = re.sub(r"//[^/@\s]*@", "//", lines[0])[:300]
        raise TrackingError(
            f"The tracking store must take and give what is asked of it; it answered: {said}. "
            "Check --store or MLFLOW_TRACKING_URI, and that the place is reachable and writable."
        ) from None


def artifact_location(store: str | Path | None, experiment: str) -> str | None:
    """Artifact folder beside a SQLite store; None lets a server decide."""
    database = _sqlite_path(store_uri(store))
    return None if database is None else (database.parent / "artifacts" / experiment).as_uri()


def upgrade_store(store: str | Path | None = None) -> Path | None:
    """Back a SQLite store up, then bring its schema to this MLflow's.

    Returns
    -------
    Path or None
        The backup; None where the store was up to date.

    Raises
    ------
    TrackingError
        If there is no such store, or it was written by a newer MLflow.
    """
    quiet_mlflow()
    database = _sqlite_path(store_uri(store))
    if database is None or not database.exists():
        raise TrackingError("Only an existing SQLite store can be upgraded here; found none.")
    with _locked(database):
        found, head, known = _revisions(database)
        if found == head:
            return None
        if not known:
            raise TrackingError(_newer(found))
        backup = database.with_name(f"{database.name}.{time.strftime('%Y%m%dT%H%M%S')}.backup")
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(backup)) as target,
        ):
            source.backup(target)
        trial = database.with_name(f".{database.name}.{secrets.token_hex(4)}.tmp")
        shutil.copyfile(backup, trial)
        try:
            _upgrade(trial)
            trial.replace(database)
        except Exception as error:
            raise TrackingError(
                f"The store could not be upgraded ({type(error).__name__}); it is unchanged and "
                f"a backup stands at '{backup.name}'."
            ) from None
        finally:
            trial.unlink(missing_ok=True)
        return backup


@contextlib.contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Hold the store's lock, so that one process makes or upgrades it and the others wait."""
    from filelock import FileLock, Timeout

    lock = FileLock(database.with_name(".store.lock"), timeout=120)
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise TrackingError(
            "The tracking store is being made by another process that did not finish in 120 "
            "seconds. Try again when it has ended."
        ) from None
    except OSError as error:
        raise TrackingError(
            f"The tracking store's folder '{database.parent.name}' must be writable; the system "
            f"said: {error.strerror or type(error).__name__}. Name another with --store."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _create(database: Path) -> None:
    """Build the schema aside and move it in whole: a killed first run leaves no half store."""
    trial = database.with_name(f".{database.name}.{secrets.token_hex(4)}.tmp")
    try:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        made = SqlAlchemyStore(
            f"sqlite:///{trial.as_posix()}", (database.parent / "artifacts" / "0").as_uri()
        )
        made.engine.dispose()
        trial.replace(database)
    finally:
        trial.unlink(missing_ok=True)


def _upgrade(database: Path) -> None:
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(f"sqlite:///{database.as_posix()}")
    _upgrade_db(engine)
    engine.dispose()


def _check_schema(database: Path) -> None:
    found, head, known = _revisions(database)
    if found == head:
        return
    if not known:
        raise TrackingError(_newer(found))
    raise TrackingError(
        "The tracking store must have this MLflow's schema; it was written by an older release. "
        "Run: biomarker store --upgrade (it makes a backup first)."
    )


def _newer(found: str | None) -> str:
    return (
        f"The tracking store must have a schema this MLflow knows; got revision '{found}', which "
        "is newer or foreign. Upgrade mlflow, or name another store."
    )


def _revisions(database: Path) -> tuple[str | None, str, bool]:
    """The store's schema revision, this MLflow's, and whether the former is in its history."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        ) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError:
        raise TrackingError(
            f"'{database.name}' must be an MLflow SQLite store; it is not, or it is damaged. "
            "Name another store or move the file away."
        ) from None
    found = None if row is None else str(row[0])
    head = _HEAD.get("head")
    if head is None:
        from mlflow.store.db.utils import _get_latest_schema_revision

        head = _HEAD["head"] = str(_get_latest_schema_revision())
    if found == head:
        return found, head, True
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    script = ScriptDirectory.from_config(_get_alembic_config("sqlite://"))
    return found, head, found in {revision.revision for revision in script.walk_revisions()}


_HEAD: dict[str, str] = {}


def _sqlite_path(uri: str) -> Path | None:
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)) if uri.startswith(prefix) else None
