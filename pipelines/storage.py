"""Whole files or none: atomic writes, hashes, and errors that say what to do."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from biomarker.errors import StorageError
from pipelines.stores import Place, StorePath

__all__ = [
    "atomic_file",
    "atomic_folder",
    "ready_folder",
    "same_file",
    "sha256_file",
    "storage_error",
    "sync_folder",
    "write_bytes",
    "write_text",
]


@contextlib.contextmanager
def atomic_file(path: str | Path, needed: int | None = None) -> Iterator[Path]:
    """Give a temporary path beside ``path``; move it into place only when the block succeeds.

    The file is flushed to the disk before the rename and the folder after it, so that a reader,
    or a machine that loses power, meets the old file or the new one.

    Parameters
    ----------
    path : path
    needed : int, optional
        Bytes the whole file takes, where that is known beforehand: said when there is no room.

    Raises
    ------
    StorageError
        If the target cannot be written; what stood there before is left as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(path, error, needed or _size(temporary)) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """As :func:`atomic_file` for a folder: built aside, then swapped in whole."""
    path = Path(path)
    token = secrets.token_hex(6)
    temporary = path.with_name(f".{path.name}.{token}.tmp")
    retired = path.with_name(f".{path.name}.{token}.old")
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise StorageError(
            f"'{path.name}' could not be written: a file or link stands where a folder must be. "
            "What stood there is unchanged."
        )
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for inner in sorted(temporary.rglob("*")):
            if inner.is_file():
                with inner.open("rb+") as handle:
                    os.fsync(handle.fileno())
            else:
                sync_folder(inner)
        sync_folder(temporary)
        if path.exists():
            path.rename(retired)
        temporary.rename(path)
        sync_folder(path.parent)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(path, error, None) from None
    finally:
        if retired.exists() and not path.exists():
            retired.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)


def ready_folder(folder: str | Path) -> None:
    """Make an output folder, or say that it cannot be written before any work is done for it.

    Raises
    ------
    StorageError
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(
            f"The output folder '{folder.name}' must be writable; the system said: "
            f"{error.strerror or type(error).__name__}. Name another with --out."
        ) from None


def write_bytes(path: str | Place, data: bytes | memoryview) -> None:
    """Write a whole file or object, or leave the old one; errors as :func:`atomic_file`."""
    if isinstance(path, StorePath):
        try:
            path.put(data)
        except OSError as error:
            raise storage_error(path, error, len(data)) from None
        return
    with atomic_file(path, len(data)) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Place, text: str) -> None:
    """Write UTF-8 text with line feeds, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one existing file, by whatever name."""
    a, b = Path(one), Path(other)
    return a.exists() and b.exists() and a.samefile(b)


def sha256_file(path: str | Place) -> str:
    """SHA-256 of a file's bytes, hex."""
    with (path if isinstance(path, StorePath) else Path(path)).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def sync_folder(folder: Path) -> None:
    """Have a folder's entries on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def storage_error(path: Place, error: OSError, needed: int | None = None) -> StorageError:
    """What the system said on a write, in words, with the bytes it would have taken."""
    what = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the quota is used up",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "writing there is not permitted",
        errno.EPERM: "writing there is not permitted",
        errno.EISDIR: "a folder stands there",
        errno.ENOTDIR: "its folder is a file",
        errno.EEXIST: "its folder is a file",
        errno.ENAMETOOLONG: "its name is too long",
    }.get(error.errno or 0, f"the system said: {error.strerror or type(error).__name__}")
    amount = f" At least {needed:,} bytes are needed." if needed else ""
    return StorageError(
        f"'{path.name}' could not be written: {what}.{amount} What stood there is unchanged."
    )
