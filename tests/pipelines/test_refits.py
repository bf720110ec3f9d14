"""Blocks of refits are kept as they finish: a killed job goes on, another key starts anew."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pipelines.refits as refits
from biomarker.explain.attribution import attribute
from biomarker.explain.refits import Refits, blocks_of
from biomarker.features.frozen_column import ColumnPlan
from biomarker.models.pipeline import PipelineBuilder
from biomarker.parsing import ParseRule
from pipelines.ingest import load_cohort
from pipelines.refits import examine, refit_plan, refits_key, resumed_tables
from pipelines.settings import resolve
from pipelines.training import fit_study

PLANS = (ColumnPlan(ParseRule("il6", "continuous")), ColumnPlan(ParseRule("age", "continuous")))
ARRAYS = ("importance", "together", "sign", "fitted")


def small_plan() -> Refits:
    """Refits of a logistic model of two columns."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(120, 2))
    y = X[:, 0] + rng.normal(size=120) > 0
    build = PipelineBuilder(PLANS, "logistic")
    found = attribute(build({"penalty": 3.0}, 0).fit(X, y), X, n_bootstrap=1, rng=rng)
    return Refits.of(found, build, {"penalty": 3.0}, X, y, seed=9, strata=y)


def same(one, two):
    """Whether two lists of tables are the same to the last bit."""
    return len(one) == len(two) and all(
        a.scheme == b.scheme
        and all(getattr(a, n).tobytes() == getattr(b, n).tobytes() for n in ARRAYS)
        for a, b in zip(one, two, strict=True)
    )


@pytest.fixture
def counted(monkeypatch):
    """How many blocks are run, and not read."""
    run = refits.run_blocks
    count = []

    def counting(plan, blocks, n_jobs):
        count.extend(blocks)
        return run(plan, blocks, n_jobs)

    monkeypatch.setattr(refits, "run_blocks", counting)
    return count


def test_blocks_are_kept_and_read_back_bit_for_bit(tmp_path, counted):
    """The second call runs nothing and gives the same."""
    plan, blocks = small_plan(), blocks_of("bootstrap", 6, 2) + blocks_of("permuted", 2, 2)
    told = []
    first = resumed_tables(plan, blocks, tmp_path, "k", progress=lambda *step: told.append(step))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(counted) == 4
    again = resumed_tables(plan, blocks, tmp_path, "k")
    assert len(counted) == 4
    assert same(first, again)
    more = resumed_tables(plan, blocks_of("bootstrap", 8, 2), tmp_path, "k")
    assert len(counted) == 5
    assert same(more[:3], first[:3])


def test_another_key_starts_anew(tmp_path, counted):
    """Blocks of other data or settings are replaced, never mixed in."""
    plan, blocks = small_plan(), blocks_of("bootstrap", 4, 2)
    resumed_tables(plan, blocks, tmp_path, "one")
    other = replace(plan, seed=10)
    fresh = resumed_tables(other, blocks, tmp_path, "two")
    assert len(counted) == 4
    assert same(fresh, resumed_tables(other, blocks, tmp_path, "two"))
    assert len(counted) == 4
    assert not same(fresh, resumed_tables(plan, blocks, tmp_path, "one"))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "words", "shape"])
def test_a_damaged_block_is_run_again(tmp_path, counted, damage):
    """A file that is no whole block is as good as none."""
    plan, blocks = small_plan(), blocks_of("bootstrap", 4, 2)
    first = resumed_tables(plan, blocks, tmp_path, "k")
    victim = sorted(tmp_path.iterdir())[1]
    whole = victim.read_bytes()
    if damage == "shape":
        np.savez(victim, key=np.array("k"), **{n: np.zeros((1, 1)) for n in ARRAYS})
    else:
        victim.write_bytes({"cut": whole[:-40], "empty": b"", "words": b"not a block"}[damage])
    assert same(first, resumed_tables(plan, blocks, tmp_path, "k"))
    assert [(b.low, b.high) for b in counted[2:]] == [(2, 4)]
    assert victim.read_bytes() == whole


def test_a_block_holds_no_object_and_no_patient(tmp_path):
    """Only importances, signs, flags and the key: one row a refit, none a patient."""
    plan = small_plan()
    resumed_tables(plan, blocks_of("bootstrap", 3, 3), tmp_path, "k")
    (file,) = tmp_path.iterdir()
    with np.load(file, allow_pickle=False) as stored:
        assert set(stored.files) == {"key", *ARRAYS}
        assert all(len(stored[name]) == 3 for name in ARRAYS)
        assert stored["importance"].shape == (3, 2)


SCRIPT = """
import sys, time
from pathlib import Path
import pipelines.refits as refits
from biomarker.explain.refits import blocks_of
sys.path.insert(0, sys.argv[2])
from test_refits import small_plan
write = refits.write_bytes
def slow(path, data):
    write(path, data)
    time.sleep(0.4)
refits.write_bytes = slow
refits.resumed_tables(small_plan(), blocks_of("bootstrap", 40, 2), Path(sys.argv[1]), "k")
"""


@pytest.mark.slow
def test_a_killed_job_goes_on_where_it_was(tmp_path, counted):
    """Killed by the system mid-way: finished blocks are read, the rest is run, the bits agree."""
    folder = tmp_path / "kept"
    job = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(Path(__file__).parent)])
    try:
        limit = time.monotonic() + 120
        while len(list(folder.glob("*.npz"))) < 3:
            assert job.poll() is None, "the job ended by itself"
            assert time.monotonic() < limit
            time.sleep(0.02)
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()
    kept = {path.name: path.read_bytes() for path in folder.glob("*.npz")}
    assert 3 <= len(kept) < 20
    plan, blocks = small_plan(), blocks_of("bootstrap", 40, 2)
    resumed = resumed_tables(plan, blocks, folder, "k")
    assert len(counted) == 20 - len(kept)
    assert all((folder / name).read_bytes() == data for name, data in kept.items())
    assert same(resumed, resumed_tables(plan, blocks, tmp_path / "fresh", "k"))


@pytest.fixture(scope="module")
def study_run(cohort_folder):
    """A Cox model fitted and judged in memory: no report, no store."""
    cohort = load_cohort(cohort_folder / "cohort.csv", cohort_folder / "small.toml")
    settings = resolve({"models": ["cox"], "seed": 3}, cohort.study.training)
    return fit_study(cohort, settings, ["os"])


def test_a_trained_model_is_examined_on_its_own_patients(study_run, tmp_path, counted):
    """Plan, folds and key come from the run; stability and band from the refits; all resumes."""
    run, model = study_run, study_run.models[0]
    plan = refit_plan(run, model)
    assert len(plan.X) == model.nested.n_patients
    assert len(plan.folds) == sum(len(repeat) for repeat in model.nested.folds)
    assert plan.arm is not None
    good = replace(model, nested=replace(model.nested, performance=_with_low(model, 0.6)))
    numbers = {"n_bootstrap": 30, "n_seeds": 2, "n_permuted": 20}
    found = examine(run, good, tmp_path, **numbers)
    assert found.stability.n_refits == {"bootstrap": 30, "fold": len(plan.folds)}
    assert found.band is not None
    assert found.band.n_refits == 20
    assert {name for u in found.stability.units for name in u.members} == set(plan.sources)
    ran = len(counted)
    assert examine(run, good, tmp_path, **numbers).to_dict() == found.to_dict()
    assert len(counted) == ran
    bad = replace(model, nested=replace(model.nested, performance=_with_low(model, 0.5)))
    withheld = examine(run, bad, tmp_path / "bad", **numbers)
    assert withheld.stability.withheld
    assert withheld.band is None
    assert not (tmp_path / "bad").exists()


def test_the_key_changes_with_what_decides_a_refit_and_with_nothing_else(study_run):
    """Data, settings, parameters, software: yes; workers: no."""
    run, model = study_run, study_run.models[0]
    key = refits_key(run, model)

    def settings(name, value):
        return replace(run, settings={**run.settings, name: {"value": value, "from": "flag"}})

    assert refits_key(settings("jobs", 7), model) == key
    changed = [
        refits_key(settings("seed", 99), model),
        refits_key(replace(run, summary=replace(run.summary, dataset_digest="x")), model),
        refits_key(replace(run, software={**run.software, "numpy": "0"}), model),
        refits_key(run, replace(model, params={"penalty": 0.123})),
        refits_key(run, replace(model, endpoint="other")),
    ]
    assert len({key, *changed}) == 6


def _with_low(model, low):
    """The same performance with another lower limit of discrimination."""
    return tuple(
        replace(p, low=low) if p.metric == "uno_concordance_index" else p
        for p in model.nested.performance
    )
