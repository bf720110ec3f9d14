r"""Intervals that remember that the cut was chosen: for the effect there, and for the cut itself.

The ordinary bootstrap fails for a chosen cut: its distribution jumps between no effect and a
large one, and a change-point is no smooth functional. Both intervals here invert tests instead.
Statistics of redrawn outcomes, shifted by what an effect at one cut adds to the statistic of every
other, stand for outcomes with that effect; the cut is chosen anew in each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from biomarker.evidence.regressions import Fit, Regression

__all__ = ["Alternative", "accepted_cuts", "accepted_shifts", "corrected_p", "log_ratio_at"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_REACH, _STEP, _HALVINGS, _LEVELS = 6.0, 0.25, 12, 10
_TIE = 1e-9


def corrected_p(observed: Floats, draws: Floats) -> float:
    """How often the best cut of a null draw looks at least as good, the data counted among them.

    Parameters
    ----------
    observed : ndarray, shape (n_cuts,)
        Signed statistics.
    draws : ndarray, shape (n_draws, n_cuts)

    Returns
    -------
    float
        (1 + #) / (n_draws + 1).

    Examples
    --------
    >>> corrected_p(np.array([0.5, -2.0]), np.array([[1.0, 2.5], [0.0, 1.0], [-3.0, 0.0]]))
    0.75
    """
    best = np.abs(observed).max()
    reached = np.abs(draws).max(axis=1) >= best - _TIE
    return float((1 + np.count_nonzero(reached)) / (len(draws) + 1))


@dataclass(frozen=True, eq=False)
class Alternative:
    """What statistics look like where there is an effect.

    Attributes
    ----------
    shape : ndarray, shape (n_cuts,)
        Their means, on any scale.
    noise : ndarray, shape (n_draws, n_cuts), or None
        How they vary about them at the effect estimated; as without effect where None.
    elsewhere : ndarray, shape (n_cuts, n_cuts), or None
        Shape that would be supposed, in column k, had cut k been chosen; the same where None.
    """

    shape: Floats
    noise: Floats | None = None
    elsewhere: Floats | None = None


def accepted_shifts(
    z: float, cut: int, draws: Floats, alternatives: Sequence[Alternative], alpha: float
) -> tuple[float, float]:
    r"""Effects at the chosen cut that its statistic does not contradict, in standard errors.

    For an effect of h standard errors at the chosen cut k, statistics are
    :math:`Z_c = N_c + h R_c / R_k` with N noise and R how the effect shows at each cut; the cut is
    chosen by the largest :math:`|Z_c|`, and h is kept where z - h is no rarer than ``alpha`` in
    either direction among the N at the chosen cuts. Noise is that of draws without effect (and
    their mirror images), or of draws with the effect estimated, tails mixed by h / z. At h = 0 that
    is the corrected test itself; far from 0 the choice is settled and N is normal. Between the two
    the effect need not sit where the cut was chosen, which makes rare values rarer than they say:
    the level is prepivoted, replaced by the ``alpha`` quantile of the rarity that draws with an
    effect h would themselves report. With several alternatives h is kept where one keeps it.

    Parameters
    ----------
    z : float
        The largest statistic in size.
    cut : int
        Where it is.
    draws : ndarray, shape (n_draws, n_cuts)
        Without effect.
    alternatives : sequence of Alternative
        A threshold at the chosen cut, a smooth trend.
    alpha : float

    Returns
    -------
    low, high : float

    Notes
    -----
    What is covered is the ratio of the split that was chosen, wherever a threshold really lies.

    References
    ----------
    Beran (1988), JASA 83:687.

    Examples
    --------
    >>> draws = np.random.default_rng(0).standard_normal((4000, 1))
    >>> low, high = accepted_shifts(2.5, 0, draws, [Alternative(np.ones(1))], 0.05)
    >>> round(low, 1), round(high, 1)
    (0.6, 4.4)
    """
    mirrored = np.vstack([draws, -draws])
    usable = [a for a in alternatives if a.shape[cut] != 0.0]
    sizes = np.linspace(0.0, abs(z) + 3.0, _LEVELS)
    levels = [_levels(mirrored, a, cut, sizes, alpha) for a in usable]

    def kept(h: float) -> bool:
        return any(
            rarity(h, alternative) >= np.interp(abs(h), sizes, level) - 1e-12
            for alternative, level in zip(usable, levels, strict=True)
        )

    def rarity(h: float, alternative: Alternative) -> float:
        mean = h * alternative.shape / alternative.shape[cut]
        # Mirrored draws: at h = 0 this is (1 + #) / (n_draws + 1) of the largest size.
        low, high = _tails(mirrored, mean, z - h)
        if alternative.noise is not None:
            weight = min(max(h / z, 0.0), 1.0)
            there = _tails(alternative.noise, mean, z - h)
            low = (1.0 - weight) * low + weight * there[0]
            high = (1.0 - weight) * high + weight * there[1]
        return 2.0 * min(low, high)

    grid = z + np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    inside = [h for h in grid if kept(float(h))]
    if not inside:
        return z, z
    ends = []
    for edge, sign in ((min(inside), -1.0), (max(inside), 1.0)):
        near, far = float(edge), float(edge) + sign * _STEP
        for _ in range(_HALVINGS):
            middle = 0.5 * (near + far)
            near, far = (middle, far) if kept(middle) else (near, middle)
        ends.append(near)
    return ends[0], ends[1]


def _levels(
    mirrored: Floats, alternative: Alternative, cut: int, sizes: Floats, alpha: float
) -> Floats:
    """Rarity below which a share ``alpha`` of draws with each effect would report the truth."""
    levels = np.full(len(sizes), alpha)
    relative = alternative.shape / alternative.shape[cut]
    for s in range(1, len(sizes)):
        mean = sizes[s] * relative
        chosen = np.abs(mirrored + mean).argmax(axis=1)
        rarity = np.ones(len(mirrored))
        for k in np.unique(chosen):
            here = chosen == k
            values = mirrored[here, k]
            supposed = alternative.shape
            if alternative.elsewhere is not None:
                supposed = alternative.elsewhere[:, k]
            if supposed[k] == 0.0:
                continue
            at = np.sort(_at_chosen(mirrored, mean[k] * supposed / supposed[k]))
            low = np.searchsorted(at, values + _TIE, side="right")
            high = len(at) - np.searchsorted(at, values - _TIE, side="left")
            rarity[here] = 2.0 * (1 + np.minimum(low, high)) / (len(at) + 2)
        levels[s] = np.quantile(rarity, alpha)
    return levels


def _at_chosen(noise: Floats, mean: Floats) -> Floats:
    """Noise at the cut that noise and mean together choose."""
    chosen = np.abs(noise + mean).argmax(axis=1)
    found: Floats = noise[np.arange(len(noise)), chosen]
    return found


def _tails(noise: Floats, mean: Floats, value: float) -> tuple[float, float]:
    """Chances that the noise at the chosen cut lies at or below, and at or above, a value."""
    at = _at_chosen(noise, mean)
    low = (1 + np.count_nonzero(at <= value + _TIE)) / (len(noise) + 2)
    high = (1 + np.count_nonzero(at >= value - _TIE)) / (len(noise) + 2)
    return float(low), float(high)


def accepted_cuts(observed: Floats, noise: Floats, carried: Floats, alpha: float) -> Bools:
    r"""Cuts at which a threshold would not be contradicted by how much better the best cut fits.

    Inverts the likelihood ratio of the cut, :math:`\max_c Z_c^2 - Z_k^2`: cut k is kept where this
    is no larger than in ``1 - alpha`` of outcomes with the effect estimated at k. Its limit is not
    chi squared, so its critical value is simulated, cut by cut.

    Parameters
    ----------
    observed : ndarray, shape (n_cuts,)
    noise : ndarray, shape (n_draws, n_cuts)
        Statistics of draws with the estimated effect, less their means.
    carried : ndarray, shape (n_cuts, n_cuts)
    alpha : float

    Returns
    -------
    ndarray of bool, shape (n_cuts,)
        The best cut is always among them.
    """
    best = float((observed**2).max())
    kept = np.zeros(len(observed), dtype=np.bool_)
    for k in range(len(observed)):
        if carried[k, k] <= 0.0:
            kept[k] = True
            continue
        drawn = noise + observed[k] * carried[:, k] / carried[k, k]
        gap = (drawn**2).max(axis=1) - drawn[:, k] ** 2
        reached = 1 + np.count_nonzero(gap >= best - observed[k] ** 2 - _TIE)
        kept[k] = reached / (len(noise) + 1) >= alpha
    return kept


def log_ratio_at(
    regression: Regression, X: Floats, fit: Fit, z: float, shifts: tuple[float, float]
) -> tuple[float, float]:
    """Log ratios of the last column at which the likelihood's signed root has fallen by so much.

    Parameters
    ----------
    regression : Regression
    X : ndarray, shape (n_patients, n_features)
    fit : Fit
        Of all columns.
    z : float
        The statistic of no effect.
    shifts : (float, float)
        From :func:`accepted_shifts`: 0 becomes a log ratio of 0, ``z`` the estimate.

    Returns
    -------
    low, high : float
        Infinite where the likelihood never falls far enough.
    """
    from scipy.optimize import brentq

    column = X.shape[1] - 1
    centre = float(fit.coefficients[column])
    width = math.sqrt(float(fit.covariance[column, column]))
    profile = regression.held(X, column, fit.coefficients)

    @cache
    def root(value: float) -> float:
        fall = max(0.0, 2.0 * (fit.log_likelihood - profile(value)))
        return math.copysign(math.sqrt(fall), centre - value)

    at_zero = root(0.0)
    ends = []
    for shift in shifts:
        wanted = _root_of(z - shift, z, at_zero)
        if wanted == 0.0:
            ends.append(centre)
            continue
        sign = -math.copysign(1.0, wanted)
        near, far = 0.0, abs(wanted) + 0.5
        while far < 200.0 and abs(root(centre + sign * far * width)) < abs(wanted):
            near, far = far, 1.5 * far
        if far >= 200.0:
            ends.append(sign * math.inf)
            continue

        def excess(s: float, sign: float = sign, wanted: float = wanted) -> float:
            return abs(root(centre + sign * s * width)) - abs(wanted)

        ends.append(centre + sign * width * float(brentq(excess, near, far, xtol=1e-6)))
    return ends[0], ends[1]


def _root_of(fall: float, z: float, at_zero: float) -> float:
    """Signed root of the likelihood for a fall of the statistic, which is ``z`` at no effect.

    Score and likelihood measure the distance from the estimate to no effect in slightly different
    steps. Near the estimate they agree, so the difference is taken up in proportion to the way.
    """
    if not at_zero * z > 0:
        return fall
    excess, part = z / at_zero - 1.0, fall / z
    if part <= 0.0:
        return fall
    if part >= 1.0 or abs(excess) < 1e-9:
        return fall * at_zero / z
    # part z = at_zero r (1 + excess r), with r the share of the way.
    share = (math.sqrt(1.0 + 4.0 * excess * part * z / at_zero) - 1.0) / (2.0 * excess)
    return share * at_zero
