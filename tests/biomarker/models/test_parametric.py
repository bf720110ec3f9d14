"""The Weibull model: identities, refusals and what it relies on in lifelines."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.errors import BundleError, NotEstimableError
from biomarker.models import WeibullAFT
from biomarker.models.weibull_likelihood import WeibullLikelihood
from biomarker.outcomes import survival_outcome


def _patients(seed, n=120, p=2):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    time = 10 * np.exp(-0.6 * X[:, 0]) * rng.weibull(1.3, n)
    censoring = rng.uniform(2, 30, n)
    return X, survival_outcome(time <= censoring, np.minimum(time, censoring))


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    unit=st.floats(0.01, 400),
    scale=st.floats(0.01, 100),
    shift=st.floats(-50, 50),
)
def test_units_of_time_and_features_do_not_matter(seed, unit, scale, shift):
    """Survival is the same function in days or years, of a marker in any unit."""
    X, y = _patients(seed)
    moved = X * [scale, 1.0] + [shift, 0.0]
    rescaled = survival_outcome(y["event"], y["duration"] * unit)
    one = WeibullAFT(penalty=1.0).fit(X, y)
    other = WeibullAFT(penalty=1.0).fit(moved, rescaled)
    times = np.array([1.0, 5.0, 20.0])
    np.testing.assert_allclose(
        one.predict_survival(X, times), other.predict_survival(moved, times * unit), atol=1e-7
    )
    np.testing.assert_allclose(one.predict_risk(X), other.predict_risk(moved), atol=1e-6)


def test_weight_two_is_the_same_patient_twice():
    """Case weights count patients, with a penalty as without."""
    X, y = _patients(3)
    weight = np.where(np.arange(len(X)) % 3 == 0, 2.0, 1.0)
    rows = np.repeat(np.arange(len(X)), weight.astype(int))
    weighted = WeibullAFT(penalty=2.0).fit(X, y, sample_weight=weight)
    doubled = WeibullAFT(penalty=2.0).fit(X[rows], y[rows])
    np.testing.assert_allclose(weighted.coef_, doubled.coef_, atol=1e-8)
    assert weighted.log_shape_ == pytest.approx(doubled.log_shape_, abs=1e-8)


def test_rows_of_weight_zero_are_as_if_absent():
    """A patient who weighs nothing changes nothing."""
    X, y = _patients(4)
    weight = np.r_[np.zeros(20), np.ones(len(X) - 20)]
    one = WeibullAFT().fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(one.coef_, WeibullAFT().fit(X[20:], y[20:]).coef_, atol=1e-9)


def test_derivatives_agree_with_central_differences():
    """Gradient and Hessian of the likelihood, late entries and penalty included."""
    rng = np.random.default_rng(1)
    X, y = _patients(1, n=40)
    entry = np.where(rng.random(40) < 0.5, 0.3 * y["duration"], 0.0)
    with np.errstate(divide="ignore"):
        log_entry = np.log(entry)
    problem = WeibullLikelihood(
        np.column_stack([np.ones(40), X]),
        np.log(y["duration"]),
        y["event"].astype(float),
        rng.uniform(0.5, 2, 40),
        log_entry,
        0.7,
    )
    theta = np.array([2.0, 0.3, -0.2, 0.4])
    _, gradient, hessian = problem.derivatives(theta)
    for j in range(4):
        step = np.zeros(4)
        step[j] = 1e-5
        up, down = problem.derivatives(theta + step), problem.derivatives(theta - step)
        assert (up[0] - down[0]) / 2e-5 == pytest.approx(gradient[j], rel=1e-6, abs=1e-6)
        np.testing.assert_allclose((up[1] - down[1]) / 2e-5, hessian[j], rtol=1e-5, atol=1e-5)


def test_log_hazard_margin_is_what_the_survival_curves_show():
    """The log ratio of two patients' cumulative hazards is the difference of their margins."""
    X, y = _patients(6)
    model = WeibullAFT().fit(X, y)
    hazard = -np.log(model.predict_survival(X[:2], [3.0, 9.0]))
    margin = model.predict_margin(X[:2])
    np.testing.assert_allclose(np.log(hazard[1] / hazard[0]), margin[1] - margin[0], atol=1e-10)
    assert model.predict_margin(model.center_[None])[0] == pytest.approx(0, abs=1e-12)


def test_survival_starts_at_one():
    """At time 0 everybody is free of the event."""
    X, y = _patients(7)
    assert (WeibullAFT().fit(X, y).predict_survival(X, [0.0]) == 1).all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X: np.column_stack([X, np.full(len(X), 3.0)]), "1 constant"),
        (lambda X: np.column_stack([X, X[:, 0] - 2 * X[:, 1]]), "1 collinear"),
    ],
)
def test_constant_or_collinear_features_are_refused_without_a_penalty(spoil, message):
    """They are named by kind and count, and estimable once a penalty says which answer to take."""
    X, y = _patients(8)
    with pytest.raises(NotEstimableError, match=message):
        WeibullAFT().fit(spoil(X), y)
    assert np.isfinite(WeibullAFT(penalty=1.0).fit(spoil(X), y).coef_).all()


def test_a_constant_feature_has_no_effect_under_a_penalty():
    """Its coefficient is exactly 0, whatever value it takes in a new patient."""
    X, y = _patients(8)
    model = WeibullAFT(penalty=1.0).fit(np.column_stack([X, np.full(len(X), 0.1)]), y)
    assert model.coef_[2] == 0


def test_a_group_without_events_is_not_estimable():
    """Where the likelihood rises for ever the fit says so, and a penalty settles it."""
    y = _patients(9)[1]
    group = np.repeat([0.0, 1.0], 60)
    y["event"][group == 1] = False
    with pytest.raises(NotEstimableError, match=r"keep growing|not converge"):
        WeibullAFT().fit(group[:, None], y)
    assert WeibullAFT(penalty=1.0).fit(group[:, None], y).coef_[0] < -1


def test_as_many_features_as_patients_are_refused_even_with_a_penalty():
    """Met exactly, the times let the shape grow for ever, which no ridge prevents."""
    X, y = _patients(10, n=40, p=39)
    with pytest.raises(NotEstimableError, match="39 features and 40 patients"):
        WeibullAFT(penalty=10.0).fit(X, y)


def test_all_censored_is_not_estimable():
    """Without an event there is no survival model."""
    X, y = _patients(10)
    y["event"] = False
    with pytest.raises(NotEstimableError, match="at least one event"):
        WeibullAFT(penalty=1.0).fit(X, y)


@pytest.mark.parametrize("entry", [np.zeros(3), np.full(120, 1e6), np.full(120, np.nan)])
def test_entry_must_come_before_the_end(entry):
    """Entry of the wrong length, after the duration or missing is refused."""
    X, y = _patients(11)
    with pytest.raises(ValueError, match="entry must"):
        WeibullAFT().fit(X, y, entry=entry)


def test_a_negative_penalty_is_refused():
    """A penalty below 0 has no meaning."""
    with pytest.raises(ValueError, match="penalty must be at least 0; got -1"):
        WeibullAFT(penalty=-1).fit(*_patients(1))


@pytest.mark.parametrize("key", ["coef", "center", "log_shape", "intercept", "params", "format"])
def test_a_state_without_one_of_its_keys_is_refused(key):
    """Each part of the state is required."""
    state, blobs = WeibullAFT().fit(*_patients(12)).to_state()
    del state[key]
    with pytest.raises(BundleError):
        WeibullAFT.from_state(state, blobs)


@pytest.mark.parametrize(
    "change",
    [
        {"coef": [1.0]},
        {"coef": ["1", "2"]},
        {"log_shape": "0.1"},
        {"log_shape": True},
        {"intercept": float("nan")},
        {"params": {"penalty": 1.0, "code": "x"}},
        {"params": {"penalty": [1.0]}},
        {"extra": 1},
        {"format": 2},
        {"class": "CoxRegression"},
    ],
)
def test_a_tampered_state_is_refused(change):
    """Wrong lengths, kinds, unknown keys, other formats and classes raise BundleError."""
    state, blobs = WeibullAFT().fit(*_patients(12)).to_state()
    with pytest.raises(BundleError):
        WeibullAFT.from_state({**state, **change}, blobs)


def test_the_state_holds_coefficients_only():
    """The stored text is as long for 120 patients as for 1,200: no patient is in it."""
    sizes = [
        len(json.dumps(WeibullAFT().fit(*_patients(13, n=n)).to_state()[0])) for n in (120, 1200)
    ]
    assert abs(sizes[0] - sizes[1]) < 20


def test_lifelines_default_stop_is_loose_and_is_refined_here():
    """Lifelines alone leaves a gradient that the refinement removes."""
    import pandas as pd
    from lifelines import WeibullAFTFitter

    X, y = _patients(14, n=400)
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(t=y["duration"], e=y["event"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rough = WeibullAFTFitter().fit(frame, "t", "e").params_["lambda_"][["a", "b"]].to_numpy()
    model = WeibullAFT().fit(X, y)
    np.testing.assert_allclose(model.log_time_coef_, rough, atol=1e-3)
    problem = WeibullLikelihood(
        np.column_stack([np.ones(400), X]),
        np.log(y["duration"]),
        y["event"].astype(float),
        np.ones(400),
        np.full(400, -np.inf),
        0.0,
    )
    theta = np.array([model.log_time_intercept_, *model.log_time_coef_, model.log_shape_])
    assert np.abs(problem.derivatives(theta)[1]).max() < 1e-7


def test_no_warning_escapes_on_fractional_weights():
    """Lifelines' advice on standard errors, which are not used, does not reach the user."""
    X, y = _patients(15)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        WeibullAFT().fit(X, y, sample_weight=np.linspace(0.1, 2, len(X)))
    assert caught == []
