"""A new TOML is all it takes to run a data set nobody planned for."""

from importlib import resources

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.cli import main


@pytest.mark.parametrize(
    ("name", "rows", "events", "marker"),
    [("lung", 228, 165, "ph.ecog"), ("rossi", 432, 114, "prio")],
)
def test_a_drafted_study_trains_and_scores(name, rows, events, marker, tmp_path):
    """Lifelines' lung (with missing values) and rossi: draft, check, train, score, no code."""
    data = tmp_path / f"{name}.csv"
    data.write_bytes(resources.files("lifelines").joinpath("datasets", f"{name}.csv").read_bytes())
    study, out, scores = tmp_path / "s.toml", tmp_path / "out", tmp_path / "scores.parquet"

    def run(*words):
        done = CliRunner().invoke(main, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        return done.stdout

    run("study", "--from", data, "--out", study)
    checked = run("check", data, "--study", study)
    assert f"{rows} patients" in checked
    assert str(events) in checked
    assert marker in checked
    train = ["--models", "cox", "--folds", 3, "--repeats", 1, "--jobs", 1]
    run("train", data, "--study", study, "--out", out, "--store", tmp_path / "runs", *train)
    run("score", data, "--model", out / "bundles" / "survival-cox", "--out", scores)
    table = pq.read_table(scores)
    assert table.num_rows == rows
    assert set(table["status"].to_pylist()) <= {"ok", "warned"}
    if name == "lung":
        assert any("missing:" in reason for reason in table["reason"].to_pylist())
