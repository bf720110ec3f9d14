"""How the required number of patients moves, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker.errors import UsageError
from biomarker.evidence.sample_size import required_for_response, required_for_survival


@given(st.integers(1, 200), st.floats(0.01, 0.99))
def test_more_parameters_need_more_patients(parameters: int, prevalence: float) -> None:
    """Shrinkage and optimism grow in proportion; precision does not know the parameters."""
    one, more = (required_for_response(k, prevalence) for k in (parameters, parameters + 1))
    assert more.for_shrinkage > one.for_shrinkage
    assert more.for_optimism > one.for_optimism
    assert more.for_precision == one.for_precision
    assert one.n_patients == max(one.for_shrinkage, one.for_optimism, one.for_precision)


@given(st.floats(0.01, 0.3), st.floats(0.02, 0.5))
def test_a_better_model_needs_fewer_patients(low: float, step: float) -> None:
    """Strong signals shrink less."""
    high = min(low + step, 0.6)
    sizes = [required_for_response(10, 0.5, explained=r).for_shrinkage for r in (low, high)]
    assert sizes[0] >= sizes[1]


@given(st.floats(0.01, 0.5), st.floats(0.5, 10.0), st.floats(0.5, 5.0))
def test_the_precision_criterion_is_met_and_barely(
    rate: float, follow_up: float, horizon: float
) -> None:
    """At n the overall risk is known to within .05; at n - 1 it is not."""
    n = required_for_survival(5, rate, follow_up, horizon).for_precision

    def width(size: int) -> float:
        upper = rate + 1.959964 * math.sqrt(rate / (follow_up * size))
        return math.exp(-rate * horizon) - math.exp(-upper * horizon)

    assert width(n) <= 0.05
    assert n == 1 or width(n - 1) > 0.05


@given(st.integers(1, 100), st.floats(0.02, 0.98))
def test_the_shrinkage_criterion_is_met_and_barely(parameters: int, prevalence: float) -> None:
    """At n the expected shrinkage reaches 0.9; at n - 1 it does not."""
    size = required_for_response(parameters, prevalence)

    def shrinkage_gap(n: int) -> float:
        return n * (0.9 - 1.0) * math.log(1.0 - size.explained / 0.9) - parameters

    assert shrinkage_gap(size.for_shrinkage) >= -1e-9
    assert shrinkage_gap(size.for_shrinkage - 1) < 1e-9


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0, 0.1, 2.0, 1.0), "n_parameters"), ((5, 0.0, 2.0, 1.0), "rate"),
        ((5, math.nan, 2.0, 1.0), "rate"), ((5, 0.1, -2.0, 1.0), "mean_follow_up"),
        ((5, 0.1, 2.0, math.inf), "horizon"), ((5, 0.1, 2.0, 1.0, 1.5), "explained"),
        ((5, 0.1, 2.0, 1.0, 0.0), "explained"),
    ],
)  # fmt: skip
def test_impossible_inputs_are_named(arguments: tuple[float, ...], name: str) -> None:
    """Rates, times and parameters are positive; R² lies below its maximum."""
    with pytest.raises(UsageError, match=name):
        required_for_survival(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, math.nan])
def test_an_impossible_prevalence_is_named(prevalence: float) -> None:
    """An outcome nobody or everybody has cannot be predicted."""
    with pytest.raises(UsageError, match="prevalence"):
        required_for_response(3, prevalence)
