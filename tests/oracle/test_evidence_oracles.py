"""Real trials whose verdicts are known, and formulas with published answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pipelines
from biomarker import Cohort, Study, survival_outcome
from biomarker.evidence import EvidenceResult, assess
from biomarker.evidence.log_odds import fit_log_odds
from biomarker.evidence.multiplicity import holm
from biomarker.evidence.power import interaction_power
from biomarker.evidence.residuals import proportionality_p, score_residuals
from biomarker.models import CoxRegression


def table(name: str) -> pd.DataFrame:
    """A data file of the installed lifelines package, as text."""
    import lifelines

    path = Path(lifelines.__file__).parent / "datasets" / name
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    return frame.rename(columns=lambda column: "" if column.startswith("Unnamed") else column)


def actg175(**marker: Any) -> EvidenceResult:
    """ACTG 175 with CD4 as the only marker and no covariates."""
    study = pipelines.study("actg175").to_dict()
    for name, column in study["columns"].items():
        if column["role"] == "covariate" or name == "cd80":
            study["columns"][name] = {"role": "ignore"}
    study["columns"]["cd40"] |= marker
    return assess(Cohort.from_frame(table("ACTG175.csv"), Study.from_dict(study)))


def test_actg175_cd4_is_prognostic_and_no_more() -> None:
    """Untransformed: ratio per SD .995, asymptotic p .961.

    R: coxph(Surv(days, cens) ~ treat * scale(cd40), ACTG175); anova against treat + scale(cd40).
    The asymptotic interval is .807-1.227; the calibrated one lies within Monte Carlo error of it.
    """
    (verdict,) = actg175()
    assert verdict.verdict == "prognostic"
    assert (verdict.n_treated, verdict.n_control) == (1607, 532)
    assert verdict.events_treated + verdict.events_control == 521
    assert verdict.ratio == pytest.approx(0.995, abs=5e-4)
    assert verdict.p_asymptotic == pytest.approx(0.961, abs=5e-4)
    assert (verdict.ratio_low, verdict.ratio_high) == pytest.approx((0.807, 1.227), abs=0.015)
    assert "predictive effect not established" in verdict.sentence
    assert verdict.ph_p is not None
    assert verdict.ph_p < 0.05


def test_actg175_cd4_on_a_log_scale_rests_on_three_patients() -> None:
    """Declared log1p: p = 4e-5, all of it from three treated patients with no CD4 cells."""
    (verdict,) = actg175(transform="log1p")
    assert verdict.p_asymptotic == pytest.approx(4e-5, rel=0.1)
    assert verdict.verdict == "prognostic"
    assert not verdict.claimed
    assert "most influential" in verdict.reason
    assert "most influential" in verdict.sentence


def test_gbsg2_progesterone_receptor_is_not_established() -> None:
    """Seven markers, no covariates, log1p receptors, three-level grade; not randomised.

    R: anova(coxph(y ~ horTh + log1p(progrec)), coxph(y ~ horTh * log1p(progrec))): p = .0140; the
    smallest of seven Holm-adjusted asymptotic p-values is .098.
    """
    study = pipelines.study("gbsg2").to_dict()
    for name in ("age", "menostat", "tsize", "tgrade", "pnodes"):
        study["columns"][name]["role"] = "marker"
    study["columns"]["pnodes"].pop("transform")
    study["columns"]["tgrade"]["kind"] = "categorical"
    result = assess(Cohort.from_frame(table("gbsg2.csv"), Study.from_dict(study)))
    found = {verdict.marker: verdict for verdict in result}
    progrec = found["progrec"]
    assert progrec.verdict == "prognostic"
    assert progrec.design == "observational"
    assert progrec.sentence.startswith("In a non-randomised comparison")
    assert "predictive effect not established" in progrec.sentence
    assert progrec.p_asymptotic == pytest.approx(0.0140, abs=5e-5)
    assert progrec.p_interaction == pytest.approx(0.0140, abs=0.01)
    asymptotic = [verdict.p_asymptotic for verdict in result]
    assert holm(asymptotic).min() == pytest.approx(0.098, abs=5e-4)
    assert not any(verdict.claimed for verdict in result)


def test_power_of_the_positive_control() -> None:
    """Hazard ratio .6 against 1 in two equal halves, 295 events: about 60%."""
    assert interaction_power(0.6, 295, marker_variance=0.25) == pytest.approx(0.59, abs=0.005)


@pytest.mark.parametrize(
    ("stratified", "alone", "together"),
    [
        (False, (0.4381694910455, 0.0093412725115, 0.1981973392918), 0.0470975515100),
        (True, (0.81149068357328, 0.00488078992864, 0.09623166739910), 0.04038357810741),
    ],
)
def test_proportionality_agrees_with_r(
    stratified: bool, alone: tuple[float, float, float], together: float
) -> None:
    """GBSG2, hormone therapy x progesterone receptor (log1p, standardised with divisor n).

    R 3.5.3 of survival: f <- coxph(Surv(time, cens) ~ arm + m + I(arm * m), ties = "breslow"), with
    + strata(menostat) in the second row; cox.zph(f, transform = "rank", terms = FALSE)$table.
    """
    from lifelines.datasets import load_gbsg2

    data = load_gbsg2()
    arm = (data["horTh"] == "yes").to_numpy(dtype=float)
    m = np.log1p(data["progrec"].to_numpy(dtype=float))
    m = (m - m.mean()) / m.std()
    X = np.column_stack([arm, m, arm * m])
    y = survival_outcome(data["cens"] == 1, data["time"].astype(float))
    strata = (data["menostat"] == "Post").to_numpy(dtype=np.int64) if stratified else None
    coef = CoxRegression(ties="breslow").fit(X, y, strata=strata).coef_
    for column, expected in enumerate(alone):
        assert proportionality_p(X, y, coef, [column], strata) == pytest.approx(expected, rel=1e-6)
    assert proportionality_p(X, y, coef, [0, 1, 2], strata) == pytest.approx(together, rel=1e-6)


def test_score_residuals_of_a_cohort_worked_by_hand() -> None:
    """Three patients, x = 1, 0, 0, at coefficient 0: deaths at 1 and 2, the last one censored at 3.

    Risk-set means 1/3 and 0, hazard jumps 1/3 and 1/2: patient 1 gets (1 - 1/3) (1 - 1/3) = 4/9,
    patients 2 and 3 get 1/3 x 1/3 = 1/9 from the first death and nothing from the second.
    """
    y = survival_outcome([1, 1, 0], [1.0, 2.0, 3.0])
    found = score_residuals(np.array([[1.0], [0.0], [0.0]]), y, np.zeros(1))
    assert found[:, 0] == pytest.approx([4 / 9, 1 / 9, 1 / 9])


def test_log_odds_agree_with_the_closed_form_of_a_two_by_two_table() -> None:
    """Coefficient and variance of one binary column: log of the cross product, sum of 1/cells."""
    cells = {(1, 1): 12, (1, 0): 8, (0, 1): 5, (0, 0): 15}
    x = np.repeat([k[0] for k in cells], list(cells.values())).astype(float)
    y = np.repeat([k[1] for k in cells], list(cells.values())) == 1
    fit = fit_log_odds(np.column_stack([np.ones(40), x]), [y])
    assert fit.coefficients[0, 1] == pytest.approx(np.log(12 * 15 / (8 * 5)), abs=1e-9)
    variance = np.linalg.inv(fit.information[0])[1, 1]
    assert variance == pytest.approx(sum(1 / n for n in cells.values()), abs=1e-9)
