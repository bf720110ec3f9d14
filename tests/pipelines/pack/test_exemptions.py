"""Each exempting rule covers what it names and not what looks like it."""

from __future__ import annotations

import re

import pytest

from pipelines.pack.exemptions import FILLER, RULES, fixed_phrases, hide, hide_names

COVERED = {
    "web address or DOI": "see https://example.org/a/12?b=3 there",
    "model or run address": "models:/il2-os/12",
    "date": "on 2026-11-22",
    "date in words": "on 3 November 2026",
    "hash": "digest 579fe3adfcff",
    "version": "numpy 2.0.1",
    "bibliography": "BMJ 2024;385:e078378",
    "year of a reference": "Holm (1979)",
    "label of a part": "Table 2 and item 12a",
    "name with digits": "log1p(cd40), IL-2, SHA-256",
    "level of confidence": "95% interval",
    "denominator": "per 1,000 patients",
    "power asked for": "80% power",
    "value of no effect": "Below 1 the predictions are too extreme",
    "unit": "cells per mm3",
}
LEFT = {
    "web address or DOI": "http 12",
    "model or run address": "models 12",
    "date": "2026 patients",
    "date in words": "3 of November’s patients",
    "hash": "1234567 patients",
    "version": "2.01 months",
    "bibliography": "4:5 odds of 3",
    "year of a reference": "2019 patients",
    "label of a part": "a table of 12",
    "name with digits": "n120, AUC0.95",
    "level of confidence": "95% of patients",
    "denominator": "in 100 patients",
    "power asked for": "80% of the power",
    "value of no effect": "1 patient, 1,686 patients, above 1.3",
    "unit": "3 mm",
}


@pytest.mark.parametrize("rule", [name for name, _ in RULES])
def test_a_rule_covers_its_own_kind(rule: str) -> None:
    """No digit is left in an example of the rule; its places do not move."""
    hidden = hide(COVERED[rule])
    assert not re.search(r"\d", hidden)
    assert len(hidden) == len(COVERED[rule])


@pytest.mark.parametrize("rule", [name for name, _ in RULES])
def test_a_rule_leaves_what_looks_like_it(rule: str) -> None:
    """Every number of the look-alike is still there to be judged."""
    numbers = re.findall(r"\d[\d.,]*", LEFT[rule])
    if rule == "bibliography":
        numbers = ["3"]
    if rule == "value of no effect":
        numbers = ["1,686", "1.3"]
    hidden = hide(LEFT[rule])
    assert all(number.rstrip(".,") in hidden for number in numbers), hidden


def test_rules_are_named_once_and_tested() -> None:
    """A new rule needs an example and a look-alike."""
    assert len({name for name, _ in RULES}) == len(RULES)
    assert set(COVERED) == set(LEFT) == {name for name, _ in RULES}


def test_fixed_phrases_say_more_than_a_number() -> None:
    """A constant is exempt inside its own sentence alone."""
    for phrase in fixed_phrases():
        assert len(re.findall(r"[A-Za-z]{2,}", phrase.pattern)) >= 2, phrase.pattern
    assert "0.8" not in hide("They correlate above 0.8, and the data")
    assert "0.8" in hide("The index is above 0.8.")


def test_names_are_covered_whole_or_not_at_all() -> None:
    """A label inside another word is not a label."""
    kept = re.compile(r"(?i)\bpredictive\b")
    names = ("age", "Age 65+", "grade 3", "predictive", "7")
    assert hide_names("age, Age 65+ and average", names, kept) == "···, ··· ··· and average"
    assert hide_names("GRADE 3 and 7, predictive", names, kept) == "····· · and 7, predictive"
    assert hide_names("nothing", (), kept) == "nothing"
    assert FILLER not in hide("No number here.")
