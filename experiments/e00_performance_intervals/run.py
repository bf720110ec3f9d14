"""Measure whether the intervals of nested cross-validation cover the procedure's performance.

``python experiments/e00_performance_intervals/run.py --replicates 200 --workers 2`` simulates every
scenario and writes ``results/coverage.csv``; ``--only NAME`` runs one. Truth comes from fully
observed new patients, so it needs no censoring weights and shares no variance formula with what it
judges.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from biomarker.metrics import (
    calibration,
    integrated_brier_score,
    log_loss,
    response_brier,
    response_calibration,
    roc_auc,
    time_dependent_auc,
    uno_concordance_index,
)
from biomarker.outcomes import survival_outcome
from biomarker.validation.nested import nested_cross_validation
from biomarker.validation.procedure import Procedure

RESULTS = Path(__file__).parent / "results"
TIMES = np.linspace(0.1, 1.2, 12)
TAU, HORIZON = 1.2, 1.0
N_NEW = 5_000


@dataclass(frozen=True)
class Scenario:
    """One population, cohort size and procedure.

    ``base`` is the baseline rate per unit time (survival) or the intercept (response).
    """

    name: str
    kind: str
    n: int
    base: float
    p: int = 8
    strength: float = 1.0
    model: str = "ridge"
    penalties: tuple[float, ...] = (1.0,)


SCENARIOS = (
    Scenario("cox_120_few_events", "survival", 120, 0.3),
    Scenario("cox_120_many_events", "survival", 120, 1.0),
    Scenario("cox_300_few_events", "survival", 300, 0.3),
    Scenario("cox_300_many_events", "survival", 300, 1.0),
    Scenario("cox_700_few_events", "survival", 700, 0.15),
    Scenario("cox_120_twenty_columns", "survival", 120, 1.0, p=20),
    Scenario("cox_300_tuned", "survival", 300, 0.5, penalties=(0.1, 10.0, 100.0)),
    Scenario("cox_300_null", "survival", 300, 0.5, strength=0.0),
    Scenario("logistic_120_rare", "response", 120, -1.5),
    Scenario("logistic_120_even", "response", 120, 0.0),
    Scenario("logistic_300_rare", "response", 300, -1.5),
    Scenario("logistic_300_even", "response", 300, 0.0),
    Scenario("logistic_700_rare", "response", 700, -1.5),
    Scenario("logistic_120_twenty_columns", "response", 120, 0.0, p=20),
    Scenario("logistic_300_tuned", "response", 300, -0.5, penalties=(0.1, 10.0, 100.0)),
    Scenario("boosted_cox_300", "survival", 300, 0.5, model="boosted"),
)


def draw(
    scenario: Scenario, n: int, rng: np.random.Generator, censored: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Patients of the scenario's population: three active columns, the rest noise."""
    X = rng.normal(size=(n, scenario.p))
    eta = scenario.strength * (X[:, :3] @ np.array([0.6, 0.4, -0.3]))
    if scenario.kind == "response":
        return X, rng.random(n) < 1.0 / (1.0 + np.exp(-scenario.base - eta))
    time_to_event = np.maximum(rng.exponential(1.0 / (scenario.base * np.exp(eta))), 1e-9)
    follow_up = np.minimum(rng.uniform(0.3, 3.0, n), 2.5) if censored else np.full(n, np.inf)
    event = time_to_event <= follow_up
    return X, survival_outcome(event, np.where(event, time_to_event, follow_up))


def builder(scenario: Scenario) -> Callable[[dict[str, Any], int], Any]:
    """The model under judgement."""
    from biomarker.models import BoostedCox, CoxRegression, LogisticResponse

    if scenario.model == "boosted":
        return lambda params, seed: BoostedCox(random_state=seed)
    if scenario.kind == "survival":
        return lambda params, seed: CoxRegression(standardise=True, **params)
    return lambda params, seed: LogisticResponse(**params)


def truth(model: Any, scenario: Scenario, rng: np.random.Generator) -> dict[str, float]:
    """Performance of one fitted model on new patients followed to their event."""
    X, y = draw(scenario, N_NEW, rng, censored=False)
    if scenario.kind == "response":
        p = model.predict_response(X)
        fit = response_calibration(y, p)
        found = {
            "roc_auc": roc_auc(y, p).value,
            "response_brier": response_brier(y, p).value,
            "log_loss": log_loss(y, p).value,
        }
    else:
        risk = model.predict_risk(X)
        curves = model.predict_survival(X, TIMES)
        at = model.predict_survival(X, [HORIZON])[:, 0]
        integrated = integrated_brier_score(y, y, curves, TIMES)
        fit = calibration(y, y, at, HORIZON)
        found = {
            "uno_concordance_index": uno_concordance_index(y, y, risk, TAU).value,
            "time_dependent_auc": float(time_dependent_auc(y, y, risk, [HORIZON]).value[0]),
            "integrated_brier_score": float(integrated.value[0]),
            "integrated_brier_skill": float(integrated.skill[0]),
            "brier_score": float(np.mean(((y["duration"] > HORIZON) - at) ** 2)),
        }
    return found | {
        "calibration_slope": fit.slope.value,
        "calibration_intercept": fit.intercept.value,
        "observed_expected": fit.observed_expected.value,
    }


def replicate(scenario: Scenario, seed: int) -> list[dict[str, Any]]:
    """One cohort: estimates with intervals, and the truth of its fold models and its full model."""
    number = [s.name for s in SCENARIOS].index(scenario.name)
    rng, new = (np.random.default_rng([seed, number, stream]) for stream in (0, 1))
    X, y = draw(scenario, scenario.n, rng)
    build, grid = builder(scenario), tuple({"penalty": v} for v in scenario.penalties)
    frame = {"times": TIMES, "horizons": [HORIZON], "tau": TAU}
    extra = frame if scenario.kind == "survival" else {}
    result = nested_cross_validation(build, grid, X, y, kind=scenario.kind, seed=seed, **extra)
    procedure = Procedure(build, grid, scenario.kind, TIMES, 3, seed)
    labels = y["event"] if scenario.kind == "survival" else y
    whole = procedure.fit(X, y, np.arange(scenario.n), labels, None, "final").model
    train = result.folds[0][0][0]
    part = procedure.fit(X, y, train, labels, None, "outer", 0, 0).model
    of_fold, of_whole = truth(part, scenario, new), truth(whole, scenario, new)
    return [
        {
            "metric": p.metric,
            "value": p.value,
            "low": p.low,
            "high": p.high,
            "error": p.standard_error,
            "fold_truth": of_fold[p.metric],
            "whole_truth": of_whole[p.metric],
        }
        for p in result.performance
        if p.metric in of_fold and p.low is not None
    ]


def summarise(scenario: Scenario, rows: list[dict[str, Any]], asked: int) -> list[dict[str, Any]]:
    """Coverage per metric of three truths, with the Monte Carlo error of a 95% coverage."""
    table = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        mine = [row for row in rows if row["metric"] == metric]
        column = {
            k: np.array([row[k] for row in mine], dtype=float) for k in mine[0] if k != "metric"
        }
        expected, expected_n = column["fold_truth"].mean(), column["whole_truth"].mean()

        def covered(target: Any, c: dict[str, np.ndarray] = column) -> float:
            return float(np.mean((c["low"] <= target) & (target <= c["high"])))

        table.append(
            {
                "scenario": scenario.name,
                "metric": metric,
                "replicates": len(mine),
                "not_estimable": asked - len(mine),
                "mean_estimate": round(float(column["value"].mean()), 4),
                "expected_truth": round(float(expected), 4),
                "sd_estimate": round(float(column["value"].std(ddof=1)), 4),
                "mean_se": round(float(np.sqrt(np.mean(column["error"] ** 2))), 4),
                "covers_expected": round(covered(expected), 3),
                "covers_expected_at_n": round(covered(expected_n), 3),
                "covers_fitted_model": round(covered(column["whole_truth"]), 3),
                "monte_carlo_error": round(float(np.sqrt(0.95 * 0.05 / len(mine))), 3),
            }
        )
    return table


def main() -> None:
    """Run the scenarios and write the coverage table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--out", default="coverage.csv")
    options = parser.parse_args()
    table: list[dict[str, Any]] = []
    for scenario in SCENARIOS:
        if options.only is not None and scenario.name not in options.only:
            continue
        start = time.perf_counter()
        seeds = range(options.first_seed, options.first_seed + options.replicates)
        found = Parallel(n_jobs=options.workers)(delayed(replicate)(scenario, s) for s in seeds)
        rows = [row for part in found for row in part]
        table += summarise(scenario, rows, options.replicates)
        print(f"{scenario.name}: {time.perf_counter() - start:.0f} s", flush=True)
        with (RESULTS / options.out).open("w", newline="") as handle:
            writer = csv.DictWriter(handle, fieldnames=list(table[0]))
            writer.writeheader()
            writer.writerows(table)


if __name__ == "__main__":
    main()
