"""The packaged recipes: complete, tagged, and honest about what nobody verified."""

import pytest

from biomarker.errors import StudyError
from synthetic_data.facts import EVIDENCE, Figure, catalogue, recipe

ASKED_FOR = {
    *("il2-rcc", "il2-melanoma", "select-like", "atkins-2005", "upton-2005", "select"),
    *("fyfe-1995", "mcdermott-2005", "yang-2003", "percy-quattro", "proclaim"),
    *("atkins-melanoma", "phan-2001", "e3695", "ives-2007", "ugurel-2008", "sabatino-2009"),
    *("negrier-vegf", "leibovich-2007", "genega-2010", "target-caix", "motzer-2002", "imdc"),
}


def test_every_study_asked_for_is_packaged():
    """The list holds the three open designs first and every published study."""
    names = [r.name for r in catalogue()]
    assert set(names) >= ASKED_FOR
    assert {r.kind for r in catalogue()[:3]} == {"open"}


@pytest.mark.parametrize("known", catalogue(), ids=lambda r: r.name)
def test_figures_are_tagged(known):
    """Every figure has a source and an evidence tag, and each recipe has a one-line title."""
    assert known.figures
    assert "\n" not in known.title
    for figure in known.figures:
        assert figure.evidence in EVIDENCE
        assert figure.source


def test_unverified_figures_are_never_targets():
    """What nobody verified is carried, but no target stands on it."""
    figures = [f for r in catalogue() for f in r.figures]
    loose = [f for f in figures if f.evidence in ("unverified", "assumed")]
    assert loose
    assert not [f for f in loose if f.target]
    assert not [f for f in recipe("sabatino-2009").figures if f.target]


def test_a_target_on_memory_is_refused(monkeypatch):
    """The loader itself refuses a target whose figure is unverified."""
    from synthetic_data import facts

    figure = {"id": "a", "value": 1, "unit": "", "source": "memory", "evidence": "unverified"}
    raw = {"title": "x", "kind": "published", "figure": [figure | {"target": "T1"}]}
    monkeypatch.setattr(facts, "_parsed", lambda name: raw)
    with pytest.raises(StudyError, match="must be verified to be a target"):
        facts.recipe.__wrapped__("imdc")


def test_unknown_names_are_refused_with_the_list():
    """A misspelt recipe is answered with the names there are."""
    with pytest.raises(StudyError, match="il2-rcc"):
        recipe("il2-rc")
    with pytest.raises(StudyError, match="no_such"):
        recipe("imdc").figure("no_such")


def test_a_figure_is_a_plain_record():
    """Figures compare by value, so that a test can state one."""
    assert Figure("a", 1, "u", "V1", "verified") == Figure("a", 1, "u", "V1", "verified")
