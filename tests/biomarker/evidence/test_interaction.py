"""The interaction test: calibrated, consistent with its interval, and never moved by separation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.analysis_set import analysis_set, counts
from biomarker.evidence.calibration import (
    Nested,
    bootstrap_likelihood_ratio,
    calibrated_p,
    critical_value,
    draw_until_clear,
    surely_quiet,
)
from biomarker.evidence.interaction import ask_interaction, interaction_test, regression_of
from biomarker.evidence.regressions import HazardRegression, OddsRegression
from biomarker.outcomes import survival_outcome

Trial = Callable[..., Cohort]


def test_a_planted_interaction_is_found(trial: Trial) -> None:
    """A treatment that helps only where the marker is high gives a ratio well below 1."""
    found = interaction_test(analysis_set(trial(n=300, predictive=-0.9), "m1", "os"), seed=1)
    assert found.p <= 0.002
    assert found.low < np.exp(-0.9) < found.high < 1.0
    assert found.n_draws == 999
    assert found.monte_carlo_error < 0.002


@pytest.mark.parametrize("seed", range(8))
def test_the_interval_excludes_one_exactly_when_p_is_below_alpha(trial: Trial, seed: int) -> None:
    """At 5%, and at levels a hair's breadth either side of p itself."""
    data = analysis_set(trial(n=60, seed=seed, predictive=-0.5, prognostic=0.4), "m1", "os")
    p = interaction_test(data, seed=seed, alpha=0.05).p
    for alpha in (0.05, p, p + 1e-3):
        found = interaction_test(data, seed=seed, alpha=alpha)
        assert (found.low > 1.0 or found.high < 1.0) == (found.p < alpha)
        assert found.low <= found.ratio <= found.high


def test_the_same_seed_gives_the_same_p_and_another_gives_another(trial: Trial) -> None:
    """Draws are keyed to the seed and the endpoint."""
    question = ask_interaction(analysis_set(trial(n=60), "m1", "os"))
    first = bootstrap_likelihood_ratio(question, 3, "os", 0, 50)
    assert np.array_equal(first, bootstrap_likelihood_ratio(question, 3, "os", 0, 50))
    assert not np.array_equal(first, bootstrap_likelihood_ratio(question, 4, "os", 0, 50))


def test_a_marker_missing_somewhere_keeps_its_random_numbers(trial: Trial) -> None:
    """Random numbers belong to rows: a marker with gaps is drawn jointly with one without."""
    whole = ask_interaction(analysis_set(trial(n=200, seed=2), "m1", "os"))

    def gap(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[0, "m1"] = np.nan
        return frame

    holed = ask_interaction(analysis_set(trial(n=200, seed=2, change=gap), "m1", "os"))
    a = bootstrap_likelihood_ratio(whole, 0, "os", 0, 200)
    b = bootstrap_likelihood_ratio(holed, 0, "os", 0, 200)
    assert np.corrcoef(a, b)[0, 1] > 0.8


def test_swapping_the_arms_turns_the_sign_and_keeps_the_statistic(
    trial: Trial, declared: Callable[..., dict[str, Any]]
) -> None:
    """Which arm is called control does not change whether effects differ."""
    study = declared()
    study["columns"]["arm"]["control"] = "drug"
    one = ask_interaction(analysis_set(trial(n=80, prognostic=0.5), "m1", "os"))
    other = ask_interaction(analysis_set(trial(study, n=80, prognostic=0.5), "m1", "os"))
    assert one.likelihood_ratio == pytest.approx(other.likelihood_ratio, abs=1e-8)
    assert one.fit.coefficients[-1] == pytest.approx(-other.fit.coefficients[-1], abs=1e-8)


def test_separation_goes_to_the_penalised_likelihood(trial: Trial) -> None:
    """No event among treated patients of one level: the ratio and its interval stay usable."""

    def separate(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[(frame["arm"] == "drug") & (frame["m2"] == "high"), "died"] = "0"
        return frame

    data = analysis_set(trial(n=80, change=separate), "m2", "os")
    with pytest.raises(NotEstimableError):
        regression_of(data).fit(ask_interaction(data).X)
    test = interaction_test(data)
    assert test.question.penalised
    assert 0 < test.ratio < 1
    assert 0 <= test.low < test.ratio < test.high < np.inf
    assert (test.high < 1) == (test.p < 0.05)


def test_dependent_columns_stay_refused(trial: Trial) -> None:
    """The penalty does not invent an answer: a marker that is the arm cannot be told from it."""

    def same(frame: pd.DataFrame) -> pd.DataFrame:
        frame["m2"] = np.where(frame["arm"] == "drug", "high", "low")
        return frame

    with pytest.raises(NotEstimableError, match="m2 must vary in each arm"):
        interaction_test(analysis_set(trial(n=80, change=same), "m2", "os"))


def test_quiet_is_what_the_whole_procedure_would_find(trial: Trial) -> None:
    """Ended early, the screen never calls a test quiet whose p lies near or under alpha."""
    found = []
    for seed in range(30):
        question = ask_interaction(
            analysis_set(trial(n=60, seed=seed, predictive=-0.03 * seed), "m1", "os")
        )
        quiet = surely_quiet([question], 0, ("interaction", "os"), 0.05)
        draws = draw_until_clear([question], 0, ("interaction", "os"), 0.05)
        p = calibrated_p(question.likelihood_ratio, draws[:, 0])
        found.append(quiet)
        assert quiet == (calibrated_p(question.likelihood_ratio, draws[:999, 0]) > 0.0707)
        assert not quiet or p > 0.05
    assert any(found)
    assert not all(found)


def test_one_arm_has_no_interaction(trial: Trial, declared: Callable[..., dict[str, Any]]) -> None:
    """A single-arm study cannot ask the question."""
    study = declared(single_arm="treated")
    del study["columns"]["arm"]
    cohort = trial(study, change=lambda frame: frame.drop(columns="arm"))
    with pytest.raises(UsageError, match="control arm"):
        interaction_test(analysis_set(cohort, "m1", "os"))


def test_a_response_is_tested_on_the_odds_scale(
    trial: Trial, declared: Callable[..., dict[str, Any]]
) -> None:
    """A response that the marker raises under treatment alone gives a ratio of odds above 1."""
    study = declared()
    study["columns"]["answer"] = {"role": "endpoint"}
    study["endpoints"]["orr"] = {
        "type": "response",
        "column": "answer",
        "positive": ["yes"],
        "negative": ["no"],
    }

    def respond(frame: pd.DataFrame) -> pd.DataFrame:
        eta = 1.5 * frame["m1"] * (frame["arm"] == "drug")
        draw = np.random.default_rng(4).random(len(frame))
        frame["answer"] = np.where(draw < 1 / (1 + np.exp(-eta)), "yes", "no")
        return frame

    found = interaction_test(analysis_set(trial(study, respond, n=240), "m1", "orr"))
    assert found.p < 0.01
    assert 1.0 < found.low < np.exp(1.5) < found.high


def test_missing_covariates_lose_no_patient(trial: Trial) -> None:
    """A gap in a covariate takes the median and an indicator."""

    def gap(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[:9, "age"] = np.nan
        return frame

    data = analysis_set(trial(n=100, change=gap), "m1", "os")
    assert len(data.rows) == 100
    assert data.covariates.shape == (100, 2)


def test_missingness_that_differs_by_arm_is_seen(trial: Trial) -> None:
    """Counts by arm, and a flag."""

    def gap(frame: pd.DataFrame) -> pd.DataFrame:
        treated = frame.index[frame["arm"] == "drug"][:12]
        frame.loc[treated, "m1"] = np.nan
        return frame

    cohort = trial(n=100, change=gap)
    found = counts(cohort, "m1", "os")
    names = ("n_missing", "missing_treated", "missing_control")
    assert [found[name] for name in names] == [12, 12, 0]
    assert found["n_treated"] + found["n_control"] == 88
    assert analysis_set(cohort, "m1", "os").missing_differs
    assert not analysis_set(trial(n=100), "m1", "os").missing_differs


def test_what_is_no_baseline_marker_is_refused(
    trial: Trial, declared: Callable[..., dict[str, Any]]
) -> None:
    """A column known only after treatment began cannot be asked about."""
    study = declared()
    study["columns"]["m1"] = {"role": "post_baseline"}
    with pytest.raises(UsageError, match="post_baseline"):
        analysis_set(trial(study), "m1", "os")


def test_the_critical_value_and_the_p_agree() -> None:
    """Exceeding the critical value is p below alpha, for any number of draws."""
    rng = np.random.default_rng(0)
    for size in (19, 100, 999):
        draws = rng.chisquare(1, size)
        c = critical_value(draws, 0.05)
        for observed in [*draws, c, c + 1e-12, 50.0]:
            assert (calibrated_p(observed, draws) < 0.05) == (observed > c)


def null_trial(rng: np.random.Generator, n: int, response: bool) -> Nested | None:
    """A randomised trial of a prognostic lognormal marker without interaction; None if refused."""
    marker = np.exp(rng.normal(size=n))
    marker = (marker - marker.mean()) / marker.std()
    arm = rng.permutation(np.arange(n) % 2) - 0.5
    time = rng.exponential(size=n) / np.exp(0.5 * marker)
    limit = rng.uniform(0.1, 1.3, size=n)
    y = survival_outcome(time <= limit, np.minimum(time, limit))
    X = np.column_stack([arm, marker, arm * marker])
    answer = rng.random(n) < 1 / (1 + np.exp(0.3 - 0.5 * marker))
    regression = OddsRegression(answer) if response else HazardRegression(y, None, arm)
    try:
        return Nested.ask(regression, X, 2, np.arange(n), n)
    except NotEstimableError:
        return None


@pytest.mark.slow
@pytest.mark.parametrize(("n", "response"), [(60, False), (120, False), (60, True)])
def test_the_size_is_right_with_few_events_and_a_skewed_marker(n: int, response: bool) -> None:
    """A prognostic lognormal marker without interaction: at most 5% + 1.96 s.e. reject.

    400 trials of 199 draws. A test that refuses everything fails: the rate has a lower limit, and
    at most 2% of trials may be not estimable.
    """
    rng = np.random.default_rng(20261122)
    n_trials, rejected, refused = 400, 0, 0
    for b in range(n_trials):
        question = null_trial(rng, n, response)
        if question is None:
            refused += 1
            continue
        draws = bootstrap_likelihood_ratio(question, b, "size", 0, 199)
        rejected += calibrated_p(question.likelihood_ratio, draws) <= 0.05
    rate, error = rejected / n_trials, np.sqrt(0.0475 / n_trials)
    assert refused <= 0.02 * n_trials
    assert 0.05 - 2.5 * error < rate < 0.05 + 1.96 * error
