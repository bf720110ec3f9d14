"""A small study, a cohort drawn for it, and one finished training run that several tests read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

STUDY = """
format_version = 1
name = "small"
title = "A small randomised study"
[columns.pid]
role = "id"
[columns.arm]
role = "arm"
levels = ["control", "drug"]
control = "control"
randomised = true
[columns.vegf]
role = "marker"
kind = "continuous"
unit = "pg/mL"
range = [1, 100000]
transform = "log"
[columns.grade]
role = "covariate"
kind = "ordinal"
levels = ["1", "2", "3"]
[columns.later]
role = "post_baseline"
[columns.months]
role = "endpoint"
[columns.died]
role = "endpoint"
[columns.response]
role = "endpoint"
[endpoints.os]
type = "survival"
duration = "months"
event = "died"
event_values = ["1"]
censored_values = ["0"]
unit = "months"
horizons = [6, 12]
[endpoints.response]
type = "response"
column = "response"
positive = ["CR", "PR"]
negative = ["SD", "PD"]
[[hypotheses]]
marker = "vegf"
endpoint = "os"
claim = "prognostic"
[training]
folds = 2
repeats = 1
inner_folds = 2
jobs = 1
refits = 25
"""


def draw_cohort(n: int = 150, seed: int = 1) -> pd.DataFrame:
    """Text columns as a file holds them; vegf worsens survival, ids keep leading zeros."""
    rng = np.random.default_rng(seed)
    vegf = rng.lognormal(6.0, 0.8, n)
    grade = rng.integers(1, 4, n)
    risk = 0.9 * (np.log(vegf) - 6.0) + 0.3 * (grade - 2)
    time = rng.exponential(12.0 * np.exp(-risk))
    censored = rng.uniform(4.0, 40.0, n)
    response = rng.random(n) < 1.0 / (1.0 + np.exp(risk + 0.4))
    return pd.DataFrame(
        {
            "pid": [f"{i:05d}" for i in range(1, n + 1)],
            "arm": rng.permutation(["control", "drug"] * n)[:n],
            "vegf": [f"{v:.1f}" if rng.random() > 0.05 else "NA" for v in vegf],
            "grade": grade.astype(str),
            "later": rng.integers(0, 9, n).astype(str),
            "months": [f"{max(t, 0.05):.3f}" for t in np.minimum(time, censored)],
            "died": (time <= censored).astype(int).astype(str),
            "response": np.where(response, "PR", "PD"),
        }
    )


@pytest.fixture(scope="session")
def study_text() -> str:
    """TOML of the small study."""
    return STUDY


@pytest.fixture(scope="session")
def cohort_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``cohort.csv``, ``new.csv`` and ``small.toml``."""
    folder = tmp_path_factory.mktemp("cohort")
    draw_cohort().to_csv(folder / "cohort.csv", index=False)
    draw_cohort(40, seed=2).to_csv(folder / "new.csv", index=False)
    (folder / "small.toml").write_text(STUDY)
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking store made once; copies of it save three seconds of migrations a test."""
    from pipelines.tracking_store import open_store

    folder = tmp_path_factory.mktemp("store") / "runs"
    open_store(folder)
    return folder


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    """A fresh tracking store."""
    return Path(shutil.copytree(empty_store, tmp_path / "runs"))


@pytest.fixture(scope="session")
def trained(cohort_folder: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory):
    """A finished run of two models, and the store it was tracked in."""
    from pipelines.training import train

    work = tmp_path_factory.mktemp("trained")
    store = Path(shutil.copytree(empty_store, work / "runs"))
    result = train(
        cohort_folder / "cohort.csv",
        cohort_folder / "small.toml",
        models=["cox", "boosted_cox", "logistic"],
        out=work / "out",
        store=store,
    )
    return result, store
