r"""Shapley values of a prediction on any scale: columns play against a background of patients.

The game is interventional: columns outside a coalition take the values of a background patient,

.. math:: v(S) = \frac1B \sum_b g\bigl(m(x_S, b_{\setminus S})\bigr),

with :math:`m` the margin and :math:`g` what it means on the scale. All coalitions are enumerated
where the budget allows; else columns are let in one by one, in random orders and their reverses,
against each background patient equally often, so that base value and shares telescope to the
prediction whatever the number of orders.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biomarker.explain.tree_paths import compile_paths

if TYPE_CHECKING:
    from biomarker.explain.coalitions_kernel import Game
    from biomarker.explain.scales import LinkTable

__all__ = ["Plan", "Players", "Shares", "make_plan", "play", "set_up"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ROWS = 32  # of a block: sums of 25 columns at 20 times for them stay in the cache
_MOST_PLAYERS = 16


@dataclass(frozen=True)
class Plan:
    """How many coalitions each patient's values take.

    Attributes
    ----------
    exact : bool
        All coalitions; else random orders.
    n_players, n_background : int
        Columns that move the margin at all, and background patients.
    n_pairs : int
        Orders for each background patient, each walked forwards and backwards; 0 if exact.
    n_coalitions : int
        Margins evaluated for one patient.
    """

    exact: bool
    n_players: int
    n_background: int
    n_pairs: int
    n_coalitions: int


@dataclass(frozen=True, eq=False)
class Players:
    """A model's margin as a game.

    Attributes
    ----------
    active : tuple of int
        Positions, among the sources, of those that move the margin; all others get exactly 0.
    low, high : float
        Bounds on the margin of every mixture of the patients and the background.
    game : Game
    parts : callable
        What the kernels need of a block of encoded patients: parts, answers and margins.
    is_tree : bool
    """

    active: tuple[int, ...]
    low: float
    high: float
    game: Game
    parts: Callable[[Floats], tuple[Floats, npt.NDArray[np.int32], Floats]]
    is_tree: bool


@dataclass(frozen=True, eq=False)
class Shares:
    """Shapley values and their Monte Carlo standard errors, (n_patients, n_players, n_points)."""

    values: Floats
    standard_error: Floats


def make_plan(n_players: int, n_background: int, budget: int) -> Plan:
    """Enumerate all coalitions if the budget covers them, else as many orders as it does.

    Parameters
    ----------
    n_players, n_background : int
    budget : int
        Most margins to evaluate for one patient.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If the budget covers fewer than two pairs of orders for each background patient: no
        standard error could be told.

    Examples
    --------
    >>> make_plan(4, 50, budget=1000).exact, make_plan(20, 50, budget=8000).n_pairs
    (True, 4)
    """
    every = 2**n_players * n_background
    if n_players < 2 or (n_players <= _MOST_PLAYERS and every <= budget):
        return Plan(True, n_players, n_background, 0, every)
    per_pair = 2 * (n_players - 1) * n_background
    n_pairs = budget // per_pair
    if n_pairs < 2:
        raise ValueError(
            f"budget must be at least {2 * per_pair} for {n_players} columns and {n_background} "
            f"background patients; got {budget}. Raise it, or use fewer background patients."
        )
    return Plan(False, n_players, n_background, n_pairs, n_pairs * per_pair)


def set_up(model: Any, sources: tuple[int, ...], features: Floats, background: Floats) -> Players:
    """Prepare a model's game.

    Parameters
    ----------
    model : fitted model of the zoo
    sources : tuple of int, length n_features
        Position of each feature's source column.
    features, background : ndarray, shape (n_rows, n_features)
        Encoded patients to explain and to compare with.

    Raises
    ------
    UnsupportedTreesError
        As for :func:`biomarker.explain.tree_paths.compile_paths`.
    """
    owner = np.array(sources, dtype=np.int64)
    if model.attribution == "linear":
        return _linear_players(model, owner, features, background)
    return _tree_players(model, owner, background)


def play(
    players: Players,
    plan: Plan,
    link: LinkTable,
    features: Floats,
    rng: np.random.Generator,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Shares:
    """Shapley values of all active columns for every patient, at every point of the scale.

    Parameters
    ----------
    players, plan, link
        From :func:`set_up`, :func:`make_plan` and the scale.
    features : ndarray, shape (n_patients, n_features)
    rng : numpy.random.Generator
        Draws the orders. They are the same for all patients, so that nobody's values depend on
        who else is explained.
    threads : int
        Results are the same to the bit for any number.
    progress : callable of (done, total), optional
        Told the number of patients finished, from the calling thread.
    """
    from biomarker.explain.coalitions_kernel import every_coalition, paths

    if threads < 1:
        raise ValueError(f"threads must be at least 1; got {threads}.")
    n, k, n_points = len(features), plan.n_players, link.values.shape[1]
    total, within = np.zeros((2, n, k, n_points))
    orders = np.zeros((plan.n_background, plan.n_pairs, k), np.int64)
    if not plan.exact:
        orders = rng.permuted(np.broadcast_to(np.arange(k), orders.shape).copy(), axis=2)
    weight = np.array([factorial(s) * factorial(k - 1 - s) / factorial(k) for s in range(k)])

    def block(start: int) -> int:
        rows = slice(start, start + _ROWS)
        parts, found, margin = players.parts(features[rows])
        table = (link.low, link.step, link.values)
        if plan.exact:
            every_coalition(
                players.game, weight, players.is_tree, parts, found, *table, total[rows]
            )
        else:
            paths(
                players.game, orders, players.is_tree, parts, found, margin, *table,
                total[rows], within[rows],
            )  # fmt: skip
        return min(n, start + _ROWS)

    starts = range(0, n, _ROWS) if k else range(0)
    with ThreadPoolExecutor(threads) as pool:
        for done in pool.map(block, starts):
            if progress is not None:
                progress(done, n)
    if plan.exact:
        return Shares(total, within)
    n_walked = plan.n_background * plan.n_pairs
    variance = within / (plan.n_pairs * (plan.n_pairs - 1))
    return Shares(total / n_walked, np.sqrt(variance) / plan.n_background)


def _linear_players(model: Any, owner: Ints, features: Floats, background: Floats) -> Players:
    """A linear margin is a sum of one part a column."""
    from biomarker.explain.coalitions_kernel import Game

    coef, intercept = np.asarray(model.coef_, dtype=np.float64), float(model.intercept_)
    active = np.unique(owner[coef != 0])
    member = (owner[:, None] == active).astype(np.float64)

    def parts(rows: Floats) -> tuple[Floats, npt.NDArray[np.int32], Floats]:
        # Not a BLAS product: a row's sum must not depend on the rows around it.
        found = np.einsum("rf,fj->rj", np.ascontiguousarray(rows) * coef, member)
        return found, np.zeros((0, len(rows)), np.int32), found.sum(axis=1) + intercept

    theirs, none, margin = parts(background)
    every = np.vstack([parts(features)[0], theirs])
    no_table = (np.zeros(0), np.zeros(0, np.int64), np.zeros((0, 1), np.int64))
    game = Game(len(active), margin, theirs, none, *no_table, np.zeros((0, 1), np.int32))
    low = intercept + float(every.min(axis=0, initial=np.inf).sum())
    high = intercept + float(every.max(axis=0, initial=-np.inf).sum())
    return Players(tuple(active.tolist()), low, high, game, parts, is_tree=False)


def _tree_players(model: Any, owner: Ints, background: Floats) -> Players:
    """A booster's margin is a sum of table entries, one a patch of leaves."""
    from biomarker.explain.coalitions_kernel import Game, answers, fill_margins, sum_tables

    paths = compile_paths(model.booster_)
    forest, used = paths.forest, paths.used
    size = 1 << forest.n_tests
    offset = np.cumsum(size) - size
    table = np.zeros(int(size.sum()))
    fill_margins(forest, offset, table)
    table *= float(model.contribution_sign)
    active, player, mask = _columns(forest, owner[used])

    def bits(rows: Floats) -> npt.NDArray[np.int32]:
        found = np.zeros((len(offset), len(rows)), np.int32)
        answers(np.ascontiguousarray(rows, dtype=np.float32), used, forest, found)
        return found

    theirs = bits(background)
    game = Game(
        len(active), np.zeros(len(background)), np.zeros((0, len(active))), theirs,
        table, offset, player, mask,
    )  # fmt: skip
    # What no test moves: the booster's own start, and trees of a single leaf.
    own = np.asarray(model.predict_margin(background), dtype=np.float64)
    start = float(np.mean(own - sum_tables(game, theirs, 0.0)))
    game = game._replace(background_margin=sum_tables(game, theirs, start))

    def parts(rows: Floats) -> tuple[Floats, npt.NDArray[np.int32], Floats]:
        found = bits(rows)
        return np.zeros((0, len(active))), found, sum_tables(game, found, start)

    edges = offset.tolist()
    low, high = (
        start + float(extreme.reduceat(table, edges).sum() if edges else 0.0)
        for extreme in (np.minimum, np.maximum)
    )
    return Players(active, low, high, game, parts, is_tree=True)


def _columns(forest: Any, owner: Ints) -> tuple[tuple[int, ...], Ints, npt.NDArray[np.int32]]:
    """Sources that any test looks at, and for each patch which of its bits belong to which."""
    active = np.unique(owner)
    place = np.searchsorted(active, owner)
    found: list[dict[int, int]] = []
    for tests, n_tests in zip(forest.tests.tolist(), forest.n_tests.tolist(), strict=True):
        bits: dict[int, int] = {}
        for k, node in enumerate(tests[:n_tests]):
            j = int(place[forest.feature[node]])
            bits[j] = bits.get(j, 0) | 1 << k
        found.append(bits)
    most = max((len(bits) for bits in found), default=1)
    player = np.full((len(found), most), -1, np.int64)
    mask = np.zeros((len(found), most), np.int32)
    for i, bits in enumerate(found):
        player[i, : len(bits)] = list(bits)
        mask[i, : len(bits)] = list(bits.values())
    return tuple(active.tolist()), player, mask
