"""Beside the verdicts: the effect along a marker, cuts that own up to the scan, and milestones."""

from __future__ import annotations

import math

from biomarker.evidence.cut_scan import CutResult
from biomarker.evidence.durable import MilestoneContrast
from biomarker.evidence.effect_curve import EffectCurve
from biomarker.evidence.sentences import level_words
from biomarker.evidence.verdict import of_hazards
from biomarker.figures.evidence import effect_curve_plot
from pipelines.evidence_results import Evidence
from pipelines.evidence_text import p_words, ratio_words
from pipelines.report.parts import Figure, Table
from pipelines.report.words import significant, time_words

__all__ = ["curve_figures", "cut_table", "milestone_table", "side_table"]

_LOGARITHMIC = ("log", "log1p", "log2")
_OF_TREATMENT = "; asked of the treatment, its effect above the cut over that below"


def curve_figures(
    evidence: Evidence, endpoint: str, labels: dict[str, str], key: str
) -> tuple[Figure, ...]:
    """One plot a continuous marker: the treatment's effect in windows along it."""
    if evidence.looks is None:
        return ()
    curves = [curve for curve in evidence.looks.curves if curve.endpoint == endpoint]
    return tuple(
        _curve(evidence, curve, labels[curve.marker], f"{key}-curve-{i + 1}")
        for i, curve in enumerate(curves)
    )


def _curve(evidence: Evidence, curve: EffectCurve, label: str, key: str) -> Figure:
    column = evidence.cohort.study.columns[curve.marker]
    rows = tuple(_window(curve, i) for i in range(len(curve.at)))
    unit = f", {column.unit}" if column.unit else ""
    level = level_words(evidence.alpha)
    what = "events" if of_hazards(curve.scale) else "responses"
    ends = f"{rows[0][1]} in the lowest window, {rows[-1][1]} in the highest"
    return Figure(
        key,
        f"Effect of treatment along {label}",
        effect_curve_plot(
            curve,
            label=label,
            unit=column.unit,
            logarithmic=column.transform in _LOGARITHMIC,
            name=key,
        ),
        f"Curve of the {curve.scale}, treated against control, over {len(rows)} windows of "
        f"{label}: {ends}. p of no variation {p_words(curve.p)}.",
        f"p of no variation {p_words(curve.p)}, exploratory and unadjusted. Dots: {curve.scale} "
        f"in overlapping windows of about {curve.patients_per_window:,} patients. Dark band: "
        f"{level} pointwise intervals; light band: {level} for all windows together. Nobody needs "
        "to be called high or low.",
        Table(
            f"{label}: treated against control in each window.",
            (
                f"Window{unit}",
                f"{curve.scale.capitalize()} ({level} interval)",
                "Simultaneous band",
                f"Treated: {what} of patients",
                f"Control: {what} of patients",
            ),
            rows,
        ),
    )


def _window(curve: EffectCurve, i: int) -> tuple[str, ...]:
    """One window's numbers as printed."""
    low, high = float(curve.band_low[i]), float(curve.band_high[i])
    ratio = (float(ends[i]) for ends in (curve.ratio, curve.ratio_low, curve.ratio_high))
    return (
        f"{significant(float(curve.window_low[i]))} to {significant(float(curve.window_high[i]))}",
        ratio_words(*ratio),
        f"{_bound(low)} to {_bound(high)}",
        f"{int(curve.events_treated[i]):,} of {int(curve.n_treated[i]):,}",
        f"{int(curve.events_control[i]):,} of {int(curve.n_control[i]):,}",
    )


def _bound(ratio: float) -> str:
    """An end of a band; a thousandfold change either way bounds nothing and is not printed."""
    return significant(ratio) if 1e-3 <= ratio <= 1e3 else "no bound"


def cut_table(evidence: Evidence, endpoint: str, labels: dict[str, str]) -> Table | None:
    """Every scanned cut with its range, count, corrected p, interval and shrunken ratio."""
    cuts = _cuts(evidence, endpoint)
    if not cuts:
        return None
    rows = []
    remarks = {note: chr(ord("a") + i) for i, note in enumerate(dict.fromkeys(
        cut.note for cut in cuts if cut.note))}  # fmt: skip
    for cut in cuts:
        unit = evidence.cohort.study.columns[cut.marker].unit
        tail = f" {unit}" if unit else ""
        where = "outcome in the only arm"
        if evidence.cohort.treated is not None:
            where = "outcome under control"
        asked = where if cut.question == "prognostic" else "effect of treatment"
        rows.append(
            (
                labels[cut.marker],
                f"{asked} ({cut.n_events:,} of {cut.n_patients:,})",
                f"{significant(cut.scanned_low)} to {significant(cut.scanned_high)}{tail}; "
                f"{cut.n_cuts:,} cuts",
                p_words(cut.p_corrected),
                _place(cut, tail, remarks),
                _ratio(cut.ratio_shrunken),
                ratio_words(cut.ratio, cut.ratio_low, cut.ratio_high),
                "not estimable"
                if math.isnan(cut.out_of_fold)
                else ratio_words(cut.out_of_fold, cut.out_of_fold_low, cut.out_of_fold_high),
            )
        )
    level = level_words(evidence.alpha)
    what = "events" if of_hazards(cuts[0].scale) else "responses"
    return Table(
        "Cut-points, exploratory: what is left of the best cut once the scan is counted.",
        (
            "Marker",
            f"Asked of ({what} of patients)",
            "Scanned; cuts tried",
            "Corrected p",
            f"Best cut ({level} interval)",
            f"Shrunken {cuts[0].scale}",
            "As found (interval that counts the scan)",
            f"Out of fold ({level} interval)",
        ),
        tuple(rows),
        numeric=False,
        note="Ratios are high against low"
        + (_OF_TREATMENT if any(c.question == "interaction" for c in cuts) else "")
        + ". No verdict rests on a cut. "
        + " ".join(
            f"{letter}: {note.removeprefix('not identified: ')}."
            for note, letter in remarks.items()
        ),
    )


def _place(cut: CutResult, tail: str, remarks: dict[str, str]) -> str:
    """The cut with its interval, or that there is none; a letter leads to the reason."""
    letter = f" {remarks[cut.note]}" if cut.note else ""
    if not cut.identified:
        return f"not identified{letter}"
    ends = f"({significant(cut.cut_low)} to {significant(cut.cut_high)})"
    return f"{significant(cut.cut)}{tail} {ends}{letter}"


def side_table(evidence: Evidence, endpoint: str, labels: dict[str, str]) -> Table | None:
    """The treatment's effect on either side of each best cut, beside the corrected p."""
    rows = [
        (
            labels[cut.marker],
            f"{side.label} {significant(cut.cut)}",
            _ratio(side.shrunken),
            ratio_words(side.ratio, side.low, side.high),
            f"{side.events_treated:,} of {side.n_treated:,}",
            f"{side.events_control:,} of {side.n_control:,}",
            p_words(cut.p_corrected),
        )
        for cut in _cuts(evidence, endpoint)
        for side in cut.subgroups
    ]
    if not rows:
        return None
    return Table(
        "Effect of treatment on either side of the best cut, exploratory.",
        (
            "Marker",
            "Side",
            "Shrunken ratio",
            "As found (interval that counts the scan)",
            "Treated: events of patients",
            "Control: events of patients",
            "Corrected p of a difference",
        ),
        tuple(rows),
        numeric=False,
    )


def milestone_table(evidence: Evidence, endpoint: str, labels: dict[str, str]) -> Table | None:
    """Survival and mean event-free time at the milestones, by arm and level of every marker."""
    if evidence.looks is None:
        return None
    found = [m for m in evidence.looks.milestones if m.endpoint == endpoint]
    if not found:
        return None
    cut = any(m.display_only for m in found)
    level = level_words(evidence.alpha)
    return Table(
        "Milestones by arm and level of the marker.",
        (
            "Marker",
            "Level",
            "Measure",
            f"Treated ({level} interval)",
            f"Control ({level} interval)",
            f"Difference ({level} interval)",
            "At risk then: treated; control",
        ),
        tuple(_milestone(m, labels[m.marker]) for m in found),
        numeric=False,
        note="Kaplan–Meier, log–log intervals, unadjusted for their number; no hazards are assumed "
        "proportional. Levels are not compared with each other here: that is the interaction’s "
        "question."
        + (" A continuous marker is cut at its median for display only." if cut else ""),
    )


def _milestone(found: MilestoneContrast, label: str) -> tuple[str, ...]:
    at = time_words(found.at, found.unit)
    share = found.measure == "survival"
    factor = 100.0 if share else 1.0

    def words(value: float, low: float, high: float) -> str:
        inside = (significant(factor * end) for end in (value, low, high))
        return "{} ({} to {})".format(*inside)

    return (
        label,
        found.level,
        f"event-free at {at}, %" if share else f"mean event-free time up to {at}, {found.unit}",
        words(found.treated, found.treated_low, found.treated_high),
        words(found.control, found.control_low, found.control_high),
        words(found.difference, found.difference_low, found.difference_high),
        f"{found.at_risk_treated:,} of {found.n_treated:,}; "
        f"{found.at_risk_control:,} of {found.n_control:,}",
    )


def _cuts(evidence: Evidence, endpoint: str) -> list[CutResult]:
    if evidence.looks is None:
        return []
    return [cut for cut in evidence.looks.cuts if cut.endpoint == endpoint]


def _ratio(value: float) -> str:
    return significant(value) if math.isfinite(value) else "–"
