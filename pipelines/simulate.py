"""Write synthetic cohorts: the file, the study that goes with it, and the truth apart from both."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import tomli_w

from biomarker.errors import UsageError
from biomarker.study import Study
from pipelines.storage import atomic_file, write_text

__all__ = ["recipe_lines", "write_cohort"]


def recipe_lines() -> list[tuple[str, str]]:
    """Name and title of every recipe."""
    from synthetic_data.facts import catalogue

    return [(recipe.name, recipe.title) for recipe in catalogue()]


def write_cohort(
    name: str,
    n_patients: int,
    seed: int,
    effects: Sequence[str],
    out: str | Path,
    truth: str | Path | None = None,
) -> dict[str, str]:
    """Draw a cohort block by block into files; memory does not grow with its length.

    Parameters
    ----------
    name : str
        An open design.
    n_patients, seed : int
    effects : sequence of str
        ``MARKER=KIND:SIZE``.
    out : path
        .csv or .parquet; the study is written beside it as ``STEM.study.toml``.
    truth : path, optional
        .parquet (a row per patient, the declaration in its metadata) or .json (the declaration).

    Returns
    -------
    dict
        What was written: ``cohort``, ``study`` and, on request, ``truth``.

    Raises
    ------
    StudyError
        If there is no such design, or an effect cannot be read.
    UsageError, StorageError
        If a file's ending is unknown, or it cannot be written.
    """
    from synthetic_data.schema import cohort_schema, stream, truth_schema
    from synthetic_data.study_files import study_for
    from synthetic_data.trial import plan_for

    out = Path(out)
    plan = plan_for(name, n_patients, seed, list(effects) or None)
    with contextlib.ExitStack() as files:
        cohort_writer = files.enter_context(_writer(out, cohort_schema(plan)))
        truth_writer = None
        if truth is not None and Path(truth).suffix != ".json":
            truth_writer = files.enter_context(_writer(Path(truth), truth_schema(plan)))
        for cohort, known in stream(plan):
            cohort_writer(cohort)
            if truth_writer is not None:
                truth_writer(known)
    study_file = out.with_name(f"{out.name.split('.')[0]}.study.toml")
    study = study_for(name)
    Study.from_dict(study)
    write_text(study_file, tomli_w.dumps(study))
    written = {"cohort": str(out), "study": str(study_file)}
    if truth is not None:
        if Path(truth).suffix == ".json":
            from synthetic_data.truth import Truth

            write_text(truth, json.dumps(Truth.declaration(plan), indent=1) + "\n")
        written["truth"] = str(truth)
    return written


@contextlib.contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[Any]:
    """A function that appends one batch to a file, moved into place when the block succeeds."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with atomic_file(path) as temporary, pq.ParquetWriter(temporary, schema) as parquet:
            yield lambda batch: parquet.write_batch(batch.cast(schema))
    elif path.suffix == ".csv":
        import pyarrow.csv as pa_csv

        from synthetic_data.schema import as_text

        text = as_text(pa.RecordBatch.from_pylist([], schema=schema)).schema
        options = pa_csv.WriteOptions(quoting_style="needed")
        with (
            atomic_file(path) as temporary,
            pa_csv.CSVWriter(temporary, text, write_options=options) as csv,
        ):
            yield lambda batch: csv.write_batch(as_text(batch))
    else:
        raise UsageError(f"The output must end in .csv or .parquet; got '{path.name}'. Rename it.")
