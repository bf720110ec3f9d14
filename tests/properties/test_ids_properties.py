"""Ids go through scoring byte for byte, whatever they look like."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biomarker.errors import CohortError
from pipelines.bundle import load_bundle
from pipelines.scoring import score
from pipelines.scoring_job import score_file

HOSTILE = [
    "00123", "123", "NA", "nan", "None", "null", "1e5", "100000", "1.0", " 7", "7 ", "  ", "\t",
    "9007199254740991", "9007199254740992", "9007199254740993", "-0", "+1", "=1+1", "@SUM(A1)",
    "-2+3", "+A1", "=cmd|' /C calc'!A0", "😀", "e\u0301", "é", "\u200b", "ﬁ", "İ", "ı", "O'Neil",
    'say "x"', "a,b", "a;b", "line\nbreak", "'", "\\N", "#REF!", "TRUE", "2021-01-02", "",
]  # fmt: skip

ids = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=12),
    min_size=1,
    max_size=30,
    unique=True,
)


@pytest.fixture(scope="module")
def scorer(ward: Any, ward_bundle: Path) -> Any:
    """A function from ids to a text frame of ward patients with those ids."""
    bundle = load_bundle(ward_bundle)
    rows = ward.frame(60, seed=3).drop(columns=["months", "died", "best", "site", "later"])

    def make(names: list[str]) -> pd.DataFrame:
        frame = pd.concat([rows] * (1 + len(names) // len(rows)), ignore_index=True)
        return pd.DataFrame(frame.iloc[: len(names)].assign(pid=names))

    make.bundle = bundle  # type: ignore[attr-defined]
    return make


def written_csv(frame: pd.DataFrame, delimiter: str = ",") -> bytes:
    """CSV bytes by Python's own writer, every field quoted."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows(frame.to_numpy().tolist())
    return text.getvalue().encode()


def ids_in(path: Path) -> list[str]:
    """The first column of an output file, read by something that is not our reader."""
    if path.suffix == ".parquet":
        return list(pq.read_table(path)["pid"].to_pylist())
    csv.field_size_limit(2**20)
    with path.open(encoding="utf-8", newline="") as handle:
        return [row[0] for row in csv.reader(handle)][1:]


def assert_ids_kept(scorer: Any, names: list[str], folder: Path) -> None:
    """Every way in and every way out gives the ids back, one row each, in order."""
    frame = scorer(names)
    (folder / "in.csv").write_bytes(written_csv(frame))
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / "in.parquet")
    for source in (folder / "in.csv", folder / "in.parquet", frame):
        for out in (folder / "out.csv", folder / "out.parquet"):
            scored = score(source, scorer.bundle, out=out)
            assert scored.table["pid"].to_pylist() == names
            assert ids_in(out) == names


def test_hostile_ids_come_out_as_they_went_in(scorer: Any, tmp_path: Path) -> None:
    """Leading zeros, NA, exponents, spaces, formulas, emoji, look-alikes, the empty id."""
    assert_ids_kept(scorer, HOSTILE, tmp_path)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=ids)
def test_any_ids_come_out_as_they_went_in(scorer: Any, tmp_path: Path, names: list[str]) -> None:
    """Distinct ids stay distinct, byte for byte, through CSV and Parquet, in and out."""
    assert_ids_kept(scorer, names, tmp_path)


def test_whole_number_ids_beyond_double_precision_are_kept(scorer: Any, tmp_path: Path) -> None:
    """2^53 - 1, 2^53 and 2^53 + 1 stay three patients, typed or as text."""
    numbers = [2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1]
    frame = scorer([str(n) for n in numbers])
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.set_column(0, "pid", pa.array(numbers, pa.int64()))
    scored = score(table, scorer.bundle, out=tmp_path / "out.csv")
    assert scored.table["pid"].to_pylist() == numbers
    assert ids_in(tmp_path / "out.csv") == [str(n) for n in numbers]


def test_dictionary_ids_are_written_out(scorer: Any, tmp_path: Path) -> None:
    """A category column of ids reaches both formats as plain text."""
    frame = scorer(["a", "b", "0c"])
    frame["pid"] = frame["pid"].astype("category")
    for out in (tmp_path / "out.csv", tmp_path / "out.parquet"):
        score(frame, scorer.bundle, out=out)
        assert ids_in(out) == ["a", "b", "0c"]


def test_repeated_ids_are_each_marked_and_kept(scorer: Any) -> None:
    """Every occurrence of a repeated id carries the reason; look-alikes are no repeats."""
    scored = score(scorer(["1", "01", "1", "1.0", "", ""]), scorer.bundle)
    marked = ["duplicate_id:pid" in reason for reason in scored.table["reason"].to_pylist()]
    assert marked == [True, False, True, False, True, True]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.0, 2.0]), pa.array([[1], [2]]), pa.array([b"a", b"b"]), pa.array([True, False]),
        pa.array([1, 2], pa.date32()), pd.Series(pd.period_range("2020", periods=2, freq="M")),
        pd.Series(["a\ud800", "b"], dtype=object),
    ],
)  # fmt: skip
def test_ids_that_cannot_be_told_apart_for_certain_are_refused(scorer: Any, values: Any) -> None:
    """Floats, dates, bytes, lists and broken Unicode are no ids; the error names the type alone."""
    frame = scorer(["x", "y"])
    if isinstance(values, pa.Array):
        table = pa.Table.from_pandas(frame, preserve_index=False)
        source: Any = table.set_column(0, "pid", values)
    else:
        source = frame.assign(
            pid=values.to_numpy(dtype=object) if values.dtype == object else values
        )
    with pytest.raises(CohortError, match=r"whole numbers|valid Unicode"):
        score(source, scorer.bundle)


def test_every_arrow_layout_of_text_is_text(scorer: Any, tmp_path: Path) -> None:
    """Large, viewed, dictionary and run-end encoded columns score and come out alike."""
    names = ["007", "NA", "", "7"]
    table = pa.Table.from_pandas(scorer(names), preserve_index=False)
    expected = score(table, scorer.bundle).table
    for layout in (pa.large_string(), pa.string_view(), "dictionary", "run-end"):
        columns = {}
        for name in table.column_names:
            array = table[name].combine_chunks()
            if layout == "dictionary":
                columns[name] = array.dictionary_encode()
            elif layout == "run-end":
                columns[name] = pa.compute.run_end_encode(array)
            else:
                columns[name] = array.cast(layout)
        out = score(pa.table(columns), scorer.bundle, out=tmp_path / "x.csv").table
        assert out.to_pylist() == expected.to_pylist()
        assert ids_in(tmp_path / "x.csv") == names


def adversarial(n: int) -> list[str]:
    """Distinct ids of every kind that a reader, a spreadsheet or a hash has been known to bend."""
    found = list(HOSTILE)
    shapes = (
        "{:08d}", "{}", "{}.0", "{}e5", " {}", "{} ", "=A{}", "+{}", "-{}", "@{}", "\t{}", "NA{}",
        "{}\n", '"{}"', "{},", "{}\u200b", "é{}", "e\u0301{}", "😀{}", "І{}", "I{}", "l{}", "０{}",
        "9007199254740{:06d}", "0x{:x}", "{}" + "x" * 300, "'{}", "\u202e{}", "{}\\", "NULL{}",
    )  # fmt: skip
    k = 0
    while len(found) < n:
        found.append(shapes[k % len(shapes)].format(k))
        k += 1
    found[-1] = "long" * 100_000
    return found


@pytest.mark.parametrize("ending", ["csv", "tsv", "csv.gz", "parquet"])
@pytest.mark.parametrize("out_kind", ["csv", "parquet"])
def test_ten_thousand_adversarial_ids_come_out_one_to_one(
    ending: str, out_kind: str, scorer: Any, tmp_path: Path
) -> None:
    """In chunks and at once, each id as it went in, in its row, and none taken for another."""
    names = adversarial(10_000)
    assert len(set(names)) == len(names)
    frame, source = scorer(names), tmp_path / f"in.{ending}"
    data = written_csv(frame, "\t" if ending == "tsv" else ",")
    if ending == "parquet":
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), source)
    else:
        source.write_bytes(gzip.compress(data) if ending == "csv.gz" else data)
    for chunk_rows in (3000, 20_000):
        out = tmp_path / f"{chunk_rows}.{out_kind}"
        done = score_file(source, scorer.bundle, out, chunk_rows=chunk_rows)
        assert not [reason for reason in done.reasons if reason.startswith("duplicate_id")]
        parts = sorted(out.glob("part-*")) if out.is_dir() else [out]
        assert len(parts) == -(-len(names) // chunk_rows)
        assert [name for part in parts for name in ids_in(part)] == names
