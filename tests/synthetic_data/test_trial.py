"""Cohorts: the same bytes for the same seed, independent streams, sensible columns."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from biomarker.errors import StudyError
from synthetic_data import simulate
from synthetic_data.blocks import _censor, _streams, draw_block
from synthetic_data.plan import BLOCK, plan_for
from synthetic_data.table import Coded, patient_ids

OPEN = ["il2-rcc", "il2-melanoma", "select-like"]


@pytest.mark.parametrize("name", OPEN)
def test_the_same_seed_gives_the_same_cohort(name):
    """Seeds decide everything: equal ones agree to the bit, unequal ones differ."""
    first, truth = simulate(name, 300, 7)
    again, truth_again = simulate(name, 300, 7)
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(truth.patients, truth_again.patients)
    assert not first.equals(simulate(name, 300, 8)[0])


def test_blocks_do_not_depend_on_order_or_company():
    """A block drawn alone is the block of the whole cohort."""
    plan = plan_for("il2-rcc", 2 * BLOCK + 10, 3)
    assert plan.n_blocks == 3
    alone = draw_block(plan, 1)
    frame, _ = simulate("il2-rcc", 2 * BLOCK + 10, 3)
    middle = frame.iloc[BLOCK : 2 * BLOCK]
    np.testing.assert_array_equal(middle["os_months"], alone.observed["os_months"])
    assert middle["patient_id"].iloc[0] == f"P{BLOCK + 1:06d}"
    assert frame["patient_id"].is_unique


def test_no_two_streams_are_alike():
    """Parts of a block, blocks of a cohort and neighbouring seeds share no random stream."""
    draws = [
        rng.standard_normal(4000)
        for seed, block in ((1, 0), (1, 1), (2, 0), (0, 1))
        for rng in _streams(seed, block)
    ]
    matrix = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(matrix).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize("name", OPEN)
def test_latent_censoring_is_independent_of_every_covariate(name):
    """No true covariate, marker, arm or outcome threshold correlates with the censoring time."""
    block = draw_block(plan_for(name, BLOCK, 11), 0)
    limit = 4.5 / np.sqrt(BLOCK)
    columns = dict(block.true) | {"arm": block.treated.astype(float)}
    columns |= {"os": block.outcomes[0].os_months, "risk": block.terms[0].log_hazard}
    for column, values in columns.items():
        plain = values.codes if isinstance(values, Coded) else np.asarray(values)
        if np.ptp(plain) > 0:
            assert abs(spearmanr(plain, block.censoring)[0]) < limit, column


def test_informative_censoring_is_informative_when_declared():
    """A declared dependence makes high-risk patients drop out early."""
    risk = np.random.default_rng(1).standard_normal(20_000)
    rule = {
        "kind": "informative",
        "follow_up_low": 24.0,
        "follow_up_high": 84.0,
        "dropout_per_month": 0.02,
        "log_rate_per_log_hazard": 0.8,
    }
    late = _censor(np.random.default_rng(2), 20_000, rule, risk)
    assert spearmanr(risk, late)[0] < -0.3
    even = _censor(np.random.default_rng(2), 20_000, rule | {"kind": "independent"}, risk)
    assert abs(spearmanr(risk, even)[0]) < 0.03
    block = draw_block(plan_for("il2-rcc", 20_000, 1, informative=1.0), 0)
    assert spearmanr(block.terms[0].log_hazard, block.censoring)[0] < -0.1


def test_arms_are_balanced_in_blocks_of_four():
    """Randomisation is one to one within every four patients; a single arm has no arm column."""
    block = draw_block(plan_for("il2-rcc", 1000, 1), 0)
    assert (block.treated.reshape(-1, 4).sum(axis=1) == 2).all()
    assert "arm" not in simulate("select-like", 50, 1)[0]


def test_observed_outcomes_are_the_potential_ones_of_the_arm_received():
    """What the file shows is min(potential time, censoring), with the right event."""
    frame, truth = simulate("il2-rcc", 2000, 4)
    people = truth.patients
    treated = people["arm"] == "il2"
    time = np.where(treated, people["os_months_treated"], people["os_months_control"])
    seen = np.minimum(time, people["censoring_months"])
    np.testing.assert_allclose(frame["os_months"], seen, atol=1.01e-4)
    np.testing.assert_array_equal(frame["os_event"], (time <= people["censoring_months"]))
    assert (frame["pfs_months"] <= frame["os_months"]).all()
    assert frame["os_months"].min() > 0


def test_eras_treatment_and_risk_move_survival_as_declared():
    """Later eras, treatment and better risk groups live longer; events fall in the asked range."""
    frame, truth = simulate("il2-rcc", 60_000, 5)
    for column, order in (
        ("era", ["1990s", "2000s", "2010s"]),
        ("mskcc", ["poor", "intermediate", "favourable"]),
        ("ecog", ["2", "1", "0"]),
        ("arm", ["control", "il2"]),
    ):
        medians = [frame["os_months"][frame[column] == level].median() for level in order]
        assert medians == sorted(medians), column
    assert 0.5 < frame["os_event"].mean() < 0.8
    assert np.median(truth.patients["os_months_control"]) == pytest.approx(13.0, rel=0.2)


def test_times_at_the_usual_size_have_no_ties():
    """At 700 patients event times are distinct, so that tie handling is no nuisance."""
    frame, _ = simulate("il2-rcc", 700, 1)
    assert frame["os_months"][frame["os_event"] == 1].is_unique


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere", 10, 1), "packaged recipe"),
        (("il2-rcc", 0, 1), "at least 1"),
        (("il2-rcc", 1.5, 1), "whole number"),
        (("il2-rcc", 10, -1), "seed must be"),
        (("il2-rcc", None, 1), "must be given"),
        (("il2-rcc", 10, 1, {"stage": "predictive:1"}), "marker of this design"),
        (("imdc", None, 1, {"vegf": "predictive:1"}), "published study"),
    ],
)
def test_bad_requests_are_named(arguments, says):
    """Each wrong argument raises a StudyError that names it."""
    with pytest.raises(StudyError, match=says):
        simulate(*arguments)
    with pytest.raises(StudyError, match="confounding"):
        simulate("il2-rcc", 10, 1, confounding=0.9)
    with pytest.raises(StudyError, match="informative"):
        simulate("il2-rcc", 10, 1, informative=5.0)


def test_identifiers_are_fixed_width_and_in_order():
    """Identifiers sort as text in the order of the patients."""
    assert patient_ids(9, 3, 6).tolist() == [b"P000009", b"P000010", b"P000011"]
    assert patient_ids(99_999_999, 2, 9).tolist() == [b"P099999999", b"P100000000"]
