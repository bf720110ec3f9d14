"""Scores on the disk: parts that are whole or absent, and the one file they may be joined into."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.row_scores import ScoredRows
from pipelines.storage import write_bytes, write_text
from pipelines.stores import Place, arrow_source

__all__ = [
    "PartWriter",
    "Record",
    "formulas_in",
    "join_parts",
    "marked_formulas",
    "plain_text",
    "write_table",
]

Record = dict[str, Any]  # of one written part: a line of the ledger

# What a spreadsheet reads on as a formula: the usual signs, their wide forms, and blanks that it
# may skip before one.
_FORMULA = "^[=+\\-@\t\r\n＝＋－＠]"  # the wide forms are meant
_BEGINS = re.compile(f"{_FORMULA}|^'")


@dataclass(frozen=True)
class PartWriter:
    """Writes a chunk's scores into a job's folder, then its line in the ledger.

    Attributes
    ----------
    folder, ledger : path or StorePath
        For the parts and for their records.
    kind : {".parquet", ".csv"}
    spreadsheet : bool
        Mark texts of a CSV file that a spreadsheet would take for formulas.
    """

    folder: Place
    ledger: Place
    kind: str
    spreadsheet: bool = False

    def write(self, number: int, scored: ScoredRows, first_row: int) -> Record:
        """Returns the ledger's record: counts and hashes, nothing of a patient."""
        name = f"part-{number:05d}{self.kind}"
        # Made in memory first: a disk that is full is then told how much the part takes.
        buffer = pa.BufferOutputStream()
        write_table(scored.table, buffer, self.kind, self.spreadsheet)
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
            "formulas": formulas_in(scored.table) if self.kind == ".csv" else 0,
            "units": {name: tally.tolist() for name, tally in scored.units.items() if tally[0]},
            "support": {name: tally.tolist() for name, tally in scored.support.items()},
        }
        write_text(self.ledger / f"{number:05d}.json", json.dumps(record))
        return record


def write_table(table: pa.Table, path: Any, kind: str, spreadsheet: bool = False) -> None:
    """Scores as Parquet or CSV; columns of few texts are stored as plain text."""
    if kind == ".parquet":
        import pyarrow.parquet as pq

        # Without Arrow's own schema a dictionary reads back as the text it stands for.
        pq.write_table(
            table, path, store_schema=False, use_dictionary=columns_of_few_texts(table.schema)
        )
    else:
        import pyarrow.csv as pa_csv

        plain = plain_text(table)
        pa_csv.write_csv(marked_formulas(plain) if spreadsheet else plain, path)


def columns_of_few_texts(schema: pa.Schema) -> list[str]:
    """Columns that Parquet stores as a dictionary: texts but the ids, which are all distinct.

    A dictionary of distinct ids or numbers costs a third of a whole job and makes files larger.
    """
    kinds = (pa.types.is_dictionary, pa.types.is_string, pa.types.is_large_string)
    return [field.name for field in list(schema)[1:] if any(kind(field.type) for kind in kinds)]


def formulas_in(table: pa.Table) -> int:
    """How many ids a spreadsheet would take for a formula."""
    ids = table.column(0)
    if not pa.types.is_string(ids.type) and not pa.types.is_large_string(ids.type):
        return 0
    return int(pc.sum(pc.match_substring_regex(ids, _FORMULA)).as_py() or 0)


def marked_formulas(table: pa.Table) -> pa.Table:
    """An apostrophe before texts that begin like a formula, or with an apostrophe.

    Taking one apostrophe off every text that begins with one gives the texts back.
    """
    columns = []
    for column in table.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            begins = pc.match_substring_regex(column, f"{_FORMULA}|^'")
            marked = pc.binary_join_element_wise(pa.scalar("'", column.type), column, "")
            column = pc.if_else(pc.fill_null(begins, False), marked, column)
        columns.append(column)
    names = [f"'{name}" if _BEGINS.match(name) else name for name in table.column_names]
    return pa.table(columns, names=names)


def plain_text(table: pa.Table) -> pa.Table:
    """Dictionaries written out."""
    columns = [
        pc.cast(column, pa.string()) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def join_parts(parts: Sequence[Place], path: Path, kind: str) -> None:
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
            table = pq.read_table(arrow_source(part), memory_map=True)
            if writer is None:
                writer = pq.ParquetWriter(
                    path,
                    table.schema,
                    store_schema=False,
                    use_dictionary=columns_of_few_texts(table.schema),
                )
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
