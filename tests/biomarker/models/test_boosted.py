"""Boosted survival models: the Cox loss, the margins, the recalibration, and what XGBoost does."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.errors import BundleError, NotEstimableError
from biomarker.models import BoostedAFT, BoostedCox
from biomarker.models.boosting import assign_folds, booster_margin
from biomarker.models.cox_loss import CoxLoss
from biomarker.models.recalibration import (
    AFT_DISTRIBUTIONS,
    HAZARD_KNOTS,
    _standard,
    calibrate_log_odds,
    calibrate_log_time,
    location_scale_hazard,
    observed_hazard,
    recalibrated_survival,
)
from biomarker.outcomes import survival_outcome


def _patients(seed, n=200, decimals=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    time = np.exp(2.5 - 0.8 * X[:, 0] + 0.7 * np.log(rng.exponential(size=n)))
    censoring = rng.uniform(3, 40, n)
    duration = np.maximum(np.round(np.minimum(time, censoring), decimals), 0.5)
    return X, survival_outcome(time <= censoring, duration)


def _fast(cls, **kwargs):
    return cls(n_estimators=25, learning_rate=0.1, **kwargs)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), ties=st.sampled_from(["efron", "breslow"]))
def test_cox_derivatives_agree_with_central_differences(seed, ties):
    """Gradient and Hessian diagonal under heavy ties, weights and censoring."""
    rng = np.random.default_rng(seed)
    n = 14
    loss = CoxLoss(
        rng.integers(1, 5, n).astype(float), rng.random(n) < 0.7, rng.uniform(0.5, 2, n), ties
    )
    margin = rng.normal(size=n)
    gradient, curvature = loss.gradients(margin)
    for i in range(n):
        step = np.zeros(n)
        step[i] = 1e-4
        up, middle, down = (loss.value(margin + k * step) for k in (1, 0, -1))
        assert (up - down) / 2e-4 == pytest.approx(gradient[i], abs=1e-6)
        assert (up - 2 * middle + down) / 1e-8 == pytest.approx(curvature[i], abs=1e-5)
    assert (curvature > 0).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_cox_gradient_follows_its_patients_and_sums_to_zero(seed):
    """Permuting patients permutes the gradient, tied times included."""
    rng = np.random.default_rng(seed)
    time, event = rng.integers(1, 6, 30).astype(float), rng.random(30) < 0.6
    margin, weight, order = rng.normal(size=30), rng.uniform(0.5, 2, 30), rng.permutation(30)
    gradient, curvature = CoxLoss(time, event, weight).gradients(margin)
    moved = CoxLoss(time[order], event[order], weight[order]).gradients(margin[order])
    np.testing.assert_allclose(moved[0], gradient[order], atol=1e-12)
    np.testing.assert_allclose(moved[1], curvature[order], atol=1e-12)
    assert gradient.sum() == pytest.approx(0, abs=1e-10)


def test_cox_loss_does_not_overflow_on_large_margins():
    """Only differences of margins matter, however large the margins are."""
    X, y = _patients(1)
    loss = CoxLoss(y["duration"], y["event"], np.ones(len(X)))
    near, far = loss.gradients(X[:, 0])[0], loss.gradients(X[:, 0] + 5000.0)[0]
    np.testing.assert_allclose(far, near, atol=1e-9)


def test_xgboosts_own_cox_objective_depends_on_row_order_under_ties_and_ours_does_not():
    """The reason for a loss of our own, and its cure."""
    import xgboost

    X, y = _patients(2, n=150)
    label = np.where(y["event"], y["duration"], -y["duration"])
    order = np.random.default_rng(0).permutation(len(X))
    settings = {"objective": "survival:cox", "base_score": 1.0, "nthread": 1, "max_depth": 2}

    def own(rows):
        booster = xgboost.train(settings, xgboost.DMatrix(X[rows], label[rows]), 20)
        return booster.predict(xgboost.DMatrix(X), output_margin=True)

    assert np.abs(own(order) - own(np.arange(len(X)))).max() > 1e-3
    one, other = _fast(BoostedCox).fit(X, y), _fast(BoostedCox).fit(X[order], y[order])
    assert np.array_equal(one.predict_risk(X), other.predict_risk(X))


@pytest.mark.parametrize("cls", [BoostedCox, BoostedAFT])
def test_contributions_sum_to_the_margin(cls):
    """The named margin is what the booster's contributions, bias included, add up to."""
    import xgboost

    X, y = _patients(3)
    model = _fast(cls).fit(X, y)
    parts = model.booster_.predict(xgboost.DMatrix(X.astype(np.float32)), pred_contribs=True)
    summed = model.contribution_sign * parts.sum(axis=1)
    np.testing.assert_allclose(summed, model.predict_margin(X), atol=1e-4)
    assert np.ptp(summed) > 0.5


@pytest.mark.parametrize("cls", [BoostedCox, BoostedAFT])
def test_the_booster_starts_from_margin_zero(cls):
    """The base score is explicit: without trees that split, every margin is 0."""
    X, y = _patients(3)
    model = _fast(cls, min_child_weight=1e6).fit(X, y)
    assert np.abs(model.predict_margin(X)).max() < 0.2
    assert np.ptp(model.predict_margin(X)) == 0


def test_curves_are_those_of_the_population_when_nothing_can_be_learned():
    """Without a split the boosted Cox curve is exp(-Nelson-Aalen) of all patients."""
    X, y = _patients(4)
    curve = _fast(BoostedCox, min_child_weight=1e6).fit(X, y).predict_survival(X[:1], [10.0])
    order = np.argsort(y["duration"], kind="stable")
    time, event = y["duration"][order], y["event"][order]
    hazard = 0.0
    for t in np.unique(time[event & (time <= 10)]):
        deaths, at_risk = int((event & (time == t)).sum()), int((time >= t).sum())
        hazard += sum(1 / (at_risk - k) for k in range(deaths))
    assert curve[0, 0] == pytest.approx(np.exp(-hazard), abs=1e-6)


def test_aft_prediction_is_the_exponential_of_its_margin():
    """XGBoost's AFT predicts times while it explains log times; base score 1 is margin 0."""
    import xgboost

    X, y = _patients(5)
    matrix = xgboost.DMatrix(X, label_lower_bound=y["duration"], label_upper_bound=y["duration"])
    settings = {"objective": "survival:aft", "base_score": 1.0, "nthread": 1}
    booster = xgboost.train(settings, matrix, 5)
    margin = booster.predict(matrix, output_margin=True)
    np.testing.assert_allclose(booster.predict(xgboost.DMatrix(X)), np.exp(margin), rtol=1e-5)
    assert booster_margin(xgboost.train(settings, matrix, 0), X)[0] == 0


@pytest.mark.parametrize("distribution", AFT_DISTRIBUTIONS)
def test_aft_fits_under_every_distribution(distribution):
    """Worse patients get worse curves whatever the loss's distribution."""
    X, y = _patients(6)
    model = _fast(BoostedAFT, distribution=distribution).fit(X, y)
    curves = model.predict_survival([[2.0, 0, 0], [-2.0, 0, 0]], [5.0, 10.0])
    assert (curves[0] < curves[1]).all()


def test_an_unknown_distribution_is_refused():
    """The choices are named."""
    with pytest.raises(ValueError, match="distribution must be one of"):
        BoostedAFT(distribution="cauchy").fit(*_patients(6))


@pytest.mark.parametrize("distribution", AFT_DISTRIBUTIONS)
def test_standard_distributions_agree_with_scipy(distribution):
    """Densities, survivals and their slopes are the textbook's."""
    from scipy import stats

    law = {"normal": stats.norm, "logistic": stats.logistic, "extreme": stats.gumbel_l}
    z = np.linspace(-6, 3, 13)
    density, survival, d_density, d_survival = _standard(z, distribution)
    np.testing.assert_allclose(density, law[distribution].logpdf(z), atol=1e-10)
    np.testing.assert_allclose(survival, law[distribution].logsf(z), atol=1e-10)
    np.testing.assert_allclose(location_scale_hazard(z, distribution), -survival, rtol=1e-12)
    up, down = _standard(z + 1e-6, distribution), _standard(z - 1e-6, distribution)
    np.testing.assert_allclose((up[0] - down[0]) / 2e-6, d_density, atol=1e-5)
    np.testing.assert_allclose((up[1] - down[1]) / 2e-6, d_survival, atol=1e-5)


def test_recalibration_recovers_what_made_the_times():
    """Location, slope and scale of censored log times come back, the right law the likeliest."""
    rng = np.random.default_rng(7)
    margin = rng.normal(size=20_000)
    log_time = 1.0 + 0.6 * margin + 0.5 * rng.logistic(size=20_000)
    censoring = rng.normal(2.0, 1.0, 20_000)
    event, seen = log_time <= censoring, np.minimum(log_time, censoring)
    fits = {
        name: calibrate_log_time(margin, seen, event, np.ones(20_000), name)
        for name in AFT_DISTRIBUTIONS
    }
    assert max(fits, key=lambda name: fits[name][3]) == "logistic"
    np.testing.assert_allclose(fits["logistic"][:3], [1.0, 0.6, np.log(0.5)], atol=0.03)


def test_observed_hazard_is_the_identity_for_a_right_model_and_mends_a_wrong_one():
    """Unit-exponential residuals come back as predicted, their doubles as half the hazard."""
    rng = np.random.default_rng(12)
    draw, censoring = rng.exponential(size=50_000), rng.exponential(2.0, 50_000)
    event, seen, weight = draw <= censoring, np.minimum(draw, censoring), np.ones(50_000)
    low = HAZARD_KNOTS < 3
    right = observed_hazard(seen, event, weight)
    np.testing.assert_allclose(right[low], HAZARD_KNOTS[low], atol=0.06)
    doubled = observed_hazard(2 * seen, event, weight)
    np.testing.assert_allclose(doubled[low], HAZARD_KNOTS[low] / 2, atol=0.03)
    curve = recalibrated_survival(np.array([0.0, 1.0, 2.0, 50.0, np.inf]), doubled)
    np.testing.assert_allclose(curve[:3], np.exp([0.0, -0.5, -1.0]), atol=0.02)
    assert (np.diff(curve) <= 0).all()
    assert curve[-1] == 0


def test_recalibration_never_reverses_the_margin():
    """A margin that ranks backwards gets slope 0, in all three forms."""
    rng = np.random.default_rng(8)
    margin, weight = rng.normal(size=500), np.ones(500)
    event = np.ones(500, dtype=bool)
    log_time = -margin + rng.normal(size=500)
    assert calibrate_log_time(margin, log_time, event, weight, "normal")[1] == 0
    assert CoxLoss(np.exp(log_time), event, weight).slope(-margin) == 0
    assert calibrate_log_odds(margin, rng.random(500) < 1 / (1 + np.exp(margin)), weight)[1] == 0


def test_recalibration_of_a_flat_margin_keeps_slope_one():
    """Where the margin says nothing the prior speaks."""
    _, y = _patients(9)
    flat = np.zeros(len(y))
    assert CoxLoss(y["duration"], y["event"], np.ones(len(y))).slope(flat) == pytest.approx(
        1, abs=1e-5
    )
    assert calibrate_log_odds(flat, y["event"], np.ones(len(y)))[1] == pytest.approx(1, abs=1e-6)


def test_folds_are_even_within_each_stratum():
    """No fold misses its share of the events."""
    stratum = np.r_[np.ones(13, bool), np.zeros(29, bool)]
    fold = assign_folds(stratum, 5, np.random.default_rng(0))
    for value in (True, False):
        counts = np.bincount(fold[stratum == value], minlength=5)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("cls", [BoostedCox, BoostedAFT])
def test_unit_of_time_does_not_matter(cls):
    """Risks are the same in months and in years, and curves follow their times."""
    X, y = _patients(10)
    years = survival_outcome(y["event"], y["duration"] / 12)
    one, other = _fast(cls).fit(X, y), _fast(cls).fit(X, years)
    np.testing.assert_allclose(one.predict_risk(X), other.predict_risk(X), atol=1e-3)
    np.testing.assert_allclose(
        one.predict_survival(X, [6.0, 12.0]), other.predict_survival(X, [0.5, 1.0]), atol=0.02
    )


@pytest.mark.parametrize("cls", [BoostedCox, BoostedAFT])
def test_rows_of_weight_zero_are_as_if_absent(cls):
    """A patient who weighs nothing changes nothing, to the last bit."""
    X, y = _patients(11)
    weight = np.r_[np.zeros(30), np.ones(170)]
    one = _fast(cls).fit(X, y, sample_weight=weight)
    assert np.array_equal(
        one.predict_survival(X, [5.0]), _fast(cls).fit(X[30:], y[30:]).predict_survival(X, [5.0])
    )


@pytest.mark.parametrize("cls", [BoostedCox, BoostedAFT])
def test_fewer_than_six_events_are_not_estimable(cls):
    """Each fold of the calibration needs events of its own; six are enough."""
    X, y = _patients(12)
    y["event"] = np.arange(200) < 5
    with pytest.raises(NotEstimableError, match="at least 6 events; got 5"):
        cls().fit(X, y)
    y["event"] = np.arange(200) < 6
    assert np.isfinite(_fast(cls).fit(X, y).predict_survival(X, [5.0])).all()


@pytest.mark.parametrize(
    "params",
    [
        {"n_estimators": 0},
        {"max_depth": 1.5},
        {"n_threads": True},
        {"random_state": -1},
        {"learning_rate": 0.0},
        {"subsample": 1.5},
        {"min_child_weight": -1.0},
        {"reg_lambda": float("nan")},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(params):
    """The parameter, its rule and the value are in the message."""
    with pytest.raises(ValueError, match=f"{next(iter(params))} must be"):
        BoostedCox(**params).fit(*_patients(13))


def test_features_beyond_single_precision_are_refused():
    """XGBoost stores features in float32: a larger value would become infinite."""
    X, y = _patients(14)
    X[3, 1] = 1e300
    with pytest.raises(ValueError, match="X must stay below"):
        BoostedCox().fit(X, y)


@pytest.mark.parametrize(
    ("cls", "change"),
    [
        (BoostedCox, {"calibration_slope": "1"}),
        (BoostedCox, {"baseline_hazard": [0.0, 0.5, 0.4]}),
        (BoostedCox, {"baseline_hazard": [0.0]}),
        (BoostedCox, {"baseline_times": [0.0]}),
        (BoostedCox, {"baseline_times": [0.0, 2.0, 1.0], "baseline_hazard": [0.0, 0.1, 0.2]}),
        (BoostedCox, {"n_features": 2}),
        (BoostedCox, {"n_features": 3.0}),
        (BoostedCox, {"unknown": 1}),
        (BoostedAFT, {"curve_distribution": "cauchy"}),
        (BoostedAFT, {"log_scale": float("inf")}),
        (BoostedAFT, {"observed_hazard": [0.0, 1.0]}),
        (BoostedAFT, {"calibration_slope": -1.0}),
    ],
)
def test_a_tampered_state_is_refused(cls, change):
    """Wrong kinds, ranges, lengths and unknown keys raise BundleError."""
    state, blobs = _fast(cls).fit(*_patients(15)).to_state()
    with pytest.raises(BundleError):
        cls.from_state({**state, **change}, blobs)


@pytest.mark.parametrize("blobs", [{}, {"other": b""}, {"booster.ubj": b"not a model"}])
def test_missing_or_foreign_booster_bytes_are_refused(blobs):
    """Bytes that are no booster raise BundleError, not a crash."""
    state, _ = _fast(BoostedCox).fit(*_patients(15)).to_state()
    with pytest.raises(BundleError):
        BoostedCox.from_state(state, blobs)


def test_the_state_holds_no_patients_times():
    """No number of the stored state is a duration of the training file."""
    X, y = _patients(16, n=300, decimals=6)
    state = json.loads(json.dumps(_fast(BoostedCox).fit(X, y).to_state()[0]))
    numbers = {*state["baseline_hazard"], *state["baseline_times"], state["margin_center"]}
    assert not numbers & set(y["duration"][y["duration"] > 0.5].tolist())
    assert 100 < len(state["baseline_times"]) < 410
