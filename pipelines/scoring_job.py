"""Score files of any length, unattended: in chunks, with a ledger, all of the output or none.

A job's parts grow in a hidden folder beside the output, ``.NAME.work``, its ledger in
``.NAME.ledger``. A part is in the ledger once it is whole on the disk, so that a job that was
killed goes on with what is missing. The manifest is written last, the folder of parts then takes
its name in one step, and the ledger goes when all else is done.

::

    scores/part-00000.parquet   scores of the first 131,072 rows, and so on
    scores/_manifest.json       what was scored with which model; every part with its SHA-256
    scores.drift.json, .html    how the rows differ from the training rows
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from biomarker import __version__
from biomarker.errors import CohortError, StorageError, UsageError
from biomarker.metrics.drift import Drift
from pipelines.bundle import Bundle
from pipelines.drift import file_drift, report_drift
from pipelines.engine import Engine, LocalEngine
from pipelines.output_place import (
    MANIFEST,
    clear_up,
    disk_faults,
    may_replace,
    only_job,
    remove,
    retire,
    swap_in,
)
from pipelines.row_scores import FileMarks, RowScorer
from pipelines.row_source import CHUNK_ROWS, RowSource, open_source
from pipelines.score_parts import PartWriter, formulas_in, join_parts
from pipelines.storage import atomic_file, same_file, sha256_file, write_text
from pipelines.terminal import Progress

__all__ = ["JobResult", "score_file"]

_JOB = "job.json"
_SMALL = 4 * 2**20  # bytes of a file that is read whole


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
    out : Path
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
    out: Path
    chunks: int
    chunks_done_before: int = 0
    join_seconds: float = 0.0
    formulas: int = 0
    drift: Drift | None = None


def score_file(
    source: str | Path,
    bundle: Bundle,
    out: str | Path,
    *,
    drivers: int = 0,
    allow_undeclared: bool = False,
    single_file: bool = False,
    restart: bool = False,
    drift: bool = True,
    spreadsheet: bool = False,
    engine: Engine | None = None,
    progress: Progress | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> JobResult:
    """Score a file, a folder of files or a pattern, whole or not at all.

    Parameters
    ----------
    source : path
        .csv, .tsv (also .gz) or .parquet; a folder of them; or a pattern.
    bundle : Bundle
    out : path
        Ends in .parquet or .csv. A file where the input has one chunk or ``single_file`` is set,
        else a folder of that name.
    drivers : int
        How many of each row's largest contributions to add.
    allow_undeclared : bool
        Leave aside columns that the study does not name.
    single_file : bool
        Join the parts at the end.
    restart : bool
        Throw away what an interrupted job of another input, model or setting left.
    drift : bool
        Write ``NAME.drift.json`` and ``NAME.drift.html`` beside the output NAME, where the bundle
        knows its training rows; else such reports of an earlier output are removed.
    spreadsheet : bool
        In a CSV output, an apostrophe before texts that a spreadsheet would take for formulas.
    engine : Engine, optional
        Where chunks are scored; all cores of this machine by default.
    progress : Progress, optional
    chunk_rows : int
        Rows of a part; part of what the output's bytes depend on.

    Returns
    -------
    JobResult

    Raises
    ------
    SchemaError, CohortError
        If the input lacks a column, is damaged, or changes while it is read; nothing is written.
    StorageError
        If the output cannot be written, another job is writing it, or an interrupted job of
        another input, model or setting stands in the way.
    """
    progress = Progress(quiet=True) if progress is None else progress
    engine = LocalEngine() if engine is None else engine
    out = Path(out)
    if out.suffix not in (".parquet", ".csv"):
        raise UsageError(f"The output must end in .parquet or .csv; got '{out.name}'. Rename it.")
    scorer = RowScorer(bundle, drivers)
    rows = open_source(source, scorer.few_texts, chunk_rows)
    ignored = scorer.check(list(rows.names), allow_undeclared)
    if any(same_file(path, out) or out in path.parents for path in rows.paths):
        raise UsageError(
            f"out must not be what is scored; got '{out.name}' for both. Name another: the "
            "patients' data would be replaced."
        )
    with only_job(out), disk_faults(out):
        clear_up(out)
        small = _small_table(rows)
        at_once = isinstance(engine, LocalEngine)
        if at_once and small is not None and not out.with_name(f".{out.name}.ledger").exists():
            done = _at_once(bundle, small, out, drivers, allow_undeclared, spreadsheet)
            told = report_drift(done.drift if drift else None, bundle, out, Path(source).name)
            return replace(done, drift=told)
        job = _Job(
            rows, scorer, out, ignored, single_file, spreadsheet, engine, progress, drift,
            Path(source).name,
        )  # fmt: skip
        return job.run(restart)


@dataclass
class _Job:
    """One run of a job, while it holds the output's lock."""

    source: RowSource
    scorer: RowScorer
    out: Path
    ignored: tuple[str, ...]
    single_file: bool
    spreadsheet: bool
    engine: Engine
    progress: Progress
    drift: bool
    source_name: str

    @property
    def work(self) -> Path:
        return self.out.with_name(f".{self.out.name}.work")

    @property
    def ledger(self) -> Path:
        return self.out.with_name(f".{self.out.name}.ledger")

    def run(self, restart: bool) -> JobResult:
        """Survey the file, score what is missing, commit."""
        self.progress.stage("reading the ids")
        with ThreadPoolExecutor(1) as pool:
            digest = pool.submit(_content_hash, self.source)
            before = [(path.stat().st_size, path.stat().st_mtime_ns) for path in self.source.paths]
            sizes, marks = self._survey()
            plan = self._plan(digest.result(), sizes)
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

        hashes = self.out.with_name(f".{self.out.name}.ids")
        # What a killed job left there would count as ids of this one.
        retire(hashes)
        repeated = find_repeated(passes, hashes)
        return sizes, FileMarks(repeated if repeated.any else None)

    def _plan(self, content: str, sizes: list[int]) -> dict[str, Any]:
        """What a job is: two runs with the same plan write the same bytes."""
        return {
            "format": 1,
            "release": __version__,
            "arrow": pa.__version__,
            "input": content,
            "files": [path.name for path in self.source.paths],
            "rows": sizes,
            "chunk_rows": self.source.chunk_rows,
            "model": self.scorer.bundle.digest,
            "model_name": self.scorer.bundle.description["name"],
            "drivers": self.scorer.drivers,
            "kind": self.out.suffix,
            "spreadsheet": self.spreadsheet,
            "other_unit": [],
        }

    def _take_up(self, plan: dict[str, Any], restart: bool) -> bool:
        """Take up an interrupted job of the same plan, refuse another, or begin.

        Returns
        -------
        bool
            Whether that job had finished, and only its ledger was left to remove.
        """
        known = _read_json(self.ledger / _JOB)
        if restart or not known:
            self._begin(plan)
            return False
        changed = [key for key in plan if key != "other_unit" and known.get(key) != plan[key]]
        if changed:
            raise StorageError(
                f"An interrupted job for '{self.out.name}' differs in its {', '.join(changed)} "
                "and cannot be taken up. Score the same input with the same model and settings, "
                "or discard what it did with --restart."
            )
        plan["other_unit"] = known["other_unit"]
        self._sweep()
        finished = self.out / MANIFEST if self.out.is_dir() else self.out
        return finished.is_file() and sha256_file(finished) == known.get("finished")

    def _begin(self, plan: Mapping[str, Any]) -> None:
        """Empty folders for this plan; the ledger goes first, for it vouches for the parts."""
        for folder in (self.ledger, self.work):
            retire(folder)
            folder.mkdir(parents=True)
        write_text(self.ledger / _JOB, json.dumps(plan, indent=1))

    def _records(self, verify: bool = True) -> dict[int, dict[str, Any]]:
        """Ledger of the chunks whose parts are whole."""
        found: dict[int, dict[str, Any]] = {}
        for entry in sorted(self.ledger.glob("[0-9]*.json")):
            record = _read_json(entry)
            part = self.work / str(record.get("part"))
            if not verify or (part.is_file() and sha256_file(part) == record["sha256"]):
                found[int(record["number"])] = record
        return found

    def _score(
        self, sizes: list[int], marks: FileMarks, known: Mapping[int, Any]
    ) -> dict[int, dict[str, Any]]:
        """Score the chunks that are not in the ledger."""
        total = self.source.n_chunks(sizes)
        self.progress.stage("scoring")
        self.scorer.prepare()
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
            kept = ("part", "rows", "sha256", "counts", "reasons")
            manifest = {
                **plan,
                "n_rows": sum(record["rows"] for record in records),
                "parts": [{key: record[key] for key in kept} for record in records],
            }
            write_text(told, json.dumps(manifest, indent=1))
        write_text(self.ledger / _JOB, json.dumps({**plan, "finished": sha256_file(told)}))
        swap_in(finished, self.out)
        return seconds

    def _sweep(self) -> None:
        """Remove what killed processes left half written."""
        for folder in (self.work, self.ledger):
            for leftover in folder.glob(".*.tmp"):
                remove(leftover)

    def _tidy(self) -> None:
        """Remove what a finished job no longer needs, the ledger last."""
        retire(self.work)
        retire(self.ledger)


def _small_table(source: RowSource) -> pa.Table | None:
    """All rows of one small file, where they make one chunk; None where they do not."""
    path = source.paths[0]
    # A compressed file may hold two hundred times its size before it is refused.
    most = _SMALL // 16 if path.suffix.lower() == ".gz" else _SMALL
    small = len(source.paths) == 1 and path.stat().st_size <= most
    if not small or (path.suffix == ".parquet" and source.count_rows()[0] > source.chunk_rows):
        return None
    from pipelines.readers import read_table

    table = read_table(path).table
    return table if table.num_rows <= source.chunk_rows else None


def _at_once(
    bundle: Bundle, table: pa.Table, out: Path, drivers: int, allow_undeclared: bool,
    spreadsheet: bool,
) -> JobResult:  # fmt: skip
    """One chunk in memory: no ledger, and nothing loaded that a small file does not need."""
    from pipelines.scoring import score_table, write_scores

    scored = score_table(bundle, table, drivers=drivers, allow_undeclared=allow_undeclared)
    may_replace(out)
    if out.is_dir():
        fresh = out.with_name(f".{out.stem}.{secrets.token_hex(6)}.tmp{out.suffix}")
        write_scores(scored.table, fresh, spreadsheet)
        swap_in(fresh, out)
    else:
        write_scores(scored.table, out, spreadsheet)
    drift = file_drift(bundle, [scored.support], table.num_rows)
    return JobResult(
        table.num_rows, scored.counts, scored.reasons, scored.ignored, out, chunks=1,
        formulas=formulas_in(scored.table) if out.suffix == ".csv" else 0, drift=drift,
    )  # fmt: skip


def _content_hash(source: RowSource) -> str:
    """SHA-256 over the files' own hashes, in order."""
    whole = hashlib.sha256()
    for path in source.paths:
        try:
            whole.update(bytes.fromhex(sha256_file(path)))
        except OSError as error:
            raise CohortError(
                f"The input '{path.name}' could not be read: {error.strerror or 'input error'}."
            ) from None
    return whole.hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


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
