"""The likelihood ratio of arm × marker over many trials at once, and its exact critical value.

Plain NumPy, no code shared with the procedure under judgement. Each trial has its own marker,
so the critical value is that of the test over all trials of the design: what a statistician who
knew the true null could use, and nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.e03_power.trials import Design, Trials, draw

__all__ = [
    "alternative",
    "critical_value",
    "likelihood_ratios",
    "rejection_share",
    "weight_of_extremes",
    "without_extremes",
]

Floats = npt.NDArray[np.float64]

_CELLS = 150_000  # patients fitted at a time: arrays that stay in the cache
_STEPS = 40


def likelihood_ratios(trials: Trials) -> Floats:
    """Twice the gain in log partial likelihood from arm × marker, shape (n_trials,).

    Where the likelihood rises without end the value is its limit to rounding.
    """
    size = max(1, _CELLS // trials.arm.shape[1])
    cuts = [slice(k, k + size) for k in range(0, len(trials.arm), size)]
    return np.concatenate([_ratios(_every(trials, lambda part, c=cut: part[c])) for cut in cuts])


def _every(trials: Trials, take: Callable[[Any], Any]) -> Trials:
    """The same of every array of the trials."""
    return Trials(*(take(part) for part in (trials.arm, trials.marker, trials.time, trials.event)))


def _ratios(trials: Trials) -> Floats:
    order = np.argsort(-trials.time, axis=1)
    arm, marker, event = (
        np.take_along_axis(np.asarray(v, dtype=np.float64), order, axis=1)
        for v in (trials.arm, trials.marker, trials.event)
    )
    marker = marker - marker.mean(axis=1, keepdims=True)
    x = np.stack([arm - 0.5, marker, (arm - 0.5) * marker])
    null, start = _maximised(x[:2], event, np.zeros((len(arm), 2)))
    full, _ = _maximised(x, event, np.column_stack([start, np.zeros(len(arm))]))
    return np.maximum(2.0 * (full - null), 0.0)


def _maximised(x: Floats, event: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Maximised log partial likelihood and where, by Newton steps halved until it rises."""
    beta = beta.copy()
    value, step = _parts(x, event, beta)
    best = value.copy()
    open_ = np.arange(len(beta))
    scale = np.ones(len(beta))
    for _ in range(_STEPS):
        if len(open_) == 0:
            break
        trial = beta[open_] + scale[open_, None] * np.clip(step[open_], -2.0, 2.0)
        value, fresh = _parts(x[:, open_], event[open_], trial)
        rises = value >= best[open_] - 1e-10
        gain = value - best[open_]
        up = open_[rises]
        beta[up], best[up], step[up] = trial[rises], value[rises], fresh[rises]
        scale[up], scale[open_[~rises]] = 1.0, scale[open_[~rises]] / 2.0
        open_ = open_[~(rises & (np.abs(gain) < 1e-9)) & (scale[open_] > 1e-9)]
    return best, beta


def _parts(x: Floats, event: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Log-likelihood and Newton step; x of shape (p, n_trials, n_patients), latest time first."""
    eta = np.einsum("pbn,bp->bn", x, beta)
    top = eta.max(axis=1, keepdims=True)
    weight = np.exp(eta - top)
    zero = np.cumsum(weight, axis=1)
    value = (event * (eta - top - np.log(zero))).sum(axis=1)
    p = len(x)
    mean = np.cumsum(weight * x, axis=2) / zero
    score = (event * (x - mean)).sum(axis=2).T
    information = np.empty((len(beta), p, p))
    for i in range(p):
        for j in range(i, p):
            second = np.cumsum(weight * x[i] * x[j], axis=1) / zero
            entry = (event * (second - mean[i] * mean[j])).sum(axis=1)
            information[:, i, j] = information[:, j, i] = entry
    information += 1e-9 * np.eye(p)
    return value, np.linalg.solve(information, score[..., None])[..., 0]


def _blocks(design: Design, n_trials: int, rng: np.random.Generator) -> Iterator[Trials]:
    size = max(1, _CELLS // design.n)
    for begin in range(0, n_trials, size):
        yield draw(design, min(size, n_trials - begin), rng)


def critical_value(design: Design, n_trials: int, rng: np.random.Generator) -> float:
    """95th percentile of the statistic when nothing interacts."""
    null = replace(design, interaction=0.0)
    found = [likelihood_ratios(t) for t in _blocks(null, n_trials, rng)]
    return float(np.quantile(np.concatenate(found), 0.95))


def rejection_share(design: Design, critical: float, n_trials: int, seed: int) -> float:
    """Share of trials beyond the critical value; the same seed draws the same patients."""
    rng = np.random.default_rng(seed)
    return float(
        np.mean(
            np.concatenate(
                [likelihood_ratios(t) > critical for t in _blocks(design, n_trials, rng)]
            )
        )
    )


def without_extremes(trials: Trials, n_out: int) -> Trials:
    """The same trials without the patients whose markers lie furthest out, whatever became of them.

    As the outcome has no part in it, the test of what is left has a null of its own.
    """
    far = np.abs(trials.marker - trials.marker.mean(axis=1, keepdims=True))
    keep = np.sort(np.argsort(-far, axis=1)[:, n_out:], axis=1)
    return _every(trials, lambda part: np.take_along_axis(part, keep, axis=1))


def weight_of_extremes(trials: Trials, n_out: int) -> float:
    """Share of the marker's sum of squares that those patients hold, median over trials."""
    squared = np.sort((trials.marker - trials.marker.mean(axis=1, keepdims=True)) ** 2, axis=1)
    return float(np.median(squared[:, -n_out:].sum(axis=1) / squared.sum(axis=1)))


def alternative(design: Design, critical: float, power: float, n_trials: int, seed: int) -> float:
    """Negative log ratio per marker unit at which the reference has this power, by bisection."""
    weak, strong = 0.0, -3.0
    for _ in range(10):
        middle = (weak + strong) / 2.0
        share = rejection_share(replace(design, interaction=middle), critical, n_trials, seed)
        weak, strong = (middle, strong) if share < power else (weak, middle)
    return (weak + strong) / 2.0
