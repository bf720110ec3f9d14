"""The corrected p-value of a chosen cut-point: monotone, bounded, and right under the null."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from biomarker.errors import UsageError
from biomarker.evidence.cutpoint import selected_cut_p


@given(st.floats(1e-12, 0.99))
def test_choosing_never_makes_a_result_stronger(p: float) -> None:
    """The corrected p lies between the smallest p and 1."""
    assert p <= selected_cut_p(p) <= 1.0


@example(0.25, 0.3125)
@given(st.floats(1e-12, 0.99), st.floats(1e-12, 0.99))
def test_the_order_of_results_is_kept(p: float, q: float) -> None:
    """A smaller p stays smaller, or both are capped."""
    low, high = sorted((p, q))
    assert selected_cut_p(low) <= selected_cut_p(high)


@given(st.floats(1e-6, 0.05), st.floats(0.05, 0.45))
def test_a_wider_search_costs_more(p: float, edge: float) -> None:
    """Trying more cuts makes a small p mean less."""
    assert selected_cut_p(p, edge, 1 - edge) <= selected_cut_p(p, edge / 2, 1 - edge / 2)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_a_p_that_is_none_is_named(p: float) -> None:
    """A probability strictly between 0 and 1."""
    with pytest.raises(UsageError, match="p_minimal"):
        selected_cut_p(p)


@pytest.mark.parametrize("edges", [(0.0, 0.9), (0.1, 1.0), (0.6, 0.4), (0.5, 0.5)])
def test_a_range_that_is_none_is_named(edges: tuple[float, float]) -> None:
    """Quantiles between 0 and 1, the lower first."""
    with pytest.raises(UsageError, match="low and high"):
        selected_cut_p(0.01, *edges)
