"""A file, a folder or a pattern of files, read in parts of the same rows however it is read.

A *chunk* is up to 131,072 rows of one file. Its number and rows depend on the input alone, so that
work can be shared out, stopped and taken up again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from biomarker.errors import CohortError, SchemaError
from biomarker.parsing import to_arrow
from pipelines.readers import file_fault, kind_of
from pipelines.stores import Place, StorePath, arrow_source, located
from pipelines.text_rows import header, text_blocks

__all__ = ["CHUNK_ROWS", "Chunk", "RowSource", "open_source"]

CHUNK_ROWS = 131_072


@dataclass(frozen=True)
class Chunk:
    """Rows of one file.

    Attributes
    ----------
    number : int
        From 0, over all files.
    file : int
        Position among the source's files.
    first_row : int
        Position of its first row among the rows of all files.
    """

    number: int
    file: int
    first_row: int


class _Reader(Protocol):
    """One file's rows in order."""

    @property
    def names(self) -> list[str]:
        """Columns of the file."""

    def parts(
        self, columns: Sequence[str], skip: int = 0, size: int = CHUNK_ROWS
    ) -> Iterator[tuple[int, pa.Table]]:
        """Tables that follow one another and the rows before each, from about row ``skip`` on."""


@dataclass(frozen=True, eq=False)
class RowSource:
    """Rows of one or several files of one kind, in the files' order.

    Attributes
    ----------
    paths : tuple of Path
        In order of name.
    names : tuple of str
        Columns; the same in every file.
    chunk_rows : int
        Most rows of a chunk.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    chunk_rows: int
    _readers: tuple[_Reader, ...]

    def column_by_file(self, name: str) -> Iterator[tuple[int, pa.Array]]:
        """A column part by part, each with the position of its file."""
        for file, reader in enumerate(self._readers):
            for _, table in reader.parts([name]):
                yield file, to_arrow(table[name])

    def no_rows(self) -> pa.Table:
        """A table without rows, all columns text."""
        return pa.table({name: pa.array([], pa.string()) for name in self.names})

    def count_rows(self) -> list[int]:
        """Rows of each file; text files are read through, which checks them."""
        return [
            reader.n_rows
            if isinstance(reader, _ParquetRows)
            else sum(table.num_rows for _, table in reader.parts(reader.names[:1]))
            for reader in self._readers
        ]

    def chunks(
        self, columns: Sequence[str], rows: Sequence[int], done: Collection[int] = ()
    ) -> Iterator[tuple[Chunk, pa.Table]]:
        """Every chunk that is not done, in order.

        Parameters
        ----------
        columns : sequence of str
        rows : sequence of int
            Of each file, as :meth:`count_rows` gives them.
        done : collection of int
            Numbers of chunks to pass over.
        """
        number, before = 0, 0
        for file, (reader, n) in enumerate(zip(self._readers, rows, strict=True)):
            size, here = self.chunk_rows, self.n_chunks([n])
            wanted = [k for k in range(here) if number + k not in done]
            if wanted:
                parts = reader.parts(columns, wanted[0] * size, size)
                for k, table in _cut(parts, wanted, size):
                    yield Chunk(number + k, file, before + k * size), table
            number, before = number + here, before + n

    def n_chunks(self, rows: Sequence[int]) -> int:
        """Chunks that files of so many rows have."""
        return sum(-(-n // self.chunk_rows) for n in rows)


def open_source(
    source: str | Place | Sequence[Place],
    text_columns: Collection[str] = (),
    chunk_rows: int = CHUNK_ROWS,
) -> RowSource:
    """Find the files and read their column names.

    Parameters
    ----------
    source : path, address of a store, or sequence of them
        A .csv, .tsv (also .gz) or .parquet file, a folder of them, or a pattern such as
        ``cohort/2024-*.parquet``. Names that begin with a dot or an underscore are passed over.
    text_columns : collection of str
        Columns whose few texts Parquet files hold as a dictionary.
    chunk_rows : int

    Raises
    ------
    CohortError
        If there is no file, kinds are mixed, or a file is damaged.
    SchemaError
        If files differ in their columns.
    """
    # Objects of a store are read as paths are.
    one = isinstance(source, (str, Path, StorePath))
    paths: list[Any] = _found(source) if one else list(source)  # type: ignore[arg-type]
    kinds = sorted({kind_of(path.name)[0] for path in paths})
    if len(kinds) > 1:
        raise CohortError(
            f"The files must be of one kind; got {', '.join(kinds)}. Score each kind apart."
        )
    readers: list[_Reader] = []
    for path in paths:
        parquet = kinds[0] == ".parquet"
        readers.append(_ParquetRows.open(path, text_columns) if parquet else _TextRows.open(path))
    for path, reader in zip(paths, readers, strict=True):
        if reader.names != readers[0].names:
            raise SchemaError(
                f"Every file must have the same columns in the same order; '{path.name}' and "
                f"'{paths[0].name}' differ. Nothing was written."
            )
    return RowSource(tuple(paths), tuple(readers[0].names), chunk_rows, tuple(readers))


def _found(source: str | Place) -> list[Any]:
    path = located(source)
    if path.is_file():
        return [path]
    entries = path.iterdir() if path.is_dir() else _matching(path)
    found = sorted(p for p in entries if p.is_file() and p.name[0] not in "._")
    if not found:
        what = "a folder without one" if path.is_dir() else "no file"
        raise CohortError(f"The input must be a file; {what} stands at '{path.name}'.")
    return found


def _matching(path: Place) -> Iterator[Place]:
    """Files a pattern names; its folder may be a pattern too."""
    if isinstance(path, StorePath):
        return path.matching()
    parts = path.parts
    fixed = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    if fixed == len(parts):
        return iter(())
    return Path(*parts[:fixed]).glob(str(Path(*parts[fixed:])))


def _cut(
    parts: Iterator[tuple[int, pa.Table]], wanted: Sequence[int], size: int
) -> Iterator[tuple[int, pa.Table]]:
    """The wanted chunks of one file, joined from parts of any length."""
    left = iter(wanted)
    k = next(left)
    held: list[pa.Table] = []
    rows = 0
    for before, table in parts:
        at = 0
        while at < table.num_rows:
            begin = k * size
            here = before + at
            if here < begin:
                at += min(begin - here, table.num_rows - at)
                continue
            take = min(begin + size - here, table.num_rows - at)
            held.append(table.slice(at, take))
            rows, at = rows + take, at + take
            if rows == size:
                yield k, pa.concat_tables(held)
                held, rows = [], 0
                following = next(left, None)
                if following is None:
                    return
                k = following
    if rows:
        yield k, pa.concat_tables(held)


@dataclass(frozen=True, eq=False)
class _ParquetRows:
    """Row groups of a Parquet file, decoded a chunk at a time."""

    path: Path
    names: list[str]
    n_rows: int
    _file: Any

    @classmethod
    def open(cls, path: Path, text_columns: Collection[str]) -> _ParquetRows:
        import pyarrow.parquet as pq

        if path.stat().st_size == 0:
            raise file_fault(path.name, None, "empty", "no bytes", "a Parquet file")
        with _ParquetFaults(path):
            schema = pq.read_schema(arrow_source(path))
            few = [
                name
                for name in text_columns
                if name in schema.names and pa.types.is_string(schema.field(name).type)
            ]
            file = pq.ParquetFile(arrow_source(path), read_dictionary=few, memory_map=True)
            return cls(path, list(file.schema_arrow.names), file.metadata.num_rows, file)

    def parts(
        self, columns: Sequence[str], skip: int = 0, size: int = CHUNK_ROWS
    ) -> Iterator[tuple[int, pa.Table]]:
        metadata, groups, before = self._file.metadata, [], 0
        begin = 0
        for group in range(metadata.num_row_groups):
            n = metadata.row_group(group).num_rows
            if before + n > skip:
                groups.append(group)
            else:
                begin = before + n
            before += n
        if not groups:
            return
        with _ParquetFaults(self.path):
            for batch in self._file.iter_batches(
                size, row_groups=groups, columns=list(columns), use_threads=True
            ):
                yield begin, pa.Table.from_batches([batch])
                begin += batch.num_rows


class _ParquetFaults:
    """Turn Arrow's words on damaged bytes into one clear message."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, (pa.ArrowException, OSError)):
            raise file_fault(
                self.path.name, None, "damaged file", "bytes that are no Parquet table",
                "a whole Parquet file",
            ) from None  # fmt: skip


@dataclass(frozen=True, eq=False)
class _TextRows:
    """Records of a text file."""

    path: Path
    names: list[str]

    @classmethod
    def open(cls, path: Path) -> _TextRows:
        if path.stat().st_size == 0:
            raise file_fault(
                path.name, None, "empty", "no bytes", "a header line and one line a patient"
            )
        return cls(path, header(path))

    def parts(
        self, columns: Sequence[str], skip: int = 0, size: int = CHUNK_ROWS
    ) -> Iterator[tuple[int, pa.Table]]:
        before, wanted = 0, [self.names.index(name) for name in columns]
        for table in text_blocks(self.path, wanted):
            if table.num_rows:
                yield before, table.rename_columns(list(columns))
                before += table.num_rows
