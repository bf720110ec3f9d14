"""The codes: every combination of what is shown, and one door for the word."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import replace
from typing import Any

import pytest

from biomarker.evidence import verdict as room
from biomarker.evidence.absolute import AbsoluteEffect
from biomarker.evidence.sentences import Told, sentence
from biomarker.evidence.verdict import Claim, decide, reasons_against

SHOWN = Claim(
    "randomised",
    p_adjusted=0.01,
    p_calibrated=0.005,
    p_without_influential=0.02,
    same_sign_on_ranks=True,
)


@pytest.mark.parametrize(
    ("p_interaction", "p_association", "code"),
    [
        (0.01, 0.01, "predictive_and_prognostic"),
        (0.01, 0.20, "predictive"),
        (0.01, None, "predictive"),
        (0.20, 0.01, "prognostic"),
        (0.20, 0.20, "not_established"),
        (0.20, None, "not_established"),
        (None, 0.01, "prognostic"),
        (None, 0.20, "not_estimable"),
        (None, None, "not_estimable"),
        (0.05, 0.05, "not_established"),
    ],
)
def test_codes_of_two_arms(
    p_interaction: float | None, p_association: float | None, code: str
) -> None:
    """Both, one, or neither; a p equal to alpha shows nothing."""
    claim = replace(SHOWN, p_adjusted=p_interaction)
    assert decide(claim, p_association, 0.05) == code


def test_what_the_large_sample_formula_alone_calls_significant_is_told() -> None:
    """With the patients it rests on, where it rests on them."""
    claim = replace(SHOWN, p_adjusted=0.3, p_calibrated=0.3, p_asymptotic=0.0004)
    (told,) = reasons_against(claim, 0.05)
    assert "large-sample formula alone (p < .001)" in told
    told, carried = reasons_against(replace(claim, p_without_influential=0.6), 0.05)
    assert "most influential patients (p .600 without them)" in carried
    (plain,) = reasons_against(replace(claim, p_asymptotic=0.2), 0.05)
    assert "not significant after its adjustment" in plain
    assert decide(claim, 0.5, 0.05) == "not_established"


@pytest.mark.parametrize(
    ("design", "p", "code"),
    [
        ("single_arm_treated", 0.001, "associated_under_treatment"),
        ("single_arm_treated", 0.3, "not_established"),
        ("single_arm_treated", None, "not_established"),
        ("single_arm_control", 0.001, "prognostic"),
        ("single_arm_control", 0.3, "not_established"),
    ],
)
def test_codes_of_one_arm(design: Any, p: float | None, code: str) -> None:
    """Even a claim object that pretends to hold an interaction changes nothing."""
    assert decide(replace(SHOWN, design=design), p, 0.05) == code


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ({"p_calibrated": 0.2}, "not significant"),
        ({"p_without_influential": 0.2}, "most influential"),
        ({"p_without_influential": None}, "most influential"),
        ({"same_sign_on_ranks": False}, "ranks"),
        ({"gate_open": False}, "written down beforehand"),
        ({"design": "observational", "comparison_faults": ("no overlap",)}, "no overlap"),
    ],
)
def test_each_condition_alone_withholds_the_claim(missing: dict[str, Any], reason: str) -> None:
    """With its reason, and the code falls back to what else is shown."""
    claim = replace(SHOWN, **missing)
    assert any(reason in text for text in reasons_against(claim, 0.05))
    assert decide(claim, 0.01, 0.05) == "prognostic"
    assert decide(claim, 0.50, 0.05) == "not_established"
    with pytest.raises(AssertionError):
        room._claimed(claim, False, 0.05)


def test_one_function_alone_returns_the_word() -> None:
    """No other function of the room returns it."""
    tree = ast.parse(inspect.getsource(room))
    holders = {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Return)
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and part.value == "predictive"
    }
    assert holders <= {"_claimed", "claimed"}
    assert "_claimed" in holders


TOLD = Told(
    "vegf", "survival", "not_established", "randomised", "hazard ratio", "per SD", 0.05, False,
    ratio=(0.9, 0.6, 1.3), p_adjusted=0.4, family_size=3, detectable=1.8,
    association=(1.2, 0.9, 1.6),
)  # fmt: skip


def test_what_is_not_shown_says_what_is_excluded_and_detectable() -> None:
    """Interval, exclusion, detectable ratio; never that there is nothing."""
    text = sentence(TOLD)
    assert "ratio of hazard ratios is 0.900, 95% interval 0.600 to 1.30" in text
    assert "excludes ratios below 0.600 and above 1.30" in text
    assert "a ratio of 1.80 or 0.556 with 80% power" in text
    assert "Adjusted for 3 tests: p .400" in text
    assert "not predictive" not in text


def test_no_number_is_written_in_powers_of_ten() -> None:
    """Days in thousands, ratios far out, and a gain near nothing."""
    gain = AbsoluteEffect(
        "restricted_mean", 0.00004, -1234.0, 5678.0, 1.0, 0.9, 0.0, 0.0, 0.0, 1965.0, "per SD"
    )
    text = sentence(
        replace(TOLD, ratio=(1520.0, 0.00004, 3e7), detectable=2080.0, gain=gain, unit="days")
    )
    assert "is 1,520, 95% interval <0.001 to over a million" in text
    assert "excludes ratios above over a million" not in text
    assert "up to 1,965 days changes by +0.000040 days" in text
    assert "interval \N{MINUS SIGN}1,234 to +5,678" in text
    assert not re.search(r"\de[-+]\d", text)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0, 2.0, "excludes ratios above 2.00"),
        (0.5, float("inf"), "excludes ratios below 0.500"),
        (0.0, float("inf"), "excludes no ratio"),
    ],
)
def test_an_open_interval_excludes_one_side_only(low: float, high: float, words: str) -> None:
    """Nothing is said of a side that has no end."""
    assert words in sentence(replace(TOLD, ratio=(0.9, low, high)))


def test_wording_is_limited_to_the_scale_where_proportionality_fails() -> None:
    """A shown difference claims no more than its scale."""
    told = replace(TOLD, code="predictive", ratio=(0.5, 0.3, 0.8), ph_p=0.001)
    assert "differs by vegf on the hazard-ratio scale; hazards are not prop" in sentence(told)
    assert "on the hazard-ratio scale (ratio of hazard ratios" in sentence(replace(told, ph_p=0.4))


def test_a_level_is_named_as_it_is() -> None:
    """An interval at another alpha is not called 95%."""
    assert "99% interval" in sentence(replace(TOLD, level=0.01))
    assert "95%" not in sentence(replace(TOLD, level=0.01))


def test_every_contrast_of_a_claim_is_told() -> None:
    """The level that differs is named, not only the last against the first."""
    others = (("b vs a", (0.3, 0.1, 0.7)),)
    told = replace(TOLD, code="predictive", ratio=(0.9, 0.5, 1.6), contrast="c vs a", others=others)
    text = sentence(told)
    assert "0.300, 95% interval 0.100 to 0.700, b vs a; 0.900, 95% interval 0.500 to" in text
    assert "joint test of 2 contrasts" in text


@pytest.mark.parametrize("kind", ["qualitative", "quantitative", "type not determined"])
def test_the_kind_of_difference_is_named(kind: Any) -> None:
    """As shown by the band, or as not determined."""
    told = replace(TOLD, code="predictive", ratio=(0.5, 0.3, 0.8), effect_type=kind)
    assert kind in sentence(told)


def test_one_arm_speaks_of_association_only() -> None:
    """No word about who benefits."""
    told = replace(TOLD, design="single_arm_treated", code="associated_under_treatment", ratio=None)
    text = sentence(told)
    assert "is associated with survival in treated patients" in text
    assert "predictive" not in text
    assert "prognostic" not in text
