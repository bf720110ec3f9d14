"""Randomised trials of several markers: one may change the effect of treatment, one is prognostic.

Marker 0 is the *true* one: its log ratio of ratios is planted per SD. Marker 1 is strongly
prognostic (ratio 2 per SD) and changes nothing about treatment. The others do nothing. Survival
times are exponential, censoring uniform and independent; a response has the same linear predictor
on the log-odds scale. No code is shared with what is judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from biomarker.evidence.benefit_models import BenefitData
from biomarker.explain.benefit_refits import BenefitDesign
from biomarker.outcomes import survival_outcome

__all__ = ["Design", "drawn", "truth"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """What a trial is drawn from; log ratios per population SD of a marker.

    Attributes
    ----------
    endpoint : {"survival", "response"}
    n : int
        Patients, half of them treated.
    interaction : float
        Log ratio of treatment's hazard (or odds) ratios per SD of marker 0.
    n_markers : int
    correlation : float
        Between any two markers' normal scores.
    treatment, prognostic : float
        Log hazard (or odds) ratios of treatment, and of marker 1 per SD.
    kinds : str
        ``normal``, or ``mixed``: normal, normal, lognormal, binary (30%), in turn.
    events : float
        Share of patients with an event; of responders under control at the mean otherwise.
    """

    endpoint: str
    n: int
    interaction: float = 0.0
    n_markers: int = 6
    correlation: float = 0.0
    treatment: float = math.log(0.6)
    prognostic: float = math.log(2.0)
    kinds: str = "normal"
    events: float = 0.6


def _markers(design: Design, rng: np.random.Generator, n: int) -> Floats:
    """Markers of population mean 0 and SD 1."""
    r = design.correlation
    score = math.sqrt(r) * rng.standard_normal((n, 1))
    score = score + math.sqrt(1.0 - r) * rng.standard_normal((n, design.n_markers))
    if design.kinds == "mixed":
        for j in range(design.n_markers):
            if j % 4 == 2:
                sd = math.sqrt((math.e - 1.0) * math.e)
                score[:, j] = (np.exp(score[:, j]) - math.exp(0.5)) / sd
            elif j % 4 == 3:
                held = score[:, j] < -0.5244005127080409  # 30% of patients
                score[:, j] = (held - 0.3) / math.sqrt(0.21)
    return np.asarray(score)


def _index(design: Design, arm: Floats, markers: Floats) -> Floats:
    """True log hazard, or log odds less the intercept."""
    return np.asarray(
        design.prognostic * markers[:, 1]
        + arm * (design.treatment + design.interaction * markers[:, 0])
    )


@cache
def _follow_up(design: Design) -> float:
    """Longest censoring time under which the wanted share has an event."""
    rng, n = np.random.default_rng(0), 100_000
    arm, markers = np.arange(n) % 2 * 1.0, _markers(design, rng, n)
    time = rng.standard_exponential(n) * np.exp(-_index(design, arm, markers))
    uniform = rng.random(n)
    low, high = 1e-3, 1e5
    for _ in range(60):
        middle = math.sqrt(low * high)
        seen = np.mean(time <= uniform * middle)
        low, high = (middle, high) if seen < design.events else (low, middle)
    return math.sqrt(low * high)


def drawn(design: Design, rng: np.random.Generator) -> BenefitDesign:
    """One trial, with markers in sample SD as the procedure takes them."""
    arm = rng.permutation(np.arange(design.n) % 2).astype(np.float64)
    markers = _markers(design, rng, design.n)
    index = _index(design, arm, markers)
    if design.endpoint == "survival":
        time = rng.standard_exponential(design.n) * np.exp(-index)
        limit = rng.random(design.n) * _follow_up(design)
        y = survival_outcome(time <= limit, np.maximum(np.minimum(time, limit), 1e-9))
    else:
        chance = 1.0 / (1.0 + np.exp(-math.log(design.events / (1.0 - design.events)) - index))
        y = rng.random(design.n) < chance
    columns = (markers - markers.mean(axis=0)) / markers.std(axis=0, ddof=1)
    data = BenefitData(np.empty((design.n, 0)), columns, arm == 1.0, y, "restricted_mean", math.nan)
    return BenefitDesign(data, (), tuple(f"m{j}" for j in range(design.n_markers)))


def truth(design: Design) -> str:
    """Marker that changes the effect of treatment."""
    return "m0" if design.interaction else ""
