r"""Compiled tables of tree Shapley values, and the loop that looks rows up in them.

A leaf of value v whose path tests the distinct features F plays the game
:math:`v \prod_{k \in F} z_k`, where :math:`z_k` is :math:`o_k` (1 where the row follows the path at
every test of k, else 0) if k is known, and the share of training weight :math:`r_k` that follows it
if not. Its Shapley value and half its Shapley interaction are

.. math:: v (o_i - r_i) \int_0^1 \prod_{k \ne i} a_k(t)\, dt, \qquad
          \frac v2 (o_i - r_i)(o_j - r_j) \int_0^1 \prod_{k \ne i, j} a_k(t)\, dt,

with :math:`a_k(t) = t\, o_k + (1 - t)\, r_k`: polynomials of t that Gauss-Legendre points integrate
exactly. A *patch* is a set of leaves of one tree whose paths hold few tests; the answers to these
tests, as bits, number its table's entries, each the sum over its leaves. Entries are split into
*bands* of eight columns, added at once. A row's sums are taken in one order, whatever the block or
thread, and no flag assumes that NaN is absent: a missing value fails both comparisons below.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = [
    "BAND",
    "GROUP",
    "Forest",
    "Lookup",
    "accumulate",
    "count_pairs",
    "fill",
    "follow",
    "mark",
]

BAND, GROUP = 8, 16  # columns added at once; patches whose entries are found before any is added
_MOST = 16  # above the deepest path

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Forest(NamedTuple):
    """Nodes of all trees in one numbering, and the patches that share out their leaves."""

    parent: Ints  # (n_nodes,) -1 at a root
    left: Ints  # (n_nodes,) -1 at a leaf
    feature: Ints  # (n_nodes,) position among the features that any tree tests
    threshold: Singles  # (n_nodes,) a value below it goes left; a leaf's own value
    default_left: Flags  # (n_nodes,) where a missing value goes
    cover: Floats  # (n_nodes,) training weight: sum of second derivatives
    tests: Ints  # (n_patches, most) nodes whose answers number a patch's entries
    n_tests: Ints  # (n_patches,)
    leaf_begin: Ints  # (n_patches + 1,)
    leaves: Ints  # (n_leaves,) by patch


class Lookup(NamedTuple):
    """Tables, and which of them to add where."""

    table: Singles  # one after another, each (entries, BAND); the first has one entry, all 0
    group: Ints  # (n_groups + 1, 2) first patch and first quadruple of each group
    band: Ints  # (n_quadruples,) band that four tables are added to
    slot: Ints  # (n_quadruples, 4) patch within its group; GROUP for none
    offset: Ints  # (n_quadruples, 4) where the table starts
    column: Ints  # (n_lanes,) output column of each lane of the bands


@njit(cache=True)
def follow(
    forest: Forest, patch: int, leaf: int,
    feature: Ints, share: Floats, yes: Ints, no: Ints,
) -> int:  # fmt: skip
    """Distinct features of a leaf's path: weight share, and the bits that must be 1 and 0."""
    m = 0
    node = leaf
    while forest.parent[node] >= 0:
        above = forest.parent[node]
        f = forest.feature[above]
        bit = 0
        while forest.tests[patch, bit] != above:
            bit += 1
        k = 0
        while k < m and feature[k] != f:
            k += 1
        if k == m:
            m += 1
            feature[k], share[k], yes[k], no[k] = f, 1.0, 0, 0
        share[k] *= forest.cover[node] / forest.cover[above]
        if forest.left[above] == node:
            yes[k] |= 1 << bit
        else:
            no[k] |= 1 << bit
        node = above
    return m


@njit(cache=True)
def count_pairs(forest: Forest, count: Ints) -> None:
    """Count the leaves whose path tests features i and j, i <= j, into ``count[i, j]``."""
    feature, yes, no = np.zeros((3, _MOST), np.int64)
    share = np.zeros(_MOST)
    for patch in range(len(forest.n_tests)):
        for at in range(forest.leaf_begin[patch], forest.leaf_begin[patch + 1]):
            m = follow(forest, patch, forest.leaves[at], feature, share, yes, no)
            for i in range(m):
                for j in range(m):
                    if feature[i] <= feature[j]:
                        count[feature[i], feature[j]] += 1


@njit(cache=True)
def mark(forest: Forest, lane: Ints, used: Flags) -> None:
    """Set ``used[patch, band]`` where a patch has a column; ``lane[i, j]`` is -1 for none."""
    feature, yes, no = np.zeros((3, _MOST), np.int64)
    share = np.zeros(_MOST)
    for patch in range(len(forest.n_tests)):
        for at in range(forest.leaf_begin[patch], forest.leaf_begin[patch + 1]):
            m = follow(forest, patch, forest.leaves[at], feature, share, yes, no)
            for i in range(m):
                for j in range(m):
                    into = lane[feature[i], feature[j]]
                    if into >= 0:
                        used[patch, into // BAND] = True


@njit(cache=True, nogil=True)
def fill(
    forest: Forest, lane: Ints, offset: Ints, points: Floats, weights: Floats, table: Singles
) -> None:
    """Write every patch's tables.

    ``lane`` (n_used, n_used) has columns on its diagonal for Shapley values, or above it for
    interactions. ``offset`` (n_patches, n_bands) says where a table starts. ``points`` and
    ``weights`` (row n) integrate products of up to n factors on [0, 1] by (n + 1) // 2 points.
    """
    feature, yes, no = np.zeros((3, _MOST), np.int64)
    share, factor = np.zeros(_MOST), np.zeros((points.shape[1], _MOST))
    first, second, into = np.zeros((3, _MOST * _MOST), np.int64)
    for patch in range(len(forest.n_tests)):
        entries = 1 << forest.n_tests[patch]
        for at in range(forest.leaf_begin[patch], forest.leaf_begin[patch + 1]):
            leaf = forest.leaves[at]
            m = follow(forest, patch, leaf, feature, share, yes, no)
            n_points = (m + 1) // 2
            columns = 0
            for i in range(m):
                for j in range(m):
                    to = lane[feature[i], feature[j]]
                    if to >= 0:
                        first[columns], second[columns] = i, j
                        into[columns] = offset[patch, to // BAND] + to % BAND
                        columns += 1
            value = np.zeros((1 << m, columns))
            for mask in range(1 << m):
                for q in range(n_points):
                    t = points[m, q]
                    for k in range(m):
                        factor[q, k] = t * ((mask >> k) & 1) + (1 - t) * share[k]
                for c in range(columns):
                    i, j = first[c], second[c]
                    total = 0.0
                    for q in range(n_points):
                        product = weights[m, q]
                        for k in range(m):
                            product *= 1.0 if k in (i, j) else factor[q, k]
                        total += product
                    total *= forest.threshold[leaf] * (((mask >> i) & 1) - share[i])
                    if i != j:
                        total *= 0.5 * (((mask >> j) & 1) - share[j])
                    value[mask, c] = total
            for entry in range(entries):
                mask = 0
                for k in range(m):
                    if entry & yes[k] == yes[k] and entry & no[k] == 0:
                        mask |= 1 << k
                for c in range(columns):
                    table[into[c] + entry * BAND] += value[mask, c]


@intrinsic
def _add_four(
    _: Any, total: Any, at: Any, table: Any, a: Any, b: Any, c: Any, d: Any
) -> tuple[Any, Any]:
    """Add BAND columns of four entries to ``total[at : at + BAND]``, as vectors.

    Written out because a compiler must assume that the arrays overlap, and then adds one by one.
    """
    signature = types.void(total, at, table, a, b, c, d)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def pointer(which: int, position: Any, element: Any) -> Any:
            array = context.make_array(signature.args[which])(context, builder, args[which])
            wide = ir.VectorType(element, BAND)
            return wide, builder.bitcast(builder.gep(array.data, [position]), wide.as_pointer())

        def entry(position: Any) -> Any:
            found = builder.load(pointer(2, position, ir.FloatType())[1])
            found.align = 4
            return found

        four = [entry(position) for position in args[3:]]
        added = builder.fadd(builder.fadd(*four[:2]), builder.fadd(*four[2:]))
        wide, into = pointer(0, args[1], ir.DoubleType())
        before = builder.load(into)
        before.align = 8
        builder.store(builder.fadd(before, builder.fpext(added, wide)), into).align = 8
        return context.get_dummy_value()

    return signature, emit


@njit(cache=True, nogil=True)
def _find_entries(x: Singles, forest: Forest, patch: int, found: npt.NDArray[np.int32]) -> None:
    """Position in a patch's tables of each row's entry."""
    found[:] = 0
    for k in range(forest.n_tests[patch]):
        node = forest.tests[patch, k]
        values, threshold = x[forest.feature[node]], forest.threshold[node]
        bit = np.int32(BAND << k)
        if forest.default_left[node]:
            for r in range(len(found)):
                found[r] |= np.int32(0) if values[r] >= threshold else bit
        else:
            for r in range(len(found)):
                found[r] |= bit if values[r] < threshold else np.int32(0)


@njit(cache=True, nogil=True)
def accumulate(X: Singles, used: Ints, forest: Forest, lookup: Lookup, out: Floats) -> None:
    """Look up a block of rows: X (n, n_features), NaN where missing, into ``out`` (n, n_columns).

    Columns that no tree moves are left as they are.
    """
    n, n_lanes = len(X), len(lookup.column)
    x = np.empty((len(used), n), np.float32)
    for r in range(n):
        for i in range(len(used)):
            x[i, r] = X[r, used[i]]
    found = np.zeros((GROUP + 1, n), np.int32)
    total = np.zeros((n_lanes + BAND - 1) // BAND * n * BAND)
    for g in range(len(lookup.group) - 1):
        begin = lookup.group[g, 0]
        for patch in range(begin, lookup.group[g + 1, 0]):
            _find_entries(x, forest, patch, found[patch - begin])
        for q in range(lookup.group[g, 1], lookup.group[g + 1, 1]):
            slot, offset = lookup.slot[q], lookup.offset[q]
            a, b, c, d = found[slot[0]], found[slot[1]], found[slot[2]], found[slot[3]]
            at_a, at_b, at_c, at_d = offset[0], offset[1], offset[2], offset[3]
            start = lookup.band[q] * n * BAND
            for r in range(n):
                _add_four(
                    total, start + r * BAND, lookup.table,
                    at_a + a[r], at_b + b[r], at_c + c[r], at_d + d[r],
                )  # fmt: skip
    for r in range(n):
        for i in range(n_lanes):
            out[r, lookup.column[i]] = total[(i // BAND * n + r) * BAND + i % BAND]
