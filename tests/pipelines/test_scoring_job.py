"""Long jobs: the same rows as in memory, all or none, taken up where they were killed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biomarker.errors import CohortError, SchemaError, StorageError, UsageError
from pipelines.bundle import Bundle, load_bundle
from pipelines.engine import LocalEngine
from pipelines.scoring import score
from pipelines.scoring_job import score_file

CHUNK = 100


@pytest.fixture(scope="module")
def bundle(ward_bundle: Path) -> Bundle:
    """The stored Cox model of the ward study."""
    return load_bundle(ward_bundle)


@pytest.fixture(scope="module")
def frame(ward: Any) -> pd.DataFrame:
    """A thousand new patients, some ids twice and some rows that must be refused."""
    drop = ["months", "died", "best", "site", "later"]
    frame = ward.frame(1000, seed=6).drop(columns=drop)
    frame["pid"] = [f"{i:06d}" for i in range(1000)]
    frame.loc[[3, 950], "pid"] = "twice"
    frame.loc[[7, 500], "grade"] = "no such grade"
    return frame


@pytest.fixture
def parquet(frame: pd.DataFrame, tmp_path: Path) -> Path:
    """The patients as a file of row groups that fit no chunk."""
    path = tmp_path / "new.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=270)
    return path


def job(path: Any, bundle: Bundle, out: Path, **options: Any) -> Any:
    """A job in chunks of 100 rows, whatever the file's size."""
    return score_file(path, bundle, out, **{"chunk_rows": CHUNK} | options)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of an output folder."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.mark.parametrize("ending", ["parquet", "csv", "tsv", "csv.gz"])
def test_a_job_gives_the_rows_that_memory_gives(
    ending: str, frame: pd.DataFrame, parquet: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """Kind of file, chunks and order make no difference to any row."""
    path = tmp_path / f"new.{ending}"
    if ending != "parquet":
        frame.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",", na_rep="NA")
    expected = score(path, bundle, drivers=2)
    done = job(path, bundle, tmp_path / "out.parquet", drivers=2)
    assert (done.rows, done.chunks) == (1000, 10)
    assert done.counts == expected.counts
    assert done.reasons == expected.reasons
    assert done.counts["refused"] == 2
    assert done.reasons["duplicate_id:pid"] == 2
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.column_names == expected.table.column_names
    for name in found.column_names:
        assert found[name].to_pylist() == expected.table[name].to_pylist()


def test_the_manifest_names_every_part(parquet: Path, bundle: Bundle, tmp_path: Path) -> None:
    """Rows, hashes and what was scored with which model; nothing else is left anywhere."""
    from pipelines.storage import sha256_file

    out = tmp_path / "out.parquet"
    job(parquet, bundle, out)
    manifest = json.loads((out / "_manifest.json").read_text())
    assert manifest["n_rows"] == 1000
    assert manifest["model"] == bundle.digest
    assert [part["rows"] for part in manifest["parts"]] == [CHUNK] * 10
    for part in manifest["parts"]:
        assert sha256_file(out / part["part"]) == part["sha256"]
    assert len(list(out.iterdir())) == 11
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.parquet", "out.parquet"]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_parts_join_into_one_file(kind: str, parquet: Path, bundle: Bundle, tmp_path: Path) -> None:
    """The same rows, one file, one header."""
    one, many = tmp_path / f"one.{kind}", tmp_path / f"many.{kind}"
    assert job(parquet, bundle, one, single_file=True).join_seconds > 0
    job(parquet, bundle, many)
    if kind == "parquet":
        assert pq.read_table(one).equals(pq.read_table(many))
    else:
        parts = sorted(many.glob("part-*"))
        assert [len(pd.read_csv(part)) for part in parts] == [CHUNK] * 10
        frames = [pd.read_csv(part, dtype=str) for part in parts]
        pd.testing.assert_frame_equal(
            pd.read_csv(one, dtype=str), pd.concat(frames, ignore_index=True)
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"many.{kind}",
        "new.parquet",
        f"one.{kind}",
    ]


def test_threads_do_not_change_a_byte(parquet: Path, bundle: Bundle, tmp_path: Path) -> None:
    """One, two and four threads write the same parts and manifest."""
    outputs = []
    for threads in (1, 2, 4):
        out = tmp_path / f"{threads}" / "out.parquet"
        job(parquet, bundle, out, drivers=3, engine=LocalEngine(threads))
        outputs.append(bytes_of(out))
    assert outputs[0] == outputs[1] == outputs[2]


def test_a_folder_is_scored_file_by_file(
    frame: pd.DataFrame, bundle: Bundle, tmp_path: Path
) -> None:
    """In order of name, ids compared across files; hidden files are passed over."""
    folder = tmp_path / "months"
    folder.mkdir()
    for k, part in enumerate(np.array_split(np.arange(1000), 3)):
        frame.iloc[part].to_csv(folder / f"{k}.csv", index=False)
    (folder / ".note").write_text("x")
    for source in (folder, folder / "*.csv", tmp_path / "mon*" / "?.csv"):
        done = job(source, bundle, tmp_path / "out.parquet")
        assert done.reasons["duplicate_id:pid"] == 2
        assert pq.read_table(tmp_path / "out.parquet")["pid"].to_pylist() == frame["pid"].tolist()
    (folder / "3.csv").write_text("pid,age\n1,2\n")
    with pytest.raises(SchemaError, match="same columns"):
        job(folder, bundle, tmp_path / "other.parquet")


class _Dies(LocalEngine):
    """Stops after some chunks, as a killed process does."""

    def run(self, *call: Any) -> Any:
        for k, record in enumerate(super().run(*call)):
            yield record
            if k == 3:
                raise KeyboardInterrupt


def test_an_interrupted_job_goes_on(parquet: Path, bundle: Bundle, tmp_path: Path) -> None:
    """Finished chunks are not scored again; the result is that of an uninterrupted job."""
    job(parquet, bundle, tmp_path / "a" / "out.parquet")
    out = tmp_path / "b" / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        job(parquet, bundle, out, engine=_Dies(1))
    assert not out.exists()
    done = job(parquet, bundle, out)
    assert 4 <= done.chunks_done_before < 10
    assert bytes_of(out) == bytes_of(tmp_path / "a" / "out.parquet")
    assert [p.name for p in out.parent.iterdir()] == ["out.parquet"]


def test_a_damaged_part_is_scored_again(parquet: Path, bundle: Bundle, tmp_path: Path) -> None:
    """The ledger believes a part's bytes, not its name."""
    out = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        job(parquet, bundle, out, engine=_Dies(1))
    part = tmp_path / ".out.parquet.work" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    job(parquet, bundle, out)
    job(parquet, bundle, tmp_path / "fresh.parquet")
    assert bytes_of(out) == bytes_of(tmp_path / "fresh.parquet")


@pytest.mark.parametrize("changed", ["input", "drivers"])
def test_another_job_is_not_taken_up(
    changed: str, frame: pd.DataFrame, parquet: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """A changed input or setting refuses to resume, says what differs, and can start anew."""
    out = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        job(parquet, bundle, out, engine=_Dies(1))
    options = {"drivers": 1} if changed == "drivers" else {}
    if changed == "input":
        pq.write_table(pa.Table.from_pandas(frame.iloc[::-1], preserve_index=False), parquet)
    with pytest.raises(StorageError, match=f"differs in its {changed}"):
        job(parquet, bundle, out, **options)
    assert job(parquet, bundle, out, restart=True, **options).chunks_done_before == 0


def test_one_of_two_jobs_wins(parquet: Path, bundle: Bundle, tmp_path: Path) -> None:
    """While the output is locked, another job is turned away and leaves nothing."""
    out = tmp_path / "out.parquet"
    lock = os.open(tmp_path / ".out.parquet.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(StorageError, match="Another job is writing"):
        job(parquet, bundle, out)
    os.close(lock)
    job(parquet, bundle, out)


def test_a_column_in_another_unit_shows_in_the_whole_file(
    frame: pd.DataFrame, bundle: Bundle, tmp_path: Path
) -> None:
    """No chunk has values enough to show it; the whole file refuses every row, as in memory."""
    harmed = frame.copy()
    harmed["vegf"] = [
        str(float(v) / 1000) if v not in ("NA", "") and v[0] not in "<>" else v
        for v in frame["vegf"].fillna("NA").astype(str)
    ]
    path = tmp_path / "new.csv"
    harmed.to_csv(path, index=False)
    expected = score(path, bundle)
    done = job(path, bundle, tmp_path / "out.parquet", chunk_rows=15)
    assert done.reasons == expected.reasons
    assert done.counts["refused"] > 900


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_file_without_rows_gives_an_output_without_rows(
    kind: str, frame: pd.DataFrame, bundle: Bundle, tmp_path: Path
) -> None:
    """All columns, no rows, also where there is a folder of such files."""
    folder = tmp_path / "none"
    folder.mkdir()
    for k in range(2):
        frame.iloc[:0].to_csv(folder / f"{k}.csv", index=False)
    done = job(folder, bundle, tmp_path / f"out.{kind}")
    assert (done.rows, done.chunks) == (0, 1)
    out = tmp_path / f"out.{kind}"
    names = pq.read_schema(out).names if kind == "parquet" else pd.read_csv(out).columns.tolist()
    assert names[:2] == ["pid", "risk"]


def test_an_output_is_replaced_whole(
    frame: pd.DataFrame, parquet: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """File by folder, folder by file, folder by folder; a stranger's folder is left alone."""
    out = tmp_path / "out.parquet"
    out.write_bytes(b"old")
    job(parquet, bundle, out)
    job(parquet, bundle, out)
    assert (out / "_manifest.json").is_file()
    job(parquet, bundle, out, single_file=True)
    assert out.is_file()
    small = tmp_path / "small.csv"
    frame.iloc[:5].to_csv(small, index=False)
    job(parquet, bundle, tmp_path / "again.parquet")
    job(small, bundle, tmp_path / "again.parquet")
    assert pq.read_table(tmp_path / "again.parquet").num_rows == 5
    stranger = tmp_path / "mine.parquet"
    stranger.mkdir()
    (stranger / "notes.txt").write_text("keep")
    with pytest.raises(StorageError, match="without a manifest"):
        job(parquet, bundle, stranger)
    assert (stranger / "notes.txt").read_text() == "keep"


def test_the_input_is_never_the_output(parquet: Path, bundle: Bundle) -> None:
    """Not even as the folder it lies in."""
    for out in (parquet, parquet.parent.with_suffix(".parquet")):
        if out != parquet:
            continue
        with pytest.raises(UsageError, match="must not be what is scored"):
            job(parquet, bundle, out)


def test_an_input_that_changes_is_refused(parquet: Path, bundle: Bundle, tmp_path: Path) -> None:
    """Rows of two files must not stand in one output."""

    class Touches(LocalEngine):
        def run(self, *call: Any) -> Any:
            yield from super().run(*call)
            os.utime(parquet, ns=(1, 1))

    with pytest.raises(CohortError, match="must not change"):
        job(parquet, bundle, tmp_path / "out.parquet", engine=Touches(1))
    assert not (tmp_path / "out.parquet").exists()


def test_a_damaged_line_far_into_a_file_is_named(
    frame: pd.DataFrame, bundle: Bundle, tmp_path: Path
) -> None:
    """Line numbers count from the file's beginning, not from the block's."""
    path = tmp_path / "new.csv"
    line = ",".join(frame.columns) + "\n"
    rows = frame.to_csv(index=False, header=False)
    with path.open("w") as handle:
        handle.write(line)
        for k in range(250):
            handle.write(rows.replace("\n00", f"\n{k:03d}-00"))
        handle.write("one field\n")
    assert path.stat().st_size > 10 * 2**20
    with pytest.raises(CohortError) as caught:
        score_file(path, bundle, tmp_path / "out.parquet")
    assert caught.value.faults[0].row == 250_000
    assert not (tmp_path / "out.parquet").exists()


KILLED = """
import sys, time
from pipelines.bundle import load_bundle
from pipelines.scoring_job import score_file
score_file(sys.argv[1], load_bundle(sys.argv[2]), sys.argv[3], chunk_rows=25,
           single_file=sys.argv[4] == "1")
"""


@pytest.mark.parametrize("single", ["0", "1"])
def test_a_killed_job_loses_nothing(
    single: str, parquet: Path, ward_bundle: Path, tmp_path: Path
) -> None:
    """Killed again and again at any moment, it ends with the bytes of a job left in peace."""

    def command(out: Path) -> list[str]:
        return [sys.executable, "-c", KILLED, str(parquet), str(ward_bundle), str(out), single]

    calm, out = tmp_path / "calm.parquet", tmp_path / "out" / "calm.parquet"
    began = time.monotonic()
    subprocess.run(command(calm), check=True)
    lasts = time.monotonic() - began
    rng = np.random.default_rng(1)
    kills = 0
    while kills < 6:
        process = subprocess.Popen(command(out))
        try:
            process.wait(timeout=float(rng.uniform(0.4, 1.0)) * lasts)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    subprocess.run(command(out), check=True)
    if single == "1":
        assert out.read_bytes() == calm.read_bytes()
    else:
        assert bytes_of(out) == bytes_of(calm)
    assert [p.name for p in out.parent.iterdir()] == ["calm.parquet"]
