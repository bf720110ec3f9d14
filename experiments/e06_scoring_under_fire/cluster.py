"""Score on a Dask cluster, kill a worker half-way, and compare every byte with the local job's."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

from experiments.e06_scoring_under_fire.kills import Job

__all__ = ["kill_a_worker", "killing_engine"]


def killing_engine(address: str, at: int) -> tuple[Any, list[int]]:
    """An engine of a cluster that kills one worker once ``at`` chunks are back, and whom it killed.

    Parameters
    ----------
    address : str
        Of the scheduler; its workers must be processes of this machine.
    at : int
    """
    import distributed

    from pipelines.dask_engine import DaskEngine

    killed: list[int] = []

    class KillsOne(DaskEngine):
        def run(self, *call: Any) -> Any:
            for k, record in enumerate(super().run(*call)):
                if k == at:
                    with distributed.Client(address) as client:
                        killed.append(min(client.run(os.getpid).values()))
                    os.kill(killed[0], signal.SIGKILL)
                yield record

    return KillsOne(address), killed


def kill_a_worker(job: Job) -> dict[str, Any]:
    """Two worker processes on the loopback address, one of them killed at half of the chunks.

    Parameters
    ----------
    job : Job
        Run here first, in peace.

    Returns
    -------
    dict
        ``chunks``, ``killed_at``, ``workers_killed`` and the number of ``differing`` files.
    """
    import distributed

    from pipelines.bundle import load_bundle
    from pipelines.engine import LocalEngine
    from pipelines.scoring_job import score_file

    there = replace(job, out=job.out.with_name("cluster.parquet"))
    bundle = load_bundle(job.bundle)
    score_file(job.source, bundle, job.out, chunk_rows=job.chunk_rows,
               engine=LocalEngine(job.threads))  # fmt: skip
    wanted = job.bytes_out()
    half = sum(name.endswith(".parquet") for name in wanted) // 2
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        engine, killed = killing_engine(cluster.scheduler_address, half)
        score_file(job.source, bundle, there.out, chunk_rows=job.chunk_rows, engine=engine)
    found = there.bytes_out()
    differing = sum(found.get(name) != wanted.get(name) for name in {*found, *wanted})
    return {"chunks": len(wanted) - 1, "killed_at": half, "workers_killed": len(killed),
            "differing": differing}  # fmt: skip
