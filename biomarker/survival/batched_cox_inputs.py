"""What the batched Cox fits accept, checked and passed on as the compiled code wants it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biomarker.errors import CohortError, OutcomeError
from biomarker.outcomes import survival_outcome

__all__ = ["check_settings", "checked_columns", "checked_counts", "checked_outcomes"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MOST_WEIGHT = 65_535


def check_settings(ties: str, n_null: int, p: int, threads: int) -> None:
    """Refuse settings that mean nothing."""
    if ties not in ("efron", "breslow"):
        raise CohortError(f"ties must be 'efron' or 'breslow'; got {ties!r}.")
    if not 0 <= n_null < p:
        raise CohortError(f"n_null must lie from 0 to {p - 1}; got {n_null}.")
    if threads < 1:
        raise CohortError(f"threads must be at least 1; got {threads}.")


def checked_counts(weights: npt.ArrayLike, n: int) -> npt.NDArray[np.uint16]:
    """Pass counts of patients as uint16, shape (n_replicates, n).

    Raises
    ------
    CohortError
        If they are not whole numbers from 0 to 65,535 of that shape.
    """
    counts = np.asarray(weights)
    if counts.ndim != 2 or counts.shape[1] != n or counts.dtype.kind not in "iu":
        raise CohortError(
            f"weights must be integers of shape (n_replicates, {n}); got {counts.dtype} of shape "
            f"{counts.shape}. See resample_counts."
        )
    if counts.dtype != np.uint16:
        if counts.size and not 0 <= counts.min() <= counts.max() <= _MOST_WEIGHT:
            raise CohortError(f"weights must lie from 0 to {_MOST_WEIGHT:,}; got some outside.")
        counts = counts.astype(np.uint16)
    return np.ascontiguousarray(counts)


def checked_outcomes(duration: npt.ArrayLike, event: npt.ArrayLike, n: int) -> tuple[Floats, Flags]:
    """Pass many outcomes of the same patients."""
    durations = np.ascontiguousarray(duration, dtype=np.float64)
    events = np.ascontiguousarray(event)
    if durations.ndim != 2 or durations.shape[1] != n or events.shape != durations.shape:
        raise OutcomeError(
            f"duration and event must have shape (n_replicates, {n}); "
            f"got {durations.shape} and {events.shape}."
        )
    flat = survival_outcome(events.ravel(), durations.ravel())
    return durations, np.ascontiguousarray(flat["event"].reshape(durations.shape))


def checked_columns(columns: npt.ArrayLike, n: int) -> Floats:
    """Pass the columns of every replicate."""
    tested = np.ascontiguousarray(columns, dtype=np.float64)
    if tested.ndim != 3 or tested.shape[1] != n or tested.shape[2] == 0:
        raise CohortError(
            f"columns must have shape (n_replicates, {n}, n_tested); got {tested.shape}."
        )
    if not np.isfinite(tested).all():
        raise CohortError(
            "columns must be finite; got "
            f"{int(np.count_nonzero(~np.isfinite(tested)))} missing or infinite value(s)."
        )
    return tested
