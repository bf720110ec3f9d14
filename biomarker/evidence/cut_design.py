"""Candidate cuts of a marker, and the score statistic of each one for any outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.analysis_set import AnalysisSet, independent_columns
from biomarker.evidence.log_odds import fit_log_odds
from biomarker.evidence.regressions import HazardRegression, OddsRegression, Regression
from biomarker.resampling import TaskKey, spawn

__all__ = ["RUNAWAY", "CutDesign", "candidate_cuts", "independent_columns"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Question = Literal["prognostic", "interaction"]

RUNAWAY = 1e3  # the statistic of a draw whose null fit did not settle: beyond any real one
_CELLS = 3_000_000  # redrawn outcomes held at a time


def candidate_cuts(
    values: Floats,
    groups: Ints,
    low: float,
    high: float,
    most: int,
    least_patients: int,
) -> Floats:
    """Observed values that may split the patients: above it, and at or below.

    Evenly spaced in rank between two quantiles; each side keeps ``least_patients`` of every group.
    They depend on the marker and the arm alone, never on the outcome.

    Parameters
    ----------
    values : ndarray, shape (n_patients,)
        In the marker's own unit.
    groups : ndarray of int, shape (n_patients,)
        Arm, or zeros.
    low, high : float
        Quantiles, 0 < low < high < 1.
    most : int
        Number of cuts at most.
    least_patients : int

    Returns
    -------
    ndarray
        Ascending and distinct; may be empty.

    Examples
    --------
    >>> candidate_cuts(np.arange(10.0), np.zeros(10, dtype=int), 0.2, 0.8, 3, 2).tolist()
    [1.0, 4.0, 7.0]
    """
    if not 0.0 < low < high < 1.0:
        raise UsageError(f"low and high must satisfy 0 < low < high < 1; got {low} and {high}.")
    if most < 1 or least_patients < 1:
        raise UsageError(
            f"most and least_patients must be at least 1; got {most} and {least_patients}."
        )
    ordered = np.sort(values)
    n = len(values)
    first, last = max(1, round(low * n)), min(n - 1, round(high * n))
    # A cut after rank k puts the k smallest at or below it.
    ranks = np.unique(np.linspace(first, last, most).round().astype(int))
    cuts = np.unique(ordered[ranks - 1]) if last >= first else np.empty(0)
    for group in np.unique(groups):
        here = np.sort(values[groups == group])
        below = np.searchsorted(here, cuts, side="right")
        enough = (below >= least_patients) & (len(here) - below >= least_patients)
        cuts = cuts[enough]
    return cuts


@dataclass(frozen=True, eq=False)
class CutDesign:
    """One scan: the regression, what the null model holds, and where each patient falls.

    Attributes
    ----------
    question : {"prognostic", "interaction"}
    data : AnalysisSet
        The patients scanned: controls (or the only arm), or both arms.
    regression : Regression
    null : ndarray, shape (n_patients, n_null)
        The null model's columns, intercepts left out.
    values : ndarray, shape (n_patients,)
        The marker in its own unit.
    cuts : ndarray, shape (n_cuts,)
    least_events : int
        A cut is looked at only where each group it makes (by arm, for an interaction) has as many.
    """

    question: Question
    data: AnalysisSet
    regression: Regression
    null: Floats
    values: Floats
    cuts: Floats
    least_events: int

    @property
    def high(self) -> Bools:
        """Who exceeds each cut, shape (n_patients, n_cuts)."""
        return self.values[:, None] > self.cuts[None, :]

    @property
    def treated(self) -> Bools:
        """Who is treated; nobody where there is one arm."""
        arm = self.data.arm
        return np.zeros(len(self.values), dtype=np.bool_) if arm is None else arm > 0.5

    def where(self, keep: Bools) -> CutDesign:
        """The same scan of some of the patients."""
        return replace(
            self,
            data=self.data.where(keep),
            regression=self.regression.where(keep),
            null=independent_columns(self.null[keep]),
            values=self.values[keep],
        )

    def beside(self, columns: Floats) -> CutDesign:
        """The same scan with more in the null model."""
        return replace(self, null=independent_columns(np.column_stack([self.null, columns])))

    def columns_at(self, cut: float) -> Floats:
        """Columns beside the null model's: above the cut, and for an interaction its product."""
        above = (self.values > cut).astype(np.float64)
        if self.question == "prognostic":
            return above[:, None]
        return np.column_stack([above, above * self.treated])

    @property
    def observed(self) -> Any:
        """The data's own outcomes as a set of one."""
        if isinstance(self.regression, HazardRegression):
            y = self.regression.y
            return y["duration"][None, :].copy(), y["event"][None, :].copy()
        assert isinstance(self.regression, OddsRegression)
        return self.regression.y[None, :]

    def redrawn(
        self, n_draws: int, seed: int, key: TaskKey, effect: Floats | None = None
    ) -> Floats:
        """Statistics of redrawn outcomes, shape (n_draws, n_cuts).

        Parameters
        ----------
        n_draws, seed, key
            The same give the same draws.
        effect : ndarray, shape (n_patients, n_columns), optional
            Columns whose fitted effect the outcomes have, beside the null model's; none by default.
        """
        share = max(1, _CELLS // max(1, self.data.n_rows))
        source = self.source(effect)
        found = []
        for begin in range(0, n_draws, share):
            rng = spawn(seed, "cut scan", key, begin)
            found.append(self.statistics(source(rng, min(share, n_draws - begin))))
        return np.concatenate(found)

    def source(self, effect: Floats | None = None) -> Callable[[np.random.Generator, int], Any]:
        """Where outcomes come from.

        Without columns in the null model outcomes are dealt out anew among the patients of each
        stratum, which is exact in any sample. Otherwise they are drawn from the fitted model.
        """
        X = self.null if effect is None else np.column_stack([self.null, effect])
        if not X.shape[1]:
            return self._dealt
        fit = self.regression.fit(X)
        return self.regression.sampler(X, fit, self.data.places, self.data.n_rows).draw

    def _dealt(self, rng: np.random.Generator, size: int) -> Any:
        """Outcomes permuted among the patients of each stratum, whatever the order of rows."""
        n = len(self.values)
        order = np.tile(np.arange(n), (size, 1))
        by_place = np.argsort(self.data.places)
        codes = np.zeros(n) if self.data.strata is None else self.data.strata
        for code in np.unique(codes):
            members = by_place[codes[by_place] == code]
            drawn = rng.permuted(np.tile(np.arange(len(members)), (size, 1)), axis=1)
            order[:, members] = members[drawn]
        if isinstance(self.regression, HazardRegression):
            y = self.regression.y
            return y["duration"][order], y["event"][order]
        return self.observed[0][order]

    def statistics(self, outcomes: Any) -> Floats:
        """Signed score statistics, standard normal at each single cut under the null.

        Parameters
        ----------
        outcomes : (durations, events) or responses
            Each of shape (n_replicates, n_patients).

        Returns
        -------
        ndarray, shape (n_replicates, n_cuts)
            Above 0: higher hazard (odds of response) above the cut, or where treated above it than
            the effect below foretells. 0 where a group has too few events; ``RUNAWAY`` where the
            null fit has no finite maximum.
        """
        from biomarker.survival.cut_scan_kernel import Cuts, scan_hazards, scan_odds

        bins = np.searchsorted(self.cuts, self.values, side="left").astype(np.int64)
        groups = 1 if self.question == "prognostic" else 2
        if isinstance(self.regression, HazardRegression):
            duration, event = (np.ascontiguousarray(part) for part in outcomes)
            table = np.ascontiguousarray(self.null)
            cuts = Cuts(table, bins, self.treated, len(self.cuts), groups, self.least_events)
            risk, settled = self._risks(duration, event)
            stratum = self.regression.strata
            order = np.argsort(-duration, axis=1, kind="stable")
            if stratum is None:
                stratum = np.zeros(len(bins), dtype=np.int64)
            else:
                by = np.argsort(stratum[order], axis=1, kind="stable")
                order = np.take_along_axis(order, by, axis=1)
            found = np.empty((len(duration), len(self.cuts)))
            scan_hazards(cuts, order, duration, event, stratum, risk, found)
        else:
            assert isinstance(self.regression, OddsRegression)
            table = np.column_stack([_intercepts(self.regression), self.null])
            cuts = Cuts(table, bins, self.treated, len(self.cuts), groups, self.least_events)
            response = np.ascontiguousarray(outcomes)
            fits = fit_log_odds(table, response)
            settled = fits.converged
            coef = np.where(settled[:, None], fits.coefficients, 0.0)
            found = np.empty((len(response), len(self.cuts)))
            scan_odds(cuts, response, 1.0 / (1.0 + np.exp(-coef @ table.T)), found)
        found[~settled] = RUNAWAY
        return found

    @cached_property
    def _start(self) -> Floats | None:
        """Where the null fits of many outcomes start: the data's own, where there is one."""
        try:
            return self.regression.fit(self.null).coefficients
        except NotEstimableError:
            return None

    def _risks(self, duration: Floats, event: Bools) -> tuple[Floats, Bools]:
        """Relative hazards at each replicate's null fit, and whether it has one."""
        from biomarker.survival.batched_cox import fit_batch_outcomes

        assert isinstance(self.regression, HazardRegression)
        if self.null.shape[1] == 0:
            return np.ones(duration.shape), np.ones(len(duration), dtype=np.bool_)
        start = self._start if len(duration) > 1 else None
        fits = fit_batch_outcomes(
            self.null, duration, event, strata=self.regression.strata, start=start
        )
        coef = np.where(fits.converged[:, None], fits.coefficients, 0.0)
        return np.exp(coef @ self.null.T), fits.converged

    def scan(self) -> Floats:
        """Statistics of the data, shape (n_cuts,).

        Raises
        ------
        NotEstimableError
            If the null model has no finite maximum, or no cut has events enough.
        """
        found: Floats = self.statistics(self.observed)[0]
        if np.any(found == RUNAWAY):
            raise NotEstimableError(
                "the null model must have a finite maximum; it has none. Drop or merge covariates."
            )
        if not np.any(found):
            raise NotEstimableError(
                f"{self.data.marker} must leave at least {self.least_events} event(s) on each side "
                f"of a cut{'' if self.question == 'prognostic' else ', in each arm'}; got "
                f"{int(self.data.event.sum())} event(s) among {len(self.values)} patients."
            )
        return found

    def carried(self, trend: Floats | None = None) -> Floats:
        """How an effect shows at every cut: expected statistics, from information at the null fit.

        Parameters
        ----------
        trend : ndarray, shape (n_patients,), optional
            A smooth effect on the log ratio; steps at the cuts by default.

        Returns
        -------
        ndarray, shape (n_cuts, n_cuts) or (n_cuts, 1)
            Entry (c, k) is the mean of cut c's statistic when an effect of one sits at cut k, or
            when the trend holds.
        """
        q, m = self.null.shape[1], len(self.cuts)
        above = self.high.astype(np.float64)
        steps = [above]
        if self.question == "interaction":
            steps.append(above * self.treated[:, None])
        extra = np.empty((len(above), 0)) if trend is None else trend[:, None]
        info = self._information(np.column_stack([self.null, *steps, extra]))
        last = len(info) - extra.shape[1]
        q = last - m * len(steps)
        shown = slice(last, None) if extra.shape[1] else slice(last - m, last)
        found = np.zeros((m, info[:, shown].shape[1]))
        for c in range(m):
            kept = [*range(q), q + c] if self.question == "interaction" else list(range(q))
            tested = last - m + c
            part = np.linalg.pinv(info[np.ix_(kept, kept)], hermitian=True) @ info[kept]
            left = info[tested] - info[tested, kept] @ part
            if left[tested] > 1e-9 * max(info[tested, tested], 1e-300):
                found[c] = left[shown] / np.sqrt(left[tested])
        return found

    def _information(self, table: Floats) -> Floats:
        """Information of the columns at the null fit; an odds regression's intercepts first."""
        if isinstance(self.regression, HazardRegression):
            from biomarker.survival.partial_likelihood import PartialLikelihood, sort_cohort

            y = self.regression.y
            cohort = sort_cohort(
                table, y["event"].copy(), y["duration"].copy(), stratum=self.regression.strata
            )
            likelihood = PartialLikelihood(cohort)
            coef = np.zeros(table.shape[1])
            q = self.null.shape[1]
            if q:
                coef[:q] = self.regression.fit(self.null).coefficients * cohort.scale[:q]
            likelihood.evaluate(coef)
            return likelihood.information() * np.outer(cohort.scale, cohort.scale)
        assert isinstance(self.regression, OddsRegression)
        first = _intercepts(self.regression)
        design = np.column_stack([first, self.null])
        coef = fit_log_odds(design, self.regression.y[None, :]).coefficients[0]
        chance = 1.0 / (1.0 + np.exp(-design @ coef))
        whole = np.column_stack([first, table])
        information: Floats = whole.T @ (whole * (chance * (1.0 - chance))[:, None])
        return information


def _intercepts(regression: OddsRegression) -> Floats:
    """One column of ones, or one for each stratum."""
    if regression.strata is None:
        return np.ones((len(regression.y), 1))
    return (regression.strata[:, None] == np.unique(regression.strata)).astype(np.float64)
