"""Published and R-computed answers that Cox regression must reproduce.

Recipe for the numbers marked "R", with R 4.2.2 and its survival package 3.5-3::

    library(survival)
    tight <- coxph.control(eps = 1e-14, iter.max = 50)
"""

from __future__ import annotations

import io
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from biomarker.models import CoxRegression
from biomarker.outcomes import SurvivalOutcome, survival_outcome

THERNEAU_X = np.array([[1.0], [1.0], [1.0], [0.0], [0.0], [0.0]])
THERNEAU_Y = survival_outcome([1, 0, 1, 1, 0, 1], [1, 1, 6, 6, 8, 9])

# Therneau and Grambsch (2000), appendix E.1, with closed forms where ties are Breslow's.
THERNEAU = {
    "breslow": {
        "coef": np.log((3 + np.sqrt(33)) / 2),
        "log_likelihood": (-4.564348, -3.824750),
        "information": 0.634168,
        "baseline": [0.062047, 0.333333, 1.333333],
        "residuals": [0.728714, -0.271286, -0.457427, 0.666667, -0.333333, -0.333333],
    },
    "efron": {
        "coef": 1.676857,
        "log_likelihood": (-4.276666, -3.358975),
        "information": 0.612632,
        "baseline": [0.052504, 0.365543, 1.365543],
        "residuals": [0.719171, -0.280829, -0.438341, 0.731087, -0.365543, -0.365543],
    },
}


def lifelines_table(name: str) -> pd.DataFrame:
    """Read a trial shipped with lifelines."""
    text = files("lifelines.datasets").joinpath(name).read_text(encoding="utf-8")
    return pd.read_csv(io.StringIO(text))


def hazard_ratio(model: CoxRegression, column: int) -> list[float]:
    """Hazard ratio of one column with its 95% Wald interval."""
    half = 1.959963984540054 * model.standard_error_[column]
    return [float(np.exp(model.coef_[column] + k * half)) for k in (0, -1, 1)]


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_therneau_data_set_one(ties: str) -> None:
    """Every number worked by hand for the six patients is met, baseline and residuals included."""
    known = THERNEAU[ties]
    model = CoxRegression(ties=ties).fit(THERNEAU_X, THERNEAU_Y)
    assert model.coef_[0] == pytest.approx(known["coef"], abs=1e-6)
    assert model.log_likelihood_ == pytest.approx(known["log_likelihood"], abs=1e-6)
    assert model.information_[0, 0] == pytest.approx(known["information"], abs=1e-6)
    assert model.cumulative_baseline_hazard([1, 6, 9]) == pytest.approx(known["baseline"], abs=1e-6)
    residuals = model.martingale_residuals(THERNEAU_X, THERNEAU_Y)
    assert residuals == pytest.approx(known["residuals"], abs=1e-6)


def test_therneau_breslow_maximum_is_the_closed_form() -> None:
    """Breslow's maximum solves a quadratic; the fit meets its root to ten digits."""
    model = CoxRegression(ties="breslow").fit(THERNEAU_X, THERNEAU_Y)
    assert model.coef_[0] == pytest.approx(np.log((3 + np.sqrt(33)) / 2), abs=1e-10)


@pytest.mark.parametrize(
    ("ties", "coef", "error"),
    [("breslow", 1.509191413, 0.4095644064), ("efron", 1.572125149, 0.4123967177)],
)
def test_freireich_leukaemia_trial(ties: str, coef: float, error: float) -> None:
    """Log hazard ratio of placebo against 6-MP (Freireich 1963), R: coxph(Surv(t, s) ~ x)."""
    placebo = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    died = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    y = survival_outcome([1] * 30 + [0] * 12, placebo + died + censored)
    model = CoxRegression(ties=ties).fit(np.repeat([[1.0], [0.0]], 21, axis=0), y)
    assert model.coef_[0] == pytest.approx(coef, abs=1e-8)
    assert model.standard_error_[0] == pytest.approx(error, abs=1e-8)


def gbsg2() -> tuple[pd.DataFrame, SurvivalOutcome]:
    """German Breast Cancer Study Group 2, with ``cens`` = 1 for an event."""
    table = lifelines_table("gbsg2.csv")
    return table, survival_outcome(table["cens"], table["time"])


def test_gbsg2_hormone_therapy_alone() -> None:
    """R: coxph(Surv(time, cens) ~ horTh, GBSG2)."""
    table, y = gbsg2()
    X = (table[["horTh"]] == "yes").astype(float)
    expected = [0.6948843267, 0.5438440543, 0.887872587]
    assert hazard_ratio(CoxRegression().fit(X, y), 0) == pytest.approx(expected, abs=1e-8)


def test_gbsg2_adjusted() -> None:
    """R: coxph(... ~ horTh+age+menostat+tsize+factor(tgrade)+pnodes+progrec+estrec)."""
    table, y = gbsg2()
    X = pd.DataFrame(
        {
            "horTh": table["horTh"] == "yes",
            "age": table["age"],
            "premenopausal": table["menostat"] == "Pre",
            "tsize": table["tsize"],
            "grade_2": table["tgrade"] == "II",
            "grade_3": table["tgrade"] == "III",
            "pnodes": table["pnodes"],
            "progrec": table["progrec"],
            "estrec": table["estrec"],
        }
    ).astype(float)
    model = CoxRegression().fit(X, y)
    expected = [0.7073155235, 0.5492177642, 0.9109232847]
    assert hazard_ratio(model, 0) == pytest.approx(expected, abs=1e-8)
    ratios = [0.9905853590, 0.7722516266, 1.0078265524, 1.8891211191, 2.1807181363]
    ratios += [1.0499983580, 0.9977852206, 1.0001973302]
    assert np.exp(model.coef_[1:]) == pytest.approx(ratios, abs=1e-9)


def test_gbsg2_interaction_likelihood_ratio() -> None:
    """R: anova of horTh + log1p(progrec) against their product: chi-square 6.03299."""
    table, y = gbsg2()
    arm = (table["horTh"] == "yes").to_numpy(float)
    marker = np.log1p(table["progrec"].to_numpy(float))
    main = CoxRegression().fit(np.column_stack([arm, marker]), y)
    product = CoxRegression().fit(np.column_stack([arm, marker, arm * marker]), y)
    ratio = 2 * (product.log_likelihood_[1] - main.log_likelihood_[1])
    assert ratio == pytest.approx(6.03299, abs=5e-6)


def actg175() -> tuple[pd.DataFrame, SurvivalOutcome]:
    """AIDS Clinical Trials Group 175, with ``cens`` = 1 for an event and arm 0 = zidovudine."""
    table = lifelines_table("ACTG175.csv")
    return table, survival_outcome(table["cens"], table["days"])


def test_actg175_treatment() -> None:
    """R: coxph(Surv(days, cens) ~ I(arms != 0))."""
    table, y = actg175()
    model = CoxRegression().fit((table[["arms"]] != 0).astype(float), y)
    expected = [0.5349762857, 0.4466406389, 0.6407827712]
    assert hazard_ratio(model, 0) == pytest.approx(expected, abs=1e-8)


def test_actg175_interaction_with_cd4() -> None:
    """R: coxph(... ~ arm * I(cd40 / sd(cd40))): ratio of hazard ratios per SD .995 (.807-1.227)."""
    table, y = actg175()
    arm = (table["arms"] != 0).to_numpy(float)
    marker = table["cd40"].to_numpy(float) / table["cd40"].std(ddof=1)
    model = CoxRegression().fit(np.column_stack([arm, marker, arm * marker]), y)
    expected = [0.9947925, 0.8066801, 1.2267714]
    assert hazard_ratio(model, 2) == pytest.approx(expected, abs=1e-7)
    assert model.coef_ == pytest.approx([-0.665345863, -0.484375969, -0.005221139], abs=1e-8)


# R: i <- 0:79
#    d <- data.frame(x1 = (7 * i) %% 11 / 5 - 1, x2 = (5 * i * i) %% 13 / 6 - 1, s = i %% 2,
#                    time = 4 + (13 * i) %% 17, status = as.integer((3 * i) %% 5 != 0),
#                    w = 1 + i %% 3 / 2, entry = 3.5 + (13 * i) %% 17 - (5 * i) %% 9)
#    f <- coxph(Surv(entry, time, status) ~ x1 + x2 + strata(s), d, weights = w, ties = ties,
#               control = tight)
#    coef(f); f$loglik; f$naive.var; basehaz(f, centered = FALSE); residuals(f)[1:6]
#    g <- coxph(Surv(time, status) ~ ridge(x1, x2, theta = 3, scale = FALSE), d, ties = ties, ...)
EVERYTHING = {
    "efron": {
        "coef": [0.0231519238392441, 0.3412410768277009],
        "log_likelihood": (-247.021226661833, -245.814693934006),
        "covariance": [
            [0.02704793382869310, 0.00119721288200539],
            [0.00119721288200539, 0.04871259456824848],
        ],
        "baseline": [
            [0.951974070315860, 2.232105601762385, 4.455239521766783],
            [0.589448199285825, 1.822526686763878, 4.818501703269353],
        ],
        "residuals": [
            -0.136366677280674,
            0.156415913340399,
            0.678153795411456,
            0.241348867636990,
            0.716967919017965,
            -1.601140493012244,
        ],
        "ridge": [0.0030682042019449, 0.6120996469504774],
        "ridge_covariance": [
            [0.03324948356167611, -0.00257696734132607],
            [-0.00257696734132607, 0.05009960776427178],
        ],
    },
    "breslow": {
        "coef": [0.0336616312583014, 0.3364031244212317],
        "log_likelihood": (-253.736413031062, -252.564175119762),
        "covariance": [
            [0.02681230537293883, 0.00147274841937484],
            [0.00147274841937484, 0.04897077039460844],
        ],
        "baseline": [
            [0.891831476560655, 2.104450694612025, 4.229399925603944],
            [0.574239066042635, 1.743805086229286, 4.015414282998345],
        ],
        "residuals": [
            -0.128867567022671,
            0.128567903430160,
            0.648027783308835,
            0.184258061639667,
            0.669541113532031,
            -1.515373493141466,
        ],
        "ridge": [-0.00884815307919573, 0.59697537072267270],
        "ridge_covariance": [
            [0.03346607656671184, -0.00223656518570514],
            [-0.00223656518570514, 0.04990941551825113],
        ],
    },
}


def formula_cohort() -> tuple[npt.NDArray[np.float64], SurvivalOutcome, dict[str, object]]:
    """The recipe's 80 patients: tied times, late entries, two strata, three weights."""
    i = np.arange(80)
    X = np.column_stack([(7 * i) % 11 / 5 - 1, (5 * i * i) % 13 / 6 - 1])
    y = survival_outcome((3 * i) % 5 != 0, 4 + (13 * i) % 17)
    entry = 3.5 + (13 * i) % 17 - (5 * i) % 9
    return X, y, {"sample_weight": 1 + i % 3 / 2, "entry": entry, "strata": i % 2}


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_strata_weights_and_late_entry_together(ties: str) -> None:
    """With ties, strata, case weights and late entry at once, R's answers are met to 1e-9."""
    known = EVERYTHING[ties]
    X, y, extra = formula_cohort()
    model = CoxRegression(ties=ties).fit(X, y, **extra)
    assert model.coef_ == pytest.approx(known["coef"], abs=1e-9)
    assert model.log_likelihood_ == pytest.approx(known["log_likelihood"], abs=1e-9)
    np.testing.assert_allclose(model.covariance_, known["covariance"], atol=1e-10)
    baseline = model.cumulative_baseline_hazard([8, 15, 20])
    np.testing.assert_allclose(baseline, known["baseline"], atol=1e-9)
    residuals = model.martingale_residuals(X, y, entry=extra["entry"], strata=extra["strata"])
    assert residuals[:6] == pytest.approx(known["residuals"], abs=1e-9)
    assert residuals @ extra["sample_weight"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_ridge_penalty_is_on_the_log_likelihood(ties: str) -> None:
    """A penalty of 3 means log-likelihood minus 3/2 times the squared length, as R's ridge()."""
    known = EVERYTHING[ties]
    X, y, _ = formula_cohort()
    model = CoxRegression(ties=ties, penalty=3.0).fit(X, y)
    assert model.coef_ == pytest.approx(known["ridge"], abs=1e-9)
    np.testing.assert_allclose(model.covariance_, known["ridge_covariance"], atol=1e-10)


def test_veteran_lung_trial() -> None:
    """Full Efron model of the Veterans' lung trial; the patients are read from R's own package."""
    rscript = shutil.which("Rscript")
    recipe = "suppressMessages(library(survival)); write.csv(veteran, row.names = FALSE)"
    done = None
    if rscript is not None:
        done = subprocess.run([rscript, "-e", recipe], capture_output=True, text=True, timeout=60)
    if done is None or done.returncode != 0:
        pytest.skip("R with its survival package, which holds the veteran data, is not installed")
    table = pd.read_csv(io.StringIO(done.stdout))
    X = pd.DataFrame(
        {
            "trt": table["trt"],
            **{c: table["celltype"] == c for c in ("smallcell", "adeno", "large")},
            **{c: table[c] for c in ("karno", "diagtime", "age", "prior")},
        }
    ).astype(float)
    model = CoxRegression().fit(X, survival_outcome(table["status"], table["time"]))
    expected = [0.294603, 0.861560, 1.196066, 0.401292, -0.032815, 0.0000813, -0.008706, 0.007159]
    assert model.coef_ == pytest.approx(expected, abs=1e-6)
    assert model.log_likelihood_ == pytest.approx((-505.449055, -474.397112), abs=1e-6)
