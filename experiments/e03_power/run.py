"""Measure what the claim rules cost in power, against a test that knows the true null.

``python experiments/e03_power/run.py --replicates 2000 --workers 2`` runs every cell, writes
``results/results.json`` after each, then the plot and the table. ``--only binary-120`` runs the
cells whose name contains it and keeps the others' rows; ``--page-only`` redraws. ``--bound`` asks
instead what the exact test itself loses without the three patients furthest out.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from biomarker.errors import NotEstimableError
from biomarker.evidence import Verdict, assess
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.calibration import surely_quiet
from biomarker.evidence.interaction import ask_interaction
from biomarker.evidence.power import interaction_power
from biomarker.resampling import spawn
from experiments.cells import Row, rate_row
from experiments.e03_power.page import write_page
from experiments.e03_power.reference import (
    alternative,
    critical_value,
    likelihood_ratios,
    weight_of_extremes,
    without_extremes,
)
from experiments.e03_power.trials import MARKERS, Design, Trials, cohort, draw

RESULTS = Path(__file__).parent / "results"
SEED = 30_000
ALPHA = 0.05
POINTS = 0.05
POWERS = (0.5, 0.8)
LEFT_OUT = 3  # the patients whom a claim must do without, at both sizes
# Marker-positive patients: HR .6; negative: 1.0; about 295 events among 400.
CONTROL = Design(
    "binary", 400, math.log(0.6), main=0.0, treatment=0.0, positive=0.5, by_status=True,
    event_share=0.78,
)  # fmt: skip

Outcome = tuple[str, int]


def cells() -> dict[str, tuple[Design, float | None]]:
    """Every cell by name: its design and, in part i, the power the reference is to have."""
    made: dict[str, tuple[Design, float | None]] = {
        f"power-{marker}-{n}-{power:.0%}": (Design(marker, n), power)
        for marker in MARKERS
        for n in (120, 300)
        for power in POWERS
    }
    for n in (400, 1500):
        made[f"control-{n}"] = (replace(CONTROL, n=n), None)
    return made


def outcome(design: Design, trials: Trials, seed: int) -> Outcome:
    """Run the procedure on one trial: what became of the claim, and the number of events."""
    events = int(trials.event.sum())
    patients = cohort(design, trials, 0)
    try:
        question = ask_interaction(analysis_set(patients, "marker", "os"))
    except NotEstimableError:
        return "not estimable", events
    if surely_quiet([question], seed, ("interaction", "os"), ALPHA):
        return "calibrated p", events
    (verdict,) = assess(patients, ("marker",), ALPHA, random_state=seed, curves=False)
    return fate(verdict), events


def fate(verdict: Verdict) -> str:
    """``claimed``, or the first rule that withheld the claim."""
    if verdict.claimed:
        return "claimed"
    if verdict.p_interaction is None:
        return "not estimable"
    if not verdict.p_interaction < ALPHA:
        return "calibrated p"
    rules = {"influential": "influence", "ranks": "ranks"}
    return next((rule for word, rule in rules.items() if word in verdict.reason), "other")


def run_cell(name: str, design: Design, power: float | None, options: Any) -> list[Row]:
    """All rows of one cell."""
    began = time.perf_counter()
    critical = math.nan
    if power is not None:
        rng = spawn(SEED, "null", design.marker, design.n)
        critical = critical_value(design, options.null_trials, rng)
        strength = alternative(design, critical, power, options.search_trials, SEED)
        design = replace(design, interaction=strength)
    trials = [draw(design, 1, spawn(SEED, "trial", name, b)) for b in range(options.replicates)]
    ready = time.perf_counter()
    found: list[Outcome] = Parallel(n_jobs=options.workers)(
        delayed(outcome)(design, one, b) for b, one in enumerate(trials)
    )
    seconds = time.perf_counter() - ready
    fates = [text for text, _ in found]
    claimed = np.array([text == "claimed" for text in fates])
    events = float(np.mean([count for _, count in found]))
    cell: Row = {
        "name": name,
        "marker": design.marker,
        "n": design.n,
        "events": round(events, 1),
        "ratio": round(math.exp(design.interaction), 4),
        "seconds_per_cohort": round(seconds / len(trials), 3),
    }
    if power is None:
        rows = control_rows(cell, claimed, events)
    else:
        formula = interaction_power(math.exp(design.interaction), events)
        cell |= {
            "reference_power": power,
            "critical_value": round(critical, 3),
            "formula_power": round(formula, 3),
        }
        statistic = np.concatenate([likelihood_ratios(one) for one in trials])
        rows = power_rows(cell, claimed, statistic > critical)
    for rule, count in sorted(Counter(fates).items()):
        if rule != "claimed":
            rows.append(rate_row("power", cell, f"withheld: {rule}", count, len(fates)))
    print(
        f"{name:28} {claimed.mean():.3f} claimed, {ready - began:.0f} s to find, "
        f"{seconds:.0f} s to assess, {dict(Counter(fates))}",
        flush=True,
    )
    return rows


def power_rows(
    cell: Row, claimed: npt.NDArray[np.bool_], rejected: npt.NDArray[np.bool_]
) -> list[Row]:
    """Both rates and their paired difference."""
    n = len(claimed)
    gap = claimed.astype(float) - rejected
    half = 1.96 * float(gap.std(ddof=1)) / math.sqrt(n)
    mean = float(gap.mean())
    difference: Row = {
        "cell": cell, "measure": "procedure minus reference", "value": mean,
        "low": mean - half, "high": mean + half, "n": n,
        "limit": "at least -0.05", "passed": mean >= -POINTS,
    }  # fmt: skip
    return [
        difference,
        rate_row("power", cell, "claim rate of the procedure", int(claimed.sum()), n),
        rate_row("power", cell, "power of the reference", int(rejected.sum()), n),
        rate_row(
            "power",
            cell,
            "claimed, not rejected by the reference",
            int((claimed & ~rejected).sum()),
            n,
        ),
    ]


def control_rows(cell: Row, claimed: npt.NDArray[np.bool_], events: float) -> list[Row]:
    """The claim rate against the large-sample formula, or against 95% where that is certain."""
    formula = interaction_power(cell["ratio"], events, marker_variance=0.25)
    row = rate_row("power", cell, "claim rate of the procedure", int(claimed.sum()), len(claimed))
    cell["analytic_power"] = round(formula, 3)
    if cell["n"] == 400:
        limit, passed = f"{formula:.3f} within 0.05", abs(row["value"] - formula) <= POINTS
    else:
        limit, passed = "at least 0.95", row["value"] >= 0.95
    return [row | {"limit": limit, "passed": bool(passed)}]


def bound_rows(name: str, design: Design, ratio: float, n_null: int, n_trials: int) -> list[Row]:
    """What the exact test loses without the patients furthest out, at its own exact critical value.

    No rule of a claim takes part: this is the information that those patients hold.
    """
    null, found = (
        draw(replace(design, interaction=strength), size, spawn(SEED, "bound", part, name))
        for part, strength, size in (("null", 0.0, n_null), ("trial", math.log(ratio), n_trials))
    )
    held = weight_of_extremes(found, LEFT_OUT)
    cell: Row = {"name": name, "marker": design.marker, "n": design.n, "ratio": ratio,
                 "weight": round(held, 3)}  # fmt: skip
    rows = []
    for measure, trials, others in (
        ("exact test of everybody", found, null),
        ("exact test without the furthest",
         without_extremes(found, LEFT_OUT), without_extremes(null, LEFT_OUT)),
    ):  # fmt: skip
        critical = float(np.quantile(likelihood_ratios(others), 1.0 - ALPHA))
        beyond = int((likelihood_ratios(trials) > critical).sum())
        rows.append(rate_row("bound", cell, measure, beyond, n_trials))
    print(name, cell, [round(row["value"], 4) for row in rows], flush=True)
    return rows


def main() -> None:
    """Run the cells asked for, then write the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--replicates", type=int, default=2000)
    options.add_argument("--null-trials", type=int, default=20_000)
    options.add_argument("--search-trials", type=int, default=4000)
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--only", default="")
    options.add_argument("--out", type=Path, default=RESULTS)
    options.add_argument("--page-only", action="store_true")
    options.add_argument("--bound", action="store_true")
    chosen = options.parse_args()
    chosen.out.mkdir(exist_ok=True)
    file, bound = chosen.out / "results.json", chosen.out / "without_extremes.json"
    rows, bounds = (
        json.loads(part.read_text("utf-8")) if part.exists() else [] for part in (file, bound)
    )
    if chosen.bound:
        ratios = {row["cell"]["name"]: row["cell"]["ratio"] for row in rows}
        bounds = [
            row
            for name, (design, power) in cells().items()
            if power is not None
            for row in bound_rows(name, design, ratios[name], chosen.null_trials, 10_000)
        ]
        bound.write_text(json.dumps(bounds, indent=1) + "\n", "utf-8")
    elif not chosen.page_only:
        for name, (design, power) in cells().items():
            if chosen.only not in name:
                continue
            fresh = run_cell(name, design, power, chosen)
            rows = [row for row in rows if row["cell"]["name"] != name] + fresh
            file.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    order = list(cells())
    rows.sort(key=lambda row: order.index(row["cell"]["name"]))
    file.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    write_page(rows, bounds, chosen.out)


if __name__ == "__main__":
    main()
