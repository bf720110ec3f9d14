"""Planted faults are all listed, nothing else is touched, and readers can be held to the list."""

import pandas as pd
import pytest

from biomarker import Cohort, Study
from biomarker.errors import CohortError, StudyError
from synthetic_data import make_dirty, simulate, study_for
from synthetic_data.dirty import FAULTS


@pytest.fixture(scope="module")
def clean():
    """A clean cohort."""
    return simulate("il2-rcc", 400, 1)[0]


def same(a, b):
    """Equal, with missing equal to missing."""
    return (pd.isna(a) and pd.isna(b)) or a == b


def test_the_list_is_exactly_what_changed(clean):
    """Every changed cell is listed with both values, and every listed cell is changed."""
    dirty, planted = make_dirty(clean, 5)
    listed = {(r.row, r.column): (r.clean, r.dirty) for r in planted.itertuples()}
    assert len(listed) == len(planted)
    for column in clean:
        pairs = zip(clean[column].tolist(), dirty[column].tolist(), strict=True)
        for row, (before, after) in enumerate(pairs):
            if same(before, after):
                assert (row, column) not in listed
            else:
                assert listed[row, column] == (before, after)


def test_every_fault_can_be_planted(clean):
    """Each kind of fault appears at least once in a default dirty file."""
    assert set(make_dirty(clean, 5)[1]["fault"]) == set(FAULTS)


def test_the_seed_decides(clean):
    """Same seed, same faults; the clean frame stays clean."""
    before = clean.copy()
    first = make_dirty(clean, 5)
    pd.testing.assert_frame_equal(first[1], make_dirty(clean, 5)[1])
    assert not first[1].equals(make_dirty(clean, 6)[1])
    pd.testing.assert_frame_equal(clean, before)


def test_faults_a_reader_must_refuse_are_refused(clean):
    """A cohort with a bound for a time, a decimal comma and words for events does not pass."""
    faults = ["os_censored_text", "vegf_comma", "event_words", "os_zero"]
    dirty, planted = make_dirty(clean, 5, faults=faults)
    with pytest.raises(CohortError) as caught:
        Cohort.from_frame(dirty, Study.from_dict(study_for("il2-rcc")))
    found = {(fault.row, fault.column) for fault in caught.value.faults}
    assert {(r.row, r.column) for r in planted.itertuples()} <= found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rate": 0.0}, "rate must be"),
        ({"faults": ["gremlins"]}, "Known: vegf_ng_per_ml"),
    ],
)
def test_bad_requests_are_named(clean, arguments, says):
    """An unknown fault or an impossible rate is an error."""
    with pytest.raises(StudyError, match=says):
        make_dirty(clean, 1, **arguments)
    with pytest.raises(StudyError, match="not there"):
        make_dirty(clean[["patient_id"]], 1, faults=["vegf_comma"])
