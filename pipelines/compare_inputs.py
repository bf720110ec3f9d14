"""What went into two runs: patients, events, missing values, columns, settings, software."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.compare_rows import Row, Section, changed, fact, judge_family, unjudged
from pipelines.tracking_runs import StoredRun

__all__ = ["data_rows", "same_patients", "settings_rows", "study_rows"]

_AS_TWO = "two shares, Fisher's exact test, as if no patient were shared"


def same_patients(a: StoredRun, b: StoredRun) -> dict[str, bool | None]:
    """Per endpoint of both runs, whether the same patients with the same outcomes were judged.

    None where a run does not say: it was made by an earlier release.
    """
    marks = []
    for run in (a, b):
        kept = {m.endpoint: m.files.get("resampling.json") for m in run.models}
        marks.append({name: (record or {}).get("patients") for name, record in kept.items()})
    return {
        name: None if mark is None or marks[1][name] is None else mark == marks[1][name]
        for name, mark in marks[0].items()
        if name in marks[1]
    }


def data_rows(a: StoredRun, b: StoredRun) -> list[Row]:
    """Digest, patients, arms, events and missing values; shares are judged, counts are facts."""
    rows = changed("data", "", *({"Data file": run.params.get("source")} for run in (a, b)))
    digests = [run.tags.get("dataset.digest", "")[:12] for run in (a, b)]
    rows += changed(
        "data", "", *({"Data digest (values, and the study)": digest} for digest in digests)
    )
    first, second = (run.files.get("cohort.json", {}) for run in (a, b))
    if not first or not second:
        return rows
    for key, label in (("n_rows", "Rows"), ("n_patients", "Patients"), ("design", "Design")):
        rows += changed("data", "", {label: first[key]}, {label: second[key]})
    rows += changed(
        "data", "", *({f"Patients, {arm}": n for arm, n in c["arms"]} for c in (first, second))
    )
    rows += _endpoints(first, second) + _columns(first, second)
    return judge_family(rows)


def _endpoints(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Row]:
    mine, other = ({e["name"]: e for e in cohort["endpoints"]} for cohort in (first, second))
    rows: list[Row] = []
    for name in [*mine, *(n for n in other if n not in mine)]:
        x, y = mine.get(name), other.get(name)
        if x is None or y is None:
            has = {True: "absent", False: "present"}
            rows.append(fact("data", f"Endpoint {name}", has[x is None], has[y is None]))
            continue
        counts = [(e["n_events"], e["n_patients"]) for e in (x, y)]
        what = "events" if x["kind"] == "survival" else "responders"
        rows += _share("data", f"{name}: {what}", *counts)
        rows += changed("data", f"{name}: left out", x["excluded"], y["excluded"])
        if x["kind"] == "survival" and x["mean_duration"] != y["mean_duration"]:
            words = [f"{e['mean_duration']:g} {e['unit']}" for e in (x, y)]
            why = "stored without an interval"
            rows.append(unjudged("data", f"{name}: mean time followed", words, why))
    return rows


def _columns(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Row]:
    mine, other = ({c["name"]: c for c in cohort["columns"]} for cohort in (first, second))
    rows: list[Row] = []
    for name in [*mine, *(n for n in other if n not in mine)]:
        x, y = mine.get(name), other.get(name)
        if x is None or y is None:
            role = (x or y or {})["role"]
            words = [f"in the file ({role})" if c else "not in the file" for c in (x, y)]
            rows.append(fact("data", f"Column {name}", *words))
            continue
        for key, label in (
            ("n_missing", "missing"),
            ("n_below_detection", "below detection"),
            ("n_above_detection", "above detection"),
        ):
            counts = [(x[key], first["n_rows"]), (y[key], second["n_rows"])]
            rows += _share("data", f"{name}: {label}", *counts)
    return rows


def _share(section: Section, what: str, a: tuple[int, int], b: tuple[int, int]) -> list[Row]:
    """A share that differs, judged as of two samples; nothing where both are equal."""
    if a[0] * b[1] == b[0] * a[1]:
        return []
    before, after = (f"{k:,} of {n:,} ({100 * k / n:.1f}%)" if n else "none" for k, n in (a, b))
    if not a[1] or not b[1]:
        return [fact(section, what, before, after)]
    from scipy.stats import fisher_exact

    table = [[a[0], a[1] - a[0]], [b[0], b[1] - b[0]]]
    p = min(float(fisher_exact(table).pvalue), 1.0)
    difference = b[0] / b[1] - a[0] / a[1]
    low, high = _newcombe(a, b)
    return [Row(section, what, before, after, "within", _AS_TWO, difference, low, high, p)]


def _newcombe(a: tuple[int, int], b: tuple[int, int]) -> tuple[float, float]:
    """95% interval of a difference of two independent shares, B minus A, from Wilson's.

    References
    ----------
    Newcombe (1998), Statistics in Medicine 17:873, method 10.
    """
    z = 1.959963984540054
    shares, bounds = [], []
    for k, n in (a, b):
        p = k / n
        centre, scale = (p + z**2 / (2 * n)), 1 + z**2 / n
        half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
        shares.append(p)
        bounds.append(((centre - half) / scale, (centre + half) / scale))
    d = shares[1] - shares[0]
    low = d - ((shares[1] - bounds[1][0]) ** 2 + (bounds[0][1] - shares[0]) ** 2) ** 0.5
    high = d + ((bounds[1][1] - shares[1]) ** 2 + (shares[0] - bounds[0][0]) ** 2) ** 0.5
    return low, high


def study_rows(a: StoredRun, b: StoredRun) -> list[Row]:
    """Columns added, removed, or declared otherwise; endpoints, hypotheses, everything declared."""
    first, second = (dict(run.files.get("study.json", {})) for run in (a, b))
    if not first or not second:
        return changed("study", "", *({"Study digest": r.tags.get("study.digest")} for r in (a, b)))
    mine, other = first.pop("columns", {}), second.pop("columns", {})
    rows = []
    for name in [*mine, *(n for n in other if n not in mine)]:
        if name in mine and name in other:
            rows += changed("study", f"Column {name}", mine[name], other[name])
        else:
            words = [
                f"declared ({columns[name]['role']})" if name in columns else "not declared"
                for columns in (mine, other)
            ]
            rows.append(fact("study", f"Column {name}", *words))
    return rows + changed("study", "", first, second)


def settings_rows(a: StoredRun, b: StoredRun) -> list[Row]:
    """Settings of the training, times judged at, settings of each model, software."""
    first, second = (run.files.get("settings.json", {}) for run in (a, b))
    rows = changed(
        "settings",
        "",
        *(
            {key: v["value"] for key, v in s.get("settings", {}).items() if key != "jobs"}
            for s in (first, second)
        ),
    )
    plans = [
        {
            name: {"horizons": p["horizons"], "concordance up to": p["tau"], "unit": p["unit"]}
            for name, p in s.get("time_plans", {}).items()
        }
        for s in (first, second)
    ]
    rows += changed("settings", "", *plans)
    chosen = [
        {
            f"{m.endpoint} {m.name}": {
                key.removeprefix("model."): value
                for key, value in m.params.items()
                if key.startswith("model.")
            }
            for m in run.models
        }
        for run in (a, b)
    ]
    shared = [name for name in chosen[0] if name in chosen[1]]
    rows += changed("settings", "", *({name: c[name] for name in shared} for c in chosen))
    software = [run.files.get("software.json", {}) for run in (a, b)]
    return rows + changed("settings", "Software", *software)
