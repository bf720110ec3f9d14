"""Numbers as a page prints them, and the computed values they must equal at that precision."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NUMBER", "Printed", "Values", "printed_numbers"]

Floats = npt.NDArray[np.float64]

# A number in running text; the sign counts only where nothing stands before it.
NUMBER = (
    r"(?:(?<![^\s(\[,;:/±|])[+\-−])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:(?<=\d)\.(?=\d)|\.(?=\d)|(?<=\d))"
    r"\d*(?:[eE][+\-−]?\d+)?(?:\s?%|\s(?:per\s?cent|percent)\b)?"
)
_NUMBER = re.compile(rf"(?<![\d.]){NUMBER}")
_TRIPLE = re.compile(rf"(?P<v>{NUMBER})\s*\((?P<a>{NUMBER}) to (?P<b>{NUMBER})\)")
_PAIR = re.compile(rf"\s*(?P<a>{NUMBER}) to (?P<b>{NUMBER})\s*")
_LONGEST = 400  # longer lists are curves or grids, of which no sentence quotes a value
_P = re.compile(r"^p(_|$)|_p$|^ph_p$")


@dataclass(frozen=True)
class Printed:
    """One number as it stands in a text.

    Attributes
    ----------
    text : str
    value : float
        As printed; per cent stay per cent.
    half : float
        Half a unit of the last printed digit.
    percent : bool
    start, end : int
        Where it stands.
    """

    text: str
    value: float
    half: float
    percent: bool
    start: int
    end: int


def printed_numbers(text: str) -> Iterator[Printed]:
    """Every number of a text, in order.

    Examples
    --------
    >>> [(n.value, n.half, n.percent) for n in printed_numbers("−0.50 in 1,234 (34%), p .02")]
    [(-0.5, 0.005, False), (1234.0, 0.5, False), (34.0, 0.5, True), (0.02, 0.005, False)]
    """
    for match in _NUMBER.finditer(text):
        if any(c.isdigit() for c in match[0]):
            yield _read(match[0], match.start(), match.end())


def _read(text: str, start: int = 0, end: int = 0) -> Printed:
    plain = re.sub(r"[,\s]|%|per\s?cent|percent", "", text).replace("−", "-")
    digits, _, power = plain.lower().partition("e")
    places = len(digits.partition(".")[2])
    half = 0.5 * 10.0 ** (int(power or 0) - places)
    return Printed(text, float(plain), half, bool(re.search(r"%|cent", text)), start, end)


@dataclass
class Values:
    """Everything a run computed, in the forms in which a text may print it.

    Numbers come from JSON artefacts (exact) and from the cells of a page's tables (known to half a
    unit of their last digit). A text's number matches where the two can round to each other.

    Attributes
    ----------
    numbers, percents : list of (float, float)
        Value and half-width. Per cent are printed ones, and fractions under a key with "share".
    triples : list of three (float, float)
        Estimate, lower and upper end of one interval.
    p_values : list of float
    counts : set of int
        Whole numbers alone: what "120 patients" must be one of.

    Examples
    --------
    >>> values = Values().add_json({"auc": 0.6812, "auc_low": 0.61, "auc_high": 0.74})
    >>> [values.hold(n) for n in printed_numbers("0.68 and 0.69")]
    [True, False]
    """

    numbers: list[tuple[float, float]] = field(default_factory=list)
    percents: list[tuple[float, float]] = field(default_factory=list)
    triples: list[tuple[tuple[float, float], ...]] = field(default_factory=list)
    p_values: list[float] = field(default_factory=list)
    counts: set[int] = field(default_factory=set)
    _tables: dict[str, tuple[int, Floats]] = field(default_factory=dict, repr=False)

    # -- filling ------------------------------------------------------------------------------

    def add_json(self, data: Any, words: Iterable[str] = ()) -> Values:
        """Add every number of parsed JSON; lists also count their members.

        Parameters
        ----------
        data : JSON value
        words : iterable of str
            Keys whose texts carry numbers that a computation wrote: they count as printed.
        """
        self._walk(data, "", frozenset(words))
        return self

    def _walk(self, data: Any, key: str, words: frozenset[str]) -> None:
        if isinstance(data, bool) or data is None:
            return
        if isinstance(data, (int, float)):
            if isinstance(data, int):
                self.counts.add(data)
            self._exact(float(data), key)
        elif isinstance(data, str):
            if key in words:
                self.add_text(data)
        elif isinstance(data, Mapping):
            self._intervals(data, key)
            for name, item in data.items():
                # What stands under a share is a share: the key above is kept in sight.
                self._walk(item, f"{key}/{name}" if "share" in key else str(name), words)
        elif len(data) <= _LONGEST:
            self.numbers.append((float(len(data)), 0.0))
            self.counts.add(len(data))
            for item in data:
                self._walk(item, key, words)

    def _exact(self, value: float, key: str) -> None:
        if not math.isfinite(value):
            return
        self.numbers.append((value, 0.0))
        if "share" in key:
            self.percents.append((100.0 * value, 0.0))
        if _P.search(key) and 0.0 <= value <= 1.0:
            self.p_values.append(value)

    def _intervals(self, data: Mapping[str, Any], key: str) -> None:
        """Note an estimate with its ends: ``x, x_low, x_high`` or ``value, low, high``."""
        for low in [name for name in data if str(name).endswith("low")]:
            stem = low.removesuffix("low")
            names = (stem.rstrip("_"),) if stem else ("value", "mean_absolute")
            high = data.get(f"{stem}high")
            for name in names:
                ends = (data.get(name), data[low], high)
                if all(isinstance(e, (int, float)) and math.isfinite(e) for e in ends):
                    triple = tuple((float(e), 0.0) for e in ends)  # type: ignore[arg-type]
                    self.triples.append(triple)
                    if "share" in f"{key}/{name}":
                        self.triples.append(tuple((100.0 * value, 0.0) for value, _ in triple))

    def add_text(self, text: str) -> Values:
        """Add numbers as printed, and triples written ``0.7 (0.6 to 0.8)``."""
        for number in printed_numbers(text):
            (self.percents if number.percent else self.numbers).append((number.value, number.half))
            if number.half == 0.5 and not number.percent:
                self.counts.add(int(number.value))
        for match in _TRIPLE.finditer(text):
            self.triples.append(tuple(_ends(match[k]) for k in "vab"))
        return self

    def add_cells(self, cells: Iterable[str]) -> Values:
        """Add a table's row; an interval in a cell of its own belongs to the cell before it."""
        before = ""
        for cell in cells:
            self.add_text(cell)
            pair = _PAIR.fullmatch(cell)
            earlier = list(printed_numbers(before))
            if pair and len(earlier) == 1:
                ends = (before[earlier[0].start : earlier[0].end], pair["a"], pair["b"])
                self.triples.append(tuple(_ends(end) for end in ends))
            if cell.strip().startswith("<"):
                self.p_values += [n.value - n.half for n in printed_numbers(cell)]
            before = cell
        return self

    # -- asking -------------------------------------------------------------------------------

    def hold(self, number: Printed) -> bool:
        """Whether a printed number equals a computed one at its printed precision."""
        known = self.percents if number.percent else self.numbers
        return bool(
            _meet(number, self._table("percents" if number.percent else "numbers", known)).any()
        )

    def hold_count(self, number: Printed) -> bool:
        """Whether a count is one that was counted; nothing is rounded."""
        return number.value in self.counts

    def hold_interval(self, low: Printed, high: Printed, value: Printed | None = None) -> bool:
        """Whether some one estimate has these ends, and this value where one is printed."""
        known = self._table("triples", self.triples).reshape(-1, 3, 2)
        met = _meet(low, known[:, 1]) & _meet(high, known[:, 2])
        if value is not None:
            met &= _meet(value, known[:, 0])
        return bool(met.any())

    def copy(self) -> Values:
        """The same values, to be added to without changing these."""
        return Values(
            list(self.numbers),
            list(self.percents),
            list(self.triples),
            list(self.p_values),
            set(self.counts),
        )

    def _table(self, name: str, known: Sequence[Any]) -> Floats:
        """A list as an array, made again only when the list has grown."""
        kept = self._tables.get(name)
        if kept is None or kept[0] != len(known):
            table = np.asarray(known, dtype=np.float64).reshape(len(known), -1)
            kept = self._tables[name] = (len(known), table)
        return kept[1]

    def hold_p_below(self, bound: float) -> bool:
        """Whether any computed p-value lies below a bound."""
        return any(p < bound for p in self.p_values)


def _ends(text: str) -> tuple[float, float]:
    number = _read(text)
    return number.value, number.half


def _meet(number: Printed, known: Floats) -> npt.NDArray[np.bool_]:
    """Whether number and each value can be roundings of one quantity; the last bit is forgiven."""
    if not len(known):
        return np.zeros(0, dtype=np.bool_)
    # A cell of fewer digits than the text cannot vouch for the text's extra ones.
    slack = np.where(known[:, 1] < number.half, known[:, 1], 0.0)
    room = (number.half + slack) * (1.0 + 1e-9) + 1e-12
    return np.asarray(np.abs(number.value - known[:, 0]) <= room)
