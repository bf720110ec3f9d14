"""Scoring a file end to end against the least it could cost: reading, the trees, writing.

Prints, for a boosted model of 300 trees (4 splits deep) and files of 20 columns, with the same
number of threads and alternately in one process:

1. a job / its floor: read with pyarrow, raw booster prediction on a matrix encoded beforehand,
   write the same columns with pyarrow (wanted <= 1.25; CSV <= 1.4), first call and warm ones;
2. a job with three drivers / that floor with the booster's own contribution call (<= 0.15);
3. ``predict`` of an MLflow model on pandas chunks, a scikit-learn pipeline that holds the same
   trees, / a job (>= 5); beside it that model with reading and writing, and the job's steps;
4. ten times the rows: time (<= 10.5) and peak memory (<= 1.3, and 1.5 GB), each in its own process.

Run: ``python -m experiments.benchmarks.scoring [--rows 1000000] [--threads 2] [--scratch DIR]``
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from experiments.benchmarks.scoring_case import make_bundle, write_file
from experiments.benchmarks.scoring_steps import print_steps

_CONTRIBUTIONS = 50_000  # rows of the booster's own call, which grows in proportion
_PANDAS = 100_000


def main() -> None:
    """Run the comparisons and print a line for each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--scratch", type=Path)
    options.add_argument(
        "--only", nargs="*", default=["parquet", "csv", "drivers", "mlflow", "grow"]
    )
    chosen = options.parse_args()
    scratch = chosen.scratch or Path(tempfile.mkdtemp())
    scratch.mkdir(parents=True, exist_ok=True)
    pa.set_cpu_count(chosen.threads)
    try:
        bundle = scratch / "bundle"
        if not bundle.exists():
            make_bundle(bundle)
        work = _Work(scratch, bundle, chosen.rows, chosen.threads, chosen.runs)
        for name in chosen.only:
            getattr(work, name)()
    finally:
        if chosen.scratch is None:
            shutil.rmtree(scratch)


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Elapsed and processor seconds."""
    elapsed, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - elapsed, time.process_time() - processor


class _Work:
    """Files, the loaded model and the matrix that the floor is given."""

    def __init__(self, scratch: Path, bundle: Path, rows: int, threads: int, runs: int) -> None:
        from pipelines.bundle import load_bundle

        self.scratch, self.folder, self.rows = scratch, bundle, rows
        self.threads, self.runs = threads, runs
        self.bundle = load_bundle(bundle)

    def file(self, kind: str, times: int = 1) -> Path:
        """A file of so many times the rows."""
        path = self.scratch / f"rows-{times * self.rows}.{kind}"
        return path if path.exists() else write_file(path, times * self.rows)

    def job(self, path: Path, out: Path, drivers: int = 0) -> Any:
        """The job under test."""
        from pipelines.engine import LocalEngine
        from pipelines.scoring_job import score_file

        engine = LocalEngine(self.threads)
        return score_file(path, self.bundle, out, drivers=drivers, engine=engine)

    def encoded(self, path: Path) -> np.ndarray:
        """Features of a whole file, which the floor does not pay for."""
        from pipelines.row_source import open_source

        columns = self.bundle.encoder.columns
        parts = []
        source = open_source(path)
        for _, table in source.chunks(source.names, source.count_rows()):
            raw = np.column_stack([c.plan.rule.parse(table[c.name]).values for c in columns])
            parts.append(self.bundle.encoder.transform(raw, np.float32))
        return np.concatenate(parts)

    def floor(
        self, path: Path, features: np.ndarray, scores: pa.Table, out: Path, **kind: bool
    ) -> dict[str, float]:
        """Seconds of reading, the trees and writing, each alone."""
        import xgboost

        booster = self.bundle.fitted.model.booster_.copy()
        booster.set_param({"nthread": self.threads})
        csv = path.suffix == ".csv"

        def trees() -> None:
            if kind:
                rows = features[:_CONTRIBUTIONS]
                booster.predict(xgboost.DMatrix(rows, nthread=self.threads), **kind)
            else:
                booster.inplace_predict(features, predict_type="margin", validate_features=False)

        steps = {
            "read": lambda: pa_csv.read_csv(path) if csv else pq.read_table(path),
            "trees": trees,
            "write": lambda: (pa_csv.write_csv if csv else pq.write_table)(scores, out),
        }
        found = {name: timed(step)[0] for name, step in steps.items()}
        if kind:
            found["trees"] *= len(features) / min(_CONTRIBUTIONS, len(features))
        return found

    def scores_of(self, out: Path, kind: str) -> pa.Table:
        """What the job wrote, for the floor to write."""
        parts = sorted(out.glob(f"part-*.{kind}")) if out.is_dir() else [out]
        read = pa_csv.read_csv if kind == "csv" else pq.read_table
        return pa.concat_tables([read(part) for part in parts]).combine_chunks()

    def compare(self, kind: str, wanted: float) -> None:
        """Print the job against its floor."""
        path, out = self.file(kind), self.scratch / f"out.{kind}"
        first = timed(lambda: self.job(path, out))
        features, scores = self.encoded(path), self.scores_of(out, kind)
        ratios, jobs, floors = [], [], []
        for _ in range(self.runs):
            least = self.floor(path, features, scores, self.scratch / f"floor.{kind}")
            elapsed = timed(lambda: self.job(path, out))
            jobs.append(elapsed)
            floors.append(least)
            ratios.append(elapsed[0] / sum(least.values()))
        parts = {name: statistics.median(f[name] for f in floors) for name in floors[0]}
        print(f"{kind}: {self.rows:,} rows, {self.threads} threads; first job {first[0]:.2f} s")
        print("  floor " + ", ".join(f"{name} {s:.2f} s" for name, s in parts.items()))
        job = statistics.median(j[0] for j in jobs), statistics.median(j[1] for j in jobs)
        print(f"  job, warm {job[0]:.2f} s ({job[1]:.2f} s of processor)")
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"RATIO job / floor, {kind}: {statistics.median(ratios):.2f} ({spread}; "
              f"wanted <= {wanted})", flush=True)  # fmt: skip

    def parquet(self) -> None:
        """Comparison 1."""
        self.compare("parquet", 1.25)

    def csv(self) -> None:
        """Comparison 1 for text."""
        self.compare("csv", 1.4)

    def drivers(self) -> None:
        """Comparison 2."""
        path, out = self.file("parquet"), self.scratch / "drivers.parquet"
        first = timed(lambda: self.job(path, out, drivers=3))[0]
        features, scores = self.encoded(path), self.scores_of(out, "parquet")
        target = self.scratch / "floor.parquet"
        least = self.floor(path, features, scores, target, pred_contribs=True)
        job = statistics.median(
            timed(lambda: self.job(path, out, drivers=3))[0] for _ in range(self.runs)
        )
        print(f"drivers: first job {first:.2f} s, warm {job:.2f} s; floor with the booster's own "
              f"contributions {sum(least.values()):.1f} s "
              f"(from {min(_CONTRIBUTIONS, self.rows):,} rows)")  # fmt: skip
        print(f"RATIO job with 3 drivers / that floor: {job / sum(least.values()):.3f} "
              "(wanted <= 0.15)", flush=True)  # fmt: skip

    def mlflow(self) -> None:
        """Comparison 3."""
        from experiments.benchmarks.scoring_peer import pandas_pipeline

        path, out = self.file("parquet"), self.scratch / "out.parquet"
        model = pandas_pipeline(self.bundle, self.scratch / "pipeline")
        frame = pq.read_table(path).to_pandas()
        self.bundle.fitted.model.booster_.set_param({"nthread": 1})

        def predict() -> None:
            for begin in range(0, len(frame), _PANDAS):
                model.predict(frame.iloc[begin : begin + _PANDAS])

        def whole() -> None:
            folder = self.scratch / "mlflow-parts"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for k, batch in enumerate(pq.ParquetFile(path).iter_batches(_PANDAS)):
                chunk = batch.to_pandas()
                risk = np.asarray(model.predict(chunk))
                chunk[["patient"]].assign(risk=risk).to_parquet(folder / f"{k}.parquet")

        times: dict[str, list[float]] = {"predict": [], "whole": [], "job": []}
        self.job(path, out)
        for _ in range(self.runs):
            times["predict"].append(timed(predict)[0])
            times["job"].append(timed(lambda: self.job(path, out))[0])
            times["whole"].append(timed(whole)[0])
        theirs, end_to_end, job = (
            statistics.median(times[name]) for name in ("predict", "whole", "job")
        )
        print(f"MLflow on pandas chunks, without reading or writing: {theirs:.2f} s; "
              f"the job, which reads and writes: {job:.2f} s")  # fmt: skip
        print(f"RATIO MLflow / job: {theirs / job:.1f} (wanted >= 5)", flush=True)
        print(f"  for comparison, not judged: the same model end to end (chunks read with pandas, "
              f"predict, id and risk written with to_parquet) {end_to_end:.2f} s, "
              f"{end_to_end / job:.1f} times the job")  # fmt: skip
        print_steps(self.bundle, path, self.threads)

    def grow(self) -> None:
        """Comparison 4."""
        found = []
        for times in (1, 10):
            done = subprocess.run(
                [sys.executable, "-c", _ALONE, str(self.file("parquet", times)), str(self.folder),
                 str(self.scratch / f"alone-{times}.parquet"), str(self.threads)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            found.append(json.loads(done.stdout))
        (t1, m1), (t10, m10) = found
        print(f"{self.rows:,} rows {t1:.2f} s, {m1:.0f} MB; ten times {t10:.2f} s, {m10:.0f} MB")
        print(f"RATIO time {t10 / t1:.2f} (wanted <= 10.5); memory {m10 / m1:.2f} "
              f"(wanted <= 1.3), {m10 / 1024:.2f} GB (wanted <= 1.5)", flush=True)  # fmt: skip


_ALONE = """
import json, resource, sys, time
from pipelines.bundle import load_bundle
from pipelines.engine import LocalEngine
from pipelines.scoring_job import score_file
bundle = load_bundle(sys.argv[2])
engine = LocalEngine(int(sys.argv[4]))
began = time.perf_counter()
score_file(sys.argv[1], bundle, sys.argv[3], engine=engine)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([time.perf_counter() - began, peak]))
"""


if __name__ == "__main__":
    main()
