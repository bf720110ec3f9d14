"""Scoring and training killed, starved of room and raced: the reduced form of experiment 06."""

from __future__ import annotations

import errno
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biomarker.errors import CohortError, StorageError
from pipelines.bundle import load_bundle
from pipelines.engine import LocalEngine
from pipelines.scoring_job import score_file

ROOT = Path(__file__).parents[2]
DROP = ["months", "died", "best", "site", "later"]


def trial(tmp_path: Path, *words: str) -> dict[str, Any]:
    """What the experiment finds at a small size, in a process of its own: it forks."""
    subprocess.run(
        [sys.executable, "-m", "experiments.e06_scoring_under_fire.run", *words,
         "--out", str(tmp_path), "--scratch", str(tmp_path)],
        check=True, cwd=ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    found: dict[str, Any] = json.loads((tmp_path / f"{words[1]}.json").read_text())
    return found


def test_killed_jobs_end_with_the_bytes_of_one_left_in_peace(tmp_path: Path) -> None:
    """At any moment: no chunk on record is scored again, each worker loses one at most."""
    found = trial(tmp_path, "--only", "jobs", "--rows", "30000", "--kills", "12")
    for name in ("parts", "joined"):
        seen = found[name]
        assert seen["kills"] == 6
        assert (seen["differing"], seen["failed"], seen["scored_again"]) == (0, 0, 0)
        assert seen["leftovers"] == []
        assert seen["most_redone"] <= found["threads"]


def test_a_kill_at_a_write_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """Before flushes, renames and removals alike; what a swap had put aside comes back."""
    words = ["--only", "writes", "--rows", "300", "--every", "19"]
    for name, seen in trial(tmp_path, *words).items():
        assert seen["kills"] > 1, name
        assert (seen["differing"], seen["failed"], seen["torn"]) == (0, 0, 0), name
        assert seen["leftovers"] == [], name


def test_a_store_survives_training_that_is_killed(tmp_path: Path) -> None:
    """It opens, its database is whole, and every registered model and bundle verifies."""
    found = trial(tmp_path, "--only", "train", "--kills", "4")
    assert found["kills"] == 2
    assert found["broken"] == []
    assert found["finished"]


@pytest.fixture
def new(ward: Any, tmp_path: Path) -> Path:
    """A thousand rows to score."""
    path = tmp_path / "new.parquet"
    frame = ward.frame(1000, seed=6).drop(columns=DROP)
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    return path


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("at", [1, 4, 23])
def test_a_disk_that_gives_out_leaves_the_old_output(
    number: int, at: int, new: Path, ward_bundle: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """At the first part, in the middle and at the commit: named, with the bytes that are needed."""
    bundle, out = load_bundle(ward_bundle), tmp_path / "out.parquet"
    score_file(new, bundle, out, chunk_rows=500)
    old = {file.name: file.read_bytes() for file in out.iterdir()}
    fsync, calls = os.fsync, 0

    def fails(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= at:
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StorageError, match="could not be written") as caught:
        score_file(new, bundle, out, chunk_rows=200, engine=LocalEngine(1))
    assert "bytes are needed" in str(caught.value)
    monkeypatch.undo()
    assert {file.name: file.read_bytes() for file in out.iterdir()} == old
    # With room again the same command goes on, and leaves nothing beside the output.
    assert score_file(new, bundle, out, chunk_rows=200).rows == 1000
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


LIMITED = """
import resource, signal, sys
from pipelines.bundle import load_bundle
from pipelines.scoring_job import score_file
from biomarker.errors import StorageError
bundle = load_bundle(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    score_file(sys.argv[1], bundle, sys.argv[3], chunk_rows=500)
except StorageError as error:
    print(error)
    sys.exit(6)
"""


def test_a_real_limit_on_file_size_is_met(new: Path, ward_bundle: Path, tmp_path: Path) -> None:
    """The system's own refusal, not a made-up one: the whole part's size is said."""
    out = tmp_path / "out.parquet"
    out.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(new), str(ward_bundle), str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 6, done.stderr
    needed = int(done.stdout.split("At least ")[1].split(" bytes")[0].replace(",", ""))
    assert needed > 4096
    assert "2 parts needs about as much" in done.stdout
    assert out.read_bytes() == b"old"


def test_of_two_processes_on_one_output_one_wins(
    new: Path, ward_bundle: Path, tmp_path: Path
) -> None:
    """The other exits 6 and says so; the output is whole either way."""
    out = tmp_path / "out.parquet"
    hold = (
        "import sys, time, pipelines.scoring_job as j\n"
        "survey = j.Job._survey\n"
        "def slow(self):\n"
        "    print('begun', flush=True); sys.stdin.read(); return survey(self)\n"
        "j.Job._survey = slow\n"
        "from pipelines.bundle import load_bundle\n"
        "j.score_file(sys.argv[1], load_bundle(sys.argv[2]), sys.argv[3], chunk_rows=100)\n"
    )
    words = [str(new), str(ward_bundle), str(out)]
    first = subprocess.Popen(
        [sys.executable, "-c", hold, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert first.stdout is not None
    assert first.stdout.readline() == "begun\n"
    second = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "score", words[0], "--model", words[1],
         "--out", words[2]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert second.returncode == 6
    assert "Another job is writing" in second.stderr
    first.communicate("go")
    assert first.returncode == 0
    assert json.loads((out / "_manifest.json").read_text())["n_rows"] == 1000


def test_hashes_a_killed_job_left_are_not_counted(
    new: Path, ward_bundle: Path, tmp_path: Path
) -> None:
    """Else every id of the file would stand twice."""
    from pipelines.row_ids import _PARTS, hash_ids

    left = tmp_path / ".out.parquet.ids"
    left.mkdir()
    hashes = hash_ids(pq.read_table(new)["pid"].combine_chunks())
    for part in range(_PARTS):
        hashes[hashes >> 56 == part].tofile(left / f"{part:03d}")
    done = score_file(new, load_bundle(ward_bundle), tmp_path / "out.parquet", chunk_rows=500)
    assert "duplicate_id:pid" not in done.reasons
    assert not left.exists()


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_neither_threads_nor_row_groups_change_a_byte(
    kind: str, ward: Any, ward_bundle: Path, tmp_path: Path
) -> None:
    """Parts are cut by rows, wherever the file's own parts end; text is as its Parquet form."""
    frame = ward.frame(900, seed=6).drop(columns=DROP)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    bundle, seen = load_bundle(ward_bundle), set()
    for k, size in enumerate((900, 250, 37)):
        source = tmp_path / f"{k}.parquet"
        pq.write_table(table, source, row_group_size=size)
        for threads in (1, 2, 4):
            out = tmp_path / f"{k}-{threads}.{kind}"
            engine = LocalEngine(threads)
            score_file(source, bundle, out, chunk_rows=100, drivers=3, engine=engine)
            parts = sorted(out.glob("part-*"))
            seen.add(tuple(part.read_bytes() for part in parts))
    source = tmp_path / "new.csv"
    frame.to_csv(source, index=False)
    out = tmp_path / f"text.{kind}"
    score_file(source, bundle, out, chunk_rows=100, drivers=3)
    seen.add(tuple(part.read_bytes() for part in sorted(out.glob("part-*"))))
    assert len(seen) == 1


# The peak of this process alone: what getrusage gives is inherited from whoever started it.
BOMB = """
import re, sys
from pipelines.bundle import load_bundle
from pipelines.scoring_job import score_file
from biomarker.errors import CohortError
bundle = load_bundle(sys.argv[2])
try:
    score_file(sys.argv[1], bundle, sys.argv[3])
except CohortError as error:
    print(error.faults[0].kind)
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""


@pytest.mark.parametrize("size", [70, 1000])
def test_a_gzip_bomb_is_refused_before_it_unfolds(
    size: int, ward: Any, ward_bundle: Path, tmp_path: Path
) -> None:
    """Some megabytes of one repeated byte at 1028:1, within 300 MB for the whole process."""
    names = ",".join(ward.frame(1).drop(columns=DROP).columns)
    source = tmp_path / "bomb.csv.gz"
    with gzip.open(source, "wb") as handle:
        handle.write(names.encode() + b"\n")
        for _ in range(size):
            handle.write(b"0" * 2**20)
    assert size * 2**20 / source.stat().st_size > 1000
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(source), str(ward_bundle), str(tmp_path / "out.csv")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    kind, peak = done.stdout.split("\n")[:2]
    assert kind == "suspicious compression"
    assert int(peak) < 300
    assert not (tmp_path / "out.csv").exists()


def test_a_compressed_file_is_not_held_whole(ward: Any, ward_bundle: Path, tmp_path: Path) -> None:
    """At half the ratio of a bomb it is read in blocks: the limit on memory is not the file's."""
    frame = ward.frame(60, seed=6).drop(columns=DROP)
    lines = frame.to_csv(index=False, header=False)
    source = tmp_path / "new.csv.gz"
    with gzip.open(source, "wt", compresslevel=9) as handle:
        handle.write(",".join(frame.columns) + "\n")
        for _ in range(5000):
            handle.write(lines)
    ratio = 5000 * len(lines) / source.stat().st_size
    assert 60 < ratio < 200
    script = BOMB.replace("except CohortError as error:\n    print(error.faults[0].kind)",
                          "except CohortError as error:\n    print(error.faults[0].kind)\n"
                          "else:\n    print('scored')")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script, str(source), str(ward_bundle), str(tmp_path / "out.csv")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    kind, peak = done.stdout.split("\n")[:2]
    assert kind == "scored"
    assert int(peak) < 600


def test_an_input_that_cannot_be_read_is_the_inputs_fault(
    new: Path, ward_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad sector under the input says so, and blames no output."""
    import pipelines.job_ledger

    def broken(path: Any) -> str:
        if Path(path) == new:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return "0" * 64

    monkeypatch.setattr(pipelines.job_ledger, "sha256_file", broken)
    with pytest.raises(CohortError, match="'new.parquet' could not be read"):
        score_file(new, load_bundle(ward_bundle), tmp_path / "out.parquet", chunk_rows=100)
    assert not (tmp_path / "out.parquet").exists()
