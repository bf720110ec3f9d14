"""Intervals that count the choosing: limits that are known, and agreement with the p-value."""

from __future__ import annotations

import numpy as np
import pytest

from biomarker.evidence.cut_interval import (
    Alternative,
    accepted_cuts,
    accepted_shifts,
    corrected_p,
    log_ratio_at,
)
from biomarker.evidence.regressions import OddsRegression


def brownian(n_draws: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws and carried effects of a scan over the 10-90% quantiles of a uniform marker."""
    u = np.linspace(0.1, 0.9, 25)
    low, high = np.minimum.outer(u, u), np.maximum.outer(u, u)
    correlation = np.sqrt(low * (1 - high) / (high * (1 - low)))
    root = np.linalg.cholesky(correlation + 1e-10 * np.eye(25))
    draws = np.random.default_rng(seed).normal(size=(n_draws, 25)) @ root.T
    return draws, correlation


def test_one_cut_is_no_choice() -> None:
    """With a single cut the interval is the normal one: z plus and minus 1.96."""
    draws = np.random.default_rng(0).normal(size=(20_000, 1))
    low, high = accepted_shifts(1.0, 0, draws, [Alternative(np.ones(1))], 0.05)
    assert low == pytest.approx(1.0 - 1.96, abs=0.05)
    assert high == pytest.approx(1.0 + 1.96, abs=0.05)


def test_a_chosen_effect_is_drawn_towards_nothing() -> None:
    """The interval reaches further down than the naive one, and hardly further up."""
    draws, carried = brownian()
    low, high = accepted_shifts(3.0, 12, draws, [Alternative(carried[:, 12])], 0.05)
    assert low < 3.0 - 2.2
    assert high < 3.0 + 2.1


def test_far_from_nothing_the_choice_is_settled() -> None:
    """At 12 standard errors the interval is nearly the naive one."""
    draws, carried = brownian()
    low, high = accepted_shifts(12.0, 12, draws, [Alternative(carried[:, 12])], 0.05)
    assert low == pytest.approx(12.0 - 1.96, abs=0.25)
    assert high == pytest.approx(12.0 + 1.96, abs=0.25)


@pytest.mark.parametrize("z", [1.0, 2.0, 2.6, 2.75, 2.9, 3.1, -2.6, -3.1])
def test_the_interval_agrees_with_the_corrected_p(z: float) -> None:
    """It leaves out 0 exactly when the corrected p is below alpha."""
    draws, carried = brownian(999)
    observed = np.zeros(25)
    observed[7] = z
    low, high = accepted_shifts(z, 7, draws, [Alternative(carried[:, 7])], 0.05)
    assert (low > 0 or high < 0) == (corrected_p(observed, draws) < 0.05)


def test_more_shapes_never_narrow() -> None:
    """A shift is kept where any shape keeps it."""
    draws, carried = brownian()
    flat = np.linspace(0.8, 1.0, 25)
    one = accepted_shifts(5.0, 12, draws, [Alternative(carried[:, 12])], 0.05)
    both = accepted_shifts(5.0, 12, draws, [Alternative(carried[:, 12]), Alternative(flat)], 0.05)
    assert both[0] <= one[0] + 1e-3
    assert both[1] >= one[1] - 1e-3


def test_the_mirrored_scan_gives_the_mirrored_interval() -> None:
    """Draws stand with their mirror images, so the sign of an effect cannot matter."""
    draws, carried = brownian()
    up = accepted_shifts(3.0, 5, draws, [Alternative(carried[:, 5])], 0.05)
    down = accepted_shifts(-3.0, 5, draws, [Alternative(carried[:, 5])], 0.05)
    assert up == pytest.approx((-down[1], -down[0]), abs=1e-3)


def test_a_sharp_peak_places_the_cut() -> None:
    """A large effect leaves few cuts; none at all leaves nearly every one."""
    draws, carried = brownian()
    sharp = accepted_cuts(9.0 * carried[:, 12], draws, carried, 0.05)
    assert sharp[12]
    assert sharp.sum() <= 5
    flat = accepted_cuts(np.full(25, 0.5), draws, carried, 0.05)
    assert flat.all()


def test_planted_thresholds_are_held_by_the_cut_s_interval() -> None:
    """At 4 standard errors in the limiting process: at least 93.5%, less 2.5 standard errors."""
    draws, carried = brownian(399)
    rng = np.random.default_rng(4)
    root = np.linalg.cholesky(carried + 1e-10 * np.eye(25))
    held = [
        accepted_cuts(root @ rng.normal(size=25) + 4.0 * carried[:, 9], draws, carried, 0.05)[9]
        for _ in range(300)
    ]
    assert np.mean(held) > 0.935 - 2.5 * np.sqrt(0.935 * 0.065 / 300)


@pytest.mark.parametrize("effect", [0.0, 2.0, 3.5, 6.0])
def test_the_ratio_s_interval_covers_in_the_limiting_process(effect: float) -> None:
    """95% within three standard errors, where the naive one holds as few as 60%."""
    draws, carried = brownian(399, 1)
    rng = np.random.default_rng(8)
    root = np.linalg.cholesky(carried + 1e-10 * np.eye(25))
    held, naive = 0, 0
    for _ in range(200):
        mean = effect * carried[:, 9]
        z = root @ rng.normal(size=25) + mean
        k = int(np.abs(z).argmax())
        low, high = accepted_shifts(z[k], k, draws, [Alternative(carried[:, k])], 0.05)
        held += low <= mean[k] <= high
        naive += abs(z[k] - mean[k]) <= 1.96
    assert held / 200 == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 200))
    assert effect > 0 or naive / 200 < 0.75


def test_ends_are_where_the_likelihood_has_fallen() -> None:
    """Signed root +-1.96 of a 2 x 2 table: the profile likelihood interval of its log odds ratio.

    R: confint(glm(y ~ x, binomial)) for 12/20 against 5/20; here against a direct search.
    """
    x = np.repeat([1.0, 0.0], 20)
    y = np.concatenate([np.arange(20) < 12, np.arange(20) < 5])
    regression = OddsRegression(y)
    fit = regression.fit(x[:, None])
    profile = regression.held(x[:, None], 0, fit.coefficients)
    z = float(np.sqrt(2 * (fit.log_likelihood - profile(0.0))))
    low, high = log_ratio_at(regression, x[:, None], fit, z, (z - 1.96, z + 1.96))
    for end in (low, high):
        assert 2 * (fit.log_likelihood - profile(end)) == pytest.approx(1.96**2, abs=1e-4)
    assert low < fit.coefficients[0] < high
    zero, centre = log_ratio_at(regression, x[:, None], fit, z, (0.0, z))
    assert zero == pytest.approx(0.0, abs=1e-5)
    assert centre == pytest.approx(fit.coefficients[0], abs=1e-9)
