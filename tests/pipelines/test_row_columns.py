"""A column read fast says what the same column says when every value is read with care."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.features.encoding import fit_encoder
from biomarker.features.frozen_column import ColumnPlan, FrozenColumn
from biomarker.features.support import ColumnSupport, fit_support
from biomarker.parsing import ParseRule
from pipelines.row_columns import read_column, read_every_value

LEVELS = ("low", "mid", "high", "never")
NUMBERS: dict[str, tuple[ParseRule, str]] = {
    "plain": (ParseRule("c", "continuous"), "identity"),
    "ranged": (ParseRule("c", "continuous", range=(0.0, 1e4), unit="pg/mL"), "identity"),
    "log": (ParseRule("c", "continuous", unit="pg/mL", range=(-5.0, 1e9)), "log"),
    "log1p": (ParseRule("c", "continuous", lower_limit=15.0), "log1p"),
    "sqrt": (ParseRule("c", "continuous", missing=("", "NA", "-9", "3")), "sqrt"),
    "log2": (ParseRule("c", "continuous", upper_limit=900.0, below_tokens=("low",)), "log2"),
}
GROUPS: dict[str, ParseRule] = {
    "categorical": ParseRule("c", "categorical", levels=LEVELS, aliases=(("medium", "mid"),)),
    "ordinal": ParseRule("c", "ordinal", levels=LEVELS, missing=("", "NA", "lost")),
    "arm": ParseRule("c", "arm", levels=("low", "mid", "high", "never"), control=("low",)),
}


def learned(
    rule: ParseRule, transform: str, gaps: bool
) -> tuple[FrozenColumn, ColumnSupport | None]:
    """The column of an encoder and what it counts, from 60 training rows."""
    rng = np.random.default_rng(7)
    if rule.kind == "continuous":
        raw = np.exp(rng.normal(3.0, 1.0, 60))
    else:
        raw = rng.integers(0, 2 if rule.kind == "arm" else 3, 60).astype(float)
    if gaps:
        raw[:5] = np.nan
    encoder = fit_encoder((ColumnPlan(rule, transform),), raw[:, None])
    states = np.isnan(raw).astype(np.uint8)[:, None]
    support = fit_support(encoder, raw[:, None], states)
    return encoder.columns[0], support.column("c")


def same(column: FrozenColumn, values: Any, counted: ColumnSupport | None, unit: bool) -> None:
    """Values, reasons, counts and features agree to the last bit."""
    fast = read_column(column, values, unit, counted)
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    slow = read_every_value(column, whole, unit, counted)
    n = len(values)
    raw = np.empty((2, n))
    fast.usable_into(raw[0])
    slow.usable_into(raw[1])
    np.testing.assert_array_equal(raw[0], raw[1])
    assert list(fast.reasons) == list(slow.reasons) or n == 0
    for reason, rows in slow.reasons.items():
        np.testing.assert_array_equal(fast.reasons.get(reason, []), rows)
    np.testing.assert_array_equal(fast.units, slow.units)
    if counted is not None:
        np.testing.assert_array_equal(fast.support, slow.support)
    width = len(column.feature_names)
    for kind in (np.float32, np.float64):
        got, want = np.full((width, n), 7, kind), np.full((width, n), 7, kind)
        with np.errstate(over="ignore", invalid="ignore"):
            fast.features_into(column, list(got))
            column.encode_into(raw[1], list(want))
        assert got.tobytes() == want.tobytes()


def hiding(values: list[float | None]) -> pa.Array:
    """The values, with a plain number in the memory under each null."""
    known = np.packbits(np.array([v is not None for v in values], np.bool_), bitorder="little")
    data = np.array([20.0 if value is None else value for value in values], np.float64)
    buffers = [pa.py_buffer(known), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.float64(), len(values), buffers)


ODD = [0.0, -0.0, -1.0, -9.0, 3.0, 5e-324, 1e38, 1.1e38, -1e39, np.inf, -np.inf, np.nan, 2e4, 2e7]
numbers = st.lists(st.one_of(st.none(), st.floats(1.0, 200.0), st.sampled_from(ODD)), max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    values=numbers,
    which=st.sampled_from(sorted(NUMBERS)),
    kind=st.sampled_from([pa.float64(), pa.float32()]),
    gaps=st.booleans(),
    unit=st.booleans(),
    cut=st.integers(0, 9),
    counted=st.booleans(),
    unbounded=st.booleans(),
)
def test_numbers(
    values: list[float | None], which: str, kind: pa.DataType, gaps: bool, unit: bool, cut: int,
    counted: bool, unbounded: bool,
) -> None:  # fmt: skip
    """Whatever they are, in any part of an array, nulls and NaN alike, in one piece or two."""
    column, support = learned(*NUMBERS[which], gaps)
    if unbounded:
        column = replace(column, low=-np.inf, high=np.inf)
    array = hiding(values).cast(kind, safe=False)
    part = array.slice(cut)
    same(column, part, support if counted else None, unit)
    same(column, pa.chunked_array([array.slice(0, cut), part]), support, unit)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), st.integers(-10, 300)), max_size=40),
    which=st.sampled_from(sorted(NUMBERS)),
    kind=st.sampled_from([pa.int16(), pa.int64(), pa.string(), pa.decimal128(24, 1)]),
)
def test_numbers_stored_otherwise(values: list[int | None], which: str, kind: pa.DataType) -> None:
    """Whole numbers, decimals and texts."""
    column, support = learned(*NUMBERS[which], True)
    same(column, pa.array(values, pa.int64()).cast(kind), support, False)


texts = st.lists(
    st.one_of(st.none(), st.sampled_from([*LEVELS, "medium", "", "NA", "lost", "Low", "odd"])),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(
    values=texts,
    which=st.sampled_from(sorted(GROUPS)),
    form=st.sampled_from(["text", "large", "dictionary", "null in the book", "whole"]),
    gaps=st.booleans(),
    unit=st.booleans(),
    cut=st.integers(0, 9),
)
def test_levels(
    values: list[str | None], which: str, form: str, gaps: bool, unit: bool, cut: int
) -> None:
    """Texts of levels, aliases and others; as such or as a dictionary, in any part of it."""
    column, support = learned(GROUPS[which], "identity", gaps)
    array: Any = pa.array(values, pa.string())
    if form == "large":
        array = array.cast(pa.large_string())
    elif form == "dictionary":
        array = array.dictionary_encode()
    elif form == "null in the book":
        array = array.dictionary_encode(null_encoding="encode")
    elif form == "whole":
        array = pa.array([None if v is None else len(v) for v in values], pa.int8())
    same(column, array.slice(cut), support, unit)


def test_what_stands_under_a_null_is_never_read() -> None:
    """A null's memory may hold a plain number, or an index beyond the dictionary."""
    column, support = learned(*NUMBERS["plain"], True)
    for cut in range(12):
        same(column, hiding([21.0, None, 22.0, 23.0, None, 24.0] * 4).slice(cut), support, False)
    known = np.array([0b101], np.uint8)
    hidden = pa.Array.from_buffers(
        pa.float64(), 3, [pa.py_buffer(known), pa.py_buffer(np.array([20.0, 20.0, 21.0]))]
    )
    read = read_column(column, hidden, False, support)
    assert read.odd.tolist() == [1]
    assert {reason: rows.tolist() for reason, rows in read.reasons.items()} == {"missing": [1]}
    group, counted = learned(GROUPS["ordinal"], "identity", True)
    index = pa.Array.from_buffers(
        pa.int32(), 3, [pa.py_buffer(known), pa.py_buffer(np.array([1, 99, 0], np.int32))]
    )
    levels = pa.DictionaryArray.from_arrays(index, pa.array(["low", "mid"]), safe=False)
    same(group, levels, counted, False)


@pytest.mark.parametrize("which", sorted(NUMBERS))
def test_no_training_range_hides_what_a_number_cannot_be(which: str) -> None:
    """A column of no known ends still sees infinities, and where its transform is undefined."""
    column, support = learned(*NUMBERS[which], True)
    same(replace(column, low=-np.inf, high=np.inf), pa.array(ODD), support, False)


@pytest.mark.parametrize("which", sorted(NUMBERS))
def test_many_rows(which: str) -> None:
    """More than one block of anything, most of them plain: few are read one by one."""
    rng = np.random.default_rng(3)
    values = np.exp(rng.normal(3.0, 0.8, 20_000))
    array = pa.array(values, mask=rng.random(20_000) < 0.02)
    column, support = learned(*NUMBERS[which], True)
    same(column, array, support, False)
    assert len(read_column(column, array, False, support).odd) < 2_000
