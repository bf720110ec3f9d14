"""The author's answers in a study: read, written back, and without a say in any number."""

from __future__ import annotations

import pytest

from biomarker.errors import StudyError
from biomarker.study import Study
from tests.biomarker.test_study import BASE

TOLD = {**BASE, "reporting": {"ethics": "Board 7", "funding": ""}}


def test_answers_are_read_and_written_back() -> None:
    """They survive a round trip; an empty one is as if not given."""
    study = Study.from_dict(TOLD)
    assert study.reporting.ethics == "Board 7"
    assert Study.from_dict(study.to_dict()) == study


def test_answers_change_no_digest() -> None:
    """Filling in the paperwork later must not look like another study to the ledger."""
    assert Study.from_dict(TOLD).digest == Study.from_dict(BASE).digest
    assert Study.from_dict({**BASE, "title": "x"}).digest != Study.from_dict(BASE).digest


@pytest.mark.parametrize(
    ("key", "meant"),
    [("fundng", "funding"), ("Ethics", "ethics"), ("data sharing", "data_sharing")],
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, meant: str) -> None:
    """A typo is named with what was probably meant."""
    with pytest.raises(
        StudyError, match=f"reporting: '{key}' is not a name.*did you mean '{meant}'"
    ):
        Study.from_dict({**BASE, "reporting": {key: "x"}})


def test_a_far_off_key_is_refused_without_a_guess() -> None:
    """No suggestion is better than a wild one; several faults are all told."""
    with pytest.raises(StudyError, match="'zzz' is not a name of this table") as caught:
        Study.from_dict({**BASE, "reporting": {"zzz": "x", "qqq": "y"}})
    assert "did you mean" not in str(caught.value)
    assert "'qqq'" in str(caught.value)


def test_an_answer_must_be_text() -> None:
    """A number or a list is refused where it stands."""
    with pytest.raises(StudyError, match="reporting.funding"):
        Study.from_dict({**BASE, "reporting": {"funding": 3}})
