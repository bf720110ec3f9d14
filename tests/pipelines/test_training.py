import json

import numpy as np
import pandas as pd
import pytest

from biomarker.errors import NotEstimableError, UsageError
from biomarker.study import Study
from pipelines.training import train


def test_every_model_is_judged_registered_and_bundled(trained):
    """Each endpoint gets its models, one candidate, and a bundle a model."""
    result, _ = trained
    fitted = {(m.endpoint, m.name) for m in result.run.models}
    assert fitted == {("os", "cox"), ("os", "boosted_cox"), ("response", "logistic")}
    assert set(result.bundles) == {"os-cox", "os-boosted_cox", "response-logistic"}
    assert set(result.registered) == {"small-os", "small-response"}
    assert result.run.best["response"] == "logistic"
    for model in result.run.models:
        for estimate in model.nested.performance:
            assert estimate.n_patients == 150
            assert estimate.covers
            if estimate.low is not None:
                assert estimate.low <= estimate.value <= estimate.high


def test_post_baseline_columns_never_become_features(trained):
    """A column known only after treatment began is in no model."""
    result, _ = trained
    for model in result.run.models:
        assert "later" not in model.fitted.encoder_.sources
    assert result.run.summary.refused_as_features == ("later",)


def test_a_frame_and_its_file_give_the_same_models(cohort_folder, store, tmp_path):
    """Notebook and command line agree to the last bit, whatever the number of processes."""
    frame = pd.read_csv(cohort_folder / "cohort.csv", dtype=str, keep_default_na=False)
    study = Study.from_toml((cohort_folder / "small.toml").read_text())
    one = train(frame, study, models=["cox"], endpoints=["os"], out=tmp_path / "a", store=store)
    two = train(
        cohort_folder / "cohort.csv",
        cohort_folder / "small.toml",
        models=["cox"],
        endpoints=["os"],
        out=tmp_path / "b",
        store=store,
        jobs=2,
    )
    a, b = one.run.models[0], two.run.models[0]
    np.testing.assert_array_equal(a.nested.risk, b.nested.risk)
    np.testing.assert_array_equal(a.fitted.model.coef_, b.fitted.model.coef_)
    assert one.run.summary.dataset_digest == two.run.summary.dataset_digest
    assert [p.value for p in a.nested.performance] == [p.value for p in b.nested.performance]


def test_results_are_json_without_patient_values(trained, cohort_folder):
    """What --json prints holds no id and no NaN."""
    result, _ = trained
    text = json.dumps(result.to_dict(), allow_nan=False)
    ids = pd.read_csv(cohort_folder / "cohort.csv", dtype=str)["pid"]
    assert not any(f'"{pid}"' in text for pid in ids)


def test_unknown_models_and_endpoints_are_named(cohort_folder, tmp_path):
    """A typo stops before anything is fitted."""
    file, study = cohort_folder / "cohort.csv", cohort_folder / "small.toml"
    with pytest.raises(UsageError, match="models must be among.*got coks"):
        train(file, study, models=["coks"], out=tmp_path)
    with pytest.raises(UsageError, match="endpoint must be one the file holds"):
        train(file, study, endpoints=["pfs"], out=tmp_path)
    with pytest.raises(UsageError, match="survival endpoint 'os'"):
        train(file, study, models=["logistic"], out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_too_few_events_to_validate_is_said(cohort_folder, store, tmp_path):
    """Three events cannot be split; the error says how many there are."""
    frame = pd.read_csv(cohort_folder / "cohort.csv", dtype=str, keep_default_na=False)
    frame["died"] = "0"
    frame.loc[:2, "died"] = "1"
    with pytest.raises(NotEstimableError, match="at least 4 events.*got 3"):
        train(frame, cohort_folder / "small.toml", endpoints=["os"], out=tmp_path, store=store)


def test_a_declared_horizon_beyond_support_is_left_out_with_a_note(cohort_folder, store, tmp_path):
    """The report says which horizon the data cannot carry."""
    text = (cohort_folder / "small.toml").read_text().replace("[6, 12]", "[6, 500]")
    result = train(
        cohort_folder / "cohort.csv",
        Study.from_toml(text),
        models=["cox"],
        endpoints=["os"],
        out=tmp_path,
        store=store,
    )
    plan = result.run.time_plans["os"]
    assert plan.horizons == (6.0,)
    assert "500 months" in plan.notes[0]
    assert plan.notes[0] in result.run.limits


def test_every_bundle_knows_its_training_rows(trained):
    """Rows with the endpoint are counted, and the patients' own file shows no drift from them."""
    from pipelines.bundle import load_bundle
    from pipelines.drift import file_drift
    from pipelines.scoring import score

    result, _ = trained
    for folder in result.bundles.values():
        bundle = load_bundle(folder)
        endpoint = result.run.cohort.outcomes[bundle.description["endpoint"]]
        assert bundle.support.n_rows == int(endpoint.included.sum())
        names = {column.name for column in bundle.support.columns}
        assert names == {column.name for column in bundle.encoder.columns} - {"arm"}
    frame = pd.DataFrame(
        {"pid": ["1", "2"], "arm": "drug", "vegf": ["400", "500"], "grade": ["1", "2"]}
    )
    assert file_drift(bundle, [score(frame, bundle).support], 2).verdict == "none"


def test_benefit_needs_a_claim_and_a_model_that_can_hold_it(trained):
    """Only a claimed effect on the same endpoint, and trees deep enough for a product, allow it."""
    from dataclasses import replace
    from types import SimpleNamespace

    from pipelines.bundle_description import describe_bundle

    run = trained[0].run
    models = {(m.endpoint, m.name): m for m in run.models}
    assert all(describe_bundle(run, model)["benefit"] is None for model in run.models)

    def with_claim(endpoint, claimed):
        verdict = SimpleNamespace(endpoint=endpoint, marker="vegf", claimed=claimed)
        return replace(run, evidence=SimpleNamespace(verdicts=(verdict,)))

    def deep(depth):
        return replace(models["os", "boosted_cox"], params={"max_depth": depth})

    told = describe_bundle(with_claim("os", True), deep(2))
    assert told["benefit"] == {"arm": "arm", "markers": ["vegf"]}
    assert describe_bundle(with_claim("os", False), deep(2))["benefit"] is None
    assert describe_bundle(with_claim("pfs", True), deep(2))["benefit"] is None
    assert describe_bundle(with_claim("os", True), deep(1))["benefit"] is None
    assert describe_bundle(with_claim("os", True), models["os", "cox"])["benefit"] is None
    logistic = models["response", "logistic"]
    assert describe_bundle(with_claim("response", True), logistic)["benefit"] is None
