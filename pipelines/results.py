"""What a training run hands to tracking and to the report: frozen, complete, no patient table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.explain.attribution import Attribution
from biomarker.models.pipeline import EncodedModel
from biomarker.outcomes import TimeUnit
from biomarker.validation.nested_result import NestedResult
from pipelines.evidence_results import Evidence
from pipelines.summary import CohortSummary

if TYPE_CHECKING:
    from biomarker.explain.benefit import BenefitAttribution, WithheldBenefit
    from biomarker.explain.controls import NullBand
    from biomarker.explain.over_time import TimeAttribution
    from biomarker.explain.stability_result import Stability

__all__ = [
    "EndpointReading",
    "Examination",
    "ModelRun",
    "StudyRun",
    "TimePlan",
    "performance_table",
    "plain_value",
    "settings_table",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TimePlan:
    """The one time grid of a survival endpoint, chosen once from the data's support.

    Attributes
    ----------
    times : ndarray, shape (n_times,)
        Grid for integrated scores and curves, in ``unit``.
    horizons : tuple of float
        Times at which probabilities are judged and later scored, in ``unit``.
    tau : float
        Upper limit for concordance, in ``unit``.
    notes : tuple of str
        Declared horizons that the data could not carry, and why.
    """

    times: Floats
    horizons: tuple[float, ...]
    tau: float
    unit: TimeUnit
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ModelRun:
    """One model on one endpoint: how it did out of fold, the refit on everyone, its attribution."""

    name: str
    endpoint: str
    kind: str
    params: Mapping[str, Any]
    fitted: EncodedModel
    nested: NestedResult
    attribution: Attribution
    seconds: float


@dataclass(frozen=True)
class Examination:
    """How far a model's importance can be trusted.

    Attributes
    ----------
    stability : Stability
    band : NullBand or None
        None where importance is withheld.
    """

    stability: Stability
    band: NullBand | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; aggregates only."""
        band = None if self.band is None else self.band.to_dict()
        return {"stability": self.stability.to_dict(), "null_band": band}


@dataclass(frozen=True, eq=False)
class EndpointReading:
    """How far the model kept for an endpoint may be read.

    Attributes
    ----------
    examination : Examination or None
        Stability and null band over refits; None where none were asked for or estimable.
    over_time : TimeAttribution or None
        Survival endpoints alone, where the model is above chance.
    benefit : BenefitAttribution or WithheldBenefit
    """

    examination: Examination | None
    over_time: TimeAttribution | None
    benefit: BenefitAttribution | WithheldBenefit

    def to_dict(self) -> dict[str, Any]:
        """Aggregates as JSON-able data; a reason where something is withheld."""
        split = getattr(self.benefit, "to_dict", None)
        return {
            "refits": None if self.examination is None else self.examination.to_dict(),
            "over_time": None if self.over_time is None else self.over_time.to_dict(),
            "benefit": asdict(self.benefit) if split is None else split(),
        }


@dataclass(frozen=True, eq=False)
class StudyRun:
    """Everything one ``train`` call found.

    Attributes
    ----------
    cohort : Cohort
        Kept in memory for the figures; never stored.
    settings : mapping
        Resolved setting name to {"value": ..., "from": flag, environment, study or default}.
    best : mapping of str to str
        Endpoint to the name of the model registered as candidate.
    limits : tuple of str
        What the data cannot carry, in sentences for the report, the most important first.
    software : mapping of str to str
        Package to version.
    evidence : Evidence or None
        Verdicts on the markers; None where they were not asked for.
    readings : mapping of str to EndpointReading
        By endpoint; empty where models were fitted without explaining them further.
    """

    cohort: Cohort
    summary: CohortSummary
    settings: Mapping[str, Mapping[str, Any]]
    time_plans: Mapping[str, TimePlan]
    models: tuple[ModelRun, ...]
    best: Mapping[str, str]
    limits: tuple[str, ...]
    software: Mapping[str, str]
    started: str
    source_name: str
    evidence: Evidence | None = None
    readings: Mapping[str, EndpointReading] = field(default_factory=dict)


def performance_table(nested: NestedResult) -> list[dict[str, Any]]:
    """Every performance number with its interval, n and horizon; JSON-able."""
    keep = ("metric", "horizon", "value", "low", "high", "n_patients", "covers", "reason")
    return [{key: getattr(p, key) for key in keep} for p in nested.performance]


def settings_table(run: StudyRun) -> dict[str, Any]:
    """Resolved settings and the summary, JSON-able, as stored with the run."""
    return {
        "settings": {
            key: {**v, "value": plain_value(v["value"])} for key, v in run.settings.items()
        },
        "time_plans": {
            name: {**asdict(plan), "times": plan.times.tolist()}
            for name, plan in run.time_plans.items()
        },
        "source": run.source_name,
        "started": run.started,
    }


def plain_value(value: Any) -> Any:
    """A setting's value as JSON has it."""
    return list(value) if isinstance(value, tuple) else value
