"""An object of a store is read and written as a file is, and its faults are told in our words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker.errors import CohortError, StorageError, UsageError
from pipelines.row_source import open_source
from pipelines.storage import sha256_file, write_text
from pipelines.stores import StorePath, copied_in, is_store, local_copy, located

pytest.importorskip("fsspec")

NAMES = st.text("abcXYZ0189-_ é", min_size=1, max_size=12).map(str.strip).filter(bool)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Any:
    """An empty prefix of the store in memory."""
    made = located(f"memory://{request.node.name}")
    yield made
    made.remove_below()


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_an_address_is_taken_apart_as_a_path_is(parts: list[str]) -> None:
    """Name, ending and parent agree with those of pathlib, and the address reads back."""
    path, place = Path("/").joinpath(*parts), located("memory://" + "/".join(parts))
    assert isinstance(place, StorePath)
    assert (place.name, place.suffix) == (path.name, path.suffix)
    assert place.with_name("other.csv").name == "other.csv"
    assert located(str(place)) == place
    assert (place / "a" / "b").parent.parent == place


@pytest.mark.parametrize("text", ["new.csv", "a:b.csv", "/data/x", "s3/x", "C://x.csv"])
def test_what_is_no_address_is_a_path(text: str) -> None:
    """A colon or a letter alone makes no store."""
    assert not is_store(text)
    assert located(text) == Path(text)


def test_a_file_address_is_a_path_of_this_machine(tmp_path: Path) -> None:
    """It has renames and locks, and keeps their guarantees."""
    assert located(f"file://{tmp_path}/a%20b.csv") == tmp_path / "a b.csv"


def test_an_unknown_store_is_said() -> None:
    """With the protocol, never the address, which may hold more than it should."""
    with pytest.raises(UsageError, match="nosuch://") as caught:
        located("nosuch://key:secret@bucket/x")
    assert "secret" not in str(caught.value)


def test_objects_are_whole_listed_and_removed(place: Any) -> None:
    """Write, look, list, remove."""
    assert not (place / "a.txt").exists()
    write_text(place / "a.txt", "α")
    write_text(place / "b" / "c.txt", "c")
    assert (place / "a.txt").read_text() == "α"
    assert (place / "b").is_dir()
    assert [entry.name for entry in place.glob("*.txt")] == ["a.txt"]
    before = (place / "a.txt").stat()
    write_text(place / "a.txt", "β")
    assert (place / "a.txt").stat() != before
    place.remove_below()
    assert not place.exists()
    (place / "a.txt").unlink(missing_ok=True)


def test_creating_never_replaces(place: Any) -> None:
    """What a lease rests on."""
    (place / "lock").create(b"one")
    with pytest.raises(FileExistsError):
        (place / "lock").create(b"two")
    assert (place / "lock").read_bytes() == b"one"


def test_a_folder_goes_to_a_store_and_back(place: Any, tmp_path: Path) -> None:
    """With the folders inside it."""
    (tmp_path / "in").mkdir()
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "in" / "b").write_bytes(b"2")
    copied_in(tmp_path, place)
    with local_copy(place) as copy:
        assert {
            file.relative_to(copy).as_posix(): file.read_bytes()
            for file in copy.rglob("*")
            if file.is_file()
        } == {"a": b"1", "in/b": b"2"}
    assert not copy.exists()


def test_rows_are_read_from_a_store_as_from_a_folder(place: Any, tmp_path: Path) -> None:
    """Parquet and text, one object, a prefix and a pattern."""
    table = pa.table({"pid": [str(k) for k in range(250)], "x": pa.array(range(250), pa.int64())})
    pq.write_table(table, tmp_path / "one.parquet", row_group_size=90)
    pq.write_table(table, tmp_path / "two.parquet")
    copied_in(tmp_path, place)
    assert sha256_file(place / "one.parquet") == sha256_file(tmp_path / "one.parquet")
    for there, here in [
        (f"{place}/one.parquet", tmp_path / "one.parquet"),
        (str(place), tmp_path),
        (f"{place}/*.parquet", tmp_path / "*.parquet"),
    ]:
        one, other = open_source(there, chunk_rows=100), open_source(here, chunk_rows=100)
        sizes = one.count_rows()
        assert sizes == other.count_rows()
        for (a, left), (b, right) in zip(
            one.chunks(["x", "pid"], sizes), other.chunks(["x", "pid"], sizes), strict=True
        ):
            assert a == b
            assert left.equals(right)


class Failing:
    """A store whose client raises an error of its own, with a secret in its text."""

    def open(self, *call: Any) -> Any:
        """Fail, whatever is asked."""
        raise RuntimeError("key AKIASECRET denied")

    pipe_file = info = ukey = open

    def isfile(self, key: str) -> bool:
        """There is one of every name."""
        return True


def test_a_clients_error_becomes_ours_without_its_text() -> None:
    """Reading is the input's fault, writing the output's; neither shows what the client said."""
    place = StorePath("s3", "bucket/new.csv", Failing())
    with pytest.raises(CohortError, match=r"'new\.csv' could not be read from its store") as read:
        place.open()
    with pytest.raises(StorageError, match=r"'new\.csv' could not be written") as written:
        write_text(place, "x")
    with pytest.raises(OSError, match="RuntimeError") as looked:
        place.stat()
    for caught in (read, written, looked):
        assert "SECRET" not in str(caught.value)
        assert caught.value.__cause__ is None
