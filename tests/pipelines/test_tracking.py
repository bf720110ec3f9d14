import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biomarker.errors import TrackingError
from biomarker.evidence.multiplicity import LedgerRow
from pipelines.publish import track_run
from pipelines.scoring import score
from pipelines.tracking import promote, registered_bundle
from pipelines.tracking_ledger import append_to_ledger, load_ledger
from pipelines.tracking_runs import stored_report
from pipelines.tracking_served import serving_requirements
from pipelines.tracking_store import open_store


@pytest.fixture(scope="module")
def artifacts(trained) -> Path:
    """Folder of everything the run stored."""
    _, store = trained
    return store / "artifacts"


def test_one_parent_and_a_child_a_model_with_intervals(trained):
    """A reader of MLflow finds metrics with their bounds under stable names."""
    result, store = trained
    client = open_store(store)
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id])
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == result.run_id]
    assert len(runs) == 4
    assert len(children) == 3
    assert {r.info.status for r in runs} == {"FINISHED"}
    cox = next(r for r in children if r.data.params["model"] == "cox")
    metrics = cox.data.metrics
    assert metrics["uno_concordance_index_low"] < metrics["uno_concordance_index"]
    assert {"brier_score_6", "brier_score_12", "calibration_slope_12"} <= set(metrics)
    assert cox.data.tags["dataset.digest"] == result.run.summary.dataset_digest
    parent = client.get_run(result.run_id)
    assert parent.data.params["folds"] == "2"
    names = {a.path for a in client.list_artifacts(result.run_id)}
    assert {"report.html", "cohort.json", "settings.json", "software.json", "study.json"} <= names
    assert "evidence.json" in names
    assert parent.data.tags["evidence.os.vegf"] == result.run.evidence.verdicts[0].verdict
    assert "evidence.os.vegf.ratio_high" in parent.data.metrics


def test_nothing_stored_names_this_machine_or_a_patient(trained, artifacts, cohort_folder):
    """No absolute path, no id and no measured value is in any artifact."""
    frame = pd.read_csv(cohort_folder / "cohort.csv", dtype=str, keep_default_na=False)
    secrets = [f'"{pid}"' for pid in frame["pid"]] + [v for v in frame["vegf"] if len(v) > 5]
    secrets += [m for m in frame["months"] if len(m) > 5]
    places = [str(Path.home()), str(artifacts.parent), str(Path(__file__).parents[2])]
    for file in artifacts.rglob("*"):
        if not file.is_file() or "/code/" in file.as_posix():
            continue
        text = file.read_bytes().decode("utf-8", "replace")
        found = [s for s in (*secrets, *places) if s in text]
        assert not found, f"{file.name} holds {len(found)} of them"


def test_nothing_pickled_is_stored(artifacts):
    """No artifact is a pickle, by name or by its first bytes."""
    for file in artifacts.rglob("*"):
        if file.is_file():
            assert file.suffix not in (".pkl", ".pickle", ".joblib", ".cloudpickle", ".npy")
            assert not file.read_bytes().startswith((b"\x80\x04", b"\x80\x05"))


def test_the_registered_model_scores_like_its_bundle(trained, cohort_folder):
    """Folder, registry and MLflow's own loader give the same numbers, ids untouched."""
    result, store = trained
    best = result.run.best["os"]
    from_folder = score(cohort_folder / "new.csv", result.bundles[f"os-{best}"]).table
    uri = "models:/small-os@candidate"
    from_registry = score(cohort_folder / "new.csv", uri, store=store).table
    assert from_folder.equals(from_registry)
    open_store(store)
    import mlflow.pyfunc

    frame = pd.read_csv(cohort_folder / "new.csv", dtype=str, keep_default_na=False)
    served = mlflow.pyfunc.load_model(uri).predict(frame)
    assert served["pid"].tolist() == frame["pid"].tolist()
    np.testing.assert_array_equal(served["risk"], from_folder["risk"].to_numpy())
    assert served["reason"].tolist() == from_folder["reason"].to_pylist()


def test_the_model_works_from_its_own_code_folder_alone(trained, cohort_folder, tmp_path):
    """Run apart from the checkout, the stored code loads the stored bundle."""
    _, store = trained
    bundle = registered_bundle("models:/small-os@candidate", store)
    model = bundle.parents[1]
    assert "biomarker" not in (model / "requirements.txt").read_text().replace("\n", " ").split()
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import biomarker, pipelines; assert sys.argv[1] in biomarker.__file__\n"
        "from pipelines.scoring import score\n"
        "score(sys.argv[3], sys.argv[2], out=sys.argv[4])\n"
    )
    out = tmp_path / "scores.csv"
    words = [str(model / "code"), str(bundle), str(cohort_folder / "new.csv"), str(out)]
    caches = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "caches")}
    command = [sys.executable, "-I", "-c", script, *words]
    subprocess.run(command, check=True, cwd=tmp_path, env=caches)
    expected = score(cohort_folder / "new.csv", bundle).table.to_pandas()
    # A float written to CSV and read back with full precision is the same float.
    got = pd.read_csv(out, dtype={"pid": str}, float_precision="round_trip")
    np.testing.assert_array_equal(got["risk"], expected["risk"])
    assert got["pid"].tolist() == expected["pid"].tolist()


def test_promote_moves_the_champion_and_names_the_former(trained):
    """The candidate becomes champion; a version can be named; a missing one is refused."""
    result, store = trained
    versions = result.registered["small-os"]
    assert promote("small-os", store=store) == (versions["candidate"], None)
    assert promote("small-os", versions["cox"], store) == (versions["cox"], versions["candidate"])
    with pytest.raises(TrackingError, match="must have version 99"):
        promote("small-os", 99, store)
    with pytest.raises(TrackingError, match="Registered are: small-os, small-response"):
        promote("smal-os", store=store)


def test_unknown_models_are_answered_with_what_is_there(trained):
    """The message lists names and aliases a person could have meant."""
    _, store = trained
    with pytest.raises(TrackingError, match="@candidate = version"):
        registered_bundle("models:/small-os@champoin", store)
    with pytest.raises(TrackingError, match="must be named models:/NAME@ALIAS"):
        registered_bundle("models:/small-os", store)


def test_the_report_is_found_by_study_or_run(trained):
    """The latest run's report comes back byte for byte."""
    result, store = trained
    assert stored_report("small", store) == result.report.read_text("utf-8")
    assert stored_report(result.run_id, store) == result.report.read_text("utf-8")
    with pytest.raises(TrackingError, match="must hold a finished run"):
        stored_report("nowhere", store)


def test_requirements_are_pinned_and_name_nothing_of_ours():
    """A fresh environment can install exactly what scoring needs from a registry."""
    pins = serving_requirements()
    assert all("==" in pin for pin in pins)
    names = {pin.split("==")[0] for pin in pins}
    assert {"numpy", "pandas", "pyarrow", "mlflow"} <= names
    assert not names & {"biomarker-response", "shap", "lifelines", "numba", "matplotlib"}


def test_folds_are_a_table_without_patient_rows(trained, artifacts):
    """One row a fold: sizes, chosen parameters, inner scores."""
    tables = [json.loads(file.read_text()) for file in artifacts.rglob("tables/folds.json")]
    assert len(tables) == 3
    for table in tables:
        assert table["columns"] == ["repeat", "fold", "n_train", "n_test", "params", "inner_scores"]
        assert len(table["data"]) == 2


def test_a_tracking_server_takes_and_gives_models(trained, tmp_path, cohort_folder):
    """Behind a server the sources of a model version are checked: register, promote, score."""
    result, _ = trained
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
         "--backend-store-uri", f"sqlite:///{tmp_path}/m.db", "--workers", "1",
         "--artifacts-destination", str(tmp_path / "artifacts")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        uri = f"http://127.0.0.1:{port}"
        _wait_for(f"{uri}/health")
        few = replace(result.run, models=result.run.models[:1], best={"os": "cox"})
        run_id, registered = track_run(few, "<html></html>", result.bundles, uri, None)
        assert registered == {"small-os": {"cox": 1, "candidate": 1}}
        rows = [LedgerRow("test", "ab" * 32, text, "interaction", "m", "os") for text in "ab"]
        for row in rows:
            append_to_ledger("ab" * 32, [row], load_ledger("ab" * 32, uri), uri)
        assert [row.specification for row in load_ledger("ab" * 32, uri).ledger] == ["a", "b"]
        assert promote("small-os", store=uri) == (1, None)
        assert stored_report(run_id, uri) == "<html></html>"
        bundle = registered_bundle("models:/small-os@champion", uri)
        new = cohort_folder / "new.csv"
        assert score(new, bundle).table.equals(score(new, result.bundles["os-cox"]).table)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_the_pages_are_on_the_loopback_address_and_end_with_their_command(store):
    """Nothing outside this machine is answered, and no worker stays behind on the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "pipelines.cli", "ui", "--port", str(port), "--store", store]
    pages = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health")
        with socket.socket() as other, pytest.raises(OSError, match="refused"):
            other.connect(("127.0.0.2", port))
    finally:
        pages.terminate()
        pages.wait(30)
    for _ in range(40):
        with socket.socket() as gone:
            if gone.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.25)
    pytest.fail("something still answers")


def _wait_for(url: str) -> None:
    """Until a server answers, a minute at most."""
    for _ in range(240):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.25)
    pytest.fail("the server did not start")
