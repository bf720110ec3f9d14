"""The forest and the curve draw what the verdicts say, and say beside it what it rests on."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from biomarker.evidence.effect_curve import EffectCurve
from biomarker.evidence.verdict import Verdict
from biomarker.figures.evidence import effect_curve_plot, forest

VERDICT = Verdict(
    marker="vegf", endpoint="os", verdict="not_established", design="randomised",
    scale="hazard ratio", contrast="per SD of log", n_treated=250, n_control=249,
    events_treated=172, events_control=201, n_missing=1, ratio=0.8, ratio_low=0.5,
    ratio_high=1.28, p_interaction=0.2, p_adjusted=0.31, p_asymptotic=0.19, p_prognostic=0.0004,
    p_prognostic_adjusted=0.0008, hr_control=1.5, hr_control_low=1.2, hr_control_high=1.9,
    effect_absolute=1.0, effect_absolute_low=-1.0, effect_absolute_high=3.0,
    detectable_ratio_80=1.6, confirmatory=False, family_size=4, ph_p=0.5, reason="", sentence="",
)  # fmt: skip


def texts(svg: str) -> list[str]:
    """Every text of a drawing, in order."""
    root = ET.fromstring(svg)
    return ["".join(e.itertext()).strip() for e in root.iter() if e.tag.endswith("text")]


def curve(**changes: Any) -> EffectCurve:
    """Five windows of a marker spread over three orders of magnitude."""
    ratio = np.array([1.2, 1.0, 0.8, 0.6, 0.5])
    made = EffectCurve(
        marker="vegf", endpoint="os", scale="hazard ratio",
        at=np.array([12.3456, 40.0, 130.0, 410.0, 1300.0]),
        window_low=np.array([1.0, 20.0, 60.0, 200.0, 600.0]),
        window_high=np.array([40.0, 130.0, 410.0, 1300.0, 5000.0]),
        ratio=ratio, ratio_low=ratio / 1.5, ratio_high=ratio * 1.5,
        band_low=ratio / 2, band_high=ratio * 2,
        n_treated=np.full(5, 40), n_control=np.full(5, 38),
        events_treated=np.array([30, 28, 25, 20, 17]),
        events_control=np.array([25, 26, 28, 30, 31]),
        p=0.04, patients_per_window=78, overlap=50, n_patients=200, n_draws=999, seed=0,
    )  # fmt: skip
    return replace(made, **changes)


def points(svg: str, colour: str) -> list[tuple[float, float]]:
    """Corners of the longest unfilled path in a colour."""
    found: list[list[tuple[float, float]]] = []
    for data, style in re.findall(r'<path d="([^"]+)"[^>]*style="([^"]*)"', svg):
        if f"stroke: var(--fig-{colour}," in style and "fill: none" in style:
            numbers = re.findall(r"-?\d+\.?\d*", data)
            found.append([*zip(map(float, numbers[::2]), map(float, numbers[1::2]), strict=True)])
    return max(found, key=len)


def test_every_row_carries_ratio_p_and_events_by_arm() -> None:
    """No interval stands without the interaction's p and what it rests on."""
    other = replace(VERDICT, marker="hb", ratio=1.1, ratio_low=0.9, ratio_high=1.4, p_adjusted=0.7)
    said = texts(forest([VERDICT, other], {"vegf": "Serum VEGF"}, name="f"))
    assert "Serum VEGF" in said
    assert "hb" in said
    assert "0.800 (0.500 to 1.28)" in said
    assert "p 0.200, adjusted 0.310" in said
    assert "p 0.200, adjusted 0.700" in said
    assert said.count("172/250 v 201/249") == 2
    assert "events/patients, treated v control" in said
    assert "ratio of hazard ratios" in said


def test_a_row_lies_where_its_ratio_is() -> None:
    """On a logarithmic axis, 0.5 and 2 are as far from 1; higher ratios stand further right."""
    ends = []
    for value in (0.5, 1.0, 2.0):
        row = replace(VERDICT, ratio=value, ratio_low=value / 1.1, ratio_high=value * 1.1)
        rows = [replace(VERDICT, ratio_low=0.25, ratio_high=4.0), row]
        svg = forest(rows, {}, name="f")
        lines = re.findall(r'<path d="M([\d.]+) ([\d.]+)L([\d.]+) \2"[^>]*series-1', svg)
        low, high = (float(x) for x in (lines[1][0], lines[1][2]))
        ends.append((low + high) / 2)
    assert ends[1] - ends[0] == pytest.approx(ends[2] - ends[1], abs=0.05)
    assert ends[0] < ends[1] < ends[2]


def test_what_is_not_estimable_has_words_and_no_dot() -> None:
    """The row stays, so that nobody thinks the marker was not asked about."""
    none = replace(VERDICT, ratio=None, ratio_low=None, ratio_high=None, p_interaction=None,
                   p_adjusted=None)  # fmt: skip
    svg = forest([none], {}, name="f")
    assert "not estimable" in texts(svg)
    assert "p –, adjusted –" in texts(svg)
    assert "series-1" not in svg


def test_an_endless_interval_ends_in_an_arrow_and_keeps_its_number() -> None:
    """Nothing is drawn at infinity, and the words still say so."""
    far = replace(VERDICT, ratio=30.0, ratio_low=0.001, ratio_high=math.inf)
    svg = forest([far], {}, name="f")
    assert "30.0 (0.00100 to no limit)" in texts(svg)
    assert "nan" not in svg.lower()
    assert "inf" not in svg.lower()


def test_one_arm_shows_association_and_never_a_treatment() -> None:
    """Counts of the one arm; no word of an interaction or of the other arm."""
    alone = replace(
        VERDICT, design="single_arm_treated", verdict="associated_under_treatment", ratio=None,
        n_control=0, events_control=0,
    )  # fmt: skip
    said = texts(forest([alone], {}, name="f"))
    assert "1.50 (1.20 to 1.90)" in said
    assert "p < 0.001, adjusted < 0.001" in said
    assert "172 of 250" in said
    assert "hazard ratio" in said
    assert not any("control" in words or "ratios" in words for words in said)


def test_a_forest_of_nothing_is_refused() -> None:
    """An empty drawing would look like an answer."""
    with pytest.raises(ValueError, match="at least one"):
        forest([], {}, name="f")


@pytest.mark.parametrize("logarithmic", [True, False])
def test_the_curve_falls_as_the_ratio_falls_and_both_bands_are_there(logarithmic: bool) -> None:
    """One line through the windows in order of the marker, on either spacing."""
    svg = effect_curve_plot(curve(), label="VEGF", unit="pg/mL", logarithmic=logarithmic, name="c")
    line = points(svg, "series-1")
    assert len(line) == 5
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(line))
    gaps = np.diff([x for x, _ in line])
    assert (gaps.max() / gaps.min() < 2) == logarithmic
    fills = re.findall(r"fill: var\(--fig-series-1[^;]*; fill-opacity: ([\d.]+)", svg)
    assert sorted(set(map(float, fills)))[:2] == [0.1, 0.2]
    said = texts(svg)
    assert "VEGF (pg/mL)" in said
    assert "hazard ratio, treated v control" in said
    assert "events in the window:" in said


def test_every_window_that_has_a_ratio_leads_to_its_numbers() -> None:
    """A dot a window, in order; none where nothing could be estimated."""
    ratio = np.where(np.arange(5) == 2, np.nan, curve().ratio)
    svg = effect_curve_plot(curve(ratio=ratio), label="m", unit=None, logarithmic=False, name="c")
    assert re.findall(r'data-row="(\d+)"', svg) == ["0", "1", "3", "4"]


def test_places_are_rounded_so_that_no_value_can_be_read_off() -> None:
    """Two cohorts that differ in the fourth digit of a window's median draw the same bytes."""
    at = curve().at.copy()
    at[0] = 12.3499
    words: dict[str, Any] = {"label": "VEGF", "unit": None, "logarithmic": True, "name": "c"}
    assert effect_curve_plot(curve(), **words) == effect_curve_plot(curve(at=at), **words)


def test_a_window_that_cannot_be_estimated_leaves_a_gap() -> None:
    """Neither an error nor a number made up."""
    holes = {
        name: np.where(np.arange(5) == 2, np.nan, getattr(curve(), name))
        for name in ("ratio", "ratio_low", "ratio_high", "band_low", "band_high")
    }
    svg = effect_curve_plot(curve(**holes), label="m", unit=None, logarithmic=False, name="c")
    assert "nan" not in svg.lower()


def test_hostile_names_stay_text() -> None:
    """A label is escaped by the drawing itself."""
    hostile = "<script>alert(1)</script>"
    for svg in (
        forest([VERDICT], {"vegf": hostile}, name="f"),
        effect_curve_plot(curve(), label=hostile, unit=hostile, logarithmic=True, name="c"),
    ):
        assert "<script" not in svg
        ET.fromstring(svg)
