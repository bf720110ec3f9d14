"""The published analyses against lifelines, SciPy and known answers."""

import numpy as np
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from lifelines.utils import concordance_index
from scipy.stats.contingency import odds_ratio as scipy_odds_ratio

from synthetic_data import analyses as run


@pytest.fixture(scope="module")
def trial():
    """Three groups, a covariate, a third censored, rounded so that ties occur."""
    rng = np.random.default_rng(4)
    group, x = rng.integers(0, 3, 300), rng.standard_normal(300)
    time = rng.exponential(10.0, 300) * np.exp(-0.4 * group - 0.5 * x)
    end = rng.uniform(1, 25, 300)
    return np.round(np.minimum(time, end), 1) + 0.1, time <= end, group, x


def test_curves_and_medians_agree_with_lifelines(trial):
    """Kaplan-Meier steps and median are those of an independent implementation."""
    time, event, _, _ = trial
    fitted = KaplanMeierFitter().fit(time, event)
    times, alive = run.kaplan_meier(time, event)
    np.testing.assert_allclose(alive, fitted.predict(times), atol=1e-12)
    assert run.median_survival(time, event) == fitted.median_survival_time_
    assert run.survival_at(time, event, 5.0) == pytest.approx(float(fitted.predict(5.0)))
    assert run.survival_at(time, event, 0.0) == 1.0
    assert run.median_survival(time, np.zeros(300, dtype=bool)) == np.inf


def test_logrank_agrees_with_lifelines(trial):
    """The three-group log-rank p is that of an independent implementation."""
    time, event, group, _ = trial
    expected = multivariate_logrank_test(time, group, event).p_value
    assert run.logrank_p(time, event, group) == pytest.approx(expected, rel=1e-8)


def test_cox_agrees_with_lifelines_without_ties(trial):
    """Coefficients and standard errors are those of an independent implementation."""
    import pandas as pd

    time, event, group, x = trial
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"t": time + rng.uniform(0, 1e-3, 300), "d": event, "g": group, "x": x})
    fitted = CoxPHFitter().fit(frame, "t", "d", fit_options={"precision": 1e-12})
    beta, se = run.cox(frame[["g", "x"]].to_numpy(), frame["t"].to_numpy(), event)
    np.testing.assert_allclose(beta, fitted.params_, rtol=1e-6)
    np.testing.assert_allclose(se, fitted.standard_errors_, rtol=1e-5)


def test_cox_gives_the_known_breslow_answer():
    """Therneau's data set 1 under Breslow ties."""
    time, event = np.array([1, 1, 6, 6, 8, 9.0]), [1, 0, 1, 1, 0, 1]
    beta, se = run.cox([1, 1, 1, 0, 0, 0], time, event)
    assert beta[0] == pytest.approx(1.475285, abs=1e-6)
    assert se[0] ** -2 == pytest.approx(0.634168, abs=1e-6)


def test_concordance_agrees_with_lifelines(trial):
    """Harrell's C with ties in risk is that of an independent implementation."""
    time, event, group, _ = trial
    expected = concordance_index(time, -group.astype(float), event)
    assert run.concordance(group.astype(float), time, event) == pytest.approx(expected)


def test_tables_agree_with_print_and_scipy():
    """Odds ratios, intervals and tests reproduce published or independent values."""
    assert run.odds_ratio([[21, 20], [6, 19]])[0] == pytest.approx(3.325)
    assert run.fisher_p([[22, 73], [9, 82]]) == pytest.approx(0.0182, abs=5e-5)
    assert run.pearson_p([[33, 123], [19, 131]]) == pytest.approx(0.048, abs=5e-4)
    assert run.hardy_weinberg_chi2([680, 90, 12]) == pytest.approx(17.2, abs=0.05)
    assert run.clopper_pearson(30, 120) == pytest.approx((0.175, 0.337), abs=5e-4)
    assert run.clopper_pearson(0, 10)[0] == 0.0
    tables = np.array([[[10.0, 20.0], [5.0, 25.0]]])
    assert run.mantel_haenszel(tables) == pytest.approx(np.log(10 * 25 / (20 * 5)))
    sample = scipy_odds_ratio([[15, 13], [43, 303]], kind="sample").statistic
    assert run.odds_ratio([[15, 13], [43, 303]])[0] == pytest.approx(sample)
