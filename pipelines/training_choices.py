"""What a training run takes on: endpoints, models, times, folds; and which model is the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from biomarker.cohort import Cohort, Outcome
from biomarker.errors import NotEstimableError, UsageError
from biomarker.models.zoo import ModelKind, default_zoo
from biomarker.study import SurvivalEndpoint
from biomarker.survival.censoring import safe_time_grid
from pipelines.results import ModelRun, TimePlan

__all__ = ["affordable_folds", "best_model", "chosen_endpoints", "chosen_models", "plan_times"]

KINDS: tuple[ModelKind, ...] = ("survival", "response")
# What decides which model of an endpoint becomes the candidate: a proper score, out of fold.
SELECTION = {"survival": ("integrated_brier_skill", +1), "response": ("log_loss", -1)}


def chosen_endpoints(cohort: Cohort, wanted: Sequence[str] | None) -> list[Outcome]:
    """Outcomes of the endpoints asked for, all where none is; a name the file lacks is refused."""
    unknown = [name for name in wanted or () if name not in cohort.outcomes]
    if unknown:
        raise UsageError(
            f"endpoint must be one the file holds ({', '.join(cohort.outcomes)}); "
            f"got {', '.join(unknown)}."
        )
    return [outcome for name, outcome in cohort.outcomes.items() if not wanted or name in wanted]


def chosen_models(outcome: Outcome, wanted: Sequence[str]) -> list[str]:
    """Names among those asked for that suit the endpoint, all that do where none is asked for."""
    known = [choice.name for choice in default_zoo(outcome.kind)]
    every = {choice.name for kind in KINDS for choice in default_zoo(kind)}
    unknown = [name for name in wanted if name not in every]
    if unknown:
        raise UsageError(
            f"models must be among {', '.join(sorted(every))}; got {', '.join(unknown)}."
        )
    picked = [name for name in wanted if name in known] if wanted else known
    if not picked:
        raise UsageError(
            f"models must include one for the {outcome.kind} endpoint '{outcome.name}' "
            f"({', '.join(known)}); got {', '.join(wanted)}."
        )
    return picked


def plan_times(outcome: Outcome) -> TimePlan:
    """Choose a survival endpoint's time grid, horizons and concordance limit from its support.

    Raises
    ------
    UsageError
        If the declared tau lies beyond the support.
    """
    endpoint = outcome.endpoint
    assert isinstance(endpoint, SurvivalEndpoint)
    grid = safe_time_grid(outcome.y)
    # Rounded inward: the exact ends are single patients' times, and the grid is stored.
    lower, upper = _inward(grid.lower, +1), _inward(grid.upper, -1)
    if not lower < upper:
        lower, upper = grid.lower, grid.upper
    limit = upper
    tau = endpoint.tau if endpoint.tau is not None else limit
    if tau > limit:
        raise UsageError(
            f"tau of endpoint '{outcome.name}' must lie within the data's support, up to "
            f"{limit:g} {endpoint.unit}; got {tau:g}."
        )
    carried = tuple(h for h in endpoint.horizons if lower <= h <= upper)
    notes = [
        f"The declared horizon of {h:g} {endpoint.unit} lies outside the supported "
        f"{lower:g} to {upper:g} {endpoint.unit} and is not judged."
        for h in endpoint.horizons
        if h not in carried
    ]
    if not carried:
        wanted = "declared horizon is supported" if endpoint.horizons else "horizon is declared"
        middle = float(np.median(outcome.y["duration"][outcome.y["event"]]))
        carried = (min(max(float(f"{middle:.2g}"), lower), upper),)
        notes.append(
            f"No {wanted}; {carried[0]:g} {endpoint.unit}, near the median event time, is used."
        )
    times = np.linspace(lower, upper, len(grid.times))
    return TimePlan(times, carried, float(tau), endpoint.unit, tuple(notes))


def _inward(value: float, direction: int) -> float:
    """Round to three significant digits, up for +1 and down for -1."""
    scale = 10.0 ** (math.floor(math.log10(value)) - 2)
    steps = value / scale
    whole = math.ceil(steps) if direction > 0 else math.floor(steps)
    return float(f"{whole * scale:.12g}")


def affordable_folds(outcome: Outcome, folds: int) -> int:
    """At least two events (and, for a response, two non-responders) in every fold."""
    events = int(outcome.event.sum())
    scarce = events if outcome.kind == "survival" else min(events, len(outcome.event) - events)
    if scarce < 4:
        raise NotEstimableError(
            f"Endpoint '{outcome.name}' must have at least 4 events to be validated; got {scarce}."
        )
    return min(folds, scarce // 2)


def best_model(runs: Sequence[ModelRun], outcome: Outcome) -> str:
    """Name of the endpoint's model with the best proper score, simpler first on ties."""
    metric, direction = SELECTION[outcome.kind]

    def merit(run: ModelRun) -> float:
        value = next(p.value for p in run.nested.performance if p.metric == metric)
        return -np.inf if value is None else direction * value

    mine = [run for run in runs if run.endpoint == outcome.name]
    return max(mine, key=merit).name
