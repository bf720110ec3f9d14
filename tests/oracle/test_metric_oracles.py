"""Known answers for metrics: published, computed in R, or by scikit-learn.

Recipe for the numbers marked "R", with R 4.2 and its survival package 3.5-3::

    l <- na.omit(lung[, c("time", "status", "age", "ph.ecog")])
    concordance(Surv(time, status) ~ age, l, reverse = TRUE)
    concordance(Surv(time, status) ~ age, l, reverse = TRUE, timewt = "n/G2", ymax = 500)
    x <- (l$age - 62) / 15 + .4 * l$ph.ecog - .6; S <- exp(-exp(x)); h <- 365
    ev <- l$status == 2
    G <- function(t, left) { p <- 1                                   # P(C >= t) or P(C > t)
      for (s in sort(unique(l$time[!ev]))) if ((left && s < t) || (!left && s <= t))
        p <- p * (1 - sum(l$time == s & !ev) / (sum(l$time >= s) - sum(l$time == s & ev))); p }
    w <- ifelse(l$time <= h & ev, 1 / sapply(l$time, G, left = TRUE),
                ifelse(l$time > h, 1 / G(h, FALSE), 0)); D <- as.numeric(l$time <= h & ev)
    glm(D ~ x, family = quasibinomial(link = "cloglog"), weights = w)         # slope
    glm(D ~ 1 + offset(x), family = quasibinomial(link = "cloglog"), weights = w)
    mean(w * D) / mean(1 - S); mean(w * ((l$time > h) - S)^2)
    num <- 0; den <- 0
    for (i in which(D == 1)) for (j in which(l$time > h)) {
      den <- den + w[i]; num <- num + w[i] * ((x[i] > x[j]) + .5 * (x[i] == x[j])) }; num / den
    glm(D ~ qlogis(1 - S), family = binomial)
"""

from __future__ import annotations

import numpy as np
import pytest
from lifelines.datasets import load_lung

from biomarker.errors import NotEstimableError
from biomarker.metrics import (
    brier_score,
    calibration,
    concordance_index,
    log_loss,
    response_brier,
    response_calibration,
    roc_auc,
    time_dependent_auc,
    uno_concordance_index,
)
from biomarker.outcomes import survival_outcome
from biomarker.survival.censoring import ipcw_weights


@pytest.fixture(scope="module")
def lung():
    """Outcome, age, and the log(-log S) of an arbitrary prediction."""
    frame = load_lung()[["time", "status", "age", "ph.ecog"]].dropna()
    y = survival_outcome(frame["status"], frame["time"].astype(float))
    age = frame["age"].to_numpy()
    return y, age, (age - 62) / 15 + 0.4 * frame["ph.ecog"].to_numpy() - 0.6


def test_concordance_micro_case():
    """Three concordant and ten discordant pairs give exactly 3/13."""
    y = survival_outcome([0, 1, 1, 0, 0, 1, 0, 0], [1, 5, 6, 11, 34, 45, 46, 50])
    result = concordance_index(y, [5, 8, 11, 34, 12, 3, 9, 12])
    assert result.value == pytest.approx(3 / 13, abs=1e-12)
    assert result.n_patients == 8


def test_all_censored_is_not_estimable():
    """Without an event no concordance exists, and it is said so."""
    y = survival_outcome([0, 0, 0], [1, 2, 3])
    with pytest.raises(NotEstimableError, match="at least one pair"):
        concordance_index(y, [1, 2, 3])
    with pytest.raises(NotEstimableError):
        uno_concordance_index(y, y, [1, 2, 3], tau=2.5)


def test_concordance_with_ties_agrees_with_r(lung):
    """Harrell's C with tied times and ages, and its standard error to its second order."""
    y, age, _ = lung
    result = concordance_index(y, age)
    assert result.value == pytest.approx(0.551144690959, abs=1e-11)
    # R's infinitesimal jackknife, up to our factor for few events.
    events = int(y["event"].sum())
    expected = 0.0253191168503 * np.sqrt(events / (events - 1))
    assert result.standard_error == pytest.approx(expected, rel=5e-3)


def test_uno_concordance_agrees_with_r(lung):
    """R's "n/G2" weights up to day 500 (inclusive there, so tau lies just beyond)."""
    y, age, _ = lung
    value = uno_concordance_index(y, y, age, tau=500.5).value
    assert value == pytest.approx(0.551048111255, abs=1e-11)


def test_censoring_weights_scores_and_auc_agree_with_r(lung):
    """Weights average one; Brier score and AUC at a year equal the plain sums."""
    y, _, x = lung
    assert ipcw_weights(y, y, 365.0).mean() == pytest.approx(1.0, abs=1e-12)
    brier = brier_score(y, y, np.exp(-np.exp(x)), [365.0])
    assert brier.value[0] == pytest.approx(0.257676463445, abs=1e-11)
    area = time_dependent_auc(y, y, x, [365.0])
    assert area.value[0] == pytest.approx(0.585074132025, abs=1e-11)


def test_survival_calibration_agrees_with_r(lung):
    """Slope, intercept and O:E equal weighted complementary log-log regressions."""
    y, _, x = lung
    result = calibration(y, y, np.exp(-np.exp(x)), 365.0)
    assert result.value == pytest.approx(0.3016213715935, abs=1e-6)
    assert result.intercept.value == pytest.approx(-0.0968597311383, abs=1e-6)
    assert result.observed_expected.value == pytest.approx(1.02862671439, abs=1e-10)


def test_response_calibration_agrees_with_r(lung):
    """The logistic recalibration slope equals glm's."""
    y, _, x = lung
    response = y["event"] & (y["duration"] <= 365)
    result = response_calibration(response, 1 - np.exp(-np.exp(x)))
    assert result.value == pytest.approx(0.3601954955634, abs=1e-8)


def test_response_metrics_agree_with_scikit_learn():
    """AUC with ties, Brier score and log loss equal an independent implementation."""
    from sklearn.metrics import brier_score_loss, roc_auc_score
    from sklearn.metrics import log_loss as reference_log_loss

    rng = np.random.default_rng(11)
    p = np.round(rng.uniform(0.02, 0.98, 300), 2)
    response = rng.random(300) < p
    assert roc_auc(response, p).value == pytest.approx(roc_auc_score(response, p), abs=1e-12)
    brier = response_brier(response, p).value
    assert brier == pytest.approx(brier_score_loss(response, p), abs=1e-12)
    loss = log_loss(response, p).value
    assert loss == pytest.approx(reference_log_loss(response, p), abs=1e-12)
