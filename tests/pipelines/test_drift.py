"""Drift reports beside scores: the same from every way of scoring, and gone when out of date."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from biomarker.cohort import Cohort
from biomarker.errors import BundleError
from biomarker.features.encoding import plan_columns
from biomarker.models.pipeline import PipelineBuilder
from biomarker.study import Study
from pipelines.bundle import Bundle, bundle_digest, load_bundle, save_bundle
from pipelines.cli import main
from pipelines.drift import file_drift, training_support
from pipelines.drift_words import drift_lines
from pipelines.engine import LocalEngine
from pipelines.scoring import score
from pipelines.scoring_job import score_file

OLD_BUNDLE = Path(__file__).parents[1] / "data" / "bundle_format_1" / "bundle"


@pytest.fixture(scope="module")
def folder(ward: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that knows its 300 training rows."""
    study = Study.from_toml(ward.study_text)
    cohort = Cohort.from_frame(ward.frame(300), study)
    builder = PipelineBuilder(plan_columns(study, cohort.features), "cox")
    fitted = builder({"penalty": 1.0}, 0).fit(cohort.matrix(), cohort.outcomes["os"].y)
    told = {
        "name": "ward-os", "endpoint": "os", "kind": "survival", "model": "cox",
        "horizons": [6.0, 12.0], "unit": "months", "id_column": "pid",
    }  # fmt: skip
    place = tmp_path_factory.mktemp("drift") / "bundle"
    support = training_support(cohort, "os", fitted)
    digest = save_bundle(place, fitted, study.to_dict(), told, support)
    assert digest == bundle_digest(fitted, study.to_dict(), told, support)
    assert digest != bundle_digest(fitted, study.to_dict(), told)
    return place


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    """The same, loaded."""
    return load_bundle(folder)


@pytest.fixture(scope="module")
def frame(ward: Any) -> pd.DataFrame:
    """Five hundred patients of the same kind."""
    return ward.frame(500, seed=5).drop(columns=["months", "died", "best", "site", "later"])


@pytest.fixture(scope="module")
def shifted(frame: pd.DataFrame) -> pd.DataFrame:
    """VEGF two thirds higher, haemoglobin missing in one row of six."""
    moved = frame.assign(vegf=[f"{1.65 * float(v):.2f}" for v in frame["vegf"]])
    moved.loc[:83, "hb"] = "NA"
    return moved


def written(frame: pd.DataFrame, path: Path) -> Path:
    """The frame as a CSV file."""
    frame.to_csv(path, index=False)
    return path


def test_a_bundle_keeps_what_its_training_rows_looked_like(bundle: Bundle) -> None:
    """Counts of all 300, every column but the arm, read back from the verified file."""
    assert bundle.support is not None
    assert bundle.support.n_rows == 300
    assert [c.name for c in bundle.support.columns] == ["age", "hb", "vegf", "sex", "grade"]
    assert "below detection" in bundle.support.columns[2].cells


def test_a_bundle_without_support_scores_without_a_report(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    """One of an earlier release still loads and scores; it says nothing of drift."""
    old = load_bundle(OLD_BUNDLE)
    assert old.support is None
    patients = OLD_BUNDLE.parent / "patients.csv"
    done = score_file(patients, old, tmp_path / "out.csv")
    assert done.drift is None
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_a_damaged_support_is_refused(folder: Path, tmp_path: Path) -> None:
    """Altered, by its hash; consistent but wrong, by its meaning."""
    from hashlib import sha256

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    file = copy / "support.json"
    state = json.loads(file.read_text())
    state["columns"].pop()
    file.write_text(json.dumps(state))
    with pytest.raises(BundleError, match="SHA-256"):
        load_bundle(copy)
    files = sorted(p for p in copy.iterdir() if p.name != "SHA256SUMS")
    sums = "".join(f"{sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files)
    (copy / "SHA256SUMS").write_text(sums)
    with pytest.raises(BundleError, match="support"):
        load_bundle(copy)


def test_chunks_threads_and_memory_tell_the_same(
    shifted: pd.DataFrame, bundle: Bundle, tmp_path: Path
) -> None:
    """Counts add up: one chunk, many, on one thread or four, give the same two files."""
    source = written(shifted, tmp_path / "new.csv")
    reports = []
    for name, options in {
        "once": {},
        "one": {"chunk_rows": 70, "engine": LocalEngine(1)},
        "four": {"chunk_rows": 70, "engine": LocalEngine(4)},
        "uneven": {"chunk_rows": 333, "single_file": True},
    }.items():
        out = tmp_path / name / "out.parquet"
        done = score_file(source, bundle, out, **options)
        assert done.drift is not None
        kinds = ("json", "html")
        reports.append([(out.parent / f"out.parquet.drift.{k}").read_bytes() for k in kinds])
        assert {p.name for p in out.parent.iterdir()} == {
            "out.parquet", "out.parquet.drift.json", "out.parquet.drift.html",
        }  # fmt: skip
    assert reports[0] == reports[1] == reports[2] == reports[3]
    expected = file_drift(bundle, [score(source, bundle).support], 500)
    assert expected is not None
    assert expected.to_dict()["checks"] == json.loads(reports[0][0])["checks"]


def test_the_json_report_says_what_was_found(
    shifted: pd.DataFrame, bundle: Bundle, tmp_path: Path
) -> None:
    """Verdicts with their numbers, thresholds, and counts of every cell; no id, no row."""
    source = written(shifted, tmp_path / "new.csv")
    score_file(source, bundle, tmp_path / "out.csv")
    told = json.loads((tmp_path / "out.csv.drift.json").read_text())
    assert told["verdict"] == "major"
    assert (told["bundle"], told["n_rows"], told["n_training"]) == (bundle.digest, 500, 300)
    found = {(c["column"], c["what"]): c for c in told["checks"]}
    assert found["vegf", "psi"]["verdict"] == "major"
    assert found["hb", "missing"]["verdict"] in ("moderate", "major")
    assert found["hb", "missing"]["share"] == pytest.approx(84 / 500)
    assert found["age", "psi"]["verdict"] == "none"
    assert {c["column"] for c in told["checks"]} == {"age", "hb", "vegf", "sex", "grade", ""}
    assert told["thresholds"]["psi"] == [0.1, 0.25]
    for column in told["columns"]:
        assert len(column["cells"]) == len(column["training"]) == len(column["file"])
    assert next(c for c in told["columns"] if c["name"] == "vegf")["unit"] == "pg/mL"
    assert next(c for c in told["columns"] if c["name"] == "hb")["training_range"][0] < 110


def test_no_drift_is_said_of_the_same_kind_of_patients(
    frame: pd.DataFrame, bundle: Bundle, tmp_path: Path
) -> None:
    """And of a handful of them, whose shares differ by chance alone."""
    for n in (500, 12, 1):
        done = score_file(written(frame.iloc[:n], tmp_path / "new.csv"), bundle, tmp_path / "o.csv")
        assert done.drift is not None
        assert done.drift.verdict == "none"
        assert drift_lines(done.drift) == []


def test_a_report_never_outlives_its_scores(
    frame: pd.DataFrame, shifted: pd.DataFrame, bundle: Bundle, tmp_path: Path
) -> None:
    """Scored again without a report, or without rows, an output has none of the old one."""
    source, out = written(shifted, tmp_path / "new.csv"), tmp_path / "out.csv"
    report = tmp_path / "out.csv.drift.json"
    score_file(source, bundle, out)
    assert json.loads(report.read_text())["verdict"] == "major"
    score_file(written(frame, source), bundle, out, chunk_rows=100, single_file=True)
    assert json.loads(report.read_text())["verdict"] == "none"
    assert score_file(source, bundle, out, drift=False).drift is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.csv", "out.csv"]
    score_file(source, bundle, out)
    assert score_file(written(frame.iloc[:0], source), bundle, out).drift is None
    assert not report.exists()


def test_a_job_killed_after_its_commit_still_gets_its_report(
    shifted: pd.DataFrame, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger outlives the commit until the report is whole; taken up, it is written."""
    import pipelines.job_run as job

    source, out = written(shifted, tmp_path / "new.csv"), tmp_path / "out.parquet"

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "report_drift", killed)
    with pytest.raises(KeyboardInterrupt):
        score_file(source, bundle, out, chunk_rows=100)
    monkeypatch.undo()
    assert out.is_dir()
    done = score_file(source, bundle, out, chunk_rows=100)
    assert (done.chunks_done_before, done.rows) == (5, 500)
    assert done.drift is not None
    assert done.drift.verdict == "major"
    names = ["new.csv", "out.parquet", "out.parquet.drift.html", "out.parquet.drift.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_the_command_names_each_drifting_column(
    shifted: pd.DataFrame, folder: Path, tmp_path: Path
) -> None:
    """One line a check on stderr, with n and unit; the result as JSON has the verdict."""
    source = written(shifted, tmp_path / "new.csv")
    call = ["score", str(source), "--model", str(folder), "--out", str(tmp_path / "o.csv")]
    done = CliRunner().invoke(main, [*call, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["drift"] == "major"
    lines = done.stderr.splitlines()
    vegf = next(line for line in lines if "vegf" in line and "drift" in line)
    assert vegf.startswith("Major drift: vegf: distribution, population stability index")
    assert "n = 500 known values" in vegf
    hb = next(line for line in lines if "drift: hb" in line)
    assert "95% interval" in hb
    done = CliRunner().invoke(main, [*call, "--json", "--no-drift"])
    assert json.loads(done.stdout)["drift"] is None
    assert "drift" not in done.stderr
    assert not (tmp_path / "o.csv.drift.html").exists()


def test_refused_rows_have_no_distance_but_are_counted(
    frame: pd.DataFrame, bundle: Bundle, tmp_path: Path
) -> None:
    """A file of which no row can be scored is still compared, column by column."""
    source = written(frame.assign(sex="unknown"), tmp_path / "new.csv")
    done = score_file(source, bundle, tmp_path / "o.csv")
    assert done.drift is not None
    assert done.counts["refused"] == 500
    assert not [check for check in done.drift.checks if check.what == "distance"]
    assert [(c.column, c.what) for c in done.drift.drifting] == [("sex", "psi")]
