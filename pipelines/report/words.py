"""The report's fixed words: what a metric is called, what it means to ignore the patient."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from biomarker.figures.performance import number

__all__ = [
    "CAUTION",
    "METRICS",
    "Metric",
    "amount",
    "fallback_labels",
    "interval_words",
    "labelled",
    "lower_first",
    "percent",
    "significant",
    "time_words",
]

CAUTION = (
    "Attribution describes this model, not biology and not treatment: a column moves the "
    "prediction because it is associated with the outcome in these data, directly or through "
    "columns it travels with. It says nothing about what would happen if the column were changed."
)


@dataclass(frozen=True)
class Metric:
    """How one metric is named and read.

    Attributes
    ----------
    label : str
        With ``{at}`` where a time belongs.
    better : str
        ``higher``, ``lower`` or ``nearer``.
    null : float or None
        Value of a model that ignores the patient, or the ideal for ``nearer``; None where it
        depends on the data.
    meaning : str
        One sentence for a reader who does not know it.
    """

    label: str
    better: str
    null: float | None
    meaning: str


METRICS: dict[str, Metric] = {
    "uno_concordance_index": Metric(
        "Uno’s concordance index, up to {at}",
        "higher",
        0.5,
        "The share of patient pairs whose order of events the risk gets right, weighted for "
        "censoring.",
    ),
    "concordance_index": Metric(
        "Harrell’s concordance index",
        "higher",
        0.5,
        "The same share among pairs that censoring leaves comparable; it leans with the amount "
        "of censoring.",
    ),
    "integrated_brier_score": Metric(
        "Integrated Brier score, up to {at}",
        "lower",
        None,
        "Mean squared distance between predicted survival and what happened, over time.",
    ),
    "integrated_brier_skill": Metric(
        "Integrated Brier skill, up to {at}",
        "higher",
        0.0,
        "The share of the Kaplan–Meier curve's error that the model removes.",
    ),
    "time_dependent_auc": Metric(
        "AUC at {at}",
        "higher",
        0.5,
        "The share of pairs, one with the event by then and one without, that the risk orders "
        "rightly.",
    ),
    "brier_score": Metric(
        "Brier score at {at}",
        "lower",
        None,
        "Mean squared distance between predicted survival and what happened, at one time.",
    ),
    "brier_skill": Metric(
        "Brier skill at {at}",
        "higher",
        0.0,
        "The share of the Kaplan–Meier curve's error that the model removes, at one time.",
    ),
    "calibration_slope": Metric(
        "Calibration slope{when}",
        "nearer",
        1.0,
        "Below 1 the predictions are too extreme, above 1 too timid.",
    ),
    "calibration_intercept": Metric(
        "Calibration intercept{when}",
        "nearer",
        0.0,
        "Above 0 the predicted probabilities are too low on average, below 0 too high.",
    ),
    "observed_expected": Metric(
        "Observed over expected{when}",
        "nearer",
        1.0,
        "Above 1 more happened than was predicted.",
    ),
    "ici": Metric(
        "Integrated calibration index{when}",
        "lower",
        None,
        "Mean distance between predicted and smoothed observed probability.",
    ),
    "roc_auc": Metric(
        "Area under the ROC curve",
        "higher",
        0.5,
        "The share of pairs of a responder and a non-responder that the probability orders "
        "rightly.",
    ),
    "response_brier": Metric(
        "Brier score",
        "lower",
        None,
        "Mean squared distance between predicted probability and response.",
    ),
    "log_loss": Metric(
        "Log loss",
        "lower",
        None,
        "Mean of minus the log probability given to what happened.",
    ),
}


def fallback_labels(name: str) -> Metric:
    """A metric this file does not know, under its own name."""
    return Metric(name.replace("_", " ") + "{when}", "higher", None, "")


def time_words(value: float, unit: str) -> str:
    """A time with its unit: ``24 months``.

    Examples
    --------
    >>> time_words(1095.0, "days"), time_words(1.0, "years")
    ('1,095 days', '1 year')
    """
    return f"{amount(value)} {unit.removesuffix('s') if value == 1 else unit}"


def amount(value: float) -> str:
    """A time at three significant digits, whole from a thousand on; infinity was not reached."""
    if not math.isfinite(value):
        return "not reached" if value > 0 else "–"
    return significant(value)


def significant(value: float, digits: int = 3) -> str:
    """A measured quantity at three significant digits, never in powers of ten.

    Examples
    --------
    >>> significant(0.012345), significant(48213.0)
    ('0.0123', '48,213')
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "−")


def percent(part: float, whole: float) -> str:
    """A share in per cent; an en dash of nothing."""
    if whole == 0:
        return "–"
    share = 100 * part / whole
    return f"{share:.0f}%" if share >= 10 or share == 0 else f"{share:.1f}%"


def interval_words(value: float | None, low: float | None, high: float | None) -> str:
    """``0.681 (0.640 to 0.722)``, without the bracket where no interval exists."""
    words = number(value)
    if low is None or high is None:
        return words
    return f"{words} ({number(low)} to {number(high)})"


def labelled(sentence: str, marker: str, endpoint: str, labels: tuple[str, str]) -> str:
    """A verdict's sentence, under its marker and endpoint, in the words a reader knows them by.

    Only the places where the sentence names them are touched, whatever they are called: at its
    head, where they stand above it anyway, they go. p-values get the zero they have in tables.

    Parameters
    ----------
    sentence, marker, endpoint : str
        As the verdict has them.
    labels : pair of str
        Of the marker and of the endpoint.

    Examples
    --------
    >>> labelled("hb, os: predictive effect not established. Adjusted p .250.", "hb", "os",
    ...          ("Haemoglobin", "overall survival"))
    'Predictive effect not established. Adjusted p 0.250.'
    """
    label, outcome = labels
    for before, after in (
        (f"{marker}, {endpoint}: predictive", "predictive"),
        (f" {endpoint} differs by {marker} ", f" {outcome} differs by {label} "),
        (f"{marker} is associated with {endpoint} ", f"{label} is associated with {outcome} "),
        (f"{marker}: association with {endpoint} ", f"{label}: association with {outcome} "),
        (f"it is associated with {endpoint} (", f"it is associated with {outcome} ("),
        (f"an association with {endpoint} is not", f"an association with {outcome} is not"),
    ):
        sentence = sentence.replace(before, after, 1)
    sentence = f"{sentence[:1].upper()}{sentence[1:]}"
    return re.sub(r"\bp (<? ?)\.(\d)", r"p \g<1>0.\2", sentence)


def lower_first(label: str) -> str:
    """A label inside a sentence: lower first letter unless it starts an abbreviation.

    Examples
    --------
    >>> lower_first("Overall survival"), lower_first("VEGF, serum")
    ('overall survival', 'VEGF, serum')
    """
    return label[:1].lower() + label[1:] if label[1:2].islower() else label
