"""What a bundle says of itself."""

from __future__ import annotations

from typing import Any

from pipelines.results import ModelRun, StudyRun, performance_table, plain_value

__all__ = ["describe_bundle"]


def describe_bundle(run: StudyRun, model: ModelRun) -> dict[str, Any]:
    """Counts, horizons and performance of a model, where it came from; no patient values."""
    study = run.cohort.study
    endpoint = next(e for e in run.summary.endpoints if e.name == model.endpoint)
    plan = run.time_plans.get(model.endpoint)
    id_column = study.id_column
    return {
        "name": f"{study.name}-{model.endpoint}-{model.name}",
        "endpoint": model.endpoint,
        "kind": model.kind,
        "model": model.name,
        "params": dict(model.params),
        "horizons": [] if plan is None else list(plan.horizons),
        "unit": None if plan is None else plan.unit,
        "id_column": id_column,
        "id_optional": id_column is not None and study.columns[id_column].optional,
        "n_patients": endpoint.n_patients,
        "n_events": endpoint.n_events,
        "benefit": _benefit_allowed(run, model),
        "margin_scale": model.attribution.scale,
        "performance": performance_table(model.nested),
        "dataset_digest": run.summary.dataset_digest,
        "study_digest": run.summary.study_digest,
        "software": dict(run.software),
        "settings": {key: plain_value(value["value"]) for key, value in run.settings.items()},
    }


def _benefit_allowed(run: StudyRun, model: ModelRun) -> dict[str, Any] | None:
    """Whose verdicts let a model's scores carry a predicted benefit; None where none do.

    A difference of effect must have been claimed on this endpoint, and the model must be able to
    hold one: without a product of arm and marker everyone's benefit would follow from risk alone.
    """
    arm = run.cohort.study.arm_column
    if run.evidence is None or arm is None or model.kind != "survival":
        return None
    markers = [
        v.marker for v in run.evidence.verdicts if v.endpoint == model.endpoint and v.claimed
    ]
    if not markers or int(model.params.get("max_depth", 1)) < 2:
        return None
    return {"arm": arm, "markers": markers}
