"""On absolute scales parts add up, are Shapley values, and show the scale effect they warn of."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from biomarker import survival_outcome
from biomarker.errors import UsageError
from biomarker.evidence.benefit_models import BenefitData, CoxBenefit, OddsBenefit
from biomarker.explain.benefit_refits import BenefitDesign
from biomarker.explain.benefit_scales import TOLERANCE, absolute_benefit


def trial(endpoint: str, n: int = 200, n_markers: int = 3, delta: float = 0.7) -> BenefitDesign:
    """The first marker changes the effect of treatment, the second is prognostic."""
    rng = np.random.default_rng(4)
    arm = np.arange(n) % 2
    markers = rng.normal(size=(n, n_markers))
    index = 0.8 * markers[:, 1] + arm * (delta * markers[:, 0] - 0.7)
    y: npt.NDArray[Any] = rng.random(n) < 1 / (1 + np.exp(-index))
    if endpoint == "survival":
        y = survival_outcome(rng.random(n) < 0.9, rng.exponential(np.exp(-index)) + 1e-3)
    data = BenefitData(np.empty((n, 0)), markers, arm == 1, y, "survival", math.nan)
    return BenefitDesign(data, (), tuple(f"m{j}" for j in range(n_markers)))


@pytest.mark.parametrize("n_markers", [3, 12], ids=["all coalitions", "orders"])
def test_parts_sum_to_the_benefit_that_the_evidence_room_predicts(n_markers: int) -> None:
    """Survival and restricted mean agree with ``CoxBenefit`` within 1e-3 of their size."""
    design = trial("survival", n_markers=n_markers)
    data, once = design.data, np.ones((1, 200), dtype=np.uint16)
    found = absolute_benefit(design, design.fit(), 0.5, "years", 0)
    for one, measure in zip(found, ("survival", "restricted_mean"), strict=True):
        asked = BenefitData(data.covariates, data.markers, data.treated, data.y, measure, 0.5)
        theirs = CoxBenefit().resamples(asked, once, np.ones((1, 200), np.bool_))[0]
        np.testing.assert_allclose(one.shares.benefit, theirs, atol=1e-6)
        total = one.shares.base_benefit + one.shares.predictive.sum(axis=1)
        size = 1.0 if measure == "survival" else 0.5
        assert np.abs(total - theirs).max() < TOLERANCE * size
        assert one.mean_low < one.mean < one.mean_high
    assert ("all coalitions" in found[0].shares.method) == (n_markers == 3)


def test_chances_of_response_agree_with_the_evidence_room() -> None:
    """The split sums to ``OddsBenefit``'s risk difference."""
    design = trial("response")
    (found,) = absolute_benefit(design, design.fit(), None, "", 0)
    once = np.ones((1, 200), dtype=np.uint16)
    theirs = OddsBenefit().resamples(design.data, once, np.ones((1, 200), np.bool_))[0]
    total = found.shares.base_benefit + found.shares.predictive.sum(axis=1)
    assert np.abs(total - theirs).max() < TOLERANCE


def test_parts_are_the_shapley_values_of_the_game_against_the_background() -> None:
    """Brute force over all coalitions of three markers and all patients as background."""
    design = trial("response", n=50)
    coefficients = design.fit()
    (found,) = absolute_benefit(design, coefficients, None, "", 0)
    m = design.data.markers
    tau, beta, delta = coefficients[1], coefficients[2:5], coefficients[5:8]

    def benefit(rows: Any) -> Any:
        odds = [coefficients[0] + a * tau + rows @ (beta + a * delta) for a in (0, 1)]
        return 1 / (1 + np.exp(-odds[1])) - 1 / (1 + np.exp(-odds[0]))

    for row in (0, 7):
        worth = {}
        for k in range(4):
            for s in combinations(range(3), k):
                mixed = m.copy()
                mixed[:, list(s)] = m[row, list(s)]
                worth[frozenset(s)] = benefit(mixed).mean()
        for i in range(3):
            share = sum(
                math.factorial(len(s)) * math.factorial(2 - len(s)) / 6 * (worth[s | {i}] - own)
                for s, own in worth.items()
                if i not in s
            )
            assert found.shares.predictive[row, i] == pytest.approx(share, abs=1e-5)


def test_a_prognostic_marker_changes_absolute_benefit_without_any_interaction() -> None:
    """Which is why the words stand there: its margin part is 0, its part of survival is not."""
    design = trial("survival", delta=0.0)
    coefficients = design.fit()
    coefficients[5:] = 0.0
    assert np.all(design.shares(coefficients).predictive == 0.0)
    survival, _ = absolute_benefit(design, coefficients, 0.5, "years", 0)
    assert survival.benefit[1] > 0.02
    assert survival.words == survival.shares.note == "includes scale effect"


def test_horizons_that_do_not_fit_the_endpoint_are_refused() -> None:
    """A response has none, survival needs one."""
    design = trial("response")
    with pytest.raises(UsageError, match="at must be a horizon for survival"):
        absolute_benefit(design, design.fit(), 1.0, "years", 0)
