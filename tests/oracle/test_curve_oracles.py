"""Published and R-computed answers for curves that need no covariate.

Recipe for the numbers marked "R", with R 4.2 and its survival package 3.5-3::

    l <- na.omit(lung[, c("time", "status", "age", "ph.ecog")])          # 227 patients
    f <- survfit(Surv(time, status) ~ 1, l, conf.type = "log-log")
    summary(f, times = c(100, 365, 700)); quantile(f, .5); summary(f, rmean = 500)$table
    summary(survfit(Surv(time, status) ~ 1, l, stype = 2, ctype = 1), times = 365)$cumhaz
    survdiff(Surv(time, status) ~ ph.ecog, l)$chisq
    survdiff(Surv(time, status) ~ sex + strata(ph.ecog), lung)$chisq
    summary(survfit(Surv(time, status) ~ 1, l, weights = age / 60, conf.type = "log-log",
                    robust = FALSE), times = 365)
    summary(survfit(Surv(start, stop, event) ~ 1, heart, conf.type = "log-log", id = NULL),
            times = c(30, 100, 500))
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines.datasets import load_gbsg2, load_lung, load_stanford_heart_transplants

from biomarker.errors import NotEstimableError
from biomarker.outcomes import survival_outcome
from biomarker.survival.curves import (
    at_risk_table,
    kaplan_meier,
    nelson_aalen,
    restricted_mean,
)
from biomarker.survival.log_rank import log_rank

PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
TREATED_EVENTS = [6, 6, 6, 7, 10, 13, 16, 22, 23]
TREATED_CENSORED = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]


@pytest.fixture(scope="module")
def freireich():
    """Remission of 42 children: outcome and arm."""
    duration = PLACEBO + TREATED_EVENTS + TREATED_CENSORED
    event = [1] * 30 + [0] * 12
    return survival_outcome(event, duration), np.array(["placebo"] * 21 + ["6-MP"] * 21)


@pytest.fixture(scope="module")
def lung() -> pd.DataFrame:
    """Lung cancer patients with age and performance status recorded."""
    return load_lung()[["time", "status", "age", "ph.ecog", "sex"]].dropna()


def test_freireich_log_rank_medians_and_restricted_means(freireich):
    """The published answers of the 6-MP trial come out to their last digit."""
    y, arm = freireich
    test = log_rank(y, arm)
    assert test.statistic == pytest.approx(16.792941, abs=1e-6)
    assert test.df == 1
    assert test.p_value == pytest.approx(4.17e-5, rel=2e-3)
    treated, placebo = y[arm == "6-MP"], y[arm == "placebo"]
    assert kaplan_meier(treated).median.value == 23
    assert kaplan_meier(placebo).median.value == 8
    assert restricted_mean(treated, 20).value == pytest.approx(16.116527, abs=1e-6)
    assert restricted_mean(placebo, 20).value == pytest.approx(8.428571, abs=1e-6)


def test_restricted_mean_beyond_support_is_refused(freireich):
    """The treated arm ends censored at 35, so a mean up to 36 is refused."""
    y, arm = freireich
    with pytest.raises(NotEstimableError, match="tau must be at most"):
        restricted_mean(y[arm == "6-MP"], 36)


def test_gbsg2_log_rank_and_medians():
    """Hormone therapy in GBSG2: statistic and medians as published for the data set."""
    frame = load_gbsg2()
    y = survival_outcome(frame["cens"], frame["time"].astype(float))
    assert log_rank(y, frame["horTh"]).statistic == pytest.approx(8.564781, abs=1e-6)
    medians = [kaplan_meier(y[(frame["horTh"] == v).to_numpy()]).median for v in ("no", "yes")]
    assert [m.value for m in medians] == [1528, 2018]
    assert np.isinf(medians[1].high)


def test_lung_curve_interval_median_and_mean(lung):
    """Survival, log-log interval, numbers at risk, median and RMST agree with R."""
    y = survival_outcome(lung["status"], lung["time"].astype(float))
    curve = kaplan_meier(y)
    times = [100, 365, 700]
    low, high = curve.interval_at(times)
    np.testing.assert_allclose(
        curve.survival_at(times), [0.86777499834, 0.41104445100, 0.14301878101], atol=1e-10
    )
    np.testing.assert_allclose(low, [0.8163571134845, 0.3402641704658, 0.0897669205693], atol=1e-10)
    np.testing.assert_allclose(high, [0.905625419329, 0.480367974362, 0.208250625124], atol=1e-10)
    assert at_risk_table(y, times).tolist() == [196, 65, 16]
    assert (curve.median.value, curve.median.low, curve.median.high) == (310, 284, 361)
    mean = restricted_mean(y, 500)
    assert mean.value == pytest.approx(311.3887734479, abs=1e-8)
    assert mean.standard_error == pytest.approx(11.2460197639, abs=1e-8)


def test_lung_hazard_weights_groups_and_strata(lung):
    """Nelson-Aalen, case weights, four groups and a stratified test agree with R."""
    y = survival_outcome(lung["status"], lung["time"].astype(float))
    hazard = nelson_aalen(y)
    at_year = hazard.cumulative_hazard[np.searchsorted(hazard.times, 365, side="right") - 1]
    assert at_year == pytest.approx(0.88393727391, abs=1e-10)
    weighted = kaplan_meier(y, weights=lung["age"] / 60)
    assert weighted.survival_at(365) == pytest.approx(0.403909549555, abs=1e-10)
    low, high = weighted.interval_at(365)
    assert (low, high) == (
        pytest.approx(0.334999341482, abs=1e-10),
        pytest.approx(0.471659232961, abs=1e-10),
    )
    assert log_rank(y, lung["ph.ecog"]).statistic == pytest.approx(21.9621316825, abs=1e-8)
    stratified = log_rank(y, lung["sex"], strata=lung["ph.ecog"])
    assert stratified.statistic == pytest.approx(10.7950596335, abs=1e-8)


def test_late_entry_curve():
    """Start-stop rows of the Stanford heart data give R's left-truncated curve."""
    frame = load_stanford_heart_transplants()
    y = survival_outcome(frame["event"], frame["stop"].astype(float))
    curve = kaplan_meier(y, entry=frame["start"].astype(float))
    times = [30, 100, 500]
    np.testing.assert_allclose(
        curve.survival_at(times), [0.775608159703, 0.494008259840, 0.321224014934], atol=1e-10
    )
    low, high = curve.interval_at(times)
    np.testing.assert_allclose(low, [0.681902732304, 0.392976095517, 0.230480155270], atol=1e-10)
    np.testing.assert_allclose(high, [0.844804398423, 0.587164921777, 0.415307445975], atol=1e-10)
