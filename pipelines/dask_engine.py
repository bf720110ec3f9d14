"""Chunks scored on an existing Dask cluster, over a folder that every machine sees.

What travels to a worker is names and numbers alone: it reads its rows from the shared input, the
model from a copy beside the output's ledger (hashes verified again there), and writes its parts
where the job expects them. A part is the same bytes wherever it was made.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from biomarker.errors import BundleError, UsageError
from pipelines.bundle import load_bundle
from pipelines.engine import Record
from pipelines.row_scores import FileMarks, RowScorer
from pipelines.row_source import RowSource, open_source
from pipelines.score_parts import PartWriter

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
        try:
            from distributed import Client, as_completed
        except ImportError:
            raise UsageError(
                "The dask engine needs the package 'distributed'. Install biomarker-response[dask]."
            ) from None
        try:
            connect: Any = Client
            client = connect(self.scheduler, timeout=20, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"The scheduler must answer at '{self.scheduler}'; got {type(error).__name__}. "
                "Start it, or score on this machine."
            ) from None
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


def _stored_task(
    source: RowSource,
    sizes: Sequence[int],
    scorer: RowScorer,
    marks: FileMarks,
    writer: PartWriter,
) -> str:
    """Put what workers need beside the ledger; returns what they are told, as JSON."""
    model = writer.ledger / "bundle"
    if not model.exists():
        shutil.copytree(scorer.bundle.folder, model)
    repeated = marks.repeated
    if repeated is not None:
        repeated.save(writer.ledger / "repeated")  # type: ignore[attr-defined]
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
        Path(told["folder"]), Path(told["ledger"]), told["kind"], told["spreadsheet"]
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
    ledger = Path(told["ledger"])
    bundle = load_bundle(ledger / "bundle")
    if bundle.digest != told["digest"]:
        raise BundleError("The bundle beside the ledger is another one than the job's.")
    scorer = RowScorer(bundle, told["drivers"])
    scorer.prepare()
    repeated = RepeatedIds.load(ledger / "repeated") if told["repeated"] else None
    paths = [Path(path) for path in told["paths"]]
    source = open_source(paths, scorer.few_texts, told["chunk_rows"])
    return source, scorer, FileMarks(repeated, frozenset(told["other_unit"]))
