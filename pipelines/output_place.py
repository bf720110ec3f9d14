"""An output's place on the disk: held by one job, taken in one step, left as it was found.

What is not yet, or no longer, the output stands beside it under hidden names: ``.NAME.lock``;
``.NAME.….tmp``, which may be deleted; and ``.NAME.….old``, an older output that made way and is
brought back where the new one never came.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from biomarker.errors import StorageError
from pipelines.storage import storage_error, sync_folder
from pipelines.stores import Place

__all__ = [
    "MANIFEST",
    "clear_up",
    "disk_faults",
    "may_replace",
    "only_job",
    "remove",
    "retire",
    "swap_in",
]

MANIFEST = "_manifest.json"


@contextlib.contextmanager
def only_job(out: Path) -> Iterator[None]:
    """Hold the output's lock; the system frees it when the process ends, however it ends."""
    lock = out.with_name(f".{out.name}.lock")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(
            f"'{out.name}' could not be written: {error.strerror or 'the system refused'}. "
            "What stood there is unchanged."
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before has removed it: a third job may hold a new one.
            if os.fstat(handle).st_ino != lock.stat().st_ino:
                raise FileNotFoundError
        except OSError:
            raise StorageError(
                f"Another job is writing '{out.name}'. Wait for it, or name another output."
            ) from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    finally:
        os.close(handle)


@contextlib.contextmanager
def disk_faults(out: Place) -> Iterator[None]:
    """Put what the system says on the disk in our words."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(out, error) from None


def clear_up(out: Path) -> None:
    """Bring back an output that a killed job had put aside, and remove what it left half made."""
    name = re.escape(out.name)
    aside = re.compile(rf"\.{name}\.[0-9a-f]{{12}}\.old")
    half = re.compile(
        rf"\.{name}(\.(work|ledger|ids))?\.[0-9a-f]{{12}}\.tmp"
        rf"|\.{re.escape(out.stem)}\.[0-9a-f]{{12}}\.tmp{re.escape(out.suffix)}"
    )
    for path in sorted(out.parent.iterdir()):
        if aside.fullmatch(path.name):
            if out.exists():
                remove(path)
            else:
                path.rename(out)
        elif half.fullmatch(path.name):
            remove(path)


def may_replace(out: Path) -> None:
    """Refuse to replace a folder that is no output of ours."""
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise StorageError(
            f"'{out.name}' could not be written: a folder without a manifest of ours stands there. "
            "Name another output."
        )


def swap_in(finished: Path, out: Path) -> None:
    """Give a finished file or folder its name; what stood there is kept until it has it."""
    retired = out.with_name(f".{out.name}.{secrets.token_hex(6)}.old")
    if out.is_dir() or (out.exists() and finished.is_dir()):
        out.rename(retired)
    try:
        finished.rename(out)
        sync_folder(out.parent)
    except OSError:
        if retired.exists() and not out.exists():
            retired.rename(out)
        raise
    remove(retired)


def retire(folder: Path) -> None:
    """Remove a folder, which is gone under its name from the first moment."""
    if folder.exists():
        aside = _aside(folder)
        folder.rename(aside)
        remove(aside)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    """A name beside a path that marks what may be deleted."""
    return path.with_name(f".{path.name.lstrip('.')}.{secrets.token_hex(6)}.tmp")
