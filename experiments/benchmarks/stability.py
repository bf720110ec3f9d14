"""Time a stability report against the refits it is made of.

Usage::

    python -m experiments.benchmarks.stability [--refits N] [--models cox boosted_cox ...]

For 300 patients, eight markers and an arm, and 500 bootstrap refits of a model: the refits' own
time (draw the rows, build, fit, nothing else) and the whole of the report (the same refits, each
explained and condensed, kept in files block by block, ranks and shares read), at one thread. Both
are taken in turns of 25 refits, so that a machine shared with others is shared by both alike.
Ratios are of processor time and of elapsed time; 1.3 at most is wanted. Then, for a boosted model,
what one refit's attribution costs from tables, made for that model alone, and by the booster's own
call, with their largest difference: at 300 rows the two cost about the same, some hundredths of a
fit, so that one path serves all.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from biomarker.explain.attribution import Attribution, attribute
from biomarker.explain.refits import Block, Refits, blocks_of
from biomarker.explain.stability import stability
from biomarker.features.frozen_column import ColumnPlan
from biomarker.models.pipeline import PipelineBuilder
from biomarker.outcomes import survival_outcome
from biomarker.parsing import ParseRule
from biomarker.resampling import bootstrap_indices, joint_strata, spawn
from biomarker.side_by_side import one_thread
from pipelines.refits import resumed_tables

N, MARKERS = 300, 8
WANTED = 1.3
PARAMS: dict[str, dict[str, Any]] = {
    "cox": {"penalty": 10.0},
    "boosted_cox": {"max_depth": 2, "n_estimators": 80, "learning_rate": 0.05},
    "boosted_aft": {"max_depth": 3, "n_estimators": 120, "learning_rate": 0.05},
}


def main() -> None:
    """Print a block for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refits", type=int, default=500)
    parser.add_argument("--models", nargs="+", choices=PARAMS, default=["cox", "boosted_cox"])
    chosen = parser.parse_args()
    for model in chosen.models:
        compare(model, chosen.refits)
        if model != "cox":
            one_attribution(model)


def study(model: str) -> tuple[Attribution, Refits]:
    """A randomised cohort with two markers that matter, some values missing."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, MARKERS))
    arm = rng.permutation(np.arange(N) % 2).astype(np.float64)
    event_at = rng.exponential(np.exp(-0.7 * X[:, 0] - 0.4 * X[:, 1] + 0.3 * arm))
    follow_up = rng.uniform(0.3, 2.5, N)
    y = survival_outcome(event_at <= follow_up, np.minimum(event_at, follow_up) + 1e-9)
    X[rng.random(N) < 0.1, 2] = np.nan
    X = np.column_stack([X, arm])
    rules = [ParseRule(f"m{j}", "continuous") for j in range(MARKERS)]
    rules.append(ParseRule("arm", "arm", levels=("control", "drug"), control=("control",)))
    build = PipelineBuilder(tuple(ColumnPlan(rule) for rule in rules), model)
    params = PARAMS[model]
    found = attribute(build(dict(params), 0).fit(X, y), X, n_bootstrap=1, rng=rng)
    strata = joint_strata(y["event"], arm)
    return found, Refits.of(found, build, params, X, y, seed=1, strata=strata, arm=arm)


def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """Elapsed seconds, processor seconds and result."""
    elapsed, processor = time.perf_counter(), time.process_time()
    result = call()
    return time.perf_counter() - elapsed, time.process_time() - processor, result


def only_fit(plan: Refits, block: Block) -> None:
    """The block's refits and nothing after them."""
    with one_thread():
        for number in range(block.low, block.high):
            rng = spawn(plan.seed, "refits", "bootstrap", number)
            seed = int(rng.integers(2**31 - 1))
            rows = bootstrap_indices(plan.groups, plan.strata, rng, len(plan.y))
            plan.build(dict(plan.params), seed).fit(plan.X[rows], plan.y[rows])


def compare(model: str, n_refits: int) -> None:
    """Print both times and their ratios."""
    found, plan = study(model)
    blocks = blocks_of("bootstrap", n_refits)
    only_fit(plan, Block("bootstrap", 0, 2))
    own, whole, tables = np.zeros(2), np.zeros(2), []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        resumed_tables(plan, [Block("bootstrap", 0, 2)], place, "warm")
        for position, block in enumerate(blocks):
            # Turns begin with either, so that neither always finds the caches warm.
            order = ("own", "whole") if position % 2 else ("whole", "own")
            for turn in order:
                if turn == "own":
                    own += timed(lambda b=block: only_fit(plan, b))[:2]
                else:
                    *spent, made = timed(lambda b=block: resumed_tables(plan, [b], place, "run"))
                    whole += spent
                    tables += made
        *spent, read = timed(lambda: stability(plan, found, tables, above_chance=True).to_dict())
        whole += spent
    ratio = whole / own
    print(
        f"{model}: {n_refits} refits of {N} patients: own {own[0]:.1f} s ({own[1]:.1f} processor), "
        f"report {whole[0]:.1f} s ({whole[1]:.1f})\n  RATIO report / refits: {ratio[0]:.3f} "
        f"elapsed, {ratio[1]:.3f} processor (wanted <= {WANTED:g}); first: {read['sentence']}",
        flush=True,
    )


def one_attribution(model: str, n_models: int = 9) -> None:
    """One refit's attribution, from tables made for it and by the booster itself."""
    import xgboost

    from biomarker.explain.tree_paths import compile_paths

    _, plan = study(model)
    ours, theirs, gap = [], [], 0.0
    for number in range(n_models):
        rows = bootstrap_indices(None, plan.strata, spawn(2, number))
        fitted = plan.build(dict(plan.params), number).fit(plan.X[rows], plan.y[rows])
        booster, features = fitted.model.booster_, fitted.encode(plan.X)
        found = timed(lambda b=booster, f=features: compile_paths(b).contributions(f))
        matrix = xgboost.DMatrix(features, feature_names=booster.feature_names, nthread=1)
        booster.set_param({"nthread": 1})
        reference = timed(lambda b=booster, m=matrix: b.predict(m, pred_contribs=True))
        ours.append(found[1])
        theirs.append(reference[1])
        gap = max(gap, float(np.abs(found[2] - reference[2]).max()))
    a, b = statistics.median(ours[1:]), statistics.median(theirs[1:])
    print(
        f"  one refit's attribution: tables {a * 1e3:.1f} ms, booster's own {b * 1e3:.1f} ms "
        f"processor; largest difference {gap:.1e} (wanted <= 1e-5)",
        flush=True,
    )


if __name__ == "__main__":
    main()
