"""What the data cannot carry, in sentences for the first page of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from biomarker.cohort import Cohort
from pipelines.results import ModelRun, TimePlan
from pipelines.summary import CohortSummary

__all__ = ["find_limits"]

_EVENTS_PER_FEATURE = 10
_MUCH_MISSING = 0.20


def find_limits(
    cohort: Cohort,
    summary: CohortSummary,
    models: Sequence[ModelRun],
    plans: Mapping[str, TimePlan],
    best: Mapping[str, str],
) -> tuple[str, ...]:
    """Sentences, the most important first; each carries its own numbers."""
    limits = [*_chance(models, best), *_events(summary, models), _treatment(cohort)]
    limits += _missing(summary)
    limits += [note for plan in plans.values() for note in plan.notes]
    limits.append(
        "Performance comes from cross-validation within this one cohort; how the models do "
        "elsewhere is not known."
    )
    if any(len([m for m in models if m.endpoint == e]) > 1 for e in best):
        limits.append(
            "The candidate is the best of several models on the same out-of-fold score, so its own "
            "score is a little too good; read it beside the others."
        )
    return tuple(limits)


def _chance(models: Sequence[ModelRun], best: Mapping[str, str]) -> list[str]:
    found = []
    for model in models:
        if best[model.endpoint] != model.name:
            continue
        metric = "uno_concordance_index" if model.kind == "survival" else "roc_auc"
        estimate = next(p for p in model.nested.performance if p.metric == metric)
        if estimate.low is not None and estimate.low <= 0.5:
            found.append(
                f"For '{model.endpoint}' the best model is not shown to do better than chance: "
                f"{metric.replace('_', ' ')} {estimate.value:.3f} "
                f"({estimate.low:.3f} to {estimate.high:.3f}, n = {estimate.n_patients})."
            )
    return found


def _events(summary: CohortSummary, models: Sequence[ModelRun]) -> list[str]:
    found = []
    for endpoint in summary.endpoints:
        fitted = [m for m in models if m.endpoint == endpoint.name]
        if not fitted:
            continue
        features = max(len(m.fitted.encoder_.feature_names) for m in fitted)
        scarce = endpoint.n_events
        if endpoint.kind == "response":
            scarce = min(scarce, endpoint.n_patients - scarce)
        if scarce < _EVENTS_PER_FEATURE * features:
            found.append(
                f"Exploratory: '{endpoint.name}' has {scarce} events for {features} candidate "
                f"features ({scarce / features:.1f} each); with fewer than {_EVENTS_PER_FEATURE} "
                "each, selection and coefficients are unstable, and the models are shrunk."
            )
    return found


def _treatment(cohort: Cohort) -> str:
    if cohort.treated is None:
        return (
            "Every patient is in one arm, so nothing here can say whether a marker changes what "
            "the treatment does."
        )
    if not cohort.study.randomised:
        return (
            "The arms are not declared randomised: a difference between them may come from who was "
            "treated. Models describe association with outcome, not the effect of treatment."
        )
    return (
        "Models describe association with outcome. Whether a marker changes the effect of "
        "treatment needs a treatment-by-marker test, which this report does not contain."
    )


def _missing(summary: CohortSummary) -> list[str]:
    much = [c for c in summary.columns if c.n_missing > _MUCH_MISSING * summary.n_rows]
    if not much:
        return []
    named = ", ".join(f"{c.name} {100 * c.n_missing / summary.n_rows:.0f}%" for c in much)
    return [
        f"Much is missing ({named}); values were filled with a typical one plus an indicator, "
        "which is right only if the gaps carry no hidden information."
    ]
