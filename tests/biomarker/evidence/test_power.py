"""Power: the formula's own identities, and the procedure run on simulated cohorts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker import Cohort
from biomarker.errors import UsageError
from biomarker.evidence.power import claim_rate, events_for_interaction, interaction_power

Trial = Callable[..., Cohort]


@given(st.floats(0.2, 0.95), st.floats(0.1, 0.99), st.floats(0.1, 0.9), st.floats(0.05, 2.0))
def test_the_events_asked_for_give_the_power_and_one_fewer_does_not(
    ratio: float, power: float, share: float, variance: float
) -> None:
    """The two functions are each other's inverse."""
    needed = events_for_interaction(ratio, power, share, variance)
    assert interaction_power(ratio, needed, share, variance) >= power - 1e-9
    # The far tail, which the closed form for events leaves out, matters only for hopeless designs.
    assert interaction_power(ratio, needed - 1, share, variance) < power + 0.02


@given(st.floats(0.3, 3.0), st.floats(1, 2000))
def test_a_ratio_and_its_inverse_have_the_same_power(ratio: float, events: float) -> None:
    """Which way the effect differs does not matter."""
    assert interaction_power(ratio, events) == pytest.approx(interaction_power(1 / ratio, events))


def test_without_an_interaction_power_is_the_level() -> None:
    """A ratio of 1 is 'found' in 5%."""
    assert interaction_power(1.0, 300) == pytest.approx(0.05)


def test_an_interaction_needs_four_times_the_events_of_a_main_effect() -> None:
    """For two equal halves, against Schoenfeld's events for the same hazard ratio."""
    from math import log

    main = 4 * (1.959964 + 0.841621) ** 2 / log(0.6) ** 2
    assert events_for_interaction(0.6, marker_variance=0.25) == pytest.approx(4 * main, abs=1)


@pytest.mark.parametrize(
    ("keywords", "name"),
    [
        ({"ratio": 0.0}, "ratio"),
        ({"ratio": 1.0}, "ratio"),
        ({"ratio": 0.5, "power": 0.01}, "power"),
        ({"ratio": 0.5, "share_treated": 1.0}, "share_treated"),
        ({"ratio": 0.5, "marker_variance": 0.0}, "marker_variance"),
        ({"ratio": 0.5, "alpha": 1.0}, "alpha"),
    ],
)
def test_impossible_designs_are_named(keywords: dict[str, float], name: str) -> None:
    """By the argument at fault."""
    with pytest.raises(UsageError, match=name):
        events_for_interaction(**keywords)


@pytest.mark.slow
def test_the_procedure_itself_can_be_run_on_simulated_cohorts(trial: Trial) -> None:
    """A strong planted interaction is claimed nearly always; claims are counted with events."""
    found = claim_rate(lambda seed: trial(n=300, predictive=-1.1, seed=seed), 10, "m1", "os")
    assert found.share >= 0.8
    assert found.low <= found.share <= found.high
    assert found.n_not_estimable == 0
    assert 100 < found.mean_events < 300
