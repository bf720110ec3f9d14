"""One endpoint's pages: performance, calibration, survival curves and attribution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.figures.performance import Mark, Panel, calibration_plot, interval_panels, number
from biomarker.figures.survival import at_risk, survival_curves
from biomarker.metrics.calibration_measures import calibration, response_calibration
from biomarker.survival.curves import KaplanMeier, kaplan_meier, reverse_kaplan_meier
from biomarker.validation.performance import PerformanceEstimate
from pipelines.limits import beats_chance
from pipelines.report.explanation import Explanation, explanation
from pipelines.report.parts import Figure, Table
from pipelines.report.tables import arm_label, arm_names, missing_figure, missingness
from pipelines.report.words import (
    METRICS,
    Metric,
    amount,
    fallback_labels,
    interval_words,
    percent,
    time_words,
)
from pipelines.results import ModelRun, StudyRun
from pipelines.summary import EndpointSummary

__all__ = ["EndpointPage", "Headline", "endpoint_page", "metric_words"]

Bools = npt.NDArray[np.bool_]

RISK_GROUPS = ("low risk", "middle risk", "high risk")
_MAIN = {"survival": "uno_concordance_index", "response": "roc_auc"}
_SHOWN = {
    "survival": ("uno_concordance_index", "time_dependent_auc", "integrated_brier_skill"),
    "response": ("roc_auc", "response_brier", "log_loss"),
}


_DOTS = (
    "Dots: out-of-fold estimates. Bars: 95% intervals. Dashed line: a model that ignores the "
    "patient. Highlighted: the model kept."
)
_AGREEMENT = (
    "Dots: out-of-fold estimates. Bars: 95% intervals. Dashed line: perfect agreement. "
    "Highlighted: the model kept."
)


@dataclass(frozen=True)
class Headline:
    """What the first page says of an endpoint.

    Attributes
    ----------
    above_chance : bool
        Whether the whole interval of the main metric lies above what chance gives.
    """

    label: str
    model: str
    metric: str
    value: str
    interval: str
    null: str
    better: str
    n_patients: int
    counted: str
    n_events: int
    happened: str
    above_chance: bool
    reading: str
    figure: Figure


@dataclass(frozen=True)
class EndpointPage:
    """Everything the report shows of one endpoint."""

    key: str
    name: str
    label: str
    kind: str
    headline: Headline
    performance: Figure
    meanings: tuple[tuple[str, str], ...]
    table: Table
    covers: tuple[tuple[str, str], ...]
    not_estimable: tuple[str, ...]
    agreement: Figure
    calibration: tuple[Figure, ...]
    curves: tuple[Figure, ...]
    curves_note: str
    follow_up: Table | None
    missing: Table
    missing_figure: Figure | None
    explanation: Explanation
    models: Table


def endpoint_page(run: StudyRun, summary: EndpointSummary, key: str) -> EndpointPage:
    """Gather one endpoint's results.

    Parameters
    ----------
    run : StudyRun
    summary : EndpointSummary
    key : str
        Letters, digits and hyphens; starts every id of this endpoint's figures.
    """
    models = [model for model in run.models if model.endpoint == summary.name]
    best = next(m for m in models if m.name == run.best[summary.name])
    nulls = _nulls(summary)
    shown = _panels(models, best, _SHOWN[best.kind], nulls, summary)
    curves, note, follow_up = _curves(run, summary, best, key)
    headline = _headline(models, best, nulls, summary, key, counted(run))
    return EndpointPage(
        key=key,
        name=summary.name,
        label=summary.label,
        kind=summary.kind,
        headline=headline,
        performance=_interval_figure(
            shown, f"{key}-performance", "Out-of-fold performance of every model"
        ),
        meanings=_meanings(dict.fromkeys(p.metric for p in best.nested.performance)),
        table=_performance_table(models, best, nulls, summary),
        covers=_covers(best),
        not_estimable=_reasons(models, summary),
        agreement=_interval_figure(
            _panels(models, best, ("calibration_slope", "observed_expected"), nulls, summary),
            f"{key}-slope",
            "Calibration of every model",
            _AGREEMENT,
        ),
        calibration=_calibration(run, best, summary, key),
        curves=curves,
        curves_note=note,
        follow_up=follow_up,
        missing=missingness(run.summary, run.cohort, summary.name),
        missing_figure=missing_figure(run.summary, run.cohort, summary.name, f"{key}-missing"),
        explanation=explanation(run, models, best, key, headline.above_chance),
        models=_model_table(models, best),
    )


def counted(run: StudyRun) -> str:
    """What counts, curves and calibration plots count: patients, or their rows."""
    return "patients" if run.summary.n_rows == run.summary.n_patients else "rows"


# --- performance ----------------------------------------------------------------------------------


def metric_words(estimate: PerformanceEstimate, unit: str | None) -> str:
    """A metric's name with its time and unit."""
    metric = METRICS.get(estimate.metric, fallback_labels(estimate.metric))
    at = time_words(estimate.horizon, unit or "") if estimate.horizon is not None else ""
    return metric.label.format(at=at, when=f" at {at}" if at else "")


def _metric(name: str) -> Metric:
    return METRICS.get(name, fallback_labels(name))


def _nulls(summary: EndpointSummary) -> dict[str, float]:
    """What a model scores that gives every patient the same answer; from counts alone."""
    nulls = {name: metric.null for name, metric in METRICS.items() if metric.null is not None}
    if summary.kind == "response":
        share = summary.n_events / summary.n_patients
        nulls["response_brier"] = share * (1 - share)
        nulls["log_loss"] = float(-share * np.log(share) - (1 - share) * np.log(1 - share))
    return nulls


def _panels(
    models: Sequence[ModelRun],
    best: ModelRun,
    names: Sequence[str],
    nulls: dict[str, float],
    summary: EndpointSummary,
) -> list[Panel]:
    """One panel for every metric and horizon, with a mark for each model that has it."""
    panels = []
    for wanted in names:
        for slot in (p for p in best.nested.performance if p.metric == wanted):
            marks = []
            for model in models:
                found = _same(model, slot)
                if found is not None and found.value is not None:
                    marks.append(
                        Mark(model.name, found.value, found.low, found.high, model is best)
                    )
            if marks:
                panels.append(
                    Panel(
                        metric_words(slot, summary.unit),
                        _metric(wanted).better,
                        nulls.get(wanted),
                        tuple(marks),
                    )
                )
    return panels


def _same(model: ModelRun, slot: PerformanceEstimate) -> PerformanceEstimate | None:
    """A model's estimate of the same metric at the same time."""
    return next(
        (
            p
            for p in model.nested.performance
            if p.metric == slot.metric and p.horizon == slot.horizon
        ),
        None,
    )


def _interval_figure(panels: Sequence[Panel], key: str, title: str, caption: str = _DOTS) -> Figure:
    """Panels as a figure, its numbers in the alternative text."""
    said = "; ".join(
        f"{panel.title}: "
        + ", ".join(f"{m.label} {interval_words(m.value, m.low, m.high)}" for m in panel.marks)
        + (f"; reference {number(panel.null)}" if panel.null is not None else "")
        for panel in panels
    )
    drawn = interval_panels(panels, name=key) if panels else ""
    return Figure(
        key,
        title,
        drawn,
        f"Dots with 95% intervals. {said}." if said else "No estimate.",
        caption,
    )


def _performance_table(
    models: Sequence[ModelRun],
    best: ModelRun,
    nulls: dict[str, float],
    summary: EndpointSummary,
) -> Table:
    """Every metric of every model with its interval beside the null model."""
    rows: list[tuple[str, ...]] = []
    counted: list[int] = []
    for slot in best.nested.performance:
        null = nulls.get(slot.metric)
        cells = []
        for model in models:
            found = _same(model, slot)
            cells.append(
                "not estimable"
                if found is None or found.value is None
                else interval_words(found.value, found.low, found.high)
            )
        name = metric_words(slot, summary.unit)
        counted.append(slot.n_patients)
        rows.append((name, "–" if null is None else amount(round(null, 3)), *cells))
    low, high = min(counted), max(counted)
    patients = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return Table(
        f"Out-of-fold performance in {patients} patients: estimate (95% interval).",
        (
            "Metric",
            "No patient information",
            *(f"{m.name} (kept)" if m is best else m.name for m in models),
        ),
        tuple(rows),
        note="No patient information: what a model scores that gives every patient the same "
        "answer, or the ideal value for calibration. Skill compares with the Kaplan–Meier curve "
        "of the training patients. Times stand with their unit; all other numbers have none."
        if summary.kind == "survival"
        else "No patient information: what a model scores that gives every patient the overall "
        "share of responses, or the ideal value for calibration. These numbers have no unit.",
    )


def _reasons(models: Sequence[ModelRun], summary: EndpointSummary) -> tuple[str, ...]:
    """Why some metric could not be estimated, once per metric."""
    found = {
        f"{metric_words(p, summary.unit)}: {p.reason}": None
        for model in models
        for p in model.nested.performance
        if p.value is None and p.reason
    }
    return tuple(found)


def _meanings(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """What each of these metrics says."""
    found = [_metric(name) for name in names]
    return tuple((m.label.format(at="a time", when=""), m.meaning) for m in found if m.meaning)


def _covers(best: ModelRun) -> tuple[tuple[str, str], ...]:
    """What the intervals say they cover, each sentence once with the metrics it is about."""
    told: dict[str, dict[str, None]] = {}
    for found in best.nested.performance:
        if found.low is not None:
            name = _metric(found.metric).label.format(at="", when="")
            short = name.removesuffix(", up to ").removesuffix(" at ")
            told.setdefault(found.covers, {})[short] = None
    return tuple((", ".join(names), said) for said, names in told.items())


def _headline(
    models: Sequence[ModelRun],
    best: ModelRun,
    nulls: dict[str, float],
    summary: EndpointSummary,
    key: str,
    what: str,
) -> Headline:
    """The main metric of the model kept, beside chance, with the words it allows."""
    wanted = _MAIN[best.kind]
    main = next(p for p in best.nested.performance if p.metric == wanted)
    null = nulls[wanted]
    above = beats_chance(best)
    if main.value is None:
        reading = "It could not be estimated from these data."
    elif above:
        reading = (
            "The whole interval lies above what chance gives: in new patients of the same kind "
            "the risks order outcomes better than a coin."
        )
    else:
        reading = (
            "The interval reaches what chance gives: these data do not show that the model orders "
            "patients at all, and nothing should be read into its attributions."
        )
    panels = _panels(models, best, (wanted,), nulls, summary)
    return Headline(
        label=summary.label,
        model=best.name,
        metric=metric_words(main, summary.unit),
        value=number(main.value, 2),
        interval=f"{number(main.low, 2)} to {number(main.high, 2)}"
        if main.low is not None
        else "no interval",
        null=number(null, 2),
        better=_metric(wanted).better,
        n_patients=summary.n_patients,
        counted=what,
        n_events=summary.n_events,
        happened="events" if summary.kind == "survival" else "responses",
        above_chance=above,
        reading=reading,
        figure=_interval_figure(
            panels,
            f"{key}-headline",
            "Every model beside chance",
            f"{_metric(wanted).meaning} Bars: 95% intervals; dashed line: a model that ignores "
            "the patient.",
        ),
    )


def _model_table(models: Sequence[ModelRun], best: ModelRun) -> Table:
    """What each model is and what the final refit settled on."""
    rows = []
    for model in models:
        params = ", ".join(f"{k} = {_setting(v)}" for k, v in sorted(model.params.items()))
        rows.append(
            (
                f"{model.name} (kept)" if model is best else model.name,
                model.attribution.scale,
                params or "none",
                f"{model.nested.n_fits:,}",
                f"{model.nested.n_failed:,}",
            )
        )
    return Table(
        "Models, the scale they are explained on, and the setting tuning chose for the final fit.",
        ("Model", "Scale", "Tuned setting", "Fits in validation", "Fits not estimable"),
        tuple(rows),
        numeric=False,
    )


def _setting(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- calibration ----------------------------------------------------------------------------------


def _calibration(
    run: StudyRun, best: ModelRun, summary: EndpointSummary, key: str
) -> tuple[Figure, ...]:
    """One plot a horizon from the first repeat's pooled out-of-fold predictions."""
    y, nested = run.cohort.outcomes[summary.name].y, best.nested
    jobs: list[tuple[str, Any, Any]] = []
    if nested.horizon_survival is not None:
        for i, horizon in enumerate(map(float, nested.horizons)):
            survival = nested.horizon_survival[0, :, i]
            when = f"event by {time_words(horizon, summary.unit or '')}"
            jobs.append((when, 1.0 - survival, (horizon, survival)))
    elif nested.response is not None:
        jobs.append(("response", nested.response[0], None))
    figures = []
    for number_, (what, risk, timed) in enumerate(jobs):
        try:
            if timed is None:
                found = response_calibration(y, risk)
            else:
                found = calibration(y, y, timed[1], timed[0])
        except NotEstimableError:
            continue
        figures.append(
            _calibration_figure(found, risk, what, f"{key}-calibration-{number_}", counted(run))
        )
    return tuple(figures)


def _calibration_figure(found: Any, risk: Any, what: str, key: str, unit_counted: str) -> Figure:
    groups = found.groups
    rows = tuple(
        (
            f"{i + 1}",
            f"{groups.n_patients[i]:,}",
            f"{100 * groups.predicted[i]:.1f}%",
            f"{100 * groups.observed[i]:.1f}%",
            f"{100 * groups.low[i]:.1f}% to {100 * groups.high[i]:.1f}%"
            if np.isfinite(groups.low[i])
            else "–",
        )
        for i in range(len(groups.predicted))
    )
    said = "; ".join(f"fifth {r[0]}: predicted {r[2]}, observed {r[3]}" for r in rows)
    return Figure(
        key,
        f"Observed against predicted: {what}",
        calibration_plot(found, risk=risk, name=key, outcome=what),
        f"Calibration plot for {what}. {said}.",
        f"Out-of-fold predictions of the first repeat, pooled: {found.n_patients:,} "
        f"{unit_counted}. Slope and intercept over all repeats, with their intervals, stand in the "
        "performance table.",
        Table(
            f"Fifths of predicted probability: {what}.",
            ("Fifth", unit_counted.capitalize(), "Predicted", "Observed", "95% interval"),
            rows,
        ),
    )


# --- survival curves ------------------------------------------------------------------------------


def _curves(
    run: StudyRun, summary: EndpointSummary, best: ModelRun, key: str
) -> tuple[tuple[Figure, ...], str, Table | None]:
    """Kaplan-Meier by out-of-fold risk group and by arm, and how long patients were followed."""
    if summary.kind != "survival":
        return (), "", None
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
    note = ""
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
    return tuple(figures), note, _follow_up(outcome.y, groups, unit, counted(run))


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
