"""Matched pairs of treated and control patients, and how far their order agrees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError

__all__ = ["match", "pair_concordance"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

_BLOCK = 2_000_000  # pairs of pairs held at a time


def match(predicted: Floats, one: Ints, none: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Pair the arms by rank of predicted benefit: ties and left-out patients by chance."""
    size = min(len(one), len(none))
    sides = []
    for side in (one, none):
        drawn = rng.permutation(side)[:size]
        sides.append(drawn[np.argsort(predicted[drawn], kind="stable")])
    return sides[0], sides[1]


def pair_concordance(
    predicted: list[Floats], observed: list[Floats], weight: list[Floats]
) -> tuple[float, float]:
    """Weighted concordance over pairs of matched pairs, and its U-statistic variance."""
    parts = [_agreement(*group) for group in zip(predicted, observed, weight, strict=True)]
    agreeing, comparable = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    total, m = float(comparable.sum()), len(comparable)
    if m < 2 or total == 0.0:
        raise NotEstimableError(
            f"matched pairs must differ in observed benefit; got {m} pair(s) of known outcome that "
            "do not."
        )
    value = float(agreeing.sum()) / total
    share = 2.0 * (agreeing - value * comparable) / total
    return value, float((share**2).sum()) * m / (m - 1)


def _agreement(predicted: Floats, observed: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Each pair's weight of agreeing, and of comparable, other pairs of its group."""
    known = weight > 0
    p, o, w = predicted[known], observed[known], weight[known]
    m = len(p)
    agreeing, comparable = np.zeros(m), np.zeros(m)
    step = max(1, _BLOCK // max(1, m))
    for low in range(0, m, step):
        part = slice(low, low + step)
        order = np.sign(o[part, None] - o[None, :])
        both = np.where(order != 0.0, w[part, None] * w[None, :], 0.0)
        right = 0.5 + 0.5 * order * np.sign(p[part, None] - p[None, :])
        comparable[part] = both.sum(axis=1)
        agreeing[part] = (both * right).sum(axis=1)
    return agreeing, comparable
