"""Declared effects are read exactly, and every mistake is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker.errors import StudyError
from synthetic_data.effects import KINDS, SCALES, Effect, describe_mode, parse_effects

MARKERS = ("vegf", "caix")


def test_none_declares_the_null():
    """No declaration means no effect anywhere, and the mode says so."""
    assert parse_effects(None, MARKERS) == ()
    assert describe_mode(()).startswith("null: no marker affects")


@given(
    st.sampled_from(KINDS),
    st.sampled_from(SCALES),
    st.floats(-5.0, 5.0).filter(lambda v: v != 0.0),
)
def test_a_written_effect_reads_back(kind, scale, value):
    """An effect's text is read back to the same effect, to six printed digits."""
    written = Effect("vegf", kind, value, scale)
    (read,) = parse_effects([str(written)], MARKERS) or (written,)
    assert (read.kind, read.scale) == (kind, scale)
    assert read.value == pytest.approx(value, rel=1e-5, abs=1e-300)


def test_several_markers_and_both_kinds_on_one_marker():
    """Commas and lists declare more than one effect on a marker."""
    listed = parse_effects(
        {"vegf": ["predictive:0.5", "prognostic:0.3"], "caix": "predictive:-1@cure"}, MARKERS
    )
    joined = parse_effects(
        ["vegf=predictive:0.5,prognostic:0.3", "caix=predictive:-1@cure"], MARKERS
    )
    assert listed == joined
    assert len(listed) == 3


@pytest.mark.parametrize(
    ("effects", "says"),
    [
        ({"age": "predictive:1"}, "must be declared on a marker"),
        ({"vegf": "predictve:1"}, "must start with its kind"),
        ({"vegf": "predictive"}, "must start with its kind"),
        ({"vegf": "predictive:much"}, "must carry a number"),
        ({"vegf": "predictive:nan"}, "within -5 to 5"),
        ({"vegf": "predictive:9"}, "not the ratio"),
        ({"vegf": "predictive:1@odds"}, "known scale"),
        (["vegf"], "MARKER=KIND:NUMBER"),
        ({"vegf": ["predictive:1", "predictive:2"]}, "once per kind and scale"),
    ],
)
def test_mistakes_are_named(effects, says):
    """Each malformed declaration raises a StudyError that says how to write it."""
    with pytest.raises(StudyError, match=says):
        parse_effects(effects, MARKERS)


def test_zero_effects_vanish_and_modes_are_told_apart():
    """A zero effect is the null; prognostic-only names the scale of its zero interaction."""
    assert parse_effects({"vegf": "predictive:0"}, MARKERS) == ()
    only = parse_effects({"vegf": "prognostic:0.7"}, MARKERS)
    assert "interaction is zero on the conditional log hazard scale" in describe_mode(only)
    assert "hazard" in describe_mode(parse_effects({"vegf": "predictive:0.7"}, MARKERS))
