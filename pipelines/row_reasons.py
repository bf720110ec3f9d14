"""Which reasons stand on which rows, and each combination of them as one text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["Reasons"]

Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

_WORD = 63  # reasons that one whole number holds


class Reasons:
    """Reasons of some rows, in the order in which they are noted.

    A row carries the number of its combination, 0 for none. Each reason that is noted makes new
    combinations of those met so far, so that no row is ever compared with another.

    Attributes
    ----------
    refused, warned : ndarray of bool, shape (n_rows,)
        Rows on which such a reason stands.
    """

    def __init__(self, n: int) -> None:
        self.refused, self.warned = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        self._names: list[str] = []
        self._rows: list[int] = []
        self._combination = np.zeros(n, np.int32)
        # Of each combination: the one it grew from, and the reason that was added to it.
        self._before: list[int] = [0]
        self._added: list[int] = [-1]

    def add(self, name: str, reaction: str, rows: Rows) -> None:
        """Note a reason, once, on rows that are each named once; none is no reason."""
        if len(rows) == 0:
            return
        (self.refused if reaction == "refuse" else self.warned)[rows] = True
        old = self._combination[rows]
        met = np.zeros(len(self._before), np.bool_)
        met[old] = True
        grown = np.flatnonzero(met)
        number = np.zeros(len(met), np.int32)
        number[grown] = len(self._before) + np.arange(len(grown))
        self._combination[rows] = number[old]
        self._before.extend(grown.tolist())
        self._added.extend([len(self._names)] * len(grown))
        self._names.append(name)
        self._rows.append(len(rows))

    def column(self) -> tuple[pa.Array, dict[str, int]]:
        """``code:column`` joined by semicolons, each combination written once; rows by reason."""
        found = np.bincount(self._combination, minlength=len(self._before))
        text, rank = self._texts()
        present = sorted((np.flatnonzero(found[1:]) + 1).tolist(), key=rank.__getitem__)
        place = np.zeros(len(self._before), np.int32)
        # The first text stands for the rows without a reason.
        place[present] = np.arange(1, len(present) + 1)
        book = ["", *(text[k] for k in present)]
        index = place[self._combination]
        tally = dict(zip(self._names, self._rows, strict=True))
        return pa.DictionaryArray.from_arrays(pa.array(index), pa.array(book)), tally

    def _texts(self) -> tuple[list[str], list[int]]:
        """Each combination's text, and its rank among them.

        They are ranked by the bits of whole numbers that hold 63 reasons each, the first ones
        foremost: an order that parts of a file have kept since the first release.
        """
        words = -(-len(self._names) // _WORD)
        bit = [1 << (_WORD * (words - 1 - i // _WORD) + i % _WORD) for i in range(len(self._names))]
        text, rank = [""], [0]
        for before, added in zip(self._before[1:], self._added[1:], strict=True):
            name = self._names[added]
            text.append(f"{text[before]};{name}" if before else name)
            rank.append(rank[before] | bit[added])
        return text, rank
