"""Out-of-fold predictions put where their patients are, and judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.resampling import Fold
from biomarker.validation.outer_fold import CUT_LEVELS, FoldOutput
from biomarker.validation.performance import (
    PerformanceEstimate,
    response_performance,
    survival_performance,
)
from biomarker.validation.procedure import Kind

__all__ = ["NestedResult", "assemble"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NestedResult:
    """Out-of-fold predictions of every repeat, how they were made, and how good they are.

    Attributes
    ----------
    kind : str
        "survival" or "response".
    folds : tuple of tuple of (train, test)
        Row numbers per repeat and fold.
    risk : ndarray, shape (n_repeats, n_patients)
        Out-of-fold risk (for a response: its probability). Risks of different folds come from
        different fits and must not be ranked against each other.
    survival : ndarray, shape (n_repeats, n_patients, n_times), or None
    horizon_survival : ndarray, shape (n_repeats, n_patients, n_horizons), or None
    response : ndarray, shape (n_repeats, n_patients), or None
    times, horizons : ndarray
    tau : float or None
    chosen_params : tuple of tuple of dict
        Per repeat and fold.
    inner_scores : tuple of tuple of tuple
        Inner score of each grid entry per repeat and fold; None where not tuned or not estimable.
    risk_group : ndarray of int, shape (n_repeats, n_patients)
        0 low, 1 middle, 2 high, by the cuts of the patient's own training fold.
    risk_cuts : ndarray, shape (n_repeats, n_splits, 2)
        Thirds of the training patients' risks.
    n_fits, n_failed : int
        Calls of ``fit``, and those not estimable.
    performance : tuple of PerformanceEstimate
    n_patients : int
        Distinct patients (groups where given, else rows).
    """

    kind: Kind
    folds: tuple[tuple[Fold, ...], ...] = field(repr=False)
    risk: Floats = field(repr=False)
    survival: Floats | None = field(repr=False)
    horizon_survival: Floats | None = field(repr=False)
    response: Floats | None = field(repr=False)
    times: Floats = field(repr=False)
    horizons: Floats
    tau: float | None
    chosen_params: tuple[tuple[dict[str, Any], ...], ...] = field(repr=False)
    inner_scores: tuple[tuple[tuple[float | None, ...], ...], ...] = field(repr=False)
    risk_group: npt.NDArray[np.intp] = field(repr=False)
    risk_cuts: Floats = field(repr=False)
    n_fits: int
    n_failed: int
    performance: tuple[PerformanceEstimate, ...] = field(repr=False)
    n_patients: int

    def estimate(self, metric: str, horizon: float | None = None) -> PerformanceEstimate:
        """The performance estimate of a metric (at a horizon, where it has several)."""
        found = [
            p
            for p in self.performance
            if p.metric == metric and (horizon is None or p.horizon == horizon)
        ]
        if len(found) != 1:
            known = sorted({p.metric for p in self.performance})
            raise KeyError(
                f"metric and horizon must name one estimate; got {len(found)} for {metric!r}. "
                f"Known metrics: {', '.join(known)}."
            )
        return found[0]


def assemble(
    kind: Kind,
    y: npt.NDArray[Any],
    cells: list[tuple[int, int, Fold]],
    outputs: list[FoldOutput],
    times: Floats,
    horizons: Floats,
    asked: Floats,
    tau: float | None,
    groups: npt.NDArray[Any] | None,
    n_splits: int,
) -> NestedResult:
    """Put the folds' predictions where their patients are, and judge them."""
    n, n_repeats = len(y), cells[-1][0] + 1
    risk = np.full((n_repeats, n), np.nan)
    group = np.zeros((n_repeats, n), dtype=np.intp)
    cuts = np.empty((n_repeats, n_splits, len(CUT_LEVELS)))
    curves = np.full((n_repeats, n, len(asked)), np.nan)
    perturbed = np.full((len(outputs[0].perturbed), n), np.nan)
    for (repeat, number, (_, test)), output in zip(cells, outputs, strict=True):
        risk[repeat, test] = output.risk
        group[repeat, test] = np.searchsorted(output.cuts, output.risk, side="left")
        cuts[repeat, number] = output.cuts
        if repeat == 0:
            perturbed[:, test] = output.perturbed
        if output.survival is not None:
            curves[repeat, test] = output.survival
    per_repeat = [cells[r * n_splits : (r + 1) * n_splits] for r in range(n_repeats)]
    folds = tuple(tuple(fold for _, _, fold in repeat) for repeat in per_repeat)
    survival = horizon_survival = response = None
    if kind == "survival":
        at, mark = np.searchsorted(asked, times), np.searchsorted(asked, horizons)
        survival, horizon_survival = curves[:, :, at], curves[:, :, mark]
        null = _null_curves(y, cells, asked, n_repeats)
        performance = survival_performance(
            y,
            folds,
            risk,
            perturbed,
            survival,
            null[:, :, at],
            times,
            horizon_survival,
            null[:, :, mark],
            horizons,
            float(tau or 0.0),
            groups,
        )
    else:
        response = risk
        performance = response_performance(y, folds, response, perturbed, groups)
    chunk = [outputs[r * n_splits : (r + 1) * n_splits] for r in range(n_repeats)]
    return NestedResult(
        kind=kind,
        folds=folds,
        risk=risk,
        survival=survival,
        horizon_survival=horizon_survival,
        response=response,
        times=times,
        horizons=horizons,
        tau=tau,
        chosen_params=tuple(tuple(o.params for o in part) for part in chunk),
        inner_scores=tuple(tuple(o.scores for o in part) for part in chunk),
        risk_group=group,
        risk_cuts=cuts,
        n_fits=sum(len(o.calls) for o in outputs),
        n_failed=sum(o.n_failed for o in outputs),
        performance=tuple(performance),
        n_patients=n if groups is None else len(np.unique(groups)),
    )


def _null_curves(
    y: npt.NDArray[Any], cells: list[tuple[int, int, Fold]], asked: Floats, n_repeats: int
) -> Floats:
    """Kaplan-Meier of each patient's training fold: the prediction that ignores the patient."""
    from biomarker.survival.curves import kaplan_meier

    curves = np.empty((n_repeats, len(y), len(asked)))
    for repeat, _, (train, test) in cells:
        curves[repeat, test] = kaplan_meier(y[train]).survival_at(asked)
    return curves
