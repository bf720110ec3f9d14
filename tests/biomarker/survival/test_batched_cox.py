"""Batched Cox fits against R, against refits of the drawn rows, and on resamples without a maximum.

Recipe for the numbers of R, with R 4.2.2 and its survival package 3.5-3 (``rossi.csv`` is the file
that lifelines ships)::

    library(survival)
    d <- read.csv("rossi.csv")
    tight <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50)
    i <- seq_len(nrow(d))
    rows <- rep(i, (7 * i) %% 4)
    show <- function(f) print(c(coef(f), f$loglik, diag(vcov(f))), digits = 15)
    for (ties in c("efron", "breslow")) {
      show(coxph(Surv(week, arrest) ~ fin + age + prio, d[rows, ], ties = ties, control = tight))
      show(coxph(Surv(week, arrest) ~ fin + age + race + mar + prio, d[rows, ], ties = ties,
                 control = tight))
    }
    show(coxph(Surv(week, arrest) ~ fin + age + prio + strata(wexp), d[rows, ], control = tight))
    null <- coxph(Surv(week, arrest) ~ fin + age, d, control = tight)
    for (term in c("prio", "mar")) {
      with <- as.formula(paste(". ~ . +", term))
      f <- update(null, with, init = c(coef(null), 0), control = coxph.control(iter.max = 0))
      g <- update(null, with, control = tight)
      print(c(f$score, 2 * (g$loglik[2] - null$loglik[2])), digits = 12)
    }
"""

from __future__ import annotations

import io
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from biomarker.errors import CohortError, NotEstimableError, OutcomeError
from biomarker.outcomes import SurvivalOutcome, survival_outcome
from biomarker.survival.batched_cox import (
    REASONS,
    BatchFit,
    fit_batch,
    fit_batch_columns,
    fit_batch_outcomes,
    resample_counts,
)
from biomarker.survival.partial_likelihood import PartialLikelihood, sort_cohort
from biomarker.survival.score_statistics import nested_statistics, score_statistics

Floats = npt.NDArray[np.float64]

FIELDS = (
    "coefficients",
    "log_likelihood_null",
    "log_likelihood",
    "information",
    "score_statistic",
    "reason",
    "n_events",
)

THREE = ["fin", "age", "prio"]
FIVE = ["fin", "age", "race", "mar", "prio"]
R_FITS: list[tuple[str, list[str], str | None, list[float], list[float], list[float]]] = [
    (
        "efron", THREE, None,
        [-0.568840487494057, -0.051815750686706, 0.130149372924258],
        [-1137.760670485194851, -1106.570641293691097],
        [0.024637155335239, 0.000260454748597, 0.000428124859331],
    ),
    (
        "efron", FIVE, None,
        [-0.602270412984486, -0.037896794558991, 0.214013467915002, -1.233217950958147,
         0.134255150445859],
        [-1137.760670485194851, -1098.365509642493635],
        [0.024699535616537, 0.000259942387958, 0.057061665719131, 0.153753161284437,
         0.000419901970510],
    ),
    (
        "breslow", THREE, None,
        [-0.565858427655333, -0.051506644523844, 0.129311624763640],
        [-1138.411978246210538, -1107.514601866002977],
        [0.024632660706747, 0.000259725332330, 0.000427454078507],
    ),
    (
        "breslow", FIVE, None,
        [-0.599209083331194, -0.037674353328771, 0.214207563825524, -1.230864732671691,
         0.133382210726542],
        [-1138.411978246210538, -1099.343531089156841],
        [0.024694125170161, 0.000259186105593, 0.057061518121245, 0.153727889877728,
         0.000419196711468],
    ),
    (
        "efron", THREE, "wexp",
        [-0.593903289301169, -0.042162374430053, 0.115352905854208],
        [-1006.788743233275227, -983.147865224656812],
        [0.024770022762375, 0.000293665354887, 0.000459404429116],
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def rossi() -> pd.DataFrame:
    """432 patients with many tied times."""
    text = files("lifelines.datasets").joinpath("rossi.csv").read_text(encoding="utf-8")
    return pd.read_csv(io.StringIO(text))


def drawn(seed: int, n: int = 60, p: int = 3) -> tuple[Floats, SurvivalOutcome]:
    """A cohort with some ties."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    duration = np.ceil(rng.exponential(size=n) * np.exp(-0.5 * X[:, 0]) * 20)
    return X, survival_outcome(rng.random(n) < 0.6, duration)


@pytest.mark.parametrize(("ties", "names", "strata", "coef", "heights", "variance"), R_FITS)
def test_weighted_rows_meet_r_on_duplicated_rows(
    rossi: pd.DataFrame,
    ties: Any,
    names: list[str],
    strata: str | None,
    coef: list[float],
    heights: list[float],
    variance: list[float],
) -> None:
    """Counts of 0 to 3 per patient give R's fit of the repeated rows to 1e-9."""
    y = survival_outcome(rossi["arrest"], rossi["week"])
    counts = (7 * np.arange(1, len(rossi) + 1)) % 4
    codes = None if strata is None else rossi[strata].to_numpy()
    fit = fit_batch(rossi[names], y, counts[None, :], ties=ties, strata=codes)
    np.testing.assert_allclose(fit.coefficients[0], coef, rtol=0, atol=1e-9)
    assert fit.log_likelihood_null[0] == pytest.approx(heights[0], abs=1e-9)
    assert fit.log_likelihood[0] == pytest.approx(heights[1], abs=1e-9)
    np.testing.assert_allclose(np.diag(fit.covariance[0]), variance, rtol=1e-5)
    assert fit.n_events[0] == counts[rossi["arrest"] == 1].sum()


@pytest.mark.parametrize(
    ("term", "score", "ratio"),
    [("prio", 12.8816492315, 10.7575833915), ("mar", 1.98683356870, 2.23359551121)],
)
def test_score_and_likelihood_ratio_meet_r(
    rossi: pd.DataFrame, term: str, score: float, ratio: float
) -> None:
    """R's score statistic at the null fit and its likelihood ratio, by all three routes."""
    y = survival_outcome(rossi["arrest"], rossi["week"])
    null, tested = rossi[["fin", "age"]].to_numpy(float), rossi[[term]].to_numpy(float)
    X = np.column_stack([null, tested])
    by_columns = fit_batch_columns(tested[None], y, fixed=null)
    by_weights = fit_batch(X, y, np.ones((1, len(X)), dtype=int), n_null=2)
    by_outcomes = fit_batch_outcomes(X, y["duration"][None], y["event"][None], n_null=2)
    for fit in (by_columns, by_weights, by_outcomes):
        assert fit.score_statistic[0] == pytest.approx(score, abs=1e-7)
        assert fit.likelihood_ratio[0] == pytest.approx(ratio, abs=1e-8)
    assert score_statistics(tested, y, covariates=null).value[0, 0] == pytest.approx(
        score, abs=1e-7
    )
    for kind, known in (("score", score), ("likelihood_ratio", ratio)):
        found = nested_statistics([X], y["duration"][None], y["event"][None], n_null=2,
                                  statistic=kind)  # fmt: skip
        assert found.value[0, 0] == pytest.approx(known, abs=1e-7)


@pytest.mark.parametrize("p", [1, 2, 3, 4, 20])
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_ends_where_the_single_likelihood_is_flat(p: int, ties: Any) -> None:
    """The gradient vanishes at the coefficients and the information there is the single fit's."""
    X, y = drawn(p, n=150, p=p)
    weights = resample_counts(np.random.default_rng(p), 4, len(X))
    fit = fit_batch(X, y, weights, ties=ties)
    for b, counts in enumerate(weights):
        rows = np.repeat(np.arange(len(X)), counts)
        cohort = sort_cohort(X[rows], y["event"][rows], y["duration"][rows])
        likelihood = PartialLikelihood(cohort, ties)
        value, gradient = likelihood.evaluate(fit.coefficients[b] * cohort.scale)
        np.testing.assert_allclose(gradient, 0, atol=1e-7)
        assert fit.log_likelihood[b] == pytest.approx(value, abs=1e-9)
        matrix = likelihood.information() * np.outer(cohort.scale, cohort.scale)
        unit = 1 / np.sqrt(np.diag(matrix))
        gap = (fit.information[b] - matrix) * np.outer(unit, unit)
        assert np.max(np.abs(gap)) < 1e-5


def everything(threads: int) -> list[BatchFit]:
    """All three kinds of batch, narrow and wide, strata and separated replicates among them."""
    found = []
    for p in (2, 6):
        X, y = drawn(11, n=40, p=p)
        X[:, 1] = X[:, 1] > 1.2
        rng = np.random.default_rng(3)
        strata = rng.integers(0, 2, len(X))
        weights = resample_counts(rng, 61, len(X))
        times = np.ceil(rng.exponential(size=(61, len(X))) * 30)
        events = rng.random(times.shape) < 0.5
        columns = np.array([rng.permutation(X[:, 1:]) for _ in range(61)])
        found += [
            fit_batch(X, y, weights, strata=strata, threads=threads),
            fit_batch(X, y, weights, n_null=1, threads=threads),
            fit_batch_outcomes(X, times, events, n_null=1, strata=strata, threads=threads),
            fit_batch_columns(columns, y, fixed=X[:, :1], threads=threads),
        ]
    return found


def test_threads_change_no_bit() -> None:
    """1, 2, 3 and 8 threads give the same bits, hard replicates included."""
    alone = everything(1)
    assert sum(int(np.count_nonzero(~fit.converged)) for fit in alone) > 0
    for threads in (2, 3, 8):
        for one, other in zip(alone, everything(threads), strict=True):
            for name in FIELDS:
                assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def test_separated_resamples_are_flagged_and_never_estimated() -> None:
    """A marker whose carriers all die first has no finite maximum; the reason says which way."""
    X = np.array([[1.0], [1.0], [0.0], [0.0], [1.0], [0.0]])
    y = survival_outcome([1, 1, 1, 1, 0, 0], [1, 2, 3, 4, 5, 6])
    weights = [
        [1, 1, 1, 1, 1, 1],  # overlap
        [1, 1, 1, 1, 0, 1],  # carriers die first: separated
        [1, 1, 0, 0, 3, 0],  # carriers only: flat
        [0, 0, 0, 0, 3, 3],  # nobody dies
        [0, 0, 0, 0, 0, 0],  # nobody at all
    ]
    fit = fit_batch(X, y, weights)
    assert [REASONS[r] for r in fit.reason] == ["ok", "separated", "flat", "no events", "no events"]
    assert fit.converged.tolist() == [True, False, False, False, False]
    assert np.isfinite(fit.coefficients[0]).all()
    assert np.isnan(fit.coefficients[1:]).all()
    assert np.isnan(fit.information[1:]).all()
    assert np.isnan(fit.likelihood_ratio[1:]).all()
    # Two carriers die in front of three patients at risk, then two of three who are alike: the
    # supremum is -log 2 - log 3 - log 2.
    assert fit.log_likelihood[1] == pytest.approx(-np.log(12), abs=1e-6)
    assert fit.count("separated") == 1


@pytest.mark.parametrize("p", [2, 5])
def test_a_stratum_without_deaths_changes_nothing(p: int) -> None:
    """A stratum whose drawn patients all live adds nobody to any risk set, first or last."""
    X, y = drawn(14, p=p)
    alive = survival_outcome(np.zeros(9, dtype=bool), np.arange(1.0, 10.0))
    more = np.concatenate([X, np.random.default_rng(1).normal(size=(9, p))])
    known = fit_batch(X, y, np.ones((1, 60), dtype=int))
    for label in (-1, 1):
        strata = np.repeat([0, label], [60, 9])
        fit = fit_batch(
            more, np.concatenate([y, alive]), np.ones((1, 69), dtype=int), strata=strata
        )
        np.testing.assert_allclose(fit.coefficients, known.coefficients, rtol=1e-9)
        # The same where the stratum has deaths that no replicate draws.
        dying = np.concatenate([y, survival_outcome(np.arange(9) < 3, np.arange(1.0, 10.0))])
        weights = np.repeat([1, 0, 1], [60, 3, 6])[None]
        fit = fit_batch(more, dying, weights, strata=strata, start=np.zeros(p))
        np.testing.assert_allclose(fit.coefficients, known.coefficients, rtol=1e-9)
        np.testing.assert_allclose(fit.log_likelihood, known.log_likelihood, rtol=1e-12)


def test_far_tails_are_fitted_and_not_flagged() -> None:
    """A lognormal marker with a far tail needs halved steps, and gets the single fit's answer."""
    rng = np.random.default_rng(8)
    marker = np.exp(2.5 * rng.normal(size=60))
    duration = rng.exponential(size=60) / (1 + 0.02 * marker) + 0.01
    y = survival_outcome(rng.random(60) < 0.5, duration)
    weights = resample_counts(rng, 300, 60)
    fit = fit_batch(marker[:, None], y, weights, start=[0.5])
    again = fit_batch(marker[:, None], y, weights)
    assert fit.count("iteration limit") == 0
    assert np.array_equal(fit.reason, again.reason)
    np.testing.assert_allclose(fit.coefficients, again.coefficients, rtol=1e-7, atol=1e-9)


def test_score_only_is_the_score_of_the_full_call() -> None:
    """Stopping at the null fit changes no score statistic."""
    X, _ = drawn(5)
    rng = np.random.default_rng(6)
    times, events = rng.exponential(size=(40, 60)), rng.random((40, 60)) < 0.7
    for n_null in (0, 2):
        full = fit_batch_outcomes(X, times, events, n_null=n_null)
        short = fit_batch_outcomes(X, times, events, n_null=n_null, score_only=True)
        assert np.array_equal(full.score_statistic, short.score_statistic)
        assert np.isfinite(short.score_statistic).all()
        assert np.array_equal(short.log_likelihood, short.log_likelihood_null)


def test_columns_in_any_unit() -> None:
    """Shifting and rescaling a tested column rescales its coefficient and nothing else."""
    X, y = drawn(9)
    columns = X[None, :, 2:]
    fit = fit_batch_columns(columns, y, fixed=X[:, :2])
    moved = fit_batch_columns(1e6 * columns + 3e7, y, fixed=X[:, :2])
    np.testing.assert_allclose(moved.coefficients[0, 2] * 1e6, fit.coefficients[0, 2], rtol=1e-7)
    np.testing.assert_allclose(moved.coefficients[0, :2], fit.coefficients[0, :2], rtol=1e-7)
    np.testing.assert_allclose(moved.score_statistic, fit.score_statistic, rtol=1e-7)


def test_columns_alone_meet_the_weighted_route() -> None:
    """Without fixed columns the null model is zero, and both routes agree."""
    X, y = drawn(10)
    fit = fit_batch_columns(X[None], y)
    other = fit_batch(X, y, np.ones((1, 60), dtype=int))
    np.testing.assert_allclose(fit.coefficients, other.coefficients, rtol=1e-8)
    np.testing.assert_allclose(fit.log_likelihood_null, other.log_likelihood_null, rtol=1e-12)


def test_permuted_markers_keep_their_patients() -> None:
    """Replicate b of the permuted scores is the score of the table permuted by hand."""
    X, y = drawn(12)
    orders = np.array([np.random.default_rng(b).permutation(60) for b in range(3)])
    found = score_statistics(X[:, 1:], y, covariates=X[:, :1], orders=orders)
    for b, order in enumerate(orders):
        alone = score_statistics(X[order, 1:], y, covariates=X[:, :1])
        assert np.array_equal(found.value[b], alone.value[0])


def test_resample_counts_stay_within_strata() -> None:
    """Each stratum keeps its size in every replicate, and replicates differ."""
    strata = np.repeat(["a", "b"], [5, 25])
    counts = resample_counts(np.random.default_rng(1), 50, 30, strata)
    assert np.all(counts[:, :5].sum(axis=1) == 5)
    assert np.all(counts.sum(axis=1) == 30)
    assert len(np.unique(counts, axis=0)) == 50


def test_malformed_input_is_refused() -> None:
    """Each rule is named with what was got."""
    X, y = drawn(13)
    good = np.ones((2, 60), dtype=int)
    with pytest.raises(CohortError, match=r"weights must be integers of shape \(n_replicates, 60"):
        fit_batch(X, y, good.astype(float))
    with pytest.raises(CohortError, match="weights must lie from 0 to 65,535"):
        fit_batch(X, y, -good)
    with pytest.raises(CohortError, match="n_null must lie from 0 to 2; got 3"):
        fit_batch(X, y, good, n_null=3)
    with pytest.raises(CohortError, match="ties must be"):
        fit_batch(X, y, good, ties="exact")  # type: ignore[arg-type]
    with pytest.raises(CohortError, match="threads must be at least 1"):
        fit_batch(X, y, good, threads=0)
    with pytest.raises(CohortError, match="start must be finite"):
        fit_batch(X, y, good, start=[1.0])
    with pytest.raises(OutcomeError, match=r"must have shape \(n_replicates, 60\)"):
        fit_batch_outcomes(X, y["duration"], y["event"])
    with pytest.raises(OutcomeError, match="finite and greater than 0"):
        fit_batch_outcomes(X, -y["duration"][None], y["event"][None])
    with pytest.raises(CohortError, match="columns must be finite; got 1 missing"):
        fit_batch_columns(np.where(np.arange(60) == 3, np.nan, 1.0)[None, :, None], y)
    with pytest.raises(NotEstimableError, match="null model must have a finite maximum"):
        fit_batch_columns(X[None], y, fixed=np.ones((60, 1)))
    with pytest.raises(CohortError, match="orders must be permutations"):
        score_statistics(X, y, orders=np.zeros((1, 60), dtype=int))
