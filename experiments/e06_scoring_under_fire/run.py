"""Run the trials and keep what they found.

``python -m experiments.e06_scoring_under_fire.run`` runs all at full size;
``--only jobs`` some, ``--kills`` and ``--rows`` smaller ones, ``--out`` elsewhere.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.e06_scoring_under_fire.cluster import kill_a_worker
from experiments.e06_scoring_under_fire.kills import Job, kill_at_writes, kill_jobs, run_forked
from experiments.e06_scoring_under_fire.training import kill_training

RESULTS = Path(__file__).parent / "results"
SEED = 60_600
THREADS = 2
_CHUNKS = 50
_NEEDED = (
    "pyarrow.parquet",
    "sqlalchemy",
    "xgboost",
    "biomarker.explain.tree_margin_kernel",
    "pipelines.row_ids_kernel",
    "pipelines.scoring_job",
    "mlflow",
    "pipelines.training",
)


class Trials:
    """The trials of one run.

    Parameters
    ----------
    scratch : Path
    rows, kills : int
    every : int
        Of the writes of a scoring job, each so many is killed at.
    """

    def __init__(self, scratch: Path, rows: int, kills: int, every: int) -> None:
        self.scratch, self.rows, self.kills, self.every = scratch, rows, kills, every

    def _inputs(self, rows: int) -> tuple[Path, Path]:
        """A model of 300 trees and a file, made in a process of their own."""
        from experiments.benchmarks.scoring_case import make_bundle, write_file

        bundle, data = self.scratch / "bundle", self.scratch / f"rows-{rows}.parquet"
        if not bundle.exists() and run_forked(lambda: make_bundle(bundle)) != "done":
            raise RuntimeError("the bundle must be made; it was not.")
        if not data.exists() and run_forked(lambda: write_file(data, rows)) != "done":
            raise RuntimeError("the file must be made; it was not.")
        return bundle, data

    def _job(self, name: str, rows: int, single_file: bool, chunks: int = _CHUNKS) -> Job:
        bundle, data = self._inputs(rows)
        place = self.scratch / name
        place.mkdir(parents=True)
        return Job(data, bundle, place / "out.parquet", -(-rows // chunks), THREADS, single_file)

    def jobs(self) -> dict[str, Any]:
        """Kills at random moments; half of them with the parts joined."""
        found = {}
        for single in (False, True):
            name = "joined" if single else "parts"
            job = self._job(name, self.rows, single)
            found[name] = kill_jobs(job, self.kills // 2, SEED + single)
        return found | {"rows": self.rows, "threads": THREADS}

    def writes(self) -> dict[str, Any]:
        """A kill at every write of a small job, over nothing, an older file and older parts."""
        rows = min(self.rows, 5_000)
        found = {}
        for single, old in ((False, "nothing"), (False, "parts"), (True, "file"), (True, "parts")):
            name = f"{'joined' if single else 'parts'} over {old}"
            job = self._job(f"writes-{single}-{old}", rows, single, 3)
            found[name] = kill_at_writes(job, self._older(job, old), self.every)
        return found

    def _older(self, job: Job, kind: str) -> Callable[[Path], Any]:
        """What puts an older output of a kind at a path."""
        older = job.out.parent / "older.parquet"
        if kind == "nothing":
            return lambda _: None
        if kind == "file":
            return lambda path: path.write_bytes(b"an older file")
        one = Job(
            **vars(job) | {"out": older, "single_file": False, "chunk_rows": job.chunk_rows // 2}
        )
        if run_forked(one.run) != "done":
            raise RuntimeError("the older output must be made; it was not.")
        return lambda path: shutil.copytree(older, path)

    def cluster(self) -> dict[str, Any]:
        """A worker of a Dask cluster killed half-way."""
        return {"rows": self.rows} | kill_a_worker(self._job("cluster", self.rows, False))

    def train(self) -> dict[str, Any]:
        """Kills at write points of training."""
        return kill_training(self.scratch / "training", max(self.kills // 2, 2), SEED)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=["jobs", "writes", "train", "cluster"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--scratch", type=Path)
    options = parser.parse_args()
    _import_all()
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        trials = Trials(Path(scratch), options.rows, options.kills, options.every)
        for name in options.only:
            found = getattr(trials, name)()
            options.out.mkdir(parents=True, exist_ok=True)
            text = json.dumps(found, indent=1, allow_nan=False) + "\n"
            (options.out / f"{name}.json").write_text(text)
            print(name, text, flush=True)


def _import_all() -> None:
    """Load what forked processes need, and start no thread."""
    from pipelines.tracking_store import quiet_mlflow

    quiet_mlflow()
    for name in _NEEDED:
        importlib.import_module(name)


if __name__ == "__main__":
    main()
