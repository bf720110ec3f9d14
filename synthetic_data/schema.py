"""Cohorts and truths as Arrow record batches, with each column's unit in its field metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synthetic_data.blocks import Block, draw_block
from synthetic_data.patient_truth import patient_truth
from synthetic_data.plan import BLOCK, Plan
from synthetic_data.published import draw_with_truth
from synthetic_data.study_files import COLUMNS
from synthetic_data.table import Coded, Column, Table, patient_ids
from synthetic_data.truth import TRUTH_UNITS, Truth

__all__ = [
    "BLOCK",
    "as_text",
    "block_batches",
    "cohort_batches",
    "cohort_schema",
    "stream",
    "truth_batches",
    "truth_schema",
]


def _ids(values: npt.NDArray[np.bytes_]) -> pa.Array:
    """Fixed-width ASCII as an Arrow string array without a Python object per patient."""
    width, count = values.dtype.itemsize, len(values)
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    data = np.ascontiguousarray(values)
    return pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def _array(column: Column) -> pa.Array:
    """One column as Arrow; levels as a dictionary, missing as null."""
    if isinstance(column, Coded):
        codes = pa.array(column.codes, mask=column.codes < 0)
        return pa.DictionaryArray.from_arrays(codes, pa.array(column.levels, pa.string()))
    if column.dtype == np.int64:
        return pa.array(column)
    return pa.array(column, mask=np.isnan(column))


def _field(name: str, kind: pa.DataType, metadata: dict[str, str]) -> pa.Field:
    """A nullable field that carries its unit and, where it has one, its detection limit."""
    return pa.field(name, kind, metadata=metadata or None)


def _cohort_metadata(name: str, design: dict[str, Any]) -> dict[str, str]:
    """Unit and detection limit of a cohort column."""
    metadata = {}
    if COLUMNS.get(name, {}).get("unit"):
        metadata["unit"] = str(COLUMNS[name]["unit"])
    if name in ("os_months", "pfs_months"):
        metadata["unit"] = "months"
    limit = design["assay"].get(name, {}).get("lower_limit")
    if limit is not None:
        metadata |= {
            "lower_limit": f"{limit:g}",
            "below_limit": "given as the limit divided by the square root of 2",
        }
    return metadata


def _with_ids(table: Table, block: Block) -> dict[str, pa.Array]:
    """Arrow columns of a block, identifiers first."""
    arrays = {"patient_id": _ids(patient_ids(block.first, len(block.treated), block.width))}
    arrays.update({name: _array(column) for name, column in table.items()})
    return arrays


def _one_patient(plan: Plan) -> Block:
    """The first patient's block at size one, for its column types."""
    single = replace(plan, n_patients=1, seed=0)
    return draw_block(single, 0)


def _published_batches(plan: Plan) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Cohort and truth of a published study, whole."""
    frame, people = draw_with_truth(plan.name, plan.seed, plan.n_patients)
    declared = json.dumps(Truth.declaration(plan), sort_keys=True)
    parts = (
        (frame, _published_metadata, {"design": plan.name, "synthetic": "true"}),
        (people, _truth_metadata, {"truth": declared}),
    )
    batches = []
    for table, metadata, notes in parts:
        batch = pa.RecordBatch.from_pandas(table, preserve_index=False)
        fields = [_field(f.name, f.type, metadata(f.name)) for f in batch.schema]
        schema = pa.schema(fields, metadata=notes)
        batches.append(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
    return batches[0], batches[1]


def _published_metadata(name: str) -> dict[str, str]:
    """Unit of a published study's column."""
    return _cohort_metadata(name, {"assay": {}})


def cohort_schema(plan: Plan) -> pa.Schema:
    """Columns of the cohort file; units in field metadata, no word of seed, effects or truth.

    Parameters
    ----------
    plan : Plan
        From :func:`synthetic_data.plan.plan_for`.
    """
    design = plan.design
    if plan.published:
        return _published_batches(plan)[0].schema
    arrays = _with_ids(_one_patient(plan).observed, _one_patient(plan))
    fields = [_field(k, a.type, _cohort_metadata(k, design)) for k, a in arrays.items()]
    return pa.schema(fields, metadata={"design": plan.name, "synthetic": "true"})


def truth_schema(plan: Plan, markers: bool = True) -> pa.Schema:
    """Columns of the truth file; the declaration and the marker table in the schema's metadata.

    Parameters
    ----------
    plan : Plan
        From :func:`synthetic_data.plan.plan_for`.
    markers : bool, default True
        False leaves out the marginal quantities, whose Monte Carlo draw takes some seconds.
    """
    if plan.published:
        return _published_batches(plan)[1].schema
    block = _one_patient(plan)
    arrays = _with_ids(patient_truth(block, plan.design), block)
    fields = [_field(k, a.type, _truth_metadata(k)) for k, a in arrays.items()]
    declared = Truth.declaration(plan, markers=markers)
    return pa.schema(fields, metadata={"truth": json.dumps(declared, sort_keys=True)})


def _truth_metadata(name: str) -> dict[str, str]:
    """Unit of a truth column, by how its name begins."""
    for start, unit in TRUTH_UNITS.items():
        if name.startswith(start):
            return {"unit": unit}
    return {}


def block_batches(
    plan: Plan, index: int, cohort: pa.Schema, truth: pa.Schema
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Cohort and truth of one block; a pure function, so blocks may be drawn by any worker.

    Parameters
    ----------
    plan : Plan
        From :func:`synthetic_data.plan.plan_for`.
    index : int
        From 0 to ``plan.n_blocks - 1``.
    cohort, truth : pyarrow.Schema
        From :func:`cohort_schema` and :func:`truth_schema`.
    """
    if plan.published:
        return _published_batches(plan)
    block = draw_block(plan, index)
    observed = _with_ids(block.observed, block)
    known = _with_ids(patient_truth(block, plan.design), block)
    return (
        pa.RecordBatch.from_arrays([observed[f.name] for f in cohort], schema=cohort),
        pa.RecordBatch.from_arrays([known[f.name] for f in truth], schema=truth),
    )


def stream(plan: Plan) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Cohort and truth batches side by side, one pair per block of 65,600 patients.

    Memory is that of one block, whatever the size of the cohort.

    Parameters
    ----------
    plan : Plan
        From :func:`synthetic_data.plan.plan_for`.

    Examples
    --------
    >>> from synthetic_data.plan import plan_for
    >>> [(c.num_rows, t.num_rows) for c, t in stream(plan_for("il2-rcc", 70_000, seed=1))]
    [(65600, 65600), (4400, 4400)]
    """
    cohort, truth = cohort_schema(plan), truth_schema(plan, markers=False)
    for index in range(plan.n_blocks):
        yield block_batches(plan, index, cohort, truth)


def cohort_batches(plan: Plan) -> Iterator[pa.RecordBatch]:
    """The cohort alone, block by block."""
    if plan.published:
        yield _published_batches(plan)[0]
        return
    schema = cohort_schema(plan)
    for index in range(plan.n_blocks):
        block = draw_block(plan, index)
        arrays = _with_ids(block.observed, block)
        yield pa.RecordBatch.from_arrays([arrays[f.name] for f in schema], schema=schema)


def truth_batches(plan: Plan) -> Iterator[pa.RecordBatch]:
    """The truth alone, block by block; row i belongs to row i of :func:`cohort_batches`."""
    if plan.published:
        yield _published_batches(plan)[1]
        return
    schema = truth_schema(plan, markers=False)
    for index in range(plan.n_blocks):
        block = draw_block(plan, index)
        arrays = _with_ids(patient_truth(block, plan.design), block)
        yield pa.RecordBatch.from_arrays([arrays[f.name] for f in schema], schema=schema)


def as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A cohort batch as a laboratory's CSV would print it: plain levels, ``<15`` below a limit.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        From :func:`cohort_batches`.

    Returns
    -------
    pyarrow.RecordBatch
        No dictionaries; a column with a detection limit is text.
    """
    arrays, fields = [], []
    for column, field in zip(batch.columns, batch.schema, strict=True):
        values = column
        if pa.types.is_dictionary(column.type):
            values = column.dictionary_decode()
        limit = (field.metadata or {}).get(b"lower_limit")
        if limit is not None:
            below = pc.less(column, float(limit))
            values = pc.if_else(below, pa.scalar(f"<{limit.decode()}"), pc.cast(column, "string"))
        arrays.append(values)
        fields.append(pa.field(field.name, values.type, metadata=field.metadata))
    schema = pa.schema(fields, metadata=batch.schema.metadata)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
