"""Writes that fail leave what stood there, and nothing beside it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from biomarker.errors import StorageError
from pipelines.storage import (
    atomic_file,
    atomic_folder,
    ready_folder,
    sha256_file,
    write_bytes,
    write_text,
)


def fails_with(number: int) -> Callable[..., NoReturn]:
    """A function that raises this system error whatever it is given."""

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


def names(folder: Path) -> list[str]:
    """What a folder holds, hidden files too."""
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file with an old content, alone in its folder."""
    path = tmp_path / "out.csv"
    path.write_text("old")
    return path


def test_a_finished_write_replaces_the_file_whole(target: Path) -> None:
    """The new content stands, and no temporary beside it."""
    write_text(target, "new ✓\n")
    assert target.read_bytes() == "new ✓\n".encode()
    assert names(target.parent) == ["out.csv"]


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    """An output in a folder that does not exist yet is written there."""
    write_bytes(tmp_path / "a" / "b" / "out.bin", b"\x00\xff")
    assert (tmp_path / "a" / "b" / "out.bin").read_bytes() == b"\x00\xff"


@pytest.mark.parametrize("error", [ValueError("bad row"), KeyboardInterrupt()])
def test_an_error_midway_leaves_the_old_file(target: Path, error: BaseException) -> None:
    """Whatever stops the writer, an interrupt included, the reader meets the old content."""

    def write() -> None:
        with atomic_file(target) as temporary:
            temporary.write_text("half of the new")
            raise error

    with pytest.raises(type(error)):
        write()
    assert target.read_text() == "old"
    assert names(target.parent) == ["out.csv"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the quota is used up"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "not permitted"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_system_error_is_named_and_leaves_the_old_file(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, step: str
) -> None:
    """A full disk and its kin, at the flush or at the rename: named, nothing lost, nothing left."""
    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fails_with(number))
    else:
        monkeypatch.setattr(Path, "replace", fails_with(number))
    with pytest.raises(StorageError, match=words) as caught:
        write_text(target, "new content")
    assert "What stood there is unchanged" in str(caught.value)
    assert "At least 11 bytes are needed" in str(caught.value)
    assert str(target.parent) not in str(caught.value)
    assert target.read_text() == "old"
    assert names(target.parent) == ["out.csv"]


def test_a_disk_that_fills_while_writing_says_so(target: Path) -> None:
    """The writer's own error, raised inside the block, becomes ours."""

    def write() -> None:
        with atomic_file(target) as temporary:
            temporary.write_text("part")
            fails_with(errno.ENOSPC)()

    with pytest.raises(StorageError, match="the disk is full"):
        write()
    assert target.read_text() == "old"
    assert names(target.parent) == ["out.csv"]


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    """An output path that is a folder is refused, and the folder kept."""
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(StorageError, match="a folder stands there"):
        write_text(tmp_path / "out.csv", "x")
    assert names(tmp_path) == ["out.csv"]


def test_a_file_where_a_folder_is_needed_is_named(target: Path) -> None:
    """An output under a path that is a file is refused in our words, and the file kept."""
    for path in (target / "x.csv", target / "y" / "x.csv"):
        with pytest.raises(StorageError, match="its folder is a file"):
            write_text(path, "x")
    assert target.read_text() == "old"


def test_a_folder_that_may_not_be_written_to_is_named(target: Path) -> None:
    """A read-only folder: named, and the old file kept (a superuser may write anywhere)."""
    if os.geteuid() == 0:
        pytest.skip("a superuser may write anywhere")
    target.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(StorageError, match="not permitted"):
            write_text(target, "new")
        assert target.read_text() == "old"
    finally:
        target.parent.chmod(stat.S_IRWXU)


def test_a_name_too_long_is_named(tmp_path: Path) -> None:
    """The system's limit on names is said in words."""
    with pytest.raises(StorageError, match="its name is too long"):
        write_text(tmp_path / ("x" * 300), "x")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an old file, alone in its parent."""
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "a").write_text("old")
    return path


def test_a_finished_folder_is_swapped_in_whole(folder: Path) -> None:
    """Nothing of the old folder is mixed with the new."""
    with atomic_folder(folder) as temporary:
        (temporary / "b").write_text("new")
        (temporary / "inner").mkdir()
        (temporary / "inner" / "c").write_text("deep")
    assert names(folder) == ["b", "inner"]
    assert names(folder.parent) == ["bundle"]


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError(errno.ENOSPC, "x"), KeyboardInterrupt()]
)
def test_an_error_midway_leaves_the_old_folder(folder: Path, error: BaseException) -> None:
    """A folder that was not finished is never seen."""
    expected = StorageError if isinstance(error, OSError) else type(error)

    def write() -> None:
        with atomic_folder(folder) as temporary:
            (temporary / "b").write_text("new")
            raise error

    with pytest.raises(expected):
        write()
    assert (folder / "a").read_text() == "old"
    assert names(folder.parent) == ["bundle"]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "x"), KeyboardInterrupt()])
def test_a_swap_that_fails_half_way_brings_the_old_folder_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Between the two renames the old folder has gone aside; a failure there returns it."""
    rename = Path.rename

    def second_fails(self: Path, new: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise error
        return rename(self, new)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises((StorageError, KeyboardInterrupt)), atomic_folder(folder) as temporary:
        (temporary / "b").write_text("new")
    assert (folder / "a").read_text() == "old"
    assert names(folder.parent) == ["bundle"]


def test_a_file_or_link_is_not_replaced_by_a_folder(tmp_path: Path, folder: Path) -> None:
    """A bundle path that names a file keeps the file; one that is a link keeps its target."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("precious")
    link.symlink_to(folder)
    for path in (file, link):
        with (
            pytest.raises(StorageError, match="where a folder must be"),
            atomic_folder(path) as made,
        ):
            (made / "b").write_text("new")
    assert file.read_text() == "precious"
    assert (folder / "a").read_text() == "old"
    assert names(tmp_path) == ["bundle", "file", "link"]


def test_a_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    """The published SHA-256 of the three bytes "abc" (FIPS 180-4's own example)."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_an_output_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    """Trying whether it can be written leaves nothing in it."""
    ready_folder(tmp_path / "a" / "b")
    ready_folder(tmp_path / "a" / "b")
    assert names(tmp_path / "a" / "b") == []


def test_an_output_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    """By its own name, not its path."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="output folder 'file' must be writable.*--out"):
        ready_folder(tmp_path / "file")
