r"""Treatment-by-marker regressions whose two parts have a closed form, fitted many times over.

.. math:: f(x, a) = z^\top\gamma + m^\top\beta + a\,(\tau + m^\top\delta)

A marker's prognostic part is :math:`\beta_j (m_j - \bar m_j)`, its predictive part
:math:`\mp\delta_j (m_j - \bar m_j)`; covariates z have a prognostic part only. Refits answer two
questions: how far would the parts move with other patients (bootstrap), and how large do predictive
parts come out where no marker changes the effect of treatment (redrawn outcomes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.evidence.benefit_models import BenefitData
from biomarker.evidence.regressions import HazardRegression, OddsRegression, Regression
from biomarker.explain.benefit_shares import LINEAR_TOLERANCE, BenefitShares
from biomarker.resampling import spawn

__all__ = ["BenefitDesign", "Refits", "null_refits", "patient_refits"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CELLS = 2_000_000  # redrawn outcomes held at a time


@dataclass(frozen=True, eq=False)
class Refits:
    """Importances in many refits; columns as in the design.

    Attributes
    ----------
    prognostic, predictive : ndarray, shape (n_refits, n_sources)
        Mean absolute part over the design's patients; infinite where a refit has no finite maximum.
    prognostic_moved, predictive_moved : ndarray, shape (n_refits, n_sources)
        Mean absolute change of the part against the fit to the data; infinite likewise.
    n_failed : int
        Refits without a finite maximum.
    """

    prognostic: Floats
    predictive: Floats
    prognostic_moved: Floats
    predictive_moved: Floats
    n_failed: int

    @property
    def share(self) -> Floats:
        """Predictive importance over the sum of both; infinite where there is no finite fit."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = self.predictive / (self.predictive + self.prognostic)
        # A column that nothing moves has no parts to compare; a failed refit has no ratio.
        found = np.where(self.predictive + self.prognostic == 0.0, 0.0, found)
        return np.where(np.isinf(self.predictive), np.inf, found)


@dataclass(frozen=True, eq=False)
class BenefitDesign:
    """Patients of a comparison, and which column of the file each feature came from.

    Attributes
    ----------
    data : BenefitData
        Covariates, markers, arm, outcome; strata of a response are covariates here.
    covariate_sources, marker_sources : tuple of str
        One a feature.
    """

    data: BenefitData
    covariate_sources: tuple[str, ...]
    marker_sources: tuple[str, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns, markers first."""
        return tuple(dict.fromkeys((*self.marker_sources, *self.covariate_sources)))

    @property
    def is_survival(self) -> bool:
        """Whether the outcome is a time, not a response."""
        return self.data.y.dtype.names is not None

    @property
    def sign(self) -> int:
        """Benefit is this times treated less control."""
        return -1 if self.is_survival else 1

    @property
    def regression(self) -> Regression:
        """Cox, censored by arm where outcomes are redrawn, or logistic."""
        data = self.data
        if self.is_survival:
            return HazardRegression(data.y, data.strata, data.treated.astype(np.float64))
        return OddsRegression(data.y, data.strata)

    def fit(self) -> Floats:
        """Coefficients of intercept (0 for hazards), then of ``data.columns``.

        Raises
        ------
        NotEstimableError
            With dependent columns, or where a coefficient has no finite value.
        """
        found = self.regression.fit(self.data.columns).coefficients
        if self.is_survival:
            return np.concatenate([[0.0], found])
        # The same maximum, with its intercept.
        once = np.ones((1, self.data.n_patients), dtype=np.uint16)
        return _resampled(self, once, 1)[0]

    def effects(self, coefficients: Floats) -> tuple[Floats, Floats]:
        """Prognostic and predictive coefficients of every feature, markers first.

        ``coefficients`` has shape (..., 1 + n_columns), the results (..., n_features); predictive
        ones carry the benefit's sign and are 0 for covariates.
        """
        q, m = len(self.covariate_sources), len(self.marker_sources)
        covariate = coefficients[..., 1 : 1 + q]
        marker, inter = coefficients[..., 2 + q : 2 + q + m], coefficients[..., 2 + q + m :]
        prognostic = np.concatenate([marker, covariate], axis=-1)
        predictive = np.concatenate([self.sign * inter, np.zeros_like(covariate)], axis=-1)
        return prognostic, predictive

    @property
    def centred(self) -> Floats:
        """Every feature's distance from its mean, markers first."""
        features = np.column_stack([self.data.markers, self.data.covariates])
        return features - features.mean(axis=0)

    @property
    def members(self) -> list[Ints]:
        """Features of each source, counted markers first."""
        names = np.array((*self.marker_sources, *self.covariate_sources))
        return [np.flatnonzero(np.equal(names, source)) for source in self.sources]

    def shares(self, coefficients: Floats) -> BenefitShares:
        """Both parts for every patient; raises AdditivityError past 1e-9."""
        data, sign = self.data, self.sign
        prognostic, predictive = self.effects(coefficients)
        centred, members = self.centred, self.members
        mean_if = [data.columns_if(side).mean(axis=0) for side in (0.0, 1.0)]
        base = [float(coefficients[0] + mean @ coefficients[1:]) for mean in mean_if]
        margin = [coefficients[0] + data.columns_if(a) @ coefficients[1:] for a in (0.0, 1.0)]
        return BenefitShares(
            sources=self.sources,
            prognostic=np.column_stack([centred[:, k] @ prognostic[k] for k in members]),
            predictive=np.column_stack([centred[:, k] @ predictive[k] for k in members]),
            base_control=base[0],
            base_benefit=sign * (base[1] - base[0]),
            control=margin[0],
            treated=margin[1],
            benefit=sign * (margin[1] - margin[0]),
            sign=sign,
            scale="log hazard" if self.is_survival else "log odds",
            direction="higher = worse" if self.is_survival else "higher = more likely to respond",
            method=(
                f"{'Cox' if self.is_survival else 'logistic'} regression on covariates, arm, "
                "markers and arm x markers; each part is its coefficient times the distance from "
                "the mean"
            ),
        ).checked(LINEAR_TOLERANCE * max(1.0, float(np.max(np.abs(margin)))))

    def judged(self, refits: Floats, coefficients: Floats) -> Refits:
        """Importances of refitted coefficients, shape (n_refits, 1 + n_columns), NaN = failed."""
        failed = np.asarray(np.isnan(refits).any(axis=1))
        kept = np.where(failed[:, None], 0.0, refits)
        size: list[list[Floats]] = [[], [], [], []]
        centred = self.centred
        pairs = zip(self.effects(kept), self.effects(coefficients), strict=True)
        for place, (many, one) in enumerate(pairs):
            for k in self.members:
                size[place].append(_mean_absolute(many[:, k], centred[:, k]))
                size[2 + place].append(_mean_absolute(many[:, k] - one[k], centred[:, k]))
        found = [np.column_stack(columns) for columns in size]
        for table in found:
            table[failed] = np.inf
        return Refits(found[0], found[1], found[2], found[3], int(failed.sum()))


def null_refits(
    design: BenefitDesign, coefficients: Floats, n_refits: int, seed: int, threads: int = 1
) -> Refits:
    """Refit to outcomes redrawn from the fitted model without interaction.

    Parameters
    ----------
    design : BenefitDesign
    coefficients : ndarray, shape (1 + n_columns,)
        Of the fit to the data.
    n_refits : int
    seed, threads : int
        Results do not depend on ``threads``.

    Returns
    -------
    Refits

    Raises
    ------
    NotEstimableError
        If the model without interaction has no finite maximum.

    Notes
    -----
    Events are redrawn from Breslow's baseline hazard, censoring from each arm's own reverse
    Kaplan-Meier curve; responses from the fitted chances.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> arm, marker = np.arange(100) % 2, rng.normal(size=(100, 1))
    >>> data = BenefitData(np.empty((100, 0)), marker, arm == 1, rng.random(100) < 0.5,
    ...                    "restricted_mean", float("nan"))
    >>> design = BenefitDesign(data, (), ("vegf",))
    >>> null_refits(design, design.fit(), 50, seed=0).predictive.shape
    (50, 1)
    """
    # Not by permuting the arm: that takes the treatment's own effect, and with it what the arms'
    # events and follow-up differ by, out of the data too, so that refits scatter less than under
    # "treatment helps everybody alike" and the band comes out too narrow.
    data, regression = design.data, design.regression
    null, n = data.null_columns, data.n_patients
    fitted = regression.null_fit(data.columns, null.shape[1])
    sampler = regression.sampler(null, fitted, np.arange(n), n)
    step = max(1, min(n_refits, _CELLS // n))
    found = []
    for begin in range(0, n_refits, step):
        rng = spawn(seed, "benefit attribution null", begin)
        outcomes = sampler.draw(rng, min(step, n_refits - begin))
        found.append(_redrawn(design, outcomes, fitted.coefficients, threads))
    return design.judged(np.vstack(found), coefficients)


def patient_refits(
    design: BenefitDesign, coefficients: Floats, n_refits: int, seed: int, threads: int = 1
) -> Refits:
    """Refit to resamples of the patients, drawn within arm; parameters as :func:`null_refits`."""
    from biomarker.survival.batched_cox import resample_counts

    n = design.data.n_patients
    rng = spawn(seed, "benefit attribution resamples")
    counts = resample_counts(rng, n_refits, n, design.data.treated)
    return design.judged(_resampled(design, counts, threads), coefficients)


def _mean_absolute(coefficients: Floats, centred: Floats) -> Floats:
    """Mean over patients of the absolute part of one source, for each refit."""
    if centred.shape[1] == 1:
        return np.asarray(np.abs(coefficients[:, 0]) * np.abs(centred[:, 0]).mean())
    return np.array([np.abs(centred @ one).mean() for one in coefficients])


def _redrawn(design: BenefitDesign, outcomes: Any, null: Floats, threads: int) -> Floats:
    """Coefficients on redrawn outcomes, NaN where there is no finite maximum."""
    data = design.data
    columns = data.columns
    if design.is_survival:
        from biomarker.survival.batched_cox import fit_batch_outcomes

        start = np.concatenate([null, np.zeros(columns.shape[1] - len(null))])
        fits = fit_batch_outcomes(
            columns, *outcomes, strata=data.strata, start=start, threads=threads
        )
        return np.column_stack([np.zeros(len(fits.coefficients)), fits.coefficients])
    from biomarker.evidence.log_odds import fit_log_odds

    found = fit_log_odds(np.column_stack([np.ones(data.n_patients), columns]), outcomes)
    return np.where(found.converged[:, None], found.coefficients, np.nan)


def _resampled(design: BenefitDesign, counts: npt.NDArray[np.uint16], threads: int) -> Floats:
    """Coefficients on resampled patients, NaN where there is no finite maximum."""
    data = design.data
    if design.is_survival:
        from biomarker.survival.batched_cox import fit_batch

        fits = fit_batch(data.columns, data.y, counts, strata=data.strata, threads=threads)
        return np.column_stack([np.zeros(len(counts)), fits.coefficients])
    from biomarker.evidence.log_odds import fit_log_odds

    rows = np.column_stack([np.ones(data.n_patients), data.columns])
    found = np.full((len(counts), rows.shape[1]), np.nan)
    for b, count in enumerate(counts):
        fit = fit_log_odds(rows, data.y[None, :], weight=count.astype(np.float64))
        if fit.converged[0]:
            found[b] = fit.coefficients[0]
    if len(counts) == 1 and np.isnan(found).any():
        raise NotEstimableError("responses must leave some overlap; got separation.")
    return found
