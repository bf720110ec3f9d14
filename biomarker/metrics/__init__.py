"""How good predictions are: discrimination, scoring rules, calibration, net benefit."""

from biomarker._lazy import lazy_names

_HOMES = {
    "CalibrationResult": "biomarker.metrics.calibration",
    "MetricEstimate": "biomarker.metrics.estimate",
    "NetBenefit": "biomarker.metrics.net_benefit",
    "TimedEstimate": "biomarker.metrics.estimate",
    "brier_score": "biomarker.metrics.scoring_rules",
    "brier_skill": "biomarker.metrics.scoring_rules",
    "calibration": "biomarker.metrics.calibration",
    "concordance_index": "biomarker.metrics.discrimination",
    "integrated_brier_score": "biomarker.metrics.scoring_rules",
    "log_loss": "biomarker.metrics.scoring_rules",
    "net_benefit": "biomarker.metrics.net_benefit",
    "response_brier": "biomarker.metrics.scoring_rules",
    "response_calibration": "biomarker.metrics.calibration",
    "roc_auc": "biomarker.metrics.discrimination",
    "survival_net_benefit": "biomarker.metrics.net_benefit",
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
