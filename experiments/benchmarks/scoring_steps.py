"""Where a scoring job's time goes: each of its steps alone, on one thread."""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["print_steps"]

_RUNS = 3


def print_steps(bundle: Any, path: Path, threads: int) -> None:
    """Print processor seconds of the steps, their sum, and the least that threads could take."""
    pa.set_cpu_count(1)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            steps = _steps(bundle, path, Path(folder))
            found = {name: _processor(step) for name, step in steps.items()}
    finally:
        pa.set_cpu_count(threads)
    print("  steps of the job alone, one thread, seconds of processor:")
    for name, seconds in found.items():
        print(f"    {name:<44} {seconds:.3f}")
    # Indented ones are parts of the step above them.
    whole = sum(seconds for name, seconds in found.items() if not name.startswith(" "))
    print(f"    sum {whole:.2f}; at best {whole / threads:.2f} s on {threads} threads", flush=True)


def _processor(step: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(_RUNS):
        began = time.process_time()
        step()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def _steps(bundle: Any, path: Path, folder: Path) -> dict[str, Callable[[], Any]]:
    """The job's steps, each with what it needs at hand."""
    from biomarker.models.link import survival_at_margin
    from pipelines.row_columns import read_column
    from pipelines.row_ids import find_repeated
    from pipelines.row_scores import FileMarks, RowScorer
    from pipelines.row_source import open_source
    from pipelines.score_parts import write_table
    from pipelines.storage import sha256_file, write_bytes, write_text

    scorer = RowScorer(bundle)
    scorer.prepare()
    columns, model = bundle.encoder.columns, bundle.fitted.model
    horizons = tuple(float(h) for h in bundle.description["horizons"])
    source = open_source(path, scorer.few_texts)
    rows = source.count_rows()
    tables = [table for _, table in source.chunks(scorer.needed, rows)]
    scored = [scorer.score(table, FileMarks()) for table in tables]
    features = [_features(bundle, table) for table in tables]
    margins = [_margin(scorer, each) for each in features]

    def ids() -> list[Any]:
        return [part for _, part in source.column_by_file(bundle.id_column)]

    def encoded() -> list[bytes]:
        buffers = [pa.BufferOutputStream() for _ in scored]
        for part, buffer in zip(scored, buffers, strict=True):
            write_table(part.table, buffer, ".parquet")
        return [buffer.getvalue() for buffer in buffers]

    held, parts = ids(), encoded()

    def written() -> None:
        for k, part in enumerate(parts):
            write_bytes(folder / f"{k}.parquet", memoryview(part))
            write_text(folder / f"{k}.json", "{}")

    return {
        "lay out the trees": scorer.prepare,
        "hash the input": lambda: sha256_file(path),
        "read the ids": ids,
        "find ids that stand twice": lambda: find_repeated(lambda: held, folder / "ids"),
        "read all columns": lambda: [None for _ in source.chunks(scorer.needed, rows)],
        "score": lambda: [scorer.score(table, FileMarks()) for table in tables],
        "  of it: values, states, reasons of columns": lambda: [
            read_column(column, table[column.name], False, None)
            for table in tables
            for column in columns
        ],
        "  of it: trees": lambda: [_margin(scorer, each) for each in features],
        "  of it: survival": lambda: [survival_at_margin(model, m, horizons) for m in margins],
        "make the parts (Parquet)": encoded,
        "hash the parts": lambda: [hashlib.sha256(part) for part in parts],
        "write and flush parts and records": written,
    }


def _features(bundle: Any, table: pa.Table) -> np.ndarray:
    raw = [c.plan.rule.parse(table[c.name]).values for c in bundle.encoder.columns]
    return bundle.encoder.transform(np.column_stack(raw), np.float32, "F")


def _margin(scorer: Any, features: np.ndarray) -> np.ndarray:
    return scorer._margin(features)
