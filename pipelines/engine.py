"""Where chunks are scored: on this machine's cores, or on a Dask cluster over a shared folder.

Every engine calls the same function on the same chunks, so that the parts are the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from biomarker.errors import UsageError
from pipelines.row_scores import FileMarks, RowScorer
from pipelines.row_source import Chunk, RowSource
from pipelines.score_parts import PartWriter, Record

__all__ = ["Engine", "LocalEngine", "engine_named"]


class Engine(Protocol):
    """Scores the chunks that are not done and yields their ledger records as they finish."""

    def run(
        self,
        source: RowSource,
        sizes: Sequence[int],
        scorer: RowScorer,
        marks: FileMarks,
        writer: PartWriter,
        done: Collection[int],
    ) -> Iterator[Record]:
        """Records in any order; ``sizes`` are the rows of each file."""

    def workers(self) -> AbstractContextManager[None]:
        """While this holds, training's folds and refits run there."""


def engine_named(name: str, threads: int = 0, scheduler: str | None = None) -> Engine:
    """The engine of a name, ``local`` or ``dask``.

    Raises
    ------
    UsageError
        If a scheduler is missing, or given for the local engine.
    """
    if (name == "dask") != (scheduler is not None):
        raise UsageError(
            "--scheduler must be given with --engine dask, and with it alone; got engine "
            f"'{name}' and {'a' if scheduler else 'no'} scheduler."
        )
    if scheduler is None:
        return LocalEngine(threads)
    from pipelines.dask_engine import DaskEngine

    return DaskEngine(scheduler)


@dataclass(frozen=True)
class LocalEngine:
    """Threads of this process: one reads, the others score and write.

    Attributes
    ----------
    threads : int
        0: every core.
    """

    threads: int = 0

    def run(
        self,
        source: RowSource,
        sizes: Sequence[int],
        scorer: RowScorer,
        marks: FileMarks,
        writer: PartWriter,
        done: Collection[int],
    ) -> Iterator[Record]:
        """As :meth:`Engine.run`; at most one chunk waits while each thread has one."""
        columns = [name for name in scorer.needed if name in source.names]
        threads = self.threads or os.cpu_count() or 1

        def one(chunk: Chunk, table: pa.Table) -> Record:
            scored = scorer.score(table, marks, chunk.first_row)
            return writer.write(chunk.number, scored, chunk.first_row)

        waiting: set[Future[Record]] = set()
        with ThreadPoolExecutor(threads) as pool:
            try:
                for chunk, table in source.chunks(columns, sizes, done):
                    waiting.add(pool.submit(one, chunk, table))
                    if len(waiting) > threads:
                        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                        for future in finished:
                            yield future.result()
                while waiting:
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield future.result()
            except BaseException:
                for future in waiting:
                    future.cancel()
                raise

    def workers(self) -> AbstractContextManager[None]:
        """As :meth:`Engine.workers`: training starts its own processes on this machine."""
        return nullcontext()
