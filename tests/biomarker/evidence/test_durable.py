"""Milestones by arm and level: support, levels, intervals, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.durable import milestone_contrasts, unsupported_milestones
from biomarker.survival.curves import kaplan_meier, restricted_mean

Trial = Callable[..., Cohort]
Declared = Callable[..., dict[str, Any]]


def test_each_cell_is_the_curve_of_its_arm_and_level(trial: Trial) -> None:
    """Values, limits and counts are those of the Kaplan-Meier room."""
    cohort = trial(n=200)
    found = milestone_contrasts(cohort, "m2", "os", horizons=[0.5])
    y, high = cohort.outcomes["os"].y, cohort.matrix(("m2",))[:, 0] == 1.0
    (survival,) = [c for c in found if (c.level, c.measure) == ("high", "survival")]
    (mean,) = [c for c in found if (c.level, c.measure) == ("high", "restricted_mean")]
    for side, name in ((cohort.treated, "treated"), (~cohort.treated, "control")):
        part = y[high & side]
        curve, area = kaplan_meier(part), restricted_mean(part, 0.5)
        low, up = (float(v[0]) for v in curve.interval_at([0.5]))
        assert getattr(survival, name) == float(curve.survival_at([0.5])[0])
        limits = [getattr(survival, f"{name}_{end}") for end in ("low", "high")]
        assert limits == pytest.approx([low, up])
        assert getattr(mean, name) == area.value
        assert getattr(mean, f"{name}_low") == pytest.approx(area.low)
        assert getattr(survival, f"n_{name}") == len(part)
        assert getattr(survival, f"at_risk_{name}") == int((part["duration"] >= 0.5).sum())
    assert survival.difference == survival.treated - survival.control
    assert survival.difference_low < survival.difference < survival.difference_high
    assert (survival.unit, survival.at, survival.alpha) == ("months", 0.5, 0.05)


def test_a_restricted_mean_difference_joins_the_arms_errors(trial: Trial) -> None:
    """Where no limit is clipped, the half-width is the normal quantile times the joint error."""
    cohort = trial(n=200)
    (low, *_) = [
        c for c in milestone_contrasts(cohort, "m2", "os", [0.5]) if c.measure != "survival"
    ]
    y, level = cohort.outcomes["os"].y, cohort.matrix(("m2",))[:, 0] == 0.0
    errors = [
        restricted_mean(y[level & side], 0.5).standard_error
        for side in (cohort.treated, ~cohort.treated)
    ]
    half = 1.959963984540054 * np.hypot(*errors)
    assert low.treated_high < 0.5
    assert low.difference_high - low.difference == pytest.approx(half)
    assert low.difference - low.difference_low == pytest.approx(half)


@pytest.mark.parametrize(
    ("groups", "levels"),
    [
        (2, ["at most median", "above median"]),
        (3, ["lowest third", "middle third", "highest third"]),
    ],
)
def test_a_continuous_marker_is_cut_for_display_only(
    trial: Trial, groups: Any, levels: list[str]
) -> None:
    """The cut says so; its parts hold everybody, low values first; a real level says nothing."""
    cohort = trial(n=240, predictive=-0.8)
    found = milestone_contrasts(cohort, "m1", "os", [0.4], groups=groups)
    assert [c.level for c in found if c.measure == "survival"] == levels
    assert all(c.display_only for c in found)
    total = sum(c.n_treated + c.n_control for c in found if c.measure == "survival")
    assert total == 240
    assert found[groups - 1].difference > found[0].difference
    assert not any(c.display_only for c in milestone_contrasts(cohort, "m2", "os", [0.4]))


def test_a_milestone_without_support_is_refused_with_its_reason(trial: Trial) -> None:
    """It names the time, the arm, the level and the number at risk, and the rest goes on."""
    cohort = trial(n=80)
    with pytest.raises(UsageError, match=r"1\.9 months: \d+ of \d+ treated patients at risk"):
        milestone_contrasts(cohort, "m2", "os", [0.3, 1.9])
    refused = unsupported_milestones(cohort, "m2", "os", [0.3, 1.9])
    assert list(refused) == [1.9]
    assert len(milestone_contrasts(cohort, "m2", "os", [0.3])) == 4


def test_declared_milestones_are_the_default(trial: Trial, declared: Declared) -> None:
    """The study's horizons; else its tau; else the longest supported time, for the mean alone."""
    study = declared()
    study["endpoints"]["os"] |= {"horizons": [0.2, 0.5], "tau": 0.7}
    found = milestone_contrasts(trial(study=study, n=200), "m2", "os")
    assert [(c.at, c.measure) for c in found[::2]] == [
        (0.2, "survival"), (0.2, "restricted_mean"), (0.5, "survival"), (0.5, "restricted_mean"),
    ]  # fmt: skip
    study["endpoints"]["os"]["horizons"] = []
    found = milestone_contrasts(trial(study=study, n=200), "m2", "os")
    assert {(c.at, c.measure) for c in found} == {(0.7, "restricted_mean")}
    found = milestone_contrasts(trial(n=200), "m2", "os")
    assert {c.measure for c in found} == {"restricted_mean"}
    assert min(min(c.at_risk_treated, c.at_risk_control) for c in found) >= 5


def test_a_cell_without_events_is_not_certain(trial: Trial) -> None:
    """Survival 1 keeps the exact lower limit of the patients who reached the milestone."""

    def nobody_high_dies_early(frame: pd.DataFrame) -> pd.DataFrame:
        high = (frame["m2"] == "high") & (frame["arm"] == "drug")
        frame.loc[high, "months"] = frame.loc[high, "months"] + 1.0
        return frame

    cohort = trial(n=120, change=nobody_high_dies_early)
    found = milestone_contrasts(cohort, "m2", "os", [0.4])
    cells = {c.measure: c for c in found if c.level == "high"}
    survival, mean = cells["survival"], cells["restricted_mean"]
    assert survival.treated == survival.treated_high == 1.0
    assert survival.treated_low == pytest.approx(0.025 ** (1 / survival.at_risk_treated))
    assert mean.treated_low == pytest.approx(0.4 * survival.treated_low)
    assert mean.treated == mean.treated_high == pytest.approx(0.4)
    assert survival.difference_low < survival.difference


def test_what_is_no_baseline_comparison_of_two_arms_is_refused(
    trial: Trial, declared: Declared
) -> None:
    """A post-baseline grouping names the landmark; one arm, a response and odd times say why."""
    study = declared()
    study["columns"]["cr"] = {"role": "post_baseline"}
    cohort = trial(study=study)
    with pytest.raises(UsageError, match="landmark"):
        milestone_contrasts(cohort, "cr", "os", [0.4])
    with pytest.raises(UsageError, match="landmark"):
        milestone_contrasts(cohort, "os", "os", [0.4])
    with pytest.raises(UsageError, match="survival endpoint"):
        milestone_contrasts(cohort, "m2", "orr", [0.4])
    with pytest.raises(UsageError, match="finite times"):
        milestone_contrasts(cohort, "m2", "os", [-1.0])
    with pytest.raises(UsageError, match="2 or 3"):
        milestone_contrasts(cohort, "m1", "os", [0.4], groups=4)  # type: ignore[arg-type]
    study = declared()
    del study["columns"]["arm"]
    study["single_arm"] = "treated"
    one = trial(study=study, change=lambda frame: frame.drop(columns="arm"))
    with pytest.raises(UsageError, match="one arm"):
        milestone_contrasts(one, "m2", "os", [0.4])


def test_a_level_of_one_arm_only_is_not_estimable(trial: Trial) -> None:
    """No contrast without both sides."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["arm"] == "drug", "m2"] = "low"
        return frame

    with pytest.raises(NotEstimableError, match="treated patients at every level"):
        milestone_contrasts(trial(n=80, change=change), "m2", "os", [0.3])


def test_support_means_ten_in_a_hundred_and_five_in_all(trial: Trial) -> None:
    """A cell with 4 left of 20, or 9 of 100, is refused; 5 of 20 and 10 of 100 pass."""

    def followed(left: int, of: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def change(frame: pd.DataFrame) -> pd.DataFrame:
            frame.loc[:, "m2"] = "low"
            rows = frame.index[frame["arm"] == "drug"][:of]
            frame.loc[rows, "m2"] = "high"
            frame.loc[frame.index[frame["arm"] != "drug"][:of], "m2"] = "high"
            frame["months"] = 2.0
            frame.loc[rows[left:], "months"] = 0.5
            return frame

        return change

    for left, of, refused in ((4, 20, True), (5, 20, False), (9, 100, True), (10, 100, False)):
        cohort = trial(n=300, change=followed(left, of))
        found = unsupported_milestones(cohort, "m2", "os", [1.0])
        assert bool(found) == refused
        if refused:
            assert found[1.0] == f"1 months: {left} of {of} treated patients at risk (high)"


def test_values_at_the_median_belong_below_it(trial: Trial) -> None:
    """Tied values are never split between the parts."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        order = np.random.default_rng(0).permutation(200)
        frame["m1"] = np.repeat([0.0, 1.0, 2.0], [40, 120, 40])[order]
        return frame

    found = milestone_contrasts(trial(n=200, change=change), "m1", "os", [0.3])
    sizes = [c.n_treated + c.n_control for c in found if c.measure == "survival"]
    assert sizes == [160, 40]
