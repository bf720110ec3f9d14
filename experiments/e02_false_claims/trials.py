"""Randomised trials without any difference of effect, but with everything that mimics one.

Markers are strongly prognostic (hazard ratio 2 per SD), skewed or rare; many are correlated. Times
are exponential; censoring is uniform, so long that the wanted share of patients has an event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq

from biomarker import Cohort, Study
from biomarker.evidence.analysis_set import AnalysisSet
from biomarker.outcomes import survival_outcome

__all__ = ["Design", "Drawn", "analysis_sets", "cohort_of", "draw"]

Floats = npt.NDArray[np.float64]

_MEAN, _SD = math.exp(0.5), math.sqrt((math.e - 1.0) * math.e)  # of a standard lognormal
_SHARE = 0.2


@dataclass(frozen=True)
class Design:
    """What a trial is drawn from.

    Attributes
    ----------
    n : int
    events : float
        Share of patients with an event.
    treatment : float
        Hazard ratio of treatment, the same for everybody unless ``ratio`` differs from 1.
    markers : tuple of {"normal", "lognormal", "binary", "lognormal, acting by its logarithm"}
        The first one is prognostic.
    correlation : float
        Between any two markers' normal scores.
    prognostic : float
        Hazard ratio per SD of the first marker.
    ratio : float
        Ratio of treatment's hazard ratios per SD of the first marker.
    shape : str
        ``proportional``; ``cure`` (the marker moves the share cured, treatment the hazard of the
        others); ``crossing`` (treatment harms early and helps late); or ``response``, which has no
        times: the event is the response, and every hazard ratio above an odds ratio.
    """

    n: int
    events: float
    treatment: float = 1.0
    markers: tuple[str, ...] = ("normal",)
    correlation: float = 0.0
    prognostic: float = 2.0
    ratio: float = 1.0
    shape: str = "proportional"

    @property
    def response(self) -> bool:
        """Whether the outcome is a response, without times."""
        return self.shape == "response"


@dataclass(frozen=True, eq=False)
class Drawn:
    """One trial; markers as columns."""

    arm: Floats
    markers: Floats
    time: Floats
    event: npt.NDArray[np.bool_]


def _markers(design: Design, rng: np.random.Generator, n: int) -> Floats:
    """Markers on their own scale."""
    shared = rng.standard_normal((n, 1))
    own = rng.standard_normal((n, len(design.markers)))
    score = math.sqrt(design.correlation) * shared + math.sqrt(1.0 - design.correlation) * own
    columns = []
    for j, kind in enumerate(design.markers):
        z = score[:, j]
        if kind.startswith("lognormal"):
            z = np.exp(z)
        elif kind == "binary":
            z = (z < -0.8416212335729143).astype(np.float64)  # a fifth of patients
        columns.append(z)
    return np.column_stack(columns)


def _standard(design: Design, first: Floats) -> Floats:
    """The first marker in population SD."""
    if design.markers[0] == "lognormal":
        return np.asarray((first - _MEAN) / _SD)
    if design.markers[0] == "lognormal, acting by its logarithm":
        return np.asarray(np.log(first))
    if design.markers[0] == "binary":
        return np.asarray((first - _SHARE) / math.sqrt(_SHARE * (1.0 - _SHARE)))
    return first


def _latent(design: Design, rng: np.random.Generator, arm: Floats, z: Floats) -> Floats:
    """Event times before censoring."""
    base = rng.standard_exponential(len(arm))
    if design.shape == "cure":
        cured = rng.random(len(arm)) < 1.0 / (1.0 + np.exp(0.8 + math.log(2.0) * z))
        return np.where(cured, np.inf, base * np.exp(-math.log(design.treatment) * arm))
    risk = math.log(design.prognostic) * z
    if design.shape == "crossing":
        # Treated: hazard 1.8 up to time .4, .45 after it.
        needed = base * np.exp(-risk)
        late = 0.4 + (needed - 0.72) / 0.45
        return np.where(arm == 1, np.where(needed < 0.72, needed / 1.8, late), needed)
    return base * np.exp(-risk - arm * (math.log(design.treatment) + math.log(design.ratio) * z))


def _population(design: Design) -> tuple[np.random.Generator, Floats, Floats]:
    """Arms and first markers of many patients, and the generator they came from."""
    rng, n = np.random.default_rng(0), 100_000
    arm = np.arange(n) % 2 * 1.0
    return rng, arm, _standard(design, _markers(design, rng, n)[:, 0])


@cache
def _follow_up(design: Design) -> float:
    """Longest censoring time under which the wanted share has an event."""
    rng, arm, z = _population(design)
    time, uniform = _latent(design, rng, arm, z), rng.random(len(arm))
    low, high = 1e-3, 1e5
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (
            (middle, high) if np.mean(time <= uniform * middle) < design.events else (low, middle)
        )
    return math.sqrt(low * high)


def draw(design: Design, rng: np.random.Generator) -> Drawn:
    """One trial, half of the patients treated."""
    arm = rng.permutation(np.arange(design.n) % 2).astype(np.float64)
    markers = _markers(design, rng, design.n)
    z = _standard(design, markers[:, 0])
    if design.response:
        responded = rng.random(design.n) < _chance(design, _intercept(design), arm, z)
        return Drawn(arm, markers, np.ones(design.n), responded)
    time = _latent(design, rng, arm, z)
    limit = rng.random(design.n) * _follow_up(design)
    return Drawn(arm, markers, np.maximum(np.minimum(time, limit), 1e-9), time <= limit)


def _chance(design: Design, intercept: float, arm: Floats, z: Floats) -> Floats:
    """Chance of a response; logistic, the ratio of odds ratios per SD."""
    treated = arm * (math.log(design.treatment) + math.log(design.ratio) * z)
    return np.asarray(1.0 / (1.0 + np.exp(-intercept - math.log(design.prognostic) * z - treated)))


@cache
def _intercept(design: Design) -> float:
    """Log odds at the marker's mean under control, by which the wanted share responds."""
    _, arm, z = _population(design)
    return float(brentq(lambda at: _chance(design, at, arm, z).mean() - design.events, -20.0, 20.0))


@cache
def _study(kinds: tuple[str, ...], response: bool = False) -> Study:
    columns: dict[str, object] = {
        "patient": {"role": "id"},
        "arm": {
            "role": "arm", "levels": ["control", "drug"], "control": "control", "randomised": True,
        },
        "months": {"role": "endpoint"},
        "died": {"role": "endpoint"},
    }  # fmt: skip
    for j, kind in enumerate(kinds):
        levels = {"kind": "categorical", "levels": ["negative", "positive"]}
        columns[f"m{j}"] = {"role": "marker"} | (
            levels if kind == "binary" else {"kind": "continuous"}
        )
    endpoint = {
        "type": "survival", "duration": "months", "event": "died", "event_values": ["1"],
        "censored_values": ["0"], "unit": "months", "primary": True,
    }  # fmt: skip
    if response:
        del columns["months"]
        endpoint = {
            "type": "response", "column": "died", "positive": ["1"], "negative": ["0"],
            "primary": True,
        }  # fmt: skip
    return Study.from_dict(
        {"format_version": 1, "name": "e02", "columns": columns, "endpoints": {"os": endpoint}}
    )


def cohort_of(design: Design, drawn: Drawn) -> Cohort:
    """The trial as the procedure sees it."""
    frame = {
        "patient": [f"p{i}" for i in range(design.n)],
        "arm": np.where(drawn.arm == 1, "drug", "control"),
        "months": drawn.time,
        "died": drawn.event.astype(int).astype(str),
    }
    for j, kind in enumerate(design.markers):
        column = drawn.markers[:, j]
        frame[f"m{j}"] = (
            np.where(column > 0, "positive", "negative") if kind == "binary" else column
        )
    if design.response:
        del frame["months"]
    return Cohort.from_frame(pd.DataFrame(frame), _study(design.markers, design.response))


@dataclass(frozen=True)
class _Endpoint:
    name: str = "os"
    kind: str = "survival"


def analysis_sets(design: Design, drawn: Drawn) -> list[AnalysisSet]:
    """What ``analysis_set`` makes of the cohort (a test holds the two together), without it."""
    endpoint = _Endpoint(kind="response" if design.response else "survival")
    y = drawn.event if design.response else survival_outcome(drawn.event, drawn.time)
    rows = np.arange(design.n, dtype=np.int64)
    places = np.argsort(np.argsort([f"p{i}" for i in range(design.n)])).astype(np.int64)
    found = []
    for j, kind in enumerate(design.markers):
        column = drawn.markers[:, j] - drawn.markers[:, j].mean()
        if kind != "binary":
            column = column / drawn.markers[:, j].std(ddof=1)
        found.append(
            AnalysisSet(
                marker=f"m{j}", outcome=endpoint, rows=rows, places=places, n_rows=design.n, y=y,  # type: ignore[arg-type]
                arm=drawn.arm, marker_columns=column[:, None], covariates=np.empty((design.n, 0)),
                strata=None, contrast="per SD", graded=kind != "binary", missing_differs=False,
            )
        )  # fmt: skip
    return found
