"""Time tree attribution from tables against the booster's own calls, at the same threads.

Usage::

    python -m experiments.benchmarks.attribution [--rows N] [--their-rows N] [--depths D ...]
        [--their-patients N] [--only-survival]

For 100,000 rows of 20 features, a tenth of them missing, and 300 trees of each depth: reading the
trees and making tables (first call, which may compile, and later), contributions at one and two
threads, agreement with the booster on every row, and equality of bits over threads. Ours runs
before and after the booster, whose call is made once on a fresh matrix, since it keeps answers.
Ratios are of elapsed time and, as others may share the machine, of processor time; both libraries
are given the same threads. Then what a study of 300 patients costs, tables included, and pairwise
interactions, and last survival over time against survshap (see ``_survival_attribution.py``).
``--their-rows`` times the booster on fewer rows and scales up, which is fair: its
time is proportional to them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.benchmarks._survival_attribution import survival

Floats = npt.NDArray[np.float64]
N_FEATURES, N_TREES = 20, 300
WANTED = 10.0


def main() -> None:
    """Print a block for each depth, the small study, interactions, and survival over time."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--their-rows", type=int, default=None)
    options.add_argument("--depths", type=int, nargs="+", default=[3, 4, 6])
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument("--their-patients", type=int, default=5, help="that survshap explains")
    options.add_argument("--only-survival", action="store_true")
    chosen = options.parse_args()
    if chosen.only_survival:
        survival(chosen.their_patients)
        return
    rows = draw(chosen.rows, seed=2)
    for depth in chosen.depths:
        booster = grow(depth, N_TREES)
        print(f"\n{N_TREES} trees, depth {depth}, {len(rows):,} rows x {N_FEATURES} features")
        paths = tables(booster)
        for threads in chosen.threads:
            compare(booster, paths, rows, threads, chosen.their_rows or len(rows))
        alone = paths.contributions(rows)
        same = all(
            paths.contributions(rows, threads).tobytes() == alone.tobytes() for threads in (2, 3, 8)
        )
        print(f"  the same bits at 1, 2, 3 and 8 threads: {same}")
    small_study()
    interactions()
    survival(chosen.their_patients)


def draw(n: int, seed: int) -> Floats:
    """Normal features, a tenth of the values missing, exact in single precision."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, N_FEATURES)).astype(np.float32).astype(np.float64)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


def grow(depth: int, n_trees: int, n: int = 3000) -> Any:
    """A booster on products, bends and noise."""
    import xgboost

    X = draw(n, seed=1)
    known = np.nan_to_num(X)
    signal = known[:, 0] * known[:, 1] + known[:, 2] + np.sin(known[:, 3]) * known[:, 4]
    y = signal + 0.1 * known[:, 5:].sum(axis=1) + np.random.default_rng(0).normal(size=n)
    settings = {"max_depth": depth, "learning_rate": 0.05, "nthread": 2, "seed": 0}
    return xgboost.train(settings, xgboost.DMatrix(X, y), n_trees)


def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """Elapsed seconds, processor seconds and result."""
    elapsed, processor = time.perf_counter(), time.process_time()
    result = call()
    return time.perf_counter() - elapsed, time.process_time() - processor, result


def tables(booster: Any) -> Any:
    """Print what reading the trees and making tables costs, first and later."""
    from biomarker.explain.tree_paths import compile_paths

    first, _, paths = timed(lambda: compile_paths(booster))
    later, _, _ = timed(lambda: compile_paths(booster.copy()))
    size = paths.lookup.table.nbytes / 1e6
    print(f"  tables: first {first:.2f} s, later {later:.2f} s, {size:.1f} MB")
    first, _, _ = timed(lambda: paths.contributions(draw(10, seed=3)))
    print(f"  first contributions, 10 rows, compiled or loaded: {first:.2f} s")
    return paths


def theirs(booster: Any, rows: Floats, threads: int, **kind: bool) -> tuple[float, float, Any]:
    """The booster's own call on a fresh matrix, whose making is not timed."""
    import xgboost

    booster.set_param({"nthread": threads})
    matrix = xgboost.DMatrix(rows, nthread=threads)
    return timed(lambda: booster.predict(matrix, **kind))


def compare(booster: Any, paths: Any, rows: Floats, threads: int, n_theirs: int) -> None:
    """Print both times, their ratios and the largest difference."""

    def ours() -> tuple[float, float, Any]:
        return timed(lambda: paths.contributions(rows, threads))

    runs = [ours() for _ in range(3)]
    elapsed, processor, reference = theirs(booster, rows[:n_theirs], threads, pred_contribs=True)
    scale = len(rows) / n_theirs
    runs += [ours() for _ in range(3)]
    own_elapsed = statistics.median(run[0] for run in runs)
    own_processor = statistics.median(run[1] for run in runs)
    gap = float(np.abs(runs[0][2][:n_theirs] - reference).max())
    base = bool(np.all(runs[0][2][:n_theirs, -1] == reference[:, -1]))
    ratio = scale * elapsed / own_elapsed
    print(
        f"  {threads} thread(s): ours {own_elapsed:.3f} s ({own_processor:.3f} processor), booster "
        f"{scale * elapsed:.2f} s ({scale * processor:.2f})"
        f"{'' if n_theirs == len(rows) else f', from {n_theirs:,} rows'}\n"
        f"  RATIO booster / ours: {ratio:.1f} elapsed, {scale * processor / own_processor:.1f} "
        f"processor (wanted >= {WANTED:g}); largest difference {gap:.1e} on {n_theirs:,} rows "
        f"(wanted <= 1e-5), base value equal: {base}"
    )


def small_study() -> None:
    """300 patients, 100 trees of depth 2, tables included each time."""
    from biomarker.explain.tree_paths import compile_paths

    booster, rows = grow(2, 100, n=300), draw(300, seed=5)
    booster.set_param({"nthread": 1})
    compile_paths(booster).contributions(rows)
    ours, booster_own = [], []
    for _ in range(9):
        again = booster.copy()
        again.set_param({"nthread": 1})
        ours.append(timed(lambda again=again: compile_paths(again).contributions(rows))[0])
        booster_own.append(theirs(booster, rows, 1, pred_contribs=True)[0])
    a, b = statistics.median(ours), statistics.median(booster_own)
    print(f"\n300 rows, 100 trees of depth 2, tables included: {a * 1e3:.1f} ms; "
          f"booster {b * 1e3:.1f} ms")  # fmt: skip


def interactions(n: int = 1000) -> None:
    """Pairwise values of 1,000 rows, tables of pairs included."""
    from biomarker.explain.tree_paths import compile_paths

    rows = draw(n, seed=6)
    for depth in (2, 3, 4):
        booster = grow(depth, N_TREES)
        paths = compile_paths(booster)
        paths.interactions(rows[:10])
        _, ours, found = timed(lambda paths=paths: paths.interactions(rows))
        _, own, reference = theirs(booster, rows[:200], 1, pred_interactions=True)
        gap = float(np.abs(found[:200] - reference[:, :-1, :-1]).max())
        print(
            f"interactions, {n:,} rows, depth {depth}: {ours:.3f} s, booster {own * n / 200:.2f} s "
            f"(from 200 rows): RATIO {own * n / 200 / ours:.0f}; largest difference {gap:.1e}"
        )


if __name__ == "__main__":
    main()
