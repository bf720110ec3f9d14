"""Columns of a block of patients: floats with NaN for missing, levels as small integer codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Coded", "Column", "Floats", "Table", "patient_ids", "to_frame"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Coded:
    """A column of levels: ``levels[code]``, with code -1 for a missing value.

    Parameters
    ----------
    codes : ndarray of int8 or int16, shape (n_patients,)
        Position in ``levels``, or -1.
    levels : tuple of str
        The text of each level.
    """

    codes: npt.NDArray[np.integer]
    levels: tuple[str, ...]

    def text(self) -> npt.NDArray[np.object_]:
        """Level of each patient as text, None where missing."""
        lookup = np.empty(len(self.levels) + 1, dtype=object)
        lookup[:-1] = self.levels
        # code -1 meets the last entry, which is None
        text: npt.NDArray[np.object_] = lookup[self.codes]
        return text


Column = Floats | npt.NDArray[np.int64] | Coded
Table = dict[str, Column]


def id_width(n_patients: int) -> int:
    """Digits of an identifier in a cohort of this size: six, or more where they do not suffice."""
    return max(6, len(str(n_patients)))


def patient_ids(first: int, count: int, width: int) -> npt.NDArray[np.bytes_]:
    """Identifiers ``P000001`` onwards as fixed-width ASCII.

    Parameters
    ----------
    first : int
        Number of the first patient, from 1.
    count : int
        How many.
    width : int
        Digits after the letter.
    """
    numbers = np.arange(first, first + count, dtype=np.int64)
    digits = np.empty((count, width + 1), dtype=np.uint8)
    digits[:, 0] = ord("P")
    for place in range(width, 0, -1):
        numbers, remainder = np.divmod(numbers, 10)
        digits[:, place] = remainder + ord("0")
    return digits.view(f"S{width + 1}")[:, 0]


def to_frame(table: Table, ids: npt.NDArray[np.bytes_] | None = None) -> pd.DataFrame:
    """Block of columns as a pandas frame; text for levels, None or NaN for missing.

    Parameters
    ----------
    table : dict of str to column
        Columns in their order.
    ids : ndarray of bytes, optional
        Identifiers, placed first as ``patient_id``.
    """
    data: dict[str, object] = {}
    if ids is not None:
        data["patient_id"] = ids.astype(str).astype(object)
    for name, column in table.items():
        data[name] = column.text() if isinstance(column, Coded) else column
    return pd.DataFrame(data)
