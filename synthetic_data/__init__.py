"""Cohorts with declared truth, drawn from published facts."""

from biomarker._lazy import lazy_names

_HOMES = {
    "Truth": "synthetic_data.truth",
    "catalogue": "synthetic_data.facts",
    "fixture": "synthetic_data.published",
    "make_dirty": "synthetic_data.dirty",
    "plan_for": "synthetic_data.plan",
    "simulate": "synthetic_data.trial",
    "stream": "synthetic_data.schema",
    "study_for": "synthetic_data.study_files",
}
__all__ = [
    "Truth",
    "catalogue",
    "fixture",
    "make_dirty",
    "plan_for",
    "simulate",
    "stream",
    "study_for",
]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
