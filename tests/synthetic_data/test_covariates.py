"""Baseline covariates have the stated margins and ties, and groups follow their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from biomarker.errors import StudyError
from synthetic_data.blocks import draw_measured
from synthetic_data.covariates import caix_percent, copula_factor, draw_covariates, upton_group
from synthetic_data.facts import recipe
from synthetic_data.outcomes import marker_scores
from synthetic_data.plan import plan_for


@pytest.fixture(scope="module")
def drawn():
    """True baseline values of 60,000 patients of the renal design."""
    design = recipe("il2-rcc").design
    factor = copula_factor(tuple(design["margins"]), design["correlations"])
    return draw_covariates(np.random.default_rng(3), 60_000, design, factor)


def test_margins_are_as_stated(drawn):
    """Shares of levels, medians and spreads hit the design's numbers."""
    design = recipe("il2-rcc").design["margins"]
    for name in ("histology", "grade", "ecog", "sex", "era", "ccr5"):
        share = np.bincount(drawn[name].codes, minlength=len(design[name]["share"])) / 60_000
        np.testing.assert_allclose(share, design[name]["share"], atol=0.008)
    assert np.median(drawn["vegf"]) == pytest.approx(400.0, rel=0.02)
    assert np.log(drawn["vegf"]).std() == pytest.approx(0.83, abs=0.01)
    assert drawn["fibronectin"].min() > 60.0 * 0.88


def test_risk_groups_are_near_the_treated_registry(drawn):
    """IMDC groups lie near the 31/59/10 of a high-dose registry, fitter than all comers."""
    share = np.bincount(drawn["imdc"].codes) / 60_000
    np.testing.assert_allclose(share, [0.31, 0.59, 0.10], atol=0.06)


def test_caix_follows_type_and_grade(drawn):
    """The share above 85% is 92/85/76/42 by grade in clear cell tumours and 3% elsewhere."""
    clear = drawn["histology"].codes == 0
    for grade, share in enumerate((0.92, 0.85, 0.76, 0.42)):
        held = clear & (drawn["grade"].codes == grade)
        assert (drawn["caix"][held] > 85).mean() == pytest.approx(share, abs=0.02)
    assert (drawn["caix"][~clear] > 85).mean() == pytest.approx(0.03, abs=0.01)
    assert 0.03 < (drawn["caix"] == 0).mean() < 0.06


def test_upton_groups_among_clear_cell_tumours(drawn):
    """Computed pattern groups come in the published 36/77/33."""
    clear = drawn["histology"].codes == 0
    share = np.bincount(drawn["upton_group"].codes[clear], minlength=3) / clear.sum()
    np.testing.assert_allclose(share, np.array([36, 77, 33]) / 146, atol=0.01)
    for name in ("alveolar", "granular", "papillary"):
        percent = drawn[f"{name}_percent"]
        assert percent.min() >= 0
        assert percent.max() <= 100
    together = drawn["alveolar_percent"] + drawn["granular_percent"]
    assert together[clear].max() <= 100


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_every_clear_cell_tumour_has_one_group(alveolar, granular, papillary):
    """Any papillary, no alveolar or more than half granular is poor; good needs alveolar alone."""
    args = [np.array([float(v)]) for v in (alveolar, granular, papillary)]
    group = int(upton_group(np.array([True]), *args)[0])
    poor = papillary > 0 or alveolar == 0 or granular > 50
    good = not poor and alveolar > 50 and granular == 0
    assert group == (2 if poor else 0 if good else 1)
    assert int(upton_group(np.array([False]), *args)[0]) == 3


def test_open_cases_are_intermediate():
    """At most half alveolar without granular, and exactly half granular, count as intermediate."""
    groups = upton_group(
        np.array([True, True]), np.array([50.0, 60.0]), np.array([0.0, 50.0]), np.zeros(2)
    )
    assert groups.tolist() == [1, 1]


def test_caix_is_monotone_and_bounded():
    """A higher latent score never gives fewer positive cells, and all stay within 0 to 100."""
    z = np.linspace(-6, 6, 2001)
    percent = caix_percent(z, np.full(2001, 0.7), 0.04)
    assert (np.diff(percent) >= 0).all()
    assert percent[0] == 0
    assert percent[-1] <= 100


def test_ties_are_where_the_design_puts_them(drawn):
    """VEGF follows platelets, not risk factors; confounding ties it to performance and LDH."""
    vegf = drawn["vegf"]
    assert spearmanr(vegf, drawn["platelets"])[0] == pytest.approx(0.29, abs=0.02)
    for name in ("ecog", "mskcc"):
        assert abs(spearmanr(vegf, drawn[name].codes)[0]) < 0.02
    tied, _ = draw_measured(plan_for("il2-rcc", 30_000, 5, confounding=0.3), 0)
    assert spearmanr(tied["vegf"], tied["ecog"].codes)[0] > 0.15


def test_standardised_markers_have_mean_zero_and_unit_spread(drawn):
    """The constants in the designs make z a standard score; levels are centred."""
    for name in ("il2-rcc", "il2-melanoma", "select-like"):
        design = recipe(name).design
        factor = copula_factor(tuple(design["margins"]), design["correlations"])
        table = draw_covariates(np.random.default_rng(4), 60_000, design, factor)
        for marker, z in marker_scores(table, design["markers"]).items():
            assert abs(z.mean()) < 0.03, marker
            if design["markers"][marker]["transform"] != "levels":
                assert z.std() == pytest.approx(1.0, abs=0.03), marker


def test_impossible_correlations_are_refused():
    """An unknown pair or a matrix that is no correlation matrix is an error, not a crash."""
    with pytest.raises(StudyError, match="two margins"):
        copula_factor(("a", "b"), {"a:c": 0.1})
    with pytest.raises(StudyError, match="positive definite"):
        copula_factor(("a", "b", "c"), {"a:b": 0.9, "a:c": 0.9, "b:c": -0.9})
