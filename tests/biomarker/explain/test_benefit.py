"""Benefit is attributed where a verdict allows it, with bands, and never with a patient's data."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort, Study
from biomarker.errors import UsageError
from biomarker.evidence.verdict import Verdict
from biomarker.explain.benefit import (
    BenefitAttribution,
    WithheldBenefit,
    attribute_benefit,
    withheld_because,
)

STUDY = {
    "format_version": 1,
    "name": "trial",
    "columns": {
        "patient": {"role": "id"},
        "arm": {"role": "arm", "levels": ["c", "d"], "control": "c", "randomised": True},
        "vegf": {"role": "marker", "kind": "continuous", "transform": "log", "unit": "pg/mL",
                 "range": [0.1, 1e5]},
        "grade": {"role": "marker", "kind": "categorical", "levels": ["a", "b", "rare"]},
        "twin": {"role": "marker", "kind": "categorical", "levels": ["x", "y"]},
        "age": {"role": "covariate", "kind": "continuous", "unit": "years"},
        "sex": {"role": "covariate", "kind": "categorical", "levels": ["f", "m"]},
        "centre": {"role": "stratum", "kind": "categorical", "levels": ["1", "2"]},
        "months": {"role": "endpoint"},
        "died": {"role": "endpoint"},
        "answer": {"role": "endpoint"},
    },
    "endpoints": {
        "os": {
            "type": "survival", "duration": "months", "event": "died", "event_values": ["1"],
            "censored_values": ["0"], "unit": "months", "primary": True,
        },
        "response": {
            "type": "response", "column": "answer", "positive": ["CR"], "negative": ["SD"],
        },
    },
}  # fmt: skip


@cache
def cohort(n: int = 400) -> Cohort:
    """High VEGF helps under the drug; age harms; ``twin`` repeats whether grade is b."""
    rng = np.random.default_rng(8)
    arm = np.arange(n) % 2
    z, age = rng.normal(size=n), rng.normal(size=n)
    grade = rng.integers(0, 2, n)
    risk = 0.6 * age + arm * (-0.2 - 0.9 * z)
    time, limit = rng.exponential(np.exp(-risk)) * 12, rng.uniform(10, 40, n)
    frame = pd.DataFrame(
        {
            "patient": [f"p{i}" for i in range(n)],
            "arm": np.where(arm == 1, "d", "c"),
            "vegf": np.exp(5 + 0.8 * z),
            "grade": np.where(np.arange(n) < 4, "rare", np.where(grade == 1, "b", "a")),
            "twin": np.where((grade == 1) & (np.arange(n) >= 4), "y", "x"),
            "age": (60 + 10 * age).round(1),
            "sex": np.where(rng.random(n) < 0.5, "f", "m"),
            "centre": np.where(rng.random(n) < 0.5, "1", "2"),
            "months": np.minimum(time, limit) + 0.01,
            "died": (time <= limit).astype(int).astype(str),
            "answer": np.where(rng.random(n) < 1 / (1 + np.exp(risk)), "CR", "SD"),
        }
    )
    frame.loc[10:19, "vegf"] = np.nan
    frame.loc[30:39, "age"] = np.nan
    return Cohort.from_frame(frame, Study.from_dict(STUDY))


def verdict(marker: str, endpoint: str, code: str = "predictive", reason: str = "") -> Verdict:
    """A verdict of which only what is read here matters."""
    blank = {name: None for name in Verdict.__dataclass_fields__ if name not in ("adjustment",)}
    return Verdict(**blank | {"marker": marker, "endpoint": endpoint, "verdict": code,
                              "reason": reason, "absolute_effects": ()})  # type: ignore[arg-type]  # fmt: skip


def verdicts(endpoint: str) -> list[Verdict]:
    """VEGF claimed, the others not."""
    return [verdict("grade", endpoint, "not_established", "too noisy"),
            verdict("vegf", endpoint), verdict("twin", endpoint, "prognostic")]  # fmt: skip


@cache
def found(endpoint: str, at: float | None = None) -> BenefitAttribution:
    """The attribution of an endpoint, with few refits."""
    out = attribute_benefit(
        cohort(), endpoint, verdicts(endpoint), at=at, n_bootstrap=79, n_null=79, random_state=1
    )
    assert isinstance(out, BenefitAttribution)
    return out


@pytest.mark.parametrize("endpoint", ["os", "response"])
def test_the_marker_that_acts_through_the_treatment_leads(endpoint: str) -> None:
    """VEGF has the largest predictive part, beyond its band; age the largest prognostic one."""
    out = found(endpoint)
    top = out.parts[0]
    assert top.source == out.leader == "vegf"
    assert top.beyond_null
    assert top.predictive > top.family_high > top.null_high > 0.0
    assert top.share > top.share_null_high
    assert max(out.parts, key=lambda part: part.prognostic).source == "age"
    # On either endpoint: up is help, and high VEGF is helped more.
    j = out.shares.sources.index("vegf")
    assert np.corrcoef(np.log(out.columns[:, j]), out.shares.predictive[:, j])[0, 1] > 0.99
    low, _, high = (out.shares.benefit[i.row] for i in out.illustrations)
    assert low < high


@pytest.mark.parametrize("endpoint", ["os", "response"])
def test_parts_add_up_to_the_prediction_under_treatment(endpoint: str) -> None:
    """Base, prognostic and predictive parts give f(x, treated) for every patient within 1e-9."""
    shares = found(endpoint).shares
    total = shares.base_treated + shares.prognostic.sum(axis=1)
    total = total + shares.sign * shares.predictive.sum(axis=1)
    assert np.abs(total - shares.treated).max() < 1e-9
    assert shares.sign == (-1 if endpoint == "os" else 1)


def test_nothing_is_computed_without_a_claim() -> None:
    """Not established anywhere, or claimed on another endpoint only: the reason stands instead."""
    others = [verdict("vegf", "os", "prognostic", "the interaction is not significant")]
    out = attribute_benefit(cohort(), "os", [*others, verdict("vegf", "response")])
    assert isinstance(out, WithheldBenefit)
    assert "predictive effect not established for any of 1 marker assessed on os" in out.reason
    assert "not significant" in out.reason
    assert "not predictive" not in out.reason
    none = attribute_benefit(cohort(), "os", [])
    assert isinstance(none, WithheldBenefit)
    assert "no marker was assessed" in none.reason


def test_every_code_but_the_two_claims_withholds() -> None:
    """Only ``predictive`` and ``predictive_and_prognostic`` open the gate."""
    codes = ("prognostic", "not_established", "associated_under_treatment", "not_estimable")
    assert all(withheld_because([verdict("vegf", "os", code)], "os") for code in codes)
    for code in ("predictive", "predictive_and_prognostic"):
        assert withheld_because([verdict("vegf", "os", code)], "os") == ""


def test_a_part_is_established_only_where_its_own_verdict_claims() -> None:
    """One marker's claim opens the panel; the others stay marked as not established."""
    established = {part.source for part in found("os").parts if part.established}
    assert established == {"vegf"}


def test_no_leader_without_a_claim_of_its_own() -> None:
    """A marker whose verdict does not claim is never named first, however large its part."""
    turned = [verdict("vegf", "os", "prognostic"), verdict("grade", "os")]
    out = attribute_benefit(cohort(), "os", turned, n_bootstrap=39, n_null=39)
    assert isinstance(out, BenefitAttribution)
    assert out.parts[0].source == "vegf"
    assert out.leader is None


def test_columns_that_cannot_be_told_apart_or_told_at_all_are_named() -> None:
    """A marker that repeats another gives way; a level with hardly an event has no interaction."""
    note = found("os").shares.note
    assert "left out as a combination of other columns: twin" in note
    assert "twin" not in found("os").shares.sources
    assert "covariates have no interaction" in note
    ages = next(part for part in found("os").parts if part.source == "age")
    assert ages.predictive == 0.0


def test_patients_without_a_marker_are_counted_and_those_without_a_covariate_kept() -> None:
    """Ten lack VEGF; a missing age takes the median and an indicator."""
    out = found("os")
    assert out.n_missing == 10
    assert out.n_patients == 390 == out.n_treated + out.n_control
    assert out.events_treated + out.events_control == int(
        cohort().outcomes["os"].event[~np.isnan(cohort().columns["vegf"].values)].sum()
    )


def test_strata_of_a_response_are_a_share_of_its_prediction() -> None:
    """An intercept a stratum moves the prediction under control, and nothing about the benefit."""
    out = found("response")
    j = out.shares.sources.index("strata of the study")
    assert len(np.unique(out.shares.prognostic[:, j].round(12))) == 2
    assert np.all(out.shares.predictive[:, j] == 0.0)
    assert out.levels[j] == ("stratum 1", "stratum 2")
    assert "strata of the study" not in found("os").shares.sources


def test_only_aggregates_are_stored_and_nothing_in_them_is_nan() -> None:
    """The dictionary is strict JSON, without rows, and shorter than the patients are many."""
    text = json.dumps(found("os", 12.0).to_dict(), allow_nan=False)
    stored: dict[str, Any] = json.loads(text)
    assert stored["leader"] == "vegf"
    assert stored["parts"][0]["null_high"] > 0.0
    assert any(part["null_high"] is None for part in stored["parts"])

    def longest(value: Any) -> int:
        if isinstance(value, dict):
            return max((longest(v) for v in value.values()), default=0)
        return max(len(value), *map(longest, value), 0) if isinstance(value, list) else 0

    assert longest(stored) < 10


def test_absolute_scales_are_named_as_including_the_scale_effect() -> None:
    """Survival and restricted mean carry the words, no band, and the file's order."""
    survival, area = found("os", 12.0).absolute
    assert survival.words == area.words == "includes scale effect"
    assert survival.shares.scale == "survival at 12 months"
    assert area.unit == "months"
    assert survival.shares.sources == found("os").shares.sources
    assert "null_high" not in json.dumps(survival.to_dict())
    (response,) = found("response").absolute
    assert response.unit == "probability"
    assert found("os").absolute == ()


def test_bad_requests_are_refused() -> None:
    """An unknown endpoint, a horizon of a response, and a horizon beyond the follow-up."""
    with pytest.raises(UsageError, match="endpoint must be one of"):
        attribute_benefit(cohort(), "pfs", [])
    with pytest.raises(UsageError, match="at must go with a survival endpoint"):
        attribute_benefit(cohort(), "response", verdicts("response"), at=12.0)
    with pytest.raises(UsageError, match="within the follow-up of both arms"):
        attribute_benefit(cohort(), "os", verdicts("os"), at=1e6, n_bootstrap=39, n_null=39)


def test_the_same_seed_gives_the_same_attribution_at_any_threads() -> None:
    """Refits, intervals and illustrations repeat to the bit."""
    again = attribute_benefit(
        cohort(), "os", verdicts("os"), n_bootstrap=79, n_null=79, random_state=1, threads=2
    )
    assert isinstance(again, BenefitAttribution)
    for one, other in zip(found("os").parts, again.parts, strict=True):
        assert replace(one, null_high=0, family_high=0, share_null_high=0) == replace(
            other, null_high=0, family_high=0, share_null_high=0
        )
        assert str(one) == str(other)
    assert again.illustrations == found("os").illustrations
