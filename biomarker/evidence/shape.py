"""Curves beside the straight line: does the effect bend, and does a bent effect differ by arm.

Restricted cubic splines, second to the linear tests: recorded, shown, and never a way to a claim.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.evidence.analysis_set import AnalysisSet, independent_columns
from biomarker.evidence.calibration import Nested, bootstrap_likelihood_ratio, calibrated_p
from biomarker.evidence.interaction import interaction_columns, regression_of
from biomarker.evidence.splines import knots_for, spline_columns
from biomarker.resampling import TaskKey

__all__ = ["ShapeTest", "ask_bend", "ask_spline_interaction", "shape_test"]

Floats = npt.NDArray[np.float64]

_DRAWS = 999


@dataclass(frozen=True)
class ShapeTest:
    """A secondary test of a curve.

    Attributes
    ----------
    p : float
        Calibrated by redrawn outcomes.
    p_asymptotic : float
    df : int
        Columns tested.
    n_draws, seed : int
    """

    p: float
    p_asymptotic: float
    df: int
    n_draws: int
    seed: int


def _bent(data: AnalysisSet) -> Floats:
    if not data.graded:
        raise NotEstimableError(f"{data.marker} must be continuous or graded for a curve.")
    bent = spline_columns(data.marker_columns[:, 0], knots_for(data))
    return bent - bent.mean(axis=0)


def ask_spline_interaction(data: AnalysisSet, adjust_arm: bool = False) -> Nested:
    """Fit a curve in the marker with and without its product with the arm.

    Raises
    ------
    NotEstimableError
        If the marker has no order or too few values, or a fit has no maximum.
    """
    curve = np.column_stack([data.marker_columns, _bent(data)])
    null, tested = interaction_columns(data, curve, adjust_arm)
    X = np.column_stack([null, tested])
    return Nested.ask(regression_of(data), X, null.shape[1], data.places, data.n_rows)


def ask_bend(data: AnalysisSet) -> Nested:
    """Fit the association under control as a line and as a curve.

    Raises
    ------
    NotEstimableError
        As :func:`ask_spline_interaction`.
    """
    part = data.control
    if len(part.rows) == 0:
        raise NotEstimableError(f"{data.marker} must be measured under control; got no patient.")
    null = np.column_stack([independent_columns(part.covariates), part.marker_columns])
    X = np.column_stack([null, _bent(part)])
    return Nested.ask(regression_of(part), X, null.shape[1], part.places, part.n_rows)


def shape_test(question: Nested, seed: int, key: TaskKey) -> ShapeTest:
    """Calibrate a secondary test by 999 redrawn outcomes."""
    draws = bootstrap_likelihood_ratio(question, seed, key, 0, _DRAWS)
    p = calibrated_p(question.likelihood_ratio, draws)
    return ShapeTest(p, question.p_asymptotic, question.df, _DRAWS, seed)
