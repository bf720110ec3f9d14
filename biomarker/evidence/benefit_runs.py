"""One fitting procedure carried out whole: out of fold, on resamples, and without interaction."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.evidence.benefit_models import (
    BenefitData,
    BenefitModel,
    independent_columns,
    intercepts,
)
from biomarker.metrics.benefit import (
    BenefitCalibration,
    RuleGain,
    benefit_calibration,
    c_for_benefit,
    rule_gain,
)
from biomarker.metrics.estimate import MetricEstimate
from biomarker.resampling import make_folds, spawn
from biomarker.survival.pseudo_observations import Measure

__all__ = ["NAMES", "Judge", "Run"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NAMES = ("c_for_benefit", "calibration_slope", "in_the_large", "gain_over_all", "gain_over_none")
_USABLE = 0.90  # share of resamples that must give a value


@dataclass(frozen=True, eq=False)
class Judge:
    """Takes the five measures of one set of predictions."""

    at: float
    measure: Measure
    threshold: float
    alpha: float
    seed: int

    def measures(
        self, data: BenefitData, benefit: Floats, fold: Ints | None
    ) -> tuple[list[MetricEstimate], BenefitCalibration, float]:
        """Estimates with the predictions held fixed, groups, and the share treated."""
        c = self._c(data, benefit, fold, 10)
        size = self._size(data, benefit, fold, 4)
        gain = self._gain(data, benefit)
        estimates = [c, size.slope, size.in_the_large, gain.over_all, gain.over_none]
        return estimates, size, gain.share_treated

    def values(self, data: BenefitData, benefit: Floats, fold: Ints | None) -> Floats:
        """The five values alone, NaN where they cannot be estimated."""
        if np.isnan(benefit).any():
            return np.full(len(NAMES), np.nan)
        try:
            c = self._c(data, benefit, fold, 3)
            size = self._size(data, benefit, fold, 1)
            gain = self._gain(data, benefit)
        except NotEstimableError:
            return np.full(len(NAMES), np.nan)
        found = (c, size.slope, size.in_the_large, gain.over_all, gain.over_none)
        return np.array([e.value for e in found])

    @property
    def _scale(self) -> tuple[float | None, Measure]:
        return (None if math.isnan(self.at) else self.at), self.measure

    def _c(
        self, data: BenefitData, benefit: Floats, fold: Ints | None, n_matchings: int
    ) -> MetricEstimate:
        return c_for_benefit(
            benefit, data.treated, data.y, *self._scale,
            groups=fold, n_matchings=n_matchings, random_state=self.seed, alpha=self.alpha,
        )  # fmt: skip

    def _size(
        self, data: BenefitData, benefit: Floats, fold: Ints | None, n_groups: int
    ) -> BenefitCalibration:
        return benefit_calibration(
            benefit, data.treated, data.y, *self._scale,
            groups=fold, n_groups=n_groups, alpha=self.alpha,
        )  # fmt: skip

    def _gain(self, data: BenefitData, benefit: Floats) -> RuleGain:
        return rule_gain(
            benefit, data.treated, data.y, *self._scale,
            threshold=self.threshold, alpha=self.alpha,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Run:
    """The whole fitting procedure, on the data, on resamples, and on redrawn outcomes."""

    model: BenefitModel
    data: BenefitData
    judge: Judge
    n_folds: int
    seed: int
    threads: int

    def folds(self, *key: str | int) -> Ints:
        """Fold of each patient, even within arm; ``data`` names those of the data themselves."""
        rng = spawn(self.seed, "benefit folds", *key)
        fold = np.zeros(self.data.n_patients, dtype=np.int64)
        for k, (_, test) in enumerate(make_folds(self.n_folds, None, self.data.treated, rng)):
            fold[test] = k
        return fold

    def out_of_fold(self) -> Floats:
        """Each patient's benefit by the model that left them out."""
        once = np.ones((1, self.data.n_patients), dtype=np.uint16)
        benefit = self._cross(once, self.folds("data")[None, :])[0]
        if np.isnan(benefit).any():
            raise NotEstimableError(
                f"the procedure must have a finite fit in each of {self.n_folds} folds; got one "
                "without. Use fewer markers or covariates."
            )
        return benefit

    def _cross(self, counts: npt.NDArray[np.uint16], fold: Ints) -> Floats:
        """Out-of-fold benefit in each resample, shape (n_resamples, n_patients)."""
        B, n = counts.shape
        wanted = fold[:, None, :] == np.arange(self.n_folds)[None, :, None]
        train = np.where(wanted, 0, counts[:, None, :]).astype(np.uint16)
        flat = (B * self.n_folds, n)
        found = self.model.resamples(
            self.data, train.reshape(flat), wanted.reshape(flat), self.threads
        ).reshape(wanted.shape)
        benefit: Floats = np.take_along_axis(found, fold[:, None, :], axis=1)[:, 0, :]
        return benefit

    def resampled(self, n_resamples: int) -> Floats:
        """Values of the measures in resamples of the patients, shape (n_usable, 5)."""
        from biomarker.survival.batched_cox import resample_counts

        rng = spawn(self.seed, "benefit resamples")
        counts = resample_counts(rng, n_resamples, self.data.n_patients, self.data.treated)
        fold = np.stack([self.folds("resample", b) for b in range(n_resamples)])
        benefit = self._cross(counts, fold)
        found = []
        for b in range(n_resamples):
            drawn = np.repeat(np.arange(self.data.n_patients), counts[b])
            found.append(
                self.judge.values(self.data.rows(drawn), benefit[b, drawn], fold[b, drawn])
            )
        return _usable(np.array(found), "resamples")

    def under_null(self, n_null: int, fixed: Floats | None) -> Floats:
        """Values of the measures on outcomes redrawn without interaction, shape (n_usable, 5)."""
        data, n = self.data, self.data.n_patients
        outcomes = _redraw(data, spawn(self.seed, "benefit null"), n_null)
        benefit = np.empty((n_null, n))
        fold = None if fixed is not None else self.folds("data")
        if fixed is not None:
            benefit[:] = fixed
        elif fold is not None:
            for k in range(self.n_folds):
                train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
                benefit[:, test] = self.model.outcomes(data, train, test, outcomes, self.threads)
        found = [
            self.judge.values(replace(data, y=_outcome(outcomes, b)), benefit[b], fold)
            for b in range(n_null)
        ]
        return _usable(np.array(found), "draws without interaction")


def _redraw(data: BenefitData, rng: np.random.Generator, n_draws: int) -> Any:
    """Outcomes under one effect of treatment for everybody."""
    from biomarker.evidence.log_odds import fit_log_odds
    from biomarker.survival.null_outcomes import NullModel

    columns = independent_columns(data.null_columns)
    if data.y.dtype.names is not None:
        return NullModel.fit(columns, data.y, censoring_by=data.treated, strata=data.strata).draw(
            rng, n_draws
        )
    design = np.column_stack([intercepts(data.strata, data.n_patients), columns])
    found = fit_log_odds(design, data.y[None, :])
    if not found.converged[0]:
        raise NotEstimableError(
            "the model without interaction must have a finite maximum; it has none. Use fewer "
            "markers or covariates."
        )
    chance = 0.5 * (1.0 + np.tanh(0.5 * (design @ found.coefficients[0])))
    return rng.random((n_draws, data.n_patients)) < chance


def _outcome(outcomes: Any, b: int) -> npt.NDArray[Any]:
    """One redrawn outcome of all patients."""
    from biomarker.outcomes import survival_outcome

    if isinstance(outcomes, tuple):
        return survival_outcome(outcomes[1][b], outcomes[0][b])
    return np.asarray(outcomes[b])


def _usable(found: Floats, what: str) -> Floats:
    """Rows with a value, refused where too many have none."""
    usable = found[~np.isnan(found).any(axis=1)]
    if len(usable) < _USABLE * len(found):
        raise NotEstimableError(
            f"at least {_USABLE:.0%} of {what} must give a value; got {len(usable)} of "
            f"{len(found)}. Use fewer markers or covariates."
        )
    return usable
