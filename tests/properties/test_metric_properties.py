"""What must hold for every cohort: orders of rows, units, ties, and brute-force sums."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.metrics import (
    brier_score,
    concordance_index,
    roc_auc,
    time_dependent_auc,
    uno_concordance_index,
)
from biomarker.outcomes import survival_outcome
from biomarker.resampling import make_folds
from biomarker.survival.curves import kaplan_meier, restricted_mean
from biomarker.survival.log_rank import log_rank


@st.composite
def cohorts(draw, minimum=4, maximum=40):
    """A tied cohort with at least one event before its last time, a risk with ties, an rng."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(minimum, maximum))
    duration = rng.integers(1, draw(st.integers(3, 30)), n).astype(float)
    event = rng.random(n) < draw(st.sampled_from([0.3, 0.6, 0.95]))
    duration[0], event[0] = 0.5, True
    return survival_outcome(event, duration), rng.integers(0, 6, n).astype(float), rng


def pairs(y, risk, weight):
    """Weighted concordance by looking at every pair."""
    good = total = 0.0
    for i in range(len(y)):
        for j in range(len(y)):
            earlier = y["duration"][i] < y["duration"][j]
            tied = y["duration"][i] == y["duration"][j] and not y["event"][j]
            if y["event"][i] and (earlier or tied):
                total += weight[i]
                good += weight[i] * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    return good / total


@settings(deadline=None, max_examples=60)
@given(cohorts())
def test_concordance_equals_the_double_loop(cohort):
    """The n log n count agrees with all pairs, ties of both kinds included."""
    y, risk, _ = cohort
    expected = pairs(y, risk, np.ones(len(y)))
    assert abs(concordance_index(y, risk).value - expected) < 1e-12


@settings(deadline=None, max_examples=60)
@given(cohorts())
def test_concordance_is_symmetric_and_rank_based(cohort):
    """Reversing risks gives 1 - C; rows, time unit and monotone scores do not matter."""
    y, risk, rng = cohort
    value = concordance_index(y, risk).value
    assert abs(concordance_index(y, -risk).value - (1 - value)) < 1e-12
    order = rng.permutation(len(y))
    assert abs(concordance_index(y[order], risk[order]).value - value) < 1e-12
    months = survival_outcome(y["event"], y["duration"] * 12)
    assert abs(concordance_index(months, np.exp(risk)).value - value) < 1e-12


@settings(deadline=None, max_examples=40)
@given(cohorts(minimum=8))
def test_influences_sum_to_zero(cohort):
    """Every pair is shared between its two patients, so first-order shares balance."""
    y, risk, _ = cohort
    tau = float(y["duration"].max())
    result = uno_concordance_index(y, y, risk, tau)
    assert abs(result.influence.test.sum()) < 1e-8
    assert abs(result.influence.train.sum()) < 1e-8


@settings(deadline=None, max_examples=40)
@given(cohorts(minimum=8))
def test_metrics_do_not_depend_on_rows_or_time_unit(cohort):
    """Brier score and AUC are the same in months, and in any order of patients."""
    y, risk, rng = cohort
    horizon = 0.75
    if y["duration"].max() <= horizon:
        return
    S = 1 / (1 + np.exp(risk - 3))
    order = rng.permutation(len(y))
    months = survival_outcome(y["event"], y["duration"] * 12)[order]
    score = brier_score(y, y, S, [horizon]).value[0]
    assert abs(brier_score(months, months, S[order], [horizon * 12]).value[0] - score) < 1e-12
    area = time_dependent_auc(y, y, risk, [horizon]).value[0]
    moved = time_dependent_auc(months, months, risk[order], [horizon * 12]).value[0]
    assert abs(moved - area) < 1e-12


@settings(deadline=None, max_examples=40)
@given(cohorts())
def test_curve_identities(cohort):
    """Curves fall, intervals hold them, and time's unit only stretches the mean."""
    y, risk, _ = cohort
    curve = kaplan_meier(y)
    assert np.all(np.diff(curve.survival) <= 1e-15)
    assert np.all((curve.low <= curve.survival + 1e-12) & (curve.survival <= curve.high + 1e-12))
    tau = float(y["duration"].max())
    months = survival_outcome(y["event"], y["duration"] * 12)
    mean, stretched = restricted_mean(y, tau), restricted_mean(months, tau * 12)
    assert abs(stretched.value - 12 * mean.value) < 1e-8
    if len(np.unique(risk > 2)) == 2:
        relabelled = log_rank(months, np.where(risk > 2, "a", "b")).statistic
        assert abs(log_rank(y, risk > 2).statistic - relabelled) < 1e-8


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_auc_of_complement(seed, levels):
    """Swapping responders, or turning the score round, gives 1 - AUC."""
    rng = np.random.default_rng(seed)
    response = np.concatenate([[True, False], rng.random(20) < 0.5])
    score = rng.integers(0, levels, 22).astype(float)
    value = roc_auc(response, score).value
    assert abs(roc_auc(~response, score).value - (1 - value)) < 1e-12
    assert abs(roc_auc(response, -score).value - (1 - value)) < 1e-12


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.booleans())
def test_folds_partition_patients(seed, n_splits, repeated_rows):
    """Every row is tested once, and no patient is on both sides, whatever the groups."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 60))
    groups = rng.integers(0, 12, n) if repeated_rows else np.arange(n)
    if len(np.unique(groups)) < n_splits:
        return
    folds = make_folds(n_splits, groups, rng.random(n) < 0.3, rng)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(n))
    for train, test in folds:
        assert not np.intersect1d(groups[train], groups[test]).size
