import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from biomarker.errors import TrackingError
from pipelines.tracking_store import open_store, store_uri, upgrade_store

STARTERS = 8


def test_eight_processes_on_a_missing_store_all_succeed(tmp_path):
    """The store is made once, under a lock; every starter logs a run and none is lost."""
    script = (
        "import sys; from pipelines.tracking import StudyTracker\n"
        "t = StudyTracker('race', sys.argv[1]); t.start(sys.argv[2], {}, {'k': 1}); t.finish()\n"
    )
    store = tmp_path / "runs"
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(store), f"run {i}"], stderr=subprocess.PIPE
        )
        for i in range(STARTERS)
    ]
    errors = [starter.communicate()[1] for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * STARTERS, errors
    client = open_store(store)
    experiment = client.get_experiment_by_name("race")
    names = {run.info.run_name for run in client.search_runs([experiment.experiment_id])}
    assert names == {f"run {i}" for i in range(STARTERS)}


def test_an_older_store_is_refused_then_upgraded_with_a_backup(store):
    """A store of another schema is never half-opened; upgrading keeps a copy."""
    database = store / "mlflow.db"
    older = _set_revision(database, _older_revision())
    with pytest.raises(TrackingError, match="older release.*store --upgrade"):
        open_store(store)
    # Only the revision mark is older here, so the migration meets tables that already exist: it
    # must fail without touching the store, and leave the backup.
    with pytest.raises(TrackingError, match="unchanged and a backup stands at"):
        upgrade_store(store)
    assert _revision(database) == older
    assert len(list(store.glob("mlflow.db.*.backup"))) == 1
    assert not list(store.glob(".*.tmp"))


def test_a_store_that_really_is_older_is_migrated(store, tmp_path):
    """Upgrading brings an older schema to this release's and keeps the backup readable."""
    import sqlalchemy
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

    database = store / "mlflow.db"
    head = _revision(database)
    fresh = tmp_path / "older" / "mlflow.db"
    fresh.parent.mkdir()
    engine = sqlalchemy.create_engine(f"sqlite:///{fresh}")
    InitialBase.metadata.create_all(engine)
    engine.dispose()
    command.upgrade(_get_alembic_config(f"sqlite:///{fresh}"), _older_revision())
    assert _revision(fresh) != head
    backup = upgrade_store(fresh.parent)
    assert backup is not None
    assert backup.exists()
    assert _revision(fresh) == head
    assert _revision(backup) != head
    assert upgrade_store(fresh.parent) is None


def test_a_newer_store_is_refused_by_name(store):
    """An unknown revision is named and nothing is changed."""
    _set_revision(store / "mlflow.db", "ffff00000000")
    for call in (open_store, upgrade_store):
        with pytest.raises(TrackingError, match="ffff00000000.*newer or foreign"):
            call(store)


def test_a_file_that_is_no_store_is_refused(tmp_path):
    """A damaged database gives a clear error, not a traceback from SQL."""
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(TrackingError, match="must be an MLflow SQLite store"):
        open_store(tmp_path)


def test_store_comes_from_argument_then_environment_then_default(monkeypatch, tmp_path):
    """A server's address is passed through; a folder becomes SQLite in it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert store_uri() == "http://127.0.0.1:5000"
    assert store_uri(tmp_path) == f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert store_uri().endswith("biomarker-runs/mlflow.db")


def test_telemetry_is_off_once_a_store_is_open(store):
    """Nothing is sent anywhere: the switches are set before mlflow is imported."""
    open_store(store)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()


def _older_revision() -> str:
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    revisions = ScriptDirectory.from_config(_get_alembic_config("sqlite://")).walk_revisions()
    return list(revisions)[2].revision


def _revision(database: Path) -> str:
    connection = sqlite3.connect(database)
    try:
        return connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    finally:
        connection.close()


def _set_revision(database: Path, revision: str) -> str:
    connection = sqlite3.connect(database)
    try:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()
    finally:
        connection.close()
    return revision
