"""Attribution by the value of a column: its mean in each fifth of the patients, or by level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import UsageError
from biomarker.explain.attribution import Attribution, mean_intervals

__all__ = ["FEWEST", "FIFTHS", "ValueGroup", "by_value", "fifths"]

Floats = npt.NDArray[np.float64]

FIFTHS = ("lowest fifth", "second fifth", "middle fifth", "fourth fifth", "highest fifth")
FEWEST = 5


@dataclass(frozen=True)
class ValueGroup:
    """Patients with like values of one column, and what the column adds to their margin.

    Attributes
    ----------
    label : str
        A fifth, a level, or ``missing``.
    mean : float or None
        Mean attribution, on the margin scale and in its direction; None with fewer than
        :data:`FEWEST` patients, of which a mean would come close to one patient's value.
    absolute : float or None
        Mean absolute attribution.
    low, high : float or None
        95% limits of ``mean``; None where none was asked for, or ``mean`` is None.
    n_rows : int
        Rows in the group: patients, where each has one.
    """

    label: str
    mean: float | None
    absolute: float | None
    low: float | None
    high: float | None
    n_rows: int


def fifths(column: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Which fifth of the known values each one is in, 0 the lowest; -1 where missing.

    Equal values are never parted, so that with many ties some fifths are larger and some empty.

    Parameters
    ----------
    column : array-like of float, shape (n_patients,)
        NaN where missing.

    Returns
    -------
    ndarray of int, shape (n_patients,)
        In -1 to 4, and non-decreasing in the value.

    Examples
    --------
    >>> fifths([10.0, 20.0, 30.0, 40.0, 50.0, np.nan]).tolist()
    [0, 1, 2, 3, 4, -1]
    """
    values = np.asarray(column, dtype=np.float64)
    code = np.full(len(values), -1, dtype=np.intp)
    known = np.isfinite(values)
    if known.any():
        cuts = np.quantile(values[known], (0.2, 0.4, 0.6, 0.8))
        code[known] = np.searchsorted(cuts, values[known], side="left")
    return code


def by_value(
    found: Attribution,
    source: str,
    *,
    n_bootstrap: int = 1000,
    rng: np.random.Generator | None = None,
    patient_numbers: npt.ArrayLike | None = None,
) -> tuple[ValueGroup, ...]:
    """Mean attribution of a column in each fifth of its values, or at each of its levels.

    The interval is the 95% percentile bootstrap over the patients of the group for this one fitted
    model: it says how far the mean would move with other patients of like values, not with another
    fit. A linear model gives all patients of one level the same attribution; their interval is then
    a point.

    Parameters
    ----------
    found : Attribution
    source : str
        One of ``found.sources``.
    n_bootstrap : int
        Number of bootstrap samples, at least 1.
    rng : numpy.random.Generator, optional
        Draws them; without one no interval is given.
    patient_numbers : array-like of int, shape (n_rows,), optional
        Equal where rows belong to one patient; the bootstrap then draws patients.

    Returns
    -------
    tuple of ValueGroup
        In order of value; the missing, if any, last. Groups that hold nobody are left out.

    Raises
    ------
    UsageError
        If the column has no attribution, or there is no bootstrap sample.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> x = np.arange(30.0)
    >>> made = SimpleNamespace(sources=("age",), columns=x[:, None], values=x[:, None] - 14.5,
    ...                        levels=((),))
    >>> [(group.label, group.mean, group.n_rows) for group in by_value(made, "age")][0]
    ('lowest fifth', -12.0, 6)
    """
    if source not in found.sources:
        raise UsageError(
            f"source must be a column with an attribution; got {source!r}, not one of the "
            f"{len(found.sources)}. Take one of `sources`."
        )
    if n_bootstrap < 1:
        raise UsageError(f"n_bootstrap must be at least 1; got {n_bootstrap}. Leave it at 1000.")
    j = found.sources.index(source)
    column, shares = found.columns[:, j], found.values[:, j]
    numbers = None if patient_numbers is None else np.asarray(patient_numbers)
    levels = found.levels[j]
    code = fifths(column) if not levels else np.where(np.isfinite(column), column, -1).astype(int)
    groups = []
    for value, label in (*enumerate(levels or FIFTHS), (-1, "missing")):
        rows = np.flatnonzero(code == value)
        if len(rows) == 0:
            continue
        mean = absolute = low = high = None
        whose = None if numbers is None else numbers[rows]
        if len(rows if whose is None else np.unique(whose)) >= FEWEST:
            mean, absolute = float(shares[rows].mean()), float(np.abs(shares[rows]).mean())
            if rng is not None:
                ends = mean_intervals(shares[rows][:, None], n_bootstrap, rng, whose)
                low, high = float(ends[1][0]), float(ends[2][0])
        groups.append(ValueGroup(label, mean, absolute, low, high, len(rows)))
    return tuple(groups)
