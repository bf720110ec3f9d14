"""Numbers known from elsewhere: R's survival 3.5-3 and glm (R 4.2.2), and closed forms.

The R recipe stands beside each number; ``tight`` is ``survreg.control(rel.tolerance=1e-14,
maxiter=200)``.
"""

import numpy as np
import pytest

from biomarker.models import LogisticResponse, WeibullAFT
from biomarker.models.cox_loss import CoxLoss
from biomarker.outcomes import survival_outcome

# Freireich's 6-mercaptopurine trial: 21 on placebo, 9 + 12 on treatment.
_PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
_RELAPSED = [6, 6, 6, 7, 10, 13, 16, 22, 23]
_CENSORED = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]


def _freireich():
    y = survival_outcome(np.repeat([1, 1, 0], [21, 9, 12]), [*_PLACEBO, *_RELAPSED, *_CENSORED])
    return np.repeat([1.0, 0.0], 21)[:, None], y


def _log_time_parameters(model):
    return [model.log_time_intercept_, *model.log_time_coef_, np.exp(-model.log_shape_)]


def test_weibull_reproduces_r_on_freireich():
    """survreg(Surv(time, status) ~ placebo, control = tight)."""
    model = WeibullAFT().fit(*_freireich())
    expected = [3.515686946496, -1.267334587419, 0.732194404084]
    np.testing.assert_allclose(_log_time_parameters(model), expected, rtol=0, atol=1e-7)


def test_weibull_reproduces_r_with_case_weights():
    """survreg(..., weights = ifelse(placebo == 1, 2, 0.5), control = tight)."""
    X, y = _freireich()
    model = WeibullAFT().fit(X, y, sample_weight=np.where(X[:, 0] == 1, 2.0, 0.5))
    expected = [3.514694709489, -1.265619962832, 0.730462840594]
    np.testing.assert_allclose(_log_time_parameters(model), expected, rtol=0, atol=1e-7)


def test_weibull_reproduces_r_with_a_ridge_penalty():
    """survreg(Surv(time, status) ~ ridge(placebo, theta = 3, scale = FALSE), control = tight).

    The arms are equal, so the feature's deviation is 1/2: theta 3 per unit is 12 per deviation.
    """
    model = WeibullAFT(penalty=12.0).fit(*_freireich())
    expected = [3.350218482793, -1.015263986475, 0.709994345876]
    np.testing.assert_allclose(_log_time_parameters(model), expected, rtol=0, atol=1e-6)


def test_weibull_reproduces_r_on_lung():
    """survreg(Surv(time, status) ~ ph.ecog + age + sex, na.omit(lung)), and its quantiles.

    predict(fit, data.frame(ph.ecog = 1, age = 60, sex = 2), "quantile", p = c(.25, .5, .75)).
    """
    from lifelines.datasets import load_lung

    d = load_lung()[["time", "status", "age", "sex", "ph.ecog"]].dropna()
    X = d[["ph.ecog", "age", "sex"]].to_numpy(dtype=float)
    model = WeibullAFT().fit(X, survival_outcome(d["status"], d["time"]))
    expected = [
        6.27343525199845,
        -0.33963809830877,
        -0.00747543940914,
        0.40109054119345,
        0.73110899216463,
    ]
    np.testing.assert_allclose(_log_time_parameters(model), expected, rtol=0, atol=1e-7)
    quantiles = [216.277795711, 411.369147114, 682.837640542]
    survival = model.predict_survival([[1.0, 60.0, 2.0]], quantiles)
    np.testing.assert_allclose(survival, [[0.75, 0.5, 0.25]], rtol=0, atol=1e-8)


def test_weibull_with_late_entry_is_at_the_maximum_of_the_textbook_likelihood():
    """Central differences of the likelihood written with scipy's Weibull are 0 at the fit."""
    from scipy.stats import weibull_min

    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 2))
    time = 10 * np.exp(0.5 * X[:, 0]) * rng.weibull(1.4, 300)
    entry, censoring = rng.uniform(0, 4, 300), rng.uniform(3, 30, 300)
    seen = np.minimum(time, censoring) > entry
    X, entry = X[seen], entry[seen]
    y = survival_outcome((time <= censoring)[seen], np.minimum(time, censoring)[seen])
    model = WeibullAFT().fit(X, y, entry=entry)

    def log_likelihood(theta):
        law = weibull_min(np.exp(theta[3]), scale=np.exp(theta[0] + X @ theta[1:3]))
        own = np.where(y["event"], law.logpdf(y["duration"]), law.logsf(y["duration"]))
        return (own - law.logsf(entry)).sum()

    theta = np.array([model.log_time_intercept_, *model.log_time_coef_, model.log_shape_])
    for j in range(4):
        step = np.zeros(4)
        step[j] = 1e-4
        slope = (log_likelihood(theta + step) - log_likelihood(theta - step)) / 2e-4
        curvature = log_likelihood(theta + step) - 2 * log_likelihood(theta)
        curvature += log_likelihood(theta - step)
        assert abs(slope) < 1e-4
        assert curvature < 0


# Therneau and Grambsch's data set 1.
_Y1 = survival_outcome([1, 0, 1, 1, 0, 1], [1, 1, 6, 6, 8, 9])
_X1 = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("ties", "beta", "at_zero", "at_beta", "hazards"),
    [
        ("breslow", 1.475285, -4.564348, -3.824750, [0.062047, 0.333333, 1.333333]),
        ("efron", 1.676857, -4.276666, -3.358975, [0.052504, 0.365543, 1.365543]),
    ],
)
def test_cox_loss_reproduces_therneaus_first_data_set(ties, beta, at_zero, at_beta, hazards):
    """Log-likelihood, score, information and baseline hazard under both tie methods."""
    loss = CoxLoss(_Y1["duration"], _Y1["event"], np.ones(6), ties)
    assert -loss.value(0 * _X1) == pytest.approx(at_zero, abs=1e-6)
    assert -loss.value(beta * _X1) == pytest.approx(at_beta, abs=1e-6)
    assert loss.gradients(beta * _X1)[0] @ _X1 == pytest.approx(0, abs=1e-6)
    times, jumps = loss.baseline(beta * _X1)
    assert times.tolist() == [1, 6, 9]
    np.testing.assert_allclose(np.cumsum(jumps), hazards, atol=2e-6)


def test_cox_loss_gradient_is_minus_the_martingale_residual_under_breslow():
    """The published Breslow residuals are what boosting fits at the same margins."""
    loss = CoxLoss(_Y1["duration"], _Y1["event"], np.ones(6), "breslow")
    residuals = [0.728714, -0.271286, -0.457427, 0.666667, -0.333333, -0.333333]
    np.testing.assert_allclose(-loss.gradients(1.475285 * _X1)[0], residuals, atol=1e-6)


def test_cox_loss_gradient_is_minus_the_martingale_residual_under_efron():
    """The published Efron residuals, tied deaths included."""
    loss = CoxLoss(_Y1["duration"], _Y1["event"], np.ones(6), "efron")
    residuals = [0.719171, -0.280829, -0.438341, 0.731087, -0.365543, -0.365543]
    np.testing.assert_allclose(-loss.gradients(1.676857 * _X1)[0], residuals, atol=1e-6)


def test_logistic_without_penalty_is_the_log_odds_ratio_of_a_two_by_two_table():
    """Carbonic anhydrase IX high/low by response, 21/20 and 6/19: odds ratio 21*19/(20*6)."""
    X = np.repeat([1.0, 1.0, 0.0, 0.0], [21, 20, 6, 19])[:, None]
    y = np.repeat([True, False, True, False], [21, 20, 6, 19])
    model = LogisticResponse(penalty=0.0).fit(X, y)
    assert model.coef_[0] == pytest.approx(np.log(21 * 19 / (20 * 6)), abs=1e-9)
    np.testing.assert_allclose(model.predict_response([[1.0], [0.0]]), [21 / 41, 6 / 25], rtol=1e-9)


def test_logistic_reproduces_r_on_cars():
    """glm(am ~ wt + hp, binomial, mtcars, control = glm.control(epsilon = 1e-14))."""
    wt = [2.62, 2.875, 2.32, 3.215, 3.44, 3.46, 3.57, 3.19, 3.15, 3.44, 3.44, 4.07, 3.73, 3.78]
    wt += [5.25, 5.424, 5.345, 2.2, 1.615, 1.835, 2.465, 3.52, 3.435, 3.84, 3.845, 1.935, 2.14]
    wt += [1.513, 3.17, 2.77, 3.57, 2.78]
    hp = [110, 110, 93, 110, 175, 105, 245, 62, 95, 123, 123, 180, 180, 180, 205, 215, 230, 66, 52]
    hp += [65, 97, 150, 150, 245, 175, 66, 91, 113, 264, 175, 335, 109]
    am = np.repeat([True, False, True, False, True], [3, 14, 3, 5, 7])
    model = LogisticResponse(penalty=0.0).fit(np.column_stack([wt, hp]), am)
    found = [model.intercept_, *model.coef_]
    expected = [18.8662987172041, -8.0834751824446, 0.0362555960822]
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_penalised_logistic_solves_its_own_score_equations():
    """Score equals penalty times coefficient times the feature's variance; the intercept's is 0."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(120, 3)) * [1.0, 10.0, 0.1] + 5.0
    y = rng.random(120) < 0.3
    weight = rng.uniform(0.5, 2.0, 120)
    model = LogisticResponse(penalty=4.0).fit(X, y, sample_weight=weight)
    residual = weight * (y - model.predict_response(X))
    assert residual.sum() == pytest.approx(0, abs=1e-7)
    variance = np.average((X - model.center_) ** 2, axis=0, weights=weight)
    score = residual @ (X - model.center_)
    np.testing.assert_allclose(score, 4.0 * variance * model.coef_, rtol=1e-5, atol=1e-7)
