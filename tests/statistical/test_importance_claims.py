"""What an importance plot names, at reduced replication; the full figures are experiment e05.

Bounds are binomial: a rule at its stated rate passes with probability .99 or more, one that is off
by the error named in the test does not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from biomarker.explain.attribution import attribute
from biomarker.explain.controls import null_band
from biomarker.explain.refit_runs import run_block
from biomarker.explain.refits import Block, Refits
from biomarker.features.frozen_column import ColumnPlan
from biomarker.models.pipeline import PipelineBuilder
from biomarker.parsing import ParseRule
from biomarker.resampling import spawn
from experiments.e05_importance.trials import NOISE, PROXIES, noise_trial, proxy_trial

PLANS = tuple(ColumnPlan(ParseRule(f"m{j}", "continuous")) for j in range(4))


def bound(chance, n):
    """Largest count that a true rate gives with probability .995."""
    from scipy.stats import binom

    return int(binom.ppf(0.995, n, chance))


def band_of(seed, effect, n=60, n_permuted=39):
    """A null band of one logistic model at a fixed penalty, two patients in three in one arm."""
    rng = spawn(seed, "band", effect)
    X, arm = rng.normal(size=(n, 4)), (np.arange(n) % 3 == 0).astype(float)
    y = rng.random(n) < 1 / (1 + np.exp(-effect * X[:, 0] - 1.5 * arm))
    build = PipelineBuilder(PLANS, "logistic")
    found = attribute(build({"penalty": 3.0}, 0).fit(X, y), X, n_bootstrap=1, rng=rng)
    plan = Refits.of(found, build, {"penalty": 3.0}, X, y, seed=seed, arm=arm)
    tables = [run_block(plan, Block("permuted", 0, n_permuted))]
    return null_band(plan, found, tables, above_chance=True, alpha=0.1)


@pytest.mark.slow
def test_the_band_is_left_at_its_level_and_a_true_effect_leaves_it():
    """At 10%, gate aside: nulls leave it no more often, nor hardly ever; an effect nearly always.

    A band per column instead of the largest would be left in a third of the nulls.
    """
    n = 150
    nulls = [band_of(seed, 0.0) for seed in range(n)]
    outside = sum(bool(band.shown) for band in nulls)
    assert 3 <= outside <= bound(0.10, n)
    apart = sum(any(u.importance > u.limit for u in band.units) for band in nulls)
    assert apart > bound(0.10, n)
    true = [band_of(seed, 1.8) for seed in range(20)]
    assert sum(("m0",) in band.shown for band in true) >= 18


@pytest.mark.slow
def test_a_model_of_noise_shows_no_driver_and_a_model_of_a_driver_shows_it():
    """The whole rule, nested validation included: at most what 6% allows, and at least 90%."""
    small = replace(NOISE["null-cox"], n=120, n_columns=5, n_repeats=1, n_permuted=39)
    n = 25
    assert sum(noise_trial(small, 77, b)["shown"] for b in range(n)) <= bound(0.06, n)
    driver = replace(small, hazard_ratio=2.5)
    assert sum(noise_trial(driver, 77, b)["true driver shown"] for b in range(6)) >= 5


@pytest.mark.slow
def test_three_proxies_are_one_and_a_lone_driver_keeps_its_name():
    """Correlated at .96 none is ever named; the same rule names a single marker."""
    proxies = replace(PROXIES["proxies-cox"], n_bootstrap=50)
    found = [proxy_trial(proxies, 78, b) for b in range(8)]
    assert not any(f["a single column named first"] for f in found)
    assert all(f["proxies read as one"] and f["they come first"] for f in found)
    assert sum(f["m1 first in one fit"] for f in found) < 8
    single = replace(PROXIES["single-cox"], n_bootstrap=50)
    assert sum(proxy_trial(single, 78, b)["a proxy named first"] for b in range(8)) >= 7
