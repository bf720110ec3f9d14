"""Observed against predicted benefit: each group tied to its row, ends inside the frame."""

from __future__ import annotations

import re

import numpy as np
import pytest

from biomarker.figures.benefit_calibration import benefit_calibration_plot
from biomarker.metrics.benefit import BenefitCalibration, benefit_calibration


@pytest.fixture(scope="module")
def groups() -> BenefitCalibration:
    """Four groups of 100; benefits as large as predicted."""
    rng = np.random.default_rng(5)
    treated, benefit = np.arange(400) % 2, rng.uniform(-0.3, 0.4, 400)
    response = rng.random(400) < 0.35 + treated * benefit
    return benefit_calibration(benefit, treated, response)


def test_each_group_has_its_row(groups: BenefitCalibration) -> None:
    """A bar and a dot carry the number of the row they belong to, once each and no other."""
    svg = benefit_calibration_plot(groups, name="b", unit="points", factor=100.0)
    found = re.findall(r'data-row="(\d+)"', svg)
    assert sorted(found) == sorted([*map(str, range(len(groups.predicted)))] * 2)


def test_the_unit_is_that_of_the_numbers(groups: BenefitCalibration) -> None:
    """In percentage points the axis reads a hundred times the probability, and says so."""
    points = benefit_calibration_plot(groups, name="b", unit="points", factor=100.0)
    plain = benefit_calibration_plot(groups, name="b", unit="probability")
    assert "predicted benefit, points" in points
    assert ">20<" in points.replace(" ", "")
    assert ">0.2<" in plain.replace(" ", "")


def test_the_same_result_gives_the_same_bytes(groups: BenefitCalibration) -> None:
    """Nothing of the clock enters; a hostile unit stays text."""
    drawn = [benefit_calibration_plot(groups, name="b", unit="<b>x</b>") for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert "<b>" not in drawn[0]
