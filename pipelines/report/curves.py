"""Survival curves by risk group and by arm with their numbers at risk, and the follow-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.figures.survival import at_risk, survival_curves
from biomarker.survival.curves import KaplanMeier, kaplan_meier, reverse_kaplan_meier
from pipelines.report.parts import Figure, Table
from pipelines.report.tables import arm_label, arm_names, counted
from pipelines.report.words import amount, percent, time_words
from pipelines.results import ModelRun, StudyRun
from pipelines.summary import EndpointSummary

__all__ = ["Curves", "curves"]

Bools = npt.NDArray[np.bool_]

RISK_GROUPS = ("low risk", "middle risk", "high risk")


@dataclass(frozen=True)
class Curves:
    """Kaplan-Meier figures and how long patients were followed; empty for a response."""

    figures: tuple[Figure, ...] = ()
    follow_up: Table | None = None


def curves(run: StudyRun, summary: EndpointSummary, best: ModelRun, key: str) -> Curves:
    """Kaplan-Meier by out-of-fold risk group and by arm, and how long patients were followed."""
    if summary.kind != "survival":
        return Curves()
    outcome, unit = run.cohort.outcomes[summary.name], summary.unit or ""
    group = best.nested.risk_group[0]
    by_risk = {
        label: kaplan_meier(outcome.y[group == code])
        for code, label in enumerate(RISK_GROUPS)
        if np.any(group == code)
    }
    figures = [
        _curve_figure(
            by_risk,
            unit,
            f"{key}-km-risk",
            f"{summary.label} by out-of-fold risk group",
            f"Risk from models ({best.name}) that had not seen the patient; groups are thirds cut "
            "at the training patients' risks of the patient's own fold, first repeat.",
            run.time_plans.get(summary.name),
            counted(run),
            (0, 3, 1),
        )
    ]
    arms = [(name, mask[outcome.included]) for name, mask in arm_names(run.cohort)]
    if arms:
        by_arm = {name: kaplan_meier(outcome.y[mask]) for name, mask in arms if mask.any()}
        randomised = run.cohort.study.randomised
        note = (
            ""
            if randomised
            else "Arms were not declared randomised: the curves compare the patients who got each "
            "treatment, not the treatments."
        )
        figures.append(
            _curve_figure(
                by_arm,
                unit,
                f"{key}-km-arm",
                f"{summary.label} by arm ({arm_label(run.cohort)})",
                note or "Arms as randomised; unadjusted.",
                run.time_plans.get(summary.name),
                counted(run),
            )
        )
    groups: list[tuple[str, Bools]] = [("All", np.ones(len(outcome.y), bool)), *arms]
    return Curves(tuple(figures), _follow_up(outcome.y, groups, unit, counted(run)))


def _curve_figure(
    curves: dict[str, KaplanMeier],
    unit: str,
    key: str,
    title: str,
    caption: str,
    plan: Any,
    unit_counted: str,
    shades: tuple[int, ...] = (0, 1),
) -> Figure:
    marks = [0.0, *(plan.horizons if plan is not None else ())]
    head = ["Group", unit_counted.capitalize(), "Events", f"Median, {unit} (95%)"]
    head += [f"At {time_words(t, unit)} (95%)" for t in marks[1:]]
    rows = tuple((name, *_curve_cells(curve, marks[1:])) for name, curve in curves.items())
    said = "; ".join(
        f"{row[0]}: {row[1]} {unit_counted}, {row[2]} events, median {row[3]}" for row in rows
    )
    return Figure(
        key,
        title,
        survival_curves(curves, unit=unit, name=key, shades=shades),
        f"Kaplan–Meier curves with numbers at risk. {title}. {said}.",
        caption + f" Bands: 95% pointwise. At risk at t: {unit_counted} with T ≥ t.",
        Table(f"{title}.", tuple(head), rows),
    )


def _curve_cells(curve: KaplanMeier, marks: Sequence[float]) -> list[str]:
    median = curve.median
    cells = [
        f"{curve.n_patients:,}",
        f"{curve.n_events.sum():,.0f}",
        f"{amount(median.value)} ({amount(median.low)} to {amount(median.high)})",
    ]
    for time in marks:
        try:
            value = float(curve.survival_at([time])[0])
        except NotEstimableError:
            cells.append("beyond follow-up")
            continue
        low, high = (float(v[0]) for v in curve.interval_at([time]))
        at = int(at_risk(curve, [time])[0])
        cells.append(
            f"{percent(value, 1)} ({percent(low, 1)} to {percent(high, 1)}), {at:,} at risk"
        )
    return cells


def _follow_up(y: Any, groups: Sequence[tuple[str, Bools]], unit: str, unit_counted: str) -> Table:
    rows = []
    for name, mask in groups:
        if not mask.any():
            continue
        followed = reverse_kaplan_meier(y[mask]).median
        rows.append(
            (
                name,
                f"{int(mask.sum()):,}",
                f"{amount(followed.value)} ({amount(followed.low)} to {amount(followed.high)})",
                amount(float(y["duration"][mask].max())),
            )
        )
    return Table(
        "Follow-up by reverse Kaplan–Meier.",
        ("Group", unit_counted.capitalize(), f"Median, {unit} (95%)", f"Longest, {unit}"),
        tuple(rows),
        note="Median follow-up: the time by which half of the patients would have been censored "
        "had no event intervened.",
    )
