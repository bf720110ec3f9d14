"""What the data cannot carry, in sentences for the first page of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from biomarker.cohort import Cohort
from biomarker.evidence.sample_size import required_for_response, required_for_survival
from pipelines.evidence_results import Evidence
from pipelines.results import ModelRun, TimePlan
from pipelines.summary import CohortSummary, EndpointSummary

__all__ = ["beats_chance", "find_limits", "rarer_count", "required_patients"]

_MAIN = {"survival": "uno_concordance_index", "response": "roc_auc"}
_SELECTION = {"survival": "integrated Brier skill", "response": "log loss"}
_DISCRIMINATION = {"survival": "Uno's concordance index", "response": "area under the ROC curve"}
_EVENTS_PER_FEATURE = 10
_MUCH_MISSING = 0.20


def beats_chance(model: ModelRun) -> bool:
    """Whether the whole out-of-fold interval of a model's discrimination lies above a half.

    Where it does not, nothing may be read into the model's attributions, and none are shown.
    """
    main = next(p for p in model.nested.performance if p.metric == _MAIN[model.kind])
    return main.low is not None and main.low > 0.5


def find_limits(
    cohort: Cohort,
    summary: CohortSummary,
    models: Sequence[ModelRun],
    plans: Mapping[str, TimePlan],
    best: Mapping[str, str],
    evidence: Evidence | None = None,
) -> tuple[str, ...]:
    """Sentences, the most important first; each carries its own numbers."""
    labels = {endpoint.name: endpoint.label for endpoint in summary.endpoints}
    limits = [*_chance(models, best, labels), *_events(summary, models, plans)]
    limits.append(_treatment(cohort, evidence))
    limits += [*_repeated(summary), *_missing(summary)]
    limits += [note for plan in plans.values() for note in plan.notes]
    limits.append(
        "Performance comes from cross-validation within this one cohort; how the models do "
        "elsewhere is not known."
    )
    chosen = {m.kind for m in models if sum(o.endpoint == m.endpoint for o in models) > 1}
    if chosen:
        scores = " and ".join(_SELECTION[kind] for kind in sorted(chosen, reverse=True))
        limits.append(
            f"The model kept is the best of several on out-of-fold {scores}, so its own score is a "
            "little too good; read it beside the others."
        )
    return tuple(limits)


def _chance(
    models: Sequence[ModelRun], best: Mapping[str, str], labels: Mapping[str, str]
) -> list[str]:
    found = []
    for model in models:
        if best[model.endpoint] != model.name:
            continue
        estimate = next(p for p in model.nested.performance if p.metric == _MAIN[model.kind])
        if estimate.low is not None and not beats_chance(model):
            found.append(
                f"{labels[model.endpoint]}: the best model is not shown to do better than chance "
                f"({_DISCRIMINATION[model.kind]} {estimate.value:.3f}, "
                f"{estimate.low:.3f} to {estimate.high:.3f}, n = {estimate.n_patients})."
            )
    return found


def _events(
    summary: CohortSummary, models: Sequence[ModelRun], plans: Mapping[str, TimePlan]
) -> list[str]:
    found = []
    for endpoint in summary.endpoints:
        fitted = [m for m in models if m.endpoint == endpoint.name]
        if not fitted:
            continue
        features = max(len(m.fitted.encoder_.feature_names) for m in fitted)
        scarce = rarer_count(endpoint)
        if scarce < _EVENTS_PER_FEATURE * features:
            required = required_patients(endpoint, features, plans)
            found.append(
                f"{endpoint.label} is exploratory: {scarce} {_rarer(endpoint)} for {features} "
                f"candidate features ({scarce / features:.1f} each, where {_EVENTS_PER_FEATURE} is "
                f"a usual floor). About {required:,} patients would "
                "be needed for features that explain 15% of what can be explained (Riley et al.); "
                "the models are shrunk, and their coefficients unstable."
            )
    return found


def _rarer(endpoint: EndpointSummary) -> str:
    """The rarer of the two outcomes, in words."""
    if endpoint.kind == "survival":
        return "events"
    few = endpoint.n_events <= endpoint.n_patients - endpoint.n_events
    return "responses" if few else "non-responses"


def rarer_count(endpoint: EndpointSummary) -> int:
    """Patients with the rarer of the two outcomes; events, where time is followed."""
    if endpoint.kind == "response":
        return min(endpoint.n_events, endpoint.n_patients - endpoint.n_events)
    return endpoint.n_events


def required_patients(
    endpoint: EndpointSummary, features: int, plans: Mapping[str, TimePlan]
) -> int:
    """Patients needed by Riley's criteria at this cohort's event rate."""
    if endpoint.kind == "response":
        share = endpoint.n_events / endpoint.n_patients
        return required_for_response(features, share).n_patients
    rate = endpoint.n_events / (endpoint.mean_duration * endpoint.n_patients)
    horizon = plans[endpoint.name].horizons[-1]
    return required_for_survival(features, rate, endpoint.mean_duration, horizon).n_patients


def _treatment(cohort: Cohort, evidence: Evidence | None) -> str:
    if cohort.treated is None:
        declared = cohort.study.single_arm
        why = {
            "treated": "Every patient was treated",
            "control": "Every patient is a control",
            None: "No treatment arms are declared",
        }[declared]
        return f"{why}, so nothing here can say whether a marker changes what the treatment does."
    if not cohort.study.randomised:
        return (
            "The arms are not declared randomised: a difference between them may come from who was "
            "treated. Models describe association with outcome, not the effect of treatment."
        )
    tests = "which the evidence section holds for every marker"
    if evidence is None or evidence.result is None:
        tests = "which this report does not contain"
    return (
        "Models describe association with outcome. Whether a marker changes the effect of "
        f"treatment needs a treatment-by-marker test, {tests}."
    )


def _repeated(summary: CohortSummary) -> list[str]:
    """Rows of one patient are not independent, and only some intervals know it."""
    if summary.n_rows == summary.n_patients:
        return []
    return [
        f"{summary.n_patients:,} patients stand on {summary.n_rows:,} rows. The intervals of the "
        "performance table treat the patient as the unit; counts, Table 1, calibration plots and "
        "survival curves count rows, and their bands are too narrow for that."
    ]


def _missing(summary: CohortSummary) -> list[str]:
    never = [c.label for c in summary.columns if c.n_missing == summary.n_rows > 0]
    much = [
        c for c in summary.columns if _MUCH_MISSING * summary.n_rows < c.n_missing < summary.n_rows
    ]
    found = (
        [f"Never measured here, so of no use to the models: {', '.join(never)}."] if never else []
    )
    if not much:
        return found
    named = ", ".join(f"{c.label} {100 * c.n_missing / summary.n_rows:.0f}%" for c in much)
    return [
        *found,
        f"Much is missing ({named}); values were filled with a typical one plus an indicator, "
        "which is right only if the gaps carry no hidden information.",
    ]
