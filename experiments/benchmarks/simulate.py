"""How fast cohorts are drawn, how time grows with their size, and how much memory streaming takes.

Prints for the full ``il2-rcc`` design, cohort and truth both:

1. patients per second and per minute with 1 and 2 processes, first and warm calls apart;
2. that time as a ratio to drawing plain NumPy normals for the same number of cells;
3. time for 10 times the patients (linear would be 10);
4. peak memory of streaming a long cohort with its truth into Parquet files.

Run: ``python -m experiments.benchmarks.simulate [--patients N] [--long N]``
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from synthetic_data.plan import BLOCK, Plan, plan_for
from synthetic_data.schema import block_batches, cohort_schema, stream, truth_schema

EFFECTS = {"vegf": ["predictive:0.5", "prognostic:0.3"], "caix": "prognostic:0.3"}


def main() -> None:
    """Run the comparisons and print a line for each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--patients", type=int, default=16 * BLOCK)
    options.add_argument("--long", type=int, default=10_000_000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--stream", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.stream:
        print(peak_memory(chosen.stream))
        return
    print(f"load average before: {os.getloadavg()[0]:.1f}")
    speed(chosen.patients, chosen.runs)
    growth(chosen.patients, chosen.runs)
    memory(chosen.long)


def draw(plan: Plan, index: int) -> int:
    """One block of cohort and truth as Arrow batches; its number of patients."""
    schemas = cohort_schema(plan), truth_schema(plan, markers=False)
    return int(block_batches(plan, index, *schemas)[0].num_rows)


def timed(plan: Plan, workers: int) -> float:
    """Seconds to draw every block."""
    began = time.perf_counter()
    if workers == 1:
        total = sum(draw(plan, i) for i in range(plan.n_blocks))
    else:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            list(pool.map(warm, range(workers)))
            began = time.perf_counter()
            total = sum(pool.map(partial(draw, plan), range(plan.n_blocks)))
    assert total == plan.n_patients
    return time.perf_counter() - began


def warm(_: int) -> int:
    """Load every module in a worker, so that its start is not counted as drawing."""
    return draw(plan_for("il2-rcc", 100, 1), 0)


def normals(n_patients: int, n_columns: int) -> float:
    """Seconds to draw as many plain normals as the cohort and truth have cells."""
    rng = np.random.default_rng(1)
    began = time.perf_counter()
    for _ in range(-(-n_patients // BLOCK)):
        rng.standard_normal((n_columns, BLOCK))
    return time.perf_counter() - began


def speed(n_patients: int, runs: int) -> None:
    """Patients per second, and the ratio to plain normals."""
    plan = plan_for("il2-rcc", n_patients, 1, EFFECTS)
    first = timed(plan_for("il2-rcc", BLOCK, 2, EFFECTS), 1)
    print(f"first block, modules loaded on the way: {BLOCK / first:,.0f} patients/s")
    n_cohort = len(cohort_schema(plan))
    plain = statistics.median(normals(n_patients, n_cohort) for _ in range(runs))
    for workers in (1, 2):
        seconds = statistics.median(timed(plan, workers) for _ in range(runs))
        rate = n_patients / seconds
        print(
            f"{workers} process(es), warm: {seconds:.2f} s for {n_patients:,} patients, "
            f"{rate:,.0f} patients/s, {60 * rate / 1e6:.1f} million/minute, "
            f"{seconds / plain:.1f} x plain normals ({n_cohort} columns, {plain:.2f} s)"
        )


def growth(n_patients: int, runs: int) -> None:
    """Time for ten times the patients, in turn, so that a machine that drifts bends both alike."""
    plans = [plan_for("il2-rcc", n, 3, EFFECTS) for n in (n_patients // 10, n_patients)]
    pairs = [[timed(plan, 1) for plan in plans] for _ in range(max(runs, 7))]
    small, large = (min(times) for times in zip(*pairs, strict=True))
    print(f"10 x the patients takes {large / small:.2f} x the time (at most 11 asked)")


def memory(n_patients: int) -> None:
    """Peak memory of streaming in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "experiments.benchmarks.simulate", "--stream", str(n_patients)],
        capture_output=True,
        text=True,
        check=True,
    )
    print(
        f"streaming {n_patients:,} patients into Parquet: {done.stdout.strip()} (below 1 GB asked)"
    )


def peak_memory(n_patients: int) -> str:
    """Stream cohort and truth into files that are thrown away; seconds and peak memory."""
    plan = plan_for("il2-rcc", n_patients, 4, EFFECTS)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        cohort = pq.ParquetWriter(Path(scratch) / "c.parquet", cohort_schema(plan))
        truth = pq.ParquetWriter(Path(scratch) / "t.parquet", truth_schema(plan, markers=False))
        for observed, known in stream(plan):
            cohort.write_batch(observed)
            truth.write_batch(known)
        cohort.close()
        truth.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return f"{time.perf_counter() - began:.0f} s, peak {peak:.2f} GB"


if __name__ == "__main__":
    main()
