"""Calls that do not depend on one another, run side by side on workers of this machine or others.

Where a call runs changes no number: what it needs travels with it, and its random numbers are keyed
to the task.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Progress",
    "Task",
    "one_thread",
    "other_workers",
    "run_tasks",
    "side_by_side",
    "workers_are_set",
]

Progress = Callable[[int, int], None]
Task = tuple[Callable[..., Any], tuple[Any, ...]]

# Worker processes import everything anew, which takes seconds.
_WORKERS_PAY_FROM_SECONDS = 8.0

# Once started, joblib keeps its workers for the process: later calls need not weigh their start.
_workers = {"started": False}


@dataclass(frozen=True)
class _Workers:
    """A backend that joblib knows, with what it is told."""

    backend: Any
    options: Mapping[str, Any]


_set: ContextVar[_Workers | None] = ContextVar("workers", default=None)


@contextlib.contextmanager
def other_workers(backend: Any, **options: Any) -> Iterator[None]:
    """Have :func:`side_by_side` use another of joblib's backends while the block runs.

    joblib's own ``parallel_config`` would also send away the single fits that scikit-learn hands to
    joblib inside one call; this reaches whole calls alone.

    Parameters
    ----------
    backend : str or backend of joblib
        A name joblib knows, such as ``"threading"``, or a backend made for the block.
    **options
        For a backend given by name.

    Examples
    --------
    >>> with other_workers("threading"):
    ...     list(side_by_side(pow, [(2, 3), (3, 2)], n_jobs=2))
    [8, 9]
    """
    token = _set.set(_Workers(backend, options))
    try:
        yield
    finally:
        _set.reset(token)


def workers_are_set() -> bool:
    """Whether :func:`other_workers` holds: they stand ready, and starting them costs nothing."""
    return _set.get() is not None


def side_by_side(
    run: Callable[..., Any],
    calls: Sequence[tuple[Any, ...]],
    n_jobs: int,
    *,
    in_order: bool = True,
) -> Iterator[Any]:
    """Give ``run(*words)`` for all words, as they are done or in order.

    Parameters
    ----------
    run : callable
        A function that can be found by its name in another process.
    calls : sequence of tuple
        Its words. An array that stands in many calls travels once where it is a word of its own.
    n_jobs : int
        Processes of this machine; where other workers are set, they are used whatever it is.
    in_order : bool
        Else as they are done.

    Yields
    ------
    Any
        What ``run`` returns.

    Raises
    ------
    Exception
        What ``run`` raises, here.

    Notes
    -----
    On other workers an error of ``run`` travels as a value: their log would hold its words and the
    values of the call.
    """
    from joblib import Parallel, delayed, parallel_config

    how = "generator" if in_order else "generator_unordered"
    place = _set.get()
    if place is None:
        parallel = Parallel(n_jobs=n_jobs, backend="loky", return_as=how)
        yield from parallel(delayed(run)(*words) for words in calls)
        return
    # Joblib takes the backend when the object is made: nothing else meets the setting.
    with parallel_config(backend=place.backend, **place.options):
        parallel = Parallel(n_jobs=n_jobs, return_as=how)
    for error, value in parallel(delayed(_quietly)(run, *words) for words in calls):
        if error is not None:
            raise error
        yield value


def _quietly(run: Callable[..., Any], *words: Any) -> tuple[Exception | None, Any]:
    """An error or a value; what the call itself gives to joblib stays on its worker."""
    from joblib import parallel_config

    try:
        with parallel_config(backend="sequential"):
            return None, run(*words)
    except Exception as error:
        return error, None


def run_tasks(tasks: list[Task], n_jobs: int, progress: Progress | None) -> list[Any]:
    """Every task, in order, in this process or several.

    The first is done here: where the others would take less time than workers need to start,
    they are done here too. Other workers that the caller has set get every task. Where a task is
    done never changes its result.
    """
    done: list[Any] = []
    if not workers_are_set() and (n_jobs == 1 or not _workers["started"]):
        # Finding the loaded thread pools costs more than a small fit: once for all tasks.
        with one_thread():
            began = time.perf_counter()
            done = _collect((run(*words) for run, words in tasks[:1]), 0, len(tasks), progress)
            rest = (time.perf_counter() - began) * (len(tasks) - 1)
            if n_jobs == 1 or rest < _WORKERS_PAY_FROM_SECONDS:
                here = (run(*words) for run, words in tasks[1:])
                return done + _collect(here, 1, len(tasks), progress)
    if not workers_are_set():
        _workers["started"] = True
    calls = [(run, *words) for run, words in tasks[len(done) :]]
    results = side_by_side(_limited, calls, n_jobs)
    return done + _collect(results, len(done), len(tasks), progress)


def _collect(
    results: Iterable[Any], before: int, total: int, progress: Progress | None
) -> list[Any]:
    """Gather finished tasks in order, telling the callback."""
    outputs = []
    for output in results:
        outputs.append(output)
        if progress is not None:
            progress(before + len(outputs), total)
    return outputs


def _limited(run: Callable[..., Any], *words: Any) -> Any:
    """One task in a worker process, held to one thread."""
    with one_thread():
        return run(*words)


def one_thread() -> contextlib.AbstractContextManager[Any]:
    """Hold numerical libraries to one thread: folds run side by side, and results stay the same."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        return contextlib.nullcontext()
    return threadpool_limits(limits=1)
