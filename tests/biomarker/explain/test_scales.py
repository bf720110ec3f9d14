"""Scales refuse what is no scale; tables of links are as close as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from biomarker import survival_outcome
from biomarker.explain.scales import Scale, predicted, restricted_mean, tabulate
from biomarker.models import BoostedAFT, CoxRegression, WeibullAFT


def rows(n: int = 120) -> tuple[Any, Any]:
    """Two features and an outcome."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 2))
    return X, survival_outcome(rng.random(n) < 0.8, rng.exponential(np.exp(-X[:, 0])) + 0.01)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("hazard", (1.0,), "months"), "kind must be one of"),
        (("survival", (), "months"), "times must be above 0"),
        (("survival", (0.0,), "months"), "times must be above 0"),
        (("restricted mean", (2.0, 1.0), "months"), "rising"),
        (("survival", (np.inf,), "months"), "finite"),
        (("survival", (1.0,)), "unit must name"),
        (("response", (1.0,), "months"), "times must be empty for a response; got 1"),
    ],
)
def test_what_is_no_scale_is_refused(arguments: Any, words: str) -> None:
    """Kinds, times and units."""
    with pytest.raises(ValueError, match=words):
        Scale(*arguments)


@pytest.mark.parametrize("kind", ["survival", "restricted mean"])
@pytest.mark.parametrize("model", [CoxRegression(), WeibullAFT(), BoostedAFT(n_estimators=20)],
                         ids=lambda m: type(m).__name__)  # fmt: skip
def test_a_table_gives_each_patients_own_prediction(model: Any, kind: Any) -> None:
    """Read at a patient's margin, to the closeness the table states."""
    X, y = rows()
    model.fit(X, y)
    scale = Scale(kind, (0.3, 1.0, 2.0), "years")
    margin = model.predict_margin(X)
    table = tabulate(model, scale, margin.min(), margin.max())
    gap = np.abs(table.at(margin) - predicted(model, X, scale)) / scale.size
    assert table.error <= 1e-6
    assert gap.max() <= 4e-6


def test_one_margin_is_table_enough() -> None:
    """Where nothing moves the margin both ends are one."""
    X, y = rows()
    model = CoxRegression().fit(X, y)
    table = tabulate(model, Scale("survival", (1.0,), "years"), 0.5, 0.5)
    assert np.isfinite(table.at(np.array([0.5]))).all()
    with pytest.raises(ValueError, match="low must be at most high"):
        tabulate(model, Scale("survival", (1.0,), "years"), 1.0, 0.5)


def test_a_restricted_mean_is_that_of_a_known_curve() -> None:
    """Exponential survival of rate r: (1 - exp(-r L)) / r."""
    X, y = rows()
    model = WeibullAFT().fit(X, y)
    model.log_shape_ = 0.0
    model._learned(model.log_time_intercept_, model.log_time_coef_, 0.0)
    rate = np.exp(-model.log_time_intercept_ - X @ model.log_time_coef_)
    wanted = (1 - np.exp(-1.5 * rate)) / rate
    np.testing.assert_allclose(restricted_mean(model, X, (1.5,))[:, 0], wanted, rtol=1e-9)
