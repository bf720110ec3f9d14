"""Randomised trials of one marker with a planted interaction, and the cohorts made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from biomarker import Cohort, Study

__all__ = ["MARKERS", "Design", "Trials", "cohort", "draw", "study"]

Floats = npt.NDArray[np.float64]

MARKERS = ("normal", "lognormal", "binary")
POSITIVE = 0.2
_STUDY = """
format_version = 1
name = "e03"
[columns.patient]
role = "id"
[columns.arm]
role = "arm"
levels = ["control", "drug"]
control = "control"
randomised = true
[columns.marker]
role = "marker"
{marker}
[columns.months]
role = "endpoint"
[columns.died]
role = "endpoint"
[endpoints.os]
type = "survival"
duration = "months"
event = "died"
event_values = ["1"]
censored_values = ["0"]
unit = "months"
primary = true
"""


@dataclass(frozen=True)
class Design:
    """What a trial is drawn from; log hazard ratios per SD of the marker, or by marker status.

    Attributes
    ----------
    marker : str
        ``normal``, ``lognormal`` (log-scale SD 1) or ``binary`` (a share ``positive`` has it).
    n : int
        Patients, half of them treated.
    interaction : float
        Log ratio of hazard ratios per marker unit.
    main : float
        Log hazard ratio of the marker under control.
    treatment : float
        Log hazard ratio of treatment at marker 0: its mean, or negative where ``by_status``.
    positive : float
        Share of marker-positive patients.
    by_status : bool
        Code a binary marker 0 and 1 instead of per SD.
    event_share : float
        Share of patients with an event when ``interaction`` is 0.
    """

    marker: str
    n: int
    interaction: float = 0.0
    main: float = math.log(1.5)
    treatment: float = math.log(0.6)
    positive: float = POSITIVE
    by_status: bool = False
    event_share: float = 0.6


@dataclass(frozen=True, eq=False)
class Trials:
    """Trials of one design, one a row; every array of shape (n_trials, n_patients)."""

    arm: Floats
    marker: Floats
    time: Floats
    event: npt.NDArray[np.bool_]


def _marker(design: Design, rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """The marker in population SD, or as status."""
    if design.marker == "normal":
        return rng.standard_normal(shape)
    if design.marker == "lognormal":
        z = np.exp(rng.standard_normal(shape))
        return np.asarray((z - math.exp(0.5)) / math.sqrt((math.e - 1.0) * math.e))
    q = design.positive
    held = (rng.random(shape) < q).astype(np.float64)
    return held if design.by_status else (held - q) / math.sqrt(q * (1.0 - q))


def draw(design: Design, n_trials: int, rng: np.random.Generator) -> Trials:
    """Exponential times under proportional hazards, censored uniformly and independently."""
    shape = (n_trials, design.n)
    arm = rng.permuted(np.tile(np.arange(design.n) % 2, (n_trials, 1)), axis=1).astype(np.float64)
    marker = _marker(design, rng, shape)
    risk = design.main * marker + design.treatment * arm + design.interaction * arm * marker
    time = rng.standard_exponential(shape) * np.exp(-risk)
    limit = rng.uniform(0.2, 1.0, shape) * _follow_up(
        design.marker, design.main, design.treatment, design.positive, design.by_status,
        design.event_share,
    )  # fmt: skip
    return Trials(arm, marker, np.minimum(time, limit), time <= limit)


@cache
def _follow_up(
    marker: str, main: float, treatment: float, positive: float, by_status: bool, share: float
) -> float:
    """Longest follow-up under which the wanted share has an event when nothing interacts."""
    design = Design(marker, 2, 0.0, main, treatment, positive, by_status)
    rng = np.random.default_rng(0)
    shape = (200_000, 1)
    z, arm = _marker(design, rng, shape), np.arange(200_000)[:, None] % 2
    time = rng.standard_exponential(shape) * np.exp(-main * z - treatment * arm)
    limit = rng.uniform(0.2, 1.0, shape)
    low, high = 1e-3, 1e3
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if np.mean(time <= limit * middle) < share else (low, middle)
    return math.sqrt(low * high)


@cache
def study(kind: str) -> Study:
    """One marker, one survival endpoint, no covariates; the default, linear, transform."""
    lines = 'kind = "continuous"'
    if kind == "binary":
        lines = 'kind = "categorical"\nlevels = ["negative", "positive"]'
    return Study.from_toml(_STUDY.format(marker=lines))


def cohort(design: Design, trials: Trials, row: int) -> Cohort:
    """One trial as the procedure sees it."""
    marker = trials.marker[row]
    frame = pd.DataFrame(
        {
            "patient": [f"p{i}" for i in range(design.n)],
            "arm": np.where(trials.arm[row] == 1, "drug", "control"),
            "marker": (
                np.where(marker > 0, "positive", "negative")
                if design.marker == "binary"
                else marker
            ),
            "months": np.maximum(trials.time[row], 1e-9),
            "died": trials.event[row].astype(int).astype(str),
        }
    )
    return Cohort.from_frame(frame, study(design.marker))
