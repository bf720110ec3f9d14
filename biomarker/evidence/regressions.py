"""The two regressions every test here is asked of: log hazard ratios and log odds ratios.

Both answer the same four questions: a maximum, the same maximum with one coefficient held, outcomes
redrawn from a fitted null model, and likelihood ratios of many redrawn outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.evidence.log_odds import fit_log_odds
from biomarker.outcomes import SurvivalOutcome

if TYPE_CHECKING:
    from biomarker.survival.partial_likelihood import PartialLikelihood

__all__ = [
    "Fit",
    "HazardRegression",
    "OddsRegression",
    "Regression",
    "Sampler",
    "hazard_sampler",
    "odds_sampler",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_CLIMB_STEPS = 300


@dataclass(frozen=True, eq=False)
class Fit:
    """A finite maximum.

    Attributes
    ----------
    coefficients : ndarray, shape (n_features,)
        Log ratios per unit of each column; an odds regression's intercept is left out.
    covariance : ndarray, shape (n_features, n_features)
    log_likelihood : float
    """

    coefficients: Floats
    covariance: Floats
    log_likelihood: float


class Sampler(Protocol):
    """Draws outcomes from a fitted null model."""

    def draw(self, rng: np.random.Generator, n_draws: int) -> Any:
        """Outcomes of all patients of the analysis set, ``n_draws`` times over."""


class Regression(Protocol):
    """What a test needs of a regression."""

    @property
    def n_patients(self) -> int:
        """Patients in the analysis set."""

    def fit(self, X: Floats, weight: Floats | None = None) -> Fit:
        """Maximise the likelihood; raise NotEstimableError where it has no finite maximum."""

    def where(self, keep: Bools) -> Regression:
        """The same regression for some of the patients."""

    def held(self, X: Floats, column: int, start: Floats) -> Any:
        """Profile log-likelihood of one column's coefficient, as a function of it."""

    def null_fit(self, X: Floats, n_null: int) -> Fit:
        """Maximise over the leading columns alone."""

    def sampler(self, null: Floats, fit: Fit, rows: Ints, n_rows: int) -> Sampler:
        """Stand ready to redraw outcomes from the null columns' fit."""

    def likelihood_ratios(self, X: Floats, n_null: int, outcomes: Any, start: Floats) -> Floats:
        """One likelihood ratio for each redrawn outcome."""

    def influence(self, X: Floats, fit: Fit) -> Floats:
        """First-order change of every coefficient when a patient is left in, per patient."""


@dataclass(frozen=True, eq=False)
class HazardRegression:
    """Cox regression of one endpoint over one analysis set.

    Attributes
    ----------
    y : structured array, shape (n_patients,)
    strata : ndarray of int, shape (n_patients,), optional
    censoring_by : ndarray, shape (n_patients,), optional
        Group whose follow-up is redrawn together: the arm.
    """

    y: SurvivalOutcome
    strata: Ints | None = None
    censoring_by: Floats | None = None

    @property
    def n_patients(self) -> int:
        """Patients in the analysis set."""
        return len(self.y)

    def where(self, keep: Bools) -> HazardRegression:
        """The same regression for some of the patients."""
        return HazardRegression(
            self.y[keep],
            None if self.strata is None else self.strata[keep],
            None if self.censoring_by is None else self.censoring_by[keep],
        )

    def _likelihood(self, X: Floats, weight: Floats | None = None) -> PartialLikelihood:
        from biomarker.survival.partial_likelihood import PartialLikelihood, sort_cohort

        return PartialLikelihood(
            sort_cohort(
                X,
                self.y["event"].copy(),
                self.y["duration"].copy(),
                weight=weight,
                stratum=self.strata,
            )
        )

    def fit(self, X: Floats, weight: Floats | None = None) -> Fit:
        """Fit a Cox model by Newton steps that are halved until the likelihood rises.

        Raises
        ------
        NotEstimableError
            Without events, with dependent columns, or where a coefficient has no finite value.
        """
        from biomarker.survival.partial_likelihood import maximise
        from biomarker.survival.partial_likelihood_estimability import (
            check_columns,
            check_finite_maximum,
        )

        if not self.y["event"].any():
            raise NotEstimableError("y must hold at least one event; got none.")
        likelihood = self._likelihood(X, weight)
        if X.shape[1] == 0:
            value, _ = likelihood.evaluate(np.empty(0))
            return Fit(np.empty(0), np.empty((0, 0)), value)
        names = [f"column {j + 1}" for j in range(X.shape[1])]
        found = maximise(likelihood, np.zeros(X.shape[1]))
        check_columns(found, names)
        check_finite_maximum(likelihood.cohort, found, names)
        if not found.converged:
            raise NotEstimableError("The Cox fit must settle; it did not.")
        scale = likelihood.cohort.scale
        covariance = np.linalg.inv(found.information) / np.outer(scale, scale)
        return Fit(found.coef / scale, covariance, found.log_likelihood)

    def held(self, X: Floats, column: int, start: Floats) -> Any:
        """Profile log-likelihood of one coefficient, each climb from the nearest one before."""
        likelihood = self._likelihood(X)
        scale = likelihood.cohort.scale
        free = np.delete(np.arange(X.shape[1]), column)
        climbed = [start * scale]

        def profile(value: float) -> float:
            held = value * scale[column]
            coef = min(climbed, key=lambda c: abs(float(c[column]) - held)).copy()
            coef[column] = held
            coef, height = _climb(likelihood, coef, free)
            climbed.append(coef)
            return height

        return profile

    def null_fit(self, X: Floats, n_null: int) -> Fit:
        """Fit the leading columns alone."""
        return self.fit(X[:, :n_null])

    def sampler(self, null: Floats, fit: Fit, rows: Ints, n_rows: int) -> Sampler:
        """Breslow's baseline under the null columns, and censoring by arm."""
        return hazard_sampler(self, null, rows, n_rows, fit.coefficients)

    def likelihood_ratios(self, X: Floats, n_null: int, outcomes: Any, start: Floats) -> Floats:
        """One likelihood ratio per redrawn outcome; see :func:`_usable` for fits that run away."""
        from biomarker.survival.batched_cox import fit_batch_outcomes

        duration, event = outcomes
        batch = fit_batch_outcomes(
            X, duration, event, strata=self.strata, n_null=n_null, start=start, heights_only=True
        )
        gain = 2.0 * (batch.log_likelihood - batch.log_likelihood_null)
        return _usable(gain, batch.reason)

    def influence(self, X: Floats, fit: Fit) -> Floats:
        """Score residuals times the covariance; shape (n_patients, n_features)."""
        from biomarker.evidence.residuals import score_residuals

        return score_residuals(X, self.y, fit.coefficients, self.strata) @ fit.covariance


def _climb(likelihood: PartialLikelihood, coef: Floats, free: Ints) -> tuple[Floats, float]:
    """Maximise over the free coefficients from where the others are held.

    Newton steps, damped (Levenberg) for as long as they do not raise the likelihood: far out the
    information all but vanishes, and an undamped step means nothing.
    """
    value, gradient = likelihood.evaluate(coef)
    if not np.isfinite(value):
        coef[free] = 0.0
        value, gradient = likelihood.evaluate(coef)
    damping = 0.0
    information = likelihood.information()[np.ix_(free, free)]
    for _ in range(_CLIMB_STEPS):
        if len(free) == 0 or not np.isfinite(value):
            break
        size = np.diag(information)
        matrix = information + np.diag(damping * np.maximum(size, 1e-8) + 1e-14)
        step = np.linalg.solve(matrix, gradient[free])
        trial = coef.copy()
        trial[free] += step
        there, slope = likelihood.evaluate(trial)
        if not there >= value - likelihood.rounding:
            damping = max(10.0 * damping, 1e-3)
            if damping > 1e15:
                break
            continue
        settled = damping == 0.0 and np.max(np.abs(step)) < 1e-9
        coef, value, gradient = trial, there, slope
        if settled:
            break
        information = likelihood.information()[np.ix_(free, free)]
        damping = 0.1 * damping if damping > 1e-2 else 0.0
    return coef, value


def _usable(gain: Floats, reason: npt.NDArray[np.int8]) -> Floats:
    """Likelihood ratios of redrawn outcomes, with those that have no finite maximum.

    A separated draw counts with the height its climb reached, one without information as 0, one
    that did not settle as infinite: each can only make the data's own ratio look less rare.
    """
    ratio = np.maximum(gain, 0.0)
    ratio = np.where((reason == 1) | (reason == 2) | np.isnan(ratio), 0.0, ratio)
    return np.where(reason == 4, np.inf, ratio)


def hazard_sampler(
    regression: HazardRegression, null: Floats, rows: Ints, n_rows: int, coefficients: Floats
) -> Sampler:
    """Null model at given coefficients, ready to be drawn from."""
    from biomarker.survival.null_outcomes import NullModel

    model = NullModel.fit(
        null if null.shape[1] else None,
        regression.y,
        censoring_by=regression.censoring_by,
        strata=regression.strata,
        coefficients=coefficients,
    )
    return _HazardSampler(model, rows, n_rows)


@dataclass(frozen=True, eq=False)
class _HazardSampler:
    """Survival outcomes for the analysis set, by random numbers that belong to table rows."""

    model: Any
    rows: Ints
    n_rows: int

    def draw(self, rng: np.random.Generator, n_draws: int) -> Any:
        """Durations and events, each of shape (n_draws, n_patients)."""
        relative, stratum = np.ones(self.n_rows), np.zeros(self.n_rows, dtype=np.int64)
        group = np.zeros(self.n_rows, dtype=np.int64)
        relative[self.rows] = self.model.relative_hazard
        stratum[self.rows], group[self.rows] = self.model.stratum, self.model.group
        whole = replace(self.model, relative_hazard=relative, stratum=stratum, group=group)
        duration, event = whole.draw(rng, n_draws)
        return duration[:, self.rows], event[:, self.rows]


@dataclass(frozen=True, eq=False)
class OddsRegression:
    """Logistic regression of one response over one analysis set.

    Attributes
    ----------
    y : ndarray of bool, shape (n_patients,)
    strata : ndarray of int, shape (n_patients,), optional
        Each stratum has its own intercept.
    """

    y: npt.NDArray[np.bool_]
    strata: Ints | None = None

    @property
    def n_patients(self) -> int:
        """Patients in the analysis set."""
        return len(self.y)

    def where(self, keep: Bools) -> OddsRegression:
        """The same regression for some of the patients."""
        return OddsRegression(self.y[keep], None if self.strata is None else self.strata[keep])

    @property
    def _intercepts(self) -> Floats:
        if self.strata is None:
            return np.ones((len(self.y), 1))
        return (self.strata[:, None] == np.unique(self.strata)[None, :]).astype(np.float64)

    def _design(self, X: Floats) -> tuple[Floats, int]:
        first = self._intercepts
        return np.column_stack([first, X]), first.shape[1]

    def fit(self, X: Floats, weight: Floats | None = None) -> Fit:
        """Fit by Newton's method.

        Raises
        ------
        NotEstimableError
            With one class, dependent columns, or separation.
        """
        design, k = self._design(X)
        if np.linalg.matrix_rank(design) < design.shape[1]:
            raise NotEstimableError(
                f"X must have independent columns; got rank {np.linalg.matrix_rank(design)} of "
                f"{design.shape[1]}. Drop a column."
            )
        found = fit_log_odds(design, self.y[None, :], weight=weight)
        if not found.converged[0]:
            raise NotEstimableError(
                "X must leave some overlap between responders and others; got separation: no "
                "finite coefficient exists. Drop or merge columns."
            )
        covariance = np.linalg.inv(found.information[0])[k:, k:]
        return Fit(found.coefficients[0, k:], covariance, float(found.log_likelihood[0]))

    def held(self, X: Floats, column: int, start: Floats) -> Any:
        """Profile log-likelihood of one coefficient."""
        design, _ = self._design(np.delete(X, column, axis=1))

        def profile(value: float) -> float:
            offset = value * X[:, column]
            return float(fit_log_odds(design, self.y[None, :], offset=offset).log_likelihood[0])

        return profile

    def null_fit(self, X: Floats, n_null: int) -> Fit:
        """Fit the leading columns alone."""
        return self.fit(X[:, :n_null])

    def sampler(self, null: Floats, fit: Fit, rows: Ints, n_rows: int) -> Sampler:
        """Probabilities of response under the null columns, the intercepts fitted anew."""
        design, _ = self._design(null)
        found = fit_log_odds(design, self.y[None, :])
        if not found.converged[0]:
            raise NotEstimableError("The null model must have a finite maximum; it has none.")
        return odds_sampler(design, found.coefficients[0], rows, n_rows)

    def likelihood_ratios(self, X: Floats, n_null: int, outcomes: Any, start: Floats) -> Floats:
        """One likelihood ratio per redrawn outcome; separated ones count at their height."""
        design, k = self._design(X)
        null = fit_log_odds(design[:, : k + n_null], outcomes)
        begun = np.zeros((len(outcomes), design.shape[1]))
        begun[:, : k + n_null] = np.where(null.converged[:, None], null.coefficients, 0.0)
        full = fit_log_odds(design, outcomes, start=begun)
        return np.maximum(2.0 * (full.log_likelihood - null.log_likelihood), 0.0)

    def influence(self, X: Floats, fit: Fit) -> Floats:
        """Score residuals times the covariance; shape (n_patients, n_features)."""
        first = self._intercepts
        k = first.shape[1]
        # The columns' coefficients are given; the intercepts follow from them.
        found = fit_log_odds(first, self.y[None, :], offset=X @ fit.coefficients)
        chance = 1.0 / (1.0 + np.exp(-first @ found.coefficients[0] - X @ fit.coefficients))
        design = np.column_stack([first, X])
        information = design.T @ (design * (chance * (1.0 - chance))[:, None])
        gap = self.y - chance
        influence: Floats = (gap[:, None] * design) @ np.linalg.inv(information)
        return influence[:, k:]


def odds_sampler(design: Floats, coefficients: Floats, rows: Ints, n_rows: int) -> Sampler:
    """Responses with these log odds, ready to be drawn."""
    return _OddsSampler(1.0 / (1.0 + np.exp(-design @ coefficients)), rows, n_rows)


@dataclass(frozen=True, eq=False)
class _OddsSampler:
    """Responses for the analysis set, by random numbers that belong to table rows."""

    chance: Floats
    rows: Ints
    n_rows: int

    def draw(self, rng: np.random.Generator, n_draws: int) -> Any:
        """Responses, shape (n_draws, n_patients)."""
        return rng.random((n_draws, self.n_rows))[:, self.rows] < self.chance
