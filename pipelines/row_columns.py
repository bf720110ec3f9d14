"""One column of some rows, read fast where most values are plain, and with care where they are not.

A value is *plain* when nothing about it can be remarkable: a number inside every range that is
asked about, or a level seen in training. Plain values are found by a few comparisons of the whole
column; only the others are parsed and reviewed one by one, by the same code that reads any column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from biomarker.features.frozen_column import FrozenColumn
from biomarker.features.support import ColumnSupport
from biomarker.parsing import State, to_arrow

__all__ = ["ReadColumn", "read_column", "read_every_value"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_LARGEST = 1e38  # beyond it no number is a measurement
_MOST_LEVELS = 1000  # texts of a column whose levels are read once each


@dataclass(frozen=True, eq=False)
class ReadColumn:
    """Values of one column and what stood out.

    Attributes
    ----------
    values : ndarray of float64, shape (n_rows,)
        The number or the level's position; of no meaning on the rows of ``odd``. May be the
        file's own memory: never written to.
    odd : ndarray of int, shape (n_odd,)
        Rows that were read one by one.
    odd_values : ndarray of float64, shape (n_odd,)
        Their values, NaN where no number may be used.
    reasons : dict
        Reason code to the rows it stands on, in the order of REASONS.
    units : ndarray of int
        :meth:`FrozenColumn.unit_tally`.
    support : ndarray of int or None
        :meth:`ColumnSupport.tally`.
    """

    values: Floats
    odd: Ints
    odd_values: Floats
    reasons: dict[str, Ints]
    units: Ints
    support: Ints | None

    def usable_into(self, place: npt.NDArray[Any]) -> None:
        """Write the values, NaN where no number may be used."""
        place[:] = self.values
        place[self.odd] = self.odd_values

    def features_into(
        self, column: FrozenColumn, places: Sequence[npt.NDArray[Any] | None]
    ) -> None:
        """Write the column's features; as :meth:`FrozenColumn.encode_into` of the values."""
        lost = np.isnan(self.odd_values)
        filled = self.values
        if len(self.odd):
            filled = filled.copy()
            filled[self.odd] = np.where(lost, column.fill, self.odd_values)
        column.encode_filled(filled, self.odd[lost], places)


def read_column(
    column: FrozenColumn,
    values: pa.Array | pa.ChunkedArray,
    other_unit: bool,
    counted: ColumnSupport | None,
) -> ReadColumn:
    """Read one column.

    Parameters
    ----------
    column : FrozenColumn
    values : pyarrow Array or ChunkedArray, length n_rows
    other_unit : bool
        Whether the whole file's column is in another unit: then every value stands out.
    counted : ColumnSupport, optional
        Counts the rows by the training rows' cells.
    """
    array = to_arrow(values)
    found = None
    if not other_unit:
        found = _numbers(column, array) if column.kind == "continuous" else _levels(column, array)
    if found is None:
        return read_every_value(column, array, other_unit, counted)
    numbers, plain = found
    odd = np.flatnonzero(np.logical_not(plain, out=plain))
    rest = read_every_value(column, array.take(pa.array(odd)), False, counted)
    units, support = rest.units, rest.support
    measured = column.kind == "continuous" and bool(column.plan.rule.unit)
    if counted is not None or measured:
        known = numbers.copy()
        known[odd] = np.nan
        n_known = len(known) - len(odd)
        units = units + column.unit_counts(known, n_known)
        if counted is not None and support is not None:
            support = support + counted.tally_known(known, n_known)
    reasons = {reason: odd[rows] for reason, rows in rest.reasons.items()}
    return ReadColumn(numbers, odd, rest.values, reasons, units, support)


def read_every_value(
    column: FrozenColumn, values: pa.Array, other_unit: bool, counted: ColumnSupport | None
) -> ReadColumn:
    """Read one column value by value, whatever its type; no row is plain."""
    parsed = column.plan.rule.parse(values)
    raw, states = parsed.values, parsed.states
    found = column.review(raw, states)
    if other_unit:
        found["suspected_unit_mixup"] = states != State.MISSING
    units = column.unit_tally(raw, states)
    outside = found.get("outside_training_range")
    support = None if counted is None else counted.tally(raw, states, outside)
    if states.any() or column.plan.transform != "identity":
        # Outside the allowed range a transform may be undefined: nothing to compute with.
        unusable = (states >= State.UNPARSABLE) & (states != State.OUTSIDE_ALLOWED_RANGE)
        unusable |= ~column.defined(raw)
        raw = np.where(unusable, np.nan, raw)
    if "unseen_category" in found:
        raw = np.where(found["unseen_category"], np.nan, raw)
    reasons = {reason: np.flatnonzero(hit) for reason, hit in found.items()}
    odd = np.flatnonzero(np.isnan(raw))
    return ReadColumn(raw, odd, raw[odd], reasons, units, support)


def _numbers(column: FrozenColumn, array: pa.Array) -> tuple[Floats, Bools] | None:
    """Numbers and which of them are plain; None where numbers are not stored as such."""
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        return None
    array = pc.cast(array, pa.float64(), safe=False)
    values = _stored(array, np.dtype(np.float64))
    low, high = _plain_range(column)
    with np.errstate(invalid="ignore"):
        plain = values >= low
        plain &= values <= high
        for code in column.plan.rule.missing_numbers():
            plain &= values != code
    if array.null_count:
        plain &= _known(array)
    return values, plain


def _plain_range(column: FrozenColumn) -> tuple[float, float]:
    """Ends, included, of the numbers that nothing can be said about."""
    allowed = column.plan.rule.range or (-math.inf, math.inf)
    defined = {
        "log": math.nextafter(0.0, 1.0),
        "log2": math.nextafter(0.0, 1.0),
        "log1p": math.nextafter(-1.0, 0.0),
        "sqrt": 0.0,
    }.get(column.plan.transform, -math.inf)
    low = max(column.low, allowed[0], defined, -_LARGEST)
    return low, min(column.high, allowed[1], _LARGEST)


def _levels(column: FrozenColumn, array: pa.Array) -> tuple[Floats, Bools] | None:
    """Positions of levels and which were seen in training; None where texts are many."""
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array = array.dictionary_encode()
    if not pa.types.is_dictionary(array.type):
        return None
    if not 0 < len(array.dictionary) <= _MOST_LEVELS:
        return None
    read = read_every_value(column, array.dictionary, False, None)
    usual = read.values.copy()
    for rows in read.reasons.values():
        usual[rows] = np.nan
    index = _stored(array.indices, np.dtype(array.indices.type.to_pandas_dtype()))
    if array.indices.null_count:
        # What stands under a null is any number.
        index = np.where(_known(array.indices), index, len(usual))
        usual = np.append(usual, np.nan)
    values = usual.take(index)
    return values, values == values


def _stored(array: pa.Array, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """An array's own memory; what stands under a null has no meaning."""
    data = array.buffers()[1]
    if data is None:
        return np.zeros(len(array), kind)
    return np.frombuffer(data, kind, len(array), array.offset * kind.itemsize)


def _known(array: pa.Array) -> Bools:
    """Which values are not null."""
    bits = np.frombuffer(array.buffers()[0], np.uint8)
    first, last = array.offset // 8, -(-(array.offset + len(array)) // 8)
    every = np.unpackbits(bits[first:last], bitorder="little")
    begin = array.offset % 8
    return every[begin : begin + len(array)].view(np.bool_)
