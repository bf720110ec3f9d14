"""Small trials with a planted truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort, Study


def small_study(**changes: Any) -> dict[str, Any]:
    """A randomised study of two markers with one survival and one response endpoint."""
    study: dict[str, Any] = {
        "format_version": 1,
        "name": "small",
        "columns": {
            "pid": {"role": "id"},
            "arm": {
                "role": "arm",
                "levels": ["placebo", "drug"],
                "control": "placebo",
                "randomised": True,
            },
            "m1": {"role": "marker", "kind": "continuous"},
            "m2": {"role": "marker", "kind": "categorical", "levels": ["low", "high"]},
            "age": {"role": "covariate", "kind": "continuous"},
            "months": {"role": "endpoint"},
            "died": {"role": "endpoint"},
        },
        "endpoints": {
            "os": {
                "type": "survival",
                "duration": "months",
                "event": "died",
                "event_values": ["1"],
                "censored_values": ["0"],
                "unit": "months",
                "primary": True,
            }
        },
    }
    for key, value in changes.items():
        study[key] = value
    return study


def small_frame(
    n: int = 120,
    seed: int = 0,
    prognostic: float = 0.0,
    predictive: float = 0.0,
    treatment: float = 0.0,
    follow_up: float = 2.0,
) -> pd.DataFrame:
    """Exponential survival with planted log hazard ratios per SD of ``m1``."""
    rng = np.random.default_rng(seed)
    arm = rng.permutation(np.arange(n) % 2)
    m1, age = rng.normal(size=n), rng.normal(60, 8, size=n)
    rate = np.exp(prognostic * m1 + treatment * arm + predictive * m1 * arm)
    time = rng.exponential(size=n) / rate
    limit = rng.uniform(0.2 * follow_up, follow_up, size=n)
    return pd.DataFrame(
        {
            "pid": [f"p{i}" for i in range(n)],
            "arm": np.where(arm == 1, "drug", "placebo"),
            "m1": m1,
            "m2": np.where(rng.random(n) < 0.4, "high", "low"),
            "age": age,
            "months": np.maximum(np.minimum(time, limit), 1e-6),
            "died": (time <= limit).astype(int).astype(str),
        }
    )


@pytest.fixture
def trial() -> Callable[..., Cohort]:
    """Builder of cohorts: keywords of ``small_frame``; ``study`` and ``frame`` change the rest."""

    def build(
        study: dict[str, Any] | None = None,
        change: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
        **keywords: Any,
    ) -> Cohort:
        frame = small_frame(**keywords)
        if change is not None:
            frame = change(frame)
        return Cohort.from_frame(frame, Study.from_dict(study or small_study()))

    return build


@pytest.fixture
def declared() -> Callable[..., dict[str, Any]]:
    """The study as a dictionary to change."""
    return small_study
