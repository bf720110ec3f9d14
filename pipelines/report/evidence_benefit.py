"""Whether predicted benefits hold out of fold, and what acting on them would gain."""

from __future__ import annotations

from dataclasses import dataclass

from biomarker.evidence.benefit import BenefitEvaluation, BenefitMeasure
from biomarker.evidence.sentences import level_words
from biomarker.figures.benefit_calibration import benefit_calibration_plot
from pipelines.evidence_results import Evidence
from pipelines.report.parts import Figure, Table
from pipelines.report.words import significant, time_words

__all__ = ["BenefitPart", "benefit_part"]


@dataclass(frozen=True)
class BenefitPart:
    """A rule by each marker, beside what it would show if treatment helped everybody alike."""

    measures: Table
    calibration: tuple[Figure, ...]


def benefit_part(
    evidence: Evidence, endpoint: str, labels: dict[str, str], key: str
) -> BenefitPart | None:
    """One endpoint's evaluations in a table and a plot a marker; None where none was made."""
    looks = () if evidence.looks is None else evidence.looks.benefits
    found = [one for one in looks if one.endpoint == endpoint]
    if not found:
        return None
    plots = (
        _calibration(one, labels[one.markers[0]], f"{key}-rule-{i + 1}")
        for i, one in enumerate(found)
    )
    return BenefitPart(_measures(found, labels), tuple(plots))


def _measures(found: list[BenefitEvaluation], labels: dict[str, str]) -> Table:
    rows = []
    for one in found:
        factor, unit = _factor(one), _benefit(one)[1]
        events = "responses" if one.measure == "response" else "events"
        rows.append(
            (
                labels[one.markers[0]],
                f"{one.n_treated:,} ({one.events_treated:,} {events}); "
                f"{one.n_control:,} ({one.events_control:,})",
                _words(one.c_for_benefit),
                _words(one.calibration_slope),
                _words(one.in_the_large, factor, unit),
                f"{100 * one.share_treated:.0f}%",
                _words(one.gain_over_all, factor, unit),
                _words(one.gain_over_none, factor, unit),
            )
        )
    first, worst = found[0], max(one.n_resamples_failed for one in found)
    return Table(
        "A rule by each marker, held against the randomised arms, exploratory.",
        (
            "Marker",
            "Patients treated; control",
            "C-for-benefit (.5 is chance)",
            "Observed per unit predicted (1 is ideal)",
            "Observed less predicted (0 is ideal)",
            "The rule treats",
            "Gain over treating all",
            "Gain over treating none",
        ),
        tuple(rows),
        numeric=False,
        note=f"Benefit: {_limits(found)}, treated less control, predicted out of fold from the "
        "covariates, treatment, the marker and their product. The rule treats where a benefit is "
        f"predicted; gains are means per patient. In brackets {level_words(first.alpha)} "
        f"intervals: {first.n_resamples:,} resamples of the whole fitting procedure in "
        f"{first.n_folds} folds (at most {worst:,} failed). If alike: mean and range of the same "
        f"on {first.n_null:,} sets of outcomes redrawn without any difference by marker. An "
        "estimate inside that range is no sign that the marker tells who benefits; no verdict "
        "rests on it.",
    )


def _words(measure: BenefitMeasure, factor: float = 1.0, unit: str = "") -> str:
    """``0.53 (0.42 to 0.64); if alike 0.50 (0.44 to 0.56)``."""
    tail = f" {unit}" if unit else ""
    value, low, high, null, null_low, null_high = (
        "" if number is None else significant(factor * number)
        for number in (measure.value, measure.low, measure.high, measure.null_value,
                       measure.null_low, measure.null_high)
    )  # fmt: skip
    # A rule that treats everybody gains nothing over doing so, in every resample.
    inside = f"{low} to {high}" if low else "by definition"
    return f"{value}{tail} ({inside}); if alike {null} ({null_low} to {null_high})"


def _limits(found: list[BenefitEvaluation]) -> str:
    """What benefit is, over markers whose patients were followed for different times."""
    words = list(dict.fromkeys(_benefit(one)[0] for one in found))
    if len(words) == 1:
        return words[0]
    ends = sorted(one.at for one in found)
    unit = found[0].unit
    return (
        f"mean event-free time up to {significant(ends[0])} to {time_words(ends[-1], unit)} "
        "(the longest time with a tenth of each arm at risk)"
    )


def _calibration(found: BenefitEvaluation, label: str, key: str) -> Figure:
    groups, factor = found.groups, _factor(found)
    what, unit = _benefit(found)
    level = level_words(found.alpha)
    rows = tuple(
        (
            f"{significant(factor * groups.predicted[i])} {unit}",
            f"{significant(factor * groups.observed[i])} ({significant(factor * groups.low[i])} "
            f"to {significant(factor * groups.high[i])})",
            f"{int(groups.n_treated[i]):,}",
            f"{int(groups.n_control[i]):,}",
        )
        for i in range(len(groups.predicted))
    )
    said = "; ".join(f"predicted {row[0]}, observed {row[1]}" for row in rows)
    return Figure(
        key,
        f"Benefit predicted from {label}",
        benefit_calibration_plot(groups, name=key, unit=unit, factor=factor),
        f"Benefit by groups of rising prediction from {label}: {said}.",
        f"Groups of rising predicted benefit ({what}). Bars: {level} intervals, the predictions "
        "held fixed. Dots on the dashed line: benefits as large as predicted.",
        Table(
            f"{label}: benefit by groups of rising prediction ({what}).",
            ("Predicted", f"Observed ({level} interval)", "Treated", "Control"),
            rows,
        ),
    )


def _benefit(found: BenefitEvaluation) -> tuple[str, str]:
    """What benefit is, and its unit as printed."""
    if found.measure == "response":
        return "probability of response", "points"
    at = time_words(found.at, "" if found.measure == "survival" else found.unit).strip()
    if found.measure == "survival":
        return f"probability of being event-free at {at}", "points"
    return f"mean event-free time up to {at}", found.unit


def _factor(found: BenefitEvaluation) -> float:
    """Probabilities are printed in percentage points."""
    return 1.0 if found.measure == "restricted_mean" else 100.0
