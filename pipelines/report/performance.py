"""How well every model of an endpoint does: figures, the table of all numbers, and the headline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from biomarker.figures.performance import Mark, Panel, interval_panels, number
from biomarker.validation.performance import PerformanceEstimate
from pipelines.limits import beats_chance
from pipelines.report.parts import Figure, Table
from pipelines.report.words import (
    METRICS,
    Metric,
    amount,
    fallback_labels,
    interval_words,
    time_words,
)
from pipelines.results import ModelRun
from pipelines.summary import EndpointSummary

__all__ = ["Headline", "Performance", "metric_words", "model_table", "performance"]

_MAIN = {"survival": "uno_concordance_index", "response": "roc_auc"}
_SHOWN = {
    "survival": ("uno_concordance_index", "time_dependent_auc", "integrated_brier_skill"),
    "response": ("roc_auc", "response_brier", "log_loss"),
}
_AGREEING = ("calibration_slope", "observed_expected")
_DOTS = (
    "Dots: out-of-fold estimates. Bars: 95% intervals. Dashed line: a model that ignores the "
    "patient. Highlighted: the model kept."
)
_BETTER = {"higher": "higher", "lower": "lower", "nearer": "nearer the line"}
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
class Performance:
    """What the performance section shows of one endpoint.

    Attributes
    ----------
    meanings : tuple of (str, str)
        Each metric and the sentence for a reader who does not know it.
    covers : tuple of (str, str)
        Metrics, and what their intervals say they cover.
    not_estimable : tuple of str
        Why a metric has no value.
    """

    headline: Headline
    figure: Figure
    agreement: Figure
    table: Table
    meanings: tuple[tuple[str, str], ...]
    covers: tuple[tuple[str, str], ...]
    not_estimable: tuple[str, ...]


def performance(
    models: Sequence[ModelRun], best: ModelRun, summary: EndpointSummary, key: str, what: str
) -> Performance:
    """Every model's estimates beside a model that ignores the patient.

    Parameters
    ----------
    models : sequence of ModelRun
        Of one endpoint.
    best : ModelRun
        The one kept.
    summary : EndpointSummary
    key : str
        Letters, digits and hyphens; starts every id.
    what : str
        What is counted: patients, or their rows.
    """
    nulls = _nulls(summary)
    return Performance(
        headline=_headline(models, best, nulls, summary, key, what),
        figure=_interval_figure(
            _panels(models, best, _SHOWN[best.kind], nulls, summary),
            f"{key}-performance",
            "Out-of-fold performance of every model",
        ),
        agreement=_interval_figure(
            _panels(models, best, _AGREEING, nulls, summary),
            f"{key}-slope",
            "Calibration of every model",
            _AGREEMENT,
        ),
        table=_performance_table(models, best, nulls, summary),
        meanings=_meanings(dict.fromkeys(p.metric for p in best.nested.performance)),
        covers=_covers(best),
        not_estimable=_reasons(models, summary),
    )


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
    rows = tuple(
        (
            panel.title,
            mark.label,
            interval_words(mark.value, mark.low, mark.high),
            number(panel.null),
            _BETTER[panel.better],
        )
        for panel in panels
        for mark in panel.marks
    )
    return Figure(
        key,
        title,
        drawn,
        f"Dots with 95% intervals. {said}." if said else "No estimate.",
        caption,
        Table(
            f"{title}.",
            ("Metric", "Model", "Estimate (95%)", "Dashed line", "Better"),
            rows,
            numeric=False,
        )
        if rows
        else None,
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
        value=number(main.value),
        interval=f"{number(main.low)} to {number(main.high)}"
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


def model_table(models: Sequence[ModelRun], best: ModelRun) -> Table:
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
