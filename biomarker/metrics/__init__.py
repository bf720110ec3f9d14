"""How good predictions are: discrimination, scoring rules, calibration, net benefit.

No module here bears the name of a function it offers: importing the module would put the module
in the place of the function.
"""

from biomarker._lazy import lazy_names

_HOMES = {
    "CalibrationResult": "biomarker.metrics.calibration_measures",
    "MetricEstimate": "biomarker.metrics.estimate",
    "NetBenefit": "biomarker.metrics.decision_curve",
    "TimedEstimate": "biomarker.metrics.estimate",
    "brier_score": "biomarker.metrics.scoring_rules",
    "brier_skill": "biomarker.metrics.scoring_rules",
    "calibration": "biomarker.metrics.calibration_measures",
    "concordance_index": "biomarker.metrics.discrimination",
    "integrated_brier_score": "biomarker.metrics.scoring_rules",
    "integrated_brier_skill": "biomarker.metrics.scoring_rules",
    "log_loss": "biomarker.metrics.scoring_rules",
    "net_benefit": "biomarker.metrics.decision_curve",
    "response_brier": "biomarker.metrics.scoring_rules",
    "response_calibration": "biomarker.metrics.calibration_measures",
    "roc_auc": "biomarker.metrics.discrimination",
    "survival_net_benefit": "biomarker.metrics.decision_curve",
    "time_dependent_auc": "biomarker.metrics.discrimination",
    "uno_concordance_index": "biomarker.metrics.discrimination",
}
__all__ = [
    "CalibrationResult",
    "MetricEstimate",
    "NetBenefit",
    "TimedEstimate",
    "brier_score",
    "brier_skill",
    "calibration",
    "concordance_index",
    "integrated_brier_score",
    "integrated_brier_skill",
    "log_loss",
    "net_benefit",
    "response_brier",
    "response_calibration",
    "roc_auc",
    "survival_net_benefit",
    "time_dependent_auc",
    "uno_concordance_index",
]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
