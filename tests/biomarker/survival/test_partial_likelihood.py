from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from biomarker.survival.partial_likelihood import (
    PartialLikelihood,
    SortedCohort,
    maximise,
    sort_cohort,
)
from biomarker.survival.partial_likelihood_estimability import is_monotone_direction

Floats = npt.NDArray[np.float64]


def by_definition(
    X: Floats,
    event: npt.NDArray[np.bool_],
    duration: Floats,
    weight: Floats,
    entry: Floats,
    stratum: npt.NDArray[np.int64],
    coef: Floats,
    efron: bool,
) -> float:
    """The partial log-likelihood written out as its formula, one death time at a time."""
    risk = weight * np.exp(X @ coef)
    total = 0.0
    for s, t in itertools.product(np.unique(stratum), np.unique(duration[event])):
        dying = event & (duration == t) & (stratum == s)
        if not dying.any():
            continue
        at_risk = (duration >= t) & (entry < t) & (stratum == s)
        d = int(dying.sum())
        total += float(weight[dying] @ (X[dying] @ coef))
        for m in range(d):
            left = m / d if efron else 0.0
            denominator = risk[at_risk].sum() - left * risk[dying].sum()
            total -= weight[dying].sum() / d * np.log(denominator)
    return total


@pytest.fixture(name="data")
def _data() -> dict[str, npt.NDArray[np.generic]]:
    """Seventy patients with ties, weights, late entry and three strata."""
    rng = np.random.default_rng(7)
    n = 70
    duration = np.ceil(rng.exponential(size=n) * 6)
    return {
        "X": rng.normal(size=(n, 3)),
        "event": rng.random(n) < 0.7,
        "duration": duration,
        "weight": rng.uniform(0.5, 2, n),
        "entry": duration * rng.uniform(-0.5, 0.9, n),
        "stratum": rng.integers(0, 3, n),
    }


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_value_is_the_definition(data: dict[str, Floats], ties: str) -> None:
    """The sorted sweeps give the log-likelihood that the formula gives, wherever it is asked."""
    cohort = sort_cohort(**data)
    likelihood = PartialLikelihood(cohort, ties)
    for coef in (np.zeros(3), np.array([0.4, -1.0, 0.2]), np.array([-3.0, 2.0, 4.0])):
        value, _ = likelihood.evaluate(coef)
        centred = {**data, "X": data["X"] - cohort.centre}
        expected = by_definition(**centred, coef=coef / cohort.scale, efron=ties == "efron")
        assert value == pytest.approx(expected, abs=1e-9)


def test_sorted_cohort_keeps_every_patient_once(data: dict[str, Floats]) -> None:
    """Sorting permutes the patients, puts deaths last in a tie, and centres the columns."""
    cohort = sort_cohort(**data)
    assert sorted(cohort.order.tolist()) == list(range(70))
    event, duration = data["event"][cohort.order], data["duration"][cohort.order]
    for mid, end, time in zip(cohort.mid, cohort.end, cohort.time, strict=True):
        assert event[mid:end].all()
        assert np.all(duration[mid:end] == time)
    assert sum(cohort.end - cohort.mid) == data["event"].sum()
    np.testing.assert_allclose(cohort.weight @ cohort.X, 0, atol=1e-12)


def test_reweighted_is_sorting_afresh(data: dict[str, Floats]) -> None:
    """New case weights on a sorted cohort give what sorting with those weights gives."""
    weight = np.random.default_rng(1).integers(1, 4, 70).astype(float)
    cohort = sort_cohort(**{**data, "weight": None})
    again = cohort.reweighted(weight[cohort.order])
    fresh = sort_cohort(**{**data, "weight": weight})
    one = maximise(PartialLikelihood(again), np.zeros(3))
    two = maximise(PartialLikelihood(fresh), np.zeros(3))
    np.testing.assert_allclose(one.coef / again.scale, two.coef / fresh.scale, atol=1e-10)


def test_warm_start_ends_at_the_same_maximum(data: dict[str, Floats]) -> None:
    """Starting near the maximum takes fewer steps to the same coefficients."""
    likelihood = PartialLikelihood(sort_cohort(**data))
    cold = maximise(likelihood, np.zeros(3))
    warm = maximise(likelihood, np.zeros(3), start=cold.coef + 1e-6)
    assert warm.n_iter < cold.n_iter
    np.testing.assert_allclose(warm.coef, cold.coef, atol=1e-10)


def test_risks_that_would_overflow_are_shifted() -> None:
    """Coefficients of hundreds neither overflow nor lose the likelihood's value."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(40, 1))
    duration = np.arange(1.0, 41.0)
    cohort = sort_cohort(X, np.ones(40, dtype=bool), duration)
    value, _ = PartialLikelihood(cohort).evaluate(np.array([240.0]))
    eta = cohort.X[:, 0] * 240.0
    expected = sum(eta[: k + 1][-1] - np.logaddexp.reduce(eta[: k + 1]) for k in range(40))
    assert value == pytest.approx(expected, rel=1e-12)


def test_late_entry_survives_a_patient_of_enormous_risk() -> None:
    """A patient with 1e14 times the others' risk, at risk early, leaves later sums exact."""
    n = 12
    X = np.zeros((n, 1))
    X[0] = 1.0
    duration = np.arange(2.0, n + 2.0)
    entry = np.zeros(n)
    entry[0] = 1.0
    entry[5:] = duration[5:] - 3.5
    event = np.ones(n, dtype=bool)
    cohort = sort_cohort(X, event, duration, entry=entry)
    coef = np.log(1e14) * cohort.scale
    likelihood = PartialLikelihood(cohort)
    value, _ = likelihood.evaluate(coef)
    everyone = np.ones(n)
    expected = by_definition(
        X, event, duration, everyone, entry, np.zeros(n, dtype=np.int64), coef / cohort.scale, True
    )
    assert value == pytest.approx(expected, abs=1e-10)


def test_step_halving_rescues_an_overshooting_start() -> None:
    """A heavy-tailed marker whose plain Newton steps overshoot still ends at the maximum."""
    rng = np.random.default_rng(11)
    X = np.exp(2.5 * rng.normal(size=(60, 1)))
    duration = rng.exponential(size=60) / np.exp(0.8 * np.minimum(X[:, 0], 3))
    cohort = sort_cohort(X, rng.random(60) < 0.6, duration)
    likelihood = PartialLikelihood(cohort)
    fit = maximise(likelihood, np.zeros(1), start=np.array([30.0]))
    assert fit.converged
    grid = np.linspace(fit.coef[0] - 1, fit.coef[0] + 1, 81)
    assert max(likelihood.evaluate(np.array([b]))[0] for b in grid) <= fit.log_likelihood + 1e-9


def _two_arms(last_survivor_treated: bool) -> SortedCohort:
    """Six deaths of controls; treated patients outlive them, all but one on request."""
    duration = np.array([1.0, 2, 3, 4, 5, 6, 10, 11, 12])
    event = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0], dtype=bool)
    arm = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1.0])
    if not last_survivor_treated:
        arm[0] = 1
    return sort_cohort(arm[:, None], event, duration)


def test_monotone_direction_is_recognised() -> None:
    """Along fewer-treated-deaths the likelihood rises forever; against it, or with overlap, not."""
    separated = _two_arms(last_survivor_treated=True)
    assert is_monotone_direction(separated, np.array([-1.0]))
    assert not is_monotone_direction(separated, np.array([1.0]))
    assert not is_monotone_direction(_two_arms(last_survivor_treated=False), np.array([-1.0]))
