"""From one column's text or typed values to numbers, with every oddity named.

Nothing is guessed: a value is a declared level, a plain decimal number, a declared token, or a
fault. The cohort reader and the scorer both call :meth:`ParseRule.parse`.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from biomarker.errors import CohortError

__all__ = ["ParseRule", "Parsed", "State", "id_array", "is_plain", "masked", "to_arrow"]

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_CENSORED = re.compile(r"([<>])\s?((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)", re.ASCII)
# Trees compute in single precision, where anything beyond 3.4e38 is infinite; no measurement is.
_LARGEST = 1e38
# A reading such as "<15000" where the laboratory's limit is 15 is another unit, not another limit.
_LIMIT_FACTOR = 100.0
_BELOW_FACTOR = {"half": 0.5, "sqrt2": 0.5**0.5, "limit": 1.0}


class State(enum.IntEnum):
    """What a single value turned out to be; everything from ``UNPARSABLE`` on carries no number."""

    OK = 0
    MISSING = 1
    BELOW_DETECTION = 2
    ABOVE_DETECTION = 3
    UNPARSABLE = 4
    NOT_FINITE = 5
    OUTSIDE_ALLOWED_RANGE = 6
    UNSEEN_CATEGORY = 7


@dataclass(frozen=True)
class Parsed:
    """One column as numbers.

    Attributes
    ----------
    values : ndarray of float64, shape (n_rows,)
        The number, the level's position, or 1/0 for treated/control; NaN where there is none.
        Out-of-range numbers are kept, so that the caller can say by how much.
    states : ndarray of uint8, shape (n_rows,)
        A :class:`State` for each value.
    """

    values: npt.NDArray[np.float64]
    states: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ParseRule:
    """How to understand one column; built from a study's column, stored with a model.

    Parameters
    ----------
    column : str
        Name of the column.
    kind : str
        ``continuous``, ``ordinal``, ``categorical``, ``genotype`` or ``arm``.
    levels, aliases, control
        As the study declares them (``aliases`` as pairs).
    range : pair of float, optional
        Allowed range on the raw scale, both ends included.
    missing : tuple of str
        Texts that mean missing. One that is a number, such as ``-9``, means missing however the
        number is written or typed.
    """

    column: str
    kind: str
    levels: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    control: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    unit: str | None = None
    missing: tuple[str, ...] = ("", "NA")
    lower_limit: float | None = None
    upper_limit: float | None = None
    below_tokens: tuple[str, ...] = ()
    above_tokens: tuple[str, ...] = ()
    below_rule: str = "sqrt2"

    @classmethod
    def from_column(cls, name: str, column: Any, missing: tuple[str, ...]) -> ParseRule:
        """Take what parsing needs from a :class:`biomarker.study.Column`."""
        limits = column.detection
        return cls(
            column=name,
            kind="arm" if column.role == "arm" else (column.kind or "continuous"),
            levels=column.levels,
            aliases=tuple(sorted(column.aliases.items())),
            control=column.control,
            range=column.range,
            unit=column.unit,
            missing=missing,
            lower_limit=limits.lower if limits else None,
            upper_limit=limits.upper if limits else None,
            below_tokens=limits.below_tokens if limits else (),
            above_tokens=limits.above_tokens if limits else (),
            below_rule=limits.rule if limits else "sqrt2",
        )

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ParseRule:
        """Rebuild a stored rule; the inverse of :meth:`to_state`."""
        fixed = {key: _tuples(value) for key, value in state.items()}
        return cls(**fixed)

    def to_state(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

    def allowed(self) -> str:
        """What a value of this column may be, in words for an error message."""
        if self.kind != "continuous":
            return "one of " + ", ".join(repr(level) for level in self.levels)
        text = "a plain decimal number"
        if self.range is not None:
            text += f" from {self.range[0]:g} to {self.range[1]:g}"
        if self.unit:
            text += f" ({self.unit})"
        if self.lower_limit is not None:
            text += f", or '<{self.lower_limit:g}' below the detection limit"
        if self.upper_limit is not None:
            text += f", or '>{self.upper_limit:g}' above it"
        return text

    def parse(self, column: pa.Array | pa.ChunkedArray) -> Parsed:
        """Turn one Arrow column into numbers and states.

        Parameters
        ----------
        column : pyarrow Array or ChunkedArray, length n_rows
            Text (CSV), dictionary-encoded text, numbers or booleans (Parquet).

        Returns
        -------
        Parsed
            Same length and order as ``column``.

        Notes
        -----
        Cost is linear in n_rows with no per-row Python: text is understood once per distinct
        odd value; plain numbers are cast in one call.
        """
        column = to_arrow(column)
        if self.kind == "continuous":
            return self._numbers(column)
        return self._levels(column)

    # -- numbers ---------------------------------------------------------------------------------

    def _numbers(self, column: pa.Array) -> Parsed:
        kind = column.type
        if pa.types.is_dictionary(kind):
            unique = self._numbers(column.dictionary)
            return _spread(column, unique)
        if _is_text(kind):
            parsed = self._numbers_from_text(column)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            if pa.types.is_decimal(kind):
                # Through text, which rounds to the nearest double; Arrow's own cast may not.
                column = pc.cast(column, pa.string())
            values = _floats(pc.cast(column, pa.float64(), safe=False))
            states = np.where(np.isnan(values), State.MISSING, State.OK).astype(np.uint8)
            parsed = Parsed(values, states)
        else:
            return _uniform(column, State.UNPARSABLE)
        return self._ranged(self._without_codes(parsed))

    def _without_codes(self, parsed: Parsed) -> Parsed:
        """Numbers that stand for missing become missing, so that text and typed files agree."""
        codes = self.missing_numbers()
        if codes:
            coded = (parsed.states == State.OK) & np.isin(parsed.values, codes)
            parsed.values[coded] = np.nan
            parsed.states[coded] = State.MISSING
        return parsed

    def missing_numbers(self) -> list[float]:
        """Numbers that stand for a missing value, however they are written or typed."""
        numbers = [_exact_number(text) for text in self.missing]
        return [number for number in numbers if number is not None]

    def _numbers_from_text(self, text: pa.Array) -> Parsed:
        text = _as_string(text)
        missing = pc.is_in(text, value_set=pa.array(self.missing, pa.string()), skip_nulls=True)
        missing = pc.or_(pc.fill_null(missing, False), pc.is_null(text))
        present = pc.if_else(missing, pa.scalar(None, pa.string()), text)
        states = np.where(_bools(missing), State.MISSING, State.OK).astype(np.uint8)
        try:
            values = _floats(pc.cast(present, pa.float64()))
        except pa.ArrowInvalid:
            plain = pc.fill_null(
                pc.match_substring_regex(present, f"^(?:{_NUMBER.pattern})$"), False
            )
            values = _floats(
                pc.cast(pc.if_else(plain, present, pa.scalar(None, pa.string())), pa.float64())
            )
            odd = np.flatnonzero(~_bools(plain) & (states == State.OK))
            self._read_odd(present.take(pa.array(odd)), odd, values, states)
        # Arrow reads "nan" and "inf" as numbers; in a text file they are neither.
        spelled = (states == State.OK) & np.isnan(values)
        states[spelled] = State.UNPARSABLE
        return Parsed(values, states)

    def _read_odd(
        self,
        odd: pa.Array,
        where: npt.NDArray[np.intp],
        values: npt.NDArray[np.float64],
        states: npt.NDArray[np.uint8],
    ) -> None:
        """Understand the texts that are no plain number, once per distinct text."""
        encoded = odd.dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        read = [self._odd_number(text) for text in encoded.dictionary.to_pylist()]
        values[where] = np.array([value for value, _ in read], dtype=np.float64)[codes]
        states[where] = np.array([state for _, state in read], dtype=np.uint8)[codes]

    def _odd_number(self, text: str) -> tuple[float, State]:
        factor = _BELOW_FACTOR[self.below_rule]
        if self.lower_limit is not None and text in self.below_tokens:
            return self.lower_limit * factor, State.BELOW_DETECTION
        if self.upper_limit is not None and text in self.above_tokens:
            return self.upper_limit, State.ABOVE_DETECTION
        match = _CENSORED.fullmatch(text)
        if match is not None:
            limit = float(match[2])
            if match[1] == "<" and _near(limit, self.lower_limit):
                return limit * factor, State.BELOW_DETECTION
            if match[1] == ">" and _near(limit, self.upper_limit):
                return limit, State.ABOVE_DETECTION
        if text.lower().lstrip("+-") in ("inf", "infinity"):
            return np.nan, State.NOT_FINITE
        return np.nan, State.UNPARSABLE

    def _ranged(self, parsed: Parsed) -> Parsed:
        values, states = parsed.values, parsed.states
        infinite = np.abs(values) > _LARGEST
        if infinite.any():
            states[infinite] = State.NOT_FINITE
            values[infinite] = np.nan
        if self.range is not None:
            # Comparisons with NaN are false, so missing values stay what they are. A value
            # reported below detection may lie under the allowed range's low end.
            outside = (values < self.range[0]) & (states != State.BELOW_DETECTION)
            outside |= values > self.range[1]
            states[outside] = State.OUTSIDE_ALLOWED_RANGE
        return parsed

    # -- levels ----------------------------------------------------------------------------------

    def _levels(self, column: pa.Array) -> Parsed:
        if pa.types.is_null(column.type):
            return _uniform(column, State.MISSING)
        if not is_plain(column.type):
            return _uniform(column, State.UNSEEN_CATEGORY)
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        book = self._code_book()
        read = [self._read_level(value, book) for value in column.dictionary.to_pylist()]
        unique = Parsed(
            np.array([code for code, _ in read], dtype=np.float64),
            np.array([state for _, state in read], dtype=np.uint8),
        )
        return _spread(column, unique)

    def _code_book(self) -> dict[str, float]:
        if self.kind == "arm":
            codes = {level: float(level not in self.control) for level in self.levels}
        else:
            codes = {level: float(position) for position, level in enumerate(self.levels)}
        codes.update({alias: codes[level] for alias, level in self.aliases})
        return codes

    def _read_level(self, value: Any, book: dict[str, float]) -> tuple[float, State]:
        for text in _spellings(value):
            if text in book:
                return book[text], State.OK
            if text in self.missing:
                return np.nan, State.MISSING
        if value is None or (isinstance(value, float) and np.isnan(value)):
            return np.nan, State.MISSING
        number = _exact_number(value)
        if number is not None and number in self.missing_numbers():
            return np.nan, State.MISSING
        if number is not None:
            # "1.0" in a file and "1" among the levels are the same number, not a guess.
            for text, code in book.items():
                if _exact_number(text) == number:
                    return code, State.OK
        return np.nan, State.UNSEEN_CATEGORY


def masked(text: str) -> str:
    """Show the shape of a value without the value: letters as ``a``, digits as ``9``.

    Plain punctuation and spaces stay, since they are what usually went wrong; anything else is
    ``?``.
    """
    shape = "".join(
        "9"
        if ch.isnumeric()
        else "a"
        if ch.isalpha()
        else ch
        if ch.isascii() and ch.isprintable()
        else "?"
        for ch in text[:24]
    )
    return f"'{shape}'" + (f" ({len(text)} characters)" if len(text) > 24 else "")


def is_plain(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type holds single values: no lists, records or extensions."""
    return not (pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType))


def to_arrow(values: Any) -> pa.Array:
    """One pandas, numpy or Arrow column as an Arrow array; mixed objects become text.

    NaN in typed data means missing; text is left exactly as it is.

    Raises
    ------
    CohortError
        If a text is no valid Unicode.
    """
    if isinstance(values, pa.ChunkedArray):
        # Arrow copies even a single chunk.
        values = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    if isinstance(values, pa.Array):
        return _decoded(values)
    try:
        converted = pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        try:
            converted = pa.array([_text_or_none(v) for v in _iterate(values)], pa.string())
        except UnicodeEncodeError:
            raise CohortError(
                "Text must be valid Unicode; a value holds half of a surrogate pair. "
                "Read the file again with its right encoding."
            ) from None
    if isinstance(converted, pa.ChunkedArray):
        converted = converted.combine_chunks()
    return _decoded(converted)


def id_array(column: Any) -> pa.Array:
    """Ids as stored, unchanged: text, or whole numbers; a dictionary of them is written out.

    Raises
    ------
    CohortError
        If ids are anything else (a float cannot say which id it was).
    """
    array = to_arrow(column)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    kind = array.type
    if not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise CohortError(
            f"The id column must hold text or whole numbers; got type {kind}. "
            "Store ids as text: a float cannot say which id it was."
        )
    return array


def _decoded(array: pa.Array) -> pa.Array:
    """Plain layout for the two encodings that most of Arrow's own functions do not take."""
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    return array.cast(pa.string()) if pa.types.is_string_view(array.type) else array


def _iterate(values: Any) -> Iterable[Any]:
    return values.tolist() if hasattr(values, "tolist") else values


def _text_or_none(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    return str(value)


def _spellings(value: Any) -> tuple[str, ...]:
    """How a typed value may be written among the levels."""
    if value is None:
        return ()
    if isinstance(value, bool):
        return ("true", "True", "1") if value else ("false", "False", "0")
    if isinstance(value, float):
        return (str(int(value)), str(value)) if value.is_integer() else (str(value),)
    if isinstance(value, bytes):
        return ()
    return (str(value),)


def _exact_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float, Decimal)):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return None


def _near(limit: float, declared: float | None) -> bool:
    """Whether a reading's own limit can be one of the laboratory that declared this one."""
    if declared is None or not math.isfinite(limit):
        return False
    return declared / _LIMIT_FACTOR <= limit <= declared * _LIMIT_FACTOR


def _spread(column: pa.DictionaryArray, unique: Parsed) -> Parsed:
    """Values of the dictionary laid out over the rows; a null index is missing."""
    index = _floats(pc.cast(column.indices, pa.float64()))
    null = np.isnan(index)
    where = np.where(null, len(unique.values), index).astype(np.intp)
    values = np.append(unique.values, np.nan)[where]
    states = np.append(unique.states, np.uint8(State.MISSING))[where]
    return Parsed(values, states)


def _uniform(column: pa.Array, state: State) -> Parsed:
    """A column in which nothing is a number: nulls are missing, the rest is ``state``."""
    null = _bools(pc.is_null(column))
    states = np.where(null, State.MISSING, state).astype(np.uint8)
    return Parsed(np.full(len(column), np.nan), states)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _as_string(text: pa.Array) -> pa.Array:
    return text if pa.types.is_string(text.type) else pc.cast(text, pa.string())


def _floats(array: pa.Array) -> npt.NDArray[np.float64]:
    """Writable float64 copy with NaN for null."""
    return np.array(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def _bools(array: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
