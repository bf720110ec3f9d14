"""Metrics of predicted benefit: order, size, gain, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from biomarker.errors import NotEstimableError, OutcomeError, UsageError
from biomarker.metrics.benefit import benefit_calibration, c_for_benefit, rule_gain
from biomarker.outcomes import survival_outcome


def trial(n: int, seed: int = 0, censored: bool = True) -> dict[str, Any]:
    """Treatment helps where z is high: benefit in mean time to 1, known by formula."""
    rng = np.random.default_rng(seed)
    z, arm = rng.normal(size=n), rng.permutation(np.arange(n) % 2) == 1
    hazards = [0.8 * np.exp(0.3 * z), 0.8 * np.exp(0.3 * z - 0.2 - 0.6 * z)]
    times = [rng.exponential(1.0 / h) for h in hazards]
    limit = rng.uniform(0.5, 3.0, n) if censored else np.full(n, np.inf)
    time = np.where(arm, times[1], times[0])
    means = [(1.0 - np.exp(-h)) / h for h in hazards]
    return {
        "benefit": means[1] - means[0],
        "treated": arm,
        "y": survival_outcome(time <= limit, np.minimum(time, limit)),
        "gain": np.minimum(times[1], 1.0) - np.minimum(times[0], 1.0),
    }


def judged(t: dict[str, Any]) -> tuple[Any, Any, Any]:
    """What a metric takes."""
    return t["benefit"], t["treated"], t["y"]


def test_reversed_predictions_have_the_complement() -> None:
    """C-for-benefit of -benefit is 1 - C."""
    t = trial(200)
    c = c_for_benefit(*judged(t), at=1.0).value
    assert c_for_benefit(-t["benefit"], t["treated"], t["y"], at=1.0).value == pytest.approx(1 - c)
    assert c > 0.55


def test_censoring_costs_precision_and_no_bias() -> None:
    """Large samples: weighted for censoring, C agrees with that of the complete outcomes."""
    whole = c_for_benefit(*judged(trial(8000, 1, censored=False)), at=1.0)
    part = c_for_benefit(*judged(trial(8000, 1)), at=1.0)
    assert part.standard_error > whole.standard_error
    assert abs(part.value - whole.value) < 3 * part.standard_error
    for measure in ("survival", "restricted_mean"):
        found = c_for_benefit(*judged(trial(400, 1)), at=1.0, measure=measure)
        assert 0.5 < found.value < 0.8
        assert found.low < found.value < found.high
        assert (found.n_patients, found.horizon) == (400, 1.0)


def test_ties_and_left_out_patients_are_left_to_chance_and_averaged() -> None:
    """A two-valued prediction: the seed decides little, and repeats itself."""
    t = trial(300)
    coarse = (t["benefit"] > 0).astype(float)
    keep = np.flatnonzero(t["treated"] | (np.arange(300) % 3 == 0))
    given = coarse[keep], t["treated"][keep], t["y"][keep]
    found = [c_for_benefit(*given, at=1.0, random_state=s).value for s in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert found[2] == pytest.approx(found[0], abs=0.05)


def test_groups_are_never_compared_with_each_other() -> None:
    """A shift of one fold's predictions changes C without groups, and not with them."""
    t = trial(300)
    fold = np.arange(300) % 3
    shifted = t["benefit"] + np.where(fold == 1, 5.0, 0.0)
    inside = [
        c_for_benefit(b, t["treated"], t["y"], at=1.0, groups=fold, n_matchings=1).value
        for b in (t["benefit"], shifted)
    ]
    assert inside[0] == inside[1]
    assert c_for_benefit(shifted, *judged(t)[1:], at=1.0).value != inside[0]
    slopes = [
        benefit_calibration(b, *judged(t)[1:], at=1.0, groups=fold).slope
        for b in (t["benefit"], shifted)
    ]
    assert slopes[0].value == pytest.approx(slopes[1].value)
    assert slopes[0].standard_error == pytest.approx(slopes[1].standard_error)


def test_true_benefits_are_calibrated_and_stretched_ones_show_it() -> None:
    """Slope 1 and no shift at the truth; doubling halves the slope; a promise too high shows."""
    t = trial(20_000, 3)
    found = benefit_calibration(*judged(t), at=1.0)
    assert found.slope.low < 1.0 < found.slope.high
    assert found.in_the_large.low < 0.0 < found.in_the_large.high
    assert np.all((found.low < found.predicted) & (found.predicted < found.high))
    assert np.all(np.diff(found.predicted) > 0)
    assert (found.n_treated + found.n_control).sum() == 20_000
    doubled = benefit_calibration(2 * t["benefit"] + 0.1, *judged(t)[1:], at=1.0)
    assert doubled.slope.value == pytest.approx(found.slope.value / 2)
    shift = t["benefit"].mean() + 0.1
    assert doubled.in_the_large.value == pytest.approx(found.in_the_large.value - shift)


def test_in_the_large_is_the_difference_of_the_arms_less_the_promise() -> None:
    """A response by hand: 3/4 - 1/4 observed, .3 promised; variance of the parts."""
    arm, y = np.repeat([1, 0], 4), np.array([1, 1, 1, 0, 1, 0, 0, 0])
    benefit = np.array([0.2, 0.4] * 4)
    large = benefit_calibration(benefit, arm, y, n_groups=1).in_the_large
    assert large.value == pytest.approx(0.5 - 0.3)
    moved = np.where(arm == 1, (y - 0.75) / 0.5, (0.25 - y) / 0.5) - (benefit - 0.3)
    assert large.standard_error == pytest.approx(moved.std(ddof=1) / np.sqrt(8))


def test_the_slope_is_the_difference_of_the_arms_regressions() -> None:
    """By numpy's least squares within arm, and HC3 by leaving each patient out."""
    rng = np.random.default_rng(1)
    benefit, arm, y = rng.normal(size=40), np.arange(40) % 2 == 1, rng.random(40) < 0.5
    found = benefit_calibration(benefit, arm, y).slope
    slopes, variance = [], 0.0
    for side in (arm, ~arm):
        x, z = benefit[side], y[side].astype(float)
        slopes.append(np.polyfit(x, z, 1)[0])
        keep = ~np.eye(len(x), dtype=bool)
        # HC3 sums the squared changes of the slope when a patient is left out.
        variance += sum((np.polyfit(x[k], z[k], 1)[0] - slopes[-1]) ** 2 for k in keep)
    assert found.value == pytest.approx(slopes[0] - slopes[1])
    assert found.standard_error == pytest.approx(np.sqrt(variance))


def test_groups_shrink_until_each_holds_two_of_both_arms() -> None:
    """Few patients, or tied predictions, give fewer groups rather than an empty one."""
    benefit = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    found = benefit_calibration(benefit, [1, 0] * 4, [0, 1] * 4)
    assert len(found.predicted) == 2
    assert found.n_treated.tolist() == found.n_control.tolist() == [2, 2]


def test_the_gain_is_that_of_the_potential_outcomes() -> None:
    """Against both outcomes of every patient, known because simulated; censoring included."""
    t = trial(60_000, 5)
    for threshold in (0.0, 0.1):
        found = rule_gain(*judged(t), at=1.0, threshold=threshold)
        chosen = t["benefit"] > threshold
        truth = {"over_all": -t["gain"][~chosen].sum(), "over_none": t["gain"][chosen].sum()}
        for name, total in truth.items():
            estimate = getattr(found, name)
            assert estimate.value == pytest.approx(total / 60_000, abs=3 * estimate.standard_error)
            assert estimate.standard_error < 0.004
            assert estimate.low < estimate.value < estimate.high
        assert found.share_treated == chosen.mean()
        assert (found.n_treated, found.n_control) == (30_000, 30_000)


def test_a_rule_that_changes_nothing_gains_nothing() -> None:
    """Treating everybody is "treat all", exactly; and its gain over none is the mean effect."""
    benefit, arm, y = np.ones(6), [1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 1]
    found = rule_gain(benefit, arm, y)
    assert (found.over_all.value, found.over_all.low, found.share_treated) == (0.0, None, 1.0)
    assert found.over_none.value == pytest.approx(1 / 3)
    spared = rule_gain(-benefit, arm, y)
    assert (spared.over_none.value, spared.over_none.low) == (0.0, None)
    assert spared.over_all.value == pytest.approx(-1 / 3)


METRICS = [c_for_benefit, benefit_calibration, rule_gain]


@pytest.mark.parametrize("metric", METRICS)
def test_malformed_input_is_refused(metric: Any) -> None:
    """Arms that are none, lengths that differ, times that are none, follow-up that ends before."""
    t = trial(40)
    with pytest.raises(OutcomeError, match="only 0/1"):
        metric(t["benefit"], np.full(40, 2), t["y"], 1.0)
    with pytest.raises(OutcomeError, match="40 outcomes"):
        metric(t["benefit"], t["treated"], t["y"][:9], 1.0)
    with pytest.raises(OutcomeError, match="benefit must have shape"):
        metric(t["benefit"][:9], t["treated"], t["y"], 1.0)
    with pytest.raises(OutcomeError, match="finite"):
        metric(np.full(40, np.nan), t["treated"], t["y"], 1.0)
    with pytest.raises(UsageError, match="at must be a time"):
        metric(t["benefit"], t["treated"], t["y"])
    with pytest.raises(NotEstimableError, match="two patients of each arm"):
        metric(t["benefit"], np.arange(40) == 0, t["y"], 1.0)
    cut = survival_outcome(np.zeros(40), np.linspace(0.1, 0.9, 40))
    with pytest.raises(NotEstimableError, match="last observed time"):
        metric(t["benefit"], t["treated"], cut, 1.0)


def test_what_cannot_be_ordered_or_sloped_is_not_estimable() -> None:
    """Alike outcomes, alike predictions, groups of the wrong length, a single lever."""
    arm = np.arange(8) % 2
    with pytest.raises(NotEstimableError, match="differ in observed benefit"):
        c_for_benefit(np.arange(8.0), arm, np.ones(8))
    with pytest.raises(NotEstimableError, match="one value for all"):
        benefit_calibration(np.ones(8), arm, [0, 1, 1, 0] * 2)
    with pytest.raises(OutcomeError, match="groups must have shape"):
        c_for_benefit(np.arange(8.0), arm, [0, 1, 1, 0] * 2, groups=[1])
    with pytest.raises(NotEstimableError, match="full leverage"):
        benefit_calibration([5.0, 5.0] + [0.0] * 6, arm, [0, 1, 1, 0] * 2)


def test_a_patient_followed_to_the_limit_counts() -> None:
    """Censored exactly there: alive at it, with its whole time; only earlier censoring hides."""
    y = survival_outcome([0, 1, 0, 1, 1, 0], [2.0, 1.0, 2.0, 1.5, 0.5, 2.0])
    arm, benefit = [1, 1, 1, 0, 0, 0], [0.1, 0.2, 0.3, 0.1, 0.2, 0.3]
    seen = survival_outcome([1] * 6, [3.0, 1.0, 3.0, 1.5, 0.5, 3.0])
    for measure in ("survival", "restricted_mean"):
        values = [c_for_benefit(benefit, arm, o, 2.0, measure).value for o in (y, seen)]
        assert values[0] == values[1]
