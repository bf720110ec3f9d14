"""Curves and probabilities mean what they say on patients nobody has seen.

Each case fits several training files of one size and judges each fit on 10,000 new patients whose
uncensored times are known. Limits: mean error in survival, averaged over the files, within 0.02;
the slope of observed on predicted log cumulative hazard (or log odds) between 0.9 and
1.15; mean predicted over observed response between 0.95 and 1.05.
"""

import numpy as np
import pytest

from biomarker.models import BoostedAFT, BoostedCox, BoostedResponse, LogisticResponse, WeibullAFT
from biomarker.models.cox_loss import CoxLoss
from biomarker.outcomes import survival_outcome

N_NEW = 10_000
HORIZONS = np.array([5.0, 15.0, 30.0])


def _eta(X, shape):
    """True log hazard: none, linear, or with a bend and an interaction."""
    if shape == "null":
        return np.zeros(len(X))
    if shape == "linear":
        return 0.5 * X[:, 0] - 0.4 * X[:, 1] + 0.3 * X[:, 2]
    return 0.8 * np.abs(X[:, 0]) - 0.6 * X[:, 1] * (X[:, 2] > 0)


def _draw(n, shape, rng):
    """Features, censored outcomes and the uncensored times behind them."""
    X = rng.normal(size=(n, 8))
    time = 20 * (np.exp(-_eta(X, shape)) * rng.exponential(size=n)) ** 0.8
    censoring = rng.uniform(5, 60, n)
    return X, survival_outcome(time <= censoring, np.minimum(time, censoring)), time


def _slope(log_hazard, time):
    """Cox slope of new patients' times on their predicted log cumulative hazard."""
    from scipy.optimize import minimize_scalar

    loss = CoxLoss(time, np.ones(len(time), dtype=bool), np.ones(len(time)))
    return minimize_scalar(lambda b: loss.value(b * log_hazard), bounds=(-1, 4), method="bounded").x


def _judge(build, shape, n, n_files):
    """Mean error at each horizon and mean slope at 15 over training files of n patients."""
    rng = np.random.default_rng([n, n_files, len(shape)])
    new, _, time = _draw(N_NEW, shape, rng)
    errors, slopes, spreads = [], [], []
    for seed in range(n_files):
        X, y, _ = _draw(n, shape, rng)
        survival = build(seed).fit(X, y).predict_survival(new, HORIZONS)
        errors.append(survival.mean(axis=0) - (time[:, None] > HORIZONS).mean(axis=0))
        spreads.append(survival[:, 1].std())
        hazard = np.log(-np.log(np.clip(survival[:, 1], 1e-12, 1 - 1e-12)))
        slopes.append(_slope(hazard, time) if spreads[-1] > 1e-6 else np.nan)
    return np.mean(errors, axis=0), np.array(slopes), np.array(spreads)


@pytest.mark.slow
@pytest.mark.parametrize("cls", [BoostedCox, BoostedAFT])
@pytest.mark.parametrize("shape", ["linear", "bent"])
def test_boosted_curves_are_calibrated_on_new_patients(cls, shape):
    """Neither too low or high on average, nor too far apart or close together."""
    errors, slopes, spreads = _judge(lambda seed: cls(random_state=seed), shape, 1500, 6)
    assert np.abs(errors).max() < 0.02
    assert 0.9 <= slopes.mean() <= 1.15
    assert spreads.min() > 0.08  # a positive control: the curves do separate patients


@pytest.mark.slow
@pytest.mark.parametrize("cls", [BoostedCox, BoostedAFT])
def test_deep_fast_trees_that_overfit_are_drawn_in(cls):
    """Without the recalibration such trees' curves are far too far apart; with it they are not."""

    def build(seed):
        return cls(
            n_estimators=60,
            max_depth=5,
            learning_rate=0.3,
            min_child_weight=0.5,
            random_state=seed,
        )

    _, slopes, _ = _judge(build, "linear", 600, 4)
    assert 0.8 <= slopes.mean() <= 1.3
    rng = np.random.default_rng(4)
    raw = []
    for seed in range(2):
        X, y, _ = _draw(600, "linear", rng)
        new, _, time = _draw(N_NEW, "linear", rng)
        raw.append(_slope(build(seed).fit(X, y).predict_risk(new), time))
    assert np.mean(raw) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("cls", [BoostedCox, BoostedAFT])
def test_curves_stay_together_when_there_is_nothing_to_learn(cls):
    """On noise the curves differ by a few points at most: the trees' fancies are drawn in."""
    errors, _, spreads = _judge(lambda seed: cls(random_state=seed), "null", 600, 6)
    assert np.abs(errors).max() < 0.03
    assert spreads.mean() < 0.02


@pytest.mark.slow
def test_weibull_curves_are_calibrated_where_the_model_holds():
    """With 8 features and 1,000 patients the slope is within a tenth of 1."""
    errors, slopes, _ = _judge(lambda _: WeibullAFT(), "linear", 1000, 6)
    assert np.abs(errors).max() < 0.02
    assert 0.9 <= slopes.mean() <= 1.1


@pytest.mark.slow
@pytest.mark.parametrize("cls", [LogisticResponse, BoostedResponse])
@pytest.mark.parametrize(("base", "n"), [(-3.5, 4000), (-0.5, 1500)])
def test_response_probabilities_are_calibrated_at_rare_and_common_response(cls, base, n):
    """Mean predicted over observed response is 0.95 to 1.05, and the log odds slope near 1."""
    from scipy.special import expit, logit

    rng = np.random.default_rng(n)

    def draw(size):
        X = rng.normal(size=(size, 8))
        chance = expit(base + _eta(X, "linear" if cls is LogisticResponse else "bent"))
        return X, rng.random(size) < chance, chance

    new, _, chance = draw(2 * N_NEW)
    ratios, slopes = [], []
    for _ in range(6):
        X, y, _ = draw(n)
        # The training file's own share of responders varies: judge against what it showed.
        predicted = cls().fit(X, y).predict_response(new)
        ratios.append(predicted.mean() / chance.mean())
        slopes.append(np.polyfit(logit(predicted), logit(chance), 1)[0])
    assert 0.95 <= np.mean(ratios) <= 1.05
    assert 0.8 <= np.mean(slopes) <= 1.2
