"""Write synthetic cohorts: the file, the study that goes with it, and the truth apart from both."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import tomli_w

from biomarker.errors import StudyError, UsageError
from biomarker.study import Study
from pipelines.storage import atomic_file, write_text

__all__ = ["recipe_lines", "write_cohort"]


def recipe_lines() -> list[tuple[str, str]]:
    """Name and title of every recipe."""
    from synthetic_data.facts import catalogue

    return [(recipe.name, recipe.title) for recipe in catalogue()]


def write_cohort(
    name: str,
    n_patients: int | None,
    seed: int,
    effects: Sequence[str],
    out: str | Path,
    truth: str | Path | None = None,
    *,
    dirty: str | Path | None = None,
    confounding: float = 0.0,
    informative: float = 0.0,
) -> dict[str, str]:
    """Draw a cohort block by block into files; memory does not grow with its length.

    Parameters
    ----------
    name : str
        A recipe; open designs take effects.
    n_patients : int or None
        None takes 500 for an open design and the published size for a published study.
    seed : int
    effects : sequence of str
        ``MARKER=KIND:SIZE``.
    out : path
        .csv or .parquet; the study is written beside it as ``STEM.study.toml``.
    truth : path, optional
        .parquet (a row per patient, the declaration in its metadata) or .json (the declaration).
    dirty : path, optional
        Plant faults in the cohort (a .csv) and list them in this .csv file.
    confounding, informative : float
        As :func:`synthetic_data.plan_for` takes them.

    Returns
    -------
    dict
        What was written: ``cohort``, ``study`` where the recipe has outcomes, and on request
        ``truth`` and ``planted``.

    Raises
    ------
    StudyError
        If there is no such recipe, or an effect cannot be read.
    UsageError, StorageError
        If a file's ending is unknown, or it cannot be written.
    """
    from synthetic_data.facts import recipe
    from synthetic_data.plan import plan_for

    out = Path(out)
    if n_patients is None and recipe(name).kind == "open":
        n_patients = 500
    plan = plan_for(
        name,
        n_patients,
        seed,
        list(effects) or None,
        confounding=confounding,
        informative=informative,
    )
    written = {"cohort": str(out)}
    _write_batches(plan, out, truth, clean=dirty is None)
    if dirty is not None:
        _write_dirty(plan, seed, out, Path(dirty))
        written["planted"] = str(dirty)
    study = _study(name)
    if study is not None:
        study_file = out.with_name(f"{out.name.split('.')[0]}.study.toml")
        write_text(study_file, tomli_w.dumps(study))
        written["study"] = str(study_file)
    if truth is not None:
        written["truth"] = str(truth)
    return written


def _write_batches(plan: Any, out: Path, truth: str | Path | None, clean: bool) -> None:
    """Stream the cohort (unless a dirty one is wanted) and the truth side by side."""
    from synthetic_data.schema import cohort_schema, stream, truth_schema

    with contextlib.ExitStack() as files:
        writers: list[Any] = [None, None]
        if clean:
            writers[0] = files.enter_context(_writer(out, cohort_schema(plan)))
        if truth is not None and Path(truth).suffix == ".json":
            from synthetic_data.truth import Truth

            write_text(truth, json.dumps(Truth.declaration(plan), indent=1) + "\n")
        elif truth is not None:
            writers[1] = files.enter_context(_writer(Path(truth), truth_schema(plan)))
        if not any(writers):
            return
        for batches in stream(plan):
            for writer, batch in zip(writers, batches, strict=True):
                if writer is not None:
                    writer(batch)


def _write_dirty(plan: Any, seed: int, out: Path, planted_file: Path) -> None:
    """Draw the cohort in memory, plant faults, and write both the file and the list of them."""
    from synthetic_data.dirty import make_dirty
    from synthetic_data.schema import cohort_batches

    for path in (out, planted_file):
        if path.suffix != ".csv":
            raise UsageError(f"A dirty cohort and its list must be .csv files; got '{path.name}'.")
    clean = pa.Table.from_batches(list(cohort_batches(plan)))
    frame, planted = make_dirty(clean.to_pandas(), seed)
    for field in clean.schema:
        limit = (field.metadata or {}).get(b"lower_limit")
        if limit is not None:
            frame[field.name] = [_reading(value, limit.decode()) for value in frame[field.name]]
    for path, table in ((out, frame), (planted_file, planted)):
        with atomic_file(path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")


def _reading(value: Any, limit: str) -> Any:
    """A number below the detection limit as the laboratory prints it; anything else as it is."""
    return f"<{limit}" if isinstance(value, float) and value < float(limit) else value


def _study(name: str) -> dict[str, Any] | None:
    """The recipe's study, checked; None for a recipe without outcomes."""
    from synthetic_data.study_files import study_for

    try:
        study = study_for(name)
    except StudyError:
        return None
    Study.from_dict(study)
    return study


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
