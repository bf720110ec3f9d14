"""How well a fitting procedure does on patients it has not seen."""

from biomarker._lazy import lazy_names

_HOMES = {
    "NestedResult": "biomarker.validation.nested",
    "PerformanceEstimate": "biomarker.validation.performance",
    "nested_cross_validation": "biomarker.validation.nested",
    "select_and_refit": "biomarker.validation.nested",
}
__all__ = [
    "NestedResult",
    "PerformanceEstimate",
    "nested_cross_validation",
    "select_and_refit",
]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
