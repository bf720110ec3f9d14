"""One endpoint's pages: performance, calibration, decisions, survival curves, attribution."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.report.calibration import calibration_figures
from pipelines.report.curves import Curves, curves
from pipelines.report.decision import decision_figures
from pipelines.report.explanation import Explanation, explanation
from pipelines.report.parts import Figure, Table
from pipelines.report.performance import Performance, model_table, performance
from pipelines.report.reading import Reading, reading
from pipelines.report.tables import counted, label_of, missing_figure, missingness
from pipelines.results import StudyRun
from pipelines.summary import EndpointSummary

__all__ = ["EndpointPage", "endpoint_page"]


@dataclass(frozen=True)
class EndpointPage:
    """Everything the report shows of one endpoint that has a model."""

    key: str
    name: str
    label: str
    kind: str
    performance: Performance
    calibration: tuple[Figure, ...]
    decisions: tuple[Figure, ...]
    curves: Curves
    missing: Table
    missing_figure: Figure | None
    explanation: Explanation
    reading: Reading
    models: Table

    def figures(self) -> tuple[Figure, ...]:
        """Every figure of the page that the store keeps too."""
        told = self.explanation
        return (
            self.performance.figure,
            self.performance.agreement,
            *self.calibration,
            *self.decisions,
            *self.curves.figures,
            *told.overview,
            *told.dependence,
            *told.patients,
            *told.others,
            *self.reading.figures(),
        )


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
    told = performance(models, best, summary, key, counted(run))
    return EndpointPage(
        key=key,
        name=summary.name,
        label=summary.label,
        kind=summary.kind,
        performance=told,
        calibration=calibration_figures(run, best, summary, key),
        decisions=decision_figures(run, best, summary, key),
        curves=curves(run, summary, best, key),
        missing=missingness(run.summary, run.cohort, summary.name),
        missing_figure=missing_figure(run.summary, run.cohort, summary.name, f"{key}-missing"),
        explanation=explanation(run, models, best, key, told.headline.above_chance),
        reading=reading(
            run.readings.get(summary.name),
            {name: label_of(run.cohort, name) for name in run.cohort.features},
            key,
            summary.label,
        ),
        models=model_table(models, best),
    )
