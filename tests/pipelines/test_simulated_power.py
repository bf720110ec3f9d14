"""Cohorts of a recipe under the procedure: what is planted, what is left on the twin, two arms."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest

from biomarker import Cohort
from biomarker.errors import StudyError, UsageError
from pipelines import simulated_power as module
from pipelines.simulated_power import simulated_power
from synthetic_data import simulate


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the curve would be made from, without making it."""
    caught: dict[str, Any] = {}

    def catch(source: Any, twin: Any, *words: Any, **more: Any) -> None:
        caught.update(more, source=source, twin=twin, words=words)

    monkeypatch.setattr(module, "power_curve", catch)
    return caught


def test_the_interaction_is_planted_and_taken_off_the_twin(sources: dict[str, Any]) -> None:
    """Prognostic effects stay on both; the family and the adjustment set are as asked."""
    found = simulated_power(
        "il2-rcc", "caix", (80,), 5, ratio=0.5, effects=["caix=prognostic:0.4"],
        family=["vegf"], covariates=["ecog"],
    )  # fmt: skip
    assert set(found.planted) == {"caix=predictive:-0.693147", "caix=prognostic:0.4"}
    assert found.twin == ("caix=prognostic:0.4",)
    assert found.covariates == ("ecog",)
    assert sources["words"] == ((80,), 5, "caix", "os", "survival")
    assert sources["markers"] == ("caix", "vegf")
    assert sources["ratio"] == 0.5
    planted, twin = sources["source"](80, 3), sources["twin"](80, 3)
    assert isinstance(planted, Cohort)
    assert list(planted.study.endpoints) == ["os"]
    assert planted.study.with_role("marker") == ("caix", "vegf")
    assert not np.array_equal(planted.outcomes["os"].y, twin.outcomes["os"].y)


def test_cohorts_are_those_of_the_recipe(sources: dict[str, Any]) -> None:
    """The same size, seed and effect as ``simulate`` gives, missing values included."""
    simulated_power("il2-rcc", "caix", (80,), 5, ratio=0.5)
    frame, _ = simulate("il2-rcc", 80, 3, {"caix": f"predictive:{math.log(0.5)!r}"})
    cohort = sources["source"](80, 3)
    assert cohort.outcomes["os"].y["duration"] == pytest.approx(frame["os_months"].to_numpy())
    assert int(cohort.treated.sum()) == int((frame["arm"] == "il2").sum())


def test_sources_travel_to_worker_processes(sources: dict[str, Any]) -> None:
    """And draw the same cohort there."""
    simulated_power("select-like", "caix", (80,), 5, two_arms=True)
    source = sources["source"]
    here, there = source(40, 2), pickle.loads(pickle.dumps(source))(40, 2)
    assert np.array_equal(here.outcomes["os"].y, there.outcomes["os"].y)


def test_a_response_takes_odds_and_its_default_ratio(sources: dict[str, Any]) -> None:
    """Planted on the response scale; 0.6 where nothing is said."""
    found = simulated_power("il2-rcc", "caix", (80,), 5, endpoint="response")
    assert found.planted == ("caix=predictive:-0.510826@response",)
    assert sources["words"][-1] == "response"
    assert list(sources["source"](80, 1).outcomes) == ["response"]


def test_an_interaction_among_the_effects_is_the_ratio(sources: dict[str, Any]) -> None:
    """And a second one is refused, by the reader of effects."""
    simulated_power("il2-rcc", "vegf", (80,), 5, effects=["vegf=predictive:0.5"])
    assert sources["ratio"] == pytest.approx(math.exp(0.5))
    with pytest.raises(StudyError, match="once"):
        simulated_power("il2-rcc", "vegf", (80,), 5, ratio=0.6, effects=["vegf=predictive:0.5"])


def test_select_is_refused_until_it_has_two_arms(sources: dict[str, Any]) -> None:
    """One arm shows no interaction at any size; its randomised twin could."""
    for name in ("select", "select-like"):
        with pytest.raises(UsageError, match="At no number of patients"):
            simulated_power(name, "caix", (120,), 5)
    simulated_power("select-like", "caix", (120,), 5, two_arms=True)
    cohort = sources["source"](120, 1)
    assert cohort.study.randomised
    assert int(cohort.treated.sum()) == 60


def test_markers_without_one_column_have_no_formula(sources: dict[str, Any]) -> None:
    """Histology has four levels; genotypes count alleles."""
    simulated_power("il2-rcc", "histology", (80,), 5)
    assert sources["marker_variance"] is None
    simulated_power("il2-rcc", "ccr5", (80,), 5)
    assert sources["marker_variance"] == pytest.approx(2 * 0.09 * 0.91, rel=0.15)


@pytest.mark.parametrize(
    ("recipe", "change", "words"),
    [
        ("il2-rcc", {"endpoint": "dfs"}, "endpoint must be one of"),
        ("il2-rcc", {"marker": "il6"}, "marker must be one of"),
        ("il2-rcc", {"covariates": ["il6"]}, "covariate must be one of"),
        ("il2-rcc", {"ratio": 1.0}, "ratio"),
        ("il2-rcc", {"two_arms": True}, "two_arms"),
        ("yang-2003", {}, "published study"),
    ],
)
def test_what_the_recipe_lacks_is_named(recipe: str, change: dict[str, Any], words: str) -> None:
    """With what it has."""
    asked: dict[str, Any] = {"marker": "caix", "sizes": (80,), "n_cohorts": 1} | change
    with pytest.raises(UsageError, match=words):
        simulated_power(recipe, **asked)


def test_the_procedure_runs_on_a_recipe() -> None:
    """Two cohorts and two twins, end to end."""
    found = simulated_power("il2-rcc", "caix", (100,), 2, ratio=0.3, covariates=[])
    point = found.curve.points[0]
    assert 70 < point.power.mean_patients < 100
    assert point.false_claims is not None
    assert point.formula is not None
    assert found.to_dict()["curve"]["points"][0]["power"]["n_cohorts"] == 2
