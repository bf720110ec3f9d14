"""Files in, nothing guessed, and every row knows its line."""

from __future__ import annotations

import contextlib
import csv
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker.errors import CohortError
from pipelines.readers import read_table, read_table_from


def read(data: bytes, name: str = "new.csv") -> Any:
    """The table of some bytes under a file name."""
    return read_table_from(name, lambda: data)


def refusal(data: bytes, name: str = "new.csv") -> CohortError:
    """The error that some bytes give."""
    with pytest.raises(CohortError) as caught:
        read(data, name)
    return caught.value


cells = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=8
) | st.sampled_from(["", '"', ",", "\n", ' "x"', "a\nb", "00123", "NA", "1e5", "=1+1"])


@given(st.lists(st.tuples(cells, cells, cells), max_size=8), st.sampled_from([",", "\t"]))
def test_any_text_comes_out_as_it_was_written(rows: list[tuple[str, ...]], mark: str) -> None:
    """What Python's writer quoted, we read back cell for cell, each row at its own line."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["a", "b", "c"])
    lines = []
    for row in rows:
        lines.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    file = read(text.getvalue().encode(), "x.csv" if mark == "," else "x.tsv")
    assert [tuple(row.values()) for row in file.table.to_pylist()] == rows
    assert [file.line(i) for i in range(len(rows))] == lines


def test_windows_and_unix_line_ends_are_the_same() -> None:
    """CR LF ends a line like LF."""
    unix, windows = read(b"a,b\n1,x\n2,y\n"), read(b"a,b\r\n1,x\r\n2,y\r\n")
    assert unix.table.equals(windows.table)
    assert [windows.line(0), windows.line(1)] == [2, 3]


def test_an_empty_name_and_a_quoted_header_are_names() -> None:
    """An unnamed row counter is a column; a name may hold commas and line ends."""
    file = read(b'"","a,b","c\nd"\n1,2,3\n')
    assert file.table.column_names == ["", "a,b", "c\nd"]
    assert file.line(0) == 3


@pytest.mark.parametrize(
    ("data", "kind", "line"),
    [
        (b'a,b\n1,"x\ny"\n2,3,4\n', "wrong number of fields", 4),
        (b'a,b\n"1\n\n2",3\n2,3\n4\n', "wrong number of fields", 6),
        (b'a,b\n1,"x\n\ny"\n\n2,3\n', "blank line", 5),
        (b'a,b\n1,"x\ny"\n2,5" disc\n', "stray quote", 4),
        (b'a,b\n1,"x"y\n', "stray quote", 2),
        (b'a,b\n1,"open\n2,3\n', "stray quote", 2),
        (b'a,b\n1, "x"\n', "stray quote", 2),
        (b'a,b\n1,"x\ny\n2,3\n\n4,5\n', "stray quote", 2),
    ],
)
def test_a_fault_names_its_line_whatever_the_quotes_hold(data: bytes, kind: str, line: int) -> None:
    """Line ends inside quoted values do not shift the count."""
    from pipelines.ingest import fault_rows

    error = refusal(data)
    (row,) = fault_rows(error.faults, None)  # type: ignore[arg-type]
    assert row["fault"] == kind
    assert row["line"] == str(line)


def test_every_wrong_line_is_listed() -> None:
    """Three lines of the wrong length are three faults."""
    error = refusal(b"a,b\n1\n1,2\n1,2,3\n1,2\n1,2,3,4\n")
    assert "3 line(s)" in str(error)
    assert [fault.row for fault in error.faults] == [0, 2, 4]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("new.xlsx", "Export the sheet as CSV"), ("new", "must end in"),
        ("new.csv.zip", "must end in"), ("new.sas7bdat", "must end in"),
        ("new.gz", "must end in"), ("new.parquet.gz", "must end in"),
    ],
)  # fmt: skip
def test_other_kinds_of_file_are_named(name: str, words: str) -> None:
    """The ending decides, never a guess at the content."""
    assert words in str(refusal(b"a\n1\n", name))


@pytest.mark.parametrize("name", ["new.CSV", "my.new.csv", "new.TSV", "new.Csv"])
def test_the_ending_is_read_in_any_case(name: str) -> None:
    """Windows likes capitals."""
    assert read(b"a\n1\n", name).table.num_rows == 1


def test_what_is_no_readable_file_is_named_without_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absent, a folder, or not permitted: one sentence with the name alone."""

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x.csv").write_text("a\n")
    with pytest.raises(CohortError, match=r"no file stands at 'no\.csv'"):
        read_table(tmp_path / "no.csv")
    with pytest.raises(CohortError, match="a folder stands at"):
        read_table(tmp_path)
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(CohortError, match=r"'x\.csv' could not be read: Permission denied"):
        read_table(tmp_path / "x.csv")


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_delimiter_is_named_in_the_header(mark: str) -> None:
    """A semicolon file under .csv is one column wide; we say so instead."""
    words = {";": "semicolons", "\t": "tabs", "|": "bars"}[mark]
    assert words in str(refusal(f"a{mark}b\n1{mark}2\n".encode()))


def test_parquet_keeps_its_types_and_counts_rows(tmp_path: Path) -> None:
    """Nothing is turned into text; a place in the file is a row."""
    table = pa.table(
        {"i": [1, None], "t": ["00123", "NA"], "d": pa.array(["x", "y"]).dictionary_encode()}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    file = read_table(tmp_path / "x.parquet")
    assert file.table.schema.field("i").type == pa.int64()
    assert file.table["t"].to_pylist() == ["00123", "NA"]
    assert pa.types.is_dictionary(file.table.schema.field("d").type)
    assert (file.place, file.line(0)) == ("row", 1)


@given(st.binary(max_size=200))
def test_random_bytes_are_a_table_or_an_error_of_ours(data: bytes) -> None:
    """Whatever the bytes, under any name, nothing else is raised."""
    for name in ("x.csv", "x.tsv", "x.csv.gz", "x.parquet"):
        with contextlib.suppress(CohortError):
            read(data, name)


@given(st.binary(max_size=60))
def test_a_damaged_middle_is_a_table_or_an_error_of_ours(noise: bytes) -> None:
    """Noise inside an ordinary file never crashes the reader nor shifts other rows unseen."""
    try:
        file = read(b"a,b\n1,x\n" + noise + b"\n2,y\n")
    except CohortError:
        return
    assert file.table.column_names == ["a", "b"]
    assert file.table.slice(file.table.num_rows - 1).to_pylist() == [{"a": "2", "b": "y"}]


def test_no_message_shows_what_the_file_holds() -> None:
    """Damaged lines are counted and located, never quoted."""
    secret = b"zq4711"
    for data in (
        b"a,b\n" + secret + b"\n", b"a,b\n1," + secret + b'"x\n', b"a,b\n1," + secret,
        b"a,b\n1," + secret + b"\xff\n", b"a,b\n1," + secret + b"\0\n",
        b"a,b\n1," + secret + b"\r1\n",
        b"a,b\n" + secret + b",1,2\n", b"a,b\n1," + secret + b"\n\n",
    ):  # fmt: skip
        error = refusal(data)
        assert "zq4711" not in str(error) + repr(error.faults)
