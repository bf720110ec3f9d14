"""Files in, nothing guessed: CSV and TSV as text, Parquet as it is typed.

Every reader gives an Arrow table and a way from a row to its line in the file.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from biomarker.errors import CohortError, Fault

__all__ = [
    "MAX_GZIP_RATIO",
    "RATIO_CHECKED_FROM",
    "FileTable",
    "check_block",
    "check_bytes",
    "distinct",
    "file_fault",
    "header_of",
    "kind_of",
    "parse_block",
    "read_table",
    "read_table_from",
]

Positions = npt.NDArray[np.int64]

# A cohort file compresses perhaps twentyfold; past this ratio and size it is a bomb or a mistake.
MAX_GZIP_RATIO = 200
RATIO_CHECKED_FROM = 16 * 2**20
_MAX_GZIP_BYTES = 8 * 2**30


@dataclass(frozen=True)
class FileTable:
    """A file's table and the line each row stands on.

    Attributes
    ----------
    table : pyarrow Table, shape (n_rows, n_columns)
        Text columns for CSV and TSV; the stored types for Parquet.
    place : str
        ``line`` (text files) or ``row`` (Parquet): what :meth:`line` counts.
    """

    table: pa.Table
    place: str
    name: str
    _lines: Positions | None = None

    def line(self, row: int) -> int:
        """Where row ``row`` (from 0) stands in the file, counted from 1."""
        if self._lines is not None:
            return int(self._lines[row])
        return row + (2 if self.place == "line" else 1)


def read_table(path: str | Path) -> FileTable:
    """Read a cohort file by its ending: .csv, .tsv (also .gz) or .parquet.

    Raises
    ------
    CohortError
        If the file is absent, empty, of another kind, or its text is damaged; the message names
        the file line and never shows its content.
    """
    path = Path(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file"
        raise CohortError(f"The input must be a file; {what} stands at '{path.name}'.")
    try:
        return read_table_from(path.name, path.read_bytes)
    except OSError as error:
        raise CohortError(
            f"The input '{path.name}' could not be read: {error.strerror or 'input error'}."
        ) from None


def read_table_from(name: str, content: Callable[[], bytes]) -> FileTable:
    """Read a table from bytes, judged by the file name's ending; errors as :func:`read_table`."""
    kind, zipped = kind_of(name)
    if kind == ".parquet":
        return _read_parquet(name, content())
    data = _unzipped(name, content()) if zipped else content()
    return _read_text(name, data, "\t" if kind == ".tsv" else ",")


def kind_of(name: str) -> tuple[str, bool]:
    """What a file's ending says it is: .csv, .tsv or .parquet, and whether text is compressed.

    Raises
    ------
    CohortError
        For any other ending.
    """
    suffixes = [suffix.lower() for suffix in Path(name).suffixes[-2:]]
    zipped = bool(suffixes) and suffixes[-1] == ".gz"
    kind = suffixes[-2] if zipped and len(suffixes) > 1 else (suffixes[-1] if suffixes else "")
    if kind in (".csv", ".tsv") or (kind == ".parquet" and not zipped):
        return kind, zipped
    advice = (
        "Export the sheet as CSV."
        if kind in (".xlsx", ".xls", ".ods")
        else "Rename or convert the file."
    )
    raise CohortError(
        f"The input must end in .csv, .tsv (also .gz) or .parquet; got '{name}'. {advice}"
    )


def _read_parquet(name: str, data: bytes) -> FileTable:
    import pyarrow.parquet as pq

    if not data:
        raise file_fault(name, None, "empty", "no bytes", "a Parquet file")
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError):
        raise file_fault(
            name, None, "damaged file", "bytes that are no Parquet table", "a whole Parquet file"
        ) from None
    return FileTable(table, "row", name)


def _unzipped(name: str, data: bytes) -> bytes:
    """Expand gzip bytes, stopping early where the ratio is that of a bomb."""
    out = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            while chunk := stream.read(2**20):
                out += chunk
                suspicious = len(out) > RATIO_CHECKED_FROM
                if suspicious and len(out) > MAX_GZIP_RATIO * len(data):
                    raise file_fault(
                        name, None, "suspicious compression",
                        f"more than {MAX_GZIP_RATIO} bytes from each compressed one",
                        "an ordinary compressed table",
                    )  # fmt: skip
                if len(out) > _MAX_GZIP_BYTES:
                    raise file_fault(name, None, "too large", "over 8 GiB expanded", "less")
    except (OSError, EOFError, zlib.error):
        raise file_fault(
            name, None, "damaged file", "a gzip stream that breaks off", "a whole gzip file"
        ) from None
    return bytes(out)


def _read_text(name: str, data: bytes, delimiter: str) -> FileTable:
    lines = check_block(name, data, delimiter)
    names = header_of(name, data, delimiter)
    table = parse_block(name, data, delimiter, lines, names)
    return FileTable(table.slice(1).rename_columns(names), "line", name, lines)


def check_block(name: str, data: bytes, delimiter: str, first: int = 1) -> Positions | None:
    """Refuse damaged text: a whole file, or whole records that begin on line ``first``.

    Returns
    -------
    ndarray of int, or None
        Line, within the data, of every record after the first; None where each has one line.
    """
    check_bytes(name, data, first)
    quotes = _quotes(data)
    _check_quotes(name, data, delimiter, quotes, first)
    _check_lines(name, data, quotes, first)
    return _row_lines(data, quotes) if len(quotes) else None


def _quotes(data: bytes) -> Positions:
    """Where the quotes stand; every other one opens."""
    return np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord('"'))


def _check_quotes(
    name: str, data: bytes, delimiter: str, quotes: Positions, first: int = 1
) -> None:
    """Refuse quotes that do not enclose a whole field; readers differ on what they would mean.

    An opening quote begins a field and a closing one ends it, or the two are neighbours: a quote
    written twice inside a quoted field.
    """
    raw = np.frombuffer(b"\n" + data + b"\n", dtype=np.uint8)
    before, after = raw[quotes[::2]], raw[quotes[1::2] + 2]
    opens = _among(b'\n"' + delimiter.encode())[before]
    closes = _among(b'\r\n"' + delimiter.encode())[after]
    stray = np.concatenate([quotes[::2][~opens], quotes[1::2][~closes]])
    if len(stray) == 0 and len(quotes) % 2:
        stray = quotes[-1:]
    if len(stray):
        raise file_fault(
            name, data.count(b"\n", 0, int(stray.min())) + first, "stray quote",
            "a quote that opens or closes inside a field, or is left open",
            "quotes around whole fields",
            'Close it, or write the field as "..." with each quote inside doubled.',
        )  # fmt: skip


def _among(allowed: bytes) -> npt.NDArray[np.bool_]:
    """A table that says of every byte whether it is one of these."""
    table = np.zeros(256, dtype=np.bool_)
    table[list(allowed)] = True
    return table


def _check_lines(name: str, data: bytes, quotes: Positions, first: int = 1) -> None:
    """Refuse blank lines and a last line that breaks off."""
    blanks = [at for end in (b"\n", b"\r\n") if (at := _blank(data, end, quotes)) is not None]
    if blanks:
        raise file_fault(
            name, data.count(b"\n", 0, min(blanks)) + first, "blank line", "nothing",
            "one patient on every line", "Remove the line.",
        )  # fmt: skip
    if not data.endswith(b"\n"):
        raise file_fault(
            name, data.count(b"\n") + first, "truncated", "a last line without a line end",
            "every line ended", "The file may be cut off; if it is whole, end its last line.",
        )  # fmt: skip


def _blank(data: bytes, end: bytes, quotes: Positions) -> int | None:
    """Where the first blank line with this line end begins, outside of quotes."""
    if data.startswith(end):
        return 0
    # Searched for as bytes: a pattern would stop at every line end of the file.
    at = data.find(b"\n" + end)
    while at >= 0:
        if np.searchsorted(quotes, at) % 2 == 0:
            return at + 1
        at = data.find(b"\n" + end, at + 1)
    return None


def check_bytes(name: str, data: bytes, first: int = 1) -> None:
    """Refuse what a table reader would silently bend; the data begin on line ``first``."""
    if not data:
        raise file_fault(name, None, "empty", "no bytes", "a header line and one line a patient")
    for mark, words in (
        (b"\xef\xbb\xbf", "a UTF-8 byte-order mark"),
        (b"\xff\xfe", "a UTF-16 byte-order mark"),
        (b"\xfe\xff", "a UTF-16 byte-order mark"),
    ):
        if first == 1 and data.startswith(mark):
            raise file_fault(
                name, 1, "byte-order mark", words, "plain UTF-8",
                "Save as UTF-8 without a byte-order mark: in Excel choose 'CSV (comma delimited)', "
                "not 'CSV UTF-8' or 'Unicode text'.",
            )  # fmt: skip
    nul = data.find(b"\0")
    if nul >= 0:
        raise file_fault(
            name, data.count(b"\n", 0, nul) + first, "NUL byte", "a NUL byte", "text only",
            "The file is damaged or no text; export it again.",
        )  # fmt: skip
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise file_fault(
            name, data.count(b"\n", 0, error.start) + first, "encoding", "bytes that are not UTF-8",
            "UTF-8 throughout", "Save the file as UTF-8; it may mix two encodings.",
        ) from None  # fmt: skip
    if b"\r" in data and data.replace(b"\r\n", b"\n").find(b"\r") >= 0:
        raise file_fault(
            name, None, "line ends", "carriage returns that end no line",
            "line feed, or carriage return and line feed", "Save with Unix or Windows line ends.",
        )  # fmt: skip


def header_of(name: str, data: bytes, delimiter: str) -> list[str]:
    """Column names of the first line."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    try:
        names = next(csv.reader(text, delimiter=delimiter))
    except csv.Error:
        raise file_fault(
            name, 1, "damaged file", "a header no table has", "a line of column names"
        ) from None
    _check_header(name, names, delimiter)
    return names


def parse_block(
    name: str,
    data: bytes,
    delimiter: str,
    lines: Positions | None,
    names: list[str],
    first: int = 1,
    wanted: Sequence[int] | None = None,
) -> pa.Table:
    """Every record of the data as text, the header line among them where it is there."""
    import pyarrow.csv as pa_csv

    wrong: list[tuple[int | None, int, int]] = []

    def note(row: Any) -> str:
        wrong.append((row.number, row.actual_columns, row.expected_columns))
        return "skip"

    every = [str(i) for i in range(len(names))]
    kept = every if wanted is None else [str(i) for i in wanted]
    try:
        table = pa_csv.read_csv(
            io.BytesIO(data),
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=_block(data), column_names=every
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=note,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={i: pa.string() for i in kept},
                strings_can_be_null=False,
                include_columns=kept,
            ),
        )
    except pa.ArrowInvalid:
        raise file_fault(
            name, None, "damaged file", "text that is no table", "a delimited table",
            "Check the quotes: one may be left open.",
        ) from None  # fmt: skip
    if wrong:
        faults = tuple(
            Fault(
                None if number is None else _as_row(number, lines) + first - 1,
                "(line)", "wrong number of fields",
                f"{actual} fields", f"{expected} fields",
                "Quote values that hold the delimiter; the line may be cut off or blank.",
            )
            for number, actual, expected in wrong
        )  # fmt: skip
        raise CohortError(
            f"Every line of '{name}' must have {wrong[0][2]} fields; {len(wrong)} line(s) do not.",
            faults,
        )
    return table


def _as_row(number: int, lines: Positions | None) -> int:
    """Row whose plain file line (row + 2) is where the reader's record ``number`` begins."""
    return number - 2 if lines is None or number < 2 else int(lines[number - 2]) - 2


def _block(data: bytes) -> int:
    """One block for the file, so that a row's number is known."""
    return int(min(max(len(data) + 1, 2**16), 2**31 - 1))


def _check_header(name: str, header: list[str], delimiter: str) -> None:
    if len(header) == 1:
        for other, words in ((";", "semicolons"), ("\t", "tabs"), (",", "commas"), ("|", "bars")):
            if other != delimiter and other in header[0]:
                raise file_fault(
                    name, 1, "delimiter", f"a header divided by {words}",
                    "tabs (.tsv)" if delimiter == "\t" else "commas (.csv)",
                    "Export with the right delimiter or rename the file.",
                )  # fmt: skip


def _row_lines(data: bytes, quotes: Positions) -> Positions:
    """File line of every data row; a line end between an opening and a closing quote ends none."""
    newlines = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    ends_row = np.flatnonzero(np.searchsorted(quotes, newlines) % 2 == 0)
    return np.asarray(ends_row[:-1] + 2, dtype=np.int64)


def file_fault(
    name: str, line: int | None, kind: str, found: str, allowed: str, advice: str = ""
) -> CohortError:
    """A fault of the file itself, with the line it stands on where there is one."""
    where = f"line {line} of '{name}'" if line else f"'{name}'"
    message = f"{where}: {kind}; found {found}, allowed is {allowed}."
    row = None if line is None else line - 2
    return CohortError(
        f"{message} {advice}".strip(), (Fault(row, "(file)", kind, found, allowed, advice),)
    )


def distinct(column: Any, most: int) -> list[str] | None:
    """Distinct texts of a column, or None where there are more than ``most``."""
    values = pc.unique(column)
    if len(values) > most:
        return None
    return sorted(str(v) for v in values.to_pylist() if v is not None)
