"""Rows in, scores out: the one function that every way of scoring calls, on a file or a part.

What a row gets depends on the row and on two things only its whole file can say: which ids stand
twice, and which columns are in another unit. Both come in as :class:`FileMarks`, so that parts can
be scored apart, in any order and anywhere, with the same result.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from biomarker.errors import CohortError, SchemaError, UsageError
from biomarker.features.support import ColumnSupport
from biomarker.parsing import id_array
from pipelines.bundle import Bundle, survival_name
from pipelines.row_columns import ReadColumn, read_column
from pipelines.row_reasons import Reasons

__all__ = ["FAR", "OUTPUT_NAMES", "STATUSES", "FileMarks", "RowScorer", "ScoredRows"]

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

OUTPUT_NAMES = ("risk", "response_probability", "status", "reason")
STATUSES = ("ok", "warned", "refused")
FAR = "(distance)"


@dataclass(frozen=True)
class FileMarks:
    """What the whole file says about its rows.

    Attributes
    ----------
    repeated : callable, optional
        Ids of some rows to whether each stands elsewhere in the file too.
    other_unit : frozenset of str
        Columns that look a thousandfold off the training rows.
    """

    repeated: Callable[[pa.Array], Bools] | None = None
    other_unit: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Scores of some rows, and what adds up over the parts of a file.

    Attributes
    ----------
    table : pyarrow Table
        The id column first, then the numbers, then ``status`` and ``reason``.
    counts : dict
        Rows by status.
    reasons : dict
        ``code:column`` to the number of rows it stands on.
    units : dict
        Column to its :meth:`FrozenColumn.unit_tally`.
    support : dict
        Column to its :meth:`ColumnSupport.tally`, and under :data:`FAR` :meth:`Spread.tally`;
        empty where the bundle holds no support.
    """

    table: pa.Table
    counts: dict[str, int]
    reasons: dict[str, int]
    units: dict[str, Ints]
    support: dict[str, Ints] = field(default_factory=dict)


class _Memory(threading.local):
    """A thread's room for the features of a chunk, kept from one to the next."""

    room: Singles | None = None

    def rows(self, n: int, n_features: int) -> Singles:
        """Features of so many rows, Fortran order, of any content."""
        if self.room is None or self.room.size < n * n_features:
            self.room = np.empty(n * n_features, np.float32)
        return self.room[: n * n_features].reshape(n_features, n).T


@dataclass(frozen=True, eq=False)
class RowScorer:
    """A bundle ready to score rows.

    Attributes
    ----------
    bundle : Bundle
    drivers : int
        How many of each row's largest contributions to add.
    """

    bundle: Bundle
    drivers: int = 0
    _horizons: tuple[float, ...] = field(init=False, repr=False)
    _trees: Any = field(init=False, repr=False, default=None)
    _counted: dict[str, ColumnSupport] = field(init=False, repr=False)
    _memory: _Memory = field(init=False, repr=False, default_factory=_Memory)

    def __post_init__(self) -> None:
        support = self.bundle.support
        counted = {} if support is None else {column.name: column for column in support.columns}
        object.__setattr__(self, "_counted", counted)
        if self.drivers < 0:
            raise UsageError(f"drivers must be 0 or more; got {self.drivers}.")
        horizons = tuple(float(h) for h in self.bundle.description["horizons"])
        object.__setattr__(self, "_horizons", horizons)

    def prepare(self) -> None:
        """Make ready for very many rows: the same sums of the same trees, to the bit, faster."""
        from biomarker.explain.tree_margin import compile_margin
        from biomarker.explain.tree_paths import UnsupportedTreesError

        booster = getattr(self.bundle.fitted.model, "booster_", None)
        if booster is not None:
            with contextlib.suppress(UnsupportedTreesError):
                object.__setattr__(self, "_trees", compile_margin(booster))

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns read from a file that has them: the id's and the encoder's."""
        names = [column.name for column in self.bundle.encoder.columns]
        return ((self.bundle.id_column,) if self.bundle.id_column else ()) + tuple(names)

    @property
    def few_texts(self) -> tuple[str, ...]:
        """Columns of levels, which a reader may hold as a dictionary."""
        columns = self.bundle.encoder.columns
        return tuple(column.name for column in columns if column.kind != "continuous")

    @property
    def unique_ids(self) -> bool:
        """Whether an id that stands twice is worth a warning."""
        many = self.bundle.study.get("rows_per_patient") == "many"
        return self.bundle.id_column is not None and not many

    def check(self, present: list[str], allow_undeclared: bool) -> tuple[str, ...]:
        """Refuse columns that lack a needed name, repeat one, or hold unknown ones.

        Returns
        -------
        tuple of str
            Unknown columns that are left aside.

        Raises
        ------
        SchemaError, UsageError
        """
        bundle = self.bundle
        needed = [column.name for column in bundle.encoder.columns]
        if bundle.id_column is not None and not bundle.description.get("id_optional", False):
            needed.insert(0, bundle.id_column)
        missing = [name for name in needed if name not in present]
        declared = set(bundle.study.get("columns", {}))
        unknown = tuple(name for name in present if name not in declared)
        if present and len(unknown) == len(present):
            # Without a header line the "names" are a patient's values: counted, not repeated.
            raise SchemaError(
                f"The file must have every column the model uses; none of its {len(present)} "
                f"column name(s) is known. Needed: {', '.join(needed)}. Is the header line "
                "missing? Nothing was written."
            )
        repeated = sorted({name for name in present if present.count(name) > 1})
        if repeated:
            raise SchemaError(
                f"Every column name must be unique; {len(repeated)} of them stand more than once. "
                "Rename or remove the repeated columns. Nothing was written."
            )
        if missing:
            hint = f" The file also has unknown column(s): {', '.join(unknown)}." if unknown else ""
            raise SchemaError(
                f"The file must have every column the model uses; missing: {', '.join(missing)}."
                f"{hint} Nothing was written."
            )
        if unknown and not allow_undeclared and bundle.study.get("undeclared_columns") != "ignore":
            raise SchemaError(
                "The file must have only columns the study declares; unknown: "
                f"{', '.join(unknown)}. Remove them, or allow undeclared columns to leave them "
                "aside. Nothing was written."
            )
        id_name = bundle.id_column or "row"
        if id_name in OUTPUT_NAMES or id_name in bundle.number_names:
            raise UsageError(
                f"The id column must not be named like an output; got '{id_name}'. Rename it."
            )
        return unknown

    def score(self, table: pa.Table, marks: FileMarks, first_row: int = 0) -> ScoredRows:
        """Score rows of a checked file.

        Parameters
        ----------
        table : pyarrow Table
            Rows that follow one another in the file.
        marks : FileMarks
        first_row : int
            Position in the file of the first of them, from 0.
        """
        n, reads = table.num_rows, []
        reasons = Reasons(n)
        units: dict[str, Ints] = {}
        support: dict[str, Ints] = {}
        for column in self.bundle.encoder.columns:
            name = column.name
            counted, other_unit = self._counted.get(name), name in marks.other_unit
            read = read_column(column, table[name], other_unit, counted)
            reads.append(read)
            units[name] = read.units
            if read.support is not None:
                support[name] = read.support
            for reason, rows in read.reasons.items():
                reasons.add(f"{reason}:{name}", column.reaction(reason), rows)
        out = self._ids(table, first_row)
        if self.unique_ids and marks.repeated is not None and self.bundle.id_column in out:
            repeated = np.flatnonzero(marks.repeated(out[self.bundle.id_column]))
            reasons.add(f"duplicate_id:{self.bundle.id_column}", "warn", repeated)
        usable = ~reasons.refused
        numbers = self._numbers(self._features(reads, usable), support)
        finite = np.ones(int(np.count_nonzero(usable)), np.bool_)
        for values in numbers.values():
            if values.dtype == np.float64:
                finite &= np.isfinite(values)
        if not finite.all():
            broken = np.flatnonzero(usable)[~finite]
            reasons.add("no_finite_prediction:(model)", "refuse", broken)
        for name, values in numbers.items():
            out[name] = _laid_out(values, usable, reasons.refused)
        status = np.where(reasons.refused, 2, reasons.warned).astype(np.int8)
        out["status"] = pa.DictionaryArray.from_arrays(pa.array(status), pa.array(STATUSES))
        out["reason"], tally = reasons.column()
        counts = {name: int(np.count_nonzero(status == k)) for k, name in enumerate(STATUSES)}
        return ScoredRows(pa.table(out), counts, tally, units, support)

    def _features(self, reads: list[ReadColumn], usable: Bools) -> npt.NDArray[Any]:
        """Encoded columns of the usable rows."""
        encoder, every = self.bundle.encoder, bool(usable.all())
        if self._trees is not None:
            features = self._memory.rows(len(usable), len(encoder.kept))
            with np.errstate(over="ignore", invalid="ignore"):
                for read, (column, places) in zip(reads, encoder.places(features), strict=True):
                    read.features_into(column, places)
            return features if every else np.ascontiguousarray(features.T[:, usable]).T
        raw = np.empty((len(usable), len(reads)), order="F")
        for index, read in enumerate(reads):
            read.usable_into(raw[:, index])
        boosted = hasattr(self.bundle.fitted.model, "booster_")
        with np.errstate(over="ignore", invalid="ignore"):
            return encoder.transform(
                raw if every else raw[usable], np.float32 if boosted else np.float64
            )

    def _ids(self, table: pa.Table, first_row: int) -> dict[str, pa.Array]:
        name = self.bundle.id_column
        if name is not None and name in table.column_names:
            return {name: id_array(table[name])}
        rows = np.arange(first_row + 1, first_row + table.num_rows + 1)
        return {"row": pa.array(rows)}

    def _numbers(self, features: npt.NDArray[Any], support: dict[str, Ints]) -> dict[str, Any]:
        """Predictions of encoded rows, by output column; their distances are counted too."""
        from biomarker.models.link import response_at_margin, survival_at_margin

        model = self.bundle.fitted.model
        out: dict[str, Any] = {}
        with np.errstate(over="ignore", invalid="ignore"):
            margin = self._margin(features)
            if self.bundle.support is not None:
                support[FAR] = self.bundle.support.spread.tally(features)
            if self.bundle.description["kind"] == "survival":
                out["risk"] = margin
                survival = survival_at_margin(model, margin, self._horizons)
                for index, horizon in enumerate(self._horizons):
                    name = survival_name(horizon, self.bundle.description["unit"])
                    out[name] = survival[:, index]
                out |= self._benefit(features)
            else:
                out["response_probability"] = response_at_margin(model, margin)
        return out | self._driver_columns(features, margin)

    def _margin(self, features: npt.NDArray[Any]) -> Floats:
        """The model's margin of encoded rows."""
        from biomarker.models.boosting import booster_margin

        model = self.bundle.fitted.model
        if self._trees is not None:
            sums = self._trees.margin(features).astype(np.float64)
            return np.asarray(model.contribution_sign * sums)
        if hasattr(model, "booster_"):
            return np.asarray(model.contribution_sign * booster_margin(model.booster_, features))
        return np.asarray(model.predict_margin(features))

    def _benefit(self, features: npt.NDArray[Any]) -> dict[str, Floats]:
        """Survival of the same rows if treated less if not, where the bundle may say so."""
        from biomarker.models.link import survival_at_margin

        bundle, names, arm = self.bundle, self.bundle.benefit_names, self.bundle.arm_feature
        if not names or arm is None:
            return {}
        unknown = f"{bundle.encoder.feature_names[arm]} missing"
        survival = []
        for assigned in (1.0, 0.0):
            given = features.copy(order="K")
            given[:, arm] = assigned
            if unknown in bundle.encoder.feature_names:
                given[:, bundle.encoder.feature_names.index(unknown)] = 0.0
            margin = self._margin(given)
            survival.append(survival_at_margin(bundle.fitted.model, margin, self._horizons))
        gain = survival[0] - survival[1]
        return {name: np.ascontiguousarray(gain[:, k]) for k, name in enumerate(names)}

    def _driver_columns(self, features: Any, margin: Floats) -> dict[str, Any]:
        """The largest contributions of each row, each column's name as a code."""
        from biomarker.explain.contributions import contributions_of, drivers

        if not self.drivers:
            return {}
        split = contributions_of(self.bundle.fitted, features, margin)
        order, signed = drivers(split.values, min(self.drivers, len(split.sources)))
        names = pa.array(split.sources, pa.string())
        out: dict[str, Any] = {}
        for k in range(order.shape[1]):
            out[f"driver_{k + 1}"] = _Words(order[:, k].astype(np.int32), names)
            out[f"driver_{k + 1}_value"] = np.ascontiguousarray(signed[:, k])
        return out


@dataclass(frozen=True, eq=False)
class _Words:
    """Texts as positions among a few."""

    codes: npt.NDArray[np.int32]
    book: pa.Array

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the codes: no number to be checked."""
        return self.codes.dtype


def _laid_out(values: Any, usable: Bools, refused: Bools) -> pa.Array:
    """Values of the usable rows over all rows, null where refused."""
    everyone = bool(usable.all())
    data = values.codes if isinstance(values, _Words) else values
    if not everyone:
        spread = np.zeros(len(usable), data.dtype)
        spread[usable] = data
        data = spread
    array = pa.array(data, mask=refused if refused.any() else None)
    if isinstance(values, _Words):
        return pa.DictionaryArray.from_arrays(array, values.book)
    return array


def repeated_in(ids: pa.Array) -> Callable[[pa.Array], Bools] | None:
    """Which ids of a table in memory stand more than once; None where none does."""
    import pyarrow.compute as pc

    if len(ids) == 0:
        return None
    array = ids.dictionary_encode(null_encoding="encode")
    codes = pc.fill_null(array.indices, len(array.dictionary)).to_numpy(zero_copy_only=False)
    counts = np.bincount(codes)
    if counts.max() < 2:
        return None
    hit = counts[codes] > 1

    def repeated(part: pa.Array) -> Bools:
        if len(part) != len(hit):
            raise CohortError("ids must be those of the whole table.")
        return hit

    return repeated
