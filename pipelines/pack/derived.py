"""Numbers that prose derives from a run's counts, written down so that they can trace."""

from __future__ import annotations

from typing import Any

from pipelines.limits import rarer_count, required_patients
from pipelines.results import StudyRun
from pipelines.summary import CohortSummary

__all__ = ["derived_numbers"]


def derived_numbers(run: StudyRun) -> dict[str, Any]:
    """Shares of events and of missing values, and the sample a model of this size asks for.

    Returns
    -------
    dict
        ``endpoints``: by name, the share with the event, by arm too, events per candidate feature
        and the patients Riley's criteria ask for; ``columns``: by name, the share missing, by
        outcome too. Shares lie in [0, 1].
    """
    summary = run.summary
    return {
        "endpoints": {e.name: _endpoint(run, i) for i, e in enumerate(summary.endpoints)},
        "columns": _columns(summary),
        "n_columns_complete": sum(c.n_missing == 0 for c in summary.columns),
    }


def _endpoint(run: StudyRun, index: int) -> dict[str, Any]:
    endpoint = run.summary.endpoints[index]
    found: dict[str, Any] = {
        "share_with_event": _share(endpoint.n_events, endpoint.n_patients),
        "share_with_event_by_arm": {
            arm.arm: _share(arm.n_events, arm.n_patients) for arm in endpoint.by_arm
        },
        "n_without_event": endpoint.n_patients - endpoint.n_events,
        "n_left_out": sum(endpoint.excluded.values()),
    }
    fitted = [m for m in run.models if m.endpoint == endpoint.name]
    if fitted:
        features = max(len(m.fitted.encoder_.feature_names) for m in fitted)
        scarce = rarer_count(endpoint)
        found |= {
            "n_candidate_features": features,
            "n_rarer_outcome": scarce,
            "rarer_outcome_per_feature": scarce / features if features else None,
            "n_patients_riley": required_patients(endpoint, features, run.time_plans),
        }
    return found


def _columns(summary: CohortSummary) -> dict[str, Any]:
    return {
        column.name: {
            "share_missing": _share(column.n_missing, summary.n_rows),
            "share_missing_by_outcome": {
                endpoint: {"with_event": _share(a, n), "without_event": _share(b, m)}
                for endpoint, (a, n, b, m) in column.missing_by_outcome.items()
            },
        }
        for column in summary.columns
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
