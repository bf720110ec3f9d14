"""A Dask cluster's workers: reached by one address, and asked whether they give our numbers.

Training hands its folds, refits and looks to them through joblib's own Dask backend. Patients'
values then travel to the workers' memory, and what they send back is unpickled here: a scheduler
has to be one's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from biomarker.errors import UsageError
from biomarker.side_by_side import other_workers
from pipelines.software import software_versions

__all__ = ["connected", "training_workers"]

_ANSWER_WITHIN = 20  # seconds, of scheduler and workers


def connected(scheduler: str) -> Any:
    """A client of the scheduler at an address, which a ``with`` closes.

    Raises
    ------
    UsageError
        If ``distributed`` is not installed, or nobody answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UsageError(
            "The dask engine needs the package 'distributed'. Install biomarker-response[dask]."
        ) from None
    try:
        connect: Any = Client
        return connect(scheduler, timeout=_ANSWER_WITHIN, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The scheduler must answer at '{scheduler}'; got {type(error).__name__}. "
            "Start it, or work on this machine."
        ) from None


@contextlib.contextmanager
def training_workers(scheduler: str) -> Iterator[None]:
    """Have training's calls run on the workers of a cluster while the block runs.

    Parameters
    ----------
    scheduler : str
        Its address, such as ``tcp://127.0.0.1:8786``.

    Raises
    ------
    UsageError
        If the scheduler does not answer; if its workers cannot give this machine's numbers: there
        is none, one has several threads, or other releases; or if they or it are lost in the end.
        One worker that dies is made good by the others.
    """
    with connected(scheduler) as client:
        _check(client, scheduler)
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        try:
            with other_workers(_backend(client)):
                yield
        except (KilledWorker, FutureCancelledError) as error:
            raise UsageError(
                f"The cluster at '{scheduler}' must last as long as the training; got "
                f"{type(error).__name__}. See its log, and train again: refits that were kept are "
                "not run again."
            ) from None


def _backend(client: Any) -> Any:
    """Joblib's Dask backend, which also tells of calls that never returned.

    As it stands it passes on what a call raises, and waits for ever for one whose workers died, or
    could not read it.
    """
    from joblib._dask import DaskDistributedBackend

    class Telling(DaskDistributedBackend):
        def submit(self, func: Any, callback: Any = None) -> Any:
            future = super().submit(func, callback)
            future.add_done_callback(
                lambda done: callback(done.exception()) if done.exception() is not None else None
            )
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            found = super().retrieve_result_callback(out)
            if isinstance(found, BaseException):
                raise found
            return found

    return Telling(client=client)


def _check(client: Any, scheduler: str) -> None:
    """Refuse workers that would give other numbers, or none."""
    try:
        client.wait_for_workers(1, timeout=_ANSWER_WITHIN)
    except TimeoutError:
        raise UsageError(
            f"The scheduler at '{scheduler}' must have workers; got none within {_ANSWER_WITHIN} "
            "seconds. Start one for each core, with --nthreads 1."
        ) from None
    # Numerical libraries are held to one thread by process: two calls in one would undo it.
    threads = list(client.nthreads().values())
    several = sum(n > 1 for n in threads)
    if several:
        raise UsageError(
            f"Workers must have one thread each to train; got {several} of {len(threads)} with "
            "more. Start them with --nthreads 1."
        )
    try:
        found = client.run(software_versions)
    except ImportError:
        raise UsageError(
            "Workers must have this package installed; got one without it. Install the release "
            "of this machine there."
        ) from None
    here = software_versions()
    for there in found.values():
        other = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
        if other:
            raise UsageError(
                f"Workers must have this machine's releases; got another {', '.join(other)}. "
                "Install the same lock there: other releases may give other numbers."
            )
