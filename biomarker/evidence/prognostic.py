"""Whether a marker goes with the outcome under control, whatever treatment would do."""

from __future__ import annotations

import numpy as np

from biomarker.errors import NotEstimableError
from biomarker.evidence.analysis_set import AnalysisSet, independent_columns
from biomarker.evidence.calibration import Nested, draw_until_clear
from biomarker.evidence.interaction import RatioTest, ratio_from_draws, regression_of

__all__ = ["ask_association", "association_test"]


def ask_association(data: AnalysisSet) -> Nested:
    """Fit covariates with and without the marker, in the control arm (or the only arm).

    Raises
    ------
    NotEstimableError
        If the marker does not vary there, or a fit has no finite maximum.
    """
    part = data.control
    if len(part.rows) == 0:
        raise NotEstimableError(f"{data.marker} must be measured under control; got no patient.")
    covariates = independent_columns(part.covariates)
    marker = part.marker_columns
    if np.any(np.ptp(marker, axis=0) == 0):
        raise NotEstimableError(
            f"{data.marker} must vary under control; got a level that no control patient has."
        )
    X = np.column_stack([covariates, marker])
    return Nested.ask(regression_of(part), X, covariates.shape[1], part.places, part.n_rows)


def association_test(data: AnalysisSet, seed: int = 0, alpha: float = 0.05) -> RatioTest:
    """Test association with the outcome in the control arm, adjusted for declared covariates.

    The same calibrated likelihood ratio as :func:`biomarker.evidence.interaction.interaction_test`,
    over control patients alone: treated patients cannot tell prognosis from response to treatment.

    Parameters
    ----------
    data : AnalysisSet
        Both arms, or one.
    seed : int
    alpha : float

    Returns
    -------
    RatioTest
        Hazard ratio (higher = worse) or odds ratio of response (higher = better) per contrast unit.

    Raises
    ------
    NotEstimableError
        If there is nothing to compare, or no finite maximum.
    """
    question = ask_association(data)
    draws = draw_until_clear([question], seed, ("association", data.outcome.name), alpha)
    return ratio_from_draws(question, draws[:, 0], seed, alpha)
