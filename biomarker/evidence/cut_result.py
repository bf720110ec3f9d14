"""How a cut is scanned, and what a chosen cut reports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from biomarker.errors import UsageError
from biomarker.evidence.cut_subgroups import SubgroupEffect

__all__ = ["CutResult", "CutSettings"]

Question = Literal["prognostic", "interaction"]


@dataclass(frozen=True)
class CutSettings:
    """How cuts are scanned; declared beforehand, never chosen by result.

    Attributes
    ----------
    low, high : float
        Quantiles of the marker between which cuts are tried.
    most : int
        Number of cuts at most.
    least_patients : int
        On each side of a cut; in each arm, for an interaction.
    least_events : int
        Likewise; a cut with fewer is passed over, in the data and in every draw.
    n_draws : int
        Outcomes redrawn without effect.
    n_folds : int
        For the out-of-fold effect; 0 leaves it out.
    alpha : float
        Two-sided level.
    """

    low: float = 0.10
    high: float = 0.90
    most: int = 40
    least_patients: int = 10
    least_events: int = 4
    n_draws: int = 999
    n_folds: int = 5
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise UsageError(f"alpha must lie between 0 and 1; got {self.alpha}.")
        if self.n_draws < math.ceil(1.0 / self.alpha):
            raise UsageError(f"n_draws must be at least 1 / alpha; got {self.n_draws}.")
        if self.n_folds < 0 or self.n_folds == 1:
            raise UsageError(f"n_folds must be at least 2, or 0 for none; got {self.n_folds}.")
        if self.least_events < 1:
            raise UsageError(f"least_events must be at least 1; got {self.least_events}.")


@dataclass(frozen=True)
class CutResult:
    """The best cut of a marker, and what is left of it once the choosing is counted.

    Attributes
    ----------
    question : {"prognostic", "interaction"}
    scale : {"hazard ratio", "odds ratio"}
    cut : float
        In the marker's own unit; patients above it are "high".
    cut_low, cut_high : float
        95% interval of a threshold; NaN where not identified.
    identified : bool
        Whether the data place a threshold: the corrected p is below alpha, a step fits better than
        a smooth trend, and the interval leaves out at least a fifth of the cuts.
    note : str
        Why a threshold is not identified, or where its interval meets the edge of the scan.
    scanned_low, scanned_high : float
        Lowest and highest cut tried.
    n_cuts, n_patients, n_events : int
        Of the patients scanned: controls, or the only arm; both arms for an interaction.
    p_minimal : float
        Of the best cut as if it had been the only one: for the record, never to be quoted alone.
    p_corrected : float
        Of the best of all cuts, by redrawing outcomes.
    p_beyond_trend : float
        Of a step over a smooth trend; NaN where the corrected p already fails.
    n_draws, seed : int
    ratio, ratio_low, ratio_high : float
        High against low at the chosen cut; for an interaction the treatment's effect above over
        that below. The estimate is not corrected, its interval is: it excludes 1 exactly when
        ``p_corrected`` is below alpha.
    ratio_shrunken : float
        Towards 1 by what choosing gains without any effect.
    out_of_fold, out_of_fold_low, out_of_fold_high : float
        The same ratio with each patient's group chosen without that patient's fold; NaN where not
        asked for, or where a fold or the fit fails.
    subgroups : tuple of SubgroupEffect
        Treatment's effect below and above; empty for prognosis.
    """

    question: Question
    marker: str
    endpoint: str
    scale: str
    cut: float
    cut_low: float
    cut_high: float
    identified: bool
    note: str
    scanned_low: float
    scanned_high: float
    n_cuts: int
    n_patients: int
    n_events: int
    p_minimal: float
    p_corrected: float
    p_beyond_trend: float
    n_draws: int
    seed: int
    ratio: float
    ratio_low: float
    ratio_high: float
    ratio_shrunken: float
    out_of_fold: float
    out_of_fold_low: float
    out_of_fold_high: float
    subgroups: tuple[SubgroupEffect, ...] = ()
