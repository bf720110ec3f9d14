"""What holds for any data: benefit metrics, milestones and landmarks under change of scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker import survival_outcome
from biomarker.errors import NotEstimableError
from biomarker.evidence.landmark import landmark_association
from biomarker.metrics.benefit import benefit_calibration, c_for_benefit, rule_gain
from biomarker.survival.curves import kaplan_meier, restricted_mean
from biomarker.survival.pseudo_observations import pseudo_observations

SEEDS = st.integers(0, 2**31)
MEASURES = st.sampled_from(["survival", "restricted_mean"])


def trial(seed: int, n: int = 40) -> tuple[Any, Any, Any, float]:
    """Distinct predictions, equal arms, some censoring, and a limit both arms support."""
    rng = np.random.default_rng(seed)
    benefit, arm = rng.normal(size=n), rng.permutation(np.arange(n) % 2) == 1
    time, limit = rng.exponential(size=n) + 0.01, rng.uniform(0.2, 3.0, n)
    y = survival_outcome(time <= limit, np.minimum(time, limit))
    at = min(float(np.quantile(y["duration"][side], 0.7)) for side in (arm, ~arm))
    return benefit, arm, y, at


@given(SEEDS, MEASURES)
@settings(max_examples=50)
def test_metrics_do_not_depend_on_the_order_of_patients(seed: int, measure: Any) -> None:
    """Where predictions are distinct and arms equal, nothing is left to chance."""
    benefit, arm, y, at = trial(seed)
    shuffle = np.random.default_rng(seed).permutation(len(arm))
    for metric in (c_for_benefit, rule_gain, benefit_calibration):
        one = metric(benefit, arm, y, at, measure)
        two = metric(benefit[shuffle], arm[shuffle], y[shuffle], at, measure)
        for name in ("value", "over_all", "over_none", "slope", "in_the_large"):
            if hasattr(one, name):
                pair = [getattr(e, name) for e in (one, two)]
                numbers = [v if isinstance(v, float) else v.value for v in pair]
                assert numbers[0] == pytest.approx(numbers[1], abs=1e-9)


@given(SEEDS, MEASURES)
@settings(max_examples=50)
def test_concordance_depends_on_the_pairs_order_alone(seed: int, measure: Any) -> None:
    """An affine change of the predictions keeps C; swapping the arms of -benefit keeps it too."""
    benefit, arm, y, at = trial(seed)
    c = c_for_benefit(benefit, arm, y, at, measure).value
    assert 0.0 <= c <= 1.0
    assert c_for_benefit(3.0 * benefit - 2.0, arm, y, at, measure).value == pytest.approx(c)
    assert c_for_benefit(-benefit, ~arm, y, at, measure).value == pytest.approx(c)


@given(SEEDS, MEASURES, st.floats(-1.0, 1.0))
@settings(max_examples=50)
def test_the_two_gains_differ_by_the_mean_effect(seed: int, measure: Any, cut: float) -> None:
    """Gain over none less gain over all is what treating all gains over none, exactly."""
    benefit, arm, y, at = trial(seed)
    found = rule_gain(benefit, arm, y, at, measure, threshold=cut)
    means = [pseudo_observations(y[side], at, measure).mean() for side in (arm, ~arm)]
    assert found.over_none.value - found.over_all.value == pytest.approx(means[0] - means[1])
    mirrored = rule_gain(-benefit, ~arm, y, at, measure, threshold=-cut)
    assert mirrored.over_all.value == pytest.approx(found.over_none.value, abs=1e-12)


@given(SEEDS)
@settings(max_examples=40)
def test_time_units_scale_times_and_nothing_else(seed: int) -> None:
    """Months to days: C and slope stay, gains in time are multiplied."""
    benefit, arm, months, at = trial(seed)
    days = survival_outcome(months["event"], 30.0 * months["duration"])
    values = [
        (c_for_benefit(b, arm, y, t).value, benefit_calibration(b, arm, y, t).slope.value,
         rule_gain(b, arm, y, t).over_none.value / scale)
        for b, y, t, scale in ((benefit, months, at, 1.0), (30 * benefit, days, 30 * at, 30.0))
    ]  # fmt: skip
    assert values[0] == pytest.approx(values[1], abs=1e-9)


@given(SEEDS, MEASURES, st.integers(2, 25))
@settings(max_examples=100)
def test_pseudo_observations_are_leave_one_out(seed: int, measure: Any, n: int) -> None:
    """Equal to n F - (n - 1) F without the patient, for tied, censored and short data alike."""
    rng = np.random.default_rng(seed)
    y = survival_outcome(rng.random(n) < 0.6, np.round(rng.exponential(4.0, n)) + 1.0)
    at = float(rng.choice(y["duration"]))

    def functional(part: Any) -> float:
        if measure == "survival":
            return float(kaplan_meier(part).survival_at([at])[0])
        return restricted_mean(part, at).value

    keep = ~np.eye(n, dtype=bool)
    try:
        expected = [n * functional(y) - (n - 1) * functional(y[keep[i]]) for i in range(n)]
    except NotEstimableError:
        # Only the patient left out was followed that far: what is left cannot say.
        return
    assert np.allclose(pseudo_observations(y, at, measure), expected, atol=1e-9)


@given(SEEDS)
@settings(max_examples=15)
def test_a_landmark_uses_each_patient_once(seed: int) -> None:
    """Used and excluded add up; the unit of time changes counts and ratio in nothing."""
    rng = np.random.default_rng(seed)
    n = 60
    time, limit = rng.exponential(10.0, n) + 0.1, rng.uniform(5.0, 30.0, n)
    y = survival_outcome(time <= limit, np.minimum(time, limit))
    seen_at = rng.uniform(0.5, 6.0, n)
    group = (rng.random(n) < 0.5) & (seen_at < y["duration"])
    results = []
    for unit in (1.0, 7.0):
        scaled = survival_outcome(y["event"], unit * y["duration"])
        try:
            found = landmark_association(
                scaled, group, landmark=4.0 * unit, known_at=unit * seen_at, seed=1
            )
        except NotEstimableError:
            return
        assert found.n_used + found.n_excluded == n
        assert found.n_members + found.n_others == found.n_used
        results.append(found)
    assert results[0].hazard_ratio == pytest.approx(results[1].hazard_ratio)
    assert results[0].n_excluded == results[1].n_excluded
