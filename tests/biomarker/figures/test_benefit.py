"""The two beeswarms and the patient view draw what the attribution says, and no more."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from biomarker.explain.benefit import BenefitAttribution
from biomarker.explain.benefit_null import ColumnParts
from biomarker.explain.benefit_shares import BenefitShares
from biomarker.explain.illustrations import Illustration
from biomarker.figures.benefit import benefit_beeswarms, benefit_steps, benefit_waterfall

LABELS = {"vegf": "VEGF, serum"}


def texts(svg: str) -> list[str]:
    """Every text of a drawing, in order."""
    root = ET.fromstring(svg)
    return ["".join(e.itertext()).strip() for e in root.iter() if e.tag.endswith("text")]


def part(source: str, predictive: float, null: float, established: bool) -> ColumnParts:
    """A record with intervals a tenth wide."""
    ends = (max(0.0, predictive - 0.1), predictive + 0.1)
    return ColumnParts(source, 0.2, 0.1, 0.3, predictive, *ends, null, null * 1.3,
                       0.5, 0.2, 0.8, 0.3, 0.9, established)  # fmt: skip


def explained(n: int = 60, k: int = 3, sign: int = -1) -> BenefitAttribution:
    """A claimed marker, one that is not established, and a covariate without an interaction."""
    rng = np.random.default_rng(2)
    columns = rng.normal(size=(n, k))
    columns[:, 1] = np.arange(n) % 2
    columns[3, 0] = np.nan
    known = np.nan_to_num(columns)
    predictive = known * np.array([0.5, 0.1, 0.0] + [0.05] * (k - 3))
    prognostic = known * np.array([0.1, 0.2, 0.6] + [0.03] * (k - 3))
    control = -0.3 + prognostic.sum(axis=1)
    benefit = 0.25 + predictive.sum(axis=1)
    sources = ("vegf", "ccr5", "age", *(f"x{i}" for i in range(k - 3)))
    shares = BenefitShares(
        sources, prognostic, predictive, -0.3, 0.25, control, control + sign * benefit, benefit,
        sign, "log hazard" if sign < 0 else "log odds",
        "higher = worse" if sign < 0 else "higher = more likely to respond", "by hand",
    ).checked(1e-12)  # fmt: skip
    parts = (
        part("vegf", 0.4, 0.15, True),
        part("ccr5", 0.08, 0.2, False),
        part("age", 0.0, math.nan, False),
        *(part(source, 0.0, 0.1, False) for source in sources[3:]),
    )
    kinds = ("continuous", "genotype", *("continuous",) * (k - 2))
    return BenefitAttribution(
        "os", shares, parts, columns, kinds,
        ((), ("WT/WT", "WT/d32"), ()) + ((),) * (k - 3), (None,) * k,
        (Illustration("patient A", "low", 4), Illustration("patient C", "high", 3)), (),
        30, 30, 20, 22, 0, 199, 0, 199, 0, 0, 0.05, "", "",
    )  # fmt: skip


def bars(svg: str, colour: str) -> list[tuple[float, float]]:
    """Left and right ends of every filled path in a colour variable."""
    found = []
    for data, style in re.findall(r'<path d="([^"]+)"[^>]*style="([^"]*)"', svg):
        if f"fill: var(--fig-{colour}," in style:
            x = [float(v) for v in re.findall(r"-?\d+\.?\d*", data)[::2]]
            found.append((min(x), max(x)))
    return found


def test_both_panels_share_one_order_and_name_their_parts() -> None:
    """Columns stand once, in the order of the records, between two titled panels."""
    shown = texts(benefit_beeswarms(explained(), LABELS, name="b"))
    names = [t for t in shown if t in ("VEGF, serum", "ccr5", "age")]
    assert names == ["VEGF, serum", "ccr5", "age"]
    assert "prognostic part" in shown
    assert "predictive part" in shown
    assert "right = treatment helps more" in shown
    assert "right = worse" in shown


def test_the_grey_band_is_as_wide_as_the_null_and_only_where_there_is_one() -> None:
    """Two markers have a band, in proportion .15 to .20; the covariate has words instead."""
    svg = benefit_beeswarms(explained(), LABELS, name="b")
    wide = [right - left for left, right in bars(svg, "missing") if right - left > 5]
    assert len(wide) == 2
    assert wide[1] / wide[0] == pytest.approx(0.2 / 0.15, abs=0.05)
    assert texts(svg).count("no interaction") == 1


def test_the_legend_tells_claimed_from_not_established() -> None:
    """The words are there, and never 'not predictive'."""
    shown = texts(benefit_beeswarms(explained(), LABELS, name="b"))
    assert "mean size, claimed" in shown
    assert "not established" in shown
    assert "mean size without any interaction (95%)" in shown
    assert not any("not predictive" in text for text in shown)


def test_no_more_than_twelve_columns_are_drawn() -> None:
    """Of twenty columns the first twelve records appear."""
    shown = texts(benefit_beeswarms(explained(k=20), {}, name="b"))
    assert "x8" in shown
    assert "x9" not in shown


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_patient_view_ends_at_both_predictions(sign: int) -> None:
    """From the average to control by prognostic parts, then to treatment by the others."""
    found = explained(sign=sign)
    patient = found.illustrations[0]
    shown = texts(benefit_waterfall(found, patient, LABELS, name="w"))
    for value in (found.shares.base_control, found.shares.control[4], found.shares.treated[4]):
        assert f"{value:.2f}".replace("-", "−") in shown
    assert f"{sign * 0.25:+.2f}".replace("-", "−") in shown
    assert shown.count("VEGF, serum") == 2
    assert shown.count("age") == 1
    assert "prediction under control" in shown
    assert "prediction under treatment" in shown


def test_the_patient_view_shows_no_measured_value() -> None:
    """Fifths, levels and 'missing' stand for values; no number of the patient's columns appears."""
    found = explained()
    shown = texts(benefit_waterfall(found, found.illustrations[1], LABELS, name="w"))
    assert any("fifth" in text for text in shown)
    assert "WT/d32" in shown
    value = f"{found.columns[3, 2]:.2f}"
    assert not any(value in text for text in shown)
    many = explained(k=20)
    shown = texts(benefit_waterfall(many, many.illustrations[0], {}, name="w"))
    assert any(text.endswith("other columns") for text in shown)


def test_drawings_repeat_to_the_byte_and_escape_names() -> None:
    """Same result, same bytes; a hostile label stays text."""
    found = explained()
    hostile = {"vegf": "<script>alert(1)</script>"}
    one = benefit_beeswarms(found, hostile, name="b")
    assert one == benefit_beeswarms(found, hostile, name="b")
    assert "<script" not in one
    assert "<script" not in benefit_waterfall(found, found.illustrations[0], hostile, name="w")


def test_a_benefit_that_is_the_same_for_everybody_is_still_drawn() -> None:
    """Zero predictive parts give a figure, not a division by zero."""
    found = explained()
    flat = replace(found.shares, predictive=np.zeros((60, 3)), prognostic=np.zeros((60, 3)))
    still = replace(found, shares=flat)
    assert "predictive part" in texts(benefit_beeswarms(still, {}, name="b"))


@pytest.mark.parametrize("sign", [-1, 1])
def test_steps_add_up_and_every_drawn_row_is_one_of_them(sign: int) -> None:
    """From the average patient to both predictions; the drawing's rows are the steps' rows."""
    found = explained(sign=sign)
    for patient in found.illustrations:
        steps = benefit_steps(found, patient, LABELS)
        level = steps[0].reached
        for step in steps[1:]:
            level += step.change or 0.0
            assert step.reached == pytest.approx(level, abs=1e-12)
        stops = [step.reached for step in steps if step.change is None]
        assert stops == pytest.approx(
            [found.shares.base_control, found.shares.control[patient.row],
             found.shares.treated[patient.row]], abs=1e-9,
        )  # fmt: skip
        svg = benefit_waterfall(found, patient, LABELS, name="w")
        rows = {int(row) for row in re.findall(r'data-row="(\d+)"', svg)}
        assert rows == set(range(len(steps)))


def test_every_row_of_the_beeswarms_leads_to_its_numbers() -> None:
    """Each column's row in both panels, the silent one too."""
    svg = benefit_beeswarms(explained(), LABELS, name="b")
    assert {int(row) for row in re.findall(r'data-row="(\d+)"', svg)} == {0, 1, 2}
