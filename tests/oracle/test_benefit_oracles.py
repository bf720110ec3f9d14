"""Durable benefit against R and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from biomarker import Cohort, Study, survival_outcome
from biomarker.evidence.durable import milestone_contrasts
from biomarker.evidence.landmark import landmark_association
from biomarker.metrics.benefit import c_for_benefit, rule_gain

PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
DRUG_EVENTS = [6, 6, 6, 7, 10, 13, 16, 22, 23]
DRUG_CENSORED = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
TIME = np.array(PLACEBO + DRUG_EVENTS + DRUG_CENSORED, dtype=float)
EVENT = np.array([1] * 30 + [0] * 12)
ARM = np.repeat([0, 1], 21)


def test_the_landmark_ratio_is_that_of_coxph_among_those_left() -> None:
    """Freireich's 6-MP trial, an arbitrary group, landmark 5 weeks.

    R: g <- rep(c(1,0,0,1,0,1), length.out = 42); keep <- time > 5
    coxph(Surv(time - 5, status) ~ g + strata(arm), subset = keep): coefficient .441162000285,
    likelihood ratio .904844989794, p .341485904649.
    """
    group = np.resize([1, 0, 0, 1, 0, 1], 42)
    found = landmark_association(
        survival_outcome(EVENT, TIME), group, landmark=5.0, known_at=0.0, strata=ARM
    )
    assert np.log(found.hazard_ratio) == pytest.approx(0.441162000285, abs=1e-6)
    assert found.p_asymptotic == pytest.approx(0.341485904649, abs=1e-6)
    assert found.p == pytest.approx(found.p_asymptotic, abs=0.08)
    assert (found.n_used, found.n_excluded, found.n_excluded_events) == (33, 9, 9)
    assert (found.n_members, found.events_members) == (17, 11)
    assert (found.n_others, found.events_others) == (16, 10)


def test_milestones_are_those_of_survfit() -> None:
    """6-MP at 10 weeks, every patient in one of two alike levels.

    R, by arm: summary(survfit(Surv(time, status) ~ 1, conf.type = "log-log"), times = 10):
    placebo .380952380952 (.183066548820-.577788677746), 8 at risk; 6-MP .752941176471
    (.503199510800-.889361835169), 15 at risk. rmean = 10: 6.619047619048 (se .733012268851) and
    9.277310924370 (se .326769115387). Each level repeats the trial.
    """
    study = Study.from_dict(
        {
            "format_version": 1,
            "name": "mercaptopurine",
            "columns": {
                "arm": {
                    "role": "arm", "levels": ["0", "1"], "control": "0", "randomised": True,
                },
                "m": {"role": "marker", "kind": "categorical", "levels": ["a", "b"]},
                "weeks": {"role": "endpoint"},
                "relapse": {"role": "endpoint"},
            },
            "endpoints": {
                "remission": {
                    "type": "survival", "duration": "weeks", "event": "relapse",
                    "event_values": ["1"], "censored_values": ["0"], "unit": "weeks",
                }
            },
        }
    )  # fmt: skip
    import pandas as pd

    frame = pd.DataFrame(
        {
            "arm": np.tile(ARM, 2).astype(str),
            "m": np.repeat(["a", "b"], 42),
            "weeks": np.tile(TIME, 2),
            "relapse": np.tile(EVENT, 2).astype(str),
        }
    )
    cohort = Cohort.from_frame(frame, study)
    survival, again, mean, _ = milestone_contrasts(cohort, "m", "remission", [10.0])
    assert (survival.control, survival.treated) == pytest.approx((0.380952380952, 0.752941176471))
    limits = (survival.control_low, survival.control_high)
    assert limits == pytest.approx((0.183066548820, 0.577788677746), abs=1e-7)
    limits = (survival.treated_low, survival.treated_high)
    assert limits == pytest.approx((0.503199510800, 0.889361835169), abs=1e-7)
    assert (survival.at_risk_control, survival.at_risk_treated) == (8, 15)
    assert (mean.control, mean.treated) == pytest.approx((6.619047619048, 9.277310924370))
    half = 1.959963984540054 * 0.733012268851
    assert mean.control - mean.control_low == pytest.approx(half, abs=1e-7)
    assert (survival.difference, survival.level, again.level) == (again.difference, "a", "b")
    # Zou and Donner's limit from the four limits above.
    low = 0.371988795519 - np.hypot(0.752941176471 - 0.5031995108, 0.577788677746 - 0.380952380952)
    assert survival.difference_low == pytest.approx(low, abs=1e-7)


def test_c_for_benefit_by_counting_pairs() -> None:
    """Four pairs in order of predicted benefit saw 0, -1, 1 and 1.

    Of six pairs of pairs, the last two tie; the second pair lies below the first (discordant), all
    others agree: 4 of 5.
    """
    benefit = [0.1, 0.2, 0.3, 0.4] * 2
    response = [1, 0, 1, 1, 1, 1, 0, 0]
    found = c_for_benefit(benefit, [1] * 4 + [0] * 4, response)
    assert found.value == pytest.approx(4 / 5)
    # Each pair's (agreeing - C comparable) pairs: 2 of 3, 2 of 3, 2 of 2, 2 of 2.
    shares = 2 * np.array([2 - 2.4, 2 - 2.4, 2 - 1.6, 2 - 1.6]) / 10
    assert found.standard_error == pytest.approx(np.sqrt((shares**2).sum() * 4 / 3))


def test_c_for_benefit_ties_and_unequal_arms_by_counting() -> None:
    """Two predictions only, one pair of each: concordant; alike predictions count one half."""
    assert c_for_benefit([0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 1, 0]).value == 1.0
    assert c_for_benefit([1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 1, 0], n_matchings=9).value == 0.5
    # One of three controls is left out: without either of the first two the pairs saw -1 and 1,
    # without the third -1 and 0, so that every matching is concordant.
    assert c_for_benefit([0, 0, 0, 1, 1], [1, 0, 0, 1, 0], [0, 1, 1, 1, 0]).value == 1.0


def test_censored_pairs_by_hand() -> None:
    """Survival to 4; treated 2, 3 (censored), 5, 6; controls 1, 4.5, 2, 7 all seen.

    G under treatment falls to 2/3 at 3, so the treated weigh 1, 0, 1.5, 1.5. Pairs saw 0, unknown,
    1 and 0. Comparable: first and third (weight 1.5, concordant), third and fourth (weight 2.25,
    discordant): 1.5 / 3.75.
    """
    y = survival_outcome([1, 0, 1, 1, 1, 1, 1, 1], [2, 3, 5, 6, 1, 4.5, 2, 7])
    found = c_for_benefit([0.1, 0.2, 0.3, 0.4] * 2, [1] * 4 + [0] * 4, y, 4.0, "survival")
    assert found.value == pytest.approx(0.4)


def test_the_gain_of_a_rule_by_hand() -> None:
    """Eight patients, half of them treated by the rule, arms alike in size within each half.

    Spared: treated respond 1 of 2, controls 2 of 2, so sparing gains 1/2 of half the patients.
    Treated by rule: 2 of 2 against 0 of 2, so treating gains 1 of half the patients. With arms
    balanced within the halves the weighted estimate is exactly that.
    """
    benefit, arm = [-1] * 4 + [1] * 4, [1, 1, 0, 0] * 2
    found = rule_gain(benefit, arm, [1, 0, 1, 1, 1, 1, 0, 0])
    assert found.over_all.value == pytest.approx(0.25)
    assert found.over_none.value == pytest.approx(0.5)
