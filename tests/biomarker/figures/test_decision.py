"""The decision curve: drawn from its result alone, byte-stable, a mark for each row of numbers."""

from __future__ import annotations

import re

import numpy as np

from biomarker.figures.decision import decision_curve
from biomarker.metrics.decision_curve import net_benefit


def _result() -> object:
    rng = np.random.default_rng(1)
    risk = rng.uniform(0.02, 0.9, 200)
    return net_benefit(rng.random(200) < risk, risk, np.arange(0.05, 0.9, 0.05))


def test_each_marked_threshold_has_its_row() -> None:
    """The dots carry the numbers of the rows they belong to, once each and no other."""
    svg = decision_curve(_result(), name="dc", marked=[1, 3, 5])  # type: ignore[arg-type]
    assert sorted(set(re.findall(r'data-row="(\d+)"', svg))) == ["0", "1", "2"]


def test_the_same_result_gives_the_same_bytes() -> None:
    """Nothing of the clock enters; a hostile outcome stays text."""
    drawn = [decision_curve(_result(), name="dc", outcome="<b>x</b>") for _ in range(2)]  # type: ignore[arg-type]
    assert drawn[0] == drawn[1]
    assert "<b>" not in drawn[0]
    assert "&lt;b&gt;x" in drawn[0]
