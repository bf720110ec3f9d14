"""Kill training at its write points, and see whether the store still opens and verifies."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.e06_scoring_under_fire.kills import count_writes, die_at_write, run_forked

__all__ = ["kill_training", "verified"]

_STUDY = """
format_version = 1
name = "fire"
single_arm = "treated"
[columns.pid]
role = "id"
[columns.vegf]
role = "marker"
kind = "continuous"
unit = "pg/mL"
range = [1, 100000]
transform = "log"
[columns.months]
role = "endpoint"
[columns.died]
role = "endpoint"
[endpoints.os]
type = "survival"
duration = "months"
event = "died"
event_values = ["1"]
censored_values = ["0"]
unit = "months"
horizons = [6]
[training]
folds = 2
repeats = 1
inner_folds = 2
jobs = 1
refits = 0
"""
_N = 120


def _write_study(folder: Path, seed: int) -> tuple[Path, Path]:
    """A cohort of 120 and its study; a marker that doubles the hazard per SD."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=_N)
    time, censored = rng.exponential(10 * 0.5**z), rng.uniform(3, 30, _N)
    lines = ["pid,vegf,months,died"]
    for i in range(_N):
        died = int(time[i] <= censored[i])
        months = max(min(time[i], censored[i]), 0.05)
        lines.append(f"{i:05d},{np.exp(5 + 0.7 * z[i]):.2f},{months:.3f},{died}")
    cohort, study = folder / "cohort.csv", folder / "fire.toml"
    cohort.write_text("\n".join(lines) + "\n")
    study.write_text(_STUDY)
    return cohort, study


def kill_training(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill training at so many of its writes, spread evenly over all of them, on one store.

    Returns
    -------
    dict
        ``broken``: kills after which the store did not open, a registered bundle or an output
        bundle did not verify; ``finished``: whether a run left in peace then succeeds.
    """
    folder.mkdir(parents=True)
    cohort, study = _write_study(folder, seed)

    def train(out: Path, store: Path) -> None:
        from pipelines.training import train

        train(cohort, study, models=["cox"], out=out, store=store, evidence=False)

    store, out, note = folder / "runs", folder / "out", folder / "note"
    first = count_writes(lambda: train(folder / "out0", folder / "runs0"), folder / "writes")
    again = count_writes(lambda: train(folder / "out0", folder / "runs0"), folder / "writes")
    # The first run makes the store as well: a third of the kills fall on a store being made.
    numbers = [("new", k) for k in _spread(first, -(-kills // 3))]
    numbers += [("old", k) for k in _spread(again, kills - len(numbers))]
    tally: dict[str, Any] = {"writes": [first, again], "kills": 0, "survived": 0, "broken": []}
    for turn, (kind, number) in enumerate(numbers):
        place = folder / f"new-{turn}" if kind == "new" else folder

        def dying(place: Path = place, number: int = number) -> None:
            die_at_write(number)
            train(place / "out", place / "runs")

        ended = run_forked(dying)
        tally["kills" if ended == "killed" else "survived"] += 1
        note.unlink(missing_ok=True)
        checked = run_forked(partial(_note, note, place))
        if checked != "done" or json.loads(note.read_text()):
            said = json.loads(note.read_text()) if note.exists() else checked
            tally["broken"].append([kind, number, said])
    tally["finished"] = run_forked(lambda: train(out, store)) == "done"
    for place in folder.glob("new-*"):
        ok = run_forked(partial(train, place / "out", place / "runs"))
        tally["finished"] = tally["finished"] and ok == "done"
    return tally


def _note(note: Path, place: Path) -> None:
    """Write down what is wrong at a place; for a process of its own."""
    note.write_text(json.dumps(verified(place / "runs", place / "out")))


def _spread(total: int, n: int) -> list[int]:
    """So many whole numbers from 1 to nine tenths of ``total``: few runs do as many."""
    return sorted({int(k) for k in np.linspace(1, 0.9 * total, min(n, total)).round()})


def verified(store: Path, out: Path) -> list[str]:
    """What is wrong with a store and an output folder after a kill; empty where nothing is."""
    from pipelines.bundle import load_bundle
    from pipelines.tracking import registered_bundle
    from pipelines.tracking_store import open_store

    wrong: list[str] = []
    client = open_store(store)
    database = store / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        (said,) = connection.execute("PRAGMA integrity_check").fetchone()
        if said != "ok":
            wrong.append("database")
    for experiment in client.search_experiments():
        client.search_runs([experiment.experiment_id])
    for model in client.search_registered_models():
        for alias in model.aliases:
            load_bundle(registered_bundle(f"models:/{model.name}@{alias}", store))
    for bundle in out.glob("bundles/*"):
        if not bundle.name.startswith("."):
            load_bundle(bundle)
    return wrong
