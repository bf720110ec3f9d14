"""Biomarker response modelling: estimates from a table in memory, and what they can carry."""

from biomarker._lazy import lazy_names

__version__ = "0.1.0"

_HOMES = {
    "Cohort": "biomarker.cohort",
    "Study": "biomarker.study",
    "survival_outcome": "biomarker.outcomes",
}
__all__ = ["Cohort", "Study", "__version__", "survival_outcome"]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
