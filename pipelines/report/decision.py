"""Would acting on the forecast help? Decision curves from out-of-fold predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.figures.decision import decision_curve
from biomarker.figures.performance import number
from biomarker.metrics.decision_curve import NetBenefit, net_benefit, survival_net_benefit
from pipelines.report.parts import Figure, Table
from pipelines.report.tables import counted
from pipelines.report.words import time_words
from pipelines.results import ModelRun, StudyRun
from pipelines.summary import EndpointSummary

__all__ = ["decision_figures"]

Floats = npt.NDArray[np.float64]

# Thresholds in steps of 1%, and of those every tenth (or fifth of a short axis) is printed.
_STEP = 0.01
_SHORT = 0.4
_HIGHEST = 0.95


def decision_figures(
    run: StudyRun, best: ModelRun, summary: EndpointSummary, key: str
) -> tuple[Figure, ...]:
    """One curve a horizon (one of a response), from the first repeat's pooled predictions.

    A horizon whose net benefit cannot be estimated has none.
    """
    y, nested = run.cohort.outcomes[summary.name].y, best.nested
    figures = []
    if nested.horizon_survival is not None:
        for i, horizon in enumerate(map(float, nested.horizons)):
            survival = nested.horizon_survival[0, :, i]
            thresholds = _thresholds(1.0 - survival)
            try:
                found = survival_net_benefit(y, y, survival, horizon, thresholds)
            except NotEstimableError:
                continue
            what = f"event by {time_words(horizon, summary.unit or '')}"
            figures.append(_figure(found, what, f"{key}-decision-{i}", best, counted(run)))
    elif nested.response is not None:
        probability = nested.response[0]
        found = net_benefit(y, probability, _thresholds(probability))
        figures.append(_figure(found, "response", f"{key}-decision-0", best, counted(run)))
    return tuple(figures)


def _thresholds(probability: Any) -> Floats:
    """From 1% in whole percents to the highest probability the model gives, at most 95%."""
    top = float(np.clip(np.nanmax(probability), 0.1, _HIGHEST))
    return np.asarray(_STEP * np.arange(1, int(np.ceil(top / _STEP - 1e-9)) + 1))


def _printed(thresholds: Floats) -> list[int]:
    """Positions of the round thresholds that the table prints."""
    every = 5 if thresholds[-1] <= _SHORT else 10
    return [i for i in range(len(thresholds)) if (i + 1) % every == 0]


def _figure(found: NetBenefit, what: str, key: str, best: ModelRun, unit_counted: str) -> Figure:
    marked = _printed(found.thresholds)
    rows = tuple(
        (
            f"{100 * found.thresholds[i]:.0f}%",
            f"{_hundred(found.value[i])} ({_hundred(found.low[i])} to {_hundred(found.high[i])})",
            _hundred(found.treat_all[i]),
            "0",
        )
        for i in marked
    )
    said = "; ".join(f"at {r[0]} {r[1]}, everyone {r[2]}" for r in rows)
    return Figure(
        key,
        f"Acting on the forecast: {what}",
        decision_curve(found, name=key, outcome=what, marked=marked),
        f"Decision curve for {what}, net true positives per 100 {unit_counted}. {said}.",
        "Net benefit: true positives per 100, less false positives weighted by the odds of the "
        "threshold. Of use where the curve lies above both other lines at thresholds one would act "
        f"on. Out-of-fold predictions ({best.name}), first repeat: {found.n_patients:,} "
        f"{unit_counted}. The band holds the predictions fixed.",
        Table(
            f"Net true positives per 100 {unit_counted}: {what}.",
            ("Threshold", "By the model (95%)", "Everyone", "No one"),
            rows,
        ),
    )


def _hundred(value: float) -> str:
    return number(100 * float(value), 1)
