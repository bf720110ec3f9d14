"""Null and planted truths behave as declared: uniform p-values, and estimands where they should be.

Cohorts are cut from one long stream of patients, which are independent draws all the same.
"""

import numpy as np
import pytest
from scipy.stats import binomtest, kstest

from experiments.e01_published_tables.batched_cox import interaction_p
from synthetic_data.analyses import cox
from synthetic_data.blocks import draw_block
from synthetic_data.outcomes import marker_scores
from synthetic_data.plan import plan_for
from synthetic_data.truth import Truth

SIZE = 700
MARKERS = ("caix", "vegf", "fibronectin", "histology", "upton_group", "ccr5")


def drawn(name, n_patients, seed, effects=None, **options):
    """Measured marker scores, arm, outcomes and both potential outcomes of a long cohort."""
    plan = plan_for(name, n_patients, seed, effects, complete=True, **options)
    parts = []
    for index in range(plan.n_blocks):
        block = draw_block(plan, index)
        scores = marker_scores(block.measured, plan.design["markers"])
        row = {f"z_{k}": v.astype(np.float32) for k, v in scores.items()}
        row |= {"arm": block.treated.astype(np.float64)}
        row |= {k: np.asarray(block.observed[k], dtype=float) for k in ("os_months", "os_event")}
        row["responded"] = block.observed["response"].codes <= 1
        for arm, outcome in zip(("control", "treated"), block.outcomes, strict=True):
            row[f"os_{arm}"] = outcome.os_months
            row[f"r_{arm}"] = outcome.response <= 1
        parts.append(row)
    return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}


def p_values(data, marker, n_cohorts):
    """Interaction p of one marker in each of the first cohorts."""
    found = []
    for start in range(0, n_cohorts, 250):
        rows = slice(start * SIZE, min(start + 250, n_cohorts) * SIZE)
        cut = [
            data[k][rows].astype(np.float64).reshape(-1, SIZE)
            for k in ("arm", f"z_{marker}", "os_months", "os_event")
        ]
        found.append(interaction_p(*cut))
    return np.concatenate(found)


@pytest.fixture(scope="module")
def null():
    """Patients of 2,000 cohorts of 700 under the null."""
    return drawn("il2-rcc", 2000 * SIZE, seed=101)


@pytest.mark.slow
@pytest.mark.parametrize("marker", MARKERS)
def test_null_interaction_p_values_are_uniform(null, marker):
    """Over 2,000 null cohorts every marker's interaction p is uniform (KS p > .01)."""
    assert kstest(p_values(null, marker, 2000), "uniform").pvalue > 0.01


@pytest.mark.parametrize("marker", ["vegf", "fibronectin", "ccr5"])
def test_null_p_values_of_the_melanoma_design_are_uniform(marker):
    """The other randomised design is as honest, over 500 null cohorts of 700."""
    data = drawn("il2-melanoma", 500 * SIZE, seed=102)
    assert kstest(p_values(data, marker, 500), "uniform").pvalue > 0.01


def test_null_markers_are_prognostic_of_nothing(null):
    """Without declared effects no marker is associated with survival or response in control."""
    control = null["arm"] == 0
    for marker in MARKERS:
        z = null[f"z_{marker}"].astype(np.float64)
        time, event = null["os_months"][control][:200_000], null["os_event"][control][:200_000]
        beta, se = cox(z[control][:200_000], time, event)
        assert abs(beta[0]) < 4 * se[0], marker
        r = np.corrcoef(z[control], null["responded"][control])[0, 1]
        assert abs(r) < 4 / np.sqrt(control.sum()), marker


@pytest.mark.slow
def test_prognostic_only_truth_keeps_the_interaction_test_honest():
    """A strong prognostic marker (0.7 per SD) is called predictive at 5% in 3 to 7% of cohorts."""
    data = drawn("il2-rcc", 1000 * SIZE, 202, {"vegf": "prognostic:0.7"})
    rejected = int((p_values(data, "vegf", 1000) < 0.05).sum())
    assert 0.03 <= rejected / 1000 <= 0.07
    assert binomtest(rejected, 1000, 0.05).pvalue > 0.001


def test_a_planted_interaction_is_found():
    """The positive control: 0.5 per SD is significant in nearly every cohort of 700."""
    data = drawn("il2-rcc", 100 * SIZE, 303, {"vegf": "predictive:0.5"})
    assert (p_values(data, "vegf", 100) < 0.05).mean() > 0.9


EFFECTS = {
    "vegf": "predictive:0.5",
    "caix": ["prognostic:0.4", "predictive:-0.2"],
    "ccr5": ["predictive:0.6@response", "prognostic:0.3"],
}
MILLION = 1_000_000


@pytest.fixture(scope="module")
def planted():
    """A million patients with three planted effects, and their truth table."""
    plan = plan_for("il2-rcc", MILLION, 404, EFFECTS)
    table = Truth(plan, None).markers
    marginal = table[table["kind"] == "marginal"].set_index(["marker", "endpoint", "quantity"])
    return drawn("il2-rcc", MILLION, 404, EFFECTS), marginal


def agrees(truth, key, estimate, se):
    """Within three standard errors, those of the truth's own draw included."""
    row = truth.loc[key]
    return abs(estimate - row["value"]) <= 3.0 * np.hypot(se, row["mc_se"])


@pytest.mark.slow
@pytest.mark.parametrize("marker", ["vegf", "caix", "ccr5"])
def test_hazard_estimands_equal_the_truth(planted, marker):
    """Cox on a million patients gives the table's control log HR and ratio of hazard ratios."""
    data, truth = planted
    z, arm = data[f"z_{marker}"].astype(np.float64), data["arm"]
    x = np.column_stack([arm, z, arm * z])
    beta, se = cox(x, data["os_months"], data["os_event"])
    for position, quantity in (
        (0, "log_hr_treatment_at_centre"),
        (1, "log_hr_control"),
        (2, "log_ratio_of_hazard_ratios"),
    ):
        assert agrees(truth, (marker, "os", quantity), beta[position], se[position]), quantity


@pytest.mark.parametrize("marker", ["vegf", "caix", "ccr5"])
def test_absolute_estimands_equal_the_truth(planted, marker):
    """Slopes per SD of months gained, survival and response gained, from potential outcomes."""
    data, truth = planted
    z = data[f"z_{marker}"].astype(np.float64)
    gains = {
        ("os", "delta_rmst_36_months"): np.minimum(data["os_treated"], 36.0)
        - np.minimum(data["os_control"], 36.0),
        ("os", "delta_survival_24_months"): (data["os_treated"] > 24.0)
        - (data["os_control"] > 24.0).astype(float),
        ("response", "delta_response"): data["r_treated"] - data["r_control"].astype(float),
    }
    for (endpoint, name), gain in gains.items():
        centred = z - z.mean()
        slope = float(centred @ gain / (centred @ centred))
        left = gain - gain.mean() - slope * centred
        se = float(np.sqrt(centred**2 @ left**2) / (centred @ centred))
        assert agrees(truth, (marker, endpoint, f"{name}_per_sd"), slope, se), name
        mean_se = float(gain.std() / np.sqrt(len(gain)))
        assert agrees(truth, (marker, endpoint, f"{name}_mean"), gain.mean(), mean_se), name


def test_contrasts_between_percentiles_equal_the_truth(planted):
    """Months gained near the 75th less those near the 25th percentile of VEGF."""
    data, truth = planted
    z = data["z_vegf"].astype(np.float64)
    gain = np.minimum(data["os_treated"], 36.0) - np.minimum(data["os_control"], 36.0)
    parts = []
    for share in (0.75, 0.25):
        near = np.abs(z - np.quantile(z, share)) < 0.15
        offset = z[near] - np.quantile(z, share)
        basis = np.column_stack([np.ones(near.sum()), offset])
        fitted = np.linalg.lstsq(basis, gain[near], rcond=None)[0]
        parts.append((fitted[0], gain[near].var() / near.sum()))
    estimate = parts[0][0] - parts[1][0]
    se = float(np.sqrt(parts[0][1] + parts[1][1]))
    assert agrees(truth, ("vegf", "os", "delta_rmst_36_months_75th_minus_25th"), estimate, se)


def test_response_estimands_equal_the_truth(planted):
    """The ratio of odds ratios per d32 allele, from logistic fits on a million patients."""
    from synthetic_data.least_false import logistic_limit

    data, truth = planted
    z, slopes, variances = data["z_ccr5"].astype(np.float64), [], []
    for arm in (0, 1):
        held = data["arm"] == arm
        values, codes = np.unique(z[held], return_inverse=True)
        n = np.bincount(codes).astype(float)
        yes = np.bincount(codes, data["responded"][held])
        beta = logistic_limit(values[:, None], n, yes)
        fitted = 1 / (1 + np.exp(-(beta[0] + beta[1] * values)))
        w = n * fitted * (1 - fitted)
        mean = (w @ values) / w.sum()
        slopes.append(beta[1])
        variances.append(1 / (w @ (values - mean) ** 2))
    key = ("ccr5", "response", "log_ratio_of_odds_ratios")
    assert agrees(truth, key, slopes[1] - slopes[0], np.sqrt(sum(variances)))


def test_confounding_makes_a_proxy_of_risk():
    """With confounding VEGF is associated with survival although it has no effect of its own."""
    plan = plan_for("il2-rcc", 1000, 1, None, confounding=0.3)
    table = Truth(plan, None).markers.set_index(["marker", "endpoint", "kind", "quantity"])["value"]
    assert table["vegf", "os, pfs", "structural", "prognostic_hazard"] == 0.0
    assert table["vegf", "os", "marginal", "log_hr_control"] > 0.03
    assert abs(table["vegf", "os", "marginal", "log_ratio_of_hazard_ratios"]) < 0.01


@pytest.mark.parametrize("scale", ["cure", "response"])
def test_effects_act_on_their_declared_scale(scale):
    """A cure effect moves the plateau and a response effect moves response alone."""
    data = drawn("il2-rcc", 200_000, 505, {"vegf": f"predictive:0.8@{scale}"})
    high = data["z_vegf"] > 0

    def contrast(values):
        return float(values[high].mean() - values[~high].mean())

    plateau = contrast(np.isinf(data["os_treated"])) - contrast(np.isinf(data["os_control"]))
    response = contrast(data["r_treated"]) - contrast(data["r_control"])
    if scale == "cure":
        assert plateau > 0.03
    else:
        assert abs(plateau) < 0.012
        assert response > 0.1
    base = contrast(np.minimum(data["os_control"], 36.0))
    assert abs(base) < 0.35
