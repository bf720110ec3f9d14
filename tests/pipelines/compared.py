"""Stored runs made by hand, for tests of what a comparison says of them."""

from __future__ import annotations

from pipelines.tracking_runs import StoredModel, StoredRun

METRIC = ("endpoint", "model", "metric", "horizon", "value", "low", "high", "n_patients")


def performance(*rows):
    """A performance table from tuples in the order of METRIC."""
    return {"columns": list(METRIC), "data": [list(row) for row in rows]}


def importance(refits=None, **sources):
    """An importance table; with ``refits`` a stability table."""
    columns = ["source", "mean_absolute", "low", "high"]
    data = [[name, *numbers] for name, numbers in sources.items()]
    if refits is not None:
        columns += ["rank", "rank_low", "rank_high", "n_refits"]
        ranked = sorted(data, key=lambda row: -row[1])
        data = [[*row, ranked.index(row) + 1, 1, len(data), refits] for row in data]
    return {"columns": columns, "data": data}


def verdict(code="not_established", ratio=(1.0, 0.8, 1.25), **changed):
    """A record of one marker."""
    record = {
        "endpoint": "os", "marker": "vegf", "verdict": code, "scale": "hazard ratio",
        "contrast": "per SD", "n_treated": 100, "n_control": 100, "p_adjusted": 0.4,
        "ratio": ratio[0], "ratio_low": ratio[1], "ratio_high": ratio[2],
        "hr_control": 1.5, "hr_control_low": 1.2, "hr_control_high": 1.9,
    }  # fmt: skip
    return record | changed


def evidence(*records, tests=2):
    """An evidence artifact."""
    return {"records": list(records), "ledger": {"tests_of_this_dataset": tests}}


def cohort(n=200, events=120, missing=10, columns=("vegf",), **changed):
    """A cohort artifact with one survival endpoint."""
    endpoint = {
        "name": "os", "kind": "survival", "unit": "months", "n_patients": n, "n_events": events,
        "excluded": {}, "mean_duration": 10.0,
    }  # fmt: skip
    listed = [
        {"name": c, "role": "marker", "n_missing": missing, "n_below_detection": 0,
         "n_above_detection": 0}
        for c in columns
    ]  # fmt: skip
    base = {
        "n_rows": n, "n_patients": n, "design": "randomised",
        "arms": [["control", n // 2], ["treated", n - n // 2]],
        "endpoints": [endpoint], "columns": listed,
    }  # fmt: skip
    return base | changed


def stored(run_id="a" * 32, of="small", models=("cox",), model_files=None, **files):
    """A run; ``files`` by artifact name without folder and ending."""
    paths = {"performance": "tables/performance.json"}
    return StoredRun(
        run_id=run_id,
        name="run",
        study=of,
        kind="study",
        started="2026-01-01 00:00 UTC",
        tags={"dataset.digest": "d" * 64},
        params={"source": "cohort.csv"},
        files={paths.get(name, f"{name}.json"): value for name, value in files.items()},
        models=tuple(StoredModel("os", name, {}, model_files or {}) for name in models),
    )
