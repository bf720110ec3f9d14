"""The formulas as the command asks for them."""

from __future__ import annotations

from typing import Any

import pytest

from biomarker.errors import UsageError
from biomarker.evidence.power import interaction_power
from pipelines.power import formula_power


def test_events_power_and_what_a_main_effect_needs() -> None:
    """Half the patients marker-positive: 482 events, four times the 121 of a main effect."""
    found = formula_power(0.6, events=(295,), marker_share=0.5)
    assert found.rows == ((None, 295.0, interaction_power(0.6, 295, marker_variance=0.25)),)
    assert (found.needed, found.main_effect, found.halves) == (482, 121, 482)
    assert found.patients_needed is None


def test_patients_become_events_by_their_share() -> None:
    """And the events needed become patients, rounded up."""
    found = formula_power(0.6, patients=(400,), event_share=0.7)
    assert found.rows[0][:2] == (400, 280.0)
    assert (found.needed, found.patients_needed) == (121, 173)


def test_select_as_two_arms_would_have_needed_six_times_its_patients() -> None:
    """CAIX as in Atkins 2005: 21 of 41 high and 6 of 25 low responded, odds ratio 3.325.

    Responses 25% as in SELECT, 9.9% under control as in McDermott 2005.
    """
    found = formula_power(
        (21 / 20) / (6 / 19), patients=(120,), responses=(0.25, 0.099), marker_share=41 / 66
    )
    assert found.scale == "odds ratio"
    assert found.rows[0][2] == pytest.approx(0.20, abs=0.005)
    assert 6.0 < found.needed / 120 < 6.5
    assert found.needed == found.patients_needed


def test_a_marker_in_its_own_unit_is_the_same_as_per_sd() -> None:
    """Ratio per unit to the power of the SD is the ratio per SD."""
    per_unit = formula_power(0.6**0.1, events=(200,), marker_sd=10.0)
    per_sd = formula_power(0.6, events=(200,))
    assert per_unit.needed == per_sd.needed
    assert per_unit.rows[0][2] == pytest.approx(per_sd.rows[0][2])


def test_the_record_names_its_columns() -> None:
    """A machine reads patients, events and power by name."""
    record = formula_power(0.6, patients=(400,), event_share=0.5).to_dict()
    assert set(record["rows"][0]) == {"n_patients", "n_events", "power"}
    assert record["kind"] == "formula"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"marker_sd": 1.0, "marker_share": 0.3}, "marker_sd"),
        ({"marker_share": 1.0}, "marker_share"),
        ({"patients": (100,)}, "event-share"),
        ({"event_share": 0.0}, "event_share"),
        ({"events": (100,), "responses": (0.2, 0.1)}, "events"),
    ],
)
def test_numbers_that_do_not_go_together_are_refused(change: dict[str, Any], words: str) -> None:
    """With what to give instead."""
    with pytest.raises(UsageError, match=words):
        formula_power(0.6, **change)
