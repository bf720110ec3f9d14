"""Refits of any model of the zoo that was given the arm: how large its predictive parts come out.

The same two questions as for regressions (:mod:`biomarker.explain.benefit_refits`), at the cost of
one whole fit a refit. Trees find some interaction in any data, so that without a null band beside
them their predictive parts mean nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import BiomarkerError
from biomarker.evidence.analysis_set import independent_columns
from biomarker.evidence.regressions import HazardRegression, OddsRegression, Regression
from biomarker.explain.benefit_refits import Refits
from biomarker.explain.benefit_shares import BenefitShares, zoo_benefit
from biomarker.resampling import spawn

__all__ = ["zoo_null_refits", "zoo_patient_refits"]

Floats = npt.NDArray[np.float64]


def zoo_null_refits(
    fitted: Any, X: npt.ArrayLike, y: npt.NDArray[Any], arm: str, n_refits: int, seed: int
) -> Refits:
    """Refit a model to outcomes redrawn from a regression in which no column acts through the arm.

    The redrawing model is a Cox (or logistic) regression on the model's own encoded features, arm
    among them, each linear: what the booster would see if treatment had one ratio for everybody.

    Assumes that the features' effects are near enough to linear for the noise of a refit to be
    right; curved prognosis that the regression lacks is lacking in the redrawn outcomes too. The
    band answers whether *any* column acts through the arm: where one does, trees split on the arm
    more often, and columns below such splits may leave their bands without acting themselves.

    Parameters
    ----------
    fitted : EncodedModel
    X : array-like of float, shape (n_patients, n_columns)
        Parsed values the model was fitted on, NaN where missing.
    y : ndarray, shape (n_patients,)
        Survival records or booleans.
    arm : str
        Name of the arm column: 0 control, 1 treated.
    n_refits, seed : int

    Returns
    -------
    Refits
        Of the sources of :func:`biomarker.explain.benefit_shares.zoo_benefit`.

    Raises
    ------
    NotEstimableError
        If the regression has no finite maximum.
    UsageError
        If the model has no feature of the arm.

    Notes
    -----
    Cost: n_refits whole fits and attributions, one after another.

    Examples
    --------
    >>> from biomarker.features.frozen_column import ColumnPlan
    >>> from biomarker.models import BoostedResponse
    >>> from biomarker.models.pipeline import EncodedModel
    >>> from biomarker.parsing import ParseRule
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.normal(size=120), np.arange(120) % 2])
    >>> plans = (ColumnPlan(ParseRule("vegf", "continuous")),
    ...          ColumnPlan(ParseRule("arm", "arm", levels=("0", "1"), control=("0",))))
    >>> y = rng.random(120) < 0.5
    >>> model = EncodedModel(plans, BoostedResponse(n_estimators=10)).fit(X, y)
    >>> zoo_null_refits(model, X, y, "arm", 3, seed=0).predictive.shape
    (3, 1)
    """
    rows = np.asarray(X, dtype=np.float64)
    treated = _treated(fitted, rows, arm)
    columns = independent_columns(fitted.encode(rows))
    survival = y.dtype.names is not None
    regression: Regression = (
        HazardRegression(y, None, treated) if survival else OddsRegression(np.asarray(y, np.bool_))
    )
    null = regression.fit(columns)
    sampler = regression.sampler(columns, null, np.arange(len(y)), len(y))
    outcomes = sampler.draw(spawn(seed, "zoo benefit null"), n_refits)
    found = []
    for b in range(n_refits):
        redrawn = _outcome(outcomes, b)
        found.append(_refit(fitted, rows, redrawn, rows, arm))
    return _judged(zoo_benefit(fitted, rows, arm), found)


def zoo_patient_refits(
    fitted: Any, X: npt.ArrayLike, y: npt.NDArray[Any], arm: str, n_refits: int, seed: int
) -> Refits:
    """Refit a model to patients resampled within arm; parameters as :func:`zoo_null_refits`."""
    from biomarker.survival.batched_cox import resample_counts

    rows = np.asarray(X, dtype=np.float64)
    counts = resample_counts(
        spawn(seed, "zoo benefit resamples"), n_refits, len(rows), _treated(fitted, rows, arm)
    )
    found = []
    for count in counts:
        drawn = np.repeat(np.arange(len(rows)), count)
        found.append(_refit(fitted, rows[drawn], y[drawn], rows, arm))
    return _judged(zoo_benefit(fitted, rows, arm), found)


def _treated(fitted: Any, rows: Floats, arm: str) -> Floats:
    """Arm of each patient."""
    return rows[:, [plan.rule.column for plan in fitted.plans].index(arm)]


def _outcome(outcomes: Any, b: int) -> npt.NDArray[Any]:
    """One redrawn outcome of all patients."""
    from biomarker.outcomes import survival_outcome

    if isinstance(outcomes, tuple):
        return survival_outcome(outcomes[1][b], outcomes[0][b])
    return np.asarray(outcomes[b])


def _refit(
    fitted: Any, X: Floats, y: npt.NDArray[Any], judged: Floats, arm: str
) -> BenefitShares | None:
    """Parts by a fresh copy of the model, None where it says that it cannot be fitted."""
    from sklearn.base import clone

    try:
        return zoo_benefit(clone(fitted).fit(X, y), judged, arm)
    except BiomarkerError:
        return None


def _judged(own: BenefitShares, refits: list[BenefitShares | None]) -> Refits:
    """Sizes and changes of the parts, infinite where a refit failed or lost a column."""
    k = len(own.sources)
    found = np.full((4, len(refits), k), np.inf)
    for b, one in enumerate(refits):
        if one is None or one.sources != own.sources:
            continue
        pairs = ((one.prognostic, own.prognostic), (one.predictive, own.predictive))
        for i, (many, before) in enumerate(pairs):
            found[i, b] = np.abs(many).mean(axis=0)
            found[2 + i, b] = np.abs(many - before).mean(axis=0)
    n_failed = int(np.isinf(found[0, :, 0]).sum()) if k else 0
    return Refits(found[0], found[1], found[2], found[3], n_failed)
