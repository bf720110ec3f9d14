"""A small estimator that fits in microseconds, so that these tests judge the validation alone."""

from __future__ import annotations

import numpy as np
import pytest

from biomarker.errors import NotEstimableError
from biomarker.outcomes import survival_outcome


class Quick:
    """Mean difference of events and others as coefficients; exponential curves.

    ``shrink`` multiplies the coefficients; ``fails`` raises as an inestimable model would.
    """

    def __init__(self, shrink=1.0, fails=False, seed=0):
        self.shrink, self.fails, self.seed = shrink, fails, seed

    def fit(self, X, y):
        """Learn coefficients and a rate."""
        if self.fails:
            raise NotEstimableError("this setting cannot be estimated.")
        status = y["event"] if y.dtype.names else y
        X = np.nan_to_num(X)
        self.center_ = X.mean(axis=0)
        self.coef_ = self.shrink * (X[status].mean(axis=0) - X[~status].mean(axis=0))
        self.rate_ = status.sum() / y["duration"].sum() if y.dtype.names else status.mean()
        return self

    def predict_risk(self, X):
        """Linear score."""
        return (np.nan_to_num(X) - self.center_) @ self.coef_

    def predict_survival(self, X, times):
        """Exponential curves."""
        hazard = self.rate_ * np.exp(self.predict_risk(X))
        return np.exp(-hazard[:, None] * np.asarray(times))

    def predict_response(self, X):
        """Logistic probabilities."""
        odds = self.rate_ / (1 - self.rate_) * np.exp(self.predict_risk(X))
        return odds / (1 + odds)


def build(params, seed):
    """The estimator that a setting names."""
    return Quick(seed=seed, **params)


@pytest.fixture
def survival_cohort():
    """150 patients, one informative column of three."""
    rng = np.random.default_rng(12)
    X = rng.normal(size=(150, 3))
    t, c = rng.exponential(1 / np.exp(0.9 * X[:, 0])) + 1e-6, rng.uniform(0.3, 3.0, 150)
    return X, survival_outcome(t <= c, np.minimum(t, c))


@pytest.fixture
def response_cohort():
    """120 patients, one informative column of three."""
    rng = np.random.default_rng(13)
    X = rng.normal(size=(120, 3))
    return X, rng.random(120) < 1 / (1 + np.exp(0.5 - 1.2 * X[:, 0]))


@pytest.fixture
def quick():
    """The builder."""
    return build
