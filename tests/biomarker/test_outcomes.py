"""The one outcome type takes what is an outcome and names what is not."""

from __future__ import annotations

import numpy as np
import pytest

from biomarker.errors import OutcomeError
from biomarker.outcomes import (
    DAYS_PER_UNIT,
    SURVIVAL_DTYPE,
    check_survival_outcome,
    survival_outcome,
)


@pytest.mark.parametrize("event", [[True, False], [1, 0], [1.0, 0.0], np.array([1, 0], np.int8)])
def test_events_as_booleans_or_numbers_are_the_same(event: object) -> None:
    """0/1 of any type and booleans give one structured array."""
    y = survival_outcome(event, [2, 3])  # type: ignore[arg-type]
    assert y.dtype == SURVIVAL_DTYPE
    assert y.tolist() == [(True, 2.0), (False, 3.0)]


@pytest.mark.parametrize("event", [[1, 2], [0.5, 1], [np.nan, 1.0], [-1, 0]])
def test_other_event_codes_are_counted_and_refused(event: list[float]) -> None:
    """A code such as 2 = dead is declared in the study, never guessed."""
    with pytest.raises(OutcomeError, match="1 other value"):
        survival_outcome(event, [1.0, 2.0])


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_duration_that_is_no_time_is_counted_and_not_shown(bad: float) -> None:
    """Durations are finite and greater than zero; the message counts, never quotes."""
    with pytest.raises(OutcomeError, match="got 2 of 3 otherwise"):
        survival_outcome([1, 0, 1], [bad, 4711.25, bad])


def test_shapes_must_agree() -> None:
    """Unequal lengths and matrices are named with their shapes."""
    with pytest.raises(OutcomeError, match=r"\(2,\) and \(3,\)"):
        survival_outcome([1, 0], [1.0, 2.0, 3.0])
    with pytest.raises(OutcomeError, match=r"\(1, 2\)"):
        survival_outcome([[1, 0]], [[1.0, 2.0]])


def test_another_librarys_record_array_is_accepted() -> None:
    """Any boolean field followed by a number field, as scikit-survival builds them."""
    other = np.array([(True, 5.0)], dtype=[("cens", "?"), ("time", "<f4")])
    assert check_survival_outcome(other).dtype == SURVIVAL_DTYPE
    ours = survival_outcome([1], [1.0])
    assert check_survival_outcome(ours) is ours


@pytest.mark.parametrize("wrong", [[1.0, 2.0], np.zeros(3, bool), [[1, 2]], None])
def test_what_is_no_outcome_says_how_to_build_one(wrong: object) -> None:
    """Plain arrays are refused with the function to call."""
    with pytest.raises(OutcomeError, match="survival_outcome"):
        check_survival_outcome(wrong)


def test_no_patients_are_an_outcome_too() -> None:
    """An empty selection passes through."""
    assert len(survival_outcome([], [])) == 0


def test_units_are_those_of_the_calendar() -> None:
    """A year is 365.25 days, of which a month is a twelfth."""
    assert DAYS_PER_UNIT["months"] * 12 == DAYS_PER_UNIT["years"] == 365.25
