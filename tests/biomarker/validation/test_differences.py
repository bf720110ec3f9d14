import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biomarker.errors import NotEstimableError
from biomarker.validation.differences import (
    MetricNoise,
    independent_change,
    metric_change,
    metric_noise,
    paired_change,
    patient_parts,
)
from biomarker.validation.performance import PerformanceEstimate

SHARES = (0.01, -0.02, 0.01, 0.02, -0.02)
MOVED = (0.02, -0.02, 0.01, 0.02, -0.03)
TRAINED = (0.70, 0.70, 0.70, 0.70)
A = MetricNoise(0.70, 0.64, 0.76, SHARES, (0.69, 0.71), TRAINED)
B = MetricNoise(0.67, 0.61, 0.73, MOVED, (0.65, 0.69), (0.66, 0.66, 0.68, 0.68))


def test_the_variance_is_the_sum_of_three_known_parts():
    """Patients .00025, splits .0001, training .0003.

    R: v <- c(.00025, .0001, .0003); df <- sum(v)^2 / sum(v^2 / c(4, 1, 3))
       2 * pt(-.03 / sqrt(sum(v)), df)
    """
    change = paired_change(A, B, same_splits=True)
    assert change.standard_error**2 == pytest.approx(0.00065, abs=1e-12)
    freedom = 0.00065**2 / (0.00025**2 / 4 + 0.0001**2 / 1 + 0.0003**2 / 3)
    assert change.degrees_of_freedom == pytest.approx(freedom)
    assert change.p_value == pytest.approx(2 * stats.t.sf(0.03 / math.sqrt(0.00065), freedom))
    assert change.pairing == "same patients and splits"


def test_other_splits_add_up_instead_of_cancelling():
    """Each run's own spread of repeats (.0001, .0004) and of training parts (0, .0003) counts."""
    change = paired_change(A, B, same_splits=False)
    assert change.standard_error**2 == pytest.approx(0.00025 + 0.0001 + 0.0004 + 0.0003)
    assert change.pairing == "same patients"


def test_a_pooled_metric_pays_for_the_overlap_of_training_folds():
    """Without training parts the patients' variance is taken 1 + n / n_train times."""
    a, b = (MetricNoise(m.value, m.low, m.high, m.by_patients, (0.7, 0.7)) for m in (A, B))
    change = paired_change(a, b, same_splits=True)
    assert change.standard_error**2 == pytest.approx(0.00025 * (1 + 1 / 0.8))


def test_for_a_mean_it_is_the_paired_t_test_of_the_parts():
    """A metric that is a mean over patients, split into equal parts: scipy's ttest_rel."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=60), rng.normal(0.3, size=60)
    parts = np.arange(60) % 6
    zeros = (0.0, 0.0, 0.0)
    a, b = (
        MetricNoise(
            v.mean(), -1.0, 1.0, tuple(np.bincount(parts, (v - v.mean()) / 60)), (0.0, 0.0), zeros
        )
        for v in (x, y)
    )
    change = paired_change(a, b, same_splits=True)
    means = [np.bincount(parts, v) / 10 for v in (x, y)]
    known = stats.ttest_rel(means[1], means[0])
    assert change.p_value == pytest.approx(known.pvalue)
    known_interval = known.confidence_interval()
    assert (change.low, change.high) == pytest.approx((known_interval.low, known_interval.high))


def test_two_intervals_give_the_two_sample_z_test():
    """Half-widths of 1.96 standard errors .02 and .03."""
    z = stats.norm.ppf(0.975)
    a = MetricNoise(0.7, 0.7 - 0.02 * z, 0.7 + 0.02 * z)
    b = MetricNoise(0.6, 0.6 - 0.03 * z, 0.6 + 0.03 * z)
    change = independent_change(a, b)
    assert change.standard_error == pytest.approx(math.hypot(0.02, 0.03))
    assert change.p_value == pytest.approx(2 * stats.norm.sf(0.1 / math.hypot(0.02, 0.03)))


def test_a_comparison_that_cannot_be_paired_falls_back_and_says_so():
    """One repeat, other parts or other patients: the bound from the intervals."""
    once = MetricNoise(0.7, 0.6, 0.8, SHARES, (0.7,))
    with pytest.raises(NotEstimableError, match="two repeats or more"):
        paired_change(once, B, same_splits=True)
    with pytest.raises(NotEstimableError, match="same 5 or more parts"):
        paired_change(MetricNoise(0.7, 0.6, 0.8), B, same_splits=True)
    for a, same in ((once, True), (MetricNoise(0.7, 0.6, 0.8), True), (A, False)):
        assert metric_change(a, B, same, same).pairing == "independent"
    with pytest.raises(NotEstimableError, match="standard error of 0"):
        independent_change(MetricNoise(0.1, 0.1, 0.1), MetricNoise(0.2, 0.2, 0.2))


def test_a_run_compared_with_itself_has_no_difference():
    """Nothing to test: difference 0, p 1."""
    change = metric_change(A, A, same_patients=True, same_splits=True)
    assert (change.difference, change.low, change.high, change.p_value) == (0.0, 0.0, 0.0, 1.0)


SMALL = st.floats(-0.2, 0.2).map(lambda v: round(v, 6))


@st.composite
def noises(draw):
    """A metric with its noise, of any size but no width of zero."""
    value = draw(st.floats(0.3, 0.9))
    half = draw(st.floats(0.01, 0.3))
    five = st.tuples(*[SMALL] * 5)
    return MetricNoise(
        value, value - half, value + half, draw(five), draw(st.tuples(SMALL, SMALL)), draw(five)
    )


@given(noises(), noises(), st.booleans(), st.booleans())
def test_swapping_the_runs_swaps_the_sign_alone(a, b, patients, splits):
    """B against A is A against B mirrored, and never wider than the bound."""
    there = metric_change(a, b, patients, splits)
    back = metric_change(b, a, patients, splits)
    assert there.difference == pytest.approx(-back.difference)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.p_value == pytest.approx(back.p_value)
    assert there.pairing == back.pairing
    assert there.low <= there.difference <= there.high
    bound = independent_change(a, b)
    assert there.high - there.low <= (bound.high - bound.low) * (1 + 1e-12)


@given(st.integers(1, 700), st.integers(0, 10))
def test_parts_do_not_depend_on_the_order_of_the_rows(n, seed):
    """Parts of ten or more, nearly equal, whatever the order; none of a cohort below fifty."""
    names = [f"id {i}" for i in range(n)]
    parts = patient_parts(names)
    order = np.random.default_rng(seed).permutation(n)
    np.testing.assert_array_equal(patient_parts([names[i] for i in order]), parts[order])
    sizes = np.bincount(parts)
    assert len(sizes) == (1 if n < 50 else min(40, n // 10))
    assert n < 50 or (sizes.min() >= 10 and sizes.max() - sizes.min() <= 1)


def test_every_row_of_a_patient_is_in_one_part():
    """A patient with several rows is never on both sides."""
    names = [f"p{i % 60}" for i in range(180)]
    parts = patient_parts(names)
    assert all(len({parts[j] for j in range(i, 180, 60)}) == 1 for i in range(60))


def test_only_sums_over_parts_are_kept():
    """What is stored cannot be turned back into a patient's share; no interval, nothing kept."""
    shares = np.linspace(-1.0, 1.0, 60)
    parts = patient_parts([str(i) for i in range(60)])
    estimate = PerformanceEstimate(
        "m", 0.7, 0.6, 0.8, 60, None, 0.05, "", 1, influence=shares, by_repeat=(0.7,)
    )
    noise = metric_noise(estimate, parts, 0.8)
    assert len(noise.by_patients) == 6
    assert sum(noise.by_patients) == pytest.approx(shares.sum())
    assert metric_noise(estimate, np.zeros(60, dtype=int), 0.8).by_patients == ()
    without = PerformanceEstimate("ici", 0.1, None, None, 60, None, None, "", 1)
    assert metric_noise(without, parts, 0.8) is None
