"""Figures of stability draw what the results hold, escape names, and refuse what is withheld."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from biomarker.explain.controls import NullBand, UnitBand
from biomarker.explain.stability_result import MemberStability, Spread, Stability, UnitStability
from biomarker.figures.stability import importance_over_refits, rank_intervals

LABELS = {"vegf": "VEGF <script>alert(1)</script>", "twin": "Twin", "age": "Age", "arm": "Arm"}


def unit(names, importance, rank):
    """A unit whose limits lie a tenth to either side."""
    spread = Spread(importance - 0.1, importance + 0.1, rank, rank + 1, (0.5, 0.9, 1.0))
    detail = tuple(MemberStability(n, importance, 0.1, 0.2, 1, 0.0, 9) for n in names)
    return UnitStability(names, importance, rank, spread, None, None, detail)


FOUND = Stability(
    (unit(("vegf", "twin"), 0.6, 1.0), unit(("age",), 0.3, 2.0), unit(("arm",), 0.2, 3.0)),
    None, "words", False, "log hazard", 90, {"bootstrap": 50}, {"bootstrap": 0}, "words",
)  # fmt: skip
BAND = NullBand(
    (
        UnitBand(("vegf", "twin"), 0.6, 0.1, 0.25, 0.01),
        UnitBand(("age",), 0.3, 0.1, 0.28, 0.2),
        UnitBand(("arm",), 0.2, None, None, None),
    ),
    0.32, (("vegf", "twin"),), "words", True, 0.05, "log hazard", 90, 199, 0,
)  # fmt: skip


def grey_bars(svg):
    """How many rows have a grey band."""
    return len(re.findall(r'<path[^>]*style="fill: var\(--fig-line', svg))


@pytest.mark.parametrize("draw", ["importance", "ranks"])
def test_a_figure_is_one_well_formed_element_with_names_escaped(draw):
    """Parsed as XML; a hostile name stays text; the same bytes twice."""

    def drawn():
        if draw == "importance":
            return importance_over_refits(FOUND, BAND, LABELS, name="fig")
        return rank_intervals(FOUND, LABELS, name="fig")

    svg = drawn()
    ElementTree.fromstring(svg)
    assert "<script" not in svg
    assert svg == drawn()
    assert "Age" in svg
    assert "Twin" in svg


def test_every_judged_row_has_a_grey_band_and_the_arm_none():
    """Two of three rows; without a band none, and no key for it."""
    with_band = importance_over_refits(FOUND, BAND, LABELS, name="fig")
    without = importance_over_refits(FOUND, None, LABELS, name="fig")
    assert (grey_bars(with_band), grey_bars(without)) == (2, 0)
    assert "95% on permuted outcomes" in with_band
    assert "permuted" not in without


def test_ranks_count_every_unit_though_only_twelve_are_drawn():
    """The axis says among how many."""
    many = replace(FOUND, units=tuple(unit((f"c{k}",), 1.0 - 0.05 * k, k + 1.0) for k in range(15)))
    svg = rank_intervals(many, {}, name="fig")
    assert "rank among 15" in svg
    assert "c11" in svg
    assert "c12" not in svg


def test_a_large_group_is_one_row_that_says_how_many():
    """Three proxies are one line of the plot."""
    group = replace(FOUND, units=(unit(("vegf", "twin", "age"), 0.6, 1.0),))
    assert "2 correlated with it" in rank_intervals(group, {}, name="fig")


def test_withheld_importance_is_not_drawn():
    """There is nothing to draw, and a caller who tries is told what to print."""
    with pytest.raises(ValueError, match="must not be withheld"):
        rank_intervals(replace(FOUND, withheld=True), LABELS, name="fig")
    with pytest.raises(ValueError, match="must not be withheld"):
        importance_over_refits(replace(FOUND, withheld=True), BAND, LABELS, name="fig")


@pytest.mark.parametrize("draw", ["importance", "ranks"])
def test_every_row_leads_to_its_numbers(draw):
    """Each unit's row carries the row of the table it stands for."""
    svg = (
        importance_over_refits(FOUND, BAND, LABELS, name="fig")
        if draw == "importance"
        else rank_intervals(FOUND, LABELS, name="fig")
    )
    assert {int(row) for row in re.findall(r'data-row="(\d+)"', svg)} == {0, 1, 2}
