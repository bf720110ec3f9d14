"""One run of a scoring job: survey the file, score what is missing, commit."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from biomarker.errors import CohortError, StorageError
from biomarker.metrics.drift import Drift
from pipelines.drift import file_drift, report_drift
from pipelines.job_ledger import JOB, JobLedger, content_hash
from pipelines.output_place import MANIFEST, may_replace, retire, swap_in
from pipelines.row_scores import FileMarks
from pipelines.score_parts import PartWriter, join_parts
from pipelines.storage import atomic_file, sha256_file, write_text
from pipelines.stores import Place, StorePath

__all__ = ["Job", "JobResult", "manifest_of"]


@dataclass(frozen=True)
class JobResult:
    """A finished scoring job.

    Attributes
    ----------
    rows : int
    counts : dict
        Rows by status.
    reasons : dict
        ``code:column`` to the number of rows it stands on, most frequent first.
    ignored : tuple of str
        Columns left aside.
    out : Path or StorePath
        A file, or a folder of parts with its manifest.
    chunks, chunks_done_before : int
        In all, and those an earlier, interrupted run had finished.
    join_seconds : float
        Spent on joining the parts into one file.
    formulas : int
        Ids that a spreadsheet would take for formulas, in a CSV output.
    drift : Drift or None
        How the file differs from the training rows; None where that was not asked for, the bundle
        cannot say, or the file has no row.
    """

    rows: int
    counts: dict[str, int]
    reasons: dict[str, int]
    ignored: tuple[str, ...]
    out: Place
    chunks: int
    chunks_done_before: int = 0
    join_seconds: float = 0.0
    formulas: int = 0
    drift: Drift | None = None


@dataclass
class Job(JobLedger):
    """One run of a job, while it holds the output's lock."""

    def run(self, restart: bool) -> JobResult:
        """Survey the file, score what is missing, commit."""
        self.progress.stage("reading the ids")
        with ThreadPoolExecutor(2) as pool:
            digest = pool.submit(content_hash, self.source)
            ready = pool.submit(self.scorer.prepare)
            before = [(path.stat().st_size, path.stat().st_mtime_ns) for path in self.source.paths]
            sizes, marks = self._survey()
            plan = self._plan(digest.result(), sizes)
            ready.result()
        if self._take_up(plan, restart):
            records = self._records(verify=False)
            return self._finish(records, len(records), 0.0)
        records = self._records()
        done = len(records)
        marks = replace(marks, other_unit=frozenset(plan["other_unit"]))
        records |= self._score(sizes, marks, records)
        other = self._other_unit(records)
        if other != marks.other_unit:
            # A column in another unit shows only once the whole file is read: score it anew.
            plan["other_unit"] = sorted(other)
            self._begin(plan)
            records = self._score(sizes, replace(marks, other_unit=other), {})
        after = [(path.stat().st_size, path.stat().st_mtime_ns) for path in self.source.paths]
        if before != after:
            raise CohortError(
                "The input must not change while it is scored; it did. Nothing was written. "
                "Score it again."
            )
        seconds = self._commit(plan, [records[k] for k in sorted(records)])
        result = self._finish(records, done, seconds)
        self.progress.done()
        return result

    def _finish(self, records: Mapping[int, Any], done: int, seconds: float) -> JobResult:
        """What follows a commit: the drift report, then the ledger goes, which could redo it."""
        counts, reasons = _added(records, "counts"), _added(records, "reasons")
        bundle, n_rows = self.scorer.bundle, sum(r["rows"] for r in records.values())
        drift = file_drift(bundle, (r["support"] for r in records.values()), n_rows)
        result = JobResult(
            n_rows, dict(counts), dict(reasons.most_common()), self.ignored, self.out,
            len(records), done, seconds, sum(r["formulas"] for r in records.values()), drift,
        )  # fmt: skip
        told = report_drift(drift if self.drift else None, bundle, self.out, self.source_name)
        self._tidy()
        return replace(result, drift=told)

    def _survey(self) -> tuple[list[int], FileMarks]:
        """Rows of each file and the ids that stand twice, by one pass over the id column."""
        name = self.scorer.bundle.id_column
        if name is None or name not in self.source.names or not self.scorer.unique_ids:
            return self.source.count_rows(), FileMarks()
        from pipelines.row_ids import find_repeated

        sizes = [0] * len(self.source.paths)
        first = True

        def passes() -> Iterator[pa.Array]:
            nonlocal first
            counting, first = first, False
            for file, part in self.source.column_by_file(name):
                if counting:
                    sizes[file] += len(part)
                yield part

        with self._hashes() as hashes:
            repeated = find_repeated(passes, hashes)
        return sizes, FileMarks(repeated if repeated.any else None)

    @contextlib.contextmanager
    def _hashes(self) -> Iterator[Path]:
        """A folder for ids, beside an output on this machine."""
        if isinstance(self.out, StorePath):
            with tempfile.TemporaryDirectory() as made:
                yield Path(made) / "ids"
            return
        hashes = self.out.with_name(f".{self.out.name}.ids")
        # What a killed job left there would count as ids of this one.
        retire(hashes)
        yield hashes

    def _score(
        self, sizes: list[int], marks: FileMarks, known: Mapping[int, Any]
    ) -> dict[int, dict[str, Any]]:
        """Score the chunks that are not in the ledger."""
        total = self.source.n_chunks(sizes)
        self.progress.stage("scoring")
        writer = PartWriter(self.work, self.ledger, self.out.suffix, self.spreadsheet)
        records: dict[int, dict[str, Any]] = {}
        try:
            for record in self.engine.run(
                self.source, sizes, self.scorer, marks, writer, set(known)
            ):
                records[record["number"]] = record
                self.progress.step(len(known) + len(records), total)
        except StorageError as error:
            so_far = [*known.values(), *records.values()]
            raise StorageError(f"{error}{_still_needed(so_far, sum(sizes), total)}") from None
        if len(records) + len(known) != total:
            raise CohortError(
                "The input must not change while it is scored; its rows did. Nothing was written."
            )
        if not records and total == 0 and not known:
            # A header and no rows: an output with all its columns and no rows.
            records[0] = writer.write(0, self.scorer.score(self.source.no_rows(), marks), 0)
        return records

    def _other_unit(self, records: Mapping[int, Mapping[str, Any]]) -> frozenset[str]:
        tallies: dict[str, Any] = {}
        for record in records.values():
            for name, tally in record["units"].items():
                tallies[name] = tallies.get(name, 0) + np.array(tally, dtype=np.int64)
        columns = self.scorer.bundle.encoder.columns
        return frozenset(
            c.name for c in columns if c.name in tallies and c.other_unit(tallies[c.name])
        )

    def _commit(self, plan: Mapping[str, Any], records: list[dict[str, Any]]) -> float:
        """Give the output its name in one step; returns the seconds that joining took."""
        self.progress.stage("committing")
        may_replace(self.out)
        self._sweep()
        parts = [self.work / record["part"] for record in records]
        seconds = 0.0
        if len(parts) == 1:
            finished = told = parts[0]
        elif self.single_file:
            began = time.perf_counter()
            finished = told = self.work / f"joined{self.out.suffix}"
            with atomic_file(finished, sum(record["bytes"] for record in records)) as temporary:
                join_parts(parts, temporary, self.out.suffix)
            seconds = time.perf_counter() - began
        else:
            finished, told = self.work, self.work / MANIFEST
            write_text(told, json.dumps(manifest_of(plan, records), indent=1))
        write_text(self.ledger / JOB, json.dumps({**plan, "finished": sha256_file(told)}))
        swap_in(finished, self.out)
        return seconds


def manifest_of(
    plan: Mapping[str, Any], records: list[dict[str, Any]], below: str = ""
) -> dict[str, Any]:
    """What a folder of parts holds, each part by its name after ``below``."""
    kept = ("rows", "sha256", "counts", "reasons")
    return {
        **plan,
        "n_rows": sum(record["rows"] for record in records),
        "parts": [
            {"part": f"{below}{record['part']}", **{key: record[key] for key in kept}}
            for record in records
        ],
    }


def _added(records: Mapping[int, Mapping[str, Any]], key: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for k in sorted(records):
        total.update(records[k][key])
    return total


def _still_needed(records: list[dict[str, Any]], rows: int, chunks: int) -> str:
    """How much room the rest will take, from what is written."""
    written = sum(record["rows"] for record in records)
    if not written:
        return f" Each of the {chunks:,} parts needs about as much." if chunks > 1 else ""
    size = sum(record["bytes"] for record in records)
    return f" About {int(size / written * (rows - written)):,} more bytes are needed for all rows."
