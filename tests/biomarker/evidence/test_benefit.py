"""Evaluation of predicted benefit: out of fold, against chance, in randomised arms only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.benefit import evaluate_benefit
from biomarker.evidence.benefit_models import BenefitData

Trial = Callable[..., Cohort]
Declared = Callable[..., dict[str, Any]]

FEW = {"n_resamples": 20, "n_null": 20}
NAMES = ("c_for_benefit", "calibration_slope", "in_the_large", "gain_over_all", "gain_over_none")


def test_a_planted_difference_of_benefit_is_found_out_of_fold(trial: Trial) -> None:
    """Order above chance and above its null, size about right, and treating by rule pays."""
    cohort = trial(n=900, predictive=-0.9, seed=3)
    found = evaluate_benefit(cohort, "os", at=1.0, n_resamples=40, n_null=40)
    c = found.c_for_benefit
    assert c.low > 0.5
    assert c.value > c.null_high > c.null_value
    assert c.null_value == pytest.approx(0.5, abs=0.03)
    assert found.calibration_slope.low < 1.0 < found.calibration_slope.high
    assert found.gain_over_all.low > 0.0
    assert found.gain_over_all.value > found.gain_over_all.null_high
    assert 0.3 < found.share_treated < 0.7
    assert found.in_the_large.low < 0.0 < found.in_the_large.high
    for name in NAMES:
        measure = getattr(found, name)
        assert measure.name == name
        assert measure.low < measure.value < measure.high
        assert measure.null_low < measure.null_value < measure.null_high
        assert measure.n_patients == 900
    assert (found.measure, found.unit, found.at) == ("restricted_mean", "months", 1.0)
    assert found.markers == ("m1", "m2")
    assert found.n_treated == found.n_control == 450
    assert found.groups.n_treated.sum() == 450


def test_predictions_are_out_of_fold(trial: Trial) -> None:
    """A procedure that remembers its training patients meets none of them, in any resample."""
    cohort = trial(n=100)
    met = []

    def build(train: BenefitData) -> Any:
        known = set(train.markers[:, 0].tolist())

        def predict(judged: BenefitData) -> np.ndarray:
            met.append(len(known & set(judged.markers[:, 0].tolist())))
            return judged.markers[:, 0]

        return predict

    evaluate_benefit(cohort, "os", build, markers=["m1"], at=0.8, **FEW)
    assert len(met) == 5 * 41
    assert set(met) == {0}


def test_numbers_repeat_and_do_not_depend_on_threads(trial: Trial) -> None:
    """Same seed, same numbers to the last bit; another seed deals other folds."""
    cohort = trial(n=150)
    one, two, other = (
        evaluate_benefit(cohort, "os", at=0.8, threads=t, random_state=s, **FEW)
        for t, s in ((1, 0), (2, 0), (1, 1))
    )
    for name in NAMES:
        assert getattr(one, name) == getattr(two, name)
    assert np.array_equal(one.predictions, two.predictions)
    assert one.c_for_benefit != other.c_for_benefit


def test_given_predictions_are_judged_and_nothing_is_fitted(trial: Trial) -> None:
    """External benefits: metric intervals, a null with the predictions kept, no folds."""
    cohort = trial(n=600, predictive=-0.9, seed=1)
    benefit = cohort.matrix(("m1",))[:, 0] * 0.15
    benefit[:7] = np.nan
    found = evaluate_benefit(cohort, "os", predictions=benefit, at=1.0, n_null=60)
    assert found.external
    assert (found.n_folds, found.n_resamples, found.markers) == (0, 0, ())
    assert found.n_missing == 7
    assert found.n_treated + found.n_control == 593
    assert found.c_for_benefit.low > 0.5
    assert found.c_for_benefit.null_value == pytest.approx(0.5, abs=0.02)
    assert np.array_equal(found.predictions, benefit[7:])


def test_a_response_and_a_horizon_can_be_judged(trial: Trial, declared: Declared) -> None:
    """Benefit as a difference of probabilities, strata and covariates included."""
    study = declared()
    study["columns"]["orr"] = {"role": "endpoint"}
    study["columns"]["site"] = {"role": "stratum", "kind": "categorical", "levels": ["a", "b"]}
    study["endpoints"]["orr"] = {
        "type": "response", "column": "orr", "positive": ["yes"], "negative": ["no"],
    }  # fmt: skip

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        rng = np.random.default_rng(2)
        chance = np.where((frame["arm"] == "drug") & (frame["m1"] > 0), 0.7, 0.2)
        frame["orr"] = np.where(rng.random(len(frame)) < chance, "yes", "no")
        frame["site"] = np.where(np.arange(len(frame)) % 3 == 0, "a", "b")
        return frame

    cohort = trial(study=study, n=400, change=change)
    found = evaluate_benefit(cohort, "orr", threshold=0.1, **FEW)
    assert (found.measure, found.unit, found.threshold) == ("response", "probability", 0.1)
    assert np.isnan(found.at)
    assert found.c_for_benefit.low > 0.5
    assert found.gain_over_none.low > 0.0
    at = evaluate_benefit(cohort, "os", measure="survival", at=0.8, **FEW)
    assert (at.measure, at.unit) == ("survival", "probability")
    assert np.all(np.abs(at.predictions) < 1.0)


def test_one_effect_for_everybody_is_no_finding(trial: Trial) -> None:
    """A strong treatment and a strong prognostic marker: benefits differ, and the null says why."""
    cohort = trial(n=600, prognostic=0.8, treatment=-0.7, seed=4)
    found = evaluate_benefit(cohort, "os", at=1.0, n_resamples=20, n_null=60)
    c = found.c_for_benefit
    assert c.null_value > 0.51
    assert c.null_low < c.value < c.null_high
    gain = found.gain_over_all
    assert gain.null_low <= gain.value <= gain.null_high


def test_arms_that_were_not_randomised_are_refused(trial: Trial, declared: Declared) -> None:
    """Whatever balance looks like; so is one arm."""
    for value in (False, None):
        study = declared()
        study["columns"]["arm"]["randomised"] = value
        if value is None:
            del study["columns"]["arm"]["randomised"]
        with pytest.raises(UsageError, match="randomised"):
            evaluate_benefit(trial(study=study), "os")
    study = declared()
    del study["columns"]["arm"]
    study["single_arm"] = "treated"
    with pytest.raises(UsageError, match="randomised"):
        evaluate_benefit(trial(study=study, change=lambda frame: frame.drop(columns="arm")), "os")


def test_calls_that_mean_nothing_are_refused(trial: Trial) -> None:
    """Limits without support, missing horizons, two sources of predictions, too few draws."""
    cohort = trial(n=80)
    with pytest.raises(UsageError, match="10% of each arm"):
        evaluate_benefit(cohort, "os", at=50.0)
    with pytest.raises(UsageError, match="declared horizon"):
        evaluate_benefit(cohort, "os", measure="survival")
    with pytest.raises(UsageError, match="without build"):
        evaluate_benefit(cohort, "os", predictions=np.zeros(80), markers=["m1"])
    with pytest.raises(UsageError, match="80 finite numbers"):
        evaluate_benefit(cohort, "os", predictions=np.zeros(9))
    with pytest.raises(UsageError, match="at least 20"):
        evaluate_benefit(cohort, "os", n_null=3)
    with pytest.raises(UsageError, match="endpoint must be one of"):
        evaluate_benefit(cohort, "pfs")


def test_a_procedure_that_cannot_be_fitted_is_not_estimable(trial: Trial) -> None:
    """In a fold of the data, and in too many resamples."""

    def never(train: BenefitData) -> Any:
        raise NotEstimableError("never")

    with pytest.raises(NotEstimableError, match="finite fit in each of 5 folds"):
        evaluate_benefit(trial(n=80), "os", never, at=0.5, **FEW)

    def once(train: BenefitData) -> Any:
        # Resamples repeat patients; the data do not.
        if len(np.unique(train.markers[:, 0])) < train.n_patients:
            raise NotEstimableError("only on the data")
        return lambda judged: judged.markers[:, 0]

    with pytest.raises(NotEstimableError, match="90% of resamples"):
        evaluate_benefit(trial(n=80), "os", once, at=0.5, **FEW)


def test_patients_without_a_marker_are_counted_out(trial: Trial) -> None:
    """Of all markers asked for; fewer markers, fewer left out."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame["m1"] = frame["m1"].astype(object)
        frame.loc[:9, "m1"] = ""
        frame.loc[5:19, "m2"] = ""
        return frame

    cohort = trial(n=200, change=change)
    both = evaluate_benefit(cohort, "os", at=0.8, **FEW)
    assert both.n_missing == 20
    assert both.n_treated + both.n_control == 180
    assert evaluate_benefit(cohort, "os", markers=["m1"], at=0.8, **FEW).n_missing == 10
