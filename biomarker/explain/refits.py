"""Refits of one modelling procedure, each boiled down to how important every column was in it.

Patients resampled, folds left out, other seeds, outcomes permuted: a refit always repeats the whole
procedure, encoder included, at settings already chosen. What is kept of it are importances and
signs, never a patient's row, so that finished blocks of refits may be stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import UsageError
from biomarker.explain.attribution import Attribution

__all__ = [
    "Block",
    "RefitCall",
    "RefitTable",
    "Refits",
    "Scheme",
    "blocks_of",
    "directions",
    "full_fit",
    "join",
    "membership",
]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Scheme = Literal["bootstrap", "fold", "seed", "permuted"]
Build = Callable[[dict[str, Any], int], Any]

SCHEMES: tuple[Scheme, ...] = ("bootstrap", "fold", "seed", "permuted")
_NO_DIRECTION = 1e-9  # of the largest covariance a column of this spread could have


@dataclass(frozen=True)
class RefitCall:
    """One model already validated, to be fitted again: its settings, seed and training rows."""

    params: Mapping[str, Any]
    seed: int
    rows: Indices


@dataclass(frozen=True)
class Block:
    """Refits number ``low`` to ``high`` of one scheme: what is run, stored and resumed as one."""

    scheme: Scheme
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class RefitTable:
    """What some refits of one scheme gave, one row a refit.

    Attributes
    ----------
    scheme : {"bootstrap", "fold", "seed", "permuted"}
    importance : ndarray, shape (n_refits, n_sources)
        Mean absolute attribution of each column over the patients the refit was fitted on, on the
        margin scale; 0 where the refit did not use the column, NaN where there was no fit.
    together : ndarray, shape (n_refits, n_units)
        The same for units: of a group of correlated columns, the mean absolute sum.
    sign : ndarray of int8, shape (n_refits, n_sources)
        +1 where higher values raise the margin, -1 where they lower it, 0 where neither or where
        the column's values have no order.
    fitted : ndarray of bool, shape (n_refits,)
        False where the refit was not estimable.
    """

    scheme: Scheme
    importance: Floats
    together: Floats
    sign: npt.NDArray[np.int8]
    fitted: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Refits:
    """All that a refit needs, so that any block can be run anywhere with the same result.

    Attributes
    ----------
    build : callable ``(params, seed) -> EncodedModel``
    params : mapping
        Settings chosen for the full fit; refits do not tune again.
    X : ndarray, shape (n_rows, n_columns)
        Parsed values, NaN where missing.
    y : ndarray, shape (n_rows,)
        Survival records or booleans.
    seed : int
    sources : tuple of str, length n_sources
    units : tuple of tuple of str, length n_units
        Columns that are ranked as one: groups of correlated columns, and each other alone.
    ordered : ndarray, shape (n_rows, n_sources)
        Centred rank of each value within its column; 0 where missing or without order.
    strata : ndarray or None
        Labels kept in proportion by the bootstrap, such as event by arm.
    arm : ndarray or None
        Outcomes are permuted within it.
    groups : ndarray or None
        Patient of each row where patients have several.
    folds : tuple of RefitCall
        Models of the outer folds of a nested validation.
    """

    build: Build
    params: Mapping[str, Any]
    X: Floats
    y: npt.NDArray[Any]
    seed: int
    sources: tuple[str, ...]
    units: tuple[tuple[str, ...], ...]
    ordered: Floats
    strata: npt.NDArray[Any] | None = None
    arm: npt.NDArray[Any] | None = None
    groups: npt.NDArray[Any] | None = None
    folds: tuple[RefitCall, ...] = ()

    @classmethod
    def of(
        cls,
        found: Attribution,
        build: Build,
        params: Mapping[str, Any],
        X: npt.ArrayLike,
        y: npt.NDArray[Any],
        *,
        seed: int = 0,
        strata: npt.ArrayLike | None = None,
        arm: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
        folds: Sequence[RefitCall] = (),
    ) -> Refits:
        """The refits of the model that an attribution explains, on the rows that it explains.

        Parameters
        ----------
        found : Attribution
            Of the full fit on these rows: gives columns, correlated groups and the order of values.
        build, params, X, y, seed, strata, arm, groups, folds
            As the attributes.

        Raises
        ------
        UsageError
            If the rows of X, y, labels and attribution do not agree in number.
        """
        rows = np.asarray(X, dtype=np.float64)
        labels = [None if v is None else np.asarray(v) for v in (strata, arm, groups)]
        lengths = {len(rows), len(y), len(found.values), *(len(v) for v in labels if v is not None)}
        if len(lengths) != 1:
            raise UsageError(
                "X, y, labels and attribution must have the same rows; got "
                f"{', '.join(f'{n:,}' for n in sorted(lengths))}. Explain the rows of the refits."
            )
        return cls(
            build, dict(params), rows, y, int(seed), found.sources, _units(found), _ordered(found),
            labels[0], labels[1], labels[2], tuple(folds),
        )  # fmt: skip

    @property
    def n_patients(self) -> int:
        """Distinct patients."""
        return len(self.y) if self.groups is None else len(np.unique(self.groups))

    @property
    def seeded(self) -> bool:
        """Whether the model has a random part that a seed decides."""
        return hasattr(self.build(dict(self.params), 0).model, "random_state")


def blocks_of(scheme: Scheme, n_refits: int, size: int = 25) -> list[Block]:
    """Blocks that together make refits number 0 to ``n_refits``.

    Examples
    --------
    >>> [(block.low, block.high) for block in blocks_of("bootstrap", 60)]
    [(0, 25), (25, 50), (50, 60)]
    """
    if scheme not in SCHEMES or n_refits < 0 or size < 1:
        raise UsageError(
            f"scheme must be among {', '.join(SCHEMES)}, n_refits at least 0 and size at least 1; "
            f"got {scheme}, {n_refits} and {size}."
        )
    return [Block(scheme, low, min(low + size, n_refits)) for low in range(0, n_refits, size)]


def join(tables: Sequence[RefitTable]) -> RefitTable:
    """Blocks of one scheme, in order, as one table.

    Raises
    ------
    UsageError
        If there is none, or they are of several schemes.
    """
    schemes = {table.scheme for table in tables}
    if len(schemes) != 1:
        raise UsageError(
            f"tables must be of one scheme; got {len(schemes)} among {len(tables)} table(s)."
        )
    parts = {
        name: np.concatenate([getattr(table, name) for table in tables])
        for name in ("importance", "together", "sign", "fitted")
    }
    return RefitTable(tables[0].scheme, **parts)


def full_fit(plan: Refits, found: Attribution) -> RefitTable:
    """The full fit as a table of one row, from its attribution; its scheme says nothing."""
    together = np.abs(found.values @ membership(plan)).mean(axis=0)
    return RefitTable(
        "seed",
        np.abs(found.values).mean(axis=0)[None, :],
        together[None, :],
        directions(plan.ordered, found.values)[None, :],
        np.ones(1, dtype=np.bool_),
    )


def membership(plan: Refits) -> Floats:
    """Source by unit, 1 where the source belongs to it."""
    return np.array([[float(s in unit) for unit in plan.units] for s in plan.sources])


def directions(ordered: Floats, values: Floats) -> npt.NDArray[np.int8]:
    """Sign of the covariance of each column's attribution with the rank of its value.

    Parameters
    ----------
    ordered : ndarray, shape (n_rows, n_sources)
        Centred ranks, 0 where missing or without order.
    values : ndarray, shape (n_rows, n_sources)
        Attributions.

    Returns
    -------
    ndarray of int8, shape (n_sources,)
        +1 where higher values raise the margin, -1 where they lower it, 0 where neither.

    Examples
    --------
    >>> directions(np.array([[-1.0, 0], [1, 0]]), np.array([[0.2, 1], [-0.2, 2]])).tolist()
    [-1, 0]
    """
    product = np.einsum("ij,ij->j", ordered, values)
    most = np.abs(ordered).sum(axis=0) * np.abs(values).max(axis=0, initial=0.0)
    return np.where(np.abs(product) > _NO_DIRECTION * most, np.sign(product), 0).astype(np.int8)


def _units(found: Attribution) -> tuple[tuple[str, ...], ...]:
    """Groups and single columns, in column order of their first member."""
    group = {name: names for names in found.correlated for name in names}
    return tuple(dict.fromkeys(group.get(name, (name,)) for name in found.sources))


def _ordered(found: Attribution) -> Floats:
    """Centred mid-ranks of every column whose values have an order."""
    ranks = np.zeros(found.columns.shape)
    for j, kind in enumerate(found.kinds):
        column = found.columns[:, j]
        known = np.isfinite(column)
        distinct, code = np.unique(column[known], return_inverse=True)
        if len(distinct) < 2 or (kind == "categorical" and len(distinct) > 2):
            continue
        counts = np.bincount(code)
        middle = np.cumsum(counts) - (counts - 1) / 2
        ranks[known, j] = (middle - np.average(middle, weights=counts))[code]
    return ranks
