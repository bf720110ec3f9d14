"""Places that are no folder of this machine: objects of a store, such as ``s3://bucket/scores``.

An object comes into being whole, and there is neither a rename nor a folder. A
:class:`StorePath` offers what the scoring pipeline asks of a ``pathlib.Path``, so that one code
reads and writes both. Keys and passwords come from the store's own settings on the machine; they
never stand in an address of ours, a message or a task.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import hashlib
import io
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from biomarker.errors import CohortError, UsageError

__all__ = ["Place", "StorePath", "arrow_source", "copied_in", "is_store", "local_copy", "located"]

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://")
_LOCAL = "file"


def is_store(place: Any) -> bool:
    """Whether a text is an address of a store; ``file://`` is a path of this machine."""
    if isinstance(place, StorePath):
        return True
    return isinstance(place, str) and bool(_ADDRESS.match(place)) and not _is_local(place)


def located(place: str | Path | StorePath) -> Place:
    """A path of this machine, or an object of a store.

    Parameters
    ----------
    place : path or address
        An address is ``PROTOCOL://...`` of any protocol that fsspec knows.

    Raises
    ------
    UsageError
        If fsspec or the store's own package is not installed, or the protocol is unknown.

    Examples
    --------
    >>> located("file:///data/new%20cohort.csv").name
    'new cohort.csv'
    >>> (located("memory://bucket/scores") / "part-00000.csv").name
    'part-00000.csv'
    """
    if isinstance(place, (Path, StorePath)):
        return place
    if _is_local(place):
        return Path(unquote(urlsplit(place).path))
    if not is_store(place):
        return Path(place)
    system, key = _system(place)
    return StorePath(place.split("://", 1)[0], key, system)


def _is_local(place: str) -> bool:
    return place.startswith(f"{_LOCAL}://")


def _system(address: str) -> tuple[Any, str]:
    """A store's client and the object's key."""
    protocol = address.split("://", 1)[0]
    try:
        import fsspec
    except ImportError:
        raise UsageError(
            f"An address such as '{protocol}://' needs the package 'fsspec'. Install "
            "biomarker-response[store] and the store's own package."
        ) from None
    try:
        # Listings are never kept: another machine writes to the same place.
        system, key = fsspec.url_to_fs(address, use_listings_cache=False)
    except ImportError:
        raise UsageError(
            f"The store '{protocol}://' needs a package of its own, which is not installed. "
            "See fsspec's list of known implementations."
        ) from None
    except Exception as error:
        raise UsageError(
            f"The output or input must be an address of a store that fsspec knows; got "
            f"'{protocol}://' and {type(error).__name__}. Check its spelling and settings."
        ) from None
    return system, str(key)


@contextlib.contextmanager
def _as_system_errors() -> Iterator[None]:
    """Whatever a store's client raises, as the error a disk would give; its text may hold keys."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such object") from None
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, "the object exists") from None
    except PermissionError:
        raise PermissionError(errno.EACCES, "not permitted") from None
    except OSError as error:
        if error.errno:
            raise
        raise OSError(errno.EIO, type(error).__name__) from None
    except Exception as error:
        raise OSError(errno.EIO, f"the store's client gave {type(error).__name__}") from None


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Tell a store that fails apart from bytes that are damaged."""
    try:
        with _as_system_errors():
            yield
    except OSError as error:
        raise CohortError(
            f"'{name}' could not be read from its store: {error.strerror or 'input error'}. "
            "Try again, and check the access to it."
        ) from None


@dataclass(frozen=True)
class _Stat:
    """Size, and a number that changes when the object does."""

    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True)
class StorePath:
    """An object of a store, or the part of keys that several begin with.

    Attributes
    ----------
    protocol : str
        Such as ``s3``.
    key : str
        Without the protocol.
    system : fsspec file system
    """

    protocol: str
    key: str
    system: Any

    def __str__(self) -> str:
        return f"{self.protocol}://{self.key}"

    def __truediv__(self, name: str) -> StorePath:
        return StorePath(self.protocol, f"{self.key.rstrip('/')}/{name}", self.system)

    def __lt__(self, other: StorePath) -> bool:
        return self.key < other.key

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rstrip("/").rsplit("/", 1)[-1]

    @property
    def suffix(self) -> str:
        """What the name ends in, as of a path."""
        return Path(self.name).suffix

    @property
    def parent(self) -> StorePath:
        """The key without its last part."""
        return StorePath(self.protocol, self.key.rstrip("/").rpartition("/")[0], self.system)

    def with_name(self, name: str) -> StorePath:
        """Beside this one."""
        return self.parent / name

    def resolve(self) -> StorePath:
        """Itself: an address means the same everywhere."""
        return self

    def exists(self) -> bool:
        """Whether an object, or one below this key, is there."""
        with _as_system_errors():
            return bool(self.system.exists(self.key))

    def is_file(self) -> bool:
        """Whether an object has this key."""
        with _as_system_errors():
            return bool(self.system.isfile(self.key))

    def is_dir(self) -> bool:
        """Whether objects stand below this key."""
        with _as_system_errors():
            return bool(self.system.isdir(self.key))

    def stat(self) -> _Stat:
        """Size and version."""
        with _as_system_errors():
            info = self.system.info(self.key)
            version = hashlib.sha256(str(self.system.ukey(self.key)).encode()).digest()
        return _Stat(int(info["size"]), int.from_bytes(version[:8], "big"))

    def open(self, mode: str = "rb") -> Any:
        """To read, by ranges as they are asked for; a fault is told as one of reading."""
        if mode != "rb":
            raise ValueError(f"mode must be 'rb'; got {mode!r}. Write with put.")
        with _reading(self.name):
            return io.BufferedReader(_Reading(self.name, self.system.open(self.key, "rb")))

    def read_bytes(self) -> bytes:
        """The whole object."""
        with _as_system_errors():
            return bytes(self.system.cat_file(self.key))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole object as text."""
        return self.read_bytes().decode(encoding)

    def put(self, data: bytes | memoryview) -> None:
        """Make the object, whole, over whatever had its key."""
        with _as_system_errors():
            self.system.pipe_file(self.key, bytes(data))

    def create(self, data: bytes) -> None:
        """Make the object where none has its key.

        Raises
        ------
        FileExistsError
            Where one has. Some stores decide that in one step; in others there is a moment
            between the look and the write.
        """
        with _as_system_errors():
            self.system.pipe_file(self.key, data, mode="create")

    def upload(self, file: Path) -> None:
        """Make the object from a file of this machine."""
        with _as_system_errors():
            self.system.put_file(str(file), self.key)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        try:
            with _as_system_errors():
                self.system.rm_file(self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_below(self) -> None:
        """Remove every object whose key begins with this one and a stroke."""
        with contextlib.suppress(FileNotFoundError):
            for entry in self._below(deep=True):
                entry.unlink(missing_ok=True)
        # Stores that keep folders after all.
        with contextlib.suppress(Exception):
            self.system.rm(self.key, recursive=True)

    def iterdir(self) -> Iterator[StorePath]:
        """What stands directly below."""
        return iter(self._below())

    def glob(self, pattern: str) -> Iterator[StorePath]:
        """What stands directly below and has a name of this pattern; none where nothing stands."""
        try:
            return iter([e for e in self._below() if fnmatch.fnmatchcase(e.name, pattern)])
        except FileNotFoundError:
            return iter(())

    def matching(self) -> Iterator[StorePath]:
        """Objects whose key is of this key's pattern."""
        with _as_system_errors():
            found = sorted(self.system.glob(self.key))
        return iter([StorePath(self.protocol, str(key), self.system) for key in found])

    def _below(self, deep: bool = False) -> list[StorePath]:
        with _as_system_errors():
            found = (
                self.system.find(self.key)
                if deep
                else [entry["name"] for entry in self.system.ls(self.key, detail=True)]
            )
        return [
            StorePath(self.protocol, str(key).rstrip("/"), self.system)
            for key in sorted(found)
            if str(key).rstrip("/") != self.key.rstrip("/")
        ]


class _Reading(io.RawIOBase):
    """An open object."""

    def __init__(self, name: str, handle: Any) -> None:
        super().__init__()
        self._name, self._handle = name, handle

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _reading(self._name):
            data = self._handle.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        with _reading(self._name):
            return int(self._handle.seek(offset, whence))

    def tell(self) -> int:
        return int(self._handle.tell())

    def close(self) -> None:
        if not self.closed:
            self._handle.close()
        super().close()


Place: TypeAlias = Path | StorePath


def arrow_source(place: Place) -> Any:
    """What Arrow's Parquet readers take: a path, or an open object."""
    return place if isinstance(place, Path) else place.open("rb")


def copied_in(folder: Path, place: Place) -> None:
    """Copy a folder's files, over those that a killed job may have left half copied."""
    if isinstance(place, Path):
        shutil.copytree(folder, place, dirs_exist_ok=True)
        return
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            (place / file.relative_to(folder).as_posix()).put(file.read_bytes())


@contextlib.contextmanager
def local_copy(place: Place) -> Iterator[Path]:
    """A folder's files on this machine: itself, or a copy that goes with the block."""
    if isinstance(place, Path):
        yield place
        return
    with tempfile.TemporaryDirectory() as made:
        for entry in place._below(deep=True):
            file = Path(made) / entry.key[len(place.key.rstrip("/")) + 1 :]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(entry.read_bytes())
        yield Path(made)
