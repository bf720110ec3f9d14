"""The two parts of treatment-by-marker regressions: known answers, identities, refits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker import survival_outcome
from biomarker.errors import NotEstimableError
from biomarker.evidence.benefit_models import BenefitData
from biomarker.explain import benefit_refits
from biomarker.explain.benefit_refits import BenefitDesign, null_refits, patient_refits

Floats = npt.NDArray[np.float64]


def trial(endpoint: str, n: int = 160, seed: int = 0, delta: float = 0.9) -> BenefitDesign:
    """Two markers, one of two columns, and a covariate; ``delta`` acts under treatment."""
    rng = np.random.default_rng(seed)
    arm = np.arange(n) % 2
    level = rng.integers(0, 3, n)
    markers = np.column_stack([rng.normal(size=n), level == 1, level == 2]).astype(float)
    covariate = rng.normal(size=(n, 1))
    index = 0.5 * covariate[:, 0] + arm * (delta * markers[:, 0] - 0.3)
    y: npt.NDArray[Any] = rng.random(n) < 1 / (1 + np.exp(-index))
    if endpoint == "survival":
        y = survival_outcome(rng.random(n) < 0.8, rng.exponential(np.exp(-index)) + 1e-3)
    data = BenefitData(covariate, markers, arm == 1, y, "restricted_mean", math.nan)
    return BenefitDesign(data, ("age",), ("vegf", "grade", "grade"))


def test_a_two_by_two_by_two_table_gives_the_parts_worked_out_by_hand() -> None:
    """With one binary marker the model is saturated: parts are log odds of the four cells.

    Responders of 20 each: control 4 (marker 0) and 8 (marker 1), treated 5 and 14. So the log odds
    are ln(4/16), ln(8/12), ln(5/15), ln(14/6); half of the patients have the marker.
    """
    cells = [(0, 0, 4), (0, 1, 8), (1, 0, 5), (1, 1, 14)]
    arm = np.repeat([a for a, _, _ in cells], 20)
    marker = np.repeat([m for _, m, _ in cells], 20).astype(float)
    y = np.concatenate([np.arange(20) < r for _, _, r in cells])
    data = BenefitData(np.empty((80, 0)), marker[:, None], arm == 1, y, "restricted_mean", math.nan)
    design = BenefitDesign(data, (), ("m",))
    found = design.shares(design.fit())
    c0, c1, t0, t1 = (math.log(r / (20 - r)) for _, _, r in cells)
    half = marker - 0.5
    np.testing.assert_allclose(found.prognostic[:, 0], (c1 - c0) * half, atol=1e-7)
    np.testing.assert_allclose(found.predictive[:, 0], (t1 - c1 - t0 + c0) * half, atol=1e-7)
    assert found.base_control == pytest.approx((c0 + c1) / 2, abs=1e-7)
    assert found.base_benefit == pytest.approx((t0 + t1 - c0 - c1) / 2, abs=1e-7)


def test_hazard_parts_are_lifelines_coefficients_times_distances() -> None:
    """Recipe: CoxPHFitter on covariate, arm, markers and products, precision 1e-14, Efron ties.

    Benefit is control less treated, so that the predictive part is minus the interaction.
    """
    from lifelines import CoxPHFitter

    design = trial("survival")
    data = design.data
    names = ["age", "arm", "m0", "m1", "m2", "i0", "i1", "i2"]
    frame = pd.DataFrame(data.columns, columns=names)
    frame["time"], frame["event"] = data.y["duration"], data.y["event"]
    theirs = CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-14}).params_
    found = design.shares(design.fit())
    m = data.markers - data.markers.mean(axis=0)
    np.testing.assert_allclose(found.predictive[:, 0], -theirs["i0"] * m[:, 0], atol=1e-7)
    grade = -(theirs["i1"] * m[:, 1] + theirs["i2"] * m[:, 2])
    np.testing.assert_allclose(found.predictive[:, 1], grade, atol=1e-7)
    np.testing.assert_allclose(found.prognostic[:, 0], theirs["m0"] * m[:, 0], atol=1e-7)
    assert np.all(found.predictive[:, 2] == 0.0)
    assert found.sources == ("vegf", "grade", "age")


@given(seed=st.integers(0, 500), endpoint=st.sampled_from(["survival", "response"]))
@settings(max_examples=20, deadline=None)
def test_parts_obey_the_identities_of_benefit(seed: int, endpoint: str) -> None:
    """Permuting patients moves rows, rescaling a marker nothing; exchanging the arms flips benefit.

    After the exchange the old prediction under treatment is the new one under control.
    """
    design = trial(endpoint, 200, seed)
    found = design.shares(design.fit())
    data = design.data
    order = np.random.default_rng(seed).permutation(data.n_patients)
    moved = replace(design, data=data.rows(order))
    np.testing.assert_allclose(
        moved.shares(moved.fit()).predictive, found.predictive[order], atol=1e-6
    )
    scaled = replace(design, data=replace(data, markers=7.0 + 3.0 * data.markers))
    np.testing.assert_allclose(scaled.shares(scaled.fit()).predictive, found.predictive, atol=1e-6)
    other = replace(design, data=replace(data, treated=~data.treated))
    turned = other.shares(other.fit())
    np.testing.assert_allclose(turned.predictive, -found.predictive, atol=1e-6)
    under_treatment = found.prognostic + found.sign * found.predictive
    np.testing.assert_allclose(turned.prognostic, under_treatment, atol=1e-6)


@pytest.mark.parametrize("endpoint", ["survival", "response"])
def test_importances_of_refits_are_means_of_absolute_parts(endpoint: str) -> None:
    """One refit judged by the batch equals its shares averaged directly, moved sizes included."""
    design = trial(endpoint)
    coefficients = design.fit()
    other = coefficients + 0.1 * np.arange(len(coefficients))
    judged = design.judged(np.stack([other, np.full_like(other, np.nan)]), coefficients)
    one, base = design.shares(other), design.shares(coefficients)
    for name in ("prognostic", "predictive"):
        own, before = getattr(one, name), getattr(base, name)
        np.testing.assert_allclose(getattr(judged, name)[0], np.abs(own).mean(axis=0))
        moved = np.abs(own - before).mean(axis=0)
        np.testing.assert_allclose(getattr(judged, f"{name}_moved")[0], moved, atol=1e-12)
        assert np.all(np.isinf(getattr(judged, name)[1]))
    total = judged.prognostic[0] + judged.predictive[0]
    np.testing.assert_allclose(judged.share[0], judged.predictive[0] / total)
    assert np.all(np.isinf(judged.share[1]))
    assert judged.n_failed == 1


@pytest.mark.parametrize("endpoint", ["survival", "response"])
@pytest.mark.parametrize("refits", [null_refits, patient_refits], ids=["null", "patients"])
def test_refits_repeat_whatever_the_threads(endpoint: str, refits: Any) -> None:
    """Same seed, same refits to the bit at one and two threads; another seed gives others."""
    design = trial(endpoint)
    coefficients = design.fit()
    one, two = (refits(design, coefficients, 30, 5, threads) for threads in (1, 2))
    assert np.array_equal(one.predictive, two.predictive)
    assert np.array_equal(one.prognostic_moved, two.prognostic_moved)
    assert not np.array_equal(one.predictive, refits(design, coefficients, 30, 6).predictive)


@pytest.mark.parametrize("endpoint", ["survival", "response"])
def test_null_refits_forget_the_interaction_and_keep_the_rest(endpoint: str) -> None:
    """Where VEGF acts through treatment alone its part shrinks in null refits, not in resamples."""
    design = trial(endpoint, 600, delta=1.5)
    coefficients = design.fit()
    own = np.abs(design.shares(coefficients).predictive).mean(axis=0)[0]
    null = null_refits(design, coefficients, 40, 0)
    resamples = patient_refits(design, coefficients, 40, 0)
    assert null.predictive[:, 0].max() < 0.6 * own
    assert 0.7 * own < np.median(resamples.predictive[:, 0]) < 1.4 * own
    # Its prognostic part under the null is the effect that both arms share: not that of control.
    assert np.median(null.prognostic[:, 0]) > 0.3 * own


def test_null_refits_are_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of bounded memory draw as many refits, of the same distribution."""
    design = trial("response")
    coefficients = design.fit()
    whole = null_refits(design, coefficients, 60, 0)
    monkeypatch.setattr(benefit_refits, "_CELLS", 16 * design.data.n_patients)
    parts = null_refits(design, coefficients, 60, 0)
    assert parts.predictive.shape == whole.predictive.shape
    ratio = parts.predictive.mean(axis=0)[:2] / whole.predictive.mean(axis=0)[:2]
    assert np.all((ratio > 0.6) & (ratio < 1.6))


def test_separated_responses_are_refused() -> None:
    """A model without a finite maximum has no parts."""
    design = trial("response")
    y = design.data.markers[:, 0] > 0
    with pytest.raises(NotEstimableError, match="separation"):
        replace(design, data=replace(design.data, y=y)).fit()


def test_strata_keep_their_own_baseline() -> None:
    """Stratified survival refits run, and differ from unstratified ones."""
    design = trial("survival")
    strata = np.arange(design.data.n_patients) % 3
    within = replace(design, data=replace(design.data, strata=strata))
    one, other = design.fit(), within.fit()
    assert not np.allclose(one, other)
    assert null_refits(within, other, 10, 0).n_failed == 0
