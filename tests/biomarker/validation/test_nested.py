from __future__ import annotations

import numpy as np
import pytest

from biomarker import side_by_side
from biomarker.errors import NotEstimableError
from biomarker.metrics import brier_score, roc_auc, uno_concordance_index
from biomarker.outcomes import survival_outcome
from biomarker.survival.censoring import safe_time_grid
from biomarker.validation import nested_cross_validation, select_and_refit


def run(build, cohort, grid=({},), **options):
    """Nested validation with the kind read off the outcome."""
    X, y = cohort
    kind = "survival" if y.dtype.names else "response"
    return nested_cross_validation(build, list(grid), X, y, kind=kind, **options)


def test_every_patient_is_predicted_once_per_repeat(quick, survival_cohort):
    """No prediction is missing, and curves fall from one."""
    result = run(quick, survival_cohort, horizons=[0.5, 1.0])
    assert result.risk.shape == (2, 150)
    assert np.all(np.isfinite(result.risk))
    assert result.survival.shape == (2, 150, 25)
    assert result.horizon_survival.shape == (2, 150, 2)
    assert np.all(np.diff(result.survival, axis=2) <= 0)
    np.testing.assert_array_equal(result.times, safe_time_grid(survival_cohort[1]).times)
    assert result.n_patients == 150


def test_the_model_of_a_fold_never_saw_its_test_patients(quick, response_cohort):
    """Refitting on the training rows alone gives the out-of-fold numbers to the bit."""
    X, y = response_cohort
    result = run(quick, response_cohort)
    for repeat, folds in enumerate(result.folds):
        for train, test in folds:
            again = quick({}, 0).fit(X[train], y[train]).predict_response(X[test])
            np.testing.assert_array_equal(result.response[repeat, test], again)


def test_discrimination_is_averaged_within_folds(quick, survival_cohort):
    """Uno's C is the mean of fold values, never of pooled risks."""
    _, y = survival_cohort
    result = run(quick, survival_cohort)
    values = [
        uno_concordance_index(y[train], y[test], result.risk[r, test], result.tau).value
        for r, folds in enumerate(result.folds)
        for train, test in folds
    ]
    assert result.estimate("uno_concordance_index").value == pytest.approx(np.mean(values))


def test_brier_is_pooled(quick, survival_cohort):
    """The Brier score is that of all out-of-fold probabilities, averaged over repeats."""
    _, y = survival_cohort
    result = run(quick, survival_cohort, horizons=[1.0])
    pooled = [brier_score(y, y, s[:, 0], [1.0]).value[0] for s in result.horizon_survival]
    assert result.estimate("brier_score", 1.0).value == pytest.approx(np.mean(pooled))


def test_workers_do_not_change_the_result(quick, response_cohort, monkeypatch):
    """Two processes give the same numbers and the same fits, in the same order."""
    monkeypatch.setattr(side_by_side, "_WORKERS_PAY_FROM_SECONDS", 0.0)
    seen = ([], [])
    results = [
        run(
            quick,
            response_cohort,
            ({"shrink": 0.5}, {"shrink": 1.0}),
            n_jobs=jobs,
            recorder=lambda params, seed, rows, log=log: log.append((params, seed, rows.tolist())),
        )
        for jobs, log in zip((1, 2), seen, strict=True)
    ]
    np.testing.assert_array_equal(results[0].risk, results[1].risk)
    assert seen[0] == seen[1]
    assert results[0].performance == results[1].performance


def test_recorder_sees_every_fit(quick, survival_cohort):
    """Outer, inner and interval fits are all recorded: 2 x 5 x (1 + 3 x 2) + 5 x 4."""
    calls = []
    grid = ({"shrink": 0.2}, {"shrink": 1.0})
    result = run(quick, survival_cohort, grid, recorder=lambda *call: calls.append(call))
    assert result.n_fits == len(calls) == 2 * 5 * 7 + 20
    assert result.n_failed == 0
    params, seed, rows = calls[0]
    assert params in list(grid)
    assert isinstance(seed, int)
    assert len(rows) < 150


def test_tuning_prefers_calibrated_curves(quick, survival_cohort):
    """Shrinking to nothing, or doubling, loses to the sensible setting in the inner score."""
    grid = ({"shrink": 20.0}, {"shrink": 1.0})
    result = run(quick, survival_cohort, grid)
    assert all(p == {"shrink": 1.0} for folds in result.chosen_params for p in folds)
    assert all(s[1] < s[0] for folds in result.inner_scores for s in folds)


def test_an_inestimable_setting_is_counted_and_passed_over(quick, survival_cohort):
    """Its failures are reported; the other setting serves."""
    result = run(quick, survival_cohort, ({"fails": True}, {"fails": False}))
    assert result.n_failed == 10
    assert all(p == {"fails": False} for folds in result.chosen_params for p in folds)


def test_a_fold_without_any_estimable_setting_is_fatal(quick, survival_cohort):
    """The error counts settings and patients."""
    with pytest.raises(NotEstimableError, match="none"):
        run(quick, survival_cohort, ({"fails": True},))


def test_repeated_rows_of_a_patient_stay_on_one_side(quick, response_cohort):
    """Groups hold in outer folds and in every fit; the interval counts patients, not rows."""
    X, y = response_cohort
    triple = (np.repeat(X, 3, axis=0), np.repeat(y, 3))
    groups = np.repeat(np.arange(120), 3)
    calls = []
    result = run(
        quick,
        triple,
        ({"shrink": 0.5}, {"shrink": 1.0}),
        groups=groups,
        recorder=lambda params, seed, rows: calls.append(rows),
    )
    assert result.n_patients == 120
    for train, test in result.folds[0]:
        assert not set(groups[train]) & set(groups[test])
    assert all(np.all(np.bincount(groups[rows])[np.unique(groups[rows])] == 3) for rows in calls)
    plain = run(quick, response_cohort).estimate("response_brier")
    grouped = result.estimate("response_brier")
    assert grouped.standard_error == pytest.approx(plain.standard_error, rel=0.25)


def test_risk_groups_use_the_training_cuts(quick, survival_cohort):
    """Thirds come from the training patients' risks of the same fit."""
    X, y = survival_cohort
    result = run(quick, survival_cohort, n_repeats=1)
    train, test = result.folds[0][2]
    known = quick({}, 0).fit(X[train], y[train]).predict_risk(X[train])
    np.testing.assert_allclose(result.risk_cuts[0, 2], np.quantile(known, [1 / 3, 2 / 3]))
    expected = (result.risk[0, test][:, None] > result.risk_cuts[0, 2]).sum(axis=1)
    np.testing.assert_array_equal(result.risk_group[0, test], expected)
    assert set(np.unique(result.risk_group)) == {0, 1, 2}


def test_missing_values_reach_the_estimator(quick, response_cohort):
    """NaN is passed through: filling is the estimator's business, inside the fold."""
    X, y = response_cohort
    X = X.copy()
    X[::7, 1] = np.nan
    assert run(quick, (X, y)).estimate("roc_auc").value > 0.6


def test_a_horizon_without_support_is_reported_not_fatal(quick, survival_cohort):
    """Nobody has the event by a tiny horizon: that estimate has a reason, the rest stand."""
    X, y = survival_cohort
    late = survival_outcome(y["event"], y["duration"] + 1.0)
    result = run(quick, (X, late), horizons=[0.5, 1.8])
    gone = result.estimate("calibration_slope", 0.5)
    assert gone.value is None
    assert gone.low is None
    assert "with and without the event" in gone.reason
    assert result.estimate("calibration_slope", 1.8).value is not None


def test_estimates_say_what_they_cover(quick, survival_cohort):
    """Discrimination covers the procedure; calibration in the large the fitted model."""
    result = run(quick, survival_cohort, horizons=[1.0])
    assert "cohorts of 120 patients" in result.estimate("uno_concordance_index").covers
    assert "one model fitted to all" in result.estimate("calibration_intercept", 1.0).covers
    assert result.estimate("ici", 1.0).low is None
    assert "cannot be below 0" in result.estimate("ici", 1.0).covers
    with pytest.raises(KeyError, match="Known metrics"):
        result.estimate("nothing")


def test_leaving_out_training_groups_narrows(quick, response_cohort):
    """Without the jackknife over training patients only the AUC's interval changes."""
    whole, less = (run(quick, response_cohort, n_training_groups=g) for g in (4, 0))
    assert less.n_fits == 10
    assert less.estimate("roc_auc").value == whole.estimate("roc_auc").value
    assert less.estimate("roc_auc").standard_error < whole.estimate("roc_auc").standard_error
    assert less.estimate("log_loss") == whole.estimate("log_loss")


def test_outcomes_without_events_are_refused(quick, response_cohort):
    """One class cannot be validated."""
    X, _ = response_cohort
    with pytest.raises(NotEstimableError, match="got 0 of 120"):
        run(quick, (X, np.zeros(120, dtype=bool)))


def test_progress_counts_folds(quick, response_cohort):
    """The callback is told every finished fold."""
    seen = []
    run(
        quick, response_cohort, n_repeats=1, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(k, 5) for k in range(1, 6)]


def test_final_model_is_tuned_the_same_way(quick, response_cohort):
    """select_and_refit chooses by the inner score and fits all patients."""
    X, y = response_cohort
    calls = []
    tuned = select_and_refit(
        quick,
        [{"shrink": 30.0}, {"shrink": 1.0}],
        X,
        y,
        kind="response",
        recorder=lambda *call: calls.append(call),
    )
    assert tuned.params == {"shrink": 1.0}
    assert len(calls) == len(tuned.calls) == 7
    np.testing.assert_array_equal(calls[-1][2], np.arange(120))
    assert roc_auc(y, tuned.model.predict_response(X)).value > 0.7


def test_an_empty_grid_is_refused(quick, response_cohort):
    """Nothing to fit is a usage error."""
    with pytest.raises(ValueError, match="at least one setting"):
        run(quick, response_cohort, ())
