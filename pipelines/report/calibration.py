"""Observed against predicted, one plot a horizon, from out-of-fold predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from biomarker.errors import NotEstimableError
from biomarker.figures.performance import calibration_plot
from biomarker.metrics.calibration_measures import calibration, response_calibration
from pipelines.report.parts import Figure, Table
from pipelines.report.tables import counted
from pipelines.report.words import time_words
from pipelines.results import ModelRun, StudyRun
from pipelines.summary import EndpointSummary

__all__ = ["calibration_figures"]


def calibration_figures(
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
        f"{unit_counted}. Slope, intercept and observed over expected, over all repeats and with "
        "their intervals, stand beside it and in the performance table.",
        Table(
            f"Fifths of predicted probability: {what}.",
            ("Fifth", unit_counted.capitalize(), "Predicted", "Observed", "95% interval"),
            rows,
        ),
    )
