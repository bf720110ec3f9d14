"""Outcomes redrawn from a fitted Cox model, as a semiparametric bootstrap needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from biomarker.errors import CohortError, NotEstimableError
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.survival.censoring import CensoringDistribution
from biomarker.survival.partial_likelihood_inputs import feature_table, same_length, strata_codes

if TYPE_CHECKING:
    from biomarker.survival.partial_likelihood import Ties

__all__ = ["NullModel"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class NullModel:
    """A fitted Cox model that can be drawn from, and how long patients were followed.

    Patient i has the event by t with chance 1 - exp(-H(t) r_i): H is Breslow's cumulative baseline
    hazard of the patient's stratum, r_i = exp(x_i'b) the fitted relative hazard. Censoring times
    come from the reverse Kaplan-Meier curve of the patient's group (the arm, say); what mass that
    curve leaves lies at the group's last observed time, where follow-up ends for everybody.

    Assumes proportional hazards of the null model's columns, and censoring that depends on nothing
    but the group.

    Attributes
    ----------
    coefficients : ndarray, shape (n_features,)
        Log hazard ratios of the null model, on the caller's units.
    relative_hazard : ndarray, shape (n_patients,)
        Relative to the mean patient.
    stratum, group : ndarray of int, shape (n_patients,)
    hazard : tuple of (times, cumulative), one per stratum
        Event times and H there.
    followed : tuple of (times, distribution, last), one per group
        Censoring times, their cumulative distribution, and the group's last observed time.
    continuous : bool
        Whether event times are drawn between the steps of H.

    Examples
    --------
    >>> from biomarker.outcomes import survival_outcome
    >>> y = survival_outcome([1, 0, 1, 1, 0, 1], [1, 1, 6, 6, 8, 9])
    >>> null = NullModel.fit([[1], [1], [0], [1], [0], [0]], y)
    >>> duration, event = null.draw(np.random.default_rng(0), 3)
    >>> duration.shape, sorted(set(duration[event].tolist()) - {1.0, 6.0, 9.0})
    ((3, 6), [])
    """

    coefficients: Floats
    relative_hazard: Floats
    stratum: Ints
    group: Ints
    hazard: tuple[tuple[Floats, Floats], ...]
    followed: tuple[tuple[Floats, Floats, float], ...]
    continuous: bool

    @classmethod
    def fit(
        cls,
        X: npt.ArrayLike | None,
        y: SurvivalOutcome,
        *,
        censoring_by: npt.ArrayLike | None = None,
        strata: npt.ArrayLike | None = None,
        ties: Ties = "efron",
        continuous: bool = False,
        coefficients: npt.ArrayLike | None = None,
    ) -> NullModel:
        """Fit the null model, its baseline, and the follow-up of each group.

        Parameters
        ----------
        X : array-like, shape (n_patients, n_features), or None
            Columns of the null model; none for the same hazard for everybody.
        y : structured array, shape (n_patients,)
        censoring_by : array-like, shape (n_patients,), optional
            Group of each patient, such as the arm; one group by default.
        strata : array-like, shape (n_patients,), optional
            Each stratum has its own baseline hazard.
        ties : {"efron", "breslow"}
            Of the coefficients; the baseline is Breslow's.
        continuous : bool
            Draw event times evenly in hazard between the observed event times, so that none are
            tied. False keeps the observed event times, and their ties.
        coefficients : array-like, shape (n_features,), optional
            Log hazard ratios fitted elsewhere, with a penalty say; fitted here by default.

        Returns
        -------
        NullModel

        Raises
        ------
        NotEstimableError
            If there is no event, or the null model has no finite maximum.
        CohortError, OutcomeError
            If an input is malformed.
        """
        from biomarker.survival.batched_cox_careful import null_coefficients
        from biomarker.survival.partial_likelihood import sort_cohort

        outcome = check_survival_outcome(y)
        n = len(outcome)
        table = np.empty((n, 0)) if X is None else feature_table(X)
        same_length(table, outcome)
        _, codes = strata_codes(strata, n)
        _, groups = strata_codes(censoring_by, n)
        if not outcome["event"].any():
            raise NotEstimableError(
                f"y must hold at least one event; got none among {n} patient(s). A null model "
                "needs events to draw from."
            )
        if coefficients is None:
            cohort = sort_cohort(
                table, outcome["event"].copy(), outcome["duration"].copy(), stratum=codes
            )
            fitted = null_coefficients(cohort, ties) / cohort.scale
        else:
            fitted = np.asarray(coefficients, dtype=np.float64)
            if fitted.shape != (table.shape[1],) or not np.isfinite(fitted).all():
                raise CohortError(
                    f"coefficients must be {table.shape[1]} finite number(s); got shape "
                    f"{fitted.shape}."
                )
        relative = np.exp((table - table.mean(axis=0)) @ fitted)
        stratum = np.zeros(n, dtype=np.int64) if codes is None else codes
        group = np.zeros(n, dtype=np.int64) if groups is None else groups
        hazard = tuple(
            _breslow(outcome[stratum == s], relative[stratum == s])
            for s in range(int(stratum.max()) + 1)
        )
        followed = tuple(_follow_up(outcome[group == g]) for g in range(int(group.max()) + 1))
        return cls(fitted, relative, stratum, group, hazard, followed, continuous)

    def draw(self, rng: np.random.Generator, n_replicates: int) -> tuple[Floats, Flags]:
        """Draw outcomes of all patients, many times over.

        Parameters
        ----------
        rng : numpy.random.Generator
            For instance from :func:`biomarker.resampling.spawn`.
        n_replicates : int

        Returns
        -------
        duration : ndarray, shape (n_replicates, n_patients)
            In the unit of the fitted durations.
        event : ndarray of bool, shape (n_replicates, n_patients)
            An event at the censoring time is seen.
        """
        if n_replicates < 1:
            raise CohortError(f"n_replicates must be at least 1; got {n_replicates}.")
        from biomarker.survival.null_outcomes_kernel import steps_of, times_reached

        # Two streams, so that event and censoring times of a patient are independent.
        for_events, for_censoring = rng.spawn(2)
        shape = (n_replicates, len(self.relative_hazard))
        latent = for_events.standard_exponential(shape)
        latent /= self.relative_hazard
        if self.continuous:
            for s, (times, cumulative) in enumerate(self.hazard):
                here = np.flatnonzero(self.stratum == s)
                latent[:, here] = _between_steps(latent[:, here], times, cumulative)
        else:
            steps = steps_of([(times, height, np.inf) for times, height in self.hazard])
            times_reached(latent, steps, self.stratum, right=False)
        limit = for_censoring.random(shape)
        times_reached(limit, steps_of(list(self.followed)), self.group, right=True)
        event = latent <= limit
        return np.minimum(latent, limit), event


def _breslow(y: SurvivalOutcome, relative: Floats) -> tuple[Floats, Floats]:
    """Event times and the cumulative hazard of a patient of relative hazard 1."""
    times, deaths = np.unique(y["duration"][y["event"]], return_counts=True)
    order = np.argsort(y["duration"])
    running = np.concatenate([[0.0], np.cumsum(relative[order][::-1])])
    earlier = np.searchsorted(y["duration"][order], times, side="left")
    return times, np.cumsum(deaths / running[len(y) - earlier])


def _follow_up(y: SurvivalOutcome) -> tuple[Floats, Floats, float]:
    """Observed times, the distribution of censoring there, and the last time."""
    followed = CensoringDistribution.fit(y)
    distribution = 1.0 - followed.survival
    return followed.times, distribution, followed.support


def _between_steps(needed: Floats, times: Floats, cumulative: Floats) -> Floats:
    """When a hazard spread evenly between its steps is reached; infinity where it never is."""
    if len(times) == 0:
        return np.full(needed.shape, np.inf)
    found = np.interp(needed, np.append(0.0, cumulative), np.append(0.0, times))
    return np.where(needed > cumulative[-1], np.inf, found)
