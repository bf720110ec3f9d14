"""Survival and response models behind one protocol."""

from biomarker._lazy import lazy_names

_HOMES = {
    "CoxRegression": "biomarker.models.cox",
    "WeibullAFT": "biomarker.models.parametric",
    "BoostedCox": "biomarker.models.boosted",
    "BoostedAFT": "biomarker.models.boosted",
    "LogisticResponse": "biomarker.models.response",
    "BoostedResponse": "biomarker.models.response",
}
__all__ = [
    "BoostedAFT",
    "BoostedCox",
    "BoostedResponse",
    "CoxRegression",
    "LogisticResponse",
    "WeibullAFT",
]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
