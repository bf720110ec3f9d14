r"""Fast exact tree Shapley values: tables made once per model, looked up for blocks of rows.

What a row gets from a leaf depends only on which of its path's tests the row passes, so that all
answers fit in small tables (see :mod:`biomarker.explain.tree_paths_kernel`). A row then costs, for
each patch of a tree, some comparisons and one vector addition per eight features.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from biomarker.explain.tree_forest import DEEPEST, UnsupportedTreesError, read_forest

if TYPE_CHECKING:
    from biomarker.explain.tree_paths_kernel import Forest, Lookup

__all__ = ["TreePaths", "UnsupportedTreesError", "compile_paths", "paths_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Rows of a block, and bytes of its sums: tables are read once a block, sums stay in the cache.
_ROWS, _FEWEST_ROWS, _SUMS = 2048, 64, 2**19
_MOST_TABLE = 2**27  # numbers: half a gigabyte


@dataclass(frozen=True, eq=False)
class TreePaths:
    """A booster's trees, ready to say what moved each row's margin.

    Attributes
    ----------
    n_features : int
        Columns of the matrix the booster was trained on.
    base_value : float
        The booster's own expectation of the margin over its training weight.
    forest : Forest
        Nodes of all trees, and the patches their leaves form.
    used : ndarray of int, shape (n_used,)
        Features that any tree tests; all others get 0.
    lookup : Lookup
        Tables of Shapley values.
    """

    n_features: int
    base_value: float
    forest: Forest
    used: Ints
    lookup: Lookup

    def contributions(self, X: npt.ArrayLike, threads: int = 1) -> Floats:
        """Shapley values of each row's margin, path-dependent, and the base value.

        Parameters
        ----------
        X : array-like of float, shape (n_rows, n_features)
            Features as the booster takes them, NaN where missing.
        threads : int
            Results are the same to the bit for any number.

        Returns
        -------
        ndarray, shape (n_rows, n_features + 1)
            On the booster's margin scale, positive = raises the margin; the last column is the
            base value, and a row sums to the margin but for rounding in single precision.

        Raises
        ------
        ValueError
            If X has another width, or infinite values in single precision.
        """
        rows = self._rows(X)
        out = np.zeros((len(rows), self.n_features + 1))
        out[:, -1] = self.base_value
        self._look_up(rows, self.lookup, out, threads)
        return out

    def margin(self, X: npt.ArrayLike, threads: int = 1) -> Floats:
        """Margin of each row, shape (n_rows,): the sum of its contributions."""
        found: Floats = self.contributions(X, threads).sum(axis=1)
        return found

    def interactions(self, X: npt.ArrayLike, threads: int = 1) -> Floats:
        r"""Shapley interaction values of each row's margin, path-dependent.

        .. math:: \phi_i = \sum_j \Phi_{ij}, \qquad \Phi_{ij} = \Phi_{ji}

        Half of what features i and j do together beyond what each does alone stands in each of
        :math:`\Phi_{ij}` and :math:`\Phi_{ji}`; the diagonal is what is left of i.

        Parameters
        ----------
        X, threads
            As in :meth:`contributions`.

        Returns
        -------
        ndarray, shape (n_rows, n_features, n_features)
            Without the base value. Memory grows with the square of the features: pass some
            thousands of rows at a time.

        Raises
        ------
        UnsupportedTreesError
            If the tables of all pairs would exceed half a gigabyte.
        ValueError
            As in :meth:`contributions`.
        """
        rows, p = self._rows(X), self.n_features
        both = np.zeros((len(rows), p, p))
        self._look_up(
            rows, _tables(self.forest, self.used, p, pairs=True), both.reshape(-1, p * p), threads
        )
        both += np.swapaxes(both, 1, 2).copy()
        diagonal = np.arange(p)
        alone = self.contributions(rows, threads)[:, :-1]
        both[:, diagonal, diagonal] = alone - both.sum(axis=2)
        return both

    def _rows(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Rows in the precision trees split on."""
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(X, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.n_features:
            raise ValueError(
                f"X must have shape (n_rows, {self.n_features}); got {rows.shape}. Pass the "
                "features in the booster's order."
            )
        infinite = int(np.count_nonzero(np.isinf(rows)))
        if infinite:
            raise ValueError(
                f"X must be finite in single precision, or NaN; got {infinite} infinite value(s). "
                "Check the unit, or transform the feature."
            )
        return rows

    def _look_up(
        self, rows: npt.NDArray[np.float32], lookup: Lookup, out: Floats, threads: int
    ) -> None:
        """Share blocks of rows out over threads; a row's sums do not depend on its block."""
        from biomarker.explain.tree_paths_kernel import accumulate

        if threads < 1:
            raise ValueError(f"threads must be at least 1; got {threads}.")
        if len(lookup.column) == 0 or len(rows) == 0:
            return
        step = max(_FEWEST_ROWS, min(_ROWS, _SUMS // (8 * len(lookup.column))))
        step = max(1, min(step, -(-len(rows) // threads)))

        def block(start: int) -> None:
            part = slice(start, start + step)
            accumulate(rows[part], self.used, self.forest, lookup, out[part])

        starts = range(0, len(rows), step)
        if threads == 1 or len(starts) == 1:
            for start in starts:
                block(start)
            return
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(block, starts):
                pass


_known: WeakKeyDictionary[Any, tuple[bytes, TreePaths]] = WeakKeyDictionary()


def compile_paths(booster: Any) -> TreePaths:
    """Make the tables of a booster, or take those made before from the same trees.

    Assumes the path-dependent game: where a feature is not known, a row goes both ways, in
    proportion to the training weight. Contributions are then those of the booster itself, which
    this module replaces for speed.

    Parameters
    ----------
    booster : xgboost.Booster
        Trees with numeric splits and one output, at most 10 deep.

    Returns
    -------
    TreePaths

    Raises
    ------
    UnsupportedTreesError
        For any other booster, and where tables would exceed half a gigabyte.

    Notes
    -----
    Cost: for each leaf 2^d entries of d features, d the depth; for each row, tree and patch a
    comparison per test and an addition per eight features.

    References
    ----------
    Lundberg et al. (2020), Nature Machine Intelligence 2. Yang (2021), Fast TreeSHAP, keeps
    tables per leaf. Yu et al. (2022), Linear TreeSHAP, for the polynomial form.

    Examples
    --------
    >>> import xgboost
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(X, X[:, 0] * X[:, 1]), 20)
    >>> paths = compile_paths(booster)
    >>> theirs = booster.predict(xgboost.DMatrix(X), pred_contribs=True)
    >>> bool(np.abs(paths.contributions(X) - theirs).max() < 1e-5)
    True
    """
    raw = bytes(booster.save_raw("json"))
    stamp = hashlib.blake2b(raw).digest()
    known = _known.get(booster)
    if known is not None and known[0] == stamp:
        return known[1]
    paths = paths_of(raw, 0.0)
    paths = replace(paths, base_value=_base_value(booster, paths.n_features))
    _known[booster] = stamp, paths
    return paths


def paths_of(raw: bytes, base_value: float) -> TreePaths:
    """Make the tables of trees saved as JSON, whose expectation is given; see compile_paths."""
    forest, used, n_features = read_forest(raw)
    lookup = _tables(forest, used, n_features, pairs=False)
    return TreePaths(n_features, base_value, forest, used, lookup)


def _base_value(booster: Any, n_features: int) -> float:
    """The last column of the booster's own contributions, which no row changes."""
    import xgboost

    nothing = np.full((1, n_features), np.nan, np.float32)
    row = xgboost.DMatrix(nothing, feature_names=booster.feature_names, nthread=1)
    return float(booster.predict(row, pred_contribs=True)[0, -1])


def _tables(forest: Forest, used: Ints, n_features: int, pairs: bool) -> Lookup:
    """Tables of every patch, for single features or for pairs of them."""
    from biomarker.explain.tree_paths_kernel import BAND, GROUP, Lookup, count_pairs, fill, mark

    count = np.zeros((len(used), len(used)), np.int64)
    count_pairs(forest, count)
    first, second = np.nonzero(np.triu(count, 1) if pairs else np.diag(np.diag(count)))
    # Columns that many leaves move share bands, so that the others' bands are met more rarely.
    frequent = np.argsort(-count[first, second], kind="stable")
    first, second = first[frequent], second[frequent]
    lane = np.full(count.shape, -1)
    lane[first, second] = np.arange(len(first))
    column = used[first] * n_features + used[second] if pairs else used[first]
    marked = np.zeros((len(forest.n_tests), -(-len(first) // BAND)), np.bool_)
    mark(forest, lane, marked)
    size = np.where(marked, BAND << forest.n_tests[:, None], 0)
    end = BAND + np.cumsum(size).reshape(size.shape)
    total = int(end[-1, -1]) if end.size else BAND
    if total > _MOST_TABLE:
        raise UnsupportedTreesError(
            f"tables must stay below {_MOST_TABLE:,} numbers; got {total:,} for "
            f"{len(forest.n_tests):,} patches of leaves. Use shallower or fewer trees."
        )
    table = np.zeros(total, np.float32)
    points, weights = _quadrature()
    fill(forest, lane, end - size, points, weights, table)
    group, band, slot, offset = _quadruples(marked, end - size, GROUP)
    return Lookup(table, group, band, slot, offset, column)


def _quadruples(
    marked: npt.NDArray[np.bool_], offset: Ints, per_group: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Tables to add four at a time to one band, within groups of patches."""
    bounds, bands, slots, offsets = [(0, 0)], [], [], []
    for begin in range(0, len(marked), per_group):
        part = marked[begin : begin + per_group]
        for band in np.flatnonzero(part.any(axis=0)):
            here = np.flatnonzero(part[:, band])
            four = np.full(-(-len(here) // 4) * 4, per_group)
            four[: len(here)] = here
            start = np.zeros(len(four), np.int64)  # an entry of zeros
            start[: len(here)] = offset[begin + here, band]
            slots.append(four.reshape(-1, 4))
            offsets.append(start.reshape(-1, 4))
            bands += [band] * (len(four) // 4)
        bounds.append((begin + len(part), len(bands)))
    empty = np.zeros((0, 4), np.int64)
    return (
        np.array(bounds, dtype=np.int64),
        np.array(bands, dtype=np.int64),
        np.concatenate([empty, *slots]),
        np.concatenate([empty, *offsets]),
    )


@cache
def _quadrature() -> tuple[Floats, Floats]:
    """Gauss-Legendre points on [0, 1] for products of up to n factors, one row per n."""
    most = (DEEPEST + 1) // 2
    points, weights = np.zeros((DEEPEST + 1, most)), np.zeros((DEEPEST + 1, most))
    for q in range(1, most + 1):
        t, w = np.polynomial.legendre.leggauss(q)
        # Exact to degree 2q - 1: for 2q - 1 or 2q factors, one of which is left out.
        points[2 * q - 1 : 2 * q + 1, :q] = (t + 1) / 2
        weights[2 * q - 1 : 2 * q + 1, :q] = w / 2
    return points, weights
