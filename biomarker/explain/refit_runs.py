"""Run refits: draw their rows or outcomes, fit, explain, condense; in one process or several."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.explain.contributions import Contributions, contributions
from biomarker.explain.refits import (
    Block,
    RefitCall,
    Refits,
    RefitTable,
    Scheme,
    directions,
    membership,
)
from biomarker.resampling import bootstrap_indices, spawn
from biomarker.side_by_side import one_thread, side_by_side, workers_are_set
from biomarker.validation.nested_result import NestedResult

__all__ = ["fold_calls", "permuted_rows", "run_block", "run_blocks"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_LARGEST_SEED = 2**31 - 1
# Worker processes import everything anew, which takes seconds.
_WORKERS_PAY_FROM_SECONDS = 8.0


def fold_calls(
    nested: NestedResult, grid: Sequence[Mapping[str, Any]], seed: int
) -> tuple[RefitCall, ...]:
    """Fits that give the models of a nested validation's outer folds once more.

    Parameters
    ----------
    nested : NestedResult
        It keeps predictions and settings, not models.
    grid : sequence of dict
        The grid that was tuned over.
    seed : int
        Of the validation.

    Returns
    -------
    tuple of RefitCall
        By repeat, then fold.
    """
    entries = [dict(entry) for entry in grid]
    calls = []
    for repeat, chosen in enumerate(nested.chosen_params):
        for number, params in enumerate(chosen):
            # The key under which the validation drew the seed of this very fit.
            key = ("outer", repeat, number, "refit", "fit", entries.index(params))
            drawn = int(spawn(seed, *key).integers(_LARGEST_SEED))
            calls.append(RefitCall(params, drawn, nested.folds[repeat][number][0]))
    return tuple(calls)


def run_block(plan: Refits, block: Block) -> RefitTable:
    """Refit, explain and condense; a refit's result depends on its number, never on its block.

    Parameters
    ----------
    plan : Refits
    block : Block

    Returns
    -------
    RefitTable
        One row a refit; a refit that is not estimable is marked, not raised.
    """
    n = block.high - block.low
    importance = np.full((n, len(plan.sources)), np.nan)
    together = np.full((n, len(plan.units)), np.nan)
    sign = np.zeros(importance.shape, dtype=np.int8)
    fitted = np.zeros(n, dtype=np.bool_)
    members = membership(plan)
    for i in range(n):
        call, y = _task(plan, block.scheme, block.low + i)
        try:
            model = plan.build(dict(call.params), call.seed).fit(plan.X[call.rows], y[call.rows])
        except NotEstimableError:
            continue
        values = _aligned(contributions(model, plan.X), plan.sources)
        # Weights of the rows fitted on: what the attribution of that sample would give.
        share = np.bincount(call.rows, minlength=len(plan.X)) / len(call.rows)
        importance[i] = share @ np.abs(values)
        together[i] = share @ np.abs(values @ members)
        sign[i] = directions(plan.ordered, values)
        fitted[i] = True
    return RefitTable(block.scheme, importance, together, sign, fitted)


def run_blocks(
    plan: Refits, blocks: Sequence[Block], n_jobs: int = 1
) -> Iterator[tuple[int, RefitTable]]:
    """Run blocks, in this process or several, giving each with its position as it is done.

    The first is run here: where the others would take less time than workers need to start, they
    are run here too. Other workers that the caller has set get every block.

    Parameters
    ----------
    plan : Refits
    blocks : sequence of Block
    n_jobs : int
        Blocks run side by side; changes no number.

    Yields
    ------
    (position, RefitTable)
    """
    began = time.perf_counter()
    done = 0
    for position, block in enumerate(() if workers_are_set() else blocks):
        spent = time.perf_counter() - began
        left = spent / max(done, 1) * (len(blocks) - done)
        if n_jobs > 1 and done and left >= _WORKERS_PAY_FROM_SECONDS:
            break
        with one_thread():
            table = run_block(plan, block)
        done += 1
        yield position, table
    if done == len(blocks):
        return
    calls = [(plan, blocks[k], k) for k in range(done, len(blocks))]
    yield from side_by_side(_limited, calls, n_jobs, in_order=False)


def _limited(plan: Refits, block: Block, position: int) -> tuple[int, RefitTable]:
    """One block in a worker process, held to one thread."""
    with one_thread():
        return position, run_block(plan, block)


def permuted_rows(
    rng: np.random.Generator, n_rows: int, arm: npt.ArrayLike | None, groups: npt.ArrayLike | None
) -> Indices:
    """Whose outcome each row gets when outcomes change hands within arm.

    Event and duration stay together. With several rows a patient, a patient's outcomes go as one to
    a patient with as many rows in the same arms; who has no such partner keeps them, which makes
    the null distribution wider, never narrower.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_rows : int
    arm, groups : array-like, shape (n_rows,), optional

    Returns
    -------
    ndarray of int, shape (n_rows,)
        Row that row i takes its outcome from.

    Examples
    --------
    >>> order = permuted_rows(np.random.default_rng(0), 6, [0, 0, 0, 1, 1, 1], None)
    >>> sorted(order[:3].tolist()), sorted(order[3:].tolist())
    ([0, 1, 2], [3, 4, 5])
    """
    code = np.zeros(n_rows, np.intp) if arm is None else np.unique(arm, return_inverse=True)[1]
    patient = np.arange(n_rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    order = np.argsort(patient, kind="stable")
    bounds = np.searchsorted(patient[order], np.arange(patient.max(initial=-1) + 2))
    alike: dict[bytes, list[Indices]] = {}
    for low, high in itertools.pairwise(bounds):
        rows = order[low:high]
        alike.setdefault(code[rows].tobytes(), []).append(rows)
    taken = np.arange(n_rows)
    for members in alike.values():
        table = np.stack(members)
        taken[table] = table[rng.permutation(len(table))]
    return taken


def _task(plan: Refits, scheme: Scheme, number: int) -> tuple[RefitCall, npt.NDArray[Any]]:
    """Rows, seed, settings and outcomes of refit number so-and-so."""
    if scheme == "fold":
        return plan.folds[number], plan.y
    rng = spawn(plan.seed, "refits", scheme, number)
    seed = int(rng.integers(_LARGEST_SEED))
    rows, y = np.arange(len(plan.y)), plan.y
    if scheme == "bootstrap":
        rows = bootstrap_indices(plan.groups, plan.strata, rng, len(plan.y))
    elif scheme == "permuted":
        y = plan.y[permuted_rows(rng, len(plan.y), plan.arm, plan.groups)]
    return RefitCall(plan.params, seed, rows), y


def _aligned(parts: Contributions, sources: tuple[str, ...]) -> Floats:
    """Values by the full fit's columns; 0 for a column that did not vary in this sample."""
    if parts.sources == sources:
        return parts.values
    values = np.zeros((len(parts.values), len(sources)))
    for j, name in enumerate(parts.sources):
        if name in sources:
            values[:, sources.index(name)] = parts.values[:, j]
    return values
