"""The power curve draws what the result object holds, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from biomarker.evidence.claim_rate import ClaimRate, PowerCurve, PowerPoint
from biomarker.figures.power import power_plot


def rate(share: float, n: int) -> ClaimRate:
    """Made-up counts."""
    low, high = max(0.0, share - 0.05), min(1.0, share + 0.05)
    return ClaimRate(share, low, high, 200, 0, 1, n, 0.7 * n, n / 2, 0.3 * n)


CURVE = PowerCurve(
    "caix", "os", "survival", ("caix",), 0.6, 0.05, 1,
    tuple(PowerPoint(n, f, rate(f - 0.06, n), rate(0.04, n)) for n, f in ((400, 0.9), (200, 0.7))),
)  # fmt: skip


def words(svg: str) -> list[str]:
    """Every text of a drawing."""
    return [re.sub(r"<[^>]+>", "", t).strip() for t in re.findall(r"<text.*?</text>", svg)]


def test_the_drawing_is_stable_and_names_sizes_events_and_ratio() -> None:
    """Same bytes twice; patients over mean events; sizes in order; the false claims beside."""
    svg = power_plot(CURVE, name="p")
    assert svg == power_plot(CURVE, name="p")
    text = " ".join(words(svg))
    for part in ("200", "140", "400", "280", "ratio of hazard ratios 0.6", "false claims", "80%"):
        assert part in text, part
    assert text.index("140") < text.index("280")


def test_what_is_not_there_is_not_drawn() -> None:
    """No formula, no twin: their words are gone; a response counts responses."""
    bare = replace(
        CURVE,
        kind="response",
        points=tuple(replace(p, formula=None, false_claims=None) for p in CURVE.points),
    )
    text = " ".join(words(power_plot(bare, name="p")))
    assert "formula" not in text
    assert "false claims" not in text
    assert "responses" in text
    assert "odds ratios" in text


def test_names_from_a_file_are_escaped() -> None:
    """A marker's name is text, never markup."""
    svg = power_plot(replace(CURVE, marker="<b>&"), name="p")
    assert "<b>" not in svg
    assert "&lt;b&gt;&amp;" in svg


def test_a_curve_without_sizes_is_refused() -> None:
    """There is nothing to draw."""
    with pytest.raises(ValueError, match="at least one size"):
        power_plot(replace(CURVE, points=()), name="p")
