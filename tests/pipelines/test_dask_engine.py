"""A Dask cluster writes the bytes that this machine writes, also where a worker is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biomarker.errors import UsageError
from experiments.e06_scoring_under_fire.cluster import killing_engine
from pipelines.bundle import Bundle, load_bundle
from pipelines.dask_engine import DaskEngine
from pipelines.scoring_job import score_file

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def bundle(ward_bundle: Path) -> Bundle:
    """The stored Cox model of the ward study."""
    return load_bundle(ward_bundle)


@pytest.fixture(scope="module")
def cluster() -> Any:
    """A scheduler and two worker processes on the loopback address."""
    made = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
        dashboard_address=None,
    )  # fmt: skip
    yield made
    made.close()


@pytest.fixture
def parquet(ward: Any, tmp_path: Path) -> Path:
    """Many patients, two of them with one id."""
    drop = ["months", "died", "best", "site", "later"]
    frame = pd.concat([ward.frame(1000, seed=6).drop(columns=drop)] * 8, ignore_index=True)
    frame["pid"] = np.arange(len(frame)).astype(str)
    frame.loc[[1, 7001], "pid"] = "twice"
    path = tmp_path / "new.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=900)
    return path


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of an output folder."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_a_cluster_writes_the_same_bytes(
    cluster: Any, parquet: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """With a worker killed half-way its tasks are done by the other, and nothing is lost."""
    here, there = tmp_path / "here" / "out.parquet", tmp_path / "there" / "out.parquet"
    score_file(parquet, bundle, here, drivers=2, chunk_rows=100)
    engine, _ = killing_engine(cluster.scheduler_address, 10)
    done = score_file(parquet, bundle, there, drivers=2, chunk_rows=100, engine=engine)
    assert done.rows == 8000
    assert done.reasons["duplicate_id:pid"] == 2
    assert bytes_of(there) == bytes_of(here)
    assert [p.name for p in there.parent.iterdir()] == ["out.parquet"]


def test_no_scheduler_is_said(parquet: Path, bundle: Bundle, tmp_path: Path) -> None:
    """An address that nobody answers at is a usage error, and the input stays untouched."""
    with pytest.raises(UsageError, match="scheduler must"):
        score_file(
            parquet, bundle, tmp_path / "out.parquet", engine=DaskEngine("tcp://127.0.0.1:9")
        )
