import json
import shlex
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.cli import main

HEAVY = [
    *("numpy", "pandas", "pyarrow", "scipy", "sklearn", "matplotlib"),
    *("numba", "xgboost", "lifelines", "shap", "mlflow", "pydantic"),
]


@pytest.fixture
def run():
    """Call the command in this process."""
    runner = CliRunner()
    return lambda *words: runner.invoke(main, [str(word) for word in words])


def test_help_imports_nothing_heavy():
    """The first word comes before any numerical library is loaded."""
    script = (
        "import sys; sys.argv = ['biomarker', '--help']\n"
        "from pipelines.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("[]")


def test_scoring_imports_no_tracking_explaining_or_drawing(trained, cohort_folder, tmp_path):
    """An unattended scorer starts fast: mlflow, shap, matplotlib, lifelines and numba stay out."""
    result, _ = trained
    words = ["biomarker", "score", cohort_folder / "new.csv", "--model"]
    words += [result.bundles["os-boosted_cox"], "--out", tmp_path / "s.parquet"]
    script = (
        f"import sys; sys.argv = {[str(w) for w in words]!r}\n"
        "from pipelines.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "bad = [m for m in ('mlflow', 'shap', 'matplotlib', 'lifelines', 'numba') if m in "
        "sys.modules]\nassert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_check_prints_counts_and_the_next_command(run, cohort_folder):
    """Patients, arms, events by arm, missingness, hypotheses; then what to do next."""
    done = run("check", cohort_folder / "cohort.csv", "--study", cohort_folder / "small.toml")
    assert done.exit_code == 0, done.output
    for words in ("150 patients", "randomised", "responses", "by os", "prognostic", "later"):
        assert words in done.stdout
    assert "biomarker train" in done.stderr


def test_check_as_json(run, cohort_folder):
    """Machines read the same counts."""
    file, study = cohort_folder / "cohort.csv", cohort_folder / "small.toml"
    body = json.loads(run("check", file, "--study", study, "--json").stdout)
    assert body["n_patients"] == 150
    assert [e["name"] for e in body["endpoints"]] == ["os", "response"]


def test_faults_are_a_table_with_lines_and_exit_3(run, cohort_folder, tmp_path):
    """Values are masked unless asked for; --json carries every fault."""
    lines = (cohort_folder / "cohort.csv").read_text().splitlines()
    parts = lines[4].split(",")
    parts[2] = "12x45"
    lines[4] = ",".join(parts)
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(lines) + "\n")
    study = cohort_folder / "small.toml"
    done = run("check", bad, "--study", study)
    assert done.exit_code == 3
    assert "'99a99'" in done.stderr
    assert "12x45" not in done.output
    row = next(line for line in done.stderr.splitlines() if "vegf" in line)
    assert row.split()[0] == "5"
    assert "12x45" in run("check", bad, "--study", study, "--show-values").stderr
    body = json.loads(run("check", bad, "--study", study, "--json").stdout)
    assert body["exit_code"] == 3
    assert body["faults"][0]["column"] == "vegf"


def test_a_bad_study_is_a_usage_error(run, cohort_folder, tmp_path):
    """Exit 2, and every fault of the study at once."""
    study = tmp_path / "s.toml"
    study.write_text("format_version = 1\nname = 'x'\n[columns.a]\nrole='marker'\n[endpoints]\n")
    done = run("check", cohort_folder / "cohort.csv", "--study", study)
    assert done.exit_code == 2
    assert "columns.a" in done.stderr


def test_train_report_score_promote_and_inspect_in_a_row(run, cohort_folder, store, tmp_path):
    """The whole job from the command line; stdout holds results, stderr progress."""
    out, scores = tmp_path / "out", tmp_path / "scores.parquet"
    where = ["--store", store]
    done = run(
        "train", cohort_folder / "cohort.csv", "--study", cohort_folder / "small.toml",
        "--models", "cox", "--endpoint", "os", "--out", out, *where,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "uno concordance index" in done.stdout
    assert "tests of this dataset so far" in done.stdout
    assert "os: cox" in done.stderr
    assert "models:/small-os@candidate" in done.stderr
    assert run("promote", "small-os", *where).exit_code == 0
    done = run(
        "score", cohort_folder / "new.csv", "--model", "models:/small-os@champion",
        "--out", scores, "--drivers", "2", *where,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    table = pq.read_table(scores)
    assert table.column_names == [
        "pid", "risk", "survival_6_months", "survival_12_months",
        "driver_1", "driver_1_value", "driver_2", "driver_2_value", "status", "reason",
    ]  # fmt: skip
    assert table["pid"].to_pylist()[:2] == ["00001", "00002"]
    done = run("inspect", out / "bundles" / "os-cox")
    assert "gives risk (higher = worse) and survival at 6, 12 months" in done.stdout
    assert run("report", "small", "--out", tmp_path / "r.html", *where).exit_code == 0
    assert (tmp_path / "r.html").read_text("utf-8") == (out / "report.html").read_text("utf-8")


def test_evidence_prints_a_table_sentences_and_the_ledgers_size(run, cohort_folder, store):
    """Verdicts on stdout, progress and the next step on stderr; a repeat says it was one."""
    words = ["evidence", cohort_folder / "cohort.csv", "--study", cohort_folder / "small.toml"]
    done = run(*words, "--store", store)
    assert done.exit_code == 0, done.output
    head, _, *lines = done.stdout.splitlines()
    assert head.split()[:3] == ["marker", "endpoint", "verdict"]
    assert [line.split()[:2] for line in lines[:2]] == [["vegf", "os"], ["vegf", "response"]]
    assert "effect not established" in done.stdout
    assert "tests of this dataset so far" in done.stdout
    assert "assessing the evidence" in done.stderr
    assert "assessing" not in done.stdout
    assert "--out evidence" in done.stderr
    assert "of them made before" in run(*words, "--store", store).stdout


def test_evidence_as_json_is_nothing_but_json(run, cohort_folder, store):
    """Records with every field, the ledger's size and the dataset."""
    from biomarker.evidence.verdict import RECORD_FIELDS

    words = ["evidence", cohort_folder / "cohort.csv", "--study", cohort_folder / "small.toml"]
    body = json.loads(run(*words, "--json", "--seed", 3, "--store", store).stdout)
    assert [tuple(record) for record in body["records"]] == [RECORD_FIELDS] * 2
    assert body["ledger"]["tests_of_this_dataset"] == body["ledger"]["tests_of_this_run"] >= 4
    assert body["ledger"]["hypotheses"][0]["marker"] == "vegf"
    assert len(body["dataset"]) == 16
    assert body["seed"] == 3


def test_evidence_on_a_page(run, cohort_folder, store, tmp_path):
    """--out writes the page and the records, and says where they are."""
    done = run(
        "evidence", cohort_folder / "cohort.csv", "--study", cohort_folder / "small.toml",
        "--store", store, "--markers", "vegf", "--out", tmp_path / "ev",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "ev" / "evidence.html") in done.stdout
    page = (tmp_path / "ev" / "evidence.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "one verdict a marker" in page
    records = json.loads((tmp_path / "ev" / "evidence.json").read_text())["records"]
    assert len(records) == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--markers", "caix"], 2, "declared (vegf); got caix"),
        (["--alpha", "1.5"], 2, "alpha must lie between 0.0001 and 1"),
        (["--study", "nowhere.toml"], 2, "Draft one with: biomarker study --from"),
        (["--out", "cohort.csv"], 6, "must be writable"),
    ],
)
def test_evidence_errors_as_a_newcomer_meets_them(
    run, cohort_folder, store, monkeypatch, words, code, said
):
    """One line each, the documented exit code, and nothing counted."""
    monkeypatch.chdir(cohort_folder)
    done = run("evidence", "cohort.csv", "--study", "small.toml", "--store", store, *words)
    assert done.exit_code == code, done.output
    assert said in done.stderr
    assert done.stderr.count("Error: ") == 1
    assert not list(store.rglob("ledger.json"))


def test_a_damaged_ledger_stops_evidence_and_training_with_exit_6(run, cohort_folder, store):
    """Neither starts a new one."""
    words = [cohort_folder / "cohort.csv", "--study", cohort_folder / "small.toml"]
    words += ["--store", store]
    assert run("evidence", *words).exit_code == 0
    for file in store.rglob("ledger.json"):
        file.write_text("{}")
    for command in (
        ["evidence"],
        ["train", "--models", "cox", "--endpoint", "os", "--out", store.parent / "out"],
    ):
        done = run(*command, *words)
        assert done.exit_code == 6, done.output
        assert "The ledger of dataset" in done.stderr
        assert "cox" not in done.stderr


def test_refused_rows_give_exit_5_and_counts(run, trained, cohort_folder, tmp_path):
    """Some rows refused is its own exit code, with the reasons counted."""
    result, _ = trained
    lines = (cohort_folder / "new.csv").read_text().splitlines()
    lines[1] = lines[1].replace(lines[1].split(",")[3], "9", 1)
    parts = lines[2].split(",")
    parts[3] = "9"
    lines[2] = ",".join(parts)
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(lines[:1] + lines[2:]) + "\n")
    out = tmp_path / "s.csv"
    bundle = result.bundles["os-cox"]
    done = run("score", bad, "--model", bundle, "--out", out, "--json")
    assert done.exit_code == 5
    body = json.loads(done.stdout)
    assert body["status"]["refused"] == 1
    assert body["reasons"]["unseen_category:grade"] == 1


def test_a_missing_column_gives_exit_4_and_writes_nothing(run, trained, cohort_folder, tmp_path):
    """The schema is checked before anything is written."""
    result, _ = trained
    file = tmp_path / "short.csv"
    file.write_text("pid,arm,vegf\n1,drug,300\n")
    out = tmp_path / "s.parquet"
    done = run("score", file, "--model", result.bundles["os-cox"], "--out", out)
    assert done.exit_code == 4
    assert "missing: grade" in done.stderr
    assert not out.exists()


def test_a_missing_store_model_gives_exit_6(run, store, cohort_folder, tmp_path):
    """Tracking faults are storage faults to a script."""
    done = run(
        "score", cohort_folder / "new.csv", "--model", "models:/x@y", "--out", tmp_path / "s.csv",
        "--store", store,
    )  # fmt: skip
    assert done.exit_code == 6


def test_simulate_writes_a_cohort_its_study_and_the_truth(run, tmp_path):
    """The next command works on what was written."""
    out, truth = tmp_path / "c.csv", tmp_path / "t.parquet"
    done = run("simulate", "il2-rcc", "--patients", 80, "--out", out, "--truth", truth, "--json")
    assert done.exit_code == 0, done.output
    written = json.loads(done.stdout)
    assert run("check", out, "--study", written["study"]).exit_code == 0
    assert run("check", out, "--study", "il2").exit_code == 0
    assert pq.read_table(truth).num_rows == 80
    listing = run("simulate", "--list").stdout.splitlines()
    assert any(line.split()[0] == "il2-rcc" for line in listing)


def test_study_drafts_a_toml_that_check_accepts(run, cohort_folder, tmp_path):
    """A new TOML is all it takes for a file nobody planned for."""
    out = tmp_path / "drafted.toml"
    assert run("study", "--from", cohort_folder / "cohort.csv", "--out", out).exit_code == 0
    assert "CHECK" in out.read_text()
    done = run("check", cohort_folder / "cohort.csv", "--study", out)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("command", [None, *sorted(main.commands)])
def test_help_keeps_example_commands_on_lines_of_their_own(run, command):
    """An example can be copied from the help, and no escape is left in it."""
    said = run(*([command] if command else []), "--help").stdout
    assert "\\b" not in said
    examples = [line for line in said.splitlines() if line.lstrip().startswith("biomarker ")]
    if "Example" in said or "Start here" in said:
        assert examples
        assert all(line.startswith("    biomarker ") for line in examples)


def test_a_suggested_command_can_be_pasted_whatever_the_path(run, cohort_folder, tmp_path):
    """Blanks in a path are quoted in the next step."""
    out = tmp_path / "my study é.toml"
    done = run("study", "--from", cohort_folder / "cohort.csv", "--out", out)
    said = next(line for line in done.stderr.splitlines() if line.startswith("Next: "))
    assert shlex.split(said.removeprefix("Next: "))[-1] == str(out)


def test_a_place_that_cannot_be_written_is_told_before_any_fit(run, cohort_folder, store, tmp_path):
    """Neither folder nor store costs a training run to find out."""
    (tmp_path / "file").touch()
    words = ["train", cohort_folder / "cohort.csv", "--study", cohort_folder / "small.toml"]
    for places in (
        ["--out", tmp_path / "file", "--store", store],
        ["--out", tmp_path / "out", "--store", tmp_path / "file" / "runs"],
        ["--out", tmp_path / "out", "--store", "http://127.0.0.1:9"],
    ):
        done = run(*words, *places)
        assert done.exit_code == 6, done.output
        assert done.stderr.count("Error: ") == 1
        assert "cox" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_no_result_is_written_over_the_file_it_is_made_from(run, trained, cohort_folder, tmp_path):
    """The patients' file survives a slip of the hand, by whatever path it is named."""
    result, _ = trained
    new = tmp_path / "new.csv"
    new.write_bytes((cohort_folder / "new.csv").read_bytes())
    (tmp_path / "sub").mkdir()
    same = tmp_path / "sub" / ".." / "new.csv"
    scored = run("score", new, "--model", result.bundles["os-cox"], "--out", same)
    drafted = run("study", "--from", new, "--out", same)
    assert (scored.exit_code, drafted.exit_code) == (2, 2)
    assert "--out must be another file" in scored.stderr
    assert new.read_bytes() == (cohort_folder / "new.csv").read_bytes()
