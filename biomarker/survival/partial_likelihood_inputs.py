"""What may go into a partial likelihood: features, weights, entry times and strata, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import CohortError, OutcomeError
from biomarker.outcomes import SurvivalOutcome

__all__ = [
    "case_weights",
    "column_names",
    "entry_times",
    "feature_table",
    "finite_vector",
    "requested_times",
    "same_length",
    "strata_codes",
]

Floats = npt.NDArray[np.float64]


def same_length(table: Floats, outcome: SurvivalOutcome) -> None:
    """Refuse a table and an outcome of different lengths."""
    if len(table) != len(outcome):
        raise OutcomeError(
            f"y must have one row per row of X; got {len(outcome)} and {len(table)} row(s)."
        )


def column_names(X: object) -> npt.NDArray[np.object_] | None:
    """Column names of a data frame whose columns are all named by text."""
    columns = getattr(X, "columns", None)
    if columns is None or not all(isinstance(name, str) for name in columns):
        return None
    return np.asarray(columns, dtype=object)


def feature_table(X: npt.ArrayLike) -> Floats:
    """Pass X as finite float64, shape (n_patients, n_features)."""
    try:
        table = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        raise CohortError(
            "X must hold numbers only; got entries that are not. Encode categories first."
        ) from None
    if table.ndim != 2 or table.shape[1] == 0:
        raise CohortError(
            f"X must have shape (n_patients, n_features), n_features > 0; got {table.shape}."
        )
    if not np.isfinite(table).all():
        counts = np.count_nonzero(~np.isfinite(table), axis=0)
        raise CohortError(
            f"X must be finite; got {int(counts.sum())} missing or infinite value(s) in column(s) "
            f"{np.flatnonzero(counts)[:5].tolist()}. Impute or exclude them first."
        )
    return table


def finite_vector(values: npt.ArrayLike, n: int, name: str) -> Floats:
    """Pass a finite float64 vector of length n."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.shape != (n,) or not np.all(np.isfinite(vector)):
        raise OutcomeError(
            f"{name} must be finite, of shape ({n},); got shape {vector.shape} with "
            f"{int(np.count_nonzero(~np.isfinite(vector)))} value(s) not finite."
        )
    return vector


def case_weights(sample_weight: npt.ArrayLike | None, n: int) -> Floats | None:
    """Check case weights."""
    if sample_weight is None:
        return None
    weight = finite_vector(sample_weight, n, "sample_weight")
    if np.any(weight < 0):
        raise OutcomeError(
            "sample_weight must be at least 0; "
            f"got {int(np.count_nonzero(weight < 0))} negative value(s)."
        )
    return weight


def entry_times(entry: npt.ArrayLike | None, outcome: SurvivalOutcome) -> Floats | None:
    """Check entry times against durations."""
    if entry is None:
        return None
    entered = finite_vector(entry, len(outcome), "entry")
    late = int(np.count_nonzero(entered >= outcome["duration"]))
    if late:
        raise OutcomeError(
            f"entry must be before duration; got {late} of {len(outcome)} patient(s) otherwise."
        )
    return entered


def strata_codes(
    strata: npt.ArrayLike | None, n: int
) -> tuple[npt.NDArray[Any] | None, npt.NDArray[np.int64] | None]:
    """Return the distinct strata and each patient's code."""
    if strata is None:
        return None, None
    labels = np.asarray(strata)
    missing = sum(1 for label in labels.ravel().tolist() if label is None or label != label)
    if labels.shape != (n,) or missing:
        raise CohortError(
            f"strata must name one stratum for each of {n} patient(s); "
            f"got shape {labels.shape} with {missing} missing."
        )
    distinct, codes = np.unique(labels, return_inverse=True)
    return distinct, codes.astype(np.int64)


def requested_times(times: npt.ArrayLike) -> Floats:
    """Pass times at which a curve is wanted: finite, one-dimensional, at least 0."""
    wanted = np.asarray(times, dtype=np.float64)
    if wanted.ndim != 1 or not np.all(np.isfinite(wanted) & (wanted >= 0)):
        raise OutcomeError(
            "times must be finite, at least 0 and one-dimensional; "
            f"got shape {wanted.shape}. Use the unit of the durations."
        )
    return wanted
