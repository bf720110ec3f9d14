"""Refits behind stability and null bands: run side by side, kept as they finish, gone on with.

A block of refits is stored as soon as it is done, as importances and signs alone. A job that was
killed goes on after its last whole block; blocks of other data or settings are never read.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from biomarker.explain.controls import null_band
from biomarker.explain.refit_runs import fold_calls, run_blocks
from biomarker.explain.refits import Block, Refits, RefitTable, Scheme, blocks_of
from biomarker.explain.stability import stability
from biomarker.features.encoding import plan_columns
from biomarker.models.pipeline import PipelineBuilder
from biomarker.models.zoo import model_choice
from biomarker.resampling import joint_strata
from pipelines.limits import beats_chance
from pipelines.results import Examination, ModelRun, StudyRun, plain_value
from pipelines.storage import write_bytes

__all__ = ["examine", "refit_plan", "refits_key", "resumed_tables"]

_FORMAT = 1
# Refits lost at most when a job is killed: a second or two of linear models, some seconds of trees.
_BLOCK, _TREE_BLOCK = 25, 10
_ARRAYS = ("importance", "together", "sign", "fitted")


def examine(
    run: StudyRun,
    model: ModelRun,
    folder: str | Path,
    *,
    n_bootstrap: int = 500,
    n_seeds: int = 20,
    n_permuted: int = 199,
    progress: Callable[[int, int], None] | None = None,
) -> Examination:
    """Stability and null band of one trained model.

    Parameters
    ----------
    run : StudyRun
        Gives cohort, settings and digests.
    model : ModelRun
        One of its models. Nothing is run where it is not above chance.
    folder : path
        The run's folder; blocks are kept below ``refits/ENDPOINT-MODEL`` in it.
    n_bootstrap, n_seeds, n_permuted : int
        Refits on resampled patients, with other seeds (where the model has a random part), and on
        permuted outcomes. The outer folds' models are always among the refits.
    progress : callable ``(done, total)``, optional
        Told of every block.

    Returns
    -------
    Examination

    Raises
    ------
    NotEstimableError
        If fewer than nine in ten refits of a kind are estimable.
    StorageError
        If a block cannot be kept.
    """
    plan = refit_plan(run, model)
    if not beats_chance(model):
        return Examination(stability(plan, model.attribution, (), above_chance=False), None)
    counts: list[tuple[Scheme, int]] = [("bootstrap", n_bootstrap), ("fold", len(plan.folds))]
    counts += [("seed", n_seeds if plan.seeded else 0), ("permuted", n_permuted)]
    size = _TREE_BLOCK if plan.seeded else _BLOCK
    blocks = [block for scheme, n in counts for block in blocks_of(scheme, n, size)]
    place = Path(folder) / "refits" / f"{model.endpoint}-{model.name}"
    jobs = run.settings["jobs"]["value"] or os.cpu_count() or 1
    tables = resumed_tables(plan, blocks, place, refits_key(run, model), jobs, progress)
    refits = [table for table in tables if table.scheme != "permuted"]
    return Examination(
        stability(plan, model.attribution, refits, above_chance=True),
        null_band(plan, model.attribution, tables, above_chance=True),
    )


def refit_plan(run: StudyRun, model: ModelRun) -> Refits:
    """The refits of one trained model, on the patients and by the procedure it was trained with."""
    cohort = run.cohort
    outcome = cohort.outcomes[model.endpoint]
    arm = None if cohort.treated is None else cohort.treated[outcome.included]
    repeated = cohort.n_patients < cohort.n_rows
    seed = run.settings["seed"]["value"]
    return Refits.of(
        model.attribution,
        PipelineBuilder(plan_columns(cohort.study, cohort.features), model.name),
        model.params,
        cohort.matrix()[outcome.included],
        outcome.y,
        seed=seed,
        strata=outcome.event if arm is None else joint_strata(outcome.event, arm),
        arm=arm,
        groups=cohort.patient_numbers[outcome.included] if repeated else None,
        folds=fold_calls(model.nested, model_choice(model.name).grid, seed),
    )


def refits_key(run: StudyRun, model: ModelRun) -> str:
    """What decides the result of a refit, as one hash: data, study, model, settings, software."""
    settings = {key: plain_value(setting["value"]) for key, setting in run.settings.items()}
    # Neither the number of workers nor which other models were trained changes a refit.
    decisive = {k: v for k, v in settings.items() if k not in ("jobs", "models")}
    return _digest(
        {
            "format": _FORMAT,
            "dataset": run.summary.dataset_digest,
            "study": run.summary.study_digest,
            "endpoint": model.endpoint,
            "model": model.name,
            "params": dict(model.params),
            "settings": decisive,
            "software": dict(run.software),
        }
    )


def resumed_tables(
    plan: Refits,
    blocks: Sequence[Block],
    folder: str | Path,
    key: str,
    n_jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[RefitTable]:
    """Every block's table: read where it was kept under this key, else run and kept.

    Parameters
    ----------
    plan : Refits
    blocks : sequence of Block
    folder : path
        One file a block; files of another key are replaced.
    key : str
        Stands for everything that decides a refit's result, such as from :func:`refits_key`.
    n_jobs : int
    progress : callable ``(done, total)``, optional
        Told of every block, those kept before first.

    Returns
    -------
    list of RefitTable
        In the order of ``blocks``.

    Raises
    ------
    StorageError
        If a block cannot be written; the blocks before it stay.
    """
    folder = Path(folder)
    found = {k: _read(folder / _name(block), key, plan, block) for k, block in enumerate(blocks)}
    tables = {k: table for k, table in found.items() if table is not None}
    missing = [k for k in range(len(blocks)) if k not in tables]
    if progress is not None and tables:
        progress(len(tables), len(blocks))
    for position, table in run_blocks(plan, [blocks[k] for k in missing], n_jobs):
        k = missing[position]
        write_bytes(folder / _name(blocks[k]), _packed(table, key))
        tables[k] = table
        if progress is not None:
            progress(len(tables), len(blocks))
    return [tables[k] for k in range(len(blocks))]


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _name(block: Block) -> str:
    return f"{block.scheme}-{block.low:06d}-{block.high:06d}.npz"


def _packed(table: RefitTable, key: str) -> bytes:
    """Arrays and key as one file that holds no object to unpickle."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, key=np.array(key), **{name: getattr(table, name) for name in _ARRAYS}
    )
    return buffer.getvalue()


def _read(path: Path, key: str, plan: Refits, block: Block) -> RefitTable | None:
    """A block kept under this key; None where there is none, or not a whole one."""
    n = block.high - block.low
    wide, units = (n, len(plan.sources)), (n, len(plan.units))
    shapes = {"importance": wide, "together": units, "sign": wide, "fitted": (n,)}
    try:
        # From memory: numpy leaves a damaged file open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            if str(stored["key"]) != key:
                return None
            arrays = {name: stored[name] for name in _ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if any(arrays[name].shape != shape for name, shape in shapes.items()):
        return None
    return RefitTable(
        block.scheme,
        arrays["importance"].astype(np.float64),
        arrays["together"].astype(np.float64),
        arrays["sign"].astype(np.int8),
        arrays["fitted"].astype(np.bool_),
    )
