"""Cohort summaries and bundles in words, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.bundle import Bundle
from pipelines.summary import CohortSummary, ColumnSummary, EndpointSummary
from pipelines.terminal import table

__all__ = ["bundle_facts", "bundle_text", "summary_text"]


def summary_text(summary: CohortSummary) -> str:
    """What ``biomarker check`` prints."""
    head = f"{summary.title} ({summary.study})"
    patients = f"{summary.n_patients} patients"
    if summary.n_rows != summary.n_patients:
        patients += f" in {summary.n_rows} rows"
    arms = ", ".join(f"{count} {arm}" for arm, count in summary.arms)
    parts = [head, f"{patients} · {summary.design}" + (f" · {arms}" if arms else "")]
    parts += ["", "Endpoints", table([_endpoint(e) for e in summary.endpoints])]
    parts += ["", "Features", table([_column(c, summary) for c in summary.columns])]
    if summary.refused_as_features:
        parts += ["", "Never a feature (post-baseline): " + ", ".join(summary.refused_as_features)]
    parts += ["", "Hypotheses declared before the analysis"]
    parts.append(table(list(summary.hypotheses)) if summary.hypotheses else "(none: exploratory)")
    if summary.notices:
        parts += ["", "Notices", *(f"- {notice}" for notice in summary.notices)]
    parts += ["", f"dataset {summary.dataset_digest[:16]} · study {summary.study_digest[:16]}"]
    return "\n".join(parts)


def _endpoint(endpoint: EndpointSummary) -> dict[str, Any]:
    word = "events" if endpoint.kind == "survival" else "responses"
    row: dict[str, Any] = {
        "endpoint": endpoint.name,
        "kind": endpoint.kind + (f", {endpoint.unit}" if endpoint.unit else ""),
        "patients": endpoint.n_patients,
        "events": endpoint.n_events,
        "by arm": "; ".join(f"{a.arm} {a.n_events}/{a.n_patients} {word}" for a in endpoint.by_arm),
        "left out": "; ".join(f"{n} {why}" for why, n in endpoint.excluded.items()) or "none",
    }
    return row


def _column(column: ColumnSummary, summary: CohortSummary) -> dict[str, Any]:
    row: dict[str, Any] = {
        "column": column.name,
        "role": column.role,
        "kind": column.kind + (f", {column.unit}" if column.unit else ""),
        "missing": f"{column.n_missing} ({100 * column.n_missing / max(summary.n_rows, 1):.1f}%)",
    }
    for endpoint in summary.endpoints:
        with_event, n_event, without, n_without = column.missing_by_outcome[endpoint.name]
        row[f"by {endpoint.name}"] = f"{with_event}/{n_event} event, {without}/{n_without} none"
    limits = []
    if column.n_below_detection:
        limits.append(f"{column.n_below_detection} below")
    if column.n_above_detection:
        limits.append(f"{column.n_above_detection} above")
    row["detection"] = ", ".join(limits)
    return row


def bundle_facts(bundle: Bundle) -> dict[str, Any]:
    """What a bundle is, as JSON-able facts; counts and learned settings only."""
    return {
        **dict(bundle.description),
        "digest": bundle.digest,
        "columns": [
            {
                "name": column.name,
                "kind": column.kind,
                "unit": column.plan.rule.unit,
                "levels": list(column.plan.rule.levels),
                "missing_filled_with": column.fill,
                "features": list(column.feature_names),
            }
            for column in bundle.encoder.columns
        ],
        "features": list(bundle.encoder.feature_names),
    }


def bundle_text(bundle: Bundle) -> str:
    """What ``biomarker inspect`` prints."""
    facts = bundle_facts(bundle)
    lines = [
        f"{facts['name']}: {facts['model']} for {facts['kind']} endpoint '{facts['endpoint']}'",
        f"format {facts['format']}, release {facts['release']}, bundle {bundle.digest[:16]}",
    ]
    if facts["kind"] == "survival":
        horizons = ", ".join(f"{h:g}" for h in facts["horizons"])
        lines.append(f"gives risk (higher = worse) and survival at {horizons} {facts['unit']}")
    else:
        lines.append("gives the probability of response")
    for key in ("n_patients", "n_events"):
        if key in facts:
            lines.append(f"{key.removeprefix('n_')} in training: {facts[key]}")
    rows = [
        {
            "column": column["name"],
            "kind": column["kind"] + (f", {column['unit']}" if column["unit"] else ""),
            "levels": ", ".join(column["levels"]),
            "missing filled with": _filled(column),
        }
        for column in facts["columns"]
    ]
    lines += ["", "Columns it needs", table(rows)]
    if facts.get("performance"):
        lines += ["", "Out-of-fold performance", table(facts["performance"])]
    return "\n".join(lines)


def _filled(column: Mapping[str, Any]) -> str:
    """The level by name, or the number."""
    value, levels = column["missing_filled_with"], column["levels"]
    if column["kind"] == "arm":
        return "treated" if value else "control"
    return str(levels[int(value)]) if levels and value in range(len(levels)) else f"{value:g}"
