"""The page itself: sections in order, one escaping environment, a policy that allows no request."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import Any
from weakref import WeakKeyDictionary

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipelines.evidence_results import Evidence
from pipelines.report.endpoint import EndpointPage, endpoint_page
from pipelines.report.evidence import EvidencePage, evidence_page
from pipelines.report.first_page import answers, whom
from pipelines.report.methods import methods
from pipelines.report.quality import column_states, flow_by_arm, quality_notes
from pipelines.report.tables import arm_names, label_of, table_one
from pipelines.report.words import lower_first, percent
from pipelines.results import StudyRun
from pipelines.summary import summarise

__all__ = ["endpoint_pages", "environment", "figures", "page", "render", "render_alone"]


# The page and the store show the same figures: drawn once, forgotten with the run.
_DRAWN: WeakKeyDictionary[StudyRun, list[EndpointPage]] = WeakKeyDictionary()


def render(run: StudyRun) -> str:
    """See :func:`pipelines.report.render_report`."""
    pages = endpoint_pages(run)
    return _page(
        "report.html.j2",
        run=run,
        summary=run.summary,
        source_name=run.source_name,
        started=run.started,
        study=run.cohort.study,
        pages=pages,
        whom=whom(run.cohort.study),
        answers={page.key: answers(run, page) for page in pages},
        evidence=_evidence(run),
        baseline=table_one(run.cohort),
        flow=flow_by_arm(run.summary, run.cohort),
        states=column_states(run.summary, run.cohort),
        notes=quality_notes(run.summary, run.cohort),
        methods=methods(run),
        arm_names=[name for name, _ in arm_names(run.cohort)],
        hypotheses=_hypotheses(run),
        columns=[label_of(run.cohort, name) for name in run.cohort.features],
    )


def render_alone(evidence: Evidence, source_name: str, started: str) -> str:
    """See :func:`pipelines.report.render_evidence`."""
    return _page(
        "evidence.html.j2",
        summary=summarise(evidence.cohort),
        source_name=source_name,
        started=started,
        evidence=evidence_page(evidence),
    )


def _page(template: str, **values: Any) -> str:
    return page(template, environment(), **values)


def page(template: str, environment: Environment, /, **values: Any) -> str:
    """A template with the page's own style and script, and the policy that names the script."""
    templates = resources.files("pipelines.report") / "templates"
    script = (templates / "page.js").read_text("utf-8").strip()
    # The dark palette stands in the page twice: where the system asks for it, and the reader.
    dark = (templates / "dark.css").read_text("utf-8").strip()
    style = (templates / "page.css").read_text("utf-8").strip().replace("/* dark.css */", dark)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(
        style=_trusted(style),
        script=_trusted(script),
        script_hash=f"sha256-{digest}",
        **values,
    )


def _evidence(run: StudyRun) -> EvidencePage | None:
    return None if run.evidence is None else evidence_page(run.evidence)


def figures(run: StudyRun) -> dict[str, str]:
    """See :func:`pipelines.report.report_figures`."""
    found: dict[str, str] = {}
    for page in endpoint_pages(run):
        stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in page.name)
        for figure in page.figures():
            if figure.svg:
                found[stem + figure.key.removeprefix(page.key)] = figure.svg
    told = _evidence(run)
    return found if told is None else found | told.drawings()


def endpoint_pages(run: StudyRun) -> list[EndpointPage]:
    """Every endpoint that has a model, in declared order."""
    if run not in _DRAWN:
        _DRAWN[run] = [
            endpoint_page(run, summary, f"endpoint-{i + 1}")
            for i, summary in enumerate(run.summary.endpoints)
            if summary.name in run.best
        ]
    return _DRAWN[run]


def environment() -> Environment:
    """Escapes every name, refuses an unknown one, and covers characters that hide text."""
    environment = Environment(
        loader=PackageLoader("pipelines.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.filters["percent_of"] = percent
    environment.filters["drawing"] = _drawing
    environment.filters["unbroken"] = _unbroken
    environment.filters["lower_first"] = lower_first
    return environment


def _unbroken(cell: str) -> Markup:
    """A table cell whose bracketed interval stays on one line."""
    return Markup("").join(
        Markup('<span class="whole">{}</span>').format(part)
        if re.fullmatch(r"\([^()]*\)", part)
        else part
        for part in re.split(r"(\([^()]{1,40}\))", _clean(cell))
    )


def _trusted(text: str) -> Markup:
    """Text of this package, or of the figures, that is to stand in the page as it is."""
    return Markup(text)  # noqa: S704 - never called with a name from the study or the file


def _drawing(svg: str) -> Markup:
    """A figure's own SVG; its text was escaped when it was drawn."""
    if svg and not svg.startswith("<svg "):
        raise ValueError(f"a drawing must be one <svg> element; got {len(svg)} other characters.")
    return _trusted(svg)


def _clean(value: Any) -> Any:
    """Text without control or direction-changing characters; they could hide what is said."""
    if isinstance(value, str) and not isinstance(value, Markup) and not value.isprintable():
        return "".join(
            c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in value
        )
    return value


def _hypotheses(run: StudyRun) -> list[str]:
    """What the study wrote down beforehand, in words."""
    labels = {endpoint.name: endpoint.label for endpoint in run.summary.endpoints}
    said = []
    for item in run.summary.hypotheses:
        direction = str(item.get("direction") or "no direction stated").replace("_", " ")
        about = {
            "prognostic": "association with the outcome whatever the treatment",
            "predictive": "a treatment effect that differs by the marker (not assessed here)",
        }[item["claim"]]
        said.append(
            f"{label_of(run.cohort, item['marker'])} and "
            f"{labels.get(item['endpoint'], item['endpoint'])}: {about}, {direction}"
        )
    return said
