"""Outcomes redrawn from a fitted null model follow that model, and nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from biomarker.errors import CohortError, NotEstimableError
from biomarker.models import CoxRegression
from biomarker.outcomes import SurvivalOutcome, survival_outcome
from biomarker.resampling import spawn
from biomarker.survival.batched_cox import fit_batch_outcomes
from biomarker.survival.curves import reverse_kaplan_meier
from biomarker.survival.null_outcomes import NullModel

Floats = npt.NDArray[np.float64]


def trial(seed: int, n: int = 200) -> tuple[Floats, SurvivalOutcome]:
    """Arm and marker; the arms are followed for different times."""
    rng = np.random.default_rng(seed)
    arm, marker = np.repeat([0.0, 1.0], n // 2), rng.normal(size=n)
    X = np.column_stack([arm, marker])
    latent = rng.exponential(size=n) * np.exp(-X @ [-0.5, 0.6])
    limit = rng.uniform(0.2, np.where(arm == 1, 3.0, 1.5))
    return X, survival_outcome(latent <= limit, np.minimum(latent, limit))


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("strata", [None, 1])
def test_draws_have_the_fitted_survival(continuous: bool, strata: int | None) -> None:
    """Before any limit of follow-up, each patient is free of the event as often as fitted."""
    X, y = trial(1)
    codes = None if strata is None else np.arange(len(X)) % 2
    null = NullModel.fit(X, y, censoring_by=X[:, 0], strata=codes, ties="breslow",
                         continuous=continuous)  # fmt: skip
    model = CoxRegression(ties="breslow").fit(X, y, strata=codes)
    np.testing.assert_allclose(null.coefficients, model.coef_, atol=1e-8)
    duration, event = null.draw(np.random.default_rng(2), 4000)
    # Nobody is censored before the first censoring time: there the draws show the event alone.
    horizon = float(y["duration"][~y["event"]].min()) * 0.999
    free = np.mean((duration > horizon) | ~event, axis=0)
    # Between two steps of the baseline a continuous draw is on its way to the next one.
    fitted = model.predict_survival(X, [horizon], strata=codes)[:, 0]
    if continuous:
        later = float(y["duration"][y["event"] & (y["duration"] > horizon)].min())
        fitted = 0.5 * (fitted + model.predict_survival(X, [later], strata=codes)[:, 0])
        assert np.max(np.abs(free - fitted)) < 0.06
    else:
        assert np.max(np.abs(free - fitted)) < 4.5 * np.sqrt(0.25 / 4000)


def test_refits_of_draws_centre_on_the_null() -> None:
    """Coefficients fitted to draws average to the null model's, and the tested one to zero."""
    X, y = trial(3)
    design = np.column_stack([X, X[:, 0] * X[:, 1]])
    null = NullModel.fit(X, y, censoring_by=X[:, 0], continuous=True)
    duration, event = null.draw(spawn(4, "draws"), 1500)
    fit = fit_batch_outcomes(design, duration, event, n_null=2)
    assert fit.converged.all()
    error = fit.coefficients.std(axis=0) / np.sqrt(1500)
    gap = fit.coefficients.mean(axis=0) - [*null.coefficients, 0.0]
    # A maximum likelihood estimate is off by the order of 1/n as well.
    assert np.all(np.abs(gap) < 4 * error + 0.02)
    assert abs(np.mean(fit.likelihood_ratio > 3.8415) - 0.05) < 0.025


def test_censoring_is_its_groups_own_and_independent_of_the_event() -> None:
    """Censored draws follow each arm's reverse Kaplan-Meier curve, and no covariate."""
    X, y = trial(5)
    null = NullModel.fit(X, y, censoring_by=X[:, 0])
    # Patients who practically never die show their censoring times.
    calm = NullModel(null.coefficients, np.full(len(X), 1e-9), null.stratum, null.group,
                     null.hazard, null.followed, False)  # fmt: skip
    duration, event = calm.draw(np.random.default_rng(6), 2000)
    assert not event.any()
    for arm in (0.0, 1.0):
        here = X[:, 0] == arm
        curve = reverse_kaplan_meier(y[here])
        share = [np.mean(duration[:, here] > t) for t in curve.times[:-1]]
        assert np.max(np.abs(share - curve.survival[:-1])) < 0.01
        assert duration[:, here].max() <= y["duration"][here].max()
    per_patient = duration[:, X[:, 0] == 0].mean(axis=0)
    assert abs(np.corrcoef(per_patient, X[X[:, 0] == 0, 1])[0, 1]) < 0.35


def test_tied_and_continuous_event_times() -> None:
    """Draws keep the observed event times, or have no ties at all."""
    X, y = trial(7)
    seen = set(y["duration"][y["event"]].tolist())
    duration, event = NullModel.fit(X, y).draw(np.random.default_rng(8), 20)
    assert set(duration[event].tolist()) <= seen
    duration, event = NullModel.fit(X, y, continuous=True).draw(np.random.default_rng(8), 20)
    for times, dead in zip(duration, event, strict=True):
        assert len(np.unique(times[dead])) == dead.sum()
    assert np.all(duration > 0)


def test_same_seed_same_draws() -> None:
    """A generator of the same seed draws the same outcomes, and another one others."""
    _, y = trial(9)
    null = NullModel.fit(None, y)
    first, second, other = (null.draw(spawn(s, "x"), 5)[0] for s in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_refusals() -> None:
    """Without events, or without a finite null fit, there is nothing to draw from."""
    X, y = trial(10)
    with pytest.raises(NotEstimableError, match="at least one event"):
        NullModel.fit(X, survival_outcome(np.zeros(200, dtype=bool), y["duration"]))
    with pytest.raises(NotEstimableError, match="finite maximum"):
        NullModel.fit(np.column_stack([X, X[:, 0]]), y)
    with pytest.raises(CohortError, match="n_replicates must be at least 1; got 0"):
        NullModel.fit(X, y).draw(np.random.default_rng(0), 0)
