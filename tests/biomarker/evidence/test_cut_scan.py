"""A chosen cut as users meet it: what is found, what is withheld, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.cut_scan import CutResult, CutSettings, interaction_cut, prognostic_cut

Trial = Callable[..., Cohort]
QUICK = CutSettings(n_draws=199)


def step(
    hazard_ratio: float, at: float = 0.0, arm: str | None = None
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Shorten everybody's time above a threshold of ``m1``, in one arm where named."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        rng = np.random.default_rng(len(frame))
        above = (frame["m1"] > at).to_numpy()
        if arm is not None:
            above &= (frame["arm"] == arm).to_numpy()
        time = rng.exponential(size=len(frame)) / np.where(above, hazard_ratio, 1.0)
        limit = rng.uniform(0.4, 2.0, size=len(frame))
        frame["months"] = np.minimum(time, limit)
        frame["died"] = (time <= limit).astype(int).astype(str)
        return frame

    return change


def test_a_planted_threshold_is_found(trial: Trial) -> None:
    """Hazard ratio 4 above 0.3 among 300 controls: placed near there, with its size."""
    found = prognostic_cut(trial(n=600, change=step(4.0, 0.3)), "m1", "os", QUICK)
    assert found.identified
    assert found.note == ""
    assert found.cut_low <= 0.3 <= found.cut_high
    assert found.cut_high - found.cut_low < 0.5
    assert found.ratio_low < 4.0 < found.ratio_high
    assert 1.0 < found.ratio_shrunken < found.ratio
    assert found.out_of_fold_low < 4.0 < found.out_of_fold_high
    assert found.p_corrected == pytest.approx(1 / 200)
    assert found.n_patients == 300
    assert found.scale == "hazard ratio"


def test_a_threshold_of_the_treatment_s_effect_is_found(trial: Trial) -> None:
    """Treatment harms fivefold above -0.6 and does nothing below."""
    cohort = trial(n=600, change=step(5.0, -0.6, "drug"))
    found = interaction_cut(cohort, "m1", "os", QUICK)
    assert found.identified
    assert found.cut_low <= -0.6 <= found.cut_high
    assert found.ratio_low < 5.0 < found.ratio_high
    below, above = found.subgroups
    assert below.low < 1.0 < below.high
    assert above.low < 5.0 < above.high
    assert below.n_treated + above.n_treated == 300
    assert sum(s.events_treated + s.events_control for s in found.subgroups) == found.n_events


def test_without_effect_no_cut_is_placed(trial: Trial) -> None:
    """The best of many cuts looks good alone, and is not called anything."""
    found = prognostic_cut(trial(n=300, seed=3), "m1", "os", QUICK)
    assert found.p_minimal < found.p_corrected
    assert not found.identified
    assert math.isnan(found.cut_low)
    assert math.isnan(found.cut_high)
    assert found.note.startswith("not identified")
    assert found.ratio_low < 1.0 < found.ratio_high


def test_a_smooth_effect_has_no_cut(trial: Trial) -> None:
    """A straight line is associated, yet no threshold is placed."""
    found = prognostic_cut(trial(n=500, prognostic=0.7), "m1", "os", QUICK)
    assert found.p_corrected < 0.05
    assert not found.identified
    assert found.p_beyond_trend > 0.05
    assert "smooth trend" in found.note


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ask", [prognostic_cut, interaction_cut])
def test_the_interval_agrees_with_the_corrected_p(trial: Trial, ask: Any, seed: int) -> None:
    """It leaves out 1 exactly when the corrected p is below alpha."""
    cohort = trial(n=160, seed=seed, prognostic=0.25, predictive=0.35)
    found = ask(cohort, "m1", "os", QUICK)
    assert (found.ratio_low > 1.0 or found.ratio_high < 1.0) == (found.p_corrected < 0.05)
    assert abs(math.log(found.ratio_shrunken)) <= abs(math.log(found.ratio)) + 1e-12


def test_everything_that_belongs_to_the_figure_is_there(trial: Trial) -> None:
    """Scanned range, number of cuts, draws and seed stand beside the ratio."""
    cohort = trial(n=200)
    found = prognostic_cut(cohort, "m1", "os", CutSettings(most=15, n_draws=99), seed=5)
    marker = cohort.columns["m1"].values  # noqa: PD011  (no pandas column)
    values = marker[~np.asarray(cohort.treated)]
    assert found.scanned_low == np.sort(values)[9]
    assert found.scanned_high == np.sort(values)[89]
    assert (found.n_cuts, found.n_draws, found.seed) == (15, 99, 5)
    assert found.scanned_low <= found.cut <= found.scanned_high


def test_the_same_seed_gives_the_same_result(trial: Trial) -> None:
    """To the bit; another seed moves only what is simulated."""
    one: CutResult = interaction_cut(trial(n=120), "m1", "os", QUICK, seed=2)
    two: CutResult = interaction_cut(trial(n=120), "m1", "os", QUICK, seed=2)
    other: CutResult = interaction_cut(trial(n=120), "m1", "os", QUICK, seed=3)
    assert repr(one) == repr(two)
    assert (one.cut, one.ratio, one.p_minimal) == (other.cut, other.ratio, other.p_minimal)


def test_treated_patients_have_no_say_in_prognosis(trial: Trial) -> None:
    """Their outcomes can be anything."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["arm"] == "drug", "months"] = 7.0
        return frame

    one = prognostic_cut(trial(n=120), "m1", "os", QUICK)
    assert one.p_minimal == prognostic_cut(trial(n=120, change=change), "m1", "os", QUICK).p_minimal


def test_a_response_is_judged_by_odds(
    trial: Trial, declared: Callable[..., dict[str, Any]]
) -> None:
    """A binary endpoint gives odds ratios, both questions alike."""
    study = declared()
    study["columns"]["answer"] = {"role": "endpoint"}
    study["endpoints"]["response"] = {
        "type": "response", "column": "answer", "positive": ["yes"], "negative": ["no"],
    }  # fmt: skip

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        rng = np.random.default_rng(1)
        gain = (frame["m1"] > 0) & (frame["arm"] == "drug")
        frame["answer"] = np.where(rng.random(len(frame)) < np.where(gain, 0.8, 0.3), "yes", "no")
        return frame

    cohort = trial(study=study, change=change, n=400)
    found = interaction_cut(cohort, "m1", "response", QUICK)
    assert found.scale == "odds ratio"
    assert found.p_corrected < 0.05
    assert found.ratio_low < 9.3 < found.ratio_high  # (.8/.2) / (.3/.7)
    assert prognostic_cut(cohort, "m1", "response", QUICK).ratio_low < 1.0


def test_what_has_no_order_has_no_cut(trial: Trial) -> None:
    """A categorical marker is refused by both."""
    for ask in (prognostic_cut, interaction_cut):
        with pytest.raises(UsageError, match="must have an order"):
            ask(trial(n=60), "m2", "os")


def test_too_few_patients_are_refused(trial: Trial) -> None:
    """Without twenty controls there is no cut with ten on each side."""
    with pytest.raises(NotEstimableError, match="at least 10 patients on each side"):
        prognostic_cut(trial(n=36), "m1", "os")
    with pytest.raises(NotEstimableError, match="on each side in each arm"):
        interaction_cut(trial(n=36), "m1", "os")


def test_one_arm_has_no_interaction(trial: Trial, declared: Callable[..., dict[str, Any]]) -> None:
    """And its prognostic scan takes everybody."""
    study = declared()
    del study["columns"]["arm"]
    study["single_arm"] = "control"
    cohort = trial(study=study, change=lambda frame: frame.drop(columns="arm"), n=100)
    with pytest.raises(UsageError, match="treated and a control arm"):
        interaction_cut(cohort, "m1", "os")
    assert prognostic_cut(cohort, "m1", "os", QUICK).n_patients == 100


@pytest.mark.parametrize("ask", [prognostic_cut, interaction_cut])
def test_the_order_of_rows_does_not_matter(
    trial: Trial, declared: Callable[..., dict[str, Any]], ask: Any
) -> None:
    """Random numbers belong to patients: a shuffled file gives the same result."""
    study = declared()
    del study["columns"]["age"]

    def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.drop(columns="age").sample(frac=1.0, random_state=3)

    one = ask(trial(study=study, change=lambda f: f.drop(columns="age"), n=120), "m1", "os", QUICK)
    two = ask(trial(study=study, change=shuffled, n=120), "m1", "os", QUICK)
    assert one.p_corrected == two.p_corrected
    assert one.ratio_low == pytest.approx(two.ratio_low, rel=1e-3)
    assert one.out_of_fold == pytest.approx(two.out_of_fold, rel=1e-6)
