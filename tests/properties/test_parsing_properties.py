"""What parsing promises for any text: plain decimals and nothing else, however they are stored."""

from __future__ import annotations

import math
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.parsing import ParseRule, State, masked, to_arrow

NUMBER = ParseRule("x", "continuous")
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
CARRIES_A_NUMBER = (State.OK, State.BELOW_DETECTION, State.ABOVE_DETECTION)

plain_decimals = st.from_regex(
    r"\A[+-]?[0-9]{1,18}(\.[0-9]{0,18})?([eE][+-]?[0-9]{1,2})?\Z"
).filter(lambda text: abs(float(text)) < 1e37)
numberish = st.text(alphabet="0123456789.,-+eExX_ <>∞٣½nainf\t", min_size=1, max_size=8)
floats = st.floats(-1e37, 1e37, allow_nan=False)


def parsed(values: object, rule: ParseRule = NUMBER) -> tuple[list[float], list[int]]:
    """Values and states of a column."""
    result = rule.parse(values if isinstance(values, pa.Array) else to_arrow(values))
    return np.asarray(result.values).tolist(), result.states.tolist()


@given(st.lists(plain_decimals, min_size=1, max_size=20))
def test_plain_decimals_are_read_as_float_reads_them(texts: list[str]) -> None:
    """Every plain decimal gives the same double as Python's own reading, to the last bit."""
    values, states = parsed(pa.array(texts))
    assert values == [float(text) for text in texts]
    assert set(states) == {State.OK}


@given(st.lists(st.one_of(numberish, st.text(max_size=6)), min_size=1, max_size=20))
def test_everything_else_is_refused(texts: list[str]) -> None:
    """A text is a number only if it is a plain decimal; Python's leniency is not ours."""
    values, states = parsed(pa.array(texts))
    for text, value, state in zip(texts, values, states, strict=True):
        if text in ("", "NA"):
            assert state == State.MISSING
        elif PLAIN.fullmatch(text) and abs(float(text)) <= 1e38:
            assert (value, state) == (float(text), State.OK)
        else:
            assert state in (State.UNPARSABLE, State.NOT_FINITE)
            assert math.isnan(value)


def test_what_python_or_a_spreadsheet_would_take_is_refused() -> None:
    """The list of near-numbers that other readers accept."""
    texts = ["1,234", "1 234", " 1", "1 ", "1_000", "0x10", "１２", "٣", "½", "1e400", "-1e400"]
    texts += [
        "nan",
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        "1d5",
        "1f",
        "--1",
        ".",
        "e5",
        "1\n",
        "12-May",
    ]
    values, states = parsed(pa.array(texts))
    assert all(math.isnan(value) for value in values)
    assert all(state >= State.UNPARSABLE for state in states)


@given(st.lists(floats, min_size=1, max_size=20))
def test_typed_and_text_columns_of_the_same_numbers_agree(numbers: list[float]) -> None:
    """Doubles, their texts, dictionaries, pandas' own types: one result."""
    texts = [repr(number) for number in numbers]
    expected = parsed(pa.array(numbers))
    forms = [
        pa.array(texts),
        pa.array(texts, pa.large_string()),
        pa.array(texts).dictionary_encode(),
        pa.array(numbers).dictionary_encode(),
        pd.Series(texts, dtype="string"),
        pd.Series(numbers, dtype="Float64"),
        pd.Series(texts, dtype="category"),
        pd.Series(texts, dtype=object),
        np.array(numbers),
    ]
    for form in forms:
        assert parsed(form) == expected


@given(st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=20))
def test_whole_numbers_agree_over_every_integer_type(numbers: list[int]) -> None:
    """Integers, nullable integers, decimals, objects and text are the same numbers."""
    expected = parsed(pa.array([str(number) for number in numbers]))
    forms = [
        pa.array(numbers),
        pd.Series(numbers, dtype="Int64"),
        pa.array([Decimal(number) for number in numbers]),
        pd.Series(numbers, dtype=object),
    ]
    for form in forms:
        assert parsed(form) == expected


@given(st.decimals(-(10**6), 10**6, places=4, allow_nan=False))
def test_decimals_round_as_their_text_does(number: Decimal) -> None:
    """A stored decimal gives the double nearest to it."""
    assert parsed(pa.array([number]))[0] == [float(str(number))]


@given(st.sampled_from(["-9", "999", "-9.0", "1e3"]), st.lists(st.integers(-10, 1001), max_size=20))
def test_a_missing_code_means_missing_in_text_and_in_typed_files(
    code: str, numbers: list[int]
) -> None:
    """``missing = ["-9"]`` is missing as -9, -9.0 or "-9", so that none becomes a value."""
    rule = ParseRule("x", "continuous", missing=("", code))
    coded = [*numbers, int(float(code))]
    expected = [State.MISSING if number == float(code) else State.OK for number in coded]
    for form in (
        pa.array([str(number) for number in coded]),
        pa.array([f"{number}.0" for number in coded]),
        pa.array(coded),
        pa.array(coded, pa.float64()),
    ):
        values, states = parsed(form, rule)
        assert states == expected
        assert all(
            math.isnan(v) == (s == State.MISSING) for v, s in zip(values, states, strict=True)
        )


levels = st.lists(
    st.text(min_size=1, max_size=4).filter(lambda t: t != "NA"), min_size=2, max_size=5, unique=True
)


@given(levels, st.data())
def test_levels_are_matched_exactly_and_by_position(names: list[str], data: st.DataObject) -> None:
    """Each declared level gives its position; no other text gives one, unless it is that number."""
    rule = ParseRule("x", "categorical", levels=tuple(names))
    drawn = data.draw(st.lists(st.one_of(st.sampled_from(names), st.text(max_size=4)), min_size=1))
    values, states = parsed(pa.array(drawn), rule)
    for text, value, state in zip(drawn, values, states, strict=True):
        if text in names:
            assert (value, state) == (names.index(text), State.OK)
        elif text in ("", "NA"):
            assert state == State.MISSING
        elif state == State.OK:
            assert float(names[int(value)]) == float(text)
        else:
            assert state == State.UNSEEN_CATEGORY


@given(st.lists(st.one_of(numberish, plain_decimals), min_size=1, max_size=20), st.randoms())
def test_rows_are_read_one_by_one(texts: list[str], random: object) -> None:
    """What a value means does not depend on its neighbours: permuted rows give permuted results."""
    rule = ParseRule("x", "continuous", lower_limit=1.0, upper_limit=50.0, range=(0.0, 100.0))
    order = list(range(len(texts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    whole = rule.parse(pa.array(texts))
    shuffled = rule.parse(pa.array([texts[i] for i in order]))
    np.testing.assert_array_equal(shuffled.values, np.asarray(whole.values)[order])
    np.testing.assert_array_equal(shuffled.states, whole.states[order])


@given(st.lists(st.one_of(numberish, st.text(max_size=6)), min_size=1, max_size=20))
def test_a_state_says_whether_there_is_a_number(texts: list[str]) -> None:
    """OK and beyond-limit readings carry a finite number; missing and refused carry none."""
    rule = ParseRule("x", "continuous", lower_limit=1.0, upper_limit=50.0)
    values, states = parsed(pa.array(texts), rule)
    for value, state in zip(values, states, strict=True):
        assert math.isfinite(value) == (state in CARRIES_A_NUMBER)


@given(
    st.text(alphabet="0123456789.<> ", min_size=1, max_size=6),
    st.sampled_from(["half", "sqrt2", "limit"]),
)
def test_a_reading_beyond_its_limit_is_used_at_the_declared_fraction(text: str, how: str) -> None:
    """``<x`` gives x times the rule's factor and ``>x`` gives x, near the declared limits only."""
    rule = ParseRule("x", "continuous", lower_limit=1.0, upper_limit=500.0, below_rule=how)
    (value,), (state,) = parsed(pa.array([text]), rule)
    factor = {"half": 0.5, "sqrt2": 2**-0.5, "limit": 1.0}[how]
    if state == State.BELOW_DETECTION:
        limit = float(text.lstrip("< "))
        assert 0.01 <= limit <= 100
        assert value == limit * factor
    elif state == State.ABOVE_DETECTION:
        assert 5 <= value <= 50000
        assert value == float(text.lstrip("> "))
    else:
        assert not text.startswith(("<", ">")) or state == State.UNPARSABLE


@given(st.text(max_size=40))
def test_a_masked_text_keeps_no_letter_digit_or_symbol_of_its_own(text: str) -> None:
    """Only the letters of the mask, plain punctuation and spaces come out."""
    shown = masked(text)
    kept = set(shown) - set("a9?'()characters") - set(shown[-16:])
    assert all(ch.isascii() and not ch.isalnum() for ch in kept)
    if len(text) <= 24:
        assert len(shown) == len(text) + 2


@settings(max_examples=25)
@given(st.lists(st.one_of(st.none(), floats, st.text(max_size=3), st.booleans()), max_size=8))
def test_mixed_objects_become_text_and_never_crash(values: list[object]) -> None:
    """A frame's object column of anything is read value by value."""
    read = NUMBER.parse(to_arrow(pd.Series(values, dtype=object)))
    assert len(read.values) == len(values)


def test_a_rule_survives_being_stored() -> None:
    """to_state and from_state are inverse, through JSON."""
    import json

    rule = ParseRule(
        "x", "categorical", ("a", "b"), (("A", "a"),), (), (0.0, 1.0), "g", ("", "."), 1.0, 2.0
    )
    assert ParseRule.from_state(json.loads(json.dumps(rule.to_state()))) == rule
