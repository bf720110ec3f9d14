"""What the data can carry: prognostic, predictive or not established; sample size; cut-points."""

from biomarker._lazy import lazy_names

__all__ = ["EvidenceResult", "Verdict", "assess"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "EvidenceResult": "biomarker.evidence.assessment",
        "Verdict": "biomarker.evidence.verdict",
        "assess": "biomarker.evidence.assessment",
    },
)
