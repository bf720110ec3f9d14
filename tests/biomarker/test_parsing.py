"""Single cases of parsing that the properties do not spell out."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from biomarker.parsing import ParseRule, State, masked, to_arrow

AGE = ParseRule("age", "continuous", range=(18.0, 100.0), unit="years")
SEX = ParseRule("sex", "categorical", levels=("female", "male"), aliases=(("F", "female"),))
GRADE = ParseRule("grade", "ordinal", levels=("1", "2", "3"))
ARM = ParseRule("arm", "arm", levels=("a", "b", "c"), control=("b",))
VEGF = ParseRule(
    "vegf", "continuous", range=(0.0, 20000.0), lower_limit=15.0, upper_limit=10000.0,
    below_tokens=("BDL",), above_tokens=("HIGH",),
)  # fmt: skip


def states(rule: ParseRule, values: object) -> list[str]:
    """Names of the states of a column's values."""
    return [State(code).name for code in rule.parse(to_arrow(values)).states.tolist()]


def test_both_ends_of_the_allowed_range_are_allowed() -> None:
    """A range is closed; what lies outside keeps its number so that a person can be told."""
    parsed = AGE.parse(pa.array(["18", "100", "17.999", "101"]))
    assert parsed.states.tolist() == [
        0,
        0,
        State.OUTSIDE_ALLOWED_RANGE,
        State.OUTSIDE_ALLOWED_RANGE,
    ]
    assert list(parsed.values) == [18.0, 100.0, 17.999, 101.0]


@pytest.mark.parametrize(
    ("text", "value", "state"),
    [
        ("<15", 15 / 2**0.5, "BELOW_DETECTION"),
        ("< 20", 20 / 2**0.5, "BELOW_DETECTION"),
        ("BDL", 15 / 2**0.5, "BELOW_DETECTION"),
        (">10000", 10000.0, "ABOVE_DETECTION"),
        ("HIGH", 10000.0, "ABOVE_DETECTION"),
        (">19999", 19999.0, "ABOVE_DETECTION"),
        ("<15000", np.nan, "UNPARSABLE"),
        ("<0.015", np.nan, "UNPARSABLE"),
        ("<0", np.nan, "UNPARSABLE"),
        ("<-5", np.nan, "UNPARSABLE"),
        ("<1e400", np.nan, "UNPARSABLE"),
        (">5", np.nan, "UNPARSABLE"),
        ("≤15", np.nan, "UNPARSABLE"),
        ("<=15", np.nan, "UNPARSABLE"),
        ("ND", np.nan, "UNPARSABLE"),
    ],
)
def test_readings_beyond_detection(text: str, value: float, state: str) -> None:
    """Declared tokens and limits are used; a limit far from the declared one is another unit."""
    parsed = VEGF.parse(pa.array([text]))
    assert states(VEGF, pa.array([text])) == [state]
    np.testing.assert_allclose(parsed.values, [value], rtol=1e-15)


def test_without_declared_limits_a_censored_reading_is_refused() -> None:
    """'<15' means nothing where no limit was declared on that side."""
    assert states(AGE, ["<15", ">90"]) == ["UNPARSABLE", "UNPARSABLE"]
    lower_only = ParseRule("x", "continuous", lower_limit=15.0)
    assert states(lower_only, ["<15", ">90"]) == ["BELOW_DETECTION", "UNPARSABLE"]


def test_levels_and_aliases_and_what_is_none() -> None:
    """An alias is its level; case and spaces are not forgiven."""
    parsed = SEX.parse(pa.array(["female", "F", "male", "", "NA", "Male", "male ", None]))
    assert list(parsed.values)[:3] == [0.0, 0.0, 1.0]
    assert states(SEX, ["female", "F", "male", "", "NA", "Male", "male "]) == [
        "OK", "OK", "OK", "MISSING", "MISSING", "UNSEEN_CATEGORY", "UNSEEN_CATEGORY",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        ["1", "3"], [1, 3], [1.0, 3.0], ["1.0", "3.0"], [Decimal("1.00"), Decimal(3)],
        pd.Series([1, 3], dtype="Int8"), pd.Series(["1", "3"], dtype="category"),
        pd.Series([1, 3], dtype="category"), np.array([1, 3], np.uint8),
    ],
)  # fmt: skip
def test_numeric_levels_are_one_number_however_typed(values: object) -> None:
    """Level "1" is met by 1, 1.0, "1.0" and a decimal alike."""
    parsed = GRADE.parse(to_arrow(values))
    assert (list(parsed.values), list(parsed.states)) == ([0.0, 2.0], [0, 0])


def test_booleans_meet_levels_written_as_words_or_digits() -> None:
    """A typed boolean is 'true' or '1' among the levels, and no number."""
    rule = ParseRule("x", "categorical", levels=("0", "1"))
    assert list(rule.parse(pa.array([True, False])).values) == [1.0, 0.0]
    assert states(AGE, pa.array([True, None])) == ["UNPARSABLE", "MISSING"]


def test_the_arm_is_treated_or_control_whatever_its_level() -> None:
    """Every level that is no control counts as treated."""
    assert list(ARM.parse(pa.array(["a", "b", "c"])).values) == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([datetime.date(2020, 1, 1)]), pa.array([datetime.timedelta(1)]),
        pa.array([b"1"]), pa.array([[1.0]]), pa.array([{"a": 1}]), pa.array([True]),
        pd.Series(pd.to_datetime(["2020-01-01"])), pd.Series([pd.Period("2020-01")]),
    ],
)  # fmt: skip
def test_other_types_are_no_numbers_and_no_levels(values: object) -> None:
    """Dates, durations, bytes, lists and records are refused, never converted."""
    for rule in (AGE, SEX):
        (state,) = states(rule, values)
        assert state in ("UNPARSABLE", "UNSEEN_CATEGORY")


def test_missing_in_typed_data_is_missing() -> None:
    """NaN, None, NaT-free nullable NA and null indices of a dictionary carry no number."""
    for values in (
        [None, 50.0], [np.nan, 50.0], pd.Series([None, 50], dtype="Int64"),
        pd.Series([None, "50"], dtype="string"), pd.Series([None, "50"], dtype="category"),
        pa.array([None, "50"]).dictionary_encode(), pa.array([None, 50], pa.decimal128(5, 1)),
    ):  # fmt: skip
        assert states(AGE, values) == ["MISSING", "OK"]
    assert states(AGE, pa.nulls(2)) == states(SEX, pa.nulls(2)) == ["MISSING", "MISSING"]


def test_chunks_with_dictionaries_of_their_own_are_one_column() -> None:
    """Parquet row groups may number the same levels differently."""
    first = pa.array(["male", "female"]).dictionary_encode()
    second = pa.array(["female", None, "F"]).dictionary_encode()
    both = SEX.parse(pa.chunked_array([first, second]))
    assert list(both.values)[:3] == [1.0, 0.0, 0.0]
    assert both.states[3] == State.MISSING
    assert len(SEX.parse(pa.chunked_array([], pa.string())).values) == 0


def test_what_is_allowed_is_said_in_words() -> None:
    """The message names range, unit and limits, or the levels."""
    assert AGE.allowed() == "a plain decimal number from 18 to 100 (years)"
    assert "'<15' below the detection limit" in VEGF.allowed()
    assert SEX.allowed() == "one of 'female', 'male'"


def test_a_mask_shows_the_shape_alone() -> None:
    """Letters, digits and symbols go; the punctuation that went wrong stays."""
    assert masked("1,234") == "'9,999'"
    assert masked("Ünal ½ 😀") == "'aaaa 9 ?'"
    assert masked("x" * 30) == "'" + "a" * 24 + "' (30 characters)"
