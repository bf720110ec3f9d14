"""The ward study: a small declared study, patients drawn for it, and models trained on them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

# A property is about results; how long one case takes on a busy machine is none of its business.
settings.register_profile("untimed", deadline=None)
# In CI the same cases are drawn every time: a run says something about the change, not about luck.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable" if os.environ.get("CI") else "untimed")

WARD_STUDY = """
format_version = 1
name = "ward"
title = "A small randomised study"

[columns.pid]
role = "id"

[columns.arm]
role = "arm"
levels = ["control", "drug"]
control = "control"
randomised = true

[columns.age]
role = "covariate"
kind = "continuous"
unit = "years"
range = [18, 100]

[columns.hb]
role = "marker"
kind = "continuous"
unit = "g/L"

[columns.vegf]
role = "marker"
kind = "continuous"
unit = "pg/mL"
range = [0, 20000]
transform = "log1p"
detection = { lower = 15, upper = 10000 }

[columns.sex]
role = "covariate"
kind = "categorical"
levels = ["female", "male", "other"]
aliases = { F = "female" }

[columns.grade]
role = "covariate"
kind = "ordinal"
levels = ["1", "2", "3"]

[columns.site]
role = "centre"

[columns.later]
role = "post_baseline"

[columns.months]
role = "endpoint"

[columns.died]
role = "endpoint"

[columns.best]
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
column = "best"
positive = ["CR", "PR"]
negative = ["SD", "PD"]
not_evaluable = ["NE"]
"""


def ward_frame(n: int = 120, seed: int = 1) -> pd.DataFrame:
    """Patients of the ward study as text, the way a file holds them; nothing is missing."""
    rng = np.random.default_rng(seed)
    age, hb = rng.uniform(30, 85, n), rng.normal(130, 12, n)
    vegf, grade = rng.lognormal(5.5, 0.7, n), rng.integers(1, 4, n)
    risk = 0.03 * (age - 60) + 0.5 * (np.log(vegf) - 5.5) + 0.3 * (grade - 2)
    time, censored = rng.exponential(12.0 * np.exp(-risk)), rng.uniform(6.0, 40.0, n)
    response = rng.random(n) < 1.0 / (1.0 + np.exp(risk))
    return pd.DataFrame(
        {
            "pid": [f"{i:05d}" for i in range(1, n + 1)],
            "arm": rng.permutation(["control", "drug"] * n)[:n],
            "age": [f"{v:.1f}" for v in age],
            "hb": [f"{v:.2f}" for v in hb],
            "vegf": [f"{v:.2f}" for v in vegf],
            "sex": rng.choice(["female", "male"], n),
            "grade": grade.astype(str),
            "site": rng.choice(["A", "B"], n),
            "later": rng.integers(0, 9, n).astype(str),
            "months": [f"{max(t, 0.05):.3f}" for t in np.minimum(time, censored)],
            "died": (time <= censored).astype(int).astype(str),
            "best": np.where(response, "PR", "PD"),
        }
    )


def train_ward(
    folder: Path, model: str = "cox", study_text: str = WARD_STUDY, frame: Any = None
) -> Path:
    """A bundle folder of one zoo model fitted on ward patients; returns the folder."""
    from biomarker.cohort import Cohort
    from biomarker.features.encoding import plan_columns
    from biomarker.models.pipeline import PipelineBuilder
    from biomarker.models.zoo import model_choice
    from biomarker.study import Study
    from pipelines.bundle import save_bundle

    study = Study.from_toml(study_text)
    cohort = Cohort.from_frame(ward_frame() if frame is None else frame, study)
    choice = model_choice(model)
    outcome = cohort.outcomes["os" if choice.kind == "survival" else "response"]
    builder = PipelineBuilder(plan_columns(study, cohort.features), model)
    fitted = builder(choice.grid[-1] | _small(choice.grid[-1]), seed=0)
    fitted.fit(cohort.matrix()[outcome.included], outcome.y)
    description = {
        "name": f"ward-{outcome.name}",
        "endpoint": outcome.name,
        "kind": choice.kind,
        "model": model,
        "horizons": [6.0, 12.0] if choice.kind == "survival" else [],
        "unit": "months" if choice.kind == "survival" else None,
        "id_column": study.id_column,
    }
    save_bundle(folder, fitted, study.to_dict(), description)
    return folder


def _small(params: dict[str, Any]) -> dict[str, Any]:
    """Few trees, since these models are here to be stored, not to be good."""
    return {"n_estimators": 12, "max_depth": 2} if "n_estimators" in params else {}


@dataclass(frozen=True)
class Ward:
    """The ward study's text and the functions that draw, train and write it."""

    study_text: str
    frame: Callable[..., pd.DataFrame]
    train: Callable[..., Path]

    @staticmethod
    def csv(frame: pd.DataFrame) -> bytes:
        """The frame as the bytes of a CSV file."""
        return bytes(frame.to_csv(index=False, lineterminator="\n").encode())


@pytest.fixture(scope="session")
def ward() -> Ward:
    """The ward study and its helpers."""
    return Ward(WARD_STUDY, ward_frame, train_ward)


@pytest.fixture(scope="session")
def ward_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored Cox model of the ward study; read only."""
    return train_ward(tmp_path_factory.mktemp("ward") / "os-cox")
