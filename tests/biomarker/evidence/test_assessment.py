"""The whole assessment: codes from designs, the ledger, stages, and words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort
from biomarker.errors import UsageError
from biomarker.evidence import EvidenceResult, Verdict, assess
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.multiplicity import Ledger
from biomarker.evidence.verdict import RECORD_FIELDS

Trial = Callable[..., Cohort]
Declared = Callable[..., dict[str, Any]]

WORD = "predictive"


def test_a_planted_interaction_in_a_randomised_trial_is_claimed(trial: Trial) -> None:
    """Treatment effect differs by m1, and m1 tells nothing under control: predictive."""
    result = assess(trial(n=400, predictive=-0.9, seed=5), ["m1"])
    (verdict,) = result
    assert isinstance(result, EvidenceResult)
    assert isinstance(verdict, Verdict)
    assert verdict.verdict == "predictive"
    assert verdict.claimed
    assert not verdict.confirmatory
    assert "differs by m1" in verdict.sentence
    assert verdict.sentence.startswith("The effect")
    assert verdict.ratio is not None
    assert verdict.ratio < 1
    assert verdict.effect_absolute is not None
    assert verdict.effect_absolute > 0
    assert verdict.effect_type in ("qualitative", "quantitative", "type not determined")


def test_a_prognostic_marker_is_prognostic_and_absence_is_not_asserted(trial: Trial) -> None:
    """Same effect in both arms: the sentence says what is excluded and what was detectable."""
    (verdict,) = assess(trial(n=300, prognostic=0.8, seed=6), ["m1"])
    assert verdict.verdict == "prognostic"
    assert "predictive effect not established" in verdict.sentence
    assert "excludes ratios below" in verdict.sentence
    assert "80% power" in verdict.sentence
    assert f"not {WORD}" not in verdict.sentence


def test_both_questions_can_be_answered_yes(trial: Trial) -> None:
    """Prognostic and predictive together."""
    (verdict,) = assess(trial(n=500, prognostic=0.7, predictive=-1.0, seed=7), ["m1"])
    assert verdict.verdict == "predictive_and_prognostic"
    assert "Under control it is associated" in verdict.sentence


@pytest.mark.parametrize(
    ("declared_arm", "code"),
    [("treated", "associated_under_treatment"), ("control", "prognostic"), (None, None)],
)
def test_a_single_arm_never_yields_the_word(
    trial: Trial, declared: Declared, declared_arm: str | None, code: str | None
) -> None:
    """However strong the association, and whether or not the study says which arm it was."""
    study = declared(single_arm=declared_arm)
    del study["columns"]["arm"]
    cohort = trial(study, lambda f: f.drop(columns="arm"), n=200, prognostic=1.0)
    result = assess(cohort)
    assert result[0].verdict == (code or "associated_under_treatment")
    for verdict in result:
        assert WORD not in json.dumps(verdict.record()).lower()
        assert verdict.ratio is None
        assert verdict.p_interaction is None


def test_a_record_has_the_published_fields_and_is_json(trial: Trial) -> None:
    """In order, with null for what is not finite."""
    record = assess(trial(n=60), ["m2"])[0].record()
    assert tuple(record) == RECORD_FIELDS
    assert list(record)[:4] == ["marker", "endpoint", "verdict", "design"]
    assert list(record)[-3:] == ["ph_p", "reason", "sentence"]
    json.dumps(record, allow_nan=False)
    assert record["n_treated"] + record["n_control"] == 60


def test_a_repeated_call_repeats_its_numbers_and_adds_nothing(trial: Trial) -> None:
    """Same seed, same verdicts; the ledger grows once."""
    cohort = trial(n=80)
    first = assess(cohort)
    again = assess(cohort, ledger=first.ledger)
    assert [v.record() for v in first] == [v.record() for v in again]
    claims = [row for row in first.ledger if row.family in ("interaction", "association")]
    assert len(claims) == 4
    assert {row.family for row in first.ledger if row.marker == "m1"} == {
        "interaction",
        "association",
        "interaction_spline",
        "association_bend",
    }
    assert again.ledger == first.ledger


def test_earlier_tests_raise_the_adjusted_p(trial: Trial) -> None:
    """A marker tested alone after another pays for both."""
    cohort = trial(n=120, predictive=-0.4, seed=9)
    alone = assess(cohort, ["m1"])[0]
    after = assess(cohort, ["m1"], ledger=assess(cohort, ["m2"]).ledger)[0]
    assert alone.p_adjusted == alone.p_interaction
    assert (alone.family_size, after.family_size) == (1, 2)
    assert after.p_adjusted == pytest.approx(min(1.0, 2 * alone.p_interaction), abs=0.01)
    assert after.adjustment == "Holm over the ledger"


def hypothesis(marker: str, **more: str) -> dict[str, str]:
    """A claim written down beforehand."""
    return {"marker": marker, "endpoint": "os", "claim": WORD, **more}


def test_a_recorded_hypothesis_is_confirmatory_and_opens_the_gate(
    trial: Trial, declared: Declared
) -> None:
    """Its p is adjusted among the recorded alone."""
    study = declared(hypotheses=[hypothesis("m1", direction="higher_is_better")])
    result = assess(trial(study, n=400, predictive=-0.9, seed=5))
    m1, m2 = result
    assert m1.confirmatory
    assert m1.verdict == "predictive"
    assert "confirmatory" in m1.sentence
    assert m1.adjustment == "Holm over recorded hypotheses"
    assert m1.family_size == 1
    assert not m2.confirmatory
    assert sum(row.kind == "hypothesis" for row in result.ledger) == 1


def test_an_unconfirmed_hypothesis_shuts_the_gate(trial: Trial, declared: Declared) -> None:
    """Exploration may not claim once what was written down has failed."""
    study = declared(hypotheses=[hypothesis("m2")])
    m1, m2 = assess(trial(study, n=400, predictive=-0.9, seed=5))
    assert m2.p_adjusted is not None
    assert m2.p_adjusted > 0.05
    assert m1.p_adjusted is not None
    assert m1.p_adjusted < 0.05
    assert not m1.claimed
    assert "written down beforehand" in m1.reason


def test_a_hypothesis_written_after_a_look_is_exploratory(trial: Trial, declared: Declared) -> None:
    """The ledger remembers that the dataset was tested before."""
    cohort = trial(n=200, predictive=-0.9, seed=5)
    study = declared(hypotheses=[hypothesis("m1")])
    late = trial(study, n=200, predictive=-0.9, seed=5)
    verdict = assess(late, ["m1"], ledger=assess(cohort, ["m2"]).ledger)[0]
    assert not verdict.confirmatory


def test_a_hypothesis_of_the_other_direction_is_not_confirmed(
    trial: Trial, declared: Declared
) -> None:
    """Two-sided tests reject either way; confirmation names its side."""
    study = declared(hypotheses=[hypothesis("m1", direction="higher_is_worse")])
    verdict = assess(trial(study, n=400, predictive=-0.9, seed=5), ["m1"])[0]
    assert not verdict.confirmatory
    assert "other direction" in verdict.reason


def test_an_observational_comparison_is_named_and_never_confirmatory(
    trial: Trial, declared: Declared
) -> None:
    """With an adjustment set it may claim, in words that say what it is."""
    study = declared(hypotheses=[hypothesis("m1")])
    study["columns"]["arm"]["randomised"] = False
    verdict = assess(trial(study, n=400, predictive=-1.0, seed=5), ["m1"])[0]
    assert verdict.design == "observational"
    assert verdict.claimed
    assert verdict.sentence.startswith("In a non-randomised comparison, ")
    assert not verdict.confirmatory


def test_without_an_adjustment_set_an_observational_claim_is_withheld(
    trial: Trial, declared: Declared
) -> None:
    """Unstated randomisation counts as none."""
    study = declared()
    del study["columns"]["arm"]["randomised"]
    study["columns"]["age"] = {"role": "ignore"}
    verdict = assess(trial(study, n=400, predictive=-1.0, seed=5), ["m1"])[0]
    assert verdict.design == "observational"
    assert not verdict.claimed
    assert "adjustment set" in verdict.reason


def test_few_patients_cannot_carry_a_claim(trial: Trial) -> None:
    """Three treated patients with a harmful marker far out, and alive: withheld, and why."""

    def outliers(frame: pd.DataFrame) -> pd.DataFrame:
        rows = frame.index[frame["arm"] == "drug"][:3]
        frame.loc[rows, "m1"] = 6.0
        frame.loc[rows, "months"] = 2.0
        frame.loc[rows, "died"] = "0"
        return frame

    verdict = assess(trial(n=240, prognostic=0.8, change=outliers, seed=6), ["m1"])[0]
    assert verdict.p_asymptotic is not None
    assert verdict.p_asymptotic < 0.05
    assert not verdict.claimed
    assert "most influential" in verdict.reason


def test_missing_values_that_differ_by_arm_cap_the_claim(trial: Trial, declared: Declared) -> None:
    """Even a recorded hypothesis is exploratory then."""
    study = declared(hypotheses=[hypothesis("m1")])

    def gap(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame.index[frame["arm"] == "drug"][:25], "m1"] = np.nan
        return frame

    verdict = assess(trial(study, gap, n=400, predictive=-0.9, seed=5), ["m1"])[0]
    assert not verdict.confirmatory
    assert "missing values" in verdict.reason
    assert (verdict.n_missing, verdict.missing_treated, verdict.missing_control) == (25, 25, 0)


def test_what_cannot_be_fitted_is_said(trial: Trial) -> None:
    """A marker that is the arm: not estimable, and why."""

    def same(frame: pd.DataFrame) -> pd.DataFrame:
        frame["m2"] = np.where(frame["arm"] == "drug", "high", "low")
        return frame

    result = assess(trial(n=80, change=same, seed=2), ["m2"])
    assert result[0].verdict == "not_estimable"
    assert result[0].ratio is None
    assert "not estimable" in result[0].reason
    assert any(row.p is None for row in result.ledger)


def test_a_group_without_events_is_judged_by_a_penalised_fit_and_says_so(trial: Trial) -> None:
    """No treated patient of one level dies: the ratio is finite, and the reason names Firth."""

    def separate(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[(frame["arm"] == "drug") & (frame["m2"] == "high"), "died"] = "0"
        return frame

    (verdict,) = assess(trial(n=80, change=separate, seed=2), ["m2"])
    assert verdict.penalised
    assert "Firth" in verdict.reason
    assert verdict.ratio is not None
    assert 0 < verdict.ratio < 1
    assert verdict.ratio_high is not None
    assert verdict.ratio_high < np.inf


def test_a_second_roll_of_the_dice_is_not_to_be_had(trial: Trial) -> None:
    """A dataset known to the ledger keeps the seed of its first test, whatever is asked for."""
    cohort = trial(n=80)
    first = assess(cohort, random_state=3)
    again = assess(cohort, random_state=4, ledger=first.ledger)
    assert [v.record() for v in first] == [v.record() for v in again]


def test_curves_are_secondary(trial: Trial) -> None:
    """They are recorded under their own families and change no verdict."""
    cohort = trial(n=200, prognostic=0.8, seed=6)
    (full,), (plain,) = assess(cohort, ["m1"]), assess(cohort, ["m1"], curves=False)
    assert full.record() == plain.record()
    assert full.p_spline is not None
    assert full.p_bend is not None
    assert plain.p_spline is None


def test_competing_events_name_the_hazard(trial: Trial, declared: Declared) -> None:
    """An endpoint with competing events has a cause-specific hazard, in scale and sentence."""
    study = declared()
    study["endpoints"]["os"]["competing"] = True
    (verdict,) = assess(trial(study, n=80), ["m1"], curves=False)
    assert verdict.scale == "cause-specific hazard ratio"
    assert "cause-specific hazard ratios" in verdict.sentence


def test_horizons_carry_the_absolute_scale_too(trial: Trial, declared: Declared) -> None:
    """Restricted mean first, then survival at each horizon that both arms support."""
    study = declared()
    study["endpoints"]["os"]["horizons"] = [0.5, 50.0]
    (verdict,) = assess(trial(study, n=120), ["m1"], curves=False)
    assert [e.measure for e in verdict.absolute_effects] == ["restricted_mean", "survival"]
    assert verdict.absolute_effects[1].at == 0.5
    assert "On the absolute scale" in verdict.sentence


def test_a_marker_measured_in_one_arm_only_is_not_estimable(trial: Trial) -> None:
    """Nothing can be compared between arms, and the file is still assessed."""

    def gap(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["arm"] == "drug", "m1"] = np.nan
        return frame

    verdict = assess(trial(n=80, change=gap), ["m1"])[0]
    assert not verdict.claimed
    assert verdict.ratio is None
    assert "both arms" in verdict.reason


@pytest.mark.parametrize(
    ("markers", "alpha", "message"),
    [(["m1"], 1.5, "alpha"), (["m1", "m1"], 0.05, "distinct"), (["age"], 0.05, "covariate")],
)
def test_calls_that_cannot_be_carried_out_are_named(
    trial: Trial, markers: list[str], alpha: float, message: str
) -> None:
    """By what is wrong with them."""
    with pytest.raises(UsageError, match=message):
        assess(trial(n=60), markers, alpha)


def test_a_declared_limit_beyond_support_is_refused(trial: Trial, declared: Declared) -> None:
    """An undertaking that the data cannot keep is not clipped in silence."""
    study = declared()
    study["endpoints"]["os"]["tau"] = 40.0
    with pytest.raises(UsageError, match="10% of each arm"):
        assess(trial(study, n=80), ["m1"])


def test_the_ledger_survives_its_store(trial: Trial) -> None:
    """As rows of plain values."""
    ledger = assess(trial(n=60), ["m1"]).ledger
    assert Ledger.from_rows(json.loads(json.dumps(ledger.to_rows()))) == ledger


def test_an_arm_without_events_leaves_nothing_to_compare(trial: Trial) -> None:
    """No interval made by a penalty alone: the control arm says nothing of the marker there."""

    def quiet(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["arm"] == "placebo", "died"] = "0"
        return frame

    (verdict,) = assess(trial(change=quiet, n=120), ["m1"], curves=False)
    assert verdict.ratio is None
    assert verdict.verdict == "not_estimable"
    assert "an event in each arm; got none among 60 control patient(s)" in verdict.sentence
    assert verdict.effect_absolute is None


def test_a_marker_never_measured_under_control_is_no_crash(trial: Trial) -> None:
    """Nothing can be fitted; who is there is still counted."""

    def gone(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(m1=frame["m1"].where(frame["arm"] == "drug"))

    (verdict,) = assess(trial(change=gone, n=120), ["m1"])
    assert verdict.verdict == "not_estimable"
    assert (verdict.n_treated, verdict.n_control, verdict.n_missing) == (60, 0, 60)


def test_patients_are_counted_where_a_marker_has_one_value(trial: Trial) -> None:
    """Counts do not wait for a fit."""
    cohort = trial(change=lambda f: f.assign(m1=1.0), n=120)
    (verdict,) = assess(cohort, ["m1"], curves=False)
    assert (verdict.n_treated, verdict.n_control, verdict.n_missing) == (60, 60, 0)
    event = (cohort.outcomes["os"].event).sum()
    assert verdict.events_treated + verdict.events_control == event


def test_lonely_strata_of_a_response_stop_nothing(trial: Trial, declared: Declared) -> None:
    """One patient in a stratum has no contrast; small strata are taken together."""
    study = declared()
    del study["columns"]["months"]
    levels = ["a", "b", "c", "d", "e"]
    study["columns"]["site"] = {"role": "stratum", "kind": "categorical", "levels": levels}
    study["endpoints"] = {
        "response": {"type": "response", "column": "died", "positive": ["1"], "negative": ["0"],
                     "primary": True}
    }  # fmt: skip

    def sites(frame: pd.DataFrame) -> pd.DataFrame:
        site = np.array(["a", "b"])[np.arange(len(frame)) % 2]
        site[:3] = ["c", "d", "e"]
        return frame.drop(columns="months").assign(site=site)

    cohort = trial(study, sites, n=200)
    (verdict,) = assess(cohort, ["m1"], curves=False)
    assert verdict.ratio is not None
    assert verdict.n_treated + verdict.n_control == 200
    strata = analysis_set(cohort, "m1", "response").strata
    assert strata is not None
    assert len(np.unique(strata)) == 2  # three patients alone join the smaller of two sites


def test_proportionality_is_looked_at_in_one_arm_too(trial: Trial, declared: Declared) -> None:
    """A marker whose hazard ratio turns with time: found, and the wording keeps to the scale."""
    study = declared(single_arm="control")
    del study["columns"]["arm"]

    def turning(frame: pd.DataFrame) -> pd.DataFrame:
        z, base = frame["m1"].to_numpy(), np.random.default_rng(5).exponential(size=len(frame))
        early = 1.3 * z
        needed = base * np.exp(-early)
        time = np.where(needed < 0.4, needed, 0.4 + (base - 0.4 * np.exp(early)) * np.exp(1.0 * z))
        frame = frame.assign(months=np.clip(time, 1e-3, 5.0), died=(time < 5.0).astype(int))
        return frame.drop(columns="arm").assign(died=lambda f: f["died"].astype(str))

    (verdict,) = assess(trial(study, turning, n=400), ["m1"], curves=False)
    assert verdict.ph_p is not None
    assert verdict.ph_p < 0.001
    assert "Hazards are not proportional" in verdict.sentence
    (plain,) = assess(
        trial(study, lambda f: f.drop(columns="arm"), n=400, prognostic=0.5), ["m1"], curves=False
    )
    assert plain.ph_p is not None


def test_an_observational_claim_shows_its_overlap(trial: Trial, declared: Declared) -> None:
    """And its weighted ratio; the absolute scale says that nothing was adjusted for there."""
    study = declared()
    study["columns"]["arm"]["randomised"] = False
    (verdict,) = assess(trial(study, n=300, seed=1, predictive=-0.9), ["m1"], curves=False)
    assert verdict.claimed
    assert re.search(r"100% of patients have a propensity .* weighted by it the ratio is 0\.\d",
                     verdict.sentence)  # fmt: skip
    assert "On the absolute scale, without adjustment, the arms' difference" in verdict.sentence
    assert verdict.flag == ""


def test_the_middle_half_of_a_marker_is_told_on_the_absolute_scale(trial: Trial) -> None:
    """Between its quartiles: the slope times their distance."""
    (verdict,) = assess(trial(n=200, seed=1, predictive=-0.9), ["m1"], curves=False)
    effect = verdict.absolute_effects[0]
    assert f"upper quartile by {effect.quartiles:+.2f}" in verdict.sentence


def test_who_is_left_out_is_told_by_number(trial: Trial) -> None:
    """Three of 60 are not 1%."""

    def outliers(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.sort_values("arm").reset_index(drop=True)
        frame.loc[[0, 2, 4], "m1"] = [6.0, 7.0, 6.5]
        frame.loc[[0, 2, 4], "months"] = [0.01, 0.02, 0.015]
        frame.loc[[0, 2, 4], "died"] = "1"
        return frame

    (verdict,) = assess(trial(change=outliers, n=60, seed=0), ["m1"], curves=False)
    assert "rests on the 3 most influential of 60 patients" in verdict.reason
