"""Scoring into an object store: the same bytes as into a folder, all of the output or none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from biomarker.errors import CohortError, StorageError, UsageError
from pipelines.bundle import Bundle, load_bundle
from pipelines.engine import LocalEngine
from pipelines.scoring_job import score_file
from pipelines.store_lease import leased
from pipelines.stores import located
from tests.pipelines.bucket import register

pytest.importorskip("fsspec")

DROP = ["months", "died", "best", "site", "later"]


@pytest.fixture(scope="module")
def bundle(ward_bundle: Path) -> Bundle:
    """The stored Cox model of the ward study."""
    return load_bundle(ward_bundle)


@pytest.fixture
def new(ward: Any, tmp_path: Path) -> Path:
    """A thousand rows, two of them with one id."""
    frame = ward.frame(1000, seed=6).drop(columns=DROP)
    frame.loc[[1, 701], "pid"] = "twice"
    path = tmp_path / "new.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=90)
    return path


@pytest.fixture(params=["memory", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address to write below: in memory, and on a folder that acts as a bucket."""
    register()
    return {
        "memory": f"memory://{tmp_path.name}",
        "bucket": f"bucket://{tmp_path}/bucket",
    }[request.param]


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    """A store that other processes see."""
    register()
    return f"bucket://{tmp_path}/bucket"


def objects(store: str) -> dict[str, bytes]:
    """Every object below an address, by its key from there on."""
    place: Any = located(store)
    return {
        entry.key[len(place.key.rstrip("/")) + 1 :]: entry.read_bytes()
        for entry in place._below(deep=True)
    }


def parts_of(store: str, name: str) -> list[bytes]:
    """The parts that a manifest names, in order: what a reader sees."""
    out: Any = located(f"{store}/{name}")
    manifest = json.loads((out / "_manifest.json").read_text())
    return [(out / part["part"]).read_bytes() for part in manifest["parts"]]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_parts_are_those_of_a_folder(
    kind: str, store: str, new: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """Byte for byte, and the manifest tells of the same rows."""
    here, there = tmp_path / f"out.{kind}", f"{store}/out.{kind}"
    local = score_file(new, bundle, here, drivers=2, chunk_rows=100)
    done = score_file(new, bundle, there, drivers=2, chunk_rows=100)
    assert (done.rows, done.counts, done.reasons) == (local.rows, local.counts, local.reasons)
    assert parts_of(store, f"out.{kind}") == [p.read_bytes() for p in sorted(here.glob("part-*"))]
    mine, other = (
        json.loads(text)
        for text in (
            (here / "_manifest.json").read_text(),
            located(f"{there}/_manifest.json").read_text(),
        )
    )
    assert [part["sha256"] for part in mine.pop("parts")] == [
        part["sha256"] for part in other.pop("parts")
    ]
    assert mine == other
    # Nothing but the manifest and its ten parts.
    assert len([key for key in objects(store) if "drift" not in key]) == 11


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_one_object_is_that_of_one_file(
    kind: str, store: str, new: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """Where the parts are joined, and where there is one part."""
    for name, words in (("joined", {"chunk_rows": 100, "single_file": True}), ("one", {})):
        here = tmp_path / f"{name}.{kind}"
        score_file(new, bundle, here, engine=LocalEngine(1), **words)
        score_file(new, bundle, f"{store}/{name}.{kind}", **words)
        place: Any = located(f"{store}/{name}.{kind}")
        if words:
            assert place.read_bytes() == here.read_bytes()
        elif kind == "parquet":
            assert pq.read_table(pa.BufferReader(place.read_bytes())).equals(pq.read_table(here))
        else:
            assert place.read_text() == here.read_text()
    assert not [key for key in objects(store) if key.startswith(".")]


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz"])
def test_input_comes_from_a_store_too(
    kind: str, store: str, new: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """Into a folder and into the store, with the bytes that the file gives."""
    file = tmp_path / f"given.{kind}"
    if kind == "parquet":
        file.write_bytes(new.read_bytes())
    else:
        pd.read_parquet(new).to_csv(file, index=False)
    located(f"{store}/in/given.{kind}").put(file.read_bytes())  # type: ignore[union-attr]
    here, mixed = tmp_path / "out.csv", tmp_path / "mixed.csv"
    score_file(file, bundle, here, chunk_rows=100)
    score_file(f"{store}/in/given.{kind}", bundle, mixed, chunk_rows=100)
    score_file(f"{store}/in/given.{kind}", bundle, f"{store}/out.csv", chunk_rows=100)
    wanted = {p.name: p.read_bytes() for p in here.iterdir()}
    assert {p.name: p.read_bytes() for p in mixed.iterdir()} == wanted
    assert parts_of(store, "out.csv") == [wanted[key] for key in sorted(wanted) if "part" in key]


def test_an_older_output_is_replaced_by_one_write(
    store: str, new: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to it a reader meets the old parts, whole; after it the new ones, and the old ones go."""
    score_file(new, bundle, f"{store}/out.csv", chunk_rows=500)
    old = parts_of(store, "out.csv")
    import pipelines.store_job as job

    real, seen = job.write_text, []

    def looked(place: Any, text: str) -> None:
        if place.name == "_manifest.json":
            seen.append(parts_of(store, "out.csv"))
        real(place, text)

    monkeypatch.setattr(job, "write_text", looked)
    score_file(new, bundle, f"{store}/out.csv", chunk_rows=200)
    assert seen == [old]
    assert len(parts_of(store, "out.csv")) == 5
    assert len([key for key in objects(store) if "part-" in key]) == 5
    # The same job over its own output writes the same parts again, and removes none of them.
    before = parts_of(store, "out.csv")
    score_file(new, bundle, f"{store}/out.csv", chunk_rows=200)
    assert parts_of(store, "out.csv") == before


class StopsError(Exception):
    """What ends a job in this process."""


class StopsAt(LocalEngine):
    """Scores some chunks, then fails as a lost machine would."""

    def run(self, *call: Any) -> Any:
        """Three chunks, then nothing."""
        for k, record in enumerate(super().run(*call)):
            if k == 3:
                raise StopsError
            yield record


def test_another_job_must_not_take_up_what_a_stopped_one_left(
    store: str, new: Path, bundle: Bundle
) -> None:
    """It is named, --restart discards it, and its parts go with it."""
    with pytest.raises(StopsError):
        score_file(new, bundle, f"{store}/out.csv", chunk_rows=100, engine=StopsAt(1))
    with pytest.raises(StorageError, match="differs in its chunk_rows"):
        score_file(new, bundle, f"{store}/out.csv", chunk_rows=200)
    score_file(new, bundle, f"{store}/out.csv", chunk_rows=200, restart=True)
    assert len([key for key in objects(store) if "part-" in key]) == 5


def test_a_part_that_is_damaged_is_scored_again(store: str, new: Path, bundle: Bundle) -> None:
    """The ledger's hash decides, not its word."""
    score_file(new, bundle, f"{store}/peace.csv", chunk_rows=100)
    with pytest.raises(StopsError):
        score_file(new, bundle, f"{store}/out.csv", chunk_rows=100, engine=StopsAt(1))
    part = next(key for key in objects(store) if key.startswith("out.csv") and "part-00001" in key)
    located(f"{store}/{part}").put(b"damaged")  # type: ignore[union-attr]
    done = score_file(new, bundle, f"{store}/out.csv", chunk_rows=100)
    assert 1 <= done.chunks_done_before < 10
    assert parts_of(store, "out.csv") == parts_of(store, "peace.csv")


def test_a_file_does_not_become_a_folder(store: str, new: Path, bundle: Bundle) -> None:
    """No single write could do that: refused before any work, the old output as it was."""
    score_file(new, bundle, f"{store}/out.csv")
    with pytest.raises(StorageError, match="a file stands there"):
        score_file(new, bundle, f"{store}/out.csv", chunk_rows=100)
    score_file(new, bundle, f"{store}/parts.csv", chunk_rows=100)
    with pytest.raises(StorageError, match="a folder of parts stands there"):
        score_file(new, bundle, f"{store}/parts.csv")
    assert len(parts_of(store, "parts.csv")) == 10


def test_the_input_is_never_the_output(store: str, new: Path, bundle: Bundle) -> None:
    """Nor a prefix of it."""
    located(f"{store}/in.parquet/a.parquet").put(new.read_bytes())  # type: ignore[union-attr]
    for out in (f"{store}/in.parquet/a.parquet", f"{store}/in.parquet"):
        with pytest.raises(UsageError, match="must not be what is scored"):
            score_file(f"{store}/in.parquet/a.parquet", bundle, out)


def test_a_store_that_lost_the_input_is_said(store: str, bundle: Bundle) -> None:
    """By name, as for a file."""
    with pytest.raises(CohortError, match=r"no file stands at 'new\.csv'"):
        score_file(f"{store}/new.csv", bundle, f"{store}/out.csv")


CHILD = """
import sys, time
import pipelines.store_lease
from pipelines.bundle import load_bundle
from pipelines.engine import LocalEngine
from pipelines.scoring_job import score_file
from tests.pipelines.bucket import register
register()
pipelines.store_lease.LEASE_SECONDS = 2.0
class Slow(LocalEngine):
    def run(self, *call):
        for k, record in enumerate(super().run(*call)):
            yield record
            print(k, flush=True)
            time.sleep(0.2)
score_file(sys.argv[1], load_bundle(sys.argv[2]), sys.argv[3], chunk_rows=100, engine=Slow(1))
"""


def test_a_killed_job_goes_on_and_two_jobs_never_mix(
    bucket: str, new: Path, ward_bundle: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs another is refused; after the kill its lease runs out and its work is used."""
    import pipelines.store_lease as lease

    monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
    out = f"{bucket}/out.csv"
    score_file(new, bundle, f"{bucket}/peace.csv", chunk_rows=100)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(new), str(ward_bundle), out],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert child.stdout is not None
    for k in range(4):
        assert child.stdout.readline() == f"{k}\n"
    with pytest.raises(StorageError, match="Another job is writing 'out.csv'"):
        score_file(new, bundle, out, chunk_rows=100)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert not located(f"{out}/_manifest.json").exists()
    time.sleep(2.2)
    done = score_file(new, bundle, out, chunk_rows=100)
    assert done.chunks_done_before >= 4
    assert parts_of(bucket, "out.csv") == parts_of(bucket, "peace.csv")
    assert not [key for key in objects(bucket) if key.startswith(".")]


def test_who_was_overtaken_writes_no_manifest(bucket: str, new: Path, bundle: Bundle) -> None:
    """A job that had stopped for longer than its lease ends there, and the other's output stays."""
    out: Any = located(f"{bucket}/out.csv")

    class Overtaken(LocalEngine):
        """A job that another one takes for dead."""

        def run(self, *call: Any) -> Any:
            """Another job comes and goes at the end."""
            yield from super().run(*call)
            out.with_name(".out.csv.lock").unlink()
            with leased(out):
                out_lock = out.with_name(".out.csv.lock").read_bytes()
            out.with_name(".out.csv.lock").put(out_lock)

    with pytest.raises(StorageError, match="taken this output over"):
        score_file(new, bundle, str(out), chunk_rows=100, engine=Overtaken(1))
    assert not (out / "_manifest.json").exists()


def test_a_cluster_writes_the_same_objects(
    bucket: str, new: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """Workers read the input from the store, the model from beside the ledger, and write parts."""
    distributed = pytest.importorskip("distributed")
    from pipelines.dask_engine import DaskEngine

    located(f"{bucket}/new.parquet").put(new.read_bytes())  # type: ignore[union-attr]
    here = tmp_path / "out.parquet"
    score_file(new, bundle, here, drivers=1, chunk_rows=100)
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        warnings.simplefilter("ignore")
        client.run(register)
        done = score_file(
            f"{bucket}/new.parquet", bundle, f"{bucket}/out.parquet", drivers=1, chunk_rows=100,
            engine=DaskEngine(cluster.scheduler_address),
        )  # fmt: skip
    assert done.reasons["duplicate_id:pid"] == 2
    assert parts_of(bucket, "out.parquet") == [p.read_bytes() for p in sorted(here.glob("part-*"))]
    assert not [key for key in objects(bucket) if key.startswith(".")]


def test_the_command_takes_addresses_and_exits_6_where_another_job_writes(
    bucket: str, new: Path, ward_bundle: Path
) -> None:
    """As it does for a folder; no value of a patient and no address beyond the name is shown."""
    from pipelines.cli import main

    words = ["score", str(new), "--model", str(ward_bundle), "--out", f"{bucket}/out.csv"]
    with leased(located(f"{bucket}/out.csv")):  # type: ignore[arg-type]
        second = CliRunner().invoke(main, words)
    assert second.exit_code == 6
    assert "Another job is writing 'out.csv'" in second.output
    assert CliRunner().invoke(main, words).exit_code in (0, 5)
    assert located(f"{bucket}/out.csv").is_file()
