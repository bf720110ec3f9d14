"""The same two regressions by Firth's penalised likelihood, where the plain one has no maximum.

Estimate, interval, test and redrawn statistics all use the penalised likelihood, so that a
separated group is neither refused nor turned into an infinite ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.evidence.regressions import (
    Bools,
    Fit,
    Floats,
    HazardRegression,
    Ints,
    OddsRegression,
    Regression,
    Sampler,
    hazard_sampler,
    odds_sampler,
)

__all__ = ["FirthHazardRegression", "FirthOddsRegression", "penalised_form"]


def penalised_form(regression: Regression) -> Regression:
    """Give the same regression with Firth's penalty."""
    if isinstance(regression, HazardRegression):
        return FirthHazardRegression(regression.y, regression.strata, regression.censoring_by)
    assert isinstance(regression, OddsRegression)
    return FirthOddsRegression(regression.y, regression.strata)


@dataclass(frozen=True, eq=False)
class FirthHazardRegression(HazardRegression):
    """Cox regression with Firth's penalty."""

    def where(self, keep: Bools) -> HazardRegression:
        """The same regression for some of the patients."""
        plain = super().where(keep)
        return FirthHazardRegression(plain.y, plain.strata, plain.censoring_by)

    def fit(self, X: Floats, weight: Floats | None = None) -> Fit:
        """Maximise over all columns."""
        return self._fit(X, {})

    def null_fit(self, X: Floats, n_null: int) -> Fit:
        """Maximise over the leading columns, the others held at zero within the penalty."""
        found = self._fit(X, dict.fromkeys(range(n_null, X.shape[1]), 0.0))
        return Fit(
            found.coefficients[:n_null], found.covariance[:n_null, :n_null], found.log_likelihood
        )

    def _fit(self, X: Floats, held: dict[int, float], start: Floats | None = None) -> Fit:
        from biomarker.survival.firth import firth_fit

        found = firth_fit(X, self.y, held=held, start=start, strata=self.strata)
        covariance = np.asarray(np.linalg.inv(found.information), dtype=np.float64)
        return Fit(found.coefficients, covariance, found.log_likelihood)

    def held(self, X: Floats, column: int, start: Floats) -> Any:
        """Penalised profile of one coefficient, each climb from the nearest one before."""
        climbed = [start]

        def profile(value: float) -> float:
            nearest = min(climbed, key=lambda c: abs(float(c[column]) - value))
            try:
                found = self._fit(X, {column: value}, nearest)
            except NotEstimableError:
                return -np.inf  # so far out that no information, and an endless penalty, is left
            climbed.append(found.coefficients)
            return found.log_likelihood

        return profile

    def sampler(self, null: Floats, fit: Fit, rows: Ints, n_rows: int) -> Sampler:
        """Breslow's baseline at the penalised null coefficients, and censoring by arm."""
        return hazard_sampler(self, null, rows, n_rows, fit.coefficients)

    def likelihood_ratios(self, X: Floats, n_null: int, outcomes: Any, start: Floats) -> Floats:
        """Penalised likelihood ratio of each redrawn outcome."""
        from biomarker.survival.firth import firth_likelihood_ratios

        duration, event = outcomes
        return firth_likelihood_ratios(
            X, duration, event, n_null=n_null, start=start, strata=self.strata
        )


@dataclass(frozen=True, eq=False)
class FirthOddsRegression(OddsRegression):
    """Logistic regression with Firth's penalty."""

    def where(self, keep: Bools) -> OddsRegression:
        """The same regression for some of the patients."""
        plain = super().where(keep)
        return FirthOddsRegression(plain.y, plain.strata)

    def fit(self, X: Floats, weight: Floats | None = None) -> Fit:
        """Maximise over all columns."""
        return self._fit(X, None, None)

    def null_fit(self, X: Floats, n_null: int) -> Fit:
        """Maximise over the leading columns, the others held at zero within the penalty."""
        found = self._fit(X, np.arange(n_null), None)
        return Fit(
            found.coefficients[:n_null], found.covariance[:n_null, :n_null], found.log_likelihood
        )

    def _fit(self, X: Floats, free: npt.ArrayLike | None, start: Floats | None) -> Fit:
        from biomarker.evidence.firth_log_odds import fit_firth_log_odds

        design, k = self._design(X)
        some = None if free is None else [*range(k), *(np.asarray(free) + k)]
        begun = None if start is None else np.concatenate([np.zeros(k), start])
        found = fit_firth_log_odds(design, self.y[None, :], some, begun)
        if not found.converged[0]:
            if np.linalg.matrix_rank(design) < design.shape[1]:
                raise NotEstimableError(
                    f"X must have independent columns; got dependent ones in {len(X)} patient(s)."
                )
            raise NotEstimableError(
                f"{design.shape[1]} columns must have one best fit; it does not settle in {len(X)} "
                f"patient(s), {int(self.y.sum())} of them responders. Merge small levels or drop "
                "covariates."
            )
        covariance = np.linalg.inv(found.information[0])[k:, k:]
        return Fit(found.coefficients[0, k:], covariance, float(found.log_likelihood[0]))

    def held(self, X: Floats, column: int, start: Floats) -> Any:
        """Penalised profile of one coefficient, each climb from the nearest one before."""
        free = np.delete(np.arange(X.shape[1]), column)
        climbed = [start]

        def profile(value: float) -> float:
            begun = min(climbed, key=lambda c: abs(float(c[column]) - value)).copy()
            begun[column] = value
            try:
                found = self._fit(X, free, begun)
            except NotEstimableError:
                return -np.inf  # so far out that no information, and an endless penalty, is left
            climbed.append(found.coefficients)
            return found.log_likelihood

        return profile

    def sampler(self, null: Floats, fit: Fit, rows: Ints, n_rows: int) -> Sampler:
        """Probabilities of response at the penalised null fit."""
        from biomarker.evidence.firth_log_odds import fit_firth_log_odds

        design, _ = self._design(null)
        found = fit_firth_log_odds(design, self.y[None, :])
        return odds_sampler(design, found.coefficients[0], rows, n_rows)

    def likelihood_ratios(self, X: Floats, n_null: int, outcomes: Any, start: Floats) -> Floats:
        """Penalised likelihood ratio of each redrawn outcome."""
        from biomarker.evidence.firth_log_odds import fit_firth_log_odds

        design, k = self._design(X)
        null = fit_firth_log_odds(design, outcomes, np.arange(k + n_null))
        begun = np.where(null.converged[:, None], null.coefficients, 0.0)
        full = fit_firth_log_odds(design, outcomes, start=begun)
        ratio = np.maximum(2.0 * (full.log_likelihood - null.log_likelihood), 0.0)
        return np.where(full.converged & null.converged, ratio, np.inf)
