"""What `biomarker power` says: every assumption, and no share rounded to certainty."""

from __future__ import annotations

from dataclasses import replace

from biomarker.evidence.claim_rate import ClaimRate, PowerCurve, PowerPoint
from pipelines.power import formula_power
from pipelines.power_text import formula_text, percent, simulated_text
from pipelines.simulated_power import SimulatedPower


def rate(share: float) -> ClaimRate:
    """Made-up counts."""
    return ClaimRate(share, share / 2, (1 + share) / 2, 200, 3, 7, 340.0, 240.0, 170.0, 110.0)


FOUND = SimulatedPower(
    PowerCurve(
        "caix", "os", "survival", ("caix", "vegf"), 0.6, 0.05, 1,
        (PowerPoint(400, 0.97, rate(0.9), rate(0.04)),),
    ),
    "il2-rcc", "A trial", False, ("caix=predictive:-0.510826",), (), "per SD", ("ecog",), 1.0,
)  # fmt: skip


def test_the_text_names_every_assumption() -> None:
    """Recipe, effects planted and left, family, adjustment, cohorts and seed."""
    text = simulated_text(FOUND)
    for words in ("il2-rcc", "caix=predictive:-0.510826", "no effect of any marker", "caix, vegf",
                  "ecog", "200 cohorts", "seed 1", "withheld", "not estimable"):  # fmt: skip
        assert words in text, words


def test_shares_are_never_rounded_to_certainty() -> None:
    """99.7% is more than 99%, not 100%."""
    assert [percent(p) for p in (0.997, 0.003, 0.0, 1.0)] == [">99%", "<1%", "0%", "100%"]


def test_a_response_counts_responses_and_needs_patients() -> None:
    """Odds, not hazards; a marker of several columns has no formula and says nothing of it."""
    curve = replace(FOUND.curve, kind="response", endpoint="response")
    text = simulated_text(replace(FOUND, curve=curve))
    assert "responses" in text
    assert "odds ratio, 0.6, needs" in text
    assert "By the formula" not in simulated_text(replace(FOUND, marker_variance=None))


def test_a_formula_without_sizes_still_says_what_is_needed() -> None:
    """Events for the wanted power, patients where the share with an event is known."""
    text = formula_text(formula_power(0.6, event_share=0.5))
    assert "80% power needs 121 events (242 patients)." in text
    assert "power\n-----" not in text
