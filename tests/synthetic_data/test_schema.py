"""Streaming: units in field metadata, truth apart, bytes independent of how it is drawn."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthetic_data import plan_for, simulate
from synthetic_data.facts import catalogue
from synthetic_data.plan import BLOCK
from synthetic_data.schema import (
    as_text,
    block_batches,
    cohort_batches,
    cohort_schema,
    stream,
    truth_batches,
    truth_schema,
)


def digest(batches):
    """SHA-256 of the batches' Arrow bytes."""
    sink = pa.BufferOutputStream()
    batches = list(batches)
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def test_units_stand_in_field_metadata():
    """VEGF carries pg/mL and its detection limit, times carry months."""
    schema = cohort_schema(plan_for("il2-rcc", 10, 1))
    assert schema.field("vegf").metadata[b"unit"] == b"pg/mL"
    assert schema.field("vegf").metadata[b"lower_limit"] == b"15"
    assert schema.field("os_months").metadata[b"unit"] == b"months"


def test_the_cohort_never_refers_to_the_truth():
    """No cohort column or metadata holds a seed, an effect or a potential outcome."""
    plan = plan_for("il2-rcc", 50, 987_654, {"vegf": "predictive:0.5"})
    schema = cohort_schema(plan)
    text = schema.to_string(show_field_metadata=True, show_schema_metadata=True)
    for word in ("truth", "987654", "0.5", "predictive", "benefit", "control_", "seed"):
        assert word not in text
    assert not {"log_hazard", "os_months_control"} & set(schema.names)


def test_streams_agree_with_the_frame_and_with_each_other():
    """Streamed batches hold the values of simulate, in pairs or apart."""
    plan = plan_for("il2-rcc", BLOCK + 100, 2)
    pairs = list(stream(plan))
    assert digest(c for c, _ in pairs) == digest(cohort_batches(plan))
    assert digest(t for _, t in pairs) == digest(truth_batches(plan))
    frame, truth = simulate("il2-rcc", BLOCK + 100, 2)
    last = pairs[1][0].to_pandas()
    tail = frame.iloc[BLOCK:]
    np.testing.assert_array_equal(last["vegf"], tail["vegf"])
    assert last["histology"].astype(object).fillna("").tolist() == (
        tail["histology"].fillna("").tolist()
    )
    assert last["patient_id"].tolist() == tail["patient_id"].tolist()
    known = pairs[1][1].to_pandas()
    np.testing.assert_array_equal(
        known["os_months_treated"], truth.patients["os_months_treated"].iloc[BLOCK:]
    )


def test_any_worker_order_gives_the_same_bytes():
    """Blocks drawn backwards and put in order are the blocks drawn forwards."""
    plan = plan_for("il2-melanoma", 2 * BLOCK + 5, 4)
    cohort, truth = cohort_schema(plan), truth_schema(plan, markers=False)
    backwards = {i: block_batches(plan, i, cohort, truth) for i in reversed(range(plan.n_blocks))}
    assert digest(backwards[i][0] for i in range(3)) == digest(cohort_batches(plan))


@pytest.mark.parametrize("name", [r.name for r in catalogue()])
def test_every_recipe_streams(name):
    """Published studies stream as one batch of their published size, with a schema that fits."""
    size = 40 if plan_for(name, 40, 1).published is False else None
    plan = plan_for(name, size, 1)
    cohort, truth = next(stream(plan))
    assert cohort.num_rows == truth.num_rows == plan.n_patients
    assert cohort.schema.equals(cohort_schema(plan), check_metadata=True)
    assert cohort.column(0).to_pylist() == truth.column(0).to_pylist()
    declared = json.loads(truth.schema.metadata[b"truth"])
    assert declared["design"] == name


def test_below_limit_values_become_text_for_a_csv():
    """A laboratory's file says <43 where the measured value lay below the limit."""
    plan = plan_for("il2-melanoma", 4000, 1)
    (batch,) = cohort_batches(plan)
    text = as_text(batch)
    numbers = batch.column("vegf").to_numpy(zero_copy_only=False)
    written = text.column("vegf").to_pylist()
    below = [w == "<43" for w in written]
    assert sum(below) > 10
    np.testing.assert_array_equal(np.array(below), numbers < 43)
    np.testing.assert_allclose(numbers[numbers < 43], 43 / np.sqrt(2))
    assert text.schema.field("sex").type == pa.string()
    assert written.count(None) == int(np.isnan(numbers).sum())


def test_parquet_round_trip_keeps_units(tmp_path):
    """A Parquet file written from the batches returns units and values."""
    plan = plan_for("il2-rcc", 500, 3)
    with pq.ParquetWriter(tmp_path / "c.parquet", cohort_schema(plan)) as writer:
        for batch in cohort_batches(plan):
            writer.write_batch(batch)
    table = pq.read_table(tmp_path / "c.parquet")
    assert table.schema.field("fibronectin").metadata[b"unit"] == b"mg/L"
    assert table.num_rows == 500
