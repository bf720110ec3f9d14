"""The description of a run that MLflow's page shows above everything: design, n, verdicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipelines.evidence_results import Evidence
from pipelines.results import ModelRun, StudyRun
from pipelines.summary import CohortSummary

__all__ = ["best_tags", "dataset_card", "evidence_note", "model_note", "run_note"]

_MAIN = {"survival": "uno_concordance_index", "response": "roc_auc"}


def run_note(run: StudyRun) -> str:
    """Markdown of a training run; claims no more than its verdicts."""
    summary = run.summary
    lines = [_opening(summary), ""]
    lines += [
        "| Endpoint | Patients | Events | Best model | Headline, out of fold (95% interval) |"
    ]
    lines += ["|---|---|---|---|---|"]
    for endpoint in summary.endpoints:
        if endpoint.name not in run.best:
            continue
        best = next(
            m for m in run.models
            if m.endpoint == endpoint.name and m.name == run.best[endpoint.name]
        )  # fmt: skip
        cells = (
            _plain(endpoint.label),
            f"{endpoint.n_patients:,}",
            f"{endpoint.n_events:,}",
            best.name,
            _headline(best, endpoint.unit),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *_verdict_lines(run.evidence), "", "The whole report: artifact `report.html`."]
    if run.limits:
        lines += ["", f"First limit: {_plain(run.limits[0])}"]
    return "\n".join(lines)


def evidence_note(evidence: Evidence, summary: CohortSummary) -> str:
    """Markdown of an assessment of markers."""
    return "\n".join([_opening(summary), "", *_verdict_lines(evidence)])


def model_note(run: StudyRun, model: ModelRun) -> str:
    """Markdown of one model's run."""
    endpoint = next(e for e in run.summary.endpoints if e.name == model.endpoint)
    chosen = " Candidate of its endpoint." if run.best[model.endpoint] == model.name else ""
    return (
        f"{model.name} on {_plain(endpoint.label)}, {endpoint.n_patients:,} patients, "
        f"{endpoint.n_events:,} events: {_headline(model, endpoint.unit)}.{chosen}"
    )


def dataset_card(summary: CohortSummary, source_name: str) -> dict[str, Any]:
    """What MLflow shows of the data: name, digest, declared columns, counts; no value of a row."""
    counts = {"num_rows": summary.n_rows, "num_patients": summary.n_patients}
    counts |= {f"num_events_{e.name}": e.n_events for e in summary.endpoints}
    kinds = {"continuous": "double"}
    return {
        "name": source_name,
        "digest": summary.dataset_digest,
        "columns": [(column.name, kinds.get(column.kind, "string")) for column in summary.columns],
        "profile": counts,
    }


def _opening(summary: CohortSummary) -> str:
    arms = ", ".join(f"{n:,} {arm}" for arm, n in summary.arms)
    counts = f"{summary.n_patients:,} patients{f' ({arms})' if arms else ''}"
    return f"**{_plain(summary.title)}**: {summary.design}, {counts}."


def _headline(model: ModelRun, unit: str | None) -> str:
    """The discrimination of a model with its interval and limit of time."""
    from pipelines.report.words import METRICS, interval_words, time_words

    found = next(p for p in model.nested.performance if p.metric == _MAIN[model.kind])
    at = "" if found.horizon is None else time_words(found.horizon, unit or "")
    label = METRICS[found.metric].label.format(at=at, when="")
    if found.value is None:
        return f"{label} not estimable"
    return f"{label}: {interval_words(found.value, found.low, found.high)}"


def _verdict_lines(evidence: Evidence | None) -> list[str]:
    from pipelines.evidence_text import VERDICTS, p_words

    if evidence is None:
        return ["Markers were not assessed in this run."]
    if evidence.result is None:
        return [f"Evidence not assessed: {_plain(evidence.refused)}"]
    lines = ["Verdicts on the markers:", ""]
    for verdict in evidence.verdicts:
        ratio = "interaction not estimable"
        if verdict.ratio is not None:
            ratio = f"treatment × marker ratio {verdict.ratio:.3g}"
            if verdict.ratio_low is not None and verdict.ratio_high is not None:
                ratio += f" ({verdict.ratio_low:.3g} to {verdict.ratio_high:.3g})"
            ratio += f" {_plain(verdict.contrast)}, adjusted p {p_words(verdict.p_adjusted)}"
        n = verdict.n_treated + verdict.n_control
        lines.append(
            f"- {_plain(verdict.marker)}, {_plain(verdict.endpoint)}: "
            f"{VERDICTS[verdict.verdict]}; {ratio}, n = {n:,}"
        )
    return lines


def _plain(text: str) -> str:
    """Text of a study as text: nothing in it is markup to a page that renders Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>()#+|!~])", r"\\\1", " ".join(text.split()))


def best_tags(best: Mapping[str, str]) -> dict[str, str]:
    """The model kept for each endpoint, as tags to filter and compare by."""
    return {f"best_model.{endpoint}": name for endpoint, name in best.items()}
