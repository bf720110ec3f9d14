"""Potential outcomes: exact hazards and response rates, coherent with one another."""

import numpy as np
import pytest
from scipy.stats import kstest

from synthetic_data.blocks import draw_block
from synthetic_data.facts import recipe
from synthetic_data.outcomes import (
    ArmTerms,
    cumulative_hazard,
    draw_latent,
    pfs_hazard,
    potential_outcome,
)
from synthetic_data.plan import plan_for

N = 60_000
DESIGN = recipe("il2-rcc").design


def outcome(log_hazard=0.0, response=0.25, durable=0.0, toxic=0.0, seed=1):
    """One arm of N equal patients."""
    latent = draw_latent(np.random.default_rng(seed), N, DESIGN["survival"]["link"])
    full = np.full(N, 1.0)
    terms = ArmTerms(log_hazard * full, response * full, durable * full, toxic * full)
    return potential_outcome(latent, terms, DESIGN)


@pytest.mark.parametrize("log_hazard", [-1.0, 0.0, 0.7])
def test_survival_is_proportional_with_a_plateau(log_hazard):
    """OS and PFS follow exp(-m H(t)) at any multiplier, so log hazard ratios are exact."""
    found = outcome(log_hazard)
    survival = DESIGN["survival"]
    for months, hazard in (
        (found.os_months, lambda t: cumulative_hazard(t, survival["os"])),
        (found.pfs_months, lambda t: pfs_hazard(t, survival)),
    ):
        times = np.array([1.0, 3.0, 12.0, 36.0, 120.0])
        expected = np.exp(-np.exp(log_hazard) * hazard(times))
        seen = (months[None, :] > times[:, None]).mean(axis=1)
        np.testing.assert_allclose(seen, expected, atol=4.5 * np.sqrt(0.25 / N))


def test_latent_thresholds_are_unit_exponential_and_tied():
    """Both thresholds are standard exponential, with Kendall's tau 1 - 1/link."""
    latent = draw_latent(np.random.default_rng(2), N, 1.6)
    for part in (latent.death, latent.progression):
        assert kstest(part, "expon").pvalue > 0.001
    from scipy.stats import kendalltau

    tau = kendalltau(latent.death[:5000], latent.progression[:5000])[0]
    assert tau == pytest.approx(1 - 1 / 1.6, abs=0.03)


@pytest.mark.parametrize("response", [0.1, 0.25, 0.4])
def test_response_probability_is_exact(response):
    """The share of CR and PR is the declared probability although early failures cannot respond."""
    found = outcome(response=response)
    assert (found.response <= 1).mean() == pytest.approx(response, abs=0.007)


def test_outcomes_are_coherent():
    """PFS never exceeds OS, no responder fails before the first look, responders do better."""
    found = outcome(toxic=0.05, durable=0.05)
    assert (found.pfs_months <= found.os_months).all()
    responder = found.response <= 1
    assert found.pfs_months[responder].min() > DESIGN["response"]["first_assessment_months"]
    assert (found.pfs_months[found.response == 3] < 2.0).all()
    assert np.median(found.pfs_months[responder]) > 3 * np.median(found.pfs_months[~responder])


def test_durable_patients_respond_and_never_die_of_the_disease():
    """The durable class raises response and plateau by its share."""
    with_class = outcome(durable=0.10)
    without = outcome()
    gain = np.isinf(with_class.os_months).mean() - np.isinf(without.os_months).mean()
    plateau = np.isinf(without.os_months).mean()
    assert gain == pytest.approx(0.10 * (1 - plateau), abs=0.006)
    assert (with_class.response <= 1).mean() == pytest.approx(0.25, abs=0.01)


def test_toxic_deaths_come_early_and_only_where_declared():
    """Treatment-related death takes its share within weeks."""
    early = (outcome(toxic=0.04).os_months < 3.0).mean() - (outcome().os_months < 3.0).mean()
    assert early == pytest.approx(0.04 * (1 - np.exp(-3.0)) * 0.85, abs=0.006)


def test_arms_share_their_luck():
    """With no difference between arms both potential outcomes are the same number."""
    block = draw_block(plan_for("select-like", 2000, 1), 0)
    control, treated = block.outcomes
    spared = block.terms[1].toxic == 0
    same = control.os_months == treated.os_months
    assert same[spared].all()
    assert same.mean() > 0.95
