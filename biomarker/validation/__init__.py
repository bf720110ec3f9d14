"""How well a fitting procedure does on patients it has not seen."""

from biomarker._lazy import lazy_names

_HOMES = {
    "NestedResult": "biomarker.validation.nested_result",
    "OptimismResult": "biomarker.validation.optimism",
    "PerformanceEstimate": "biomarker.validation.performance",
    "nested_cross_validation": "biomarker.validation.nested",
    "optimism_corrected": "biomarker.validation.optimism",
    "select_and_refit": "biomarker.validation.nested",
}
__all__ = [
    "NestedResult",
    "OptimismResult",
    "PerformanceEstimate",
    "nested_cross_validation",
    "optimism_corrected",
    "select_and_refit",
]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
