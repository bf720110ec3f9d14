"""Training on a Dask cluster gives this machine's numbers to the last bit, or says why not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biomarker.errors import UsageError
from biomarker.side_by_side import side_by_side
from pipelines import dask_workers
from pipelines.dask_engine import DaskEngine
from pipelines.dask_workers import training_workers
from pipelines.software import software_versions
from pipelines.training import TrainResult, train

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore")


def dies_once(mark: str, number: int) -> int:
    """Give the number; the first call of all to reach three kills its process."""
    if number == 3:
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return number
        os._exit(9)
    return number


def started(n_workers: int, threads: int = 1) -> Any:
    """A scheduler and worker processes on the loopback address."""
    return distributed.LocalCluster(
        n_workers=n_workers, threads_per_worker=threads, processes=True, host="127.0.0.1",
        dashboard_address=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Any:
    """Two workers of one thread each."""
    with started(2) as made:
        yield made


def figures(result: TrainResult) -> list[Any]:
    """Every number of a run that a cluster could change."""
    found: list[Any] = []
    for model in result.run.models:
        nested = model.nested
        found += [model.params, nested.risk, nested.chosen_params, nested.performance]
        found += [nested.survival, model.attribution.values]
    for reading in result.run.readings.values():
        if reading.examination is not None:
            found.append(reading.examination.to_dict())
    assert result.run.evidence is not None
    evidence = result.run.evidence.to_dict()
    del evidence["ledger"]  # says when hypotheses were recorded
    return [*found, evidence]


def digests(result: TrainResult) -> dict[str, bytes]:
    """Manifests of the bundles and every stored block of refits."""
    out = result.report.parent
    files = [*out.glob("bundles/*/manifest.json"), *out.glob("refits/*/*.npz")]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


@pytest.mark.slow
def test_training_gives_the_same_bits(
    trained: Any, cluster: Any, cohort_folder: Path, empty_store: Path, tmp_path: Path
) -> None:
    """Performance, refits, verdicts and bundles equal the local run's, and the workers did them."""
    local, _ = trained
    result = train(
        cohort_folder / "cohort.csv",
        cohort_folder / "small.toml",
        models=["cox", "boosted_cox", "logistic"],
        out=tmp_path / "out",
        store=shutil.copytree(empty_store, tmp_path / "runs"),
        engine=DaskEngine(cluster.scheduler_address),
    )
    for one, other in zip(figures(result), figures(local), strict=True):
        np.testing.assert_equal(one, other)
    assert digests(result) == digests(local)
    assert any(name.startswith("refits") for name in digests(result))
    log = cluster.scheduler.transition_log
    done = [entry[0] for entry in log if entry[2] == "memory"]
    assert sum(str(key).startswith("batch_of_") for key in done) >= 6


def test_no_scheduler_is_said_before_anything_is_written(
    cohort_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words are those of scoring, and no store is begun."""
    monkeypatch.setattr(dask_workers, "_ANSWER_WITHIN", 2)
    with pytest.raises(UsageError, match="The scheduler must answer at 'tcp://127.0.0.1:9'"):
        train(
            cohort_folder / "cohort.csv",
            cohort_folder / "small.toml",
            out=tmp_path / "out",
            store=tmp_path / "runs",
            engine=DaskEngine("tcp://127.0.0.1:9"),
        )
    assert not list(tmp_path.iterdir())


def test_calls_that_kill_their_workers_end_the_training() -> None:
    """The cluster's own words are not passed on, and nobody waits for ever."""
    with started(2) as made:
        with training_workers(made.scheduler_address):
            assert list(side_by_side(abs, [(-k,) for k in range(5)], 2)) == [0, 1, 2, 3, 4]
        with (
            pytest.raises(UsageError, match="must last as long as the training; got KilledWorker"),
            training_workers(made.scheduler_address),
        ):
            list(side_by_side(os._exit, [(3,)], 2))


def test_one_worker_that_dies_loses_nothing(tmp_path: Path) -> None:
    """Its call is done by the other."""
    with started(2) as made, training_workers(made.scheduler_address):
        calls = [(str(tmp_path / "once"), k) for k in range(8)]
        assert list(side_by_side(dies_once, calls, 2)) == list(range(8))


def test_workers_with_several_threads_are_refused() -> None:
    """Threads of one process undo each other's limit on numerical libraries."""
    with (
        started(1, threads=2) as made,
        pytest.raises(UsageError, match="one thread each"),
        training_workers(made.scheduler_address),
    ):
        pass


def test_a_cluster_without_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that nobody takes up does not wait for ever."""
    monkeypatch.setattr(dask_workers, "_ANSWER_WITHIN", 2)
    with (
        started(0) as made,
        pytest.raises(UsageError, match="must have workers"),
        training_workers(made.scheduler_address),
    ):
        pass


def test_workers_of_another_release_are_refused(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library that differs is named."""
    here = software_versions()

    class Altered:
        """Another xgboost here than there."""

        def __call__(self) -> dict[str, str]:
            return here | {"xgboost-cpu": "0.1"}

        def __reduce__(self) -> Any:
            return _really, ()

    monkeypatch.setattr(dask_workers, "software_versions", Altered())
    with (
        pytest.raises(UsageError, match="got another xgboost-cpu"),
        training_workers(cluster.scheduler_address),
    ):
        pass


def _really() -> Any:
    """Stands for the function of the worker."""
    return software_versions
