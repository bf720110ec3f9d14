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

import secrets
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from biomarker.errors import UsageError
from pipelines.bundle import Bundle
from pipelines.drift import file_drift, report_drift
from pipelines.engine import Engine, LocalEngine
from pipelines.job_run import Job, JobResult
from pipelines.output_place import clear_up, disk_faults, may_replace, only_job, swap_in
from pipelines.row_scores import RowScorer
from pipelines.row_source import CHUNK_ROWS, RowSource, open_source
from pipelines.score_parts import formulas_in
from pipelines.storage import same_file
from pipelines.store_lease import leased
from pipelines.stores import Place, StorePath, located
from pipelines.terminal import Progress

__all__ = ["Job", "JobResult", "score_file"]

_SMALL = 4 * 2**20  # bytes of a file that is read whole


def score_file(
    source: str | Place,
    bundle: Bundle,
    out: str | Place,
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
        .csv, .tsv (also .gz) or .parquet; a folder of them; or a pattern. Here and for ``out`` an
        address of a store too, such as ``s3://bucket/new.parquet``.
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
    out = located(out)
    if out.suffix not in (".parquet", ".csv"):
        raise UsageError(f"The output must end in .parquet or .csv; got '{out.name}'. Rename it.")
    scorer = RowScorer(bundle, drivers)
    rows = open_source(source, scorer.few_texts, chunk_rows)
    ignored = scorer.check(list(rows.names), allow_undeclared)
    if _among_the_input(out, rows):
        raise UsageError(
            f"out must not be what is scored; got '{out.name}' for both. Name another: the "
            "patients' data would be replaced."
        )
    name = located(source).name
    if isinstance(out, StorePath):
        from pipelines.store_job import StoreJob

        with disk_faults(out), leased(out) as lease:
            return StoreJob(
                rows, scorer, out, ignored, single_file, spreadsheet, engine, progress, drift,
                name, lease,
            ).run(restart)  # fmt: skip
    with only_job(out), disk_faults(out):
        clear_up(out)
        small = _small_table(rows)
        at_once = isinstance(engine, LocalEngine)
        if at_once and small is not None and not out.with_name(f".{out.name}.ledger").exists():
            done = _at_once(bundle, small, out, drivers, allow_undeclared, spreadsheet)
            told = report_drift(done.drift if drift else None, bundle, out, name)
            return replace(done, drift=told)
        job = Job(
            rows, scorer, out, ignored, single_file, spreadsheet, engine, progress, drift, name
        )
        return job.run(restart)


def _among_the_input(out: Place, source: RowSource) -> bool:
    """Whether writing the output would replace what is scored."""
    if isinstance(out, StorePath):
        return any(f"{path}/".startswith(f"{out}/") for path in source.paths)
    here = [path for path in source.paths if isinstance(path, Path)]
    return any(same_file(path, out) or out in path.parents for path in here)


def _small_table(source: RowSource) -> pa.Table | None:
    """All rows of one small file, where they make one chunk; None where they do not."""
    path = source.paths[0]
    # A compressed file may hold two hundred times its size before it is refused.
    most = _SMALL // 16 if path.suffix.lower() == ".gz" else _SMALL
    small = len(source.paths) == 1 and isinstance(path, Path) and path.stat().st_size <= most
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
