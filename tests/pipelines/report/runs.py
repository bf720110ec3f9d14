"""A small synthetic run for the report's tests: two endpoints, two arms, missing values."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from biomarker import Cohort, Study
from biomarker.evidence import assess
from biomarker.explain.attribution import attribute
from biomarker.features.encoding import plan_columns
from biomarker.models.pipeline import EncodedModel
from biomarker.models.zoo import model_choice
from biomarker.resampling import joint_strata, spawn
from biomarker.validation.nested import nested_cross_validation
from pipelines.evidence import with_looks
from pipelines.evidence_results import Evidence
from pipelines.results import ModelRun, StudyRun, TimePlan
from pipelines.summary import summarise

HORIZON = 12.0
GRID = {
    "cox": {"penalty": 3.0},
    "boosted_cox": {"n_estimators": 20, "max_depth": 2},
    "logistic": {"penalty": 3.0},
    "boosted_response": {"n_estimators": 20, "max_depth": 2},
}


def study(**names: str) -> Study:
    """A study whose names a test may replace: title, marker, level, label, endpoint."""
    said = {
        "title": "A small synthetic trial",
        "marker": "vegf",
        "label": "VEGF, serum",
        "level": "papillary",
        "endpoint": "Overall survival",
        "unit": "pg/mL",
        **names,
    }
    q = json.dumps
    return Study.from_toml(
        f"""
format_version = 1
name = "small"
title = {q(said["title"])}

[columns.pid]
role = "id"
[columns.arm]
role = "arm"
label = "Treatment"
levels = ["placebo", "active"]
control = "placebo"
randomised = true
[columns.{q(said["marker"])}]
role = "marker"
kind = "continuous"
label = {q(said["label"])}
unit = {q(said["unit"])}
range = [0.1, 100000]
transform = "log"
[columns.histology]
role = "covariate"
kind = "categorical"
label = "Histology"
levels = ["clear", {q(said["level"])}, "other"]
[columns.age]
role = "covariate"
kind = "continuous"
unit = "years"
[columns.t]
role = "endpoint"
[columns.d]
role = "endpoint"
[columns.best]
role = "endpoint"

[endpoints.os]
type = "survival"
label = {q(said["endpoint"])}
duration = "t"
event = "d"
event_values = ["1"]
censored_values = ["0"]
unit = "months"
horizons = [{HORIZON}]
primary = true
[endpoints.response]
type = "response"
label = "Objective response"
column = "best"
positive = ["CR", "PR"]
negative = ["SD", "PD"]
not_evaluable = ["NE"]

[[hypotheses]]
marker = {q(said["marker"])}
endpoint = "os"
claim = "predictive"
direction = "higher_is_worse"
"""
    )


def frame(n: int, strength: float, marker: str, level: str) -> pd.DataFrame:
    """A cohort file as text; ids are unlike any other text of the report."""
    rng = np.random.default_rng(20)
    vegf = np.exp(rng.normal(5.5, 0.8, n))
    histology = rng.integers(0, 3, n)
    arm = rng.integers(0, 2, n)
    margin = strength * ((np.log(vegf) - 5.5) + 0.8 * (histology == 1)) - 0.3 * arm
    event_time = rng.exponential(14 * np.exp(-margin))
    censored = rng.uniform(6, 40, n)
    responds = rng.random(n) < 1 / (1 + np.exp(0.6 + 1.5 * margin))
    text = pd.DataFrame(
        {
            "pid": [f"ID-{7919 * (i + 1) % 100003:05d}-X" for i in range(n)],
            "arm": np.where(arm == 1, "active", "placebo"),
            marker: [f"{v:.3f}" for v in vegf],
            "histology": np.array(["clear", level, "other"], dtype=object)[histology],
            "age": [f"{v:.1f}" for v in rng.normal(61.37, 9.0, n)],
            "t": [f"{max(v, 0.05):.3f}" for v in np.minimum(event_time, censored)],
            "d": np.where(event_time <= censored, "1", "0"),
            "best": np.where(responds, np.where(rng.random(n) < 0.3, "CR", "PR"),
                             np.where(rng.random(n) < 0.5, "SD", "PD")),
        }
    )  # fmt: skip
    text.loc[rng.random(n) < 0.12, marker] = ""
    text.loc[[3, 40], "best"] = "NE"
    text.loc[[5], "d"] = ""
    return text


def build_run(n: int = 120, strength: float = 0.9, **names: str) -> StudyRun:
    """A whole run with a linear and a boosted model on each endpoint."""
    spec = study(**names)
    marker = next(name for name, column in spec.columns.items() if column.role == "marker")
    level = spec.columns["histology"].levels[1]
    cohort = Cohort.from_frame(frame(n, strength, marker, level), spec)
    models = [
        model_run(cohort, endpoint, name)
        for endpoint, names_ in (
            ("os", ("cox", "boosted_cox")),
            ("response", ("logistic", "boosted_response")),
        )
        for name in names_
    ]
    y = cohort.outcomes["os"].y
    nested = models[0].nested
    return StudyRun(
        cohort=cohort,
        summary=summarise(cohort),
        settings={
            "models": {"value": (), "from": "default"},
            "folds": {"value": 3, "from": "flag"},
            "repeats": {"value": 1, "from": "study"},
            "inner_folds": {"value": 2, "from": "default"},
            "seed": {"value": 0, "from": "default"},
            "jobs": {"value": 1, "from": "environment"},
        },
        time_plans={
            "os": TimePlan(nested.times, (HORIZON,), float(nested.tau or 0.0), "months",
                           ("The declared horizon of 60 months lies beyond the follow-up.",))
        },
        models=tuple(models),
        best={"os": "cox", "response": "logistic"},
        limits=(
            f"{int(y['event'].sum())} events carry few parameters: read every number as "
            "exploratory.",
            "One cohort only: nothing here was checked on patients from elsewhere.",
        ),
        software={"biomarker-response": "0.1.0", "numpy": "2.0.0"},
        started="2026-11-22 12:00 UTC",
        source_name="cohort.csv",
    )  # fmt: skip


small_run = functools.cache(build_run)


def model_run(cohort: Cohort, endpoint: str, name: str) -> ModelRun:
    """One model judged in three folds, refitted and explained."""
    outcome, choice = cohort.outcomes[endpoint], model_choice(name)
    plans = plan_columns(cohort.study, cohort.features)
    X = cohort.matrix()[outcome.included]
    params = GRID[name]

    def build(settings: Any, seed: int) -> EncodedModel:
        return EncodedModel(plans, choice.build(settings, seed))

    treated = cohort.treated
    assert treated is not None
    nested = nested_cross_validation(
        build,
        [params],
        X,
        outcome.y,
        kind=choice.kind,
        horizons=(HORIZON,) if choice.kind == "survival" else (),
        n_splits=3,
        n_repeats=1,
        strata=joint_strata(outcome.event, treated[outcome.included]),
    )
    fitted = build(params, 0).fit(X, outcome.y)
    found = attribute(fitted, X, n_bootstrap=100, rng=spawn(0, "attribution", endpoint, name))
    return ModelRun(name, endpoint, choice.kind, params, fitted, nested, found, 1.0)


@functools.cache
def assessed_run(n: int = 120, **names: str) -> StudyRun:
    """The small run with the evidence on its marker, as a training run would carry it."""
    run = small_run(n, **names)
    return replace(run, evidence=assessed(run.cohort))


def assessed(cohort: Cohort, alpha: float = 0.05) -> Evidence:
    """An assessment as the store would have counted it, had this been the dataset's first."""
    result = assess(cohort, alpha=alpha)
    n_tests = len(result.ledger.tests(result.dataset))
    return with_looks(Evidence(cohort, result, alpha, 0, n_tests, n_tests, n_tests))
