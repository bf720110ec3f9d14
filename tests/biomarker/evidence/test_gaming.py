"""Ways to make a verdict say more than the data: each leaves its trace, or changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort
from biomarker.errors import UsageError
from biomarker.evidence import assess
from biomarker.evidence.identity import dataset_digest

Trial = Callable[..., Cohort]
Declared = Callable[..., dict[str, Any]]


def claim(**changes: Any) -> list[dict[str, Any]]:
    """One recorded hypothesis."""
    return [{"marker": "m1", "endpoint": "os", "claim": "predictive", **changes}]


def test_another_marker_under_an_old_name_is_another_test(trial: Trial) -> None:
    """Values are part of what a test is: five noise columns called m1 are a family of five."""
    ledger = None
    for k in range(5):
        noise = np.random.default_rng(100 + k).normal(size=120)
        cohort = trial(change=lambda f, z=noise: f.assign(m1=z), n=120)
        result = assess(cohort, ["m1"], ledger=ledger, curves=False)
        ledger = result.ledger
        assert result[0].family_size == k + 1


def test_a_hypothesis_does_not_follow_a_name_to_new_values(
    trial: Trial, declared: Declared
) -> None:
    """Recorded of one column's values, it says nothing about others put in its place."""
    study = declared(hypotheses=claim())
    first = assess(trial(study, n=200, predictive=-0.9), ["m1"], curves=False)
    swapped = trial(study, lambda f: f.assign(m1=f["m1"] ** 3), n=200, predictive=-0.9)
    assert first[0].confirmatory
    assert not assess(swapped, ["m1"], ledger=first.ledger, curves=False)[0].confirmatory


def test_a_direction_cannot_be_turned_after_the_look(trial: Trial, declared: Declared) -> None:
    """Nor removed: what was written down first is what counts."""
    wrong = declared(hypotheses=claim(direction="higher_is_worse"))
    first = assess(trial(wrong, n=300, seed=1, predictive=-0.9), ["m1"], curves=False)
    assert first[0].claimed
    assert not first[0].confirmatory
    for hypotheses in (claim(direction="higher_is_better"), []):
        later = trial(declared(hypotheses=hypotheses), n=300, seed=1, predictive=-0.9)
        assert not assess(later, ["m1"], ledger=first.ledger, curves=False)[0].confirmatory


def test_another_name_for_endpoint_or_control_is_no_new_dataset(
    trial: Trial, declared: Declared
) -> None:
    """A hypothesis about the renamed endpoint comes after the look, and stays exploratory."""
    first = assess(trial(n=300, seed=1, predictive=-0.9), ["m1"], curves=False)
    renamed = declared(hypotheses=claim(endpoint="survival"))
    renamed["endpoints"] = {"survival": renamed["endpoints"]["os"]}
    later = trial(renamed, n=300, seed=1, predictive=-0.9)
    assert not assess(later, ["m1"], ledger=first.ledger, curves=False)[0].confirmatory
    turned = declared()
    turned["columns"]["arm"]["control"] = "drug"
    same = trial(turned, n=300, seed=1, predictive=-0.9)
    assert dataset_digest(same) == dataset_digest(later) == first.dataset
    other = trial(n=300, seed=2, predictive=-0.9)
    assert dataset_digest(other) != first.dataset


def test_the_order_of_rows_changes_no_number(trial: Trial) -> None:
    """Random numbers belong to patients: a shuffled file is no second draw."""
    plain = trial(n=60, seed=72, prognostic=0.45)
    mixed = trial(
        change=lambda f: f.sample(frac=1.0, random_state=0), n=60, seed=72, prognostic=0.45
    )
    (one,), (other,) = assess(plain, ["m1"]), assess(mixed, ["m1"])
    assert (one.p_interaction, one.p_prognostic) == (other.p_interaction, other.p_prognostic)
    assert one.ratio_low == pytest.approx(other.ratio_low, rel=1e-6)


def test_exploring_beside_it_leaves_a_confirmatory_result_alone(
    trial: Trial, declared: Declared
) -> None:
    """Same p, same adjusted p, same interval, however hard the explored marker is to judge."""
    study = declared(hypotheses=claim())
    cohort = trial(study, n=100, seed=22, predictive=-0.8)
    alone = assess(cohort, ["m1"], curves=False)
    beside = assess(cohort, ["m1", "m2"], ledger=alone.ledger, curves=False)
    assert alone[0].confirmatory
    for name in ("p_interaction", "p_adjusted", "ratio_low", "ratio_high"):
        assert getattr(alone[0], name) == getattr(beside[0], name)


def test_a_hypothesis_about_an_absent_marker_keeps_the_gate_shut(
    trial: Trial, declared: Declared
) -> None:
    """It was not confirmed; exploration may claim nothing."""
    study = declared(hypotheses=claim(marker="m3"))
    study["columns"]["m3"] = {"role": "marker", "kind": "continuous", "optional": True}
    (verdict,) = assess(trial(study, n=400, seed=5, predictive=-0.9), ["m1"], curves=False)
    assert not verdict.claimed
    assert "not confirmed" in verdict.reason


def test_a_missing_arm_column_is_not_a_single_arm(trial: Trial, declared: Declared) -> None:
    """The study says there are two arms; the file cannot silently say there is one."""
    study = declared()
    study["columns"]["arm"]["optional"] = True
    with pytest.raises(UsageError, match="arm column"):
        assess(trial(study, lambda f: f.drop(columns="arm"), n=80))


def test_outcomes_lost_in_one_arm_cap_the_claim(trial: Trial, declared: Declared) -> None:
    """Treated patients with a high marker whose outcome is unknown: exploratory, and said."""

    def lose(frame: pd.DataFrame) -> pd.DataFrame:
        gone = (frame["arm"] == "drug") & (frame["m1"] > 0.3)
        frame.loc[gone & (np.random.default_rng(0).random(len(frame)) < 0.8), "months"] = np.nan
        return frame

    study = declared(hypotheses=claim())
    (verdict,) = assess(trial(study, lose, n=300, seed=1, predictive=-0.9), ["m1"], curves=False)
    assert not verdict.confirmatory
    assert verdict.no_outcome_treated > 20
    assert "without the outcome" in verdict.sentence


def test_several_levels_are_told_as_a_joint_test(trial: Trial, declared: Declared) -> None:
    """The p is of all contrasts together, and the sentence says that the ratio is one of them."""
    study = declared()
    study["columns"]["m2"]["levels"] = ["low", "mid", "high"]

    def three(frame: pd.DataFrame) -> pd.DataFrame:
        level = np.random.default_rng(1).integers(0, 3, len(frame))
        frame["m2"] = np.array(["low", "mid", "high"])[level]
        mid = (level == 1) & (frame["arm"] == "drug")
        frame["months"] = frame["months"] * np.where(mid, 4.0, 1.0)
        return frame

    (verdict,) = assess(trial(study, three, n=300, seed=1), ["m2"], curves=False)
    assert "joint test of 2 contrasts" in verdict.sentence


def test_one_bad_covariate_does_not_stop_the_rest(trial: Trial, declared: Declared) -> None:
    """All missing, or a copy of another: it adjusts for nothing, and markers are still judged."""
    study = declared()
    study["columns"] |= {
        "bmi": {"role": "covariate", "kind": "continuous"},
        "twice": {"role": "covariate", "kind": "continuous"},
    }

    def add(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(age=np.nan, bmi=np.arange(100.0), twice=2.0 * np.arange(100.0))

    (verdict,) = assess(trial(study, add, n=100), ["m1"], curves=False)
    assert verdict.p_interaction is not None


def test_a_marker_that_orders_the_outcome_does_not_stop_the_rest(trial: Trial) -> None:
    """The hardest separation there is: finite numbers or none, never a crash."""
    cohort = trial(change=lambda f: f.assign(m1=f["months"]), n=60, seed=1)
    result = assess(cohort, curves=False)
    assert [v.marker for v in result] == ["m1", "m2"]


def test_a_limit_past_one_markers_patients_leaves_the_others_alone(
    trial: Trial, declared: Declared
) -> None:
    """Only a tau beyond the whole cohort is refused, and no patient's time is told."""
    study = declared()
    study["endpoints"]["os"]["tau"] = 1.0

    def gap(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["months"] > 0.9, "m2"] = None
        return frame

    first, second = assess(trial(study, gap, n=120, seed=1), curves=False)
    assert first.effect_absolute is not None
    assert second.effect_absolute is None
    study["endpoints"]["os"]["tau"] = 1.9
    with pytest.raises(UsageError, match=r"tau of endpoint 'os' must be at most about \d\.\d,"):
        assess(trial(study, n=120, seed=1))


def tied(frame: pd.DataFrame) -> pd.DataFrame:
    """Whole months, so that many patients are alike in their outcome; no id."""
    frame["months"] = np.ceil(frame["months"] * 3)
    return frame.drop(columns="pid")


def test_without_ids_the_order_of_rows_changes_nothing(trial: Trial, declared: Declared) -> None:
    """Patients alike in their outcome are told apart by what else is known, not by their row."""
    study = declared()
    del study["columns"]["pid"]
    plain = trial(study, tied, n=60, seed=72, prognostic=0.45)
    first = assess(plain, ["m1"], curves=False)
    for state in range(6):
        mixed = trial(
            study,
            lambda f, state=state: tied(f).sample(frac=1.0, random_state=state),
            n=60,
            seed=72,
            prognostic=0.45,
        )
        assert dataset_digest(mixed) == first.dataset
        (other,) = assess(mixed, ["m1"], curves=False)
        assert other.p_interaction == first[0].p_interaction
        assert other.p_prognostic == first[0].p_prognostic


def test_pooling_three_arms_another_way_is_no_new_dataset(trial: Trial, declared: Declared) -> None:
    """A hypothesis about the new comparison comes after a look at these patients."""
    study = declared()
    study["columns"]["arm"] |= {"levels": ["placebo", "drug", "both"]}

    def three(frame: pd.DataFrame) -> pd.DataFrame:
        more = (frame["arm"] == "drug") & (np.arange(len(frame)) % 3 == 0)
        return frame.assign(arm=np.where(more, "both", frame["arm"]))

    first = assess(trial(study, three, n=300, seed=1, predictive=-0.9), ["m1"], curves=False)
    study["columns"]["arm"]["control"] = ["placebo", "both"]
    study["hypotheses"] = claim()
    later = trial(study, three, n=300, seed=1, predictive=-0.9)
    again = assess(later, ["m1"], ledger=first.ledger, curves=False)
    assert again.dataset == first.dataset
    assert not again[0].confirmatory


def test_a_level_loosened_after_the_look_confirms_nothing(trial: Trial, declared: Declared) -> None:
    """The level is written down with the hypothesis; a stricter one later is no harm."""
    cohort = trial(declared(hypotheses=claim()), n=300, seed=1, predictive=-0.9)
    first = assess(cohort, ["m1"], 0.01, curves=False)
    loose = assess(cohort, ["m1"], 0.10, first.ledger, curves=False)
    assert loose[0].claimed
    assert not loose[0].confirmatory
    assert "to be judged at alpha 0.01" in loose[0].sentence
    assert assess(cohort, ["m1"], 0.005, first.ledger, curves=False)[0].confirmatory


def test_a_hypothesis_refuted_the_other_way_keeps_the_gate_shut(
    trial: Trial, declared: Declared
) -> None:
    """Significant against what was foretold confirms nothing, so nothing explored is claimed."""

    def second(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(m3=frame["m1"] + 0.1 * np.random.default_rng(2).normal(size=300))

    for direction, opened in (("higher_is_worse", False), ("higher_is_better", True)):
        study = declared(hypotheses=claim(direction=direction))
        study["columns"]["m3"] = {"role": "marker", "kind": "continuous"}
        cohort = trial(study, second, n=300, seed=1, predictive=-0.9)
        explored = next(v for v in assess(cohort, curves=False) if v.marker == "m3")
        assert explored.claimed == opened
        assert ("was not confirmed" in explored.reason) != opened


def test_a_prognosis_against_its_hypothesis_says_so(trial: Trial, declared: Declared) -> None:
    """A higher hazard where a better outcome was foretold."""
    study = declared(hypotheses=claim(claim="prognostic", direction="higher_is_better"))
    cohort = trial(study, n=300, seed=1, prognostic=0.8)
    (verdict,) = assess(cohort, ["m1"], curves=False)
    assert verdict.verdict == "prognostic"
    assert "association named the other direction" in verdict.sentence


def test_a_long_ledger_is_met_with_more_draws(trial: Trial) -> None:
    """A true interaction after 80 other tests: 999 draws could not go below 81 in 1,000."""
    cohort = trial(n=200, seed=1, predictive=-1.5)
    first = assess(cohort, ["m2"], curves=False)
    row = next(r for r in first.ledger if r.kind == "test" and r.family == "interaction")
    noise = np.random.default_rng(0).uniform(0.05, 1.0, 80)
    others = [replace(row, specification=f"other {k}", p=float(p)) for k, p in enumerate(noise)]
    (verdict,) = assess(cohort, ["m1"], ledger=first.ledger.append(others), curves=False)
    assert verdict.n_draws > 3999
    assert verdict.p_adjusted is not None
    assert verdict.p_adjusted < 0.05
    assert verdict.claimed


def test_a_dataset_s_seed_is_the_one_reported(trial: Trial) -> None:
    """Asking again with another seed reports the seed that made the numbers."""
    first = assess(trial(n=80), ["m1"], random_state=3, curves=False)
    again = assess(trial(n=80), ["m1"], ledger=first.ledger, random_state=7, curves=False)
    assert again[0].seed == 3
    assert again[0].p_interaction == first[0].p_interaction


@pytest.mark.parametrize(("alpha", "seed", "words"), [(1e-6, 0, "alpha"), (0.05, -1, "random")])
def test_what_cannot_be_drawn_is_refused(trial: Trial, alpha: float, seed: int, words: str) -> None:
    """A level below what redrawn outcomes can tell, a seed that is none."""
    with pytest.raises(UsageError, match=words):
        assess(trial(n=60), ["m1"], alpha, random_state=seed)
