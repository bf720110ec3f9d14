"""Kill scoring jobs at random moments and at write points, and look at what stands afterwards.

Processes are forked from one that has imported everything and computed nothing, so that a kill
costs no start-up. Call it in a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

__all__ = ["Job", "count_writes", "die_at_write", "kill_at_writes", "kill_jobs", "run_forked"]

_WRITES = ("fsync", "rename", "replace", "unlink", "rmdir")


@dataclass(frozen=True)
class Job:
    """One scoring job, to be run by a forked process.

    Attributes
    ----------
    source, bundle, out : Path
    chunk_rows, threads : int
    single_file : bool
    """

    source: Path
    bundle: Path
    out: Path
    chunk_rows: int
    threads: int
    single_file: bool = False

    def run(self, begun: Path | None = None) -> None:
        """Run it; append the number of every chunk whose scoring begins to a file."""
        from pipelines.bundle import load_bundle
        from pipelines.engine import LocalEngine
        from pipelines.row_scores import RowScorer
        from pipelines.scoring_job import score_file

        if begun is not None:
            score = RowScorer.score
            log = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

            def noted(self: RowScorer, table: Any, marks: Any, first_row: int = 0) -> Any:
                os.write(log, f"{first_row}\n".encode())
                return score(self, table, marks, first_row)

            RowScorer.score = noted  # type: ignore[method-assign]
        score_file(
            self.source, load_bundle(self.bundle), self.out, chunk_rows=self.chunk_rows,
            single_file=self.single_file, engine=LocalEngine(self.threads),
        )  # fmt: skip

    @property
    def ledger(self) -> dict[int, str]:
        """Position of the first row of every chunk that is on record, to its part's hash."""
        found = {}
        for entry in self.out.with_name(f".{self.out.name}.ledger").glob("[0-9]*.json"):
            record = json.loads(entry.read_text("utf-8"))
            found[int(record["first_row"])] = str(record["sha256"])
        return found

    def bytes_out(self) -> dict[str, bytes]:
        """Every file of the output."""
        if self.out.is_file():
            return {"": self.out.read_bytes()}
        return {file.name: file.read_bytes() for file in sorted(self.out.iterdir())}


def run_forked(call: Callable[[], Any], after: float | None = None) -> str:
    """Run a call in a forked process; ``done``, ``failed``, or ``killed`` after some seconds."""
    child = os.fork()
    if child == 0:
        _leave(call)
    if after is not None:
        end = time.monotonic() + after
        while time.monotonic() < end:
            finished, status = os.waitpid(child, os.WNOHANG)
            if finished:
                return _word(status)
            time.sleep(min(0.002, max(0.0, end - time.monotonic())))
        os.kill(child, signal.SIGKILL)
    return _word(os.waitpid(child, 0)[1])


def _leave(call: Callable[[], Any]) -> NoReturn:
    """Run a call in the forked process and end it without the parent's clean-up."""
    code = 1
    try:
        call()
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    finally:
        os._exit(code)


def _word(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) == signal.SIGKILL else f"signal {status}"
    return "done" if os.WEXITSTATUS(status) == 0 else "failed"


def _at_writes(tell: Callable[[], None]) -> None:
    """Have this process call ``tell`` before every flush, rename, removal and database commit."""
    for name in _WRITES:
        real = getattr(os, name)

        def write(*args: Any, real: Any = real, **words: Any) -> Any:
            tell()
            return real(*args, **words)

        setattr(os, name, write)
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    event.listen(Engine, "commit", lambda _: tell())


def die_at_write(number: int) -> None:
    """Have this process kill itself just before its write of this number, from 1."""
    left = number

    def tell() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _at_writes(tell)


def count_writes(call: Callable[[], Any], note: Path) -> int:
    """Writes of a call that is left in peace, in a forked process."""

    def counted() -> None:
        total = 0

        def tell() -> None:
            nonlocal total
            total += 1

        _at_writes(tell)
        call()
        note.write_text(str(total))

    if run_forked(counted) != "done":
        raise RuntimeError("the call left in peace must succeed; it did not.")
    return int(note.read_text())


@dataclass
class Tally:
    """What was seen over many kills."""

    kills: int = 0
    jobs: int = 0
    most_redone: int = 0
    scored_again: int = 0
    differing: int = 0
    leftovers: list[str] = field(default_factory=list)
    failed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return dict(vars(self))


def kill_jobs(job: Job, kills: int, seed: int) -> dict[str, Any]:
    """SIGKILL jobs at random moments until so many kills have hit a running job.

    Returns
    -------
    dict
        ``most_redone``: the most chunks begun by one run and lost to its kill;
        ``scored_again``: chunks on record that a later run began anew; ``differing``: finished
        outputs that are not the bytes of the job left in peace; ``leftovers``: names beside them.
    """
    calm = Job(**vars(job) | {"out": job.out.parent / "calm" / job.out.name})
    began = time.monotonic()
    if run_forked(calm.run) != "done":
        raise RuntimeError("the job left in peace must succeed; it did not.")
    lasts = time.monotonic() - began
    expected, rng, tally = calm.bytes_out(), np.random.default_rng(seed), Tally()
    begun = job.out.parent / "begun"
    place = job.out.parent / "killed"
    harmed = Job(**vars(job) | {"out": place / job.out.name})
    chunks = -(-_rows_of(job.source) // job.chunk_rows)
    while tally.kills < kills:
        begun.unlink(missing_ok=True)
        known = harmed.ledger
        left = 0.25 + 0.8 * (1 - len(known) / chunks)
        after = float(rng.uniform(0.02, left)) * lasts
        ended = run_forked(lambda: harmed.run(begun), after)
        first_rows = {int(line) for line in begun.read_text().split()} if begun.exists() else set()
        tally.scored_again += len(first_rows & set(known))
        if ended == "killed":
            tally.kills += 1
            after_kill = harmed.ledger
            if not harmed.out.exists():
                lost = first_rows - set(after_kill)
                tally.most_redone = max(tally.most_redone, len(lost))
            continue
        tally.failed += ended != "done"
        tally.jobs += 1
        _compare(harmed, expected, place, tally)
    if run_forked(harmed.run) != "done":
        tally.failed += 1
    tally.jobs += 1
    _compare(harmed, expected, place, tally)
    shutil.rmtree(calm.out.parent)
    return {**tally.to_dict(), "chunks": chunks, "seconds_in_peace": round(lasts, 2)}


def _rows_of(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _compare(job: Job, expected: dict[str, bytes], place: Path, tally: Tally) -> None:
    """Hold a finished job to the bytes of the one left in peace, and clear its place."""
    tally.differing += job.bytes_out() != expected
    tally.leftovers += [path.name for path in place.iterdir() if path != job.out]
    shutil.rmtree(place)


def kill_at_writes(job: Job, before: Callable[[Path], Any], every: int = 1) -> dict[str, Any]:
    """Kill a job at every single one of its writes; then look, finish it, and look again.

    Parameters
    ----------
    job : Job
    before : callable
        Puts an older output at a path, which must be whole or replaced whole at any moment.
    every : int
        1: at every write; else at every second, third and so on.

    Returns
    -------
    dict
        As :func:`kill_jobs`; ``torn``: kills after which the output was neither old nor new and
        that the next run did not bring back.
    """
    calm, place = job.out.parent / "calm", job.out.parent / "killed"
    left = Job(**vars(job) | {"out": calm / job.out.name})
    harmed = Job(**vars(job) | {"out": place / job.out.name})

    def prepared(one: Job) -> None:
        one.out.parent.mkdir(parents=True)
        before(one.out)

    prepared(left)
    old = left.bytes_out() if left.out.exists() else None
    writes = count_writes(left.run, job.out.parent / "writes")
    expected, tally, torn = left.bytes_out(), Tally(), 0
    for number in range(1, writes + 1, every):
        prepared(harmed)

        def dying(number: int = number) -> None:
            die_at_write(number)
            harmed.run()

        tally.kills += run_forked(dying) == "killed"
        if harmed.out.exists():
            torn += harmed.bytes_out() not in (old, expected)
        elif old is not None:
            # Between two renames nothing has the name: the next run, of whatever, brings it back.
            torn += not list(place.glob(f".{job.out.name}.*.old"))
        tally.failed += run_forked(harmed.run) != "done"
        tally.jobs += 1
        _compare(harmed, expected, place, tally)
    shutil.rmtree(calm)
    return {**tally.to_dict(), "writes": writes, "torn": torn}
