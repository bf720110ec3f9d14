"""Chunks scored on an existing Dask cluster, over a folder or store that every machine sees.

What travels to a worker is names and numbers alone: it reads its rows from the shared input, the
model from a copy beside the output's ledger (hashes verified again there), and writes its parts
where the job expects them. A part is the same bytes wherever it was made.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from biomarker.errors import BundleError
from pipelines.bundle import load_bundle
from pipelines.dask_workers import connected, training_workers
from pipelines.row_scores import FileMarks, RowScorer
from pipelines.row_source import RowSource, open_source
from pipelines.score_parts import PartWriter, Record
from pipelines.stores import copied_in, local_copy, located

__all__ = ["DaskEngine", "score_chunks"]

_MOST_CHUNKS = 8  # of one task: chunks of a row group are decoded together
_TRIES = 5


@dataclass(frozen=True)
class DaskEngine:
    """Workers of a Dask cluster.

    Attributes
    ----------
    scheduler : str
        Its address, such as ``tcp://127.0.0.1:8786``.
    """

    scheduler: str

    def run(
        self,
        source: RowSource,
        sizes: Sequence[int],
        scorer: RowScorer,
        marks: FileMarks,
        writer: PartWriter,
        done: Collection[int],
    ) -> Iterator[Record]:
        """As :meth:`pipelines.engine.Engine.run`; tasks of lost workers are done by others."""
        client = connected(self.scheduler)
        from distributed import as_completed

        with client:
            task = _stored_task(source, sizes, scorer, marks, writer)
            missing = [k for k in range(source.n_chunks(sizes)) if k not in done]
            n_workers = max(1, len(client.scheduler_info()["workers"]))
            each = max(1, min(_MOST_CHUNKS, len(missing) // (4 * n_workers)))
            futures = client.map(
                score_chunks,
                [task] * -(-len(missing) // each),
                [missing[i : i + each] for i in range(0, len(missing), each)],
                pure=False,
                retries=_TRIES,
            )
            finished: Any = as_completed
            for future in finished(futures, loop=client.loop):
                yield from future.result()

    def workers(self) -> AbstractContextManager[None]:
        """As :meth:`pipelines.engine.Engine.workers`, through joblib's own Dask backend."""
        return training_workers(self.scheduler)


def _stored_task(
    source: RowSource,
    sizes: Sequence[int],
    scorer: RowScorer,
    marks: FileMarks,
    writer: PartWriter,
) -> str:
    """Put what workers need beside the ledger; returns what they are told, as JSON."""
    model = writer.ledger / "bundle"
    copied_in(scorer.bundle.folder, model)
    repeated = marks.repeated
    if repeated is not None:
        with tempfile.TemporaryDirectory() as made:
            repeated.save(Path(made))  # type: ignore[attr-defined]
            copied_in(Path(made), writer.ledger / "repeated")
    return json.dumps(
        {
            "paths": [str(path.resolve()) for path in source.paths],
            "sizes": list(sizes),
            "chunk_rows": source.chunk_rows,
            "digest": scorer.bundle.digest,
            "drivers": scorer.drivers,
            "repeated": repeated is not None,
            "other_unit": sorted(marks.other_unit),
            "folder": str(writer.folder.resolve()),
            "ledger": str(writer.ledger.resolve()),
            "kind": writer.kind,
            "spreadsheet": writer.spreadsheet,
        }
    )


def score_chunks(task: str, numbers: Sequence[int]) -> list[Record]:
    """Score some chunks of a job, on whichever machine this runs; returns their records."""
    told = json.loads(task)
    source, scorer, marks = _prepared(task)
    writer = PartWriter(
        located(told["folder"]), located(told["ledger"]), told["kind"], told["spreadsheet"]
    )
    columns = [name for name in scorer.needed if name in source.names]
    others = set(range(source.n_chunks(told["sizes"]))) - set(numbers)
    return [
        writer.write(chunk.number, scorer.score(table, marks, chunk.first_row), chunk.first_row)
        for chunk, table in source.chunks(columns, told["sizes"], others)
    ]


@lru_cache(maxsize=2)
def _prepared(task: str) -> tuple[RowSource, RowScorer, FileMarks]:
    """The job's input and model on this worker, opened once."""
    from pipelines.row_ids import RepeatedIds

    told: Mapping[str, Any] = json.loads(task)
    ledger = located(told["ledger"])
    with local_copy(ledger / "bundle") as folder:
        bundle = load_bundle(folder)
    if bundle.digest != told["digest"]:
        raise BundleError("The bundle beside the ledger is another one than the job's.")
    scorer = RowScorer(bundle, told["drivers"])
    scorer.prepare()
    repeated = None
    if told["repeated"]:
        with local_copy(ledger / "repeated") as folder:
            repeated = RepeatedIds.load(folder)
    paths = [located(path) for path in told["paths"]]
    source = open_source(paths, scorer.few_texts, told["chunk_rows"])
    return source, scorer, FileMarks(repeated, frozenset(told["other_unit"]))
