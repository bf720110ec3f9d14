r"""Compiled walks over coalitions: margins of mixed patients, and Shapley sums of what they mean.

A coalition S of columns taken from a patient x, the others from a background patient b, has the
margin m(S). Linear: :math:`m(S) = m(b) + \sum_{j \in S} (p_j(x) - p_j(b))`. Trees: each patch of
leaves (see :mod:`biomarker.explain.tree_forest`) has a table over the answers to its tests; the
answers of a mixed patient are those of x under the mask of the tests on columns of S, and those of
b elsewhere. So a patch is looked up once for each of its own columns, whatever their number in all.
What a margin means is read off a table of evenly spaced margins, all time points at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from biomarker.explain.tree_paths_kernel import Forest, follow

__all__ = ["Game", "answers", "every_coalition", "fill_margins", "paths", "sum_tables"]

_MOST = 16  # above the number of tests of a patch

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.int32]


class Game(NamedTuple):
    """A model's margin as a function of coalitions of columns, and the background."""

    n_players: int
    background_margin: Floats  # (n_background,)
    background_parts: Floats  # (n_background, n_players) linear; no rows otherwise
    background_answers: Bits  # (n_patches, n_background) trees; no rows otherwise
    table: Floats  # one after another, 2 ** n_tests entries for each patch
    offset: Ints  # (n_patches,) where a patch's table starts
    player: Ints  # (n_patches, most) columns a patch tests, -1 for none
    mask: Bits  # (n_patches, most) bits of the tests on that column


@njit(cache=True)
def fill_margins(forest: Forest, offset: Ints, table: Floats) -> None:
    """Sum of its leaves' values for every set of answers to a patch's tests."""
    feature, yes, no = np.zeros((3, _MOST), np.int64)
    share = np.zeros(_MOST)
    for patch in range(len(forest.n_tests)):
        for at in range(forest.leaf_begin[patch], forest.leaf_begin[patch + 1]):
            leaf = forest.leaves[at]
            m = follow(forest, patch, leaf, feature, share, yes, no)
            must, must_not = 0, 0
            for k in range(m):
                must |= yes[k]
                must_not |= no[k]
            for entry in range(1 << forest.n_tests[patch]):
                if entry & must == must and entry & must_not == 0:
                    table[offset[patch] + entry] += forest.threshold[leaf]


@njit(cache=True, nogil=True)
def answers(X: Singles, used: Ints, forest: Forest, out: Bits) -> None:
    """Answers of each row to each patch's tests as bits, into ``out`` (n_patches, n_rows)."""
    for patch in range(len(forest.n_tests)):
        for k in range(forest.n_tests[patch]):
            node = forest.tests[patch, k]
            column, threshold = used[forest.feature[node]], forest.threshold[node]
            bit = np.int32(1 << k)
            for r in range(len(X)):
                value = X[r, column]
                left = not (value >= threshold) if forest.default_left[node] else value < threshold
                if left:
                    out[patch, r] |= bit


@njit(cache=True, nogil=True)
def sum_tables(game: Game, found: Bits, start: float) -> Floats:
    """Margin of each row from its answers (n_patches, n_rows)."""
    total = np.full(found.shape[1], start)
    for patch in range(len(found)):
        for r in range(found.shape[1]):
            total[r] += game.table[game.offset[patch] + found[patch, r]]
    return total


@njit(cache=True, nogil=True)
def _tree_steps(
    game: Game, rank: Ints, b: int, found: Bits, forward: Floats, backward: Floats
) -> None:
    """Add what each step of a path and of its mirror image changes, trees."""
    step, bits = np.zeros(_MOST, np.int64), np.zeros(_MOST, np.int32)
    for patch in range(len(found)):
        q = 0
        while q < game.player.shape[1] and game.player[patch, q] >= 0:
            at, these = rank[game.player[patch, q]], game.mask[patch, q]
            i = q
            while i > 0 and step[i - 1] > at:
                step[i], bits[i] = step[i - 1], bits[i - 1]
                i -= 1
            step[i], bits[i] = at, these
            q += 1
        for i in range(1, q):
            bits[i] |= bits[i - 1]
        start, y = game.offset[patch], game.background_answers[patch, b]
        for r in range(found.shape[1]):
            x = found[patch, r]
            if x == y:
                continue
            one, other = game.table[start + y], game.table[start + x]
            for i in range(q):
                mask = bits[i]
                next_one = game.table[start + ((x & mask) | (y & ~mask))]
                next_other = game.table[start + ((y & mask) | (x & ~mask))]
                forward[r, step[i] + 1] += next_one - one
                backward[r, step[i] + 1] += next_other - other
                one, other = next_one, next_other


@njit(cache=True, nogil=True)
def _linear_steps(
    game: Game, rank: Ints, b: int, parts: Floats, forward: Floats, backward: Floats
) -> None:
    """Add what each step of a path and of its mirror image changes, linear."""
    for r in range(len(parts)):
        for j in range(game.n_players):
            gain = parts[r, j] - game.background_parts[b, j]
            forward[r, rank[j] + 1] += gain
            backward[r, rank[j] + 1] -= gain


@njit(cache=True, nogil=True)
def _add_path(
    margin: Floats, order: Ints, sign: float, low: float, per: float, link: Floats,
    before: Floats, out: Floats,
) -> None:  # fmt: skip
    """Add ``sign`` times the change of each step on the link's scale to ``out`` (n_players, n).

    ``before`` (n_points,) is room to work in.
    """
    n_points = link.shape[1]
    for s in range(len(margin)):
        place = (margin[s] - low) * per
        left = min(max(int(place), 0), len(link) - 2)
        share = place - left
        if s == 0:
            for t in range(n_points):
                before[t] = link[left, t] + share * (link[left + 1, t] - link[left, t])
        else:
            j = order[s - 1]
            for t in range(n_points):
                now = link[left, t] + share * (link[left + 1, t] - link[left, t])
                out[j, t] += sign * (now - before[t])
                before[t] = now


@njit(cache=True, nogil=True)
def paths(
    game: Game, orders: Ints, is_tree: bool, parts: Floats, found: Bits, margin: Floats,
    low: float, step: float, link: Floats, total: Floats, within: Floats,
) -> None:  # fmt: skip
    """Sum Shapley values over antithetic paths, equally many for each background patient.

    ``orders`` (n_background, n_pairs, n_players); ``parts`` (n, n_players) or ``found``
    (n_patches, n), and ``margin`` (n,) are of the patients. ``total`` and ``within``
    (n, n_players, n_points) take the sum over pairs of paths, and the sum of squared deviations
    from the mean of the pairs with the same background patient.
    """
    n, k, n_points = total.shape
    n_pairs = orders.shape[1]
    per = 1.0 / step
    forward, backward = np.zeros((2, n, k + 1))
    one = np.zeros((n, k, n_points))
    here, squares = np.zeros((2, n, k, n_points))
    rank, before = np.zeros(k, np.int64), np.zeros(n_points)
    for b in range(orders.shape[0]):
        here[:] = 0.0
        squares[:] = 0.0
        for i in range(n_pairs):
            order = orders[b, i]
            for s in range(k):
                rank[order[s]] = s
            forward[:] = 0.0
            backward[:] = 0.0
            if is_tree:
                _tree_steps(game, rank, b, found, forward, backward)
            else:
                _linear_steps(game, rank, b, parts, forward, backward)
            one[:] = 0.0
            for r in range(n):
                forward[r, 0], backward[r, 0] = game.background_margin[b], margin[r]
                for s in range(k):
                    forward[r, s + 1] += forward[r, s]
                    backward[r, s + 1] += backward[r, s]
                _add_path(forward[r], order, 0.5, low, per, link, before, one[r])
                _add_path(backward[r], order, -0.5, low, per, link, before, one[r])
                for j in range(k):
                    for t in range(n_points):
                        value = one[r, j, t]
                        here[r, j, t] += value
                        squares[r, j, t] += value * value
        for r in range(n):
            for j in range(k):
                for t in range(n_points):
                    mine = here[r, j, t]
                    total[r, j, t] += mine
                    within[r, j, t] += max(0.0, squares[r, j, t] - mine * mine / n_pairs)


@njit(cache=True, nogil=True)
def every_coalition(
    game: Game, weight: Floats, is_tree: bool, parts: Floats, found: Bits,
    low: float, step: float, link: Floats, out: Floats,
) -> None:  # fmt: skip
    """Exact Shapley values by all coalitions; ``weight[s]`` is that of coalitions of s others."""
    n, k, n_points = out.shape
    size = 1 << k
    per = 1.0 / step
    n_patches = len(game.offset)
    masks = np.zeros((n_patches, size), np.int32)
    for patch in range(n_patches):
        for q in range(game.player.shape[1]):
            j = game.player[patch, q]
            if j >= 0:
                for coalition in range(size):
                    if (coalition >> j) & 1:
                        masks[patch, coalition] |= game.mask[patch, q]
    margin, value = np.zeros(size), np.zeros((size, n_points))
    members = np.zeros(size, np.int64)
    for coalition in range(1, size):
        members[coalition] = members[coalition >> 1] + (coalition & 1)
    for r in range(n):
        value[:] = 0.0
        for b in range(len(game.background_margin)):
            if is_tree:
                margin[:] = game.background_margin[b]
                for patch in range(n_patches):
                    start, y = game.offset[patch], game.background_answers[patch, b]
                    x = found[patch, r]
                    if x == y:
                        continue
                    own = game.table[start + y]
                    for coalition in range(size):
                        mask = masks[patch, coalition]
                        margin[coalition] += game.table[start + ((x & mask) | (y & ~mask))] - own
            else:
                margin[0] = game.background_margin[b]
                for j in range(k):
                    gain = parts[r, j] - game.background_parts[b, j]
                    for coalition in range(1 << j):
                        margin[coalition + (1 << j)] = margin[coalition] + gain
            for coalition in range(size):
                place = (margin[coalition] - low) * per
                left = min(max(int(place), 0), len(link) - 2)
                share = place - left
                for t in range(n_points):
                    value[coalition, t] += link[left, t] + share * (
                        link[left + 1, t] - link[left, t]
                    )
        for j in range(k):
            bit = 1 << j
            for coalition in range(size):
                if coalition & bit == 0:
                    w = weight[members[coalition]] / len(game.background_margin)
                    for t in range(n_points):
                        out[r, j, t] += w * (value[coalition | bit, t] - value[coalition, t])
