"""Score on a Dask cluster, kill a worker half-way, and compare every byte with the local job's."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

from experiments.e06_scoring_under_fire.kills import Job

__all__ = ["kill_a_worker"]


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
    from pipelines.dask_engine import DaskEngine
    from pipelines.engine import LocalEngine
    from pipelines.scoring_job import score_file

    there = replace(job, out=job.out.with_name("cluster.parquet"))
    bundle = load_bundle(job.bundle)
    score_file(job.source, bundle, job.out, chunk_rows=job.chunk_rows,
               engine=LocalEngine(job.threads))  # fmt: skip
    wanted = job.bytes_out()
    half = sum(name.endswith(".parquet") for name in wanted) // 2
    killed: list[int] = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:

        class KillsOne(DaskEngine):
            """Kills a worker once half of the chunks are back."""

            def run(self, *call: Any) -> Any:
                for k, record in enumerate(super().run(*call)):
                    if k == half:
                        with distributed.Client(cluster.scheduler_address) as client:
                            killed.append(min(client.run(os.getpid).values()))
                        os.kill(killed[0], signal.SIGKILL)
                    yield record

        score_file(job.source, bundle, there.out, chunk_rows=job.chunk_rows,
                   engine=KillsOne(cluster.scheduler_address))  # fmt: skip
    found = there.bytes_out()
    differing = sum(found.get(name) != wanted.get(name) for name in {*found, *wanted})
    return {"chunks": len(wanted) - 1, "killed_at": half, "workers_killed": len(killed),
            "differing": differing}  # fmt: skip
