"""Looking times up by a guide gives what a binary search gives, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from biomarker.survival.null_outcomes_kernel import steps_of, times_reached

heights = arrays(
    np.float64, st.integers(0, 12), elements=st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0, 7.0])
).map(np.sort)


@given(curves=st.lists(heights, min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("right", [False, True])
def test_each_value_finds_its_step(right: bool, curves: list[np.ndarray], seed: int) -> None:
    """Flat stretches, values at a height and beyond the last, and curves without a step."""
    rng = np.random.default_rng(seed)
    laid = [(np.arange(len(h), dtype=np.float64), h, np.inf) for h in curves]
    curve = rng.integers(len(curves), size=8)
    pool = np.concatenate([*curves, rng.exponential(size=4), [0.0, np.inf]])
    values = rng.choice(pool, (3, 8))
    wanted = np.empty_like(values)
    for i, c in enumerate(curve):
        found = np.searchsorted(curves[c], values[:, i], side="right" if right else "left")
        wanted[:, i] = np.append(laid[c][0], np.inf)[found]
    times_reached(values, steps_of(laid), curve, right)
    np.testing.assert_array_equal(values, wanted)
