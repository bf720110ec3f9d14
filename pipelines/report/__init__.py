"""One self-contained HTML page that says what a training run found and what it cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.evidence_results import Evidence
    from pipelines.results import StudyRun

__all__ = ["render_evidence", "render_report", "report_figures"]


def render_report(run: StudyRun) -> str:
    """Write a run's report as one HTML document that needs no network.

    Parameters
    ----------
    run : StudyRun
        Everything one training call found.

    Returns
    -------
    str
        The document; the same run gives the same bytes. Holds no patient id and no row of the
        file; every name that came from the study or the file is escaped.
    """
    from pipelines.report.document import render

    return render(run)


def render_evidence(evidence: Evidence, source_name: str, started: str) -> str:
    """Write an assessment as one HTML document that needs no network.

    Parameters
    ----------
    evidence : Evidence
    source_name : str
        Of the data file, without its folder.
    started : str
        When the run began.

    Returns
    -------
    str
        The document, as :func:`render_report` makes them.
    """
    from pipelines.report.document import render_alone

    return render_alone(evidence, source_name, started)


def report_figures(run: StudyRun) -> dict[str, str]:
    """Every figure of a run's report as an SVG that stands alone.

    Parameters
    ----------
    run : StudyRun

    Returns
    -------
    dict of str to str
        Name of the figure, such as ``os-km-risk``, to one ``<svg>`` element.
    """
    from pipelines.report.document import figures

    return figures(run)
