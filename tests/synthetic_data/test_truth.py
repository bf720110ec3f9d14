"""The declared truth: individual benefits, units, directions, and what each mode implies."""

import json

import numpy as np
import pytest

from biomarker.errors import StudyError
from synthetic_data import simulate
from synthetic_data.blocks import draw_block
from synthetic_data.outcomes import cumulative_hazard
from synthetic_data.patient_truth import restricted_mean, survival_probability
from synthetic_data.plan import plan_for
from synthetic_data.truth import Truth

EFFECTS = {"vegf": ["predictive:0.5", "prognostic:0.2"], "ccr5": "predictive:0.6@response"}


@pytest.fixture(scope="module")
def truth():
    """Truth of a small cohort with a predictive marker."""
    return simulate("il2-rcc", 500, 1, EFFECTS)[1]


def test_structural_truth_is_the_declaration(truth):
    """Declared effects come back with value, unit and direction; all others are zero."""
    table = truth.markers
    structural = table[table["kind"] == "structural"].set_index(["marker", "quantity"])["value"]
    assert structural["vegf", "predictive_hazard"] == 0.5
    assert structural["vegf", "prognostic_hazard"] == 0.2
    assert structural["ccr5", "predictive_response"] == 0.6
    assert (structural.abs() > 0).sum() == 3
    row = table[(table["marker"] == "vegf") & (table["quantity"] == "predictive_hazard")].iloc[0]
    assert "per SD (0.83 of ln(vegf), pg/mL)" in row["unit"]
    assert row["direction"] == "positive = less benefit of treatment at higher values"


def test_marginal_effects_are_weaker_than_structural_ones(truth):
    """What an arm and marker analysis converges to is attenuated, not equal."""
    table = truth.markers.set_index(["marker", "endpoint", "quantity"])["value"]
    ratio = table["vegf", "os", "log_ratio_of_hazard_ratios"]
    assert 0.3 < ratio < 0.48
    assert table["vegf", "os", "delta_rmst_36_months_75th_minus_25th"] < -3
    assert abs(table["fibronectin", "os", "log_ratio_of_hazard_ratios"]) < 0.01
    assert table["ccr5", "response", "log_ratio_of_odds_ratios"] == pytest.approx(0.58, abs=0.05)


def test_every_quantity_has_a_standard_error(truth):
    """Marginal quantities come with the error of their Monte Carlo draw; all are finite."""
    marginal = truth.markers.query("kind == 'marginal'")
    assert np.isfinite(marginal["value"]).all()
    assert (marginal["mc_se"] > 0).all()
    logs = marginal[marginal["quantity"].str.startswith("log_")]
    assert logs["mc_se"].max() < 0.01


def test_single_arm_truth_has_no_interaction():
    """A single-arm design states what can be seen under treatment, and no contrast of arms."""
    quantities = set(simulate("select-like", 20, 1)[1].markers.query("kind == 'marginal'").quantity)
    assert quantities == {"log_hr_treated_alone", "log_or_treated"}


def test_individual_benefit_matches_the_formula():
    """Survival and restricted mean agree with direct numerical integration of one patient."""
    block = draw_block(plan_for("il2-rcc", 50, 2, ["caix=predictive:0.5@cure"]), 0)
    survival = block_design()["survival"]
    control, treated = block.terms
    grid = np.linspace(0.0, 36.0, 20_001)
    hazard = cumulative_hazard(grid, survival["os"])
    for terms, with_drug in ((control, False), (treated, True)):
        alive = np.exp(-np.exp(terms.log_hazard[:, None]) * hazard)
        alive = terms.durable[:, None] + (1 - terms.durable[:, None]) * alive
        if with_drug:
            alive = alive * (1 - terms.toxic[:, None] * -np.expm1(-grid))
        np.testing.assert_allclose(
            restricted_mean(terms, 36.0, survival, with_drug),
            np.trapezoid(alive, grid, axis=1),
            rtol=2e-5,
        )
        np.testing.assert_allclose(
            survival_probability(terms, 36.0, survival, with_drug), alive[:, -1], rtol=1e-9
        )


def block_design():
    """Parameters of the renal design."""
    return plan_for("il2-rcc", 1, 1).design


def test_benefit_columns_are_treated_minus_control(truth):
    """Higher is better: the mean benefit is positive where treatment works."""
    people = truth.patients
    assert people["benefit_survival_24_months"].mean() > 0.03
    assert people["benefit_rmst_36_months"].mean() > 1.0
    assert people["benefit_response"].mean() > 0.05
    gap = people["log_hazard_treated"] - people["log_hazard_control"]
    assert np.corrcoef(gap, people["benefit_rmst_36_months"])[0, 1] < -0.8


def test_the_declaration_is_json_with_units(truth):
    """The truth file's statement survives JSON and names design, effects and censoring."""
    declared = json.loads(json.dumps(truth.to_dict()))
    assert declared == json.loads(json.dumps(Truth.declaration(truth.plan)))
    assert declared["design"] == "il2-rcc"
    assert len(declared["effects"]) == 3
    assert {"unit", "direction"} <= set(declared["effects"][0])
    assert declared["censoring"]["kind"] == "independent"
    assert declared["z"]["markers"]["vegf"]["scale"] == 0.83
    assert len(declared["markers"]) == len(truth.markers)


def test_published_studies_declare_no_effect():
    """A published study has patients' truths and refuses a marker table."""
    _, known = simulate("mcdermott-2005", None, 1)
    assert known.mode.startswith("published")
    assert (known.patients["pfs_months"] <= known.patients["os_months"]).all()
    with pytest.raises(StudyError, match="published study"):
        _ = known.markers
