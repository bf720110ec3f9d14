"""The limits of misspecified fits, against closed forms and against large samples."""

import numpy as np
import pytest

from synthetic_data.analyses import cox
from synthetic_data.least_false import cox_limit, logistic_limit


def test_a_true_model_is_returned():
    """With proportional hazards the Cox limit is the log hazard ratio."""
    times = np.linspace(0.0, 3.0, 400)
    x = np.array([[0.0], [1.0]])
    alive = np.exp(-np.exp(0.7 * x) * times)
    at_risk, events = 0.5 * (alive[:, 1:] + alive[:, :-1]), alive[:, :-1] - alive[:, 1:]
    assert cox_limit(x, at_risk, events)[0] == pytest.approx(0.7, abs=1e-4)


def test_an_omitted_covariate_attenuates():
    """Leaving out a strong binary covariate gives what a Cox fit on 400,000 patients gives."""
    rng = np.random.default_rng(1)
    n = 400_000
    x, u = rng.integers(0, 2, n), rng.integers(0, 2, n)
    time = rng.exponential(1.0, n) * np.exp(-(0.8 * x + 1.5 * u))
    seen = np.minimum(time, 2.0)
    beta, se = cox(x.astype(float), seen, time <= 2.0)
    grid = np.linspace(0.0, 2.0, 1601)
    alive = np.stack(
        [
            0.5 * (np.exp(-np.exp(0.8 * g) * grid) + np.exp(-np.exp(0.8 * g + 1.5) * grid))
            for g in (0, 1)
        ]
    )
    limit = cox_limit(
        np.array([[0.0], [1.0]]),
        0.5 * (alive[:, 1:] + alive[:, :-1]),
        alive[:, :-1] - alive[:, 1:],
    )
    assert limit[0] < 0.75
    assert abs(beta[0] - limit[0]) < 4 * se[0]


def test_the_logistic_limit_of_a_saturated_table():
    """Two groups have the log odds and log odds ratio of their counts."""
    beta = logistic_limit(
        np.array([[0.0], [1.0]]), np.array([100.0, 100.0]), np.array([10.0, 30.0])
    )
    assert beta[0] == pytest.approx(np.log(1 / 9))
    assert beta[1] == pytest.approx(np.log(0.3 / 0.7) - np.log(1 / 9))
