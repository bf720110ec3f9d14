"""What holds for any data: units, order of patients, arm coding, monotone change of the marker."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker import Cohort, Study
from biomarker.evidence.analysis_set import AnalysisSet, analysis_set
from biomarker.evidence.cut_design import CutDesign, candidate_cuts, independent_columns
from biomarker.evidence.cut_interval import Alternative, accepted_cuts, accepted_shifts, corrected_p
from biomarker.evidence.interaction import regression_of
from tests.biomarker.evidence.conftest import small_frame, small_study

SEEDS = st.integers(0, 2**31)
QUESTIONS = st.sampled_from(["prognostic", "interaction"])


def planned(frame: Any, question: Any, least_events: int = 1) -> CutDesign:
    """A scan of ``m1`` beside age, and arm and marker where both arms are asked."""
    cohort = Cohort.from_frame(frame, Study.from_dict(small_study()))
    data: AnalysisSet = analysis_set(cohort, "m1", "os")
    values = cohort.columns["m1"].values[data.rows]
    assert data.arm is not None
    arm = [data.arm, data.marker_columns] if question == "interaction" else []
    null = independent_columns(np.column_stack([*arm, data.covariates]))
    cuts = candidate_cuts(values, data.arm.astype(int), 0.15, 0.85, 15, 3)
    return CutDesign(question, data, regression_of(data), null, values, cuts, least_events)


@settings(max_examples=25, deadline=None)
@given(SEEDS, QUESTIONS)
def test_patients_may_come_in_any_order_and_time_in_any_unit(seed: int, question: str) -> None:
    """Statistics stay; cuts stay."""
    frame = small_frame(n=50, seed=seed)
    moved = frame.sample(frac=1.0, random_state=1)
    moved["months"] *= 12.0
    one, two = planned(frame, question), planned(moved, question)
    np.testing.assert_array_equal(one.cuts, two.cuts)
    np.testing.assert_allclose(
        one.statistics(one.observed), two.statistics(two.observed), atol=1e-5
    )


@settings(max_examples=25, deadline=None)
@given(SEEDS, QUESTIONS, st.floats(0.1, 10.0), st.floats(-5.0, 5.0))
def test_the_marker_s_unit_does_not_matter(
    seed: int, question: str, scale: float, shift: float
) -> None:
    """An affine change moves the cuts and nothing else."""
    frame = small_frame(n=50, seed=seed)
    other = frame.assign(m1=scale * frame["m1"] + shift)
    one, two = planned(frame, question), planned(other, question)
    np.testing.assert_allclose(scale * one.cuts + shift, two.cuts, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        one.statistics(one.observed), two.statistics(two.observed), atol=1e-5
    )


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_prognosis_sees_ranks_alone(seed: int) -> None:
    """Any increasing change of the marker keeps every statistic."""
    frame = small_frame(n=50, seed=seed)
    one = planned(frame, "prognostic")
    two = planned(frame.assign(m1=np.exp(frame["m1"])), "prognostic")
    np.testing.assert_allclose(np.exp(one.cuts), two.cuts, rtol=1e-12)
    np.testing.assert_array_equal(one.statistics(one.observed), two.statistics(two.observed))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_swapping_the_arms_flips_the_interaction(seed: int) -> None:
    """Every statistic changes its sign and keeps its size."""
    frame = small_frame(n=60, seed=seed)
    swapped = frame.assign(arm=frame["arm"].map({"drug": "placebo", "placebo": "drug"}))
    one, two = planned(frame, "interaction"), planned(swapped, "interaction")
    np.testing.assert_allclose(
        one.statistics(one.observed), -two.statistics(two.observed), atol=1e-5
    )


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(1, 12), st.floats(-6.0, 6.0))
def test_the_interval_agrees_with_the_p_value_for_any_draws(seed: int, m: int, z: float) -> None:
    """Whatever the draws: 0 is left out exactly when the corrected p is below alpha."""
    rng = np.random.default_rng(seed)
    root = np.eye(m) + 0.5 * rng.random((m, m))
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    carried = root @ root.T
    draws = rng.normal(size=(199, m)) @ root.T
    observed = np.clip(rng.normal(size=m), -abs(z), abs(z))
    k = int(rng.integers(m))
    observed[k] = z
    low, high = accepted_shifts(z, k, draws, [Alternative(carried[:, k])], 0.05)
    p = corrected_p(observed, draws)
    assert 1 / 200 <= p <= 1.0
    # Ends are sought in steps: within one of them of 0 both answers stand.
    if min(abs(low), abs(high)) > 1e-3:
        assert (low > 0 or high < 0) == (p < 0.05)
    assert accepted_cuts(observed, draws, carried, 0.05)[int(np.abs(observed).argmax())]
