"""The registered model behind MLflow's own server and in Spark's call, ids kept."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipelines.scoring import score
from pipelines.tracking_store import open_store, store_uri

URI = "models:/small-os@candidate"
IDS = ["00123", "NA", "1e5", "=1+1", "9007199254740993", " 7", "é😀", "", "a,b"]


@pytest.fixture(scope="module")
def frame(cohort_folder: Path) -> pd.DataFrame:
    """New patients as text, with ids that a careless reader bends."""
    frame = pd.read_csv(cohort_folder / "new.csv", dtype=str, keep_default_na=False)
    frame = frame.drop(columns=["months", "died", "response", "later"]).iloc[: len(IDS)]
    return frame.assign(pid=IDS)


@pytest.fixture(scope="module")
def server(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``mlflow models serve`` on the loopback, while a module's tests run."""
    _, store = trained
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # MLflow starts its server by name, as from an environment that is active.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "models", "serve", "-m", URI, "--env-manager",
             "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            env=os.environ | {"MLFLOW_TRACKING_URI": store_uri(store), "PATH": path,
                              "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("caches"))},
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(480):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/ping", timeout=2):
                break
            assert process.poll() is None, log.read_text()[-2000:]
            time.sleep(0.25)
        else:
            pytest.fail("the server did not start")
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def call(address: str, body: dict[str, Any]) -> tuple[int, Any]:
    """Status and body of one call."""
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def split(frame: pd.DataFrame) -> dict[str, Any]:
    """The documented call: column names and rows, every id a JSON string."""
    return {"dataframe_split": {"columns": list(frame.columns), "data": frame.to_numpy().tolist()}}


def test_the_running_server_gives_the_scores_of_the_bundle(
    server: str, trained: Any, frame: pd.DataFrame
) -> None:
    """Number for number, reason for reason, each beside its own id, byte for byte."""
    _, store = trained
    expected = score(frame, URI, store=store).table
    status, answer = call(server, split(frame))
    assert status == 200
    rows = answer["predictions"]
    assert [row["pid"] for row in rows] == IDS
    assert [row["reason"] for row in rows] == expected["reason"].to_pylist()
    for name in ("risk", "survival_6_months", "survival_12_months"):
        assert [row[name] for row in rows] == expected[name].to_pylist()


def test_compiled_code_is_kept_away_from_the_model(
    server: str, trained: Any, frame: pd.DataFrame
) -> None:
    """A store that held nothing pickled holds nothing pickled after serving from it."""
    _, store = trained
    assert call(server, split(frame))[0] == 200
    assert not list(Path(store).rglob("*.nb?"))


def test_a_refused_row_has_no_number_over_the_wire(server: str, frame: pd.DataFrame) -> None:
    """It is null, not NaN, and the rows beside it are scored."""
    harmed = frame.assign(grade=["no such grade", *frame["grade"][1:]])
    status, answer = call(server, split(harmed))
    assert status == 200
    first, second = answer["predictions"][:2]
    assert first["status"] == "refused"
    assert first["risk"] is None
    assert second["risk"] is not None


def test_a_call_without_a_column_is_refused_without_its_values(
    server: str, frame: pd.DataFrame
) -> None:
    """The answer names the column, and repeats no patient's value or id."""
    status, answer = call(server, split(frame.drop(columns="vegf")))
    assert status >= 400
    text = json.dumps(answer)
    assert "vegf" in text
    assert "9007199254740993" not in text


def test_sparks_call_is_understood(trained: Any, frame: pd.DataFrame) -> None:
    """What a Spark function hands on, a struct of columns as a pandas frame, gives a struct back.

    Spark itself is not among this project's packages: the recipe in docs/scoring.md is held to
    MLflow's own signature, and its calls are made on pandas frames as Spark's workers make them.
    """
    import mlflow.pyfunc

    _, store = trained
    open_store(store)
    named = inspect.signature(mlflow.pyfunc.spark_udf).parameters
    assert {"spark", "model_uri", "result_type", "env_manager"} <= set(named)
    recipe = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text("utf-8")
    assert "mlflow.pyfunc.spark_udf(" in recipe
    model = mlflow.pyfunc.load_model(URI)
    expected = score(frame, URI, store=store).table
    # Workers are given batches of any length, an empty one too; ids arrive as text.
    parts = [model.predict(frame.iloc[a:b]) for a, b in ((0, 4), (4, 4), (4, len(frame)))]
    together = pd.concat([part for part in parts if len(part)], ignore_index=True)
    assert together["pid"].tolist() == IDS
    assert together["risk"].tolist() == expected["risk"].to_pylist()
    assert list(together.columns) == expected.column_names
