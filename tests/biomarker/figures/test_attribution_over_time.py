"""The lines over time draw what the result holds, at most eight, under escaped names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from biomarker.explain.coalitions import Plan
from biomarker.explain.over_time import TimeAttribution
from biomarker.figures.attribution_over_time import MOST_LINES, attribution_over_time
from biomarker.figures.caution import PLOT_CAUTION

TIMES = (6.0, 12.0, 24.0, 36.0)


def result(n_sources: int = 10, **changes: Any) -> TimeAttribution:
    """Made-up means: the first column is the largest."""
    mean = np.outer(np.linspace(0.1, 0.001, n_sources), [0.5, 1.0, 0.9, 0.8])
    rows = np.zeros((2, n_sources, 4))
    made = TimeAttribution(
        tuple(f"x{j}" for j in range(n_sources)), TIMES, "months", rows, rows, np.full(4, 0.5),
        np.full((2, 4), 0.5), "survival probability", "higher = more likely free of the event",
        "made up", mean, 0.9 * mean, 1.1 * mean, 0 * mean, Plan(True, n_sources, 1, 0, 1), 0.0,
        240, 100, "nothing",
    )  # fmt: skip
    return replace(made, **changes)


def words(svg: str) -> list[str]:
    """Every text of a drawing."""
    return [re.sub(r"<[^>]+>", "", t).strip() for t in re.findall(r"<text.*?</text>", svg)]


def test_the_largest_columns_are_drawn_with_scale_unit_and_number() -> None:
    """Eight of ten; same bytes twice."""
    svg = attribution_over_time(result(), {"x0": "VEGF"}, name="t")
    assert svg == attribution_over_time(result(), {"x0": "VEGF"}, name="t")
    text = words(svg)
    drawn = [f"x{j}" for j in range(10) if f"x{j}" in text] + ["VEGF"] * ("VEGF" in text)
    assert len(drawn) == MOST_LINES
    assert "VEGF" in drawn
    assert not {"x8", "x9"} & set(text)
    joined = " ".join(text)
    for part in ("time predicted (months)", "survival probability", "n = 240", PLOT_CAUTION):
        assert part in joined


def test_a_mean_time_says_its_unit_on_both_axes() -> None:
    """A restricted mean is itself a time."""
    joined = " ".join(
        words(attribution_over_time(
            result(scale="restricted mean survival time"), {}, name="t"
        ))
    )  # fmt: skip
    assert "mean |attribution| (months)" in joined
    assert "limit of the mean (months)" in joined


def test_names_from_a_file_are_escaped() -> None:
    """A column's name is text, never markup."""
    svg = attribution_over_time(result(), {"x0": "<b>&"}, name="t")
    assert "<b>" not in svg
    assert "&lt;b&gt;&amp;" in svg


def test_nothing_moving_anything_is_still_a_drawing() -> None:
    """All means 0."""
    none = np.zeros((3, 4))
    svg = attribution_over_time(result(3, mean_absolute=none, low=none, high=none), {}, name="t")
    assert "nan" not in svg.lower()


def test_a_single_time_is_refused() -> None:
    """There is no line to draw."""
    with pytest.raises(ValueError, match="times must be at least two; got 0"):
        attribution_over_time(result(times=()), {}, name="t")


def test_every_line_and_name_leads_to_its_numbers() -> None:
    """Eight lines, largest first, each with the row of the table it stands for."""
    svg = attribution_over_time(result(), {}, name="t")
    assert {int(row) for row in re.findall(r'data-row="(\d+)"', svg)} == set(range(MOST_LINES))
