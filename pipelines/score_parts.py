"""Scores on the disk: parts that are whole or absent, and the one file they may be joined into."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.row_scores import ScoredRows
from pipelines.storage import write_bytes, write_text

__all__ = ["PartWriter", "join_parts", "write_table"]


@dataclass(frozen=True)
class PartWriter:
    """Writes a chunk's scores into a job's folder, then its line in the ledger.

    Attributes
    ----------
    folder, ledger : Path
        For the parts and for their records.
    kind : {".parquet", ".csv"}
    """

    folder: Path
    ledger: Path
    kind: str

    def write(self, number: int, scored: ScoredRows, first_row: int) -> dict[str, Any]:
        """Returns the ledger's record: counts and hashes, nothing of a patient."""
        name = f"part-{number:05d}{self.kind}"
        # Made in memory first: a disk that is full is then told how much the part takes.
        buffer = pa.BufferOutputStream()
        write_table(scored.table, buffer, self.kind)
        data = memoryview(buffer.getvalue())
        write_bytes(self.folder / name, data)
        record = {
            "number": number,
            "part": name,
            "rows": scored.table.num_rows,
            "first_row": first_row,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "counts": scored.counts,
            "reasons": scored.reasons,
            "units": {name: tally.tolist() for name, tally in scored.units.items() if tally[0]},
            "support": {name: tally.tolist() for name, tally in scored.support.items()},
        }
        write_text(self.ledger / f"{number:05d}.json", json.dumps(record))
        return record


def write_table(table: pa.Table, path: Any, kind: str) -> None:
    """Scores as Parquet or CSV; columns of few texts are stored as plain text."""
    if kind == ".parquet":
        import pyarrow.parquet as pq

        # Without Arrow's own schema a dictionary reads back as the text it stands for.
        pq.write_table(table, path, store_schema=False)
    else:
        import pyarrow.csv as pa_csv

        pa_csv.write_csv(plain_text(table), path)


def plain_text(table: pa.Table) -> pa.Table:
    """Dictionaries written out."""
    columns = [
        pc.cast(column, pa.string()) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def join_parts(parts: list[Path], path: Path, kind: str) -> None:
    """Write parts into one file, in order, holding one at a time."""
    if len(parts) == 1:
        path.write_bytes(parts[0].read_bytes())
        return
    if kind == ".csv":
        with path.open("wb") as out:
            for k, part in enumerate(parts):
                with part.open("rb") as handle:
                    head = handle.readline()
                    out.write(head if k == 0 else b"")
                    while piece := handle.read(2**22):
                        out.write(piece)
        return
    import pyarrow.parquet as pq

    writer = None
    try:
        for part in parts:
            table = pq.read_table(part, memory_map=True)
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, store_schema=False)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
