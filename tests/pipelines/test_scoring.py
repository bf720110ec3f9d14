"""One output row per input row, with a number or a reason, and the study's own reactions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biomarker.errors import SchemaError, StorageError, UsageError
from biomarker.features.frozen_column import REASONS
from biomarker.study import ScoringRules
from pipelines.bundle import Bundle, load_bundle
from pipelines.scoring import OUTPUT_NAMES, score

NUMBERS = ["risk", "survival_6_months", "survival_12_months"]


@pytest.fixture(scope="module")
def bundle(ward_bundle: Path) -> Bundle:
    """The stored Cox model of the ward study."""
    return load_bundle(ward_bundle)


@pytest.fixture
def frame(ward: Any) -> Any:
    """Thirty new patients without outcomes."""
    drop = ["months", "died", "best", "site", "later"]
    return ward.frame(30, seed=6).drop(columns=drop)


def scored(frame: Any, bundle: Bundle, **options: Any) -> Any:
    """Scores as a frame."""
    return score(frame, bundle, **options).table.to_pandas()


anything = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.sampled_from(["", "NA", "<15", ">10000", "<1", "1,2", "female", "F", "1", "drug", "0", "x"]),
    st.text(max_size=5),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_values_give_a_row_each_with_status_and_reason_in_step(
    bundle: Bundle, frame: Any, data: st.DataObject
) -> None:
    """Ok has numbers and no reason; warned has both; refused has a reason and no number."""
    columns = ["arm", "age", "hb", "vegf", "sex", "grade"]
    harmed = frame.copy()
    for _ in range(data.draw(st.integers(1, 12))):
        row, column = data.draw(st.integers(0, 29)), data.draw(st.sampled_from(columns))
        harmed.loc[row, column] = data.draw(anything)
    out, clean = scored(harmed, bundle), scored(frame, bundle)
    assert out["pid"].tolist() == frame["pid"].tolist()
    for position, row in enumerate(out.itertuples()):
        numbers = [getattr(row, name) for name in NUMBERS]
        assert row.status in ("ok", "warned", "refused")
        assert (row.status == "ok") == (row.reason == "")
        if row.status == "refused":
            assert all(math.isnan(number) for number in numbers)
        else:
            assert all(math.isfinite(number) for number in numbers)
            assert 1.0 >= numbers[1] >= numbers[2] >= 0.0
        for code in filter(None, str(row.reason).split(";")):
            reason, _, column = code.partition(":")
            assert reason in REASONS
            assert column in columns
        if (harmed.iloc[position] == frame.iloc[position]).all():
            assert numbers == clean.loc[position, NUMBERS].tolist()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=st.randoms())
def test_permuted_rows_give_permuted_scores(bundle: Bundle, frame: Any, random: Any) -> None:
    """A row's score is its own."""
    frame.loc[3, "hb"], frame.loc[4, "age"], frame.loc[5, "sex"] = "", "150", "other"
    order = list(range(30))
    random.shuffle(order)
    whole, shuffled = scored(frame, bundle), scored(frame.iloc[order], bundle)
    pd.testing.assert_frame_equal(shuffled, whole.iloc[order].reset_index(drop=True))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.floats(80, 180), min_size=30, max_size=30))
def test_typed_and_text_input_of_the_same_numbers_score_the_same(
    bundle: Bundle, frame: Any, values: list[float]
) -> None:
    """Doubles and their texts; whole-number grades and their digits."""
    text = frame.assign(hb=[repr(value) for value in values])
    typed = frame.assign(
        hb=values, grade=frame["grade"].astype("Int64"), age=frame["age"].astype(float)
    )
    pd.testing.assert_frame_equal(scored(typed, bundle), scored(text, bundle))


def with_rules(ward: Any, folder: Path, **rules: str) -> Bundle:
    """A model trained under a study that overrides reactions, ``column__reason="warn"``."""
    text = ward.study_text
    for place, reaction in rules.items():
        column, reason = place.split("__")
        head = f"[columns.{column}]\n"
        assert head in text
        text = text.replace(head, f'{head}scoring.{reason} = "{reaction}"\n')
    return load_bundle(ward.train(folder, "cox", text))


VALUE_OF = {
    "missing": ("hb", ""),
    "below_detection": ("vegf", "<15"),
    "above_detection": ("vegf", ">10000"),
    "outside_training_range": ("hb", "190"),
    "unseen_category": ("sex", "unknown"),
    "unparsable": ("hb", "1,2"),
    "not_finite": ("hb", "inf"),
    "outside_allowed_range": ("age", "101"),
    "suspected_unit_mixup": ("hb", "131000"),
}
BEFORE = {
    reason: "warned" if default == "warn" else "refused"
    for reason, default in ScoringRules().model_dump().items()
}


@pytest.mark.parametrize("reason", REASONS)
def test_every_reaction_can_be_turned_round_per_column(
    ward: Any, bundle: Bundle, frame: Any, tmp_path: Path, reason: str
) -> None:
    """What is refused by default can be warned of, and the other way, in the study alone."""
    column, value = VALUE_OF[reason]
    frame.loc[3, column] = value
    before = scored(frame, bundle).loc[3]
    assert before["status"] == BEFORE[reason]
    assert f"{reason}:{column}" in before["reason"].split(";")
    turned = {"warned": "refuse", "refused": "warn"}[BEFORE[reason]]
    other = with_rules(ward, tmp_path / "b", **{f"{column}__{reason}": turned})
    after = scored(frame, other)
    assert after.loc[3, "status"] == {"refuse": "refused", "warn": "warned"}[turned]
    assert after.loc[3, "reason"] == before["reason"]
    assert (after["status"].drop(3) == "ok").all()
    assert math.isfinite(after.loc[3, "risk"]) == (turned == "warn")


def test_a_value_that_is_only_warned_of_is_filled_or_used_as_the_table_says(
    ward: Any, frame: Any, tmp_path: Path
) -> None:
    """What is no number is filled like a missing one; a number out of range is used as it is."""
    rules = {"hb__unparsable": "warn", "age__outside_allowed_range": "warn"}
    rules |= {"vegf__outside_allowed_range": "warn"}
    bundle = with_rules(ward, tmp_path / "b", **rules)
    frame.loc[[1, 2], "hb"] = ["1,2", ""]
    alike = ["arm", "age", "vegf", "sex", "grade"]
    for column in alike:
        frame.loc[2, column] = frame.loc[1, column]
    frame.loc[3, "age"], frame.loc[4, "vegf"], frame.loc[5, "vegf"] = "101", "-0.5", "-7"
    out = scored(frame, bundle)
    assert out.loc[1, "risk"] == out.loc[2, "risk"]
    older = bundle.fitted.model.coef_[bundle.encoder.feature_names.index("age")]
    base = scored(frame.assign(age="60"), bundle)
    assert out.loc[3, "risk"] - base.loc[3, "risk"] == pytest.approx(41 * older)
    filled = scored(frame.assign(vegf=""), bundle)
    # log1p(-0.5) is a number and is used; log1p(-7) is none and is filled.
    assert out.loc[4, "risk"] != filled.loc[4, "risk"]
    assert out.loc[5, "risk"] == filled.loc[5, "risk"]
    assert out.loc[[1, 2, 3, 4, 5], "status"].tolist() == ["warned"] * 5


def test_a_whole_file_in_another_unit_is_refused_row_by_row(
    ward: Any, frame: Any, bundle: Bundle
) -> None:
    """The median of twenty or more values says so; a missing value stays a missing value."""
    ng = frame.assign(vegf=[f"{float(v) / 1000:.5f}" for v in frame["vegf"]])
    ng.loc[0, "vegf"] = ""
    out = scored(ng, bundle)
    assert out["status"].tolist() == ["warned"] + ["refused"] * 29
    assert out.loc[1:, "reason"].str.contains("suspected_unit_mixup:vegf").all()


def test_no_row_is_a_valid_file(frame: Any, bundle: Bundle, tmp_path: Path) -> None:
    """Zero rows in, zero rows out, all columns there, with and without drivers."""
    for drivers in (0, 2):
        for out in ("x.csv", "x.parquet"):
            empty = score(frame.iloc[:0], bundle, out=tmp_path / out, drivers=drivers)
            assert empty.table.num_rows == 0
            assert empty.counts == {"ok": 0, "warned": 0, "refused": 0}
    assert pq.read_table(tmp_path / "x.parquet").column_names[0] == "pid"


def test_all_rows_refused_is_a_valid_output(frame: Any, bundle: Bundle) -> None:
    """A file of which nothing can be used comes out whole, without a number."""
    out = score(frame.assign(sex="unknown"), bundle, drivers=2).table.to_pandas()
    assert (out["status"] == "refused").all()
    assert out[[*NUMBERS, "driver_1", "driver_1_value", "driver_2"]].isna().all().all()


def test_drivers_add_up_in_sign_and_only_for_scored_rows(frame: Any, bundle: Bundle) -> None:
    """The largest contributions come first; asking for drivers changes no score."""
    frame.loc[2, "age"] = "x"
    out, plain = scored(frame, bundle, drivers=3), scored(frame, bundle)
    pd.testing.assert_frame_equal(out[plain.columns], plain)
    assert pd.isna(out.loc[2, "driver_1"])
    rest = out.drop(2)
    assert set(rest["driver_1"]) <= set(frame.columns)
    assert (rest["driver_1_value"].abs() >= rest["driver_2_value"].abs()).all()
    assert (rest["driver_2_value"].abs() >= rest["driver_3_value"].abs()).all()


def test_outputs_come_in_the_declared_order_and_types(frame: Any, bundle: Bundle) -> None:
    """The id under its own name, the numbers, then status and reason."""
    assert bundle.number_names == tuple(NUMBERS)
    assert list(scored(frame, bundle).columns) == ["pid", *NUMBERS, "status", "reason"]
    types = score(frame, bundle).table.schema.types
    assert types == [pa.string(), *[pa.float64()] * 3, pa.string(), pa.string()]


def test_csv_and_parquet_outputs_hold_the_same(frame: Any, bundle: Bundle, tmp_path: Path) -> None:
    """Doubles survive CSV to the last bit; a refused row's numbers are empty fields."""
    frame.loc[2, "age"] = "x"
    table = score(frame, bundle, out=tmp_path / "x.csv").table
    score(frame, bundle, out=tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").equals(table)
    text = pd.read_csv(tmp_path / "x.csv", dtype=str, keep_default_na=False)
    assert (text[NUMBERS].iloc[2] == "").all()
    numbers = text.drop(2)[NUMBERS].astype(float)
    np.testing.assert_array_equal(numbers, table.to_pandas().drop(2)[NUMBERS])


@pytest.mark.parametrize("name", ["x.xlsx", "x", "x.csv.gz"])
def test_another_output_ending_is_named(
    frame: Any, bundle: Bundle, tmp_path: Path, name: str
) -> None:
    """The ending decides the format, and nothing is written under another."""
    with pytest.raises(UsageError, match=r"must end in \.parquet or \.csv"):
        score(frame, bundle, out=tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_scores(
    frame: Any, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills while Parquet is written keeps yesterday's file and no temporary."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "x.parquet").write_text("old")
    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(StorageError, match="the disk is full"):
        score(frame, bundle, out=tmp_path / "x.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]
    assert (tmp_path / "x.parquet").read_text() == "old"


def test_an_id_named_like_an_output_is_refused(ward: Any, tmp_path: Path) -> None:
    """Two columns called 'risk' or 'status' would leave nothing to tell them by."""
    for taken in (*OUTPUT_NAMES, "survival_6_months"):
        text = ward.study_text.replace("[columns.pid]", f"[columns.{taken}]")
        frame = ward.frame().rename(columns={"pid": taken})
        bundle = load_bundle(ward.train(tmp_path / taken, "cox", text, frame))
        with pytest.raises(UsageError, match=f"got '{taken}'"):
            score(frame, bundle)


def test_a_study_without_ids_numbers_its_rows(ward: Any, tmp_path: Path) -> None:
    """Without an id column the output says which row of the file it is, from 1."""
    text = ward.study_text.replace('[columns.pid]\nrole = "id"\n', "")
    frame = ward.frame().drop(columns="pid")
    bundle = load_bundle(ward.train(tmp_path / "b", "cox", text, frame))
    out = scored(frame.iloc[:4], bundle)
    assert out["row"].tolist() == [1, 2, 3, 4]


def test_a_missing_column_is_named_and_a_headless_file_is_not_quoted(
    frame: Any, bundle: Bundle
) -> None:
    """Names are shown where they are names."""
    with pytest.raises(SchemaError, match="missing: hb, sex"):
        score(frame.drop(columns=["hb", "sex"]), bundle)
    with pytest.raises(SchemaError, match="Is the header line missing") as caught:
        score(frame.set_axis([f"zq{i}" for i in range(7)], axis=1), bundle)
    assert "zq" not in str(caught.value)


@pytest.mark.parametrize("thing", [None, [1], {"a": 1}, np.zeros((2, 2))])
def test_what_is_no_table_is_named(bundle: Bundle, thing: object) -> None:
    """A file, a frame or an Arrow table."""
    with pytest.raises(UsageError, match=type(thing).__name__):
        score(thing, bundle)


def test_the_documented_table_is_the_one_in_force() -> None:
    """Every reason code stands in docs/scoring.md with its default, and no other code does."""
    text = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text("utf-8")
    codes = text.split("## Reason codes")[1].split("## What stops")[0]
    rows = [line.split("|")[1:] for line in codes.splitlines() if line.startswith("| `")]
    documented = {row[0].strip().strip("`"): row[2].strip() for row in rows}
    defaults = dict(ScoringRules().model_dump())
    fixed = {"duplicate_id": "warn, not overridable"}
    fixed["no_finite_prediction"] = "refuse, not overridable"
    assert documented == defaults | fixed


def test_the_scored_file_is_never_written_over(frame: Any, bundle: Bundle, tmp_path: Path) -> None:
    """Out and source may not be one file, by whatever path; the source stays as it was."""
    source = tmp_path / "patients.csv"
    frame.to_csv(source, index=False)
    before = source.read_bytes()
    other = tmp_path / "link.csv"
    other.symlink_to(source)
    for out in (source, other):
        with pytest.raises(UsageError, match="must not be the file that is scored"):
            score(source, bundle, out=out)
    assert source.read_bytes() == before
