"""Power by formula: its identities, a worked example, and what it refuses."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker.errors import UsageError
from biomarker.evidence.power import (
    events_for_interaction,
    interaction_power,
    patients_for_response_interaction,
    response_interaction_power,
)


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
    main = 4 * (1.959964 + 0.841621) ** 2 / math.log(0.6) ** 2
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


def test_the_worked_example_of_r_is_met() -> None:
    """powerSurvEpi, example of its manual after Schmoor et al. 2000, section 4.

    ``powerEpiInt.default0(n = 184, theta = 3, p = 0.61, psi = 139/184, G = 4.79177,
    rho2 = 0.015^2)``: G is one over the marker's variance, n times psi the events.
    """
    found = interaction_power(3.0, 139 * (1 - 0.015**2), 0.61, 1 / 4.79177)
    assert found == pytest.approx(0.8227102, abs=2e-6)


@given(
    st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.floats(0.1, 0.9), st.floats(0.05, 0.95),
    st.floats(0.2, 0.9), st.integers(50, 5000),
)  # fmt: skip
def test_response_power_has_the_variance_of_four_cells(
    treated: float, control: float, q: float, positive: float, ratio: float, n: int
) -> None:
    """For a marker with two levels: Woolf's variance, one over n p (1 - p) in each cell."""
    cells = [
        (n * arm * share, p)
        for arm, p in ((q, treated), (1 - q, control))
        for share in (positive, 1 - positive)
    ]
    spread = math.sqrt(sum(1 / (count * p * (1 - p)) for count, p in cells))
    normal = NormalDist()
    z = normal.inv_cdf(0.975)
    wanted = normal.cdf(-math.log(ratio) / spread - z) + normal.cdf(math.log(ratio) / spread - z)
    found = response_interaction_power(
        ratio, n, treated, control, q, marker_variance=positive * (1 - positive)
    )
    assert found == pytest.approx(wanted, abs=1e-9)


@given(st.floats(0.2, 0.95), st.floats(0.3, 0.99), st.floats(0.05, 0.9), st.floats(0.05, 0.9))
def test_patients_asked_for_give_the_power(
    ratio: float, power: float, treated: float, control: float
) -> None:
    """The response functions are each other's inverse."""
    needed = patients_for_response_interaction(ratio, treated, control, power)
    assert response_interaction_power(ratio, needed, treated, control) >= power - 1e-9
    assert response_interaction_power(ratio, needed - 1, treated, control) < power + 0.02


@pytest.mark.parametrize(("name", "value"), [("treated", 0.0), ("control", 1.0)])
def test_response_shares_of_none_or_all_are_refused(name: str, value: float) -> None:
    """There odds have no ratio."""
    shares = {"response_treated": 0.2, "response_control": 0.1} | {f"response_{name}": value}
    with pytest.raises(UsageError, match=f"response_{name}"):
        response_interaction_power(0.5, 100, **shares)
