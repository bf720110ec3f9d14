"""One column as it was learned: its fill, range and levels, and what they make of a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.parsing import ParseRule, State

__all__ = [
    "DEFAULT_REACTION",
    "REASONS",
    "ColumnPlan",
    "FrozenColumn",
    "column_from_state",
    "column_state",
]

Floats = npt.NDArray[np.float64]

# Reason codes in the order their bits take; docs/scoring.md explains each to the operator.
REASONS: tuple[str, ...] = (
    "missing",
    "below_detection",
    "above_detection",
    "outside_training_range",
    "unseen_category",
    "unparsable",
    "not_finite",
    "outside_allowed_range",
    "suspected_unit_mixup",
)
_STATE_REASON = {
    State.MISSING: "missing",
    State.BELOW_DETECTION: "below_detection",
    State.ABOVE_DETECTION: "above_detection",
    State.UNPARSABLE: "unparsable",
    State.NOT_FINITE: "not_finite",
    State.OUTSIDE_ALLOWED_RANGE: "outside_allowed_range",
    State.UNSEEN_CATEGORY: "unseen_category",
}


_TRANSFORMS = ("identity", "log", "log1p", "log2", "sqrt")
_ROWS_FOR_A_MEDIAN = 20


@dataclass(frozen=True)
class ColumnPlan:
    """What is declared about a feature column before any data is seen."""

    rule: ParseRule
    transform: str = "identity"
    reactions: tuple[tuple[str, str], ...] = ()
    check_units: bool = True


@dataclass(frozen=True)
class FrozenColumn:
    """What one column became: how to read it, fill it, and which features it gives.

    Attributes
    ----------
    fill : float
        Median or most frequent value, on the raw scale, for a missing value.
    indicator : bool
        Whether a 0/1 feature says that the value was missing.
    seen : tuple of int
        Positions of the levels met in training (empty for continuous columns).
    low, high : float
        Training range, rounded outward to two digits so that no patient's value is stored.
    core_low, core_high : float
        Training 1st and 99th percentile, rounded likewise; used to recognise another unit.
    """

    plan: ColumnPlan
    fill: float
    indicator: bool
    seen: tuple[int, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    core_low: float = -math.inf
    core_high: float = math.inf

    @property
    def name(self) -> str:
        """Name of the source column."""
        return self.plan.rule.column

    @property
    def kind(self) -> str:
        """Kind as parsed: continuous, ordinal, categorical, genotype or arm."""
        return self.plan.rule.kind

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features this column gives, in order."""
        if self.kind == "categorical":
            levels = self.plan.rule.levels
            names = [f"{self.name}={levels[code]}" for code in self.seen[1:]]
        else:
            names = [self.name]
        if self.indicator:
            names.append(f"{self.name} missing")
        return tuple(names)

    def encode(self, raw: Floats) -> Floats:
        """Features of one column's parsed values; shape (n_rows, n_features of the column)."""
        out = np.empty((len(raw), len(self.feature_names)))
        self.encode_into(raw, [out[:, j] for j in range(out.shape[1])])
        return out

    def encode_into(self, raw: Floats, places: Sequence[npt.NDArray[Any] | None]) -> None:
        """Write each feature where it belongs, in whatever precision that has; None drops it."""
        absent = np.isnan(raw)
        self.encode_filled(np.where(absent, self.fill, raw), np.flatnonzero(absent), places)

    def encode_filled(
        self,
        filled: Floats,
        absent: npt.NDArray[np.int64],
        places: Sequence[npt.NDArray[Any] | None],
    ) -> None:
        """As :meth:`encode_into`, of values filled where missing and the rows that were."""
        if self.kind == "categorical":
            for code, place in zip(self.seen[1:], places, strict=False):
                if place is not None:
                    place[:] = filled == code
        elif places[0] is not None:
            places[0][:] = _transformed(filled, self.plan.transform)
        if self.indicator and places[-1] is not None:
            places[-1][:] = 0
            places[-1][absent] = 1

    def review(
        self, raw: Floats, states: npt.NDArray[np.uint8]
    ) -> dict[str, npt.NDArray[np.bool_]]:
        """Reason code to the rows it applies to, in REASONS order, empty ones left out."""
        found: dict[str, npt.NDArray[np.bool_]] = {}
        if states.any():
            for state, reason in _STATE_REASON.items():
                hit = states == state
                if hit.any():
                    found[reason] = found.get(reason, np.zeros(len(raw), bool)) | hit
        numeric = states <= State.ABOVE_DETECTION
        if self.kind in ("categorical", "ordinal", "genotype", "arm"):
            unseen = (states == State.OK) & ~np.isin(raw, self.seen)
            if self.kind == "arm":
                unseen = np.zeros(len(raw), bool)
            if unseen.any():
                found["unseen_category"] = found.get("unseen_category", False) | unseen
        else:
            outside = numeric & ((raw < self.low) | (raw > self.high))
            if outside.any():
                found["outside_training_range"] = outside
            # A reading beyond a detection limit may lie far off; its own limit was checked already.
            suspect = self._unit_suspects(raw) & (states != State.BELOW_DETECTION)
            suspect &= states != State.ABOVE_DETECTION
            if suspect.any():
                found["suspected_unit_mixup"] = suspect
        return {reason: found[reason] for reason in REASONS if reason in found}

    def _unit_suspects(self, raw: Floats) -> npt.NDArray[np.bool_]:
        """Rows whose value is off the training range but fits it a thousandfold away."""
        if not (self.plan.check_units and self.plan.rule.unit and self.core_low < self.core_high):
            return np.zeros(len(raw), bool)
        off = (raw < self.low) | (raw > self.high)
        if not off.any():
            return off
        fits = np.zeros(len(raw), bool)
        for factor in (1e-3, 1e3):
            fits |= (raw >= self.core_low / factor) & (raw <= self.core_high / factor)
        return off & fits & (raw > 0)

    def in_other_unit(self, raw: Floats, states: npt.NDArray[np.uint8]) -> bool:
        """Whether a whole file's column looks a thousandfold off the training rows.

        A single value can hide inside the training range (3 pg/mL written as 3000), its file
        cannot: the median of 20 or more known values lies 300 to 3000 times above or below the
        training median. Spread within the column does not matter, so ``check_units = false``
        does not switch this off; the reaction to ``suspected_unit_mixup`` does.
        """
        return self.other_unit(self.unit_tally(raw, states))

    def unit_tally(self, raw: Floats, states: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Counts of a column's part that add up to what :meth:`other_unit` asks of the whole.

        Returns
        -------
        ndarray of int, shape (5,)
            Known values; those below and up to the ends of 300 to 3000 times under the training
            median, and of as many times above it.
        """
        known = raw[(states <= State.ABOVE_DETECTION) | (states == State.OUTSIDE_ALLOWED_RANGE)]
        known = known[np.isfinite(known)]
        return self.unit_counts(known, len(known))

    def unit_counts(self, known: Floats, n_known: int) -> npt.NDArray[np.int64]:
        """As :meth:`unit_tally`, of known values, beside which NaN may stand uncounted."""
        if self.kind != "continuous" or not self.plan.rule.unit or not self.fill > 0:
            return np.zeros(5, np.int64)
        a, b, c, d = self.fill * 10.0 ** np.array([-3.5, -2.5, 2.5, 3.5])
        under = [np.count_nonzero(hit) for hit in (known < a, known <= b, known < c, known <= d)]
        return np.array([n_known, *under], dtype=np.int64)

    @staticmethod
    def other_unit(tally: npt.NDArray[np.int64]) -> bool:
        """Whether the (lower) median of the values counted lies a thousandfold off."""
        n, below_low, to_low, below_high, to_high = (int(count) for count in tally)
        middle = (n - 1) // 2
        if n < _ROWS_FOR_A_MEDIAN:
            return False
        return below_low <= middle < to_low or below_high <= middle < to_high

    def defined(self, raw: Floats) -> npt.NDArray[np.bool_]:
        """Where the column's transform gives a number; True for a missing value."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return np.isnan(raw) | np.isfinite(_transformed(raw, self.plan.transform))

    def reaction(self, reason: str) -> str:
        """``warn`` or ``refuse``, as the study declares for this column."""
        return dict(self.plan.reactions).get(reason, DEFAULT_REACTION[reason])


DEFAULT_REACTION = {
    "missing": "warn",
    "below_detection": "warn",
    "above_detection": "warn",
    "outside_training_range": "warn",
    "unseen_category": "refuse",
    "unparsable": "refuse",
    "not_finite": "refuse",
    "outside_allowed_range": "refuse",
    "suspected_unit_mixup": "refuse",
}


def _transformed(values: Floats, transform: str) -> Floats:
    match transform:
        case "log":
            return np.log(values)
        case "log1p":
            return np.log1p(values)
        case "log2":
            return np.log2(values)
        case "sqrt":
            return np.sqrt(values)
    return values


def column_state(column: FrozenColumn) -> dict[str, Any]:
    """What a bundle keeps of a column; no patient's exact value."""

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "rule": column.plan.rule.to_state(),
        "transform": column.plan.transform,
        "reactions": dict(column.plan.reactions),
        "check_units": column.plan.check_units,
        "fill": column.fill,
        "indicator": column.indicator,
        "seen": list(column.seen),
        "low": finite(column.low),
        "high": finite(column.high),
        "core_low": finite(column.core_low),
        "core_high": finite(column.core_high),
    }


_STATE_NAMES = {
    "rule", "transform", "reactions", "check_units", "fill", "indicator", "seen",
    "low", "high", "core_low", "core_high",
}  # fmt: skip


def column_from_state(state: dict[str, Any]) -> FrozenColumn:
    """The column a bundle kept; a name or value that this release does not write is refused."""

    def bound(name: str, absent: float) -> float:
        value = state[name]
        return absent if value is None else float(value)

    reactions = tuple(sorted(state["reactions"].items()))
    if set(state) != _STATE_NAMES or state["transform"] not in _TRANSFORMS:
        raise ValueError("names or transform")
    if any(k not in DEFAULT_REACTION or v not in ("warn", "refuse") for k, v in reactions):
        raise ValueError("reactions")
    if not math.isfinite(float(state["fill"])):
        raise ValueError("fill")
    plan = ColumnPlan(
        ParseRule.from_state(state["rule"]),
        state["transform"],
        reactions,
        bool(state["check_units"]),
    )
    return FrozenColumn(
        plan,
        float(state["fill"]),
        bool(state["indicator"]),
        tuple(int(code) for code in state["seen"]),
        bound("low", -math.inf),
        bound("high", math.inf),
        bound("core_low", -math.inf),
        bound("core_high", math.inf),
    )
