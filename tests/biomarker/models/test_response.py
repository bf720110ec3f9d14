"""Response models: identities, refusals and what they rely on in scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.errors import BundleError, NotEstimableError
from biomarker.models import BoostedResponse, LogisticResponse


def _patients(seed, n=150):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, rng.random(n) < 1 / (1 + np.exp(0.5 - 1.2 * X[:, 0]))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    scale=st.floats(0.001, 1000),
    shift=st.floats(-100, 100),
    penalty=st.floats(0.1, 100),
)
def test_units_of_features_do_not_matter(seed, scale, shift, penalty):
    """The penalty acts on standardised features, so a marker's unit changes no probability."""
    X, y = _patients(seed)
    moved = X * [scale, 1, 1] + [shift, 0, 0]
    one, other = LogisticResponse(penalty).fit(X, y), LogisticResponse(penalty).fit(moved, y)
    np.testing.assert_allclose(
        one.predict_response(X), other.predict_response(moved), rtol=1e-6, atol=1e-9
    )


def test_swapping_the_classes_reverses_the_log_odds():
    """Non-response is modelled by the same coefficients with the sign reversed."""
    X, y = _patients(1)
    one, other = LogisticResponse().fit(X, y), LogisticResponse().fit(X, ~y)
    np.testing.assert_allclose(one.predict_margin(X), -other.predict_margin(X), atol=1e-8)


def test_weight_two_is_the_same_patient_twice():
    """Case weights count patients, under the same penalty."""
    X, y = _patients(2)
    weight = np.where(np.arange(len(X)) % 4 == 0, 2.0, 1.0)
    rows = np.repeat(np.arange(len(X)), weight.astype(int))
    weighted = LogisticResponse(3.0).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(
        weighted.coef_, LogisticResponse(3.0).fit(X[rows], y[rows]).coef_, atol=1e-8
    )


def test_margin_is_linear_about_the_centre():
    """Margin is intercept + X @ coef, and the centre is the mean of the training features."""
    X, y = _patients(3)
    model = LogisticResponse().fit(X, y)
    np.testing.assert_allclose(model.predict_margin(X), model.intercept_ + X @ model.coef_)
    np.testing.assert_allclose(model.center_, X.mean(axis=0))


def test_a_strong_penalty_leaves_the_prevalence():
    """Shrunk to nothing, everybody gets the observed share of responders."""
    X, y = _patients(4)
    probability = LogisticResponse(penalty=1e9).fit(X, y).predict_response(X)
    np.testing.assert_allclose(probability, y.mean(), atol=1e-6)


@pytest.mark.parametrize("cls", [LogisticResponse, BoostedResponse])
@pytest.mark.parametrize("value", [True, False])
def test_one_class_is_not_estimable(cls, value):
    """Without both responders and non-responders there is no model."""
    X, _ = _patients(5)
    with pytest.raises(NotEstimableError, match="both responders and non-responders"):
        cls().fit(X, np.full(len(X), value))


@pytest.mark.parametrize("cls", [LogisticResponse, BoostedResponse])
def test_a_response_other_than_yes_or_no_is_refused(cls):
    """0/1 pass; other codes are for the study to declare."""
    X, y = _patients(6)
    with pytest.raises(ValueError, match="booleans or 0/1 only"):
        cls().fit(X, y.astype(int) + 1)
    assert cls().fit(X, y.astype(int)).predict_response(X).shape == y.shape


def test_separated_classes_are_not_estimable_without_a_penalty():
    """Complete separation is reported, never returned as a large coefficient."""
    X, _ = _patients(7)
    with pytest.raises(NotEstimableError, match=r"likelihood must have a maximum"):
        LogisticResponse(penalty=0.0).fit(X, X[:, 0] > 0)
    assert np.isfinite(LogisticResponse(penalty=1.0).fit(X, X[:, 0] > 0).coef_).all()


def test_constant_or_collinear_features_are_refused_without_a_penalty():
    """They are estimable only once a penalty says which answer to take."""
    X, y = _patients(8)
    for spoiled in (np.column_stack([X, np.ones(len(X))]), np.column_stack([X, X[:, 0] + X[:, 1]])):
        with pytest.raises(NotEstimableError, match="independent and not constant"):
            LogisticResponse(penalty=0.0).fit(spoiled, y)
        assert np.isfinite(LogisticResponse().fit(spoiled, y).coef_).all()


def test_scikit_learn_takes_our_parameters_without_a_warning():
    """C alone means an L2 penalty, and infinite C none, in the installed release."""
    from sklearn.linear_model import LogisticRegression

    X, y = _patients(9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shrunk = LogisticRegression(C=0.01, solver="newton-cholesky").fit(X, y).coef_
        free = LogisticRegression(C=np.inf, solver="newton-cholesky").fit(X, y).coef_
    assert np.linalg.norm(shrunk) < 0.5 * np.linalg.norm(free)


def test_boosted_contributions_sum_to_the_margin():
    """Log odds contributions, prevalence included, add up to the margin."""
    import xgboost

    X, y = _patients(10, n=400)
    model = BoostedResponse(n_estimators=30).fit(X, y)
    parts = model.booster_.predict(xgboost.DMatrix(X.astype(np.float32)), pred_contribs=True)
    np.testing.assert_allclose(parts.sum(axis=1), model.predict_margin(X), atol=1e-4)


def test_boosting_starts_from_the_prevalence():
    """Where no tree can split, margin and probability are those of the whole sample."""
    X, y = _patients(11)
    model = BoostedResponse(min_child_weight=1e6).fit(X, y)
    np.testing.assert_allclose(model.predict_response(X), y.mean(), atol=1e-6)
    np.testing.assert_allclose(
        model.predict_margin(X), np.log(y.mean() / (1 - y.mean())), atol=1e-5
    )


def test_few_responders_are_refused_by_the_boosted_model():
    """Each fold of the calibration needs both classes."""
    X, _ = _patients(12)
    with pytest.raises(NotEstimableError, match="at least 6 responders"):
        BoostedResponse().fit(X, np.arange(len(X)) < 5)
    assert BoostedResponse().fit(X, np.arange(len(X)) < 6).calibration_slope_ >= 0


@pytest.mark.parametrize(
    ("cls", "change"),
    [
        (LogisticResponse, {"coef": [1.0]}),
        (LogisticResponse, {"center": None}),
        (LogisticResponse, {"intercept": "0"}),
        (LogisticResponse, {"class": "BoostedResponse"}),
        (BoostedResponse, {"calibration_intercept": None}),
        (BoostedResponse, {"format": 9}),
    ],
)
def test_a_tampered_state_is_refused(cls, change):
    """Wrong kinds, lengths, classes and formats raise BundleError."""
    state, blobs = cls().fit(*_patients(13)).to_state()
    with pytest.raises(BundleError):
        cls.from_state({**state, **change}, blobs)
