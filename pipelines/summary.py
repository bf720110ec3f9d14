"""What was understood of a cohort: counts only, for ``check``, the report and the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from biomarker.cohort import Cohort, Outcome
from biomarker.parsing import State

__all__ = [
    "ArmCount",
    "CohortSummary",
    "ColumnSummary",
    "EndpointSummary",
    "design_words",
    "summarise",
]


@dataclass(frozen=True)
class ArmCount:
    """Patients and events (or responses) of one endpoint in one arm."""

    arm: str
    n_patients: int
    n_events: int


@dataclass(frozen=True)
class EndpointSummary:
    """One endpoint: who is in, who is left out and why, events in all and by arm.

    ``mean_duration`` is the mean time followed, in ``unit``; 0 for a response.
    """

    name: str
    label: str
    kind: str
    unit: str | None
    n_patients: int
    n_events: int
    excluded: dict[str, int]
    mean_duration: float
    by_arm: tuple[ArmCount, ...]


@dataclass(frozen=True)
class ColumnSummary:
    """Missingness of one feature column, overall and by outcome of each endpoint.

    Attributes
    ----------
    missing_by_outcome : dict
        Endpoint to (missing among events or responders, those in all, missing among the
        others, those in all).
    """

    name: str
    label: str
    role: str
    kind: str
    unit: str | None
    n_missing: int
    n_below_detection: int
    n_above_detection: int
    missing_by_outcome: dict[str, tuple[int, int, int, int]]


@dataclass(frozen=True)
class CohortSummary:
    """Counts of a cohort; holds no patient values and may be stored."""

    study: str
    title: str
    n_rows: int
    n_patients: int
    design: str
    arms: tuple[tuple[str, int], ...]
    endpoints: tuple[EndpointSummary, ...]
    columns: tuple[ColumnSummary, ...]
    hypotheses: tuple[dict[str, Any], ...]
    refused_as_features: tuple[str, ...]
    notices: tuple[str, ...]
    dataset_digest: str
    study_digest: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


def summarise(cohort: Cohort) -> CohortSummary:
    """Count what a cohort holds."""
    study = cohort.study
    return CohortSummary(
        study=study.name,
        title=study.title or study.name,
        n_rows=cohort.n_rows,
        n_patients=cohort.n_patients,
        design=design_words(cohort),
        arms=_arm_counts(cohort),
        endpoints=tuple(_endpoint(cohort, outcome) for outcome in cohort.outcomes.values()),
        columns=tuple(_column(cohort, name) for name in cohort.features),
        hypotheses=tuple(h.model_dump(mode="json") for h in study.hypotheses),
        refused_as_features=study.with_role("post_baseline"),
        notices=cohort.notices,
        dataset_digest=cohort.digest,
        study_digest=study.digest,
    )


def design_words(cohort: Cohort) -> str:
    """The design as declared, never as guessed from balance."""
    if cohort.treated is None:
        return {
            "treated": "single arm, all treated",
            "control": "single arm, all control",
            None: "no arm column: observational",
        }[cohort.study.single_arm]
    return "randomised" if cohort.study.randomised else "observational (not declared randomised)"


def _arm_masks(cohort: Cohort) -> list[tuple[str, Any]]:
    treated = cohort.treated
    if treated is None:
        return []
    return [("control", ~treated), ("treated", treated)]


def _arm_counts(cohort: Cohort) -> tuple[tuple[str, int], ...]:
    return tuple((name, int(np.count_nonzero(mask))) for name, mask in _arm_masks(cohort))


def _endpoint(cohort: Cohort, outcome: Outcome) -> EndpointSummary:
    event = outcome.event
    by_arm = []
    for arm, mask in _arm_masks(cohort):
        inside = mask[outcome.included]
        by_arm.append(ArmCount(arm, int(inside.sum()), int((event & inside).sum())))
    endpoint = outcome.endpoint
    return EndpointSummary(
        name=outcome.name,
        label=endpoint.label or outcome.name,
        kind=outcome.kind,
        unit=endpoint.unit if endpoint.type == "survival" else None,
        n_patients=len(outcome.y),
        n_events=int(event.sum()),
        excluded=dict(outcome.excluded),
        mean_duration=_mean_duration(outcome),
        by_arm=tuple(by_arm),
    )


def _mean_duration(outcome: Outcome) -> float:
    """Mean time followed; three digits, as it is stored."""
    if outcome.kind != "survival" or not len(outcome.y):
        return 0.0
    return float(f"{np.mean(outcome.y['duration']):.3g}")


def _column(cohort: Cohort, name: str) -> ColumnSummary:
    column, states = cohort.study.columns[name], cohort.columns[name].states
    missing = states == State.MISSING
    by_outcome = {}
    for outcome in cohort.outcomes.values():
        event, absent = outcome.event, missing[outcome.included]
        by_outcome[outcome.name] = (
            int((absent & event).sum()),
            int(event.sum()),
            int((absent & ~event).sum()),
            int((~event).sum()),
        )
    return ColumnSummary(
        name=name,
        label=column.label or name,
        role=column.role,
        kind=column.kind or column.role,
        unit=column.unit,
        n_missing=int(missing.sum()),
        n_below_detection=int((states == State.BELOW_DETECTION).sum()),
        n_above_detection=int((states == State.ABOVE_DETECTION).sum()),
        missing_by_outcome=by_outcome,
    )
