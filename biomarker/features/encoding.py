"""One frozen encoder for training and scoring: learned in the fold, replayed on new rows.

The encoder sees a matrix of parsed values (one column per declared column, NaN for missing) and
gives the model's features. The scikit-learn pipeline and the file scorer both call
:meth:`FrozenEncoder.transform`; what it may do to a row is said by :meth:`FrozenEncoder.review`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import BundleError, NotEstimableError
from biomarker.features.frozen_column import (
    DEFAULT_REACTION,
    ColumnPlan,
    FrozenColumn,
    column_from_state,
    column_state,
)
from biomarker.parsing import ParseRule

__all__ = ["FrozenEncoder", "fit_encoder", "plan_columns"]

Floats = npt.NDArray[np.float64]

_BLOCK = 8192


@dataclass(frozen=True)
class FrozenEncoder:
    """The encoder of a fitted model: columns in order, features in order.

    Attributes
    ----------
    columns : tuple of FrozenColumn
    kept : tuple of int
        Positions, among all features the columns give, of those that varied in training.
    """

    columns: tuple[FrozenColumn, ...]
    kept: tuple[int, ...]
    _all_names: tuple[str, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        names = tuple(name for column in self.columns for name in column.feature_names)
        object.__setattr__(self, "_all_names", names)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the model's features, in column order of :meth:`transform`."""
        return tuple(self._all_names[i] for i in self.kept)

    @property
    def sources(self) -> tuple[str, ...]:
        """For each feature the source column it belongs to (indicators belong to theirs)."""
        every = [column.name for column in self.columns for _ in column.feature_names]
        return tuple(every[i] for i in self.kept)

    def transform(
        self, raw: Floats, dtype: npt.DTypeLike = np.float64, order: Literal["C", "F"] = "C"
    ) -> npt.NDArray[Any]:
        """Features of parsed rows.

        Parameters
        ----------
        raw : ndarray of float64, shape (n_rows, n_columns)
            Parsed values in the order of ``columns``; NaN where missing.
        dtype : data type
            Precision of the result; computed in double precision whatever it is.
        order : {"C", "F"}
            Memory order of the result.

        Returns
        -------
        ndarray, shape (n_rows, n_features), no NaN
        """
        if raw.ndim != 2 or raw.shape[1] != len(self.columns):
            raise ValueError(
                f"raw must have {len(self.columns)} columns; got shape {raw.shape}. "
                "Give parsed values in the encoder's column order."
            )
        out = np.empty((len(raw), len(self.kept)), dtype, order)
        # Blocks whose features stay in the cache while columns are written across them.
        for begin in range(0, len(raw), _BLOCK):
            part, block = raw[begin : begin + _BLOCK], out[begin : begin + _BLOCK]
            for index, (column, places) in enumerate(self.places(block)):
                if places:
                    column.encode_into(part[:, index], places)
        return out

    def places(
        self, features: npt.NDArray[Any]
    ) -> Iterator[tuple[FrozenColumn, list[npt.NDArray[Any] | None]]]:
        """Each column, and where its features stand in a matrix of them; None for one dropped."""
        slot, feature = {kept: place for place, kept in enumerate(self.kept)}, 0
        for column in self.columns:
            end = feature + len(column.feature_names)
            yield (
                column,
                [features[:, slot[i]] if i in slot else None for i in range(feature, end)],
            )
            feature = end

    def to_state(self) -> dict[str, Any]:
        """JSON-able form; infinities are written as null."""
        return {
            "columns": [column_state(column) for column in self.columns],
            "kept": list(self.kept),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> FrozenEncoder:
        """Rebuild a stored encoder.

        Raises
        ------
        BundleError
            If the stored form lacks or adds a name.
        """
        try:
            columns = tuple(column_from_state(item) for item in state["columns"])
            encoder = cls(columns, tuple(int(i) for i in state["kept"]))
            _ = encoder.feature_names
            if not all(0 <= i < len(encoder._all_names) for i in encoder.kept):
                raise IndexError("kept")
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise BundleError(
                f"The encoder must hold the names this release writes; got {type(error).__name__}. "
                "The bundle is damaged or of another version."
            ) from None
        return encoder


def plan_columns(study: Any, names: tuple[str, ...]) -> tuple[ColumnPlan, ...]:
    """What the study declares about these feature columns, as the encoder needs it."""
    plans = []
    for name in names:
        column = study.columns[name]
        reactions = {
            reason: getattr(column.scoring, reason)
            for reason in DEFAULT_REACTION
            if getattr(column.scoring, reason) != DEFAULT_REACTION[reason]
        }
        plans.append(
            ColumnPlan(
                ParseRule.from_column(name, column, study.missing),
                column.transform,
                tuple(sorted(reactions.items())),
                column.check_units,
            )
        )
    return tuple(plans)


def fit_encoder(plans: tuple[ColumnPlan, ...], raw: Floats) -> FrozenEncoder:
    """Learn fills, ranges, seen levels and which features vary, from training rows alone.

    Parameters
    ----------
    plans : tuple of ColumnPlan, length n_columns
    raw : ndarray of float64, shape (n_rows, n_columns)
        Parsed training values, NaN where missing.

    Raises
    ------
    NotEstimableError
        If no feature varies over the training rows.
    """
    columns = []
    for index, plan in enumerate(plans):
        column = _learned(plan, raw[:, index])
        if column is not None:
            columns.append(column)
    used = [i for i, plan in enumerate(plans) if any(c.plan is plan for c in columns)]
    everything = FrozenEncoder(
        tuple(columns), tuple(range(sum(len(c.feature_names) for c in columns)))
    )
    features = everything.transform(raw[:, used])
    varies = [i for i in range(features.shape[1]) if np.ptp(features[:, i]) > 0] if len(raw) else []
    kept = _without_twins(features, varies)
    if not kept:
        raise NotEstimableError(
            f"At least one feature must vary over the {len(raw)} training rows; got none."
        )
    return FrozenEncoder(tuple(columns), tuple(kept))


def _without_twins(features: Floats, candidates: list[int]) -> list[int]:
    """Drop a feature equal to an earlier one (markers missing together share an indicator)."""
    kept: list[int] = []
    met: set[bytes] = set()
    for index in candidates:
        key = np.ascontiguousarray(features[:, index]).tobytes()
        if key not in met:
            met.add(key)
            kept.append(index)
    return kept


def _learned(plan: ColumnPlan, raw: Floats) -> FrozenColumn | None:
    known = raw[~np.isnan(raw)]
    if len(known) == 0:
        # Nothing to learn a fill from; the column gives no feature and is left out.
        return None
    indicator = len(known) < len(raw)
    if plan.rule.kind != "continuous":
        codes, counts = np.unique(known, return_counts=True)
        return FrozenColumn(
            plan,
            fill=float(codes[np.argmax(counts)]),
            indicator=indicator,
            seen=tuple(int(code) for code in codes),
        )
    core = np.quantile(known, (0.01, 0.99))
    return FrozenColumn(
        plan,
        fill=_rounded(float(np.median(known)), 4),
        indicator=indicator,
        low=_outward(float(known.min()), -1),
        high=_outward(float(known.max()), +1),
        core_low=_outward(float(core[0]), -1),
        core_high=_outward(float(core[1]), +1),
    )


def _outward(value: float, direction: int) -> float:
    """Round to two significant digits, down for -1 and up for +1."""
    if value == 0 or not math.isfinite(value):
        return value
    # In decimal arithmetic, since 0.1-sized steps in binary may land on the wrong side.
    exact = Decimal(value)
    step = Decimal(1).scaleb(exact.adjusted() - 1)
    rounding = ROUND_FLOOR if direction < 0 else ROUND_CEILING
    rounded = float((exact / step).to_integral_value(rounding) * step)
    if math.isinf(rounded):
        return math.copysign(sys.float_info.max, value)
    while (rounded > value) if direction < 0 else (rounded < value):
        rounded = math.nextafter(rounded, math.inf * direction)
    return rounded


def _rounded(value: float, digits: int) -> float:
    """Round to significant digits, so that a stored fill is no patient's exact value."""
    return float(f"{value:.{digits}g}")
