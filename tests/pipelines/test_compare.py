"""Runs that differ in one thing, trained, stored, and compared by the command line."""

import json
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from biomarker.errors import TrackingError, UsageError
from biomarker.study import Study
from pipelines.cli import main
from pipelines.compare import compare, compare_runs
from pipelines.report.comparison import render_comparison
from pipelines.tracking_runs import load_run, stored_report
from pipelines.training import train
from tests.pipelines.compared import performance, stored
from tests.pipelines.conftest import STUDY, draw_cohort

WITHOUT = STUDY[: STUDY.index("[columns.vegf]")] + STUDY[STUDY.index("[columns.grade]") :]
WITHOUT = WITHOUT[: WITHOUT.index("[[hypotheses]]")] + WITHOUT[WITHOUT.index("[training]") :]


@pytest.fixture(scope="module")
def runs(empty_store, tmp_path_factory):
    """A store of four runs: base, other seed, without the strong marker, the base again."""
    work = tmp_path_factory.mktemp("compared")
    store = shutil.copytree(empty_store, work / "runs")
    frame = draw_cohort(260)
    made = {}
    for name, study, table, seed in (
        ("base", STUDY, frame, 0),
        ("seed", STUDY, frame, 5),
        ("without", WITHOUT, frame.drop(columns="vegf"), 0),
        ("again", STUDY, frame, 0),
    ):
        done = train(
            table,
            Study.from_toml(study),
            models=["cox"],
            endpoints=["os"],
            folds=3,
            repeats=2,
            seed=seed,
            refits=0,
            evidence=False,
            out=work / name,
            store=store,
            run_name=name,
        )
        made[name] = done.run_id
    return store, made


def judged(found, section="performance"):
    """What was compared, to its judgement."""
    return {row.what.split(": ")[1].split(",")[0]: row for row in found.section(section)}


def test_another_seed_alone_is_noise(runs):
    """Same patients, other splits: no number exceeds it, and none is called unchanged."""
    store, made = runs
    found = compare(made["base"], made["seed"], store)
    assert found.count("exceeds") == 0
    assert found.count("within") > 10
    assert next(row.what for row in found.section("settings")) == "seed"
    assert found.section("data") == ()
    assert "both runs judged the same patients" in found.opening[0]
    row = judged(found)["Uno’s concordance index"]
    assert row.basis == "paired: same patients, other splits"
    assert row.low < 0 < row.high


def test_a_strong_marker_left_out_exceeds_noise(runs):
    """Paired over the same splits, though the file and the study are others."""
    store, made = runs
    found = compare(made["base"], made["without"], store)
    row = judged(found)["Harrell’s concordance index"]
    assert row.judgement == "exceeds"
    assert row.difference < 0
    assert row.high < 0
    assert row.p_adjusted >= row.p_value
    bases = {r.basis for r in found.rows}
    assert "paired: same patients, same splits" in bases
    assert any(r.what == "Column vegf" for r in found.section("data"))
    assert any(r.what == "Column vegf" for r in found.section("study"))
    assert found.headline().endswith("resampling noise.")


def test_the_same_run_made_again_has_the_same_numbers(runs):
    """Nothing differs, and what is equal is not tested."""
    store, made = runs
    found = compare(made["base"], made["again"], store)
    assert {row.judgement for row in found.section("performance")} == {"same_number"}
    assert found.section("attribution") == ()
    assert found.headline().startswith("No estimate that can be judged differs")


def test_runs_are_found_by_id_study_and_place(runs):
    """The latest, the one before it, a model's own run; the rest is refused with what there is."""
    store, made = runs
    assert load_run("small", store).run_id == made["again"]
    assert load_run("small~1", store).run_id == made["without"]
    assert load_run(made["base"][:32], store).models[0].name == "cox"
    assert stored_report("small~3", store).startswith("<!doctype html>")
    with pytest.raises(TrackingError, match="must have 10 finished training"):
        load_run("small~9", store)
    with pytest.raises(TrackingError, match="must hold a finished run 'ghost'.*Name a study"):
        load_run("ghost", store)
    with pytest.raises(UsageError, match="must differ; both are"):
        compare("small", made["again"], store)


def test_the_command_prints_writes_and_says_as_json(runs, tmp_path):
    """Text, page and JSON from one command; codes 0, 2 and 6."""
    store, made = runs
    page = tmp_path / "changes.html"
    words = ["report", "--compare", made["base"], made["without"], "--store", str(store)]
    shown = CliRunner().invoke(main, [*words, "--out", str(page)])
    assert shown.exit_code == 0, shown.output
    assert "exceeds resampling noise" in shown.stdout
    assert "no more than resampling noise" in shown.stdout
    assert "default-src 'none'" in page.read_text("utf-8")
    body = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert body["runs"]["b"]["run_id"] == made["without"]
    assert {row["judgement"] for row in body["rows"]} >= {"exceeds", "within", "fact"}
    assert not any(f'"{i:05d}"' in json.dumps(body) for i in range(1, 261))
    for wrong, code in ((words[:3], 2), ([*words[:3], "ghost", *words[4:]], 6), (["report"], 2)):
        assert CliRunner().invoke(main, wrong).exit_code == code


def test_nothing_of_a_patient_is_kept(runs):
    """What is stored of the resampling is of ten patients or more, by number alone."""
    store, made = runs
    record = load_run(made["base"], store).models[0].files["resampling.json"]
    assert record["n_parts"] == 26
    assert all(len(row["by_patients"]) == 26 for row in record["metrics"])
    assert all(len(row["by_repeat"]) == 2 for row in record["metrics"])
    assert set(record) == {"format", "patients", "splits", "n_parts", "n_train_share", "metrics"}


def uno(value, horizon=24.0, metric="uno_concordance_index"):
    """One row of a performance table."""
    return ("os", "cox", metric, horizon, value, value - 0.04, value + 0.04, 200)


def test_other_studies_are_allowed_and_said_first():
    """Runs of an earlier release without resampling.json are bounded from their intervals."""
    a = stored(performance=performance(uno(0.7)))
    b = stored("b" * 32, "other", performance=performance(uno(0.5)))
    found = compare_runs(a, b)
    assert "different studies: small and other" in found.opening[0]
    assert "earlier release" in found.opening[1]
    assert found.rows[-1].judgement == "exceeds"
    assert found.rows[-1].basis.startswith("from the two intervals")


def test_a_limit_from_the_data_is_told_and_a_declared_time_is_not_mixed():
    """Concordance up to 24 and to 22 is compared with a word; AUC at 6 and at 12 never."""
    auc = "time_dependent_auc"
    a = stored(performance=performance(uno(0.7), uno(0.7, 6.0, auc)))
    b = stored("b" * 32, performance=performance(uno(0.71, 22.0), uno(0.7, 12.0, auc)))
    first, *rest = compare_runs(a, b).section("performance")
    assert "time limits differ" in first.basis
    assert [row.judgement for row in rest] == ["not_judged", "not_judged"]


def test_a_model_in_one_run_and_a_metric_without_interval_are_said():
    """Neither is judged, neither is silent."""
    a = stored(models=("cox", "weibull_aft"), performance=performance(
        ("os", "cox", "ici", 12.0, 0.03, None, None, 200)))  # fmt: skip
    b = stored("b" * 32, performance=performance(("os", "cox", "ici", 12.0, 0.04, None, None, 200)))
    found = compare_runs(a, b)
    assert found.section("calibration")[0].judgement == "not_judged"
    assert found.section("performance")[0].after == "not fitted"


def test_names_from_a_study_run_nothing_in_the_page():
    """Every name is text."""
    hostile = "<script>alert(1)</script>"
    a = stored(of=hostile, performance=performance(uno(0.7)))
    page = render_comparison(compare_runs(replace(a, name=hostile), stored("b" * 32, hostile)))
    assert hostile not in page
    assert "&lt;script&gt;" in page
