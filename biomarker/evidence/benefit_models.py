"""Models that predict a patient's benefit, fitted to many resamples or redrawn outcomes at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from biomarker.errors import BiomarkerError
from biomarker.evidence.analysis_set import independent_columns
from biomarker.outcomes import SurvivalOutcome
from biomarker.survival.pseudo_observations import Measure

if TYPE_CHECKING:
    from biomarker.survival.baseline_hazard import BaselineHazard

__all__ = [
    "BenefitBuilder",
    "BenefitData",
    "BenefitModel",
    "BuiltBenefit",
    "CoxBenefit",
    "OddsBenefit",
    "Predictor",
    "independent_columns",
    "intercepts",
    "weighted_baseline",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint16]
Flags = npt.NDArray[np.bool_]
Predictor = Callable[["BenefitData"], Floats]
BenefitBuilder = Callable[["BenefitData"], Predictor]


@dataclass(frozen=True, eq=False)
class BenefitData:
    """Patients of a randomised comparison, and what benefit means.

    Attributes
    ----------
    covariates, markers : ndarray, shape (n_patients, n_covariates) and (n_patients, n_markers)
        Numbers without missing values.
    treated : ndarray of bool, shape (n_patients,)
    y : ndarray, shape (n_patients,)
        Survival, or response as booleans.
    measure : {"restricted_mean", "survival"}
    at : float
        NaN for a response.
    strata : ndarray of int, shape (n_patients,), or None
    """

    covariates: Floats
    markers: Floats
    treated: npt.NDArray[np.bool_]
    y: npt.NDArray[Any]
    measure: Measure
    at: float
    strata: Ints | None = None

    @property
    def n_patients(self) -> int:
        """Patients."""
        return len(self.treated)

    def rows(self, rows: npt.ArrayLike, y: npt.NDArray[Any] | None = None) -> BenefitData:
        """Some of the patients, repeated as asked; with other outcomes of theirs where given."""
        index = np.asarray(rows)
        return BenefitData(
            self.covariates[index],
            self.markers[index],
            self.treated[index],
            (self.y if y is None else y)[index],
            self.measure,
            self.at,
            None if self.strata is None else self.strata[index],
        )

    @property
    def null_columns(self) -> Floats:
        """Covariates, arm and markers: one effect of treatment for everybody."""
        return np.column_stack([self.covariates, self.treated.astype(np.float64), self.markers])

    @property
    def columns(self) -> Floats:
        """Columns of the interaction model as randomised: null columns, then arm x markers."""
        return np.column_stack([self.null_columns, self.markers * self.treated[:, None]])

    def columns_if(self, treated: float) -> Floats:
        """Columns of the interaction model if everybody were treated (1) or nobody (0)."""
        arm = np.full(self.n_patients, treated)
        return np.column_stack([self.covariates, arm, self.markers, self.markers * treated])


class BenefitModel(Protocol):
    """A whole fitting procedure, carried out many times."""

    def resamples(
        self, data: BenefitData, counts: Counts, wanted: Flags, threads: int = 1
    ) -> Floats:
        """Benefit of the wanted patients by the model of each resample.

        ``counts`` and ``wanted`` have shape (n_resamples, n_patients), as does the result: NaN for
        who is not wanted, and for a whole row where the resample's model has no finite maximum.
        """

    def outcomes(
        self, data: BenefitData, train: Ints, test: Ints, outcomes: Any, threads: int = 1
    ) -> Floats:
        """Benefit of the test patients by models of redrawn outcomes of the training patients.

        Returns shape (n_draws, n_test); a row is NaN where there is no model.
        """


@dataclass(frozen=True)
class CoxBenefit:
    """Cox regression on covariates, arm, markers and arm x markers.

    Benefit is S(at | treated) - S(at | control), or its integral from 0 to ``at``. Coefficients are
    fitted within strata; the baseline hazard (Efron's) is one for all strata.
    """

    def resamples(
        self, data: BenefitData, counts: Counts, wanted: Flags, threads: int = 1
    ) -> Floats:
        """One batch of resampled fits, and a baseline hazard for each."""
        from biomarker.survival.batched_cox import fit_batch

        fits = fit_batch(data.columns, data.y, counts, strata=data.strata, threads=threads)
        found = np.full((len(counts), data.n_patients), np.nan)
        for b in np.flatnonzero(fits.converged):
            baseline = weighted_baseline(data.y, data.columns, fits.coefficients[b], counts[b])
            judged = data.rows(wanted[b])
            found[b, wanted[b]] = _cox_benefit(judged, fits.coefficients[b], baseline)
        return found

    def outcomes(
        self, data: BenefitData, train: Ints, test: Ints, outcomes: Any, threads: int = 1
    ) -> Floats:
        """One batch of fits to redrawn outcomes."""
        from biomarker.outcomes import survival_outcome
        from biomarker.survival.batched_cox import fit_batch_outcomes

        duration, event = outcomes
        within = None if data.strata is None else data.strata[train]
        columns, judged = data.columns[train], data.rows(test)
        fits = fit_batch_outcomes(
            columns, duration[:, train], event[:, train], strata=within, threads=threads
        )
        found = np.full((len(duration), len(test)), np.nan)
        once = np.ones(len(train), dtype=np.uint16)
        for b in np.flatnonzero(fits.converged):
            y = survival_outcome(event[b, train], duration[b, train])
            baseline = weighted_baseline(y, columns, fits.coefficients[b], once)
            found[b] = _cox_benefit(judged, fits.coefficients[b], baseline)
        return found


@dataclass(frozen=True)
class OddsBenefit:
    """Logistic regression on covariates, arm, markers and arm x markers; strata as intercepts."""

    def resamples(
        self, data: BenefitData, counts: Counts, wanted: Flags, threads: int = 1
    ) -> Floats:
        """One weighted fit a resample."""
        from biomarker.evidence.log_odds import fit_log_odds

        found = np.full((len(counts), data.n_patients), np.nan)
        first = intercepts(data.strata, data.n_patients)
        design = np.column_stack([first, data.columns])
        for b, count in enumerate(counts):
            present = np.any(design[count > 0] != 0.0, axis=0)
            fit = fit_log_odds(design[:, present], data.y[None, :], weight=count.astype(np.float64))
            if fit.converged[0]:
                coef = np.zeros(len(present))
                coef[present] = fit.coefficients[0]
                found[b, wanted[b]] = _odds_benefit(data, first, coef)[wanted[b]]
        return found

    def outcomes(
        self, data: BenefitData, train: Ints, test: Ints, outcomes: Any, threads: int = 1
    ) -> Floats:
        """All draws climb together."""
        from biomarker.evidence.log_odds import fit_log_odds

        first = intercepts(data.strata, data.n_patients)
        design = np.column_stack([first, data.columns])
        fits = fit_log_odds(design[train], outcomes[:, train])
        found = np.full((len(outcomes), len(test)), np.nan)
        for b in np.flatnonzero(fits.converged):
            found[b] = _odds_benefit(data, first, fits.coefficients[b])[test]
        return found


@dataclass(frozen=True)
class BuiltBenefit:
    """Any other procedure, given as a function from training data to a predictor of benefit.

    Choices made while fitting (selection, tuning) belong inside the function: it is called anew on
    every training part of every resample.
    """

    build: BenefitBuilder

    def resamples(
        self, data: BenefitData, counts: Counts, wanted: Flags, threads: int = 1
    ) -> Floats:
        """One call a resample; drawn patients are repeated."""
        found = np.full((len(counts), data.n_patients), np.nan)
        for b, count in enumerate(counts):
            drawn = data.rows(np.repeat(np.arange(len(count)), count))
            found[b, wanted[b]] = self._predict(drawn, data.rows(wanted[b]))
        return found

    def outcomes(
        self, data: BenefitData, train: Ints, test: Ints, outcomes: Any, threads: int = 1
    ) -> Floats:
        """One call a draw."""
        from biomarker.outcomes import survival_outcome

        response = data.y.dtype.names is None
        n_draws = len(outcomes if response else outcomes[0])
        found = np.full((n_draws, len(test)), np.nan)
        judged = data.rows(test)
        for b in range(n_draws):
            y = outcomes[b] if response else survival_outcome(outcomes[1][b], outcomes[0][b])
            found[b] = self._predict(data.rows(train, y), judged)
        return found

    def _predict(self, train: BenefitData, judged: BenefitData) -> Floats:
        """Predicted benefit, NaN where the procedure says that it cannot be estimated."""
        try:
            return np.asarray(self.build(train)(judged), dtype=np.float64)
        except BiomarkerError:
            return np.full(judged.n_patients, np.nan)


def weighted_baseline(
    y: SurvivalOutcome, columns: Floats, coef: Floats, counts: Counts
) -> BaselineHazard:
    """Efron's cumulative baseline hazard, at all columns 0; k copies of a death are k ties.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
    columns : ndarray, shape (n_patients, n_columns)
    coef : ndarray, shape (n_columns,)
        Log hazard ratios per unit.
    counts : ndarray of uint16, shape (n_patients,)
        How often each patient stands in the resample; 0 leaves the patient out.

    Returns
    -------
    BaselineHazard
    """
    from biomarker.survival.baseline_hazard import BaselineHazard

    risk = np.exp(columns @ coef) * counts
    order = np.argsort(y["duration"], kind="stable")
    duration, weighted = y["duration"][order], risk[order]
    dying = np.where(y["event"][order], weighted, 0.0)
    deaths = np.where(y["event"], counts, 0)[order].astype(np.float64)
    times, first = np.unique(duration, return_index=True)
    at_risk = np.cumsum(weighted[::-1])[::-1][first]
    tied, mass = np.add.reduceat(deaths, first), np.add.reduceat(dying, first)
    happened = tied > 0
    times, at_risk, tied, mass = (a[happened] for a in (times, at_risk, tied, mass))
    jump, last = np.zeros(len(times)), np.zeros(len(times))
    for earlier in range(int(tied.max(initial=0))):
        # Earlier deaths of a tie have left their share; past the last there is nothing to add.
        done = np.minimum(earlier / tied, 1.0)
        left = np.where(earlier < tied, at_risk - done * mass, np.inf)
        part = 1.0 / left
        jump += part
        last += part * (1.0 - done)
    return BaselineHazard.from_jumps(times, jump, last)


def _cox_benefit(judged: BenefitData, coef: Floats, baseline: BaselineHazard) -> Floats:
    """S(at) if treated less that if not, or the integral of that up to ``at``."""
    if judged.measure == "survival":
        edges, width = np.array([judged.at]), np.ones(1)
    else:
        inside = baseline.time[baseline.time < judged.at]
        edges = np.concatenate([[0.0], inside])
        width = np.diff(np.append(edges, judged.at))
    hazard = baseline.at(edges)
    benefit = np.zeros(judged.n_patients)
    for sign, side in ((1.0, 1.0), (-1.0, 0.0)):
        risk = np.exp(judged.columns_if(side) @ coef)
        benefit += sign * (np.exp(-risk[:, None] * hazard) @ width)
    return benefit


def intercepts(strata: Ints | None, n: int) -> Floats:
    """One column of ones, or one column a stratum."""
    if strata is None:
        return np.ones((n, 1))
    return (strata[:, None] == np.unique(strata)[None, :]).astype(np.float64)


def _odds_benefit(data: BenefitData, first: Floats, coef: Floats) -> Floats:
    """Chance of response if treated less that if not."""
    chances = []
    for side in (1.0, 0.0):
        eta = np.column_stack([first, data.columns_if(side)]) @ coef
        chances.append(0.5 * (1.0 + np.tanh(0.5 * eta)))
    benefit: Floats = chances[0] - chances[1]
    return benefit
