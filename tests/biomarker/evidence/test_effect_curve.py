"""The treatment's effect in windows: each its own fit, bands that hold, a test that can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.effect_curve import EffectCurve, _windows, effect_curve

Trial = Callable[..., Cohort]


def curve(cohort: Cohort, **keywords: Any) -> EffectCurve:
    """With 199 draws."""
    return effect_curve(cohort, "m1", "os", n_draws=199, **keywords)


def test_windows_move_by_whole_steps_and_end_with_the_range() -> None:
    """Ten patients, windows of four that move by three: the last one ends at the largest."""
    windows = _windows(np.arange(10.0)[::-1].copy(), 4, 3)
    assert [sorted((9 - w).tolist()) for w in windows] == [
        [0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9],
    ]  # fmt: skip


def test_patients_of_one_value_stay_together() -> None:
    """A tie at an edge is taken in whole, and no window comes twice."""
    values = np.repeat([0.0, 1.0, 2.0], [5, 5, 5])
    assert [w.tolist() for w in _windows(values, 4, 1)] == [
        list(range(5)), list(range(10)), list(range(5, 10)), list(range(5, 15)),
        list(range(10, 15)),
    ]  # fmt: skip


def test_a_window_holds_the_fit_to_its_patients(
    trial: Trial, declared: Callable[..., dict[str, Any]]
) -> None:
    """Ratio and pointwise interval of the first window by lifelines on the same patients."""
    from lifelines import CoxPHFitter

    study = declared()
    del study["columns"]["age"]
    cohort = trial(study=study, change=lambda f: f.drop(columns="age"), n=200, treatment=-0.5)
    found = curve(cohort)
    values = cohort.columns["m1"].values  # noqa: PD011  (no pandas column)
    inside = values <= found.window_high[0]
    assert inside.sum() == 50
    y = cohort.outcomes["os"].y
    frame = pd.DataFrame(
        {"t": y["duration"], "e": y["event"].astype(int), "a": cohort.treated.astype(float)}
    )[inside]
    peer = CoxPHFitter().fit(frame, "t", "e", fit_options={"precision": 1e-12})
    assert found.ratio[0] == pytest.approx(float(np.exp(peer.params_["a"])), rel=1e-6)
    half = 1.959964 * float(peer.standard_errors_["a"])
    assert found.ratio_low[0] == pytest.approx(found.ratio[0] * np.exp(-half), rel=1e-5)
    assert found.n_treated[0] + found.n_control[0] == 50


def test_a_differing_effect_is_seen(trial: Trial) -> None:
    """Treatment helps more the higher the marker: p small, band below 1 above and not below."""
    found = curve(trial(n=400, predictive=-0.8, treatment=-0.3))
    assert found.p < 0.02
    assert found.band_high[-1] < 1.0
    assert found.band_high[0] > 1.0
    assert found.ratio[0] > found.ratio[-1]


def test_a_common_effect_is_one_line(trial: Trial) -> None:
    """A prognostic marker and a constant effect: the line lies inside the band, p is not small."""
    found = curve(trial(n=300, prognostic=0.7, treatment=-0.5))
    assert found.p > 0.05
    line = np.exp(-0.5)
    assert np.all((found.band_low < line) & (line < found.band_high))


def test_the_band_is_wider_than_single_intervals(trial: Trial) -> None:
    """All windows at once ask for more than each alone."""
    found = curve(trial(n=240))
    assert np.all(found.band_low < found.ratio_low)
    assert np.all(found.band_high > found.ratio_high)
    assert np.all(np.diff(found.at) > 0)
    assert np.all((found.window_low <= found.at) & (found.at <= found.window_high))
    assert (found.patients_per_window, found.overlap, found.n_patients) == (60, 45, 240)


def test_the_seed_decides(trial: Trial) -> None:
    """The same seed gives the same bytes; windows do not depend on it."""
    cohort = trial(n=160)
    one, two, other = curve(cohort, seed=1), curve(cohort, seed=1), curve(cohort, seed=2)
    assert one.p == two.p
    assert one.band_low.tobytes() == two.band_low.tobytes()
    assert other.band_low.tobytes() != one.band_low.tobytes()
    assert other.ratio.tobytes() == one.ratio.tobytes()


def test_swapping_the_arms_turns_the_curve_over(
    trial: Trial, declared: Callable[..., dict[str, Any]]
) -> None:
    """Control against treated is the inverse, window by window."""
    study = declared()
    study["columns"]["arm"]["control"] = "drug"
    one, other = curve(trial(n=200)), curve(trial(n=200, study=study))
    np.testing.assert_allclose(one.ratio, 1.0 / other.ratio, rtol=1e-7)
    np.testing.assert_allclose(one.ratio_low, 1.0 / other.ratio_high, rtol=1e-7)
    np.testing.assert_array_equal(one.events_treated, other.events_control)


def test_a_response_gives_odds_ratios(
    trial: Trial, declared: Callable[..., dict[str, Any]]
) -> None:
    """A window of a binary endpoint is its 2 x 2 table, where no covariate is declared."""
    study = declared()
    del study["columns"]["age"]
    study["columns"]["answer"] = {"role": "endpoint"}
    study["endpoints"]["response"] = {
        "type": "response", "column": "answer", "positive": ["yes"], "negative": ["no"],
    }  # fmt: skip

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        rng = np.random.default_rng(2)
        frame["answer"] = np.where(rng.random(len(frame)) < 0.4, "yes", "no")
        return frame.drop(columns="age")

    found = effect_curve(trial(study=study, change=change, n=200), "m1", "response", n_draws=99)
    assert found.scale == "odds ratio"
    a, b = found.events_treated, found.events_control
    table = (a / (found.n_treated - a)) / (b / (found.n_control - b))
    np.testing.assert_allclose(found.ratio, table, rtol=1e-6)


@pytest.mark.parametrize(
    "keywords", [{"patients_per_window": 0}, {"overlap": 60}, {"patients_per_window": 500}]
)
def test_windows_that_are_none_are_named(trial: Trial, keywords: dict[str, int]) -> None:
    """Sizes inside the cohort, overlap less than a window."""
    with pytest.raises(UsageError, match="patients_per_window"):
        curve(trial(n=240), **keywords)


def test_windows_without_events_are_refused(trial: Trial) -> None:
    """With the number of windows, and what to do."""
    with pytest.raises(NotEstimableError, match="Make windows larger"):
        curve(trial(n=240), patients_per_window=8, overlap=2)
    with pytest.raises(NotEstimableError, match="at least 3 windows"):
        curve(trial(n=50), patients_per_window=45, overlap=10)


def test_windows_that_nobody_declared_grow_until_events_suffice(trial: Trial) -> None:
    """Where few die a quarter of the patients holds too few events."""
    sparse = curve(trial(n=240, follow_up=0.25))
    assert sparse.patients_per_window > 60
    assert min(sparse.events_treated.min(), sparse.events_control.min()) >= 3
    with pytest.raises(NotEstimableError):
        curve(trial(n=240, follow_up=0.02))


def test_what_has_no_order_or_one_arm_has_no_curve(
    trial: Trial, declared: Callable[..., dict[str, Any]]
) -> None:
    """Both are refused by name."""
    with pytest.raises(UsageError, match="must have an order"):
        effect_curve(trial(n=60), "m2", "os")
    study = declared()
    del study["columns"]["arm"]
    study["single_arm"] = "treated"
    cohort = trial(study=study, change=lambda frame: frame.drop(columns="arm"), n=100)
    with pytest.raises(UsageError, match="treated and a control arm"):
        curve(cohort)
