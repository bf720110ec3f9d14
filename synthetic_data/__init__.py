"""Cohorts with declared truth, drawn from published facts."""

from biomarker._lazy import lazy_names

_HOMES = {
    "Truth": "synthetic_data.truth",
    "catalogue": "synthetic_data.facts",
    "simulate": "synthetic_data.trial",
}
__all__ = ["Truth", "catalogue", "simulate"]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
