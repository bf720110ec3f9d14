"""Which ids stand more than once, found by one pass over the id column, at any length.

Ids are hashed to 64 bits; hashes are compared in memory, or in 256 files by their first byte once
they exceed 256 MB. A hash that stands once belongs to an id that stands once. The few others are
compared exactly: by the id first met with each, and, where two ids share a hash, by name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from biomarker.errors import BundleError
from biomarker.parsing import id_array

__all__ = ["RepeatedIds", "find_repeated", "hash_ids"]

Hashes = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Passes = Callable[[], Iterable[pa.Array]]

_IN_MEMORY = 256 * 2**20
_PARTS = 256
_COMPARED = 4_000_000  # hashes whose first id is held at a time
_NULL = np.uint64(0x5EED)


@dataclass(frozen=True, eq=False)
class RepeatedIds:
    """Tells of any rows of the file which of their ids stand more than once.

    Attributes
    ----------
    hashes : ndarray of uint64, ascending
        Of ids that stand more than once and share their hash with no other id.
    shared : ndarray of uint64, ascending
        Hashes of several ids.
    names : frozenset
        Of those the ids that stand more than once.
    n_rows : int
        Rows of the file.
    """

    hashes: Hashes
    shared: Hashes
    names: frozenset[Any]
    n_rows: int

    @property
    def any(self) -> bool:
        """Whether any id stands more than once."""
        return len(self.hashes) + len(self.shared) > 0

    def __call__(self, ids: pa.Array) -> Bools:
        """True where the id stands more than once in the file; shape (n_ids,)."""
        if not self.any:
            return np.zeros(len(ids), np.bool_)
        found = hash_ids(ids)
        repeated = _among(found, self.hashes)
        for row in np.flatnonzero(_among(found, self.shared)):
            repeated[row] = ids[int(row)].as_py() in self.names
        return repeated

    def save(self, folder: Path) -> None:
        """Write to a folder, nothing pickled, for a worker elsewhere."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "hashes.npy", self.hashes, allow_pickle=False)
        np.save(folder / "shared.npy", self.shared, allow_pickle=False)
        told = {"names": sorted(self.names, key=str), "n_rows": self.n_rows}
        (folder / "names.json").write_text(json.dumps(told), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> RepeatedIds:
        """What :meth:`save` wrote.

        Raises
        ------
        BundleError
            If the files are damaged; nothing in them is unpickled.
        """
        try:
            told = json.loads((folder / "names.json").read_text("utf-8"))
            hashes, shared = (
                np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("hashes", "shared")
            )
            for array in (hashes, shared):
                if array.dtype != np.uint64 or array.ndim != 1:
                    raise ValueError("no hashes")
            return cls(hashes, shared, frozenset(told["names"]), int(told["n_rows"]))
        except (OSError, EOFError, KeyError, TypeError, ValueError, AttributeError):
            raise BundleError(
                f"The ids beside the ledger must be as they were written; '{folder.name}' is "
                "damaged. Score again with --restart."
            ) from None


@dataclass
class _Collected:
    """Hashes met so far, in memory or by first byte in files."""

    folder: Path
    limit: int
    pieces: list[Hashes] = field(default_factory=list)
    size: int = 0
    spilled: bool = False

    def add(self, hashes: Hashes) -> None:
        self.pieces.append(hashes)
        self.size += hashes.nbytes
        if self.size > self.limit:
            self._spill()

    def _spill(self) -> None:
        """Append what is held to the files of its first bytes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for part, hashes in _by_first_byte(np.concatenate(self.pieces)):
            with (self.folder / f"{part:03d}").open("ab") as handle:
                hashes.tofile(handle)
        self.pieces, self.size, self.spilled = [], 0, True

    def parts(self) -> Iterator[Hashes]:
        """All hashes, part by part: one that stands twice does so in the same part."""
        if not self.spilled:
            yield np.concatenate([np.zeros(0, np.uint64), *self.pieces])
            return
        if self.pieces:
            self._spill()
        for part in range(_PARTS):
            file = self.folder / f"{part:03d}"
            if file.exists():
                yield np.fromfile(file, np.uint64)
                file.unlink()
        self.folder.rmdir()


def find_repeated(passes: Passes, folder: str | Path, in_memory: int = _IN_MEMORY) -> RepeatedIds:
    """Find the ids that stand more than once.

    Parameters
    ----------
    passes : callable
        Gives the id column from its beginning each time it is called, part by part; called once,
        and again only where hashes repeat.
    folder : path
        For files of hashes, made when needed and gone afterwards.
    in_memory : int
        Bytes of hashes held before files are used.

    Returns
    -------
    RepeatedIds
        The same for any division into parts.

    Raises
    ------
    CohortError
        If ids are neither text nor whole numbers.
    """
    from pipelines.row_ids_kernel import met_again

    collected, n_rows = _Collected(Path(folder), in_memory), 0
    for part in passes():
        ids = id_array(part)
        n_rows += len(ids)
        collected.add(hash_ids(ids))
    twice = [np.unique(met_again(hashes)) for hashes in collected.parts()]
    candidates = np.concatenate([np.zeros(0, np.uint64), *twice])
    pure, shared = [], []
    for begin in range(0, len(candidates), _COMPARED):
        round_ = candidates[begin : begin + _COMPARED]
        mixed = _first_ids_differ(passes, round_)
        pure.append(round_[~mixed])
        shared.append(round_[mixed])
    empty = np.zeros(0, np.uint64)
    several = np.concatenate([empty, *shared])
    return RepeatedIds(np.concatenate([empty, *pure]), several, _by_name(passes, several), n_rows)


def hash_ids(ids: pa.Array) -> Hashes:
    """A 64-bit hash of each id; null has one of its own.

    Parameters
    ----------
    ids : pyarrow Array
        Text or whole numbers, as :func:`biomarker.parsing.id_array` gives them.
    """
    from pipelines.row_ids_kernel import hash_numbers, hash_texts

    out = np.zeros(len(ids), np.uint64)
    if pa.types.is_integer(ids.type):
        wide = np.uint64 if pa.types.is_unsigned_integer(ids.type) else np.int64
        values = pc.fill_null(ids, 0).to_numpy(zero_copy_only=False).astype(wide)
        hash_numbers(values.view(np.uint64), out)
    elif not pa.types.is_null(ids.type):
        large = pa.types.is_large_string(ids.type)
        _, offsets, data = ids.buffers()
        kind = np.int64 if large else np.int32
        at = np.frombuffer(offsets, kind)[ids.offset : ids.offset + len(ids) + 1]
        text = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
        hash_texts(at, text, out)
    if ids.null_count:
        out[pc.is_null(ids).to_numpy(zero_copy_only=False)] = _NULL
    return out


def _by_first_byte(hashes: Hashes) -> Iterator[tuple[int, Hashes]]:
    ordered = np.sort(hashes)
    edges = np.arange(1, _PARTS, dtype=np.uint64) << np.uint64(56)
    for part, piece in enumerate(np.split(ordered, np.searchsorted(ordered, edges))):
        if len(piece):
            yield part, piece


def _among(hashes: Hashes, ordered: Hashes) -> Bools:
    if len(ordered) == 0:
        return np.zeros(len(hashes), np.bool_)
    at = np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)
    found: Bools = ordered[at] == hashes
    return found


def _first_ids_differ(passes: Passes, ordered: Hashes) -> Bools:
    """Whether any row with a hash has another id than the first row with it."""
    mixed = np.zeros(len(ordered), np.bool_)
    slot = np.full(len(ordered), -1, np.int64)
    first: list[pa.Array] = []
    held = 0
    for part in passes():
        ids = id_array(part)
        hashes = hash_ids(ids)
        rows = np.flatnonzero(_among(hashes, ordered))
        if len(rows) == 0:
            continue
        at = np.searchsorted(ordered, hashes[rows])
        unseen, where = np.unique(at, return_index=True)
        new = slot[unseen] < 0
        slot[unseen[new]] = held + np.arange(int(new.sum()))
        held += int(new.sum())
        first = [pa.concat_arrays([*first, ids.take(pa.array(rows[where[new]]))])]
        same = pc.equal(ids.take(pa.array(rows)), first[0].take(pa.array(slot[at])))
        # Null has a hash of its own: beside it stands null alone, or a text by rare chance.
        null = pc.is_null(ids.take(pa.array(rows))), pc.is_null(first[0].take(pa.array(slot[at])))
        same = pc.if_else(pc.or_(*null), pc.and_(*null), same)
        mixed[at[~same.to_numpy(zero_copy_only=False).astype(np.bool_)]] = True
    return mixed


def _by_name(passes: Passes, ordered: Hashes) -> frozenset[Any]:
    """Ids with these hashes that stand more than once, compared by name."""
    if len(ordered) == 0:
        return frozenset()
    count: Counter[Any] = Counter()
    for part in passes():
        ids = id_array(part)
        count.update(
            ids[int(row)].as_py() for row in np.flatnonzero(_among(hash_ids(ids), ordered))
        )
    return frozenset(name for name, n in count.items() if n > 1)
