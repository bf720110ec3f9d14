"""A document of the pack as one HTML page in the report's own frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import ChoiceLoader, PackageLoader

from pipelines.pack.artefacts import Artefact
from pipelines.pack.fields import Checklist
from pipelines.report.document import environment, page
from pipelines.results import StudyRun

__all__ = ["render"]


def render(
    run: StudyRun,
    document: Checklist,
    artefacts: Sequence[Artefact],
    counts: Mapping[str, int],
) -> str:
    """One self-contained page: no request, no patient, every name escaped.

    Parameters
    ----------
    run : StudyRun
        For the page's head alone.
    document : Checklist
    artefacts : sequence of Artefact
        Listed with their hashes at the end.
    counts : mapping of str to int
        Items by status.
    """
    here = environment()
    frame = PackageLoader("pipelines.report", "templates")
    here.loader = ChoiceLoader([PackageLoader("pipelines.pack", "templates"), frame])
    return page(
        "pack.html.j2",
        here,
        doc=document,
        artefacts=artefacts,
        counts=counts,
        summary=run.summary,
        source_name=run.source_name,
        started=run.started,
    )
