"""How good predictions are: discrimination, scoring rules, calibration, net benefit, benefit.

No module here bears the name of a function it offers: importing the module would put the module
in the place of the function.
"""

from biomarker._lazy import lazy_names

_HOMES = {
    "BenefitCalibration": "biomarker.metrics.benefit",
    "CalibrationResult": "biomarker.metrics.calibration_measures",
    "MetricEstimate": "biomarker.metrics.estimate",
    "NetBenefit": "biomarker.metrics.decision_curve",
    "RuleGain": "biomarker.metrics.benefit",
    "TimedEstimate": "biomarker.metrics.estimate",
    "benefit_calibration": "biomarker.metrics.benefit",
    "brier_score": "biomarker.metrics.scoring_rules",
    "brier_skill": "biomarker.metrics.scoring_rules",
    "c_for_benefit": "biomarker.metrics.benefit",
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
    "rule_gain": "biomarker.metrics.benefit",
    "time_dependent_auc": "biomarker.metrics.discrimination",
    "uno_concordance_index": "biomarker.metrics.discrimination",
}
__all__ = [
    "BenefitCalibration",
    "CalibrationResult",
    "MetricEstimate",
    "NetBenefit",
    "RuleGain",
    "TimedEstimate",
    "benefit_calibration",
    "brier_score",
    "brier_skill",
    "c_for_benefit",
    "calibration",
    "concordance_index",
    "integrated_brier_score",
    "integrated_brier_skill",
    "log_loss",
    "net_benefit",
    "response_brier",
    "response_calibration",
    "roc_auc",
    "rule_gain",
    "survival_net_benefit",
    "time_dependent_auc",
    "uno_concordance_index",
]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
