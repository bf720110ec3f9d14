"""The one outcome type: a structured array of (event, duration); a response is booleans."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import OutcomeError

__all__ = [
    "DAYS_PER_UNIT",
    "SURVIVAL_DTYPE",
    "Response",
    "SurvivalOutcome",
    "TimeUnit",
    "check_survival_outcome",
    "survival_outcome",
]

TimeUnit = Literal["days", "weeks", "months", "years"]
SurvivalOutcome = npt.NDArray[np.void]
Response = npt.NDArray[np.bool_]

SURVIVAL_DTYPE = np.dtype([("event", np.bool_), ("duration", np.float64)])

DAYS_PER_UNIT: dict[str, float] = {
    "days": 1.0,
    "weeks": 7.0,
    "months": 30.4375,
    "years": 365.25,
}


def survival_outcome(event: npt.ArrayLike, duration: npt.ArrayLike) -> SurvivalOutcome:
    """Join events and durations into the structured array every survival model takes.

    Parameters
    ----------
    event : array-like of bool or 0/1, shape (n_patients,)
        True where the event was observed, False where the patient was censored.
    duration : array-like of float, shape (n_patients,)
        Time from start to event or censoring; finite and greater than zero.

    Returns
    -------
    ndarray, shape (n_patients,), fields ``event`` (bool) and ``duration`` (float64)
        Also accepted by scikit-survival's estimators.

    Raises
    ------
    OutcomeError
        If shapes differ, an event is not 0/1, or a duration is not finite and positive.

    Examples
    --------
    >>> y = survival_outcome([1, 0], [2.5, 4.0])
    >>> y["duration"].tolist(), y["event"].tolist()
    ([2.5, 4.0], [True, False])
    """
    events = np.asarray(event)
    durations = np.asarray(duration, dtype=np.float64)
    if events.ndim != 1 or events.shape != durations.shape:
        raise OutcomeError(
            "event and duration must be one-dimensional and equally long; "
            f"got shapes {events.shape} and {durations.shape}."
        )
    if events.dtype != np.bool_:
        numeric = events.astype(np.float64)
        strange = int(np.count_nonzero(~np.isin(numeric, (0.0, 1.0))))
        if strange:
            raise OutcomeError(
                f"event must hold only 0/1 or booleans; got {strange} other value(s). "
                "Declare the event coding in the study instead of recoding by hand."
            )
        events = numeric == 1.0
    outcome = np.empty(len(durations), dtype=SURVIVAL_DTYPE)
    outcome["event"] = events
    outcome["duration"] = durations
    return check_survival_outcome(outcome)


def check_survival_outcome(y: Any) -> SurvivalOutcome:
    """Pass a valid survival outcome through; say what is wrong with any other.

    Raises
    ------
    OutcomeError
        If ``y`` has no boolean field followed by a float field, or a duration is not
        finite and positive.
    """
    array = np.asarray(y)
    names = array.dtype.names
    if names is None or len(names) != 2 or array.dtype[0] != np.bool_ or array.ndim != 1:
        raise OutcomeError(
            "y must be a one-dimensional structured array with a boolean event field and a float "
            f"duration field; got dtype {array.dtype} and {array.ndim} dimension(s). "
            "Build it with biomarker.survival_outcome(event, duration)."
        )
    durations = array[names[1]]
    bad = int(np.count_nonzero(~(np.isfinite(durations) & (durations > 0))))
    if bad:
        raise OutcomeError(
            f"duration must be finite and greater than 0; got {bad} of {len(array)} otherwise."
        )
    if array.dtype == SURVIVAL_DTYPE:
        return array
    outcome = np.empty(len(array), dtype=SURVIVAL_DTYPE)
    outcome["event"], outcome["duration"] = array[names[0]], durations
    return outcome
