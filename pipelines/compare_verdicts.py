"""How verdicts on markers moved between two runs, with both ratios and intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from biomarker.validation.differences import MetricNoise, independent_change
from pipelines.compare_rows import PAIRINGS, Row, fact, judge_family, moved, unjudged
from pipelines.tracking_runs import StoredRun

__all__ = ["verdict_rows"]


def verdict_rows(a: StoredRun, b: StoredRun) -> list[Row]:
    """Codes that changed, and every ratio that moved, with both intervals."""
    from pipelines.evidence_text import VERDICTS

    evidence = [run.files.get("evidence.json", {}) for run in (a, b)]
    mine, other = (
        {(r["endpoint"], r["marker"]): r for r in e.get("records", [])} for e in evidence
    )
    rows: list[Row] = []
    for key in [*mine, *(k for k in other if k not in mine)]:
        name = f"{key[0]} {key[1]}"
        x, y = mine.get(key), other.get(key)
        if x is None or y is None:
            words = ["not assessed" if r is None else VERDICTS[r["verdict"]] for r in (x, y)]
            rows.append(fact("verdicts", name, *words))
            continue
        ratios = []
        for ratio, label in (
            ("ratio", "treatment × marker ratio"),
            ("hr_control", "ratio under control"),
        ):
            ratios += _ratio_row(f"{name}: {label}", ratio, x, y)
        if x["verdict"] != y["verdict"]:
            words = [f"{VERDICTS[r['verdict']]}{_adjusted(r)}" for r in (x, y)]
            why = "a verdict is a decision; see its ratios" if ratios else "no ratio moved"
            rows.append(unjudged("verdicts", name, words, why))
        rows += ratios
    counts = [e.get("ledger", {}).get("tests_of_this_dataset") for e in evidence]
    if all(evidence):
        rows += _ledger(counts)
    return judge_family(rows)


def _ledger(counts: list[Any]) -> list[Row]:
    """Tests counted against the dataset, where the ledger has grown: adjusted p-values grow too."""
    if counts[0] == counts[1]:
        return []
    return [fact("verdicts", "Tests of the dataset in the ledger", *counts)]


def _adjusted(record: Mapping[str, Any]) -> str:
    from pipelines.evidence_text import p_words

    p = record["p_adjusted"]
    return "" if p is None else f" (adjusted p {p_words(p)})"


def _ratio_row(what: str, name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Row]:
    """One ratio of two records, on the log scale; nothing where neither has it or none moved."""
    if a[name] is None and b[name] is None:
        return []
    bounds = [[r[name], r[f"{name}_low"], r[f"{name}_high"]] for r in (a, b)]
    if bounds[0] == bounds[1]:
        return []
    words = [_words(v, r) for v, r in zip(bounds, (a, b), strict=True)]
    if any(not value or value <= 0.0 for row in bounds for value in row):
        why = "no interval in one run"
        return [unjudged("verdicts", what, words, why)]
    if (a["scale"], a["contrast"]) != (b["scale"], b["contrast"]):
        why = "the ratios are per another contrast or on another scale"
        return [unjudged("verdicts", what, words, why)]
    mine, other = (
        MetricNoise(math.log(value), math.log(low), math.log(high)) for value, low, high in bounds
    )
    basis = f"{PAIRINGS['independent']}; {_exclusion(bounds)}"
    return [moved("verdicts", what, words, basis, independent_change(mine, other), ratio=True)]


def _words(bounds: list[Any], record: Mapping[str, Any]) -> str:
    """A ratio with interval, unit and n."""
    value, low, high = bounds
    if value is None:
        return "not estimable"
    between = "" if low is None or high is None else f" ({low:.3g} to {high:.3g})"
    n = record["n_treated"] + record["n_control"]
    return f"{value:.3g}{between}, {record['scale']} {record['contrast']}, n = {n:,}"


def _exclusion(bounds: list[list[float]]) -> str:
    """Whether each interval leaves out the other run's estimate."""
    (x, x_low, x_high), (y, y_low, y_high) = bounds
    outside = [not x_low <= y <= x_high, not y_low <= x <= y_high]
    return {
        (True, True): "each interval excludes the other run's estimate",
        (True, False): "A's interval excludes B's estimate, not the reverse",
        (False, True): "B's interval excludes A's estimate, not the reverse",
        (False, False): "each interval holds the other run's estimate",
    }[outside[0], outside[1]]
