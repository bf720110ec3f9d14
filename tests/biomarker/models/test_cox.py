from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from biomarker.errors import (
    BundleError,
    CohortError,
    NotEstimableError,
    OutcomeError,
    SchemaError,
)
from biomarker.models import CoxRegression
from biomarker.outcomes import SurvivalOutcome, survival_outcome

Floats = npt.NDArray[np.float64]


def cohort(n: int = 200, seed: int = 5) -> tuple[Floats, SurvivalOutcome]:
    """Exponential hazards with log hazard ratios .5 and -.5, times in months."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    latent = 20 * rng.exponential(size=n) * np.exp(-X @ [0.5, -0.5, 0.0])
    censoring = rng.uniform(5, 60, n)
    return X, survival_outcome(latent <= censoring, np.minimum(latent, censoring) + 0.01)


def test_complete_separation_is_not_estimable() -> None:
    """A covariate that orders the deaths perfectly gives an error naming it, not a large number."""
    duration = np.arange(1.0, 21.0)
    noise = np.random.default_rng(0).normal(size=20)
    X = np.column_stack([noise, -duration])
    with pytest.raises(NotEstimableError, match=r"rises without end along .*column 1"):
        CoxRegression().fit(X, survival_outcome(np.ones(20), duration))


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("rounded", [False, True])
def test_level_without_events_is_not_estimable(ties: str, rounded: bool) -> None:
    """One rare level in which nobody died (quasi-separation) is named, and only that one."""
    X, y = cohort()
    level = np.arange(200) % 10 == 3
    event = y["event"] & ~level
    duration = np.ceil(y["duration"] / 6) if rounded else y["duration"]
    table = pd.DataFrame(X, columns=["a", "b", "c"]).assign(rare=level.astype(float))
    with pytest.raises(NotEstimableError, match=r"along column 3 \('rare'\) \(sep"):
        CoxRegression(ties=ties).fit(table, survival_outcome(event, duration))


def test_late_entry_separation_is_not_estimable() -> None:
    """Overlap outside the risk sets does not count: late entry can separate too."""
    X = np.array([[1.0], [0.0], [1.0], [0.0], [0.0], [1.0]])
    y = survival_outcome([1, 0, 1, 0, 1, 0], [1, 2, 3, 4, 5, 6])
    CoxRegression().fit(X, y)
    with pytest.raises(NotEstimableError, match="rises without end"):
        CoxRegression().fit(X, y, entry=[0, 0, 0, 0, 0, 5.5])


def test_large_but_finite_estimate_is_returned() -> None:
    """One overlapping patient in 400 keeps a hazard ratio near 1000 estimable."""
    rng = np.random.default_rng(2)
    early = np.arange(400) % 2 == 0
    duration = np.where(early, rng.random(400) * 0.5, 1 + rng.random(400))
    duration[1] = 1e-3
    model = CoxRegression().fit(
        early[:, None].astype(float), survival_outcome(early | True, duration)
    )
    assert model.converged_
    assert 6 < model.coef_[0] < 9
    assert 0.8 < model.standard_error_[0] < 1.5


def test_penalty_makes_separation_estimable() -> None:
    """With a ridge the same separated covariate has a finite coefficient."""
    duration = np.arange(1.0, 21.0)
    model = CoxRegression(penalty=1.0, standardise=True).fit(
        -duration[:, None], survival_outcome(np.ones(20), duration)
    )
    assert model.converged_
    assert 0 < model.coef_[0] < 2


def test_no_events_is_not_estimable() -> None:
    """All-censored patients, or events of weight zero only, cannot carry a hazard ratio."""
    X, y = cohort()
    with pytest.raises(NotEstimableError, match="at least one event"):
        CoxRegression().fit(X, survival_outcome(np.zeros(200), y["duration"]))
    with pytest.raises(NotEstimableError, match="at least one event"):
        CoxRegression().fit(X, y, sample_weight=np.where(y["event"], 0.0, 1.0))


def test_constant_column_is_named() -> None:
    """A constant column, or one constant within every stratum, is named."""
    X, y = cohort()
    site = np.arange(200) % 2
    with pytest.raises(NotEstimableError, match="column 3"):
        CoxRegression().fit(np.column_stack([X, np.full(200, 0.1)]), y)
    with pytest.raises(NotEstimableError, match="column 3"):
        CoxRegression().fit(np.column_stack([X, site]), y, strata=site)


def test_collinear_column_is_named() -> None:
    """A combination of earlier columns is named; correlation of .9999 is not refused."""
    X, y = cohort()
    with pytest.raises(NotEstimableError, match="column 3 collinear"):
        CoxRegression().fit(np.column_stack([X, X[:, 0] - 2 * X[:, 1] + 5]), y)
    close = X[:, 0] + 0.01 * np.random.default_rng(1).normal(size=200)
    assert CoxRegression().fit(np.column_stack([X, close]), y).converged_


def test_penalised_constant_column_has_coefficient_zero() -> None:
    """A ridge settles what the data cannot: zero for a constant column."""
    X, y = cohort()
    model = CoxRegression(penalty=0.1).fit(np.column_stack([X, np.ones(200)]), y)
    assert model.coef_[3] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    """The message counts them and names the column; it shows no patient value."""
    X, y = cohort()
    X[17, 2] = value
    with pytest.raises(CohortError, match=r"got 1 missing or infinite value\(s\) in .*\[2\]"):
        CoxRegression().fit(X, y)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            {"sample_weight": -np.ones(200)},
            OutcomeError,
            "sample_weight must be at least 0; got 200",
        ),
        ({"sample_weight": np.ones(7)}, OutcomeError, r"sample_weight .* got shape \(7,\)"),
        ({"entry": np.full(200, np.nan)}, OutcomeError, "entry must be finite"),
        (
            {"entry": np.full(200, 1e6)},
            OutcomeError,
            "entry must be before duration; got 200 of 200",
        ),
        ({"strata": np.ones(3)}, CohortError, r"strata .* got shape \(3,\)"),
        ({"strata": np.array([None] * 200)}, CohortError, "200 missing"),
    ],
)
def test_malformed_arguments_are_refused(
    arguments: dict[str, Floats], error: type[Exception], words: str
) -> None:
    """Weights, entries and strata of the wrong shape or range are named in the error."""
    X, y = cohort()
    with pytest.raises(error, match=words):
        CoxRegression().fit(X, y, **arguments)


def test_malformed_tables_are_refused() -> None:
    """Text, one dimension, no columns, and unequal lengths each have their own message."""
    X, y = cohort()
    with pytest.raises(CohortError, match="numbers only"):
        CoxRegression().fit(np.array([["a"]] * 200), y)
    with pytest.raises(CohortError, match="must have shape"):
        CoxRegression().fit(X[:, 0], y)
    with pytest.raises(CohortError, match="must have shape"):
        CoxRegression().fit(X[:, :0], y)
    with pytest.raises(OutcomeError, match=r"one row per row of X; got 200 and 199"):
        CoxRegression().fit(X[1:], y)


@pytest.mark.parametrize(
    "settings",
    [{"ties": "exact"}, {"penalty": -1.0}, {"penalty": np.nan}, {"tol": 0}, {"max_iter": 0}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    """Settings are checked when fitting, as scikit-learn asks."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        CoxRegression(**settings).fit(*cohort())


def test_stopping_early_warns() -> None:
    """A fit cut short says so and is marked as not converged."""
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        model = CoxRegression(max_iter=1).fit(*cohort())
    assert not model.converged_


def test_unfitted_model_refuses_to_predict() -> None:
    """Prediction needs a fit."""
    with pytest.raises(NotFittedError):
        CoxRegression().predict_risk([[1.0]])


def test_clone_and_parameters() -> None:
    """The estimator follows scikit-learn's rules for parameters."""
    model = CoxRegression(ties="breslow", penalty=2.0, standardise=True)
    assert clone(model).get_params() == model.get_params()


def test_columns_are_checked_by_name() -> None:
    """A table with renamed or reordered columns is refused at prediction."""
    X, y = cohort()
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    model = CoxRegression().fit(table, y)
    np.testing.assert_array_equal(model.predict_risk(table), model.predict_risk(X))
    with pytest.raises(SchemaError, match="another order"):
        model.predict_risk(table[["b", "a", "c"]])
    with pytest.raises(SchemaError, match="missing"):
        model.predict_risk(table.rename(columns={"a": "z"}))
    with pytest.raises(SchemaError, match="3 column"):
        model.predict_risk(X[:, :2])


def test_risk_is_log_hazard_and_orders_survival() -> None:
    """Risk is X times the coefficients; survival follows from the baseline at zero."""
    X, y = cohort()
    model = CoxRegression().fit(X, y)
    times = np.array([0.0, 3.0, 12.0, 24.0])
    hazard = model.cumulative_baseline_hazard(times)
    expected = np.exp(-np.exp(X @ model.coef_)[:, None] * hazard)
    np.testing.assert_allclose(model.predict_survival(X, times), expected, atol=1e-12)


def test_far_from_zero_covariates_keep_their_curves() -> None:
    """Calendar years as a covariate put the baseline at zero out of range, not the curves."""
    X, y = cohort()
    far = X.copy()
    far[:, 0] = 1e6 + X[:, 0]
    near, moved = CoxRegression().fit(X, y), CoxRegression().fit(far, y)
    np.testing.assert_allclose(
        moved.predict_survival(far, [6.0, 18.0]), near.predict_survival(X, [6.0, 18.0]), atol=1e-8
    )


def test_strata_have_their_own_baseline() -> None:
    """Each stratum's curve uses its own hazard; unknown and missing strata are refused."""
    X, y = cohort()
    site = np.where(np.arange(200) < 100, "north", "south")
    model = CoxRegression().fit(X, y, strata=site)
    both = model.cumulative_baseline_hazard([6.0, 18.0])
    assert model.strata_.tolist() == ["north", "south"]
    assert both.shape == (2, 2)
    np.testing.assert_array_equal(
        model.cumulative_baseline_hazard([6.0, 18.0], stratum="south"), both[1]
    )
    expected = np.exp(-np.exp(X @ model.coef_) * np.where(site == "north", both[0, 1], both[1, 1]))
    curves = model.predict_survival(X, [18.0], strata=site)
    np.testing.assert_allclose(curves[:, 0], expected, atol=1e-12)
    with pytest.raises(SchemaError, match="strata must be given"):
        model.predict_survival(X, [18.0])
    with pytest.raises(SchemaError, match="200 unknown"):
        model.predict_survival(X, [18.0], strata=np.full(200, "west"))
    with pytest.raises(SchemaError, match="without strata"):
        CoxRegression().fit(X, y).predict_survival(X, [18.0], strata=site)


def test_times_must_be_finite_and_not_negative() -> None:
    """Curves are asked for at real times only."""
    X, y = cohort()
    model = CoxRegression().fit(X, y)
    for times in ([-1.0], [np.nan], 3.0):
        with pytest.raises(OutcomeError, match="times must be"):
            model.predict_survival(X, times)


@pytest.mark.parametrize("strata", [None, np.arange(200) % 3])
def test_state_round_trip(strata: npt.NDArray[np.int64] | None) -> None:
    """A restored model scores alike: risks exactly, curves exactly at round times."""
    X, y = cohort()
    model = CoxRegression(penalty=0.5).fit(
        pd.DataFrame(X, columns=["a", "b", "c"]), y, strata=strata
    )
    state, blobs = model.to_state()
    again = CoxRegression.from_state(json.loads(json.dumps(state)), blobs)
    np.testing.assert_array_equal(again.predict_risk(X), model.predict_risk(X))
    at = [6.0, 12.0, 24.0]
    np.testing.assert_allclose(
        again.predict_survival(X, at, strata), model.predict_survival(X, at, strata), atol=1e-12
    )
    np.testing.assert_array_equal(again.covariance_, model.covariance_)
    assert again.get_params() == model.get_params()
    assert again.feature_names_in_.tolist() == ["a", "b", "c"]
    assert again.log_likelihood_ == model.log_likelihood_
    assert again.to_state() == (state, blobs)


def test_state_keeps_no_patient_time() -> None:
    """No duration of any patient is among the stored numbers, and the grid stays small."""
    X, y = cohort()
    state, blobs = CoxRegression().fit(X, y).to_state()
    stored = np.frombuffer(blobs["baseline_hazard.f64"], dtype="<f8")
    assert len(stored) <= 2 * 401
    assert not np.isin(y["duration"], stored).any()
    assert not any(repr(float(t)) in json.dumps(state) for t in y["duration"])


def test_restored_curves_between_grid_points() -> None:
    """A restored curve is exact at the horizons asked for, and elsewhere within .01."""
    X, y = cohort(1000)
    model = CoxRegression().fit(X, y)
    horizons = [4.321, 18.765]
    again = CoxRegression.from_state(*model.to_state(horizons))
    np.testing.assert_allclose(
        again.predict_survival(X, horizons), model.predict_survival(X, horizons), atol=1e-12
    )
    times = np.linspace(0, 70, 2003)
    typical = X.mean(axis=0, keepdims=True)
    gap = again.predict_survival(typical, times) - model.predict_survival(typical, times)
    assert np.abs(gap).max() < 0.01


def test_foreign_and_damaged_states_are_refused() -> None:
    """Another model, another format, or parts that do not fit together raise one error type."""
    state, blobs = CoxRegression().fit(*cohort()).to_state()
    with pytest.raises(BundleError, match="format"):
        CoxRegression.from_state({**state, "format": 99}, blobs)
    with pytest.raises(BundleError, match="class"):
        CoxRegression.from_state({**state, "class": "Other"}, blobs)
    with pytest.raises(BundleError, match="baseline_hazard.f64"):
        CoxRegression.from_state(state, {})
    with pytest.raises(BundleError, match="fit together"):
        CoxRegression.from_state(state, {"baseline_hazard.f64": b"\0" * 8})
    with pytest.raises(BundleError, match="fit together"):
        CoxRegression.from_state({**state, "center": [0.0]}, blobs)


def test_scoring_loads_no_compiler() -> None:
    """Importing, restoring and predicting load neither numba nor lifelines nor matplotlib."""
    state, blobs = CoxRegression().fit(*cohort()).to_state()
    script = (
        "import json, sys; from biomarker.models.cox import CoxRegression; "
        "state, blob = json.loads(sys.argv[1]), bytes.fromhex(sys.argv[2]); "
        "model = CoxRegression.from_state(state, {'baseline_hazard.f64': blob}); "
        "model.predict_survival([[0.0, 0.0, 0.0]], [12.0]); "
        "print([m for m in ('numba', 'lifelines', 'matplotlib', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(state), blobs["baseline_hazard.f64"].hex()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_refitting_forgets_the_first_fit() -> None:
    """A second fit leaves no column names or strata of the first."""
    X, y = cohort()
    model = CoxRegression().fit(
        pd.DataFrame(X, columns=["a", "b", "c"]), y, strata=np.arange(200) % 2
    )
    model.fit(X, y)
    assert model.strata_ is None
    assert not hasattr(model, "feature_names_in_")


def test_inputs_are_left_alone() -> None:
    """Fitting changes neither X nor y."""
    X, y = cohort()
    X_before, y_before = X.copy(), y.copy()
    CoxRegression().fit(X, y)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)
