"""What the toolkit adds to the work itself: training, help, and scoring a small file.

Prints three ratios:

1. ``train`` on GBSG2 with the default zoo, without the evidence (its redrawn outcomes are work of
   their own, not overhead of the fits) / a replay of exactly the ``fit`` calls it made (same data,
   seeds and workers), first and warm;
2. ``biomarker --help`` / ``python -c 'import click'``;
3. ``biomarker score`` of 1,000 rows / ``python -c 'import xgboost, pyarrow.parquet'``.

Run: ``python -m experiments.benchmarks.overhead [--jobs N] [--runs N]``
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

Call = tuple[str, dict[str, Any], int, Any]


def main() -> None:
    """Run the three comparisons and print a line for each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options.add_argument("--runs", type=int, default=9)
    options.add_argument("--skip-training", action="store_true")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        data = work / "gbsg2.csv"
        shipped = resources.files("lifelines").joinpath("datasets", "gbsg2.csv")
        data.write_bytes(shipped.read_bytes())
        bundle = training(data, work, chosen.jobs, chosen.skip_training)
        start_up(work, data, bundle, chosen.runs)


def training(data: Path, work: Path, jobs: int, skip: bool) -> Path:
    """Time ``train`` against its own fits; returns a boosted bundle for the scoring part."""
    from pipelines.training import train

    if skip:
        result = train(data, "gbsg2", models=["boosted_cox"], folds=2, repeats=1, jobs=1,
                       out=work / "out", store=work / "runs", evidence=False)  # fmt: skip
        return result.bundles["rfs-boosted_cox"]
    seconds = {}
    for label in ("first", "warm"):
        made: list[Any] = []
        began = time.perf_counter()
        result = train(
            data, "gbsg2", jobs=jobs, out=work / "out", store=work / "runs",
            recorder=lambda *call, made=made: made.append(call), evidence=False,
        )  # fmt: skip
        seconds[label] = time.perf_counter() - began
    calls: list[Call] = [call[1:] for call in made]
    began = time.perf_counter()
    replay(data, calls, jobs)
    alone = time.perf_counter() - began
    fits = Counter(model for model, *_ in calls)
    print(f"fits per model: {dict(fits)}, {sum(fits.values())} in all, {jobs} workers")
    print(f"train, first call (imports, compilation, workers): {seconds['first']:.1f} s")
    print(f"train, warm: {seconds['warm']:.1f} s; the same fits alone: {alone:.1f} s")
    print(f"RATIO train / fits alone: {seconds['warm'] / alone:.2f} (wanted <= 1.5)")
    return result.bundles["rfs-boosted_cox"]


def replay(data: Path, calls: list[Call], jobs: int) -> None:
    """Make the recorded fits again, on as many workers, and nothing else."""
    from joblib import Parallel, delayed

    from biomarker.features.encoding import plan_columns
    from pipelines.ingest import load_cohort

    cohort = load_cohort(data, "gbsg2")
    outcome = cohort.outcomes["rfs"]
    X, y = cohort.matrix()[outcome.included], outcome.y
    plans = plan_columns(cohort.study, cohort.features)
    # Long fits would leave a worker idle at the end if each were sent alone; equal shares of
    # every model keep both busy, which favours the replay.
    shares = [calls[start::jobs] for start in range(jobs)]
    if jobs == 1:
        fit_share(plans, shares[0], X, y)
    else:
        Parallel(n_jobs=jobs, backend="loky")(
            delayed(fit_share)(plans, share, X, y) for share in shares
        )


def fit_share(plans: Any, calls: list[Call], X: Any, y: Any) -> None:
    """Fit one worker's share of the recorded calls."""
    from threadpoolctl import threadpool_limits

    from biomarker.models.pipeline import PipelineBuilder

    with threadpool_limits(limits=1):
        for model, params, seed, rows in calls:
            PipelineBuilder(plans, model)(params, seed).fit(X[rows], y[rows])


def start_up(work: Path, data: Path, bundle: Path, runs: int) -> None:
    """Whole-process times of help and of scoring 1,000 rows, in turn with their references."""
    lines = data.read_text("utf-8").splitlines(keepends=True)
    thousand = work / "thousand.csv"
    body = lines[1:]
    thousand.write_text(lines[0] + "".join((body * 2)[:1000]), "utf-8")
    python = sys.executable
    biomarker = str(Path(python).with_name("biomarker"))
    score = [biomarker, "score", str(thousand), "--model", str(bundle)]
    compare(
        "biomarker --help / import click",
        [biomarker, "--help"], [python, "-c", "import click"], runs, 1.8,
    )  # fmt: skip
    compare(
        "biomarker score, 1,000 rows / import xgboost, pyarrow.parquet",
        [*score, "--out", str(work / "scores.parquet")],
        [python, "-c", "import xgboost, pyarrow.parquet"], runs, 1.4,
    )  # fmt: skip


def compare(name: str, ours: list[str], reference: list[str], runs: int, wanted: float) -> None:
    """Run two commands in turn after one unmeasured run each; print medians and their ratio."""
    times: dict[str, list[float]] = {"ours": [], "reference": []}
    for turn in range(runs + 1):
        for label, command in (("ours", ours), ("reference", reference)):
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if turn:
                times[label].append(time.perf_counter() - began)
    a, b = (statistics.median(times[label]) for label in ("ours", "reference"))
    paired = statistics.median(x / y for x, y in zip(*times.values(), strict=True))
    print(f"RATIO {name}: {paired:.2f} (wanted <= {wanted}); {a:.3f} s against {b:.3f} s")


if __name__ == "__main__":
    main()
