"""Damaged files through the real command: a named error, or a row with a reason, never a guess."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main

DATA, MODEL, PARTIAL = 3, 4, 5
N_ROWS = 40
Harm = Callable[[pd.DataFrame], pd.DataFrame]


def run(*arguments: str) -> Result:
    """The command in this process, stdout and stderr apart."""
    result = CliRunner().invoke(main, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@dataclass
class Desk:
    """A folder with a clean file's scores to compare with, and the commands to try on others."""

    folder: Path
    bundle: Path
    study: Path
    clean: pd.DataFrame
    ward: Any
    expected: pd.DataFrame

    def write(self, data: bytes | pd.DataFrame | pa.Table, name: str = "new.csv") -> Path:
        """Put a file on the desk."""
        path = self.folder / name
        if isinstance(data, pa.Table):
            pq.write_table(data, path)
        else:
            path.write_bytes(self.ward.csv(data) if isinstance(data, pd.DataFrame) else data)
        return path

    def check(self, file: Path) -> Result:
        """``biomarker check`` under the ward study."""
        return run("check", str(file), "--study", str(self.study))

    def score(self, file: Path) -> tuple[Result, pd.DataFrame | None]:
        """``biomarker score`` with the ward model; no output file gives None."""
        out = self.folder / "scores.parquet"
        out.unlink(missing_ok=True)
        result = run("score", str(file), "--model", str(self.bundle), "--out", str(out), "--json")
        leftovers = [p.name for p in self.folder.iterdir() if p.name.endswith(".tmp")]
        assert leftovers == []
        return result, pd.read_parquet(out) if out.exists() else None

    def assert_no_silent_score(self, scores: pd.DataFrame, harmed: Any) -> None:
        """Rows marked ok are unharmed and scored as in the clean file; refused have no number."""
        numbers = ["risk", "survival_6_months", "survival_12_months"]
        harmed = np.asarray(harmed, dtype=bool)
        ok = (scores["status"] == "ok").to_numpy()
        refused = (scores["status"] == "refused").to_numpy()
        assert len(scores) == len(self.expected)
        assert list(scores["pid"]) == list(self.expected["pid"])
        assert not (ok & harmed).any()
        assert scores.loc[ok, numbers].equals(self.expected.loc[ok, numbers])
        assert scores.loc[refused, numbers].isna().all().all()
        assert scores.loc[~refused, numbers].notna().all().all()
        assert (scores["reason"].eq("") == ok).all()


@pytest.fixture(scope="module")
def clean_desk(ward: Any, ward_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk with the clean file scored once."""
    folder = tmp_path_factory.mktemp("desk")
    study = folder / "ward.toml"
    study.write_text(ward.study_text)
    clean = ward.frame(N_ROWS, seed=5)
    made = Desk(folder, ward_bundle, study, clean, ward, clean)
    result, scores = made.score(made.write(clean, "clean.csv"))
    assert result.exit_code == 0, result.stderr
    assert scores is not None
    return replace(made, expected=scores)


@pytest.fixture
def desk(clean_desk: Desk, tmp_path: Path) -> Desk:
    """A desk with a folder of its own."""
    return replace(clean_desk, folder=tmp_path, expected=clean_desk.expected.copy())


def test_the_clean_file_is_accepted_and_scored_in_full(desk: Desk) -> None:
    """The suite's baseline: nothing is wrong with the file that the others damage."""
    assert desk.check(desk.write(desk.clean)).exit_code == 0
    assert (desk.expected["status"] == "ok").all()
    assert np.ptp(desk.expected["risk"]) > 0.5


# -- files that are damaged as files ---------------------------------------------------------------


def body(desk: Desk) -> bytes:
    """The clean file's bytes."""
    return bytes(desk.ward.csv(desk.clean))


def replaced_line(data: bytes, line: int, change: Callable[[bytes], bytes]) -> bytes:
    """The file with one line, counted from 1, changed."""
    lines = data.split(b"\n")
    lines[line - 1] = change(lines[line - 1])
    return b"\n".join(lines)


BROKEN_FILES: dict[str, tuple[Callable[[bytes], bytes], str, str | None]] = {
    "byte-order mark": (lambda b: b"\xef\xbb\xbf" + b, "byte-order mark", "1"),
    "UTF-16": (lambda b: b.decode().encode("utf-16"), "UTF-16", "1"),
    "UTF-16 without its mark": (lambda b: b.decode().encode("utf-16-le"), "NUL byte", "1"),
    "CR-only line ends": (lambda b: b.replace(b"\n", b"\r"), "carriage return", None),
    "NUL byte": (lambda b: replaced_line(b, 7, lambda x: x[:4] + b"\0" + x[5:]), "NUL", "7"),
    "two encodings": (
        lambda b: replaced_line(b, 9, lambda x: x.replace(b",", b",K\xf6ln", 1)),
        "not UTF-8", "9",
    ),
    "tail cut inside a line": (lambda b: b[:-9], "truncated", str(N_ROWS + 1)),
    "last line without its end": (lambda b: b[:-1], "truncated", str(N_ROWS + 1)),
    "tail cut to a short line": (lambda b: b[:-12] + b"\n", "wrong number", str(N_ROWS + 1)),
    "a long line": (lambda b: replaced_line(b, 5, lambda x: x + b",1"), "wrong number", "5"),
    "a short line": (
        lambda b: replaced_line(b, 6, lambda x: x[: x.rindex(b",")]), "wrong number", "6",
    ),
    "a blank line": (lambda b: replaced_line(b, 4, lambda x: x + b"\n"), "blank line", "5"),
    "a comma in a number": (
        lambda b: replaced_line(b, 8, lambda x: x.replace(b".", b",", 1)), "wrong number", "8",
    ),
    "an open quote": (lambda b: replaced_line(b, 3, lambda x: b'"' + x), "stray quote", "3"),
    "an empty file": (lambda b: b"", "empty", None),
    "semicolons": (lambda b: b.replace(b",", b";"), "semicolons", "1"),
    "no header line": (lambda b: b.split(b"\n", 1)[1], "header", None),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_broken_file_is_named_with_its_line_by_both_commands(desk: Desk, name: str) -> None:
    """Both commands stop before any row is read, say what is wrong and where, and write nothing."""
    harm, words, line = BROKEN_FILES[name]
    file = desk.write(harm(body(desk)))
    checked = desk.check(file)
    scored, scores = desk.score(file)
    assert checked.exit_code == DATA
    assert scored.exit_code == (MODEL if name == "no header line" else DATA)
    assert scores is None
    for result in (checked, scored):
        assert words in result.stderr.replace("\n", " ")
    if line is not None:
        faults = json.loads(scored.stdout)["faults"]
        assert [fault["line"] for fault in faults] == [line]


def gzipped(data: bytes) -> bytes:
    """The bytes as a gzip file."""
    return gzip.compress(data, mtime=0)


def test_a_gzip_file_scores_like_the_plain_one_and_a_cut_one_is_refused(desk: Desk) -> None:
    """Compression changes nothing; a stream that breaks off is an error, not a shorter file."""
    whole = gzipped(body(desk))
    result, scores = desk.score(desk.write(whole, "new.csv.gz"))
    assert result.exit_code == 0
    assert scores is not None
    assert scores.equals(desk.expected)
    for damaged in (whole[:-4], whole[: len(whole) // 2], whole[:-8] + b"\0" * 8, b"not gzip\n"):
        file = desk.write(damaged, "new.csv.gz")
        result, scores = desk.score(file)
        assert (result.exit_code, scores) == (DATA, None)
        assert "gzip" in result.stderr
        assert desk.check(file).exit_code == DATA


def test_a_gzip_bomb_is_refused_before_it_is_expanded(desk: Desk) -> None:
    """A kilobyte that claims to be a gigabyte stops at 64 MiB."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9) as stream:
        for _ in range(100):
            stream.write(b"0" * 2**20)
    file = desk.write(buffer.getvalue(), "new.csv.gz")
    result, scores = desk.score(file)
    assert (result.exit_code, scores) == (DATA, None)
    assert "suspicious compression" in result.stderr


def test_a_damaged_parquet_file_is_refused(desk: Desk) -> None:
    """Cut, emptied or foreign bytes under a Parquet name are one named error."""
    whole = desk.write(pa.Table.from_pandas(desk.clean, preserve_index=False), "new.parquet")
    data = whole.read_bytes()
    for damaged in (data[:-20], data[: len(data) // 2], b"", b"PAR1", body(desk)):
        file = desk.write(damaged, "new.parquet")
        result, scores = desk.score(file)
        assert (result.exit_code, scores) == (DATA, None)
        assert "Parquet" in result.stderr
        assert desk.check(file).exit_code == DATA


def test_a_file_with_a_header_only_gives_an_empty_output(desk: Desk) -> None:
    """No rows in, no rows out, with every output column there; for check it is no cohort."""
    file = desk.write(desk.clean.iloc[:0])
    result, scores = desk.score(file)
    assert result.exit_code == 0
    assert scores is not None
    assert len(scores) == 0
    assert list(scores.columns) == list(desk.expected.columns)
    checked = desk.check(file)
    assert checked.exit_code == DATA
    assert "no rows" in checked.stderr


# -- columns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["pid", "age", "sex", "arm"])
def test_a_missing_column_stops_both_commands_and_writes_nothing(desk: Desk, column: str) -> None:
    """A needed column that is absent is exit 4 at scoring and exit 3 at check."""
    file = desk.write(desk.clean.drop(columns=column))
    result, scores = desk.score(file)
    assert (result.exit_code, scores) == (MODEL, None)
    assert column in result.stderr
    assert "Nothing was written" in result.stderr
    checked = desk.check(file)
    assert checked.exit_code == (DATA if column != "site" else 0)
    assert "missing column" in checked.stderr


def test_a_renamed_column_is_suggested(desk: Desk) -> None:
    """A near-miss such as ' age' or 'VEGF' is refused, and check says what to rename."""
    for old, new in (("age", " age"), ("vegf", "vegf_new"), ("hb", "hb ")):
        file = desk.write(desk.clean.rename(columns={old: new}))
        result, scores = desk.score(file)
        assert (result.exit_code, scores) == (MODEL, None)
        checked = desk.check(file)
        assert checked.exit_code == DATA
        assert (
            f"Rename '{new}' to '{old}'?" in " ".join(checked.stderr.split()) or new != new.strip()
        )


def test_an_extra_column_is_refused_unless_allowed(desk: Desk) -> None:
    """An undeclared column stops scoring; with --allow-undeclared it changes no score."""
    file = desk.write(desk.clean.assign(extra="1"))
    result, scores = desk.score(file)
    assert (result.exit_code, scores) == (MODEL, None)
    assert "extra" in result.stderr
    out = desk.folder / "allowed.parquet"
    allowed = run(
        "score", str(file), "--model", str(desk.bundle), "--out", str(out), "--allow-undeclared"
    )
    assert allowed.exit_code == 0
    assert pd.read_parquet(out).equals(desk.expected)
    assert desk.check(file).exit_code == DATA


def test_a_repeated_column_name_is_refused(desk: Desk) -> None:
    """Two columns of one name leave nothing to choose by."""
    file = desk.write(body(desk).replace(b"hb,vegf", b"hb,hb", 1))
    result, scores = desk.score(file)
    assert (result.exit_code, scores) == (MODEL, None)
    assert desk.check(file).exit_code == DATA


def test_columns_in_another_order_score_the_same(desk: Desk) -> None:
    """Columns are found by name, so their order means nothing."""
    result, scores = desk.score(desk.write(desk.clean[desk.clean.columns[::-1]]))
    assert result.exit_code == 0
    assert scores is not None
    assert scores.equals(desk.expected)


def test_only_endpoints_absent_is_how_new_patients_come(desk: Desk) -> None:
    """Outcome columns, a centre and later measurements are not needed for a score."""
    bare = desk.clean.drop(columns=["months", "died", "best", "site", "later"])
    result, scores = desk.score(desk.write(bare))
    assert result.exit_code == 0
    assert scores is not None
    assert scores.equals(desk.expected)


# -- values ----------------------------------------------------------------------------------------


def every(change: Callable[[str], str], column: str) -> Harm:
    """Change a column in every row."""
    return lambda frame: frame.assign(**{column: frame[column].map(change)})


def some(value: str | Callable[[str], str], column: str, rows: tuple[int, ...] = (3, 17)) -> Harm:
    """Change a column in a few rows, 5% of the file."""

    def harm(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[column].tolist()
        for row in rows:
            values[row] = value(values[row]) if callable(value) else value
        return frame.assign(**{column: values})

    return harm


def times(factor: float) -> Callable[[str], str]:
    """Multiply a number written as text."""
    return lambda text: repr(float(text) * factor)


HARMS: dict[str, tuple[Harm, str, str]] = {
    "age x1000": (every(times(1000), "age"), "refused", "outside_allowed_range:age"),
    "hb x1000": (every(times(1000), "hb"), "refused", "suspected_unit_mixup:hb"),
    "hb x1000 in 5%": (some(times(1000), "hb"), "refused", "suspected_unit_mixup:hb"),
    "hb /1000": (every(times(0.001), "hb"), "refused", "suspected_unit_mixup:hb"),
    "hb /1000 in 5%": (some(times(0.001), "hb"), "refused", "suspected_unit_mixup:hb"),
    "vegf x1000": (every(times(1000), "vegf"), "refused", "suspected_unit_mixup:vegf"),
    "vegf /1000": (every(times(0.001), "vegf"), "refused", "suspected_unit_mixup:vegf"),
    "hb sign flip": (every(times(-1), "hb"), "warned", "outside_training_range:hb"),
    "age sign flip": (every(times(-1), "age"), "refused", "outside_allowed_range:age"),
    "age inf": (some("inf", "age"), "refused", "not_finite:age"),
    "age -Infinity": (some("-Infinity", "age"), "refused", "not_finite:age"),
    "hb inf": (some("inf", "hb"), "refused", "not_finite:hb"),
    "hb 1e308": (some("1e308", "hb"), "refused", "not_finite:hb"),
    "hb 1e400": (some("1e400", "hb"), "refused", "not_finite:hb"),
    "vegf 1e308": (some("1e308", "vegf"), "refused", "not_finite:vegf"),
    "age nan": (some("nan", "age"), "refused", "unparsable:age"),
    "hb <0.5 without limits": (some("<0.5", "hb"), "refused", "unparsable:hb"),
    "vegf <0.5 with limits": (some("<0.5", "vegf"), "warned", "below_detection:vegf"),
    "vegf <15": (some("<15", "vegf"), "warned", "below_detection:vegf"),
    "vegf >10000": (some(">10000", "vegf"), "warned", "above_detection:vegf"),
    "vegf <15000": (some("<15000", "vegf"), "refused", "unparsable:vegf"),
    "vegf <0": (some("<0", "vegf"), "refused", "unparsable:vegf"),
    "hb 1,234": (some("1,234", "hb"), "refused", "unparsable:hb"),
    "hb 130,5": (some("130,5", "hb"), "refused", "unparsable:hb"),
    "hb with a space": (some(lambda text: f" {text}", "hb"), "refused", "unparsable:hb"),
    "hb date": (some("12-May", "hb"), "refused", "unparsable:hb"),
    "hb #DIV/0!": (some("#DIV/0!", "hb"), "refused", "unparsable:hb"),
    "hb text": (every(lambda _: "high", "hb"), "refused", "unparsable:hb"),
    "hb empty": (some("", "hb"), "warned", "missing:hb"),
    "hb NA": (some("NA", "hb"), "warned", "missing:hb"),
    "hb all empty": (every(lambda _: "", "hb"), "warned", "missing:hb"),
    "sex unknown": (some("unknown", "sex"), "refused", "unseen_category:sex"),
    "sex declared, unseen": (some("other", "sex"), "refused", "unseen_category:sex"),
    "sex other case": (some("Female", "sex"), "refused", "unseen_category:sex"),
    "sex trailing space": (some("female ", "sex"), "refused", "unseen_category:sex"),
    "grade 4": (some("4", "grade"), "refused", "unseen_category:grade"),
    "arm unknown": (some("placebo", "arm"), "refused", "unseen_category:arm"),
    "arm empty": (some("", "arm"), "warned", "missing:arm"),
}


@pytest.mark.parametrize("name", HARMS)
def test_a_harmed_value_is_refused_or_warned_with_its_reason(desk: Desk, name: str) -> None:
    """Rows that were harmed carry the status and reason code; the others score as before."""
    harm, status, reason = HARMS[name]
    harmed = harm(desk.clean)
    changed = (harmed != desk.clean).any(axis=1)
    assert changed.any()
    result, scores = desk.score(desk.write(harmed))
    assert scores is not None, result.stderr
    assert result.exit_code == (PARTIAL if status == "refused" else 0)
    desk.assert_no_silent_score(scores, changed)
    assert (scores.loc[changed, "status"] == status).all()
    assert scores.loc[changed, "reason"].str.split(";").map(lambda codes: reason in codes).all()
    assert (scores.loc[~changed, "status"] == "ok").all()
    tally = json.loads(result.stdout)
    assert tally["status"][status] == int(changed.sum())
    assert tally["reasons"][reason] == int(changed.sum())


REFUSED_AT_CHECK = [
    name
    for name, (_, status, _) in HARMS.items()
    # Seen only against a model's training rows, or no fault in a cohort.
    if status == "refused"
    and name not in ("hb x1000", "hb /1000", "vegf /1000", "sex declared, unseen")
]


@pytest.mark.parametrize("name", REFUSED_AT_CHECK)
def test_check_names_the_same_values_as_faults(desk: Desk, name: str) -> None:
    """What scoring would refuse by declaration, check refuses too, each with its file line."""
    harm, _, reason = HARMS[name]
    harmed = harm(desk.clean)
    changed = np.flatnonzero((harmed != desk.clean).any(axis=1).to_numpy())
    result = run("check", str(desk.write(harmed)), "--study", str(desk.study), "--json")
    assert result.exit_code == DATA
    column = reason.split(":")[1]
    faults = [f for f in json.loads(result.stdout)["faults"] if f["column"] == column]
    assert {f["line"] for f in faults} >= {str(row + 2) for row in changed[:1]}
    assert all(f["allowed"] and f["what to do"] for f in faults)


def test_duplicate_ids_are_scored_with_a_warning_and_refused_at_check(desk: Desk) -> None:
    """Every occurrence is marked; the number is that of its own row."""
    harmed = some("00001", "pid", (5, 9))(desk.clean)
    desk.expected["pid"] = harmed["pid"]
    result, scores = desk.score(desk.write(harmed))
    assert result.exit_code == 0
    assert scores is not None
    twins = harmed["pid"] == "00001"
    desk.assert_no_silent_score(scores, twins)
    assert (scores.loc[twins, "reason"] == "duplicate_id:pid").all()
    assert scores["risk"].equals(desk.expected["risk"])
    checked = desk.check(desk.write(harmed))
    assert checked.exit_code == DATA
    assert "duplicate id" in checked.stderr


def test_all_censored_is_no_cohort_and_changes_no_score(desk: Desk) -> None:
    """Outcomes are not read at scoring; at check nothing could be estimated."""
    harmed = desk.clean.assign(died="0")
    checked = desk.check(desk.write(harmed))
    assert checked.exit_code == DATA
    assert "all censored" in checked.stderr
    _, scores = desk.score(desk.write(harmed))
    assert scores is not None
    assert scores.equals(desk.expected)


def test_one_arm_only_is_named_at_check_and_scored_row_by_row(desk: Desk) -> None:
    """A file of treated patients alone is no comparison; each still has a score of their own."""
    harmed = desk.clean.assign(arm="drug")
    checked = desk.check(desk.write(harmed))
    assert checked.exit_code == DATA
    assert "one arm only" in checked.stderr
    _, scores = desk.score(desk.write(harmed))
    assert scores is not None
    same = (desk.clean["arm"] == "drug").to_numpy()
    assert scores[same].equals(desk.expected[same])


@pytest.mark.parametrize("text", ["0", "-3", "nan", "2021-03-04", "inf", "12,5"])
def test_a_duration_that_is_no_time_is_a_fault(desk: Desk, text: str) -> None:
    """Zero, negative, dated or unreadable times are named by line, with what to do."""
    result = desk.check(desk.write(some(text, "months", (6,))(desk.clean)))
    assert result.exit_code == DATA
    assert "invalid duration" in result.stderr
    assert "8 " in result.stderr


# -- types -----------------------------------------------------------------------------------------


def typed(frame: pd.DataFrame) -> pa.Table:
    """The frame as a Parquet writer would type it."""
    numeric = ["age", "hb", "vegf", "months"]
    whole = ["grade", "later", "died"]
    return pa.Table.from_pandas(
        frame.astype({**dict.fromkeys(numeric, "float64"), **dict.fromkeys(whole, "int64")}),
        preserve_index=False,
    )


def test_typed_parquet_scores_as_text_does(desk: Desk) -> None:
    """Numbers stored as numbers, text, dictionaries or decimals are the same numbers."""
    table = typed(desk.clean)
    forms: list[tuple[str, pa.Array]] = [
        ("age", table["age"].cast(pa.string())),
        ("hb", table["hb"].cast(pa.decimal128(9, 2))),
        ("vegf", desk_array(desk, "vegf").dictionary_encode()),
        ("sex", desk_array(desk, "sex").dictionary_encode()),
        ("sex", desk_array(desk, "sex").cast(pa.large_string())),
        ("grade", table["grade"].cast(pa.float64())),
        ("grade", table["grade"].cast(pa.decimal128(21, 2))),
        ("grade", desk_array(desk, "grade").dictionary_encode()),
        ("pid", desk_array(desk, "pid").cast(pa.large_string())),
    ]
    tables = [table] + [
        table.set_column(table.column_names.index(name), name, values) for name, values in forms
    ]
    for form in tables:
        result, scores = desk.score(desk.write(form, "new.parquet"))
        assert result.exit_code == 0, result.stderr
        assert scores is not None
        assert scores.equals(desk.expected)
        checked = desk.check(desk.folder / "new.parquet")
        assert checked.exit_code == 0, checked.stderr


def desk_array(desk: Desk, name: str) -> pa.ChunkedArray:
    """One clean column as Arrow text."""
    return pa.Table.from_pandas(desk.clean, preserve_index=False)[name]


TYPE_CHANGES: dict[str, tuple[str, Callable[[int], pa.Array], str]] = {
    "timestamps for numbers": (
        "hb", lambda n: pa.array(np.arange(n), pa.timestamp("s")), "unparsable:hb",
    ),
    "booleans for numbers": ("hb", lambda n: pa.array([True] * n), "unparsable:hb"),
    "lists for numbers": ("hb", lambda n: pa.array([[1.0]] * n), "unparsable:hb"),
    "bytes for numbers": ("hb", lambda n: pa.array([b"1"] * n), "unparsable:hb"),
    "lists for levels": ("sex", lambda n: pa.array([["female"]] * n), "unseen_category:sex"),
    "numbers for levels": ("sex", lambda n: pa.array([1.5] * n), "unseen_category:sex"),
    "dates for levels": ("sex", lambda n: pa.array([1] * n, pa.date32()), "unseen_category:sex"),
    "nulls for numbers": ("hb", lambda n: pa.nulls(n), "missing:hb"),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPE_CHANGES)
def test_a_column_of_another_type_has_a_reason_in_every_row(desk: Desk, name: str) -> None:
    """A Parquet column that no longer holds what was declared refuses its rows, never crashes."""
    column, values, reason = TYPE_CHANGES[name]
    table = typed(desk.clean)
    changed = table.set_column(table.column_names.index(column), column, values(N_ROWS))
    file = desk.write(changed, "new.parquet")
    result, scores = desk.score(file)
    assert scores is not None, result.stderr
    desk.assert_no_silent_score(scores, np.ones(N_ROWS, bool))
    assert (scores["reason"] == reason).all()
    checked = run("check", str(file), "--study", str(desk.study), "--json")
    if reason.startswith("missing"):
        assert checked.exit_code == 0
    else:
        faults = json.loads(checked.stdout)["faults"]
        assert [fault["row"] for fault in faults] == [str(i + 1) for i in range(N_ROWS)]


# -- nobody's values on the screen -----------------------------------------------------------------


def test_no_value_of_the_file_is_shown_unless_asked_for(desk: Desk) -> None:
    """Secrets planted in every column stay out of stdout, stderr and JSON; --show-values shows."""
    frame = desk.clean.copy()
    secrets = {}
    for number, column in enumerate(frame.columns):
        secret = f"zq{number}sécret{number}4711"
        secrets[column] = secret
        frame.loc[[4, 5], column] = secret
    file = desk.write(frame)
    study = str(desk.study)
    longer = desk.write(body(desk) + b"zq0s,4711\n", "longer.csv")
    outputs = [
        run("check", str(file), "--study", study),
        run("check", str(file), "--study", study, "--json"),
        run("check", str(longer), "--study", study),
        desk.score(file)[0],
        desk.score(longer)[0],
    ]
    for result in outputs:
        text = result.stdout + result.stderr
        assert "zq" not in text
        assert "4711" not in text
    shown = run("check", str(file), "--study", study, "--show-values", "--json")
    assert shown.exit_code == DATA
    found = " ".join(fault["found"] for fault in json.loads(shown.stdout)["faults"])
    for column in ("age", "hb", "vegf", "sex", "grade", "arm", "months", "died", "best", "pid"):
        assert secrets[column] in found, column


def test_a_file_without_a_header_shows_none_of_its_first_patient(desk: Desk) -> None:
    """The first patient's values stand where names should; no message repeats them."""
    data = body(desk).split(b"\n", 1)[1]
    first = data.split(b"\n", 1)[0].decode().split(",")
    file = desk.write(data)
    for result in (desk.check(file), desk.score(file)[0]):
        assert result.exit_code in (DATA, MODEL)
        text = result.stdout + result.stderr
        assert not [value for value in first if "." in value and value in text]
        assert first[0] not in text
