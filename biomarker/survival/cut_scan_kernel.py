r"""Compiled score statistics of every candidate cut, over many outcomes of the same patients.

Patients enter from the last time to the first and are counted above each cut they exceed, so one
sweep serves all cuts. With s the indicator "above the cut", t the tested column (s itself, or
s x treated) and N the null model's columns, the efficient score of t is

U = sum of t_i M_i less what its information shares with N (and with s) explains,

M_i = event less expected, at the null fit. The information splits into a part linear in each
patient's expected events, summed once, and a part of products of risk-set means, which alone is
taken at every death. Ties are Efron's. Responses have no risk sets: only the linear part.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["Cuts", "scan_hazards", "scan_odds"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_LEAST = 1e-9  # share of a column's information that other columns must leave
_COMPILE = {"cache": True, "nogil": True, "error_model": "numpy"}


class Cuts(NamedTuple):
    """What all outcomes share."""

    X: Floats  # (n, q) the null model's columns
    bins: Ints  # (n,) how many cuts the patient exceeds: above cuts 0 .. bins - 1
    treated: Flags  # (n,) read where there are two groups
    n_cuts: int
    n_groups: int  # 1: s is tested; 2: s is kept and s x treated is tested
    n_events: int  # least number in each group that a cut makes


class Products(NamedTuple):
    """Sums over deaths of products of risk-set means, by cut."""

    steps: Floats  # (3, m): s s, s t, t t
    mixed: Floats  # (groups, q, m)
    null: Floats  # (q, q)


@njit(**_COMPILE)
def _sweep(
    order: Ints,
    duration: Floats,
    event: Flags,
    stratum: Ints,
    risk: Floats,
    cuts: Cuts,
    products: Products,
    expected: Floats,
) -> None:
    """Fill each patient's expected events, and the products, of one set of outcomes."""
    X, bins, treated = cuts.X, cuts.bins, cuts.treated
    n, q = X.shape
    m, two = cuts.n_cuts, cuts.n_groups == 2
    products.steps[:] = 0.0
    products.mixed[:] = 0.0
    products.null[:] = 0.0
    above = np.zeros((2, m))
    dying = np.zeros((2, m))
    mean = np.zeros((2, m))
    sum_x, dead_x, mean_x = np.zeros(q), np.zeros(q), np.zeros(q)
    total = hazard = 0.0
    opened = i = 0
    while i < n:
        if i > 0 and stratum[order[i]] != stratum[order[i - 1]]:
            for k in range(opened, i):
                expected[order[k]] += risk[order[k]] * hazard
            above[:] = 0.0
            sum_x[:] = 0.0
            total = hazard = 0.0
            opened = i
        now, here = duration[order[i]], stratum[order[i]]
        deaths, dead, j = 0, 0.0, i
        while j < n and duration[order[j]] == now and stratum[order[j]] == here:
            p = order[j]
            r = risk[p]
            total += r
            for a in range(q):
                sum_x[a] += r * X[p, a]
            row = above[0]
            for c in range(bins[p]):
                row[c] += r
            if two and treated[p]:
                row = above[1]
                for c in range(bins[p]):
                    row[c] += r
            expected[p] = -r * hazard
            if event[p]:
                deaths += 1
                dead += r
            j += 1
        if deaths > 1:
            dying[:] = 0.0
            dead_x[:] = 0.0
            for k in range(i, j):
                p = order[k]
                if event[p]:
                    r = risk[p]
                    for a in range(q):
                        dead_x[a] += r * X[p, a]
                    for c in range(bins[p]):
                        dying[0, c] += r
                    if two and treated[p]:
                        for c in range(bins[p]):
                            dying[1, c] += r
        spared = 0.0
        for d in range(deaths):
            f = d / deaths
            z = 1.0 / (total - f * dead)
            hazard += z
            spared += f * z
            for a in range(q):
                mean_x[a] = (sum_x[a] - f * dead_x[a]) * z
                for b in range(a + 1):
                    products.null[a, b] += mean_x[a] * mean_x[b]
            for g in range(cuts.n_groups):
                row, gone, out = above[g], dying[g], mean[g]
                if f > 0.0:
                    for c in range(m):
                        out[c] = (row[c] - f * gone[c]) * z
                else:
                    for c in range(m):
                        out[c] = row[c] * z
                for a in range(q):
                    into, x = products.mixed[g, a], mean_x[a]
                    for c in range(m):
                        into[c] += out[c] * x
            first, second = mean[0], mean[1]
            into = products.steps[0]
            for c in range(m):
                into[c] += first[c] * first[c]
            if two:
                into = products.steps[1]
                for c in range(m):
                    into[c] += first[c] * second[c]
                into = products.steps[2]
                for c in range(m):
                    into[c] += second[c] * second[c]
        if deaths > 1:
            for k in range(i, j):
                if event[order[k]]:
                    expected[order[k]] -= risk[order[k]] * spared
        i = j
    for k in range(opened, n):
        expected[order[k]] += risk[order[k]] * hazard


@njit(**_COMPILE)
def _statistics(
    cuts: Cuts, event: Flags, expected: Floats, weight: Floats, products: Products, found: Floats
) -> None:
    """Fill one row of signed statistics; 0 at a cut that leaves a group with too few events."""
    X, bins, treated = cuts.X, cuts.bins, cuts.treated
    n, q = X.shape
    m, groups = cuts.n_cuts, cuts.n_groups
    score, linear = np.zeros((2, m + 1)), np.zeros((2, m + 1))
    deaths = np.zeros((2, m + 1), np.int64)
    mixed = np.zeros((2, q, m + 1))
    score_x, factor = np.zeros(q), np.zeros((q, q))
    for i in range(n):
        gap, w = -expected[i], weight[i]
        if event[i]:
            gap += 1.0
        for g in range(groups):
            if g == 0 or treated[i]:
                score[g, bins[i]] += gap
                linear[g, bins[i]] += w
                deaths[g, bins[i]] += event[i]
                for a in range(q):
                    mixed[g, a, bins[i]] += w * X[i, a]
        for a in range(q):
            score_x[a] += gap * X[i, a]
            for b in range(a + 1):
                factor[a, b] += w * X[i, a] * X[i, b]
    for g in range(groups):
        for c in range(m - 1, -1, -1):
            score[g, c] += score[g, c + 1]
            linear[g, c] += linear[g, c + 1]
            deaths[g, c] += deaths[g, c + 1]
            for a in range(q):
                mixed[g, a, c] += mixed[g, a, c + 1]
    for a in range(q):
        for b in range(a + 1):
            factor[a, b] -= products.null[a, b]
    # Cholesky; a column that depends on those before it explains nothing more.
    for a in range(q):
        whole = factor[a, a]
        for b in range(a):
            value = factor[a, b]
            for k in range(b):
                value -= factor[a, k] * factor[b, k]
            factor[a, b] = value / factor[b, b] if factor[b, b] > 0.0 else 0.0
            factor[a, a] -= factor[a, b] ** 2
        left = factor[a, a]
        factor[a, a] = np.sqrt(left) if left > _LEAST * whole else 0.0
    slope = _forward(factor, score_x)
    part = np.zeros((2, q))
    # Index c + 1 sums the patients above cut c.
    for c in range(m):
        found[c] = 0.0
        if not _enough(deaths, c, groups, cuts.n_events):
            continue
        for g in range(groups):
            column = np.empty(q)
            for a in range(q):
                column[a] = mixed[g, a, c + 1] - products.mixed[g, a, c]
            part[g] = _forward(factor, column)
        whole = linear[0, c + 1] - products.steps[0, c]
        u = score[0, c + 1]
        v = whole
        for a in range(q):
            u -= part[0, a] * slope[a]
            v -= part[0, a] ** 2
        if groups == 2:
            kept_u, kept_v, kept_whole = u, v, whole
            whole = linear[1, c + 1] - products.steps[2, c]
            shared = linear[1, c + 1] - products.steps[1, c]
            u, v = score[1, c + 1], whole
            for a in range(q):
                u -= part[1, a] * slope[a]
                v -= part[1, a] ** 2
                shared -= part[0, a] * part[1, a]
            if kept_v > _LEAST * kept_whole:
                u -= shared / kept_v * kept_u
                v -= shared * shared / kept_v
        if v > _LEAST * whole:
            found[c] = u / np.sqrt(v)


@njit(**_COMPILE)
def _forward(factor: Floats, values: Floats) -> Floats:
    """Solve with the lower factor; dropped columns give 0."""
    q = len(values)
    out = np.zeros(q)
    for a in range(q):
        if factor[a, a] > 0.0:
            value = values[a]
            for b in range(a):
                value -= factor[a, b] * out[b]
            out[a] = value / factor[a, a]
    return out


@njit(**_COMPILE)
def _enough(deaths: Ints, c: int, groups: int, least: int) -> bool:
    """Whether each group that a cut makes has events enough."""
    for g in range(groups):
        high, low = deaths[g, c + 1], deaths[g, 0] - deaths[g, c + 1]
        if g == 0 and groups == 2:  # controls: everybody less the treated
            high -= deaths[1, c + 1]
            low -= deaths[1, 0] - deaths[1, c + 1]
        if high < least or low < least:
            return False
    return True


@njit(**_COMPILE)
def scan_hazards(
    cuts: Cuts,
    order: Ints,
    duration: Floats,
    event: Flags,
    stratum: Ints,
    risk: Floats,
    found: Floats,
) -> None:
    """Fill ``found``, shape (n_replicates, n_cuts), for survival outcomes.

    ``order`` sorts each replicate by stratum, then from the last time to the first; ``risk`` is
    exp(X b) at each replicate's null fit.
    """
    n, q = cuts.X.shape
    products = Products(
        np.zeros((3, cuts.n_cuts)), np.zeros((cuts.n_groups, q, cuts.n_cuts)), np.zeros((q, q))
    )
    expected = np.zeros(n)
    for b in range(len(found)):
        _sweep(order[b], duration[b], event[b], stratum, risk[b], cuts, products, expected)
        _statistics(cuts, event[b], expected, expected, products, found[b])


@njit(**_COMPILE)
def scan_odds(cuts: Cuts, response: Flags, chance: Floats, found: Floats) -> None:
    """Fill ``found``, shape (n_replicates, n_cuts), for responses.

    ``chance`` is the probability of response at each replicate's null fit, intercept among the
    columns.
    """
    q = cuts.X.shape[1]
    products = Products(
        np.zeros((3, cuts.n_cuts)), np.zeros((cuts.n_groups, q, cuts.n_cuts)), np.zeros((q, q))
    )
    for b in range(len(found)):
        weight = chance[b] * (1.0 - chance[b])
        _statistics(cuts, response[b], chance[b], weight, products, found[b])
