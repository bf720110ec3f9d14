"""Text files block by block: what one pass calls plain is what the checks of readers accept."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines.text_rows
from biomarker.errors import CohortError
from pipelines.readers import check_block, read_table
from pipelines.text_rows import header, text_blocks
from pipelines.text_scan_kernel import scan

bytes_of_tables = st.lists(
    st.sampled_from([b"a", b"1", b",", b'"', b"\n", b"\n", b"\r\n", b"\r", b"\0", "é".encode()]),
    min_size=1,
    max_size=24,
).map(b"".join)


@settings(max_examples=600)
@given(bytes_of_tables)
def test_a_pass_calls_plain_only_what_the_checks_accept(data: bytes) -> None:
    """And all that they accept in ASCII without folded lines; ends and line ends are counted."""
    end, odd, line_ends, folded = scan(np.frombuffer(data, np.uint8), np.uint8(ord(",")))
    inside, places = False, []
    for at, byte in enumerate(data):
        inside ^= byte == ord('"')
        if byte == ord("\n") and not inside:
            places.append(at + 1)
    assert end == (places[-1] if places else 0)
    whole = data[:end]
    assert line_ends == whole.count(b"\n")
    assert folded == (line_ends > len(places))
    if not whole:
        return
    try:
        check_block("x.csv", whole, ",")
        accepted = True
    except CohortError:
        accepted = False
    assert (odd >= end) == (accepted and whole.isascii())


@pytest.mark.parametrize("block", [7, 64, 1000])
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_blocks_hold_the_rows_of_the_whole_file(
    block: int, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever blocks end: within quotes, between carriage return and line feed, within é."""
    rows = [f'"{i}","a\nb{i}",é{i},"x""y"' for i in range(200)]
    data = ("id,text,name,quote\r\n" + "\r\n".join(rows) + "\r\n").encode()
    path = tmp_path / f"x.{ending}"
    path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    monkeypatch.setattr(pipelines.text_rows, "_BLOCK", block)
    assert header(path) == ["id", "text", "name", "quote"]
    found: dict[str, list[str]] = {"1": [], "3": []}
    for table in text_blocks(path, [1, 3]):
        for name, values in found.items():
            values += table[name].to_pylist()
    expected = read_table(path).table
    assert found["1"] == expected["text"].to_pylist()
    assert found["3"] == expected["quote"].to_pylist()


@pytest.mark.parametrize("bad", ["\n", 'a"b,c\n', "a\rb,c\n", "a\0,c\n", "one\n", '"open,c\n'])
def test_a_fault_is_named_with_its_line_in_the_file(
    bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line far into the file, blocks after its beginning."""
    lines = [f"{i},x\n" for i in range(300)]
    path = tmp_path / "x.csv"
    path.write_bytes(("id,v\n" + "".join([*lines, bad, *lines[:3]])).encode())
    monkeypatch.setattr(pipelines.text_rows, "_BLOCK", 100)
    with pytest.raises(CohortError) as caught:
        list(text_blocks(path, [0]))
    row = caught.value.faults[0].row
    assert row == 300 or ("\r" in bad and row is None)
