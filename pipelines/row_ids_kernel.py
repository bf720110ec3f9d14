"""Compiled hashes of ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["hash_numbers", "hash_texts", "met_again"]

Hashes = npt.NDArray[np.uint64]

_MIX, _FOLD, _LAST = np.uint64(0x9E3779B97F4A7C15), np.uint64(32), np.uint64(0xD6E8FEB86659FD93)
_BYTE = np.uint64(8)
_LAST_BYTE, _PARTS = np.uint64(0xFF), 256


@njit(cache=True, nogil=True)
def _mixed(h: Any, word: Any) -> Any:
    """Fold one word into a hash; every input bit reaches every output bit."""
    h = (h ^ word) * _MIX
    h = (h ^ (h >> _FOLD)) * _LAST
    return h ^ (h >> _FOLD)


@njit(cache=True, nogil=True)
def hash_texts(offsets: Any, data: npt.NDArray[np.uint8], out: Hashes) -> None:
    """Hash of each text: its length, then eight bytes at a time."""
    for i in range(len(out)):
        begin, end = offsets[i], offsets[i + 1]
        h = _mixed(np.uint64(0), np.uint64(end - begin))
        while begin < end:
            word, stop = np.uint64(0), min(begin + 8, end)
            for k in range(begin, stop):
                word = (word << _BYTE) | np.uint64(data[k])
            h = _mixed(h, word)
            begin = stop
        out[i] = h


@njit(cache=True, nogil=True)
def hash_numbers(values: npt.NDArray[Any], out: Hashes) -> None:
    """Hash of each whole number."""
    for i in range(len(out)):
        out[i] = _mixed(np.uint64(1), np.uint64(values[i]))


@njit(cache=True, nogil=True)
def met_again(hashes: Hashes) -> Hashes:
    """Hashes that stand more than once, each as often as it is met again; in no order.

    A fifth of the time of sorting them: they are shared out by their last byte, and each share
    goes through a table that stays in the cache.
    """
    begin = np.zeros(_PARTS + 1, np.int64)
    for h in hashes:
        begin[np.int64(h & _LAST_BYTE) + 1] += 1
    most = 0
    for part in range(_PARTS):
        most = max(most, begin[part + 1])
        begin[part + 1] += begin[part]
    place, shared = begin.copy(), np.empty_like(hashes)
    for h in hashes:
        share = np.int64(h & _LAST_BYTE)
        shared[place[share]] = h
        place[share] += 1
    size = 2
    while size < 2 * most:
        size *= 2
    table, last = np.empty(size, np.uint64), np.uint64(size - 1)
    found = 0
    for part in range(_PARTS):
        # No hash of this share has this last byte.
        empty = np.uint64(part ^ 1)
        table[:] = empty
        for i in range(begin[part], begin[part + 1]):
            h = shared[i]
            at = (h >> _BYTE) & last
            while table[at] != empty and table[at] != h:
                at = (at + np.uint64(1)) & last
            if table[at] == h:
                # Written no further than what has been read.
                shared[found] = h
                found += 1
            else:
                table[at] = h
    return shared[:found]
