"""What changed from one stored run to another, and whether by more than resampling noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biomarker.errors import NotEstimableError, UsageError
from pipelines.compare_attribution import attribution_rows
from pipelines.compare_inputs import data_rows, same_patients, settings_rows, study_rows
from pipelines.compare_rows import (
    PAIRINGS,
    Comparison,
    Row,
    Section,
    fact,
    judge_family,
    moved,
    unjudged,
)
from pipelines.compare_verdicts import verdict_rows
from pipelines.noise import NOISE_FILE, stored_change
from pipelines.tracking_runs import StoredRun, load_run

__all__ = ["compare", "compare_runs"]

_CALIBRATION = {"calibration_slope", "calibration_intercept", "observed_expected", "ici"}
_LIMIT_FROM_DATA = {"uno_concordance_index", "integrated_brier_score", "integrated_brier_skill"}
Key = tuple[str, str]


def compare(run_a: str, run_b: str, store: str | Path | None = None) -> Comparison:
    """Read two runs from the tracking store and say what changed from A to B.

    Parameters
    ----------
    run_a, run_b : str
        Run ids, or names of studies for their latest run (``NAME~1`` for the one before it).
    store : path or URI, optional

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        If both name one run.
    TrackingError
        If the store holds no such finished run.
    """
    a, b = load_run(run_a, store), load_run(run_b, store)
    if a.run_id == b.run_id:
        raise UsageError(
            f"The two runs must differ; both are {a.run_id}. Name another, such as {a.study}~1 "
            "for the run before the latest."
        )
    return compare_runs(a, b)


def compare_runs(a: StoredRun, b: StoredRun) -> Comparison:
    """As :func:`compare`, of runs already read.

    Notes
    -----
    Estimates are judged at a two-sided 5% after Holm, in families of their own: performance,
    calibration, shares of the data, importance, ratios of the verdicts. Importance is judged where
    both runs kept its spread over refits; see :mod:`pipelines.compare_attribution`.
    """
    found = _performance(a, b)
    rows = [
        *data_rows(a, b),
        *study_rows(a, b),
        *settings_rows(a, b),
        *judge_family([row for row in found if row.section == "performance"]),
        *judge_family([row for row in found if row.section == "calibration"]),
        *attribution_rows(a, b),
        *verdict_rows(a, b),
    ]
    return Comparison(a, b, tuple(_opening(a, b)), tuple(rows))


def _opening(a: StoredRun, b: StoredRun) -> list[str]:
    said = []
    if a.study != b.study:
        said.append(
            f"The runs are of different studies: {a.study} and {b.study}. Only what carries the "
            "same name in both is compared, and the same name need not mean the same thing."
        )
    if a.kind != b.kind:
        said.append(
            "One run is a training run and one an assessment of markers: only their verdicts and "
            "data are compared."
        )
    for name, same in same_patients(a, b).items():
        said.append(
            {
                True: f"{name}: both runs judged the same patients on the same outcomes, so their "
                "differences can be paired.",
                False: f"{name}: the runs judged other patients, or other outcomes of them; the "
                "noise is bounded from the two intervals, as if no patient were shared.",
                None: f"{name}: a run of an earlier release does not say whether the patients are "
                "the same; the noise is bounded from the two intervals.",
            }[same]
        )
    return said


def _performance(a: StoredRun, b: StoredRun) -> list[Row]:
    """Every metric of every model in both runs; models in one run only are facts."""
    tables = [_metrics(run) for run in (a, b)]
    models = [{(m.endpoint, m.name): m for m in run.models} for run in (a, b)]
    units = [_units(run) for run in (a, b)]
    rows: list[Row] = []
    for run_key in [*models[0], *(key for key in models[1] if key not in models[0])]:
        if run_key not in models[0] or run_key not in models[1]:
            words = ["fitted" if run_key in found else "not fitted" for found in models]
            rows.append(fact("performance", " ".join(run_key), *words))
            continue
        records = [found[run_key].files.get(NOISE_FILE) for found in models]
        unit = units[0].get(run_key[0])
        mine, other = (found.get(run_key, {}) for found in tables)
        pairs, alone = _paired(mine, other, units[0].get(run_key[0]) == units[1].get(run_key[0]))
        for x, y in pairs:
            rows.append(_metric_row(" ".join(run_key), unit, x, y, records))
        for first, second in alone:
            row = first or second or {}
            own = units[0 if first else 1].get(run_key[0])
            what = f"{' '.join(run_key)}: {_metric_words(row['metric'], row['horizon'], own)}"
            words = [_estimate(first), _estimate(second)]
            rows.append(unjudged(_section(row), what, words, "estimated in one run only"))
    return rows


Found = Mapping[tuple[str, float | None], dict[str, Any]]


def _paired(
    a: Found, b: Found, same_unit: bool
) -> tuple[
    list[tuple[dict[str, Any], dict[str, Any]]],
    list[tuple[dict[str, Any] | None, dict[str, Any] | None]],
]:
    """Rows of one quantity in both runs, and rows without a partner.

    A metric whose one time limit comes from the data's support is one quantity at any limit; one
    at a declared time only at that time, in one unit of time.
    """
    pairs, alone, taken = [], [], set()
    for key, row in a.items():
        partner = key if key in b and (same_unit or key[1] is None) else None
        if partner is None and same_unit and key[0] in _LIMIT_FROM_DATA:
            partner = next((other for other in b if other[0] == key[0]), None)
        if partner is None:
            alone.append((row, None))
        else:
            pairs.append((row, b[partner]))
            taken.add(partner)
    rest: list[tuple[dict[str, Any] | None, dict[str, Any] | None]] = [
        *alone, *((None, row) for key, row in b.items() if key not in taken)
    ]  # fmt: skip
    return pairs, rest


def _section(row: Mapping[str, Any]) -> Section:
    return "calibration" if row["metric"] in _CALIBRATION else "performance"


def _metric_row(
    model: str,
    unit: str | None,
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    records: list[Mapping[str, Any] | None],
) -> Row:
    words = [_estimate(a), _estimate(b)]
    section = _section(a)
    what = f"{model}: {_metric_words(a['metric'], a['horizon'], unit)}"
    limit = ""
    if a["horizon"] != b["horizon"]:
        what += f" in A, {b['horizon']:g} in B"
        limit = "; the time limits differ, and the difference holds that too"
    if not limit and a["value"] is not None and a["value"] == b["value"]:
        return Row(section, what, words[0], words[1], "same_number")
    try:
        change = stored_change(a, b, records)
    except NotEstimableError:
        return unjudged(section, what, words, "no interval, or no estimate, in one run")
    return moved(section, what, words, PAIRINGS[change.pairing] + limit, change)


def _metrics(run: StoredRun) -> dict[Key, dict[tuple[str, float | None], dict[str, Any]]]:
    """Endpoint and model to metric and horizon to its stored row."""
    found: dict[Key, dict[tuple[str, float | None], dict[str, Any]]] = {}
    table = run.files.get("tables/performance.json", {"columns": [], "data": []})
    for values in table["data"]:
        row = dict(zip(table["columns"], values, strict=True))
        key = (row["endpoint"], row["model"])
        found.setdefault(key, {})[row["metric"], row["horizon"]] = row
    return found


def _units(run: StoredRun) -> dict[str, str]:
    plans = run.files.get("settings.json", {}).get("time_plans", {})
    return {name: plan["unit"] for name, plan in plans.items()}


def _metric_words(metric: str, horizon: float | None, unit: str | None) -> str:
    from pipelines.report.words import METRICS, fallback_labels, time_words

    at = "" if horizon is None else time_words(horizon, unit or "")
    label = METRICS.get(metric) or fallback_labels(metric)
    return label.label.format(at=at, when=f" at {at}" if at else "")


def _estimate(row: Mapping[str, Any] | None) -> str:
    from pipelines.report.words import interval_words

    if row is None:
        return "–"
    if row["value"] is None:
        return "not estimable"
    return f"{interval_words(row['value'], row['low'], row['high'])}, n = {row['n_patients']:,}"
