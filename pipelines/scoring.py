"""Score a cohort file: one output row per input row, refusing rather than guessing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from biomarker.errors import SchemaError, UsageError
from biomarker.features.encoding import FrozenColumn
from biomarker.parsing import State, id_array, to_arrow
from pipelines.bundle import Bundle, load_bundle, survival_name
from pipelines.storage import atomic_file

__all__ = ["OUTPUT_NAMES", "Scored", "score", "score_table", "table_from_frame", "write_scores"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

OUTPUT_NAMES = ("risk", "response_probability", "status", "reason")
STATUSES = ("ok", "warned", "refused")


@dataclass(frozen=True)
class Scored:
    """Scores and how they came about.

    Attributes
    ----------
    table : pyarrow Table
        The id column first, then the numbers, then ``status`` and ``reason``.
    counts : dict
        Rows by status.
    reasons : dict
        ``code:column`` to the number of rows it stands on.
    ignored : tuple of str
        Columns of the file that neither the model nor its study knows.
    """

    table: pa.Table
    counts: dict[str, int]
    reasons: dict[str, int]
    ignored: tuple[str, ...] = ()


def score(
    source: str | Path | Any,
    model: str | Path | Bundle,
    *,
    out: str | Path | None = None,
    drivers: int = 0,
    allow_undeclared: bool = False,
    store: str | Path | None = None,
) -> Scored:
    """Score a file or a frame.

    Parameters
    ----------
    source : path, pandas DataFrame or pyarrow Table
    model : Bundle, bundle folder, or ``models:/NAME@ALIAS`` in the tracking store
    out : path, optional
        .parquet or .csv file to write, whole or not at all.
    drivers : int
        How many of each row's largest contributions to add, with sign, on the model's margin.
    allow_undeclared : bool
        Leave aside columns that the study does not name instead of refusing the file.

    Raises
    ------
    SchemaError
        If the file lacks a column the model needs; nothing is written.
    CohortError
        If the file itself is damaged, or its ids are neither text nor whole numbers.
    """
    if out is not None and isinstance(source, (str, Path)) and _same_file(source, out):
        raise UsageError(
            f"out must not be the file that is scored; got '{Path(out).name}' for both. "
            "Name another file: the patients' data would be replaced."
        )
    bundle = model if isinstance(model, Bundle) else resolve_bundle(model, store)
    if isinstance(source, (str, Path)):
        from pipelines.readers import read_table

        table = read_table(source).table
    elif isinstance(source, pa.Table):
        table = source
    else:
        table = table_from_frame(source)
    scored = score_table(bundle, table, drivers=drivers, allow_undeclared=allow_undeclared)
    if out is not None:
        write_scores(scored.table, out)
    return scored


def _same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one existing file, by whatever name."""
    a, b = Path(one), Path(other)
    return a.exists() and b.exists() and a.samefile(b)


def table_from_frame(frame: Any) -> pa.Table:
    """A pandas frame as an Arrow table; text stays text, NaN in typed data is missing."""
    if not (hasattr(frame, "iloc") and getattr(frame, "ndim", 0) == 2):
        raise UsageError(
            "The rows to score must be a file, a pandas DataFrame or a pyarrow Table; got "
            f"{type(frame).__name__}."
        )
    return pa.Table.from_arrays(
        [to_arrow(frame.iloc[:, i]) for i in range(frame.shape[1])],
        names=[str(name) for name in frame.columns],
    )


def resolve_bundle(model: str | Path, store: str | Path | None = None) -> Bundle:
    """A bundle from its folder, or from the registry where the name starts with ``models:/``."""
    if str(model).startswith("models:/"):
        from pipelines.tracking import registered_bundle

        return load_bundle(registered_bundle(str(model), store))
    return load_bundle(model)


def score_table(
    bundle: Bundle, table: pa.Table, *, drivers: int = 0, allow_undeclared: bool = False
) -> Scored:
    """Score an Arrow table in memory; as :func:`score`."""
    if drivers < 0:
        raise UsageError(f"drivers must be 0 or more; got {drivers}.")
    ignored = _check_schema(bundle, table, allow_undeclared)
    n = table.num_rows
    raw = np.empty((n, len(bundle.encoder.columns)))
    flags: list[tuple[str, str, Bools]] = []
    for index, column in enumerate(bundle.encoder.columns):
        raw[:, index], found = _read_column(column, table[column.name])
        flags += [
            (f"{reason}:{column.name}", column.reaction(reason), hit) for reason, hit in found
        ]
    flags += _duplicate_ids(bundle, table)
    refused = np.zeros(n, bool)
    warned = np.zeros(n, bool)
    for _, reaction, hit in flags:
        if reaction == "refuse":
            refused |= hit
        else:
            warned |= hit
    numbers = _numbers(bundle, raw, ~refused, drivers)
    broken = ~refused & ~np.logical_and.reduce(
        [np.isfinite(values) for values in numbers.values() if values.dtype == np.float64]
    )
    if broken.any():
        flags.append(("no_finite_prediction:(model)", "refuse", broken))
        refused |= broken
    status = np.where(refused, 2, np.where(warned, 1, 0))
    columns: dict[str, Any] = _id_output(bundle, table)
    columns |= {name: _nullable(values, refused) for name, values in numbers.items()}
    columns["status"] = pa.DictionaryArray.from_arrays(
        pa.array(status, pa.int8()), pa.array(STATUSES)
    ).cast(pa.string())
    columns["reason"] = _reason_column(flags, n)
    counts = {name: int(np.count_nonzero(status == code)) for code, name in enumerate(STATUSES)}
    tally = Counter({reason: int(hit.sum()) for reason, _, hit in flags})
    return Scored(pa.table(columns), counts, dict(tally.most_common()), ignored)


def _check_schema(bundle: Bundle, table: pa.Table, allow_undeclared: bool) -> tuple[str, ...]:
    """Refuse a file that lacks a needed column, repeats one, or holds unknown ones."""
    present = list(table.column_names)
    needed = [column.name for column in bundle.encoder.columns]
    if bundle.id_column is not None and not bundle.description.get("id_optional", False):
        needed.insert(0, bundle.id_column)
    missing = [name for name in needed if name not in present]
    declared = set(bundle.study.get("columns", {}))
    unknown = tuple(name for name in present if name not in declared)
    if present and len(unknown) == len(present):
        # Without a header line the "names" are a patient's values: counted, not repeated.
        raise SchemaError(
            f"The file must have every column the model uses; none of its {len(present)} column "
            f"name(s) is known. Needed: {', '.join(needed)}. Is the header line missing? "
            "Nothing was written."
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
            f"The file must have only columns the study declares; unknown: {', '.join(unknown)}. "
            "Remove them, or allow undeclared columns to leave them aside. Nothing was written."
        )
    id_name = bundle.id_column or "row"
    if id_name in OUTPUT_NAMES or id_name in bundle.number_names:
        raise UsageError(
            f"The id column must not be named like an output; got '{id_name}'. Rename it."
        )
    return unknown


def _read_column(
    column: FrozenColumn, values: pa.ChunkedArray
) -> tuple[Floats, list[tuple[str, Bools]]]:
    """Parsed values, NaN where no number may be used, and what stood out."""
    parsed = column.plan.rule.parse(values)
    found = column.review(parsed.values, parsed.states)
    if column.in_other_unit(parsed.values, parsed.states):
        found["suspected_unit_mixup"] = parsed.states != State.MISSING
    unusable = (parsed.states >= State.UNPARSABLE) & (parsed.states != State.OUTSIDE_ALLOWED_RANGE)
    raw = parsed.values
    if "unseen_category" in found:
        unusable = unusable | found["unseen_category"]
    # Outside the allowed range a transform may be undefined: nothing to compute with, so filled.
    unusable = unusable | ~column.defined(raw)
    if unusable.any():
        raw = np.where(unusable, np.nan, raw)
    return raw, list(found.items())


def _duplicate_ids(bundle: Bundle, table: pa.Table) -> list[tuple[str, str, Bools]]:
    name = bundle.id_column
    if name is None or name not in table.column_names or not table.num_rows:
        return []
    if bundle.study.get("rows_per_patient") == "many":
        return []
    codes = _id_codes(table[name])
    counts = np.bincount(codes)
    repeated = counts[codes] > 1
    return [(f"duplicate_id:{name}", "warn", repeated)] if repeated.any() else []


def _id_codes(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    import pyarrow.compute as pc

    array = id_array(column).dictionary_encode(null_encoding="encode")
    codes = pc.fill_null(array.indices, len(array.dictionary))
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)


def _numbers(bundle: Bundle, raw: Floats, usable: Bools, drivers: int) -> dict[str, Any]:
    """Predictions of the usable rows laid out over all rows, NaN elsewhere."""
    model = bundle.fitted.model
    features = bundle.encoder.transform(raw[usable])
    out: dict[str, Any] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        if bundle.description["kind"] == "survival":
            horizons = [float(h) for h in bundle.description["horizons"]]
            out["risk"] = _laid_out(model.predict_risk(features), usable)
            survival = model.predict_survival(features, horizons)
            for index, horizon in enumerate(horizons):
                name = survival_name(horizon, bundle.description["unit"])
                out[name] = _laid_out(survival[:, index], usable)
        else:
            out["response_probability"] = _laid_out(model.predict_response(features), usable)
    if drivers:
        out |= _driver_columns(bundle, raw[usable], usable, drivers)
    return out


def _driver_columns(bundle: Bundle, raw: Floats, usable: Bools, drivers: int) -> dict[str, Any]:
    from biomarker.explain.attribution import contributions
    from biomarker.explain.attribution import drivers as largest

    split = contributions(bundle.fitted, raw)
    order, signed = largest(split.values, min(drivers, len(split.sources)))
    names = np.array(split.sources, dtype=object)[order]
    out: dict[str, Any] = {}
    for k in range(order.shape[1]):
        text = np.full(len(usable), None, dtype=object)
        text[usable] = names[:, k]
        out[f"driver_{k + 1}"] = text
        out[f"driver_{k + 1}_value"] = _laid_out(signed[:, k], usable)
    return out


def _laid_out(values: npt.ArrayLike, usable: Bools) -> Floats:
    out = np.full(len(usable), np.nan)
    out[usable] = values
    return out


def _nullable(values: Any, refused: Bools) -> pa.Array:
    if values.dtype == object:
        return pa.array([None if r else v for v, r in zip(values, refused, strict=True)])
    return pa.array(values, mask=refused | np.isnan(values))


def _id_output(bundle: Bundle, table: pa.Table) -> dict[str, Any]:
    name = bundle.id_column
    if name is not None and name in table.column_names:
        return {name: id_array(table[name])}
    return {"row": pa.array(np.arange(1, table.num_rows + 1))}


def _reason_column(flags: Sequence[tuple[str, str, Bools]], n: int) -> pa.Array:
    """``code:column`` joined by semicolons; each distinct combination is written once."""
    if not flags:
        return pa.array([""] * n, pa.string())
    packed = np.packbits(np.column_stack([hit for _, _, hit in flags]), axis=1)
    width = packed.shape[1]
    keys = np.ascontiguousarray(packed).view(np.dtype((np.void, width))).ravel()
    distinct, codes = np.unique(keys, return_inverse=True)
    texts = []
    for key in distinct:
        bits = np.unpackbits(np.frombuffer(key.tobytes(), np.uint8))[: len(flags)]
        texts.append(";".join(flags[i][0] for i in np.flatnonzero(bits)))
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(texts)).cast(pa.string())


def write_scores(table: pa.Table, out: str | Path) -> None:
    """Write scores as Parquet or CSV by the file's ending, whole or not at all.

    Raises
    ------
    StorageError
        If the target cannot be written.
    """
    path = Path(out)
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with atomic_file(path) as temporary:
            pq.write_table(table, temporary)
    elif path.suffix == ".csv":
        import pyarrow.csv as pa_csv

        with atomic_file(path) as temporary:
            pa_csv.write_csv(table, temporary)
    else:
        raise UsageError(f"The output must end in .parquet or .csv; got '{path.name}'. Rename it.")
