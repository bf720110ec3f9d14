import json

import pytest

from pipelines.run_note import _plain, dataset_card
from pipelines.tracking_store import open_store


@pytest.fixture(scope="module")
def parent(trained):
    """The study's run, and the training that made it."""
    result, store = trained
    return open_store(store).get_run(result.run_id), result, open_store(store)


def test_the_description_carries_design_counts_headline_and_verdicts(parent):
    """Every number with interval and n; no claim beyond the verdicts."""
    run, result, _ = parent
    note = run.data.tags["mlflow.note.content"]
    assert "randomised, 150 patients" in note
    best = result.run.best["os"]
    model = next(m for m in result.run.models if (m.endpoint, m.name) == ("os", best))
    found = model.nested.estimate("uno_concordance_index")
    assert f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})" in note
    for verdict in result.run.evidence.verdicts:
        assert f"{verdict.marker}, {verdict.endpoint}: " in note
    claimed = any(v.claimed for v in result.run.evidence.verdicts)
    assert claimed or "predictive" not in note


def test_a_reviewer_finds_tags_data_and_tables(parent):
    """Best model and verdicts as tags; the dataset by digest; tables MLflow shows as tables."""
    run, result, client = parent
    assert run.data.tags["best_model.os"] == result.run.best["os"]
    assert "evidence.os.vegf" in run.data.tags
    (given,) = run.inputs.dataset_inputs
    assert result.run.summary.dataset_digest.startswith(given.dataset.digest)
    assert json.loads(given.dataset.profile)["num_rows"] == 150
    listed = json.loads(run.data.tags["mlflow.loggedArtifacts"])
    paths = {item.path for item in client.list_artifacts(run.info.run_id, "tables")}
    assert {item["path"] for item in listed} == paths
    figures = client.list_artifacts(run.info.run_id, "figures")
    assert figures
    assert all(item.path.endswith(".svg") for item in figures)
    experiment = client.get_experiment_by_name("small")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_tables_of_two_runs_meet_by_their_first_column(parent):
    """A name per row that does not depend on limits that the data set."""
    run, _, _ = parent
    import mlflow.artifacts

    table = json.loads(
        mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/tables/performance.json")
    )
    names = [row[0] for row in table["data"]]
    assert table["columns"][0] == "name"
    assert len(set(names)) == len(names)
    assert {"os.cox.uno_concordance_index", "os.cox.brier_score_6"} <= set(names)


def test_models_carry_a_made_up_example_that_scores(trained):
    """MLflow's serving example: nobody's values, and accepted by the model itself."""
    _, store = trained
    open_store(store)
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model("models:/small-os@candidate")
    example = model.input_example
    assert example["pid"].tolist() == ["example"]
    scored = model.predict(example)
    assert scored["status"].tolist() != ["refused"]
    assert scored["risk"].notna().all()


def test_names_are_text_in_markdown_and_the_card_holds_no_values(trained):
    """A study's title cannot link, embed or break the table."""
    assert _plain("a | b\n[x](http://y) <img>") == r"a \| b \[x\]\(http://y\) \<img\>"
    result, _ = trained
    card = dataset_card(result.run.summary, "cohort.csv")
    assert set(card) == {"name", "digest", "columns", "profile"}
    assert ("vegf", "double") in card["columns"]
