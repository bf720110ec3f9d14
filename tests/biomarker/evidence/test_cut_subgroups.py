"""Effects on either side of a cut: the plain fits, and what shrinking and choosing do to them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from biomarker import Cohort
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.cut_design import CutDesign
from biomarker.evidence.cut_subgroups import subgroup_effects
from biomarker.evidence.interaction import regression_of
from biomarker.evidence.regressions import Fit


def planned(trial: Callable[..., Cohort]) -> tuple[CutDesign, Fit]:
    """A design with the arm alone in the null model, and its fit at a cut of 0."""
    cohort = trial(n=200, predictive=0.5)
    data = analysis_set(cohort, "m1", "os")
    values = cohort.columns["m1"].values[data.rows]
    assert data.arm is not None
    design = CutDesign(
        "interaction", data, regression_of(data), data.arm[:, None], values, np.array([0.0]), 1
    )
    X = np.column_stack([design.null, design.columns_at(0.0)])
    return design, design.regression.fit(X)


def test_the_effects_are_those_of_the_joint_fit(trial: Callable[..., Cohort]) -> None:
    """Below: the arm's coefficient; above: that and the interaction."""
    design, fit = planned(trial)
    gamma = float(fit.coefficients[-1])
    wide = (gamma - 1.0, gamma + 1.0)
    below, above = subgroup_effects(design, 0.0, fit, wide, gamma, 0.05)
    assert math.log(below.ratio) == pytest.approx(fit.coefficients[0], abs=1e-10)
    assert math.log(above.ratio) == pytest.approx(fit.coefficients[0] + gamma, abs=1e-10)
    # Nothing shrunken leaves them where they are.
    assert below.shrunken == pytest.approx(below.ratio)
    assert above.shrunken == pytest.approx(above.ratio)


def test_a_normal_interval_of_the_interaction_gives_the_normal_one(
    trial: Callable[..., Cohort],
) -> None:
    """Joining uncorrelated parts recovers each side's own standard error."""
    design, fit = planned(trial)
    gamma = float(fit.coefficients[-1])
    half = 1.959964 * math.sqrt(fit.covariance[-1, -1])
    below, above = subgroup_effects(design, 0.0, fit, (gamma - half, gamma + half), gamma, 0.05)
    own = math.sqrt(fit.covariance[0, 0])
    assert math.log(below.high / below.ratio) == pytest.approx(1.959964 * own, rel=1e-5)
    c = fit.covariance
    joint = math.sqrt(c[0, 0] + 2 * c[0, -1] + c[-1, -1])
    assert math.log(above.ratio / above.low) == pytest.approx(1.959964 * joint, rel=1e-5)


def test_all_shrunken_is_one_effect_for_everybody(trial: Callable[..., Cohort]) -> None:
    """With the interaction shrunken to nothing both sides share the effect between them."""
    design, fit = planned(trial)
    gamma = float(fit.coefficients[-1])
    below, above = subgroup_effects(design, 0.0, fit, (-2.0, 2.0), 0.0, 0.05)
    assert below.shrunken == pytest.approx(above.shrunken)
    assert min(below.ratio, above.ratio) < below.shrunken < max(below.ratio, above.ratio)
    assert gamma != 0.0


def test_patients_and_events_are_counted_by_side_and_arm(trial: Callable[..., Cohort]) -> None:
    """Everybody once."""
    design, fit = planned(trial)
    below, above = subgroup_effects(design, 0.0, fit, (-1.0, 1.0), 0.0, 0.05)
    high, treated, event = design.values > 0.0, design.treated, design.data.event
    assert above.n_treated == np.sum(high & treated)
    assert below.n_control == np.sum(~high & ~treated)
    assert above.events_control == np.sum(high & ~treated & event)
    assert below.events_treated == np.sum(~high & treated & event)
