"""Compiled hashes of ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["hash_numbers", "hash_texts"]

Hashes = npt.NDArray[np.uint64]

_MIX, _FOLD, _LAST = np.uint64(0x9E3779B97F4A7C15), np.uint64(32), np.uint64(0xD6E8FEB86659FD93)
_BYTE = np.uint64(8)


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
