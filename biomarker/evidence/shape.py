"""Curves beside the straight line: does the effect bend, and does a bent effect differ by arm.

Restricted cubic splines, second to the linear tests: recorded, shown, and never a way to a claim.
One of them can only take a claim away: the interaction asked again beside a curved own effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.evidence.analysis_set import AnalysisSet, independent_columns
from biomarker.evidence.calibration import Nested, bootstrap_likelihood_ratio, calibrated_p
from biomarker.evidence.interaction import interaction_columns, regression_of
from biomarker.resampling import TaskKey

__all__ = [
    "ShapeTest",
    "ask_bend",
    "ask_interaction_beside_curve",
    "ask_spline_interaction",
    "shape_test",
    "spline_columns",
]

Floats = npt.NDArray[np.float64]

_DRAWS = 999
_MANY_EVENTS = 60
_FEW_VALUES = 5  # up to here a level each says more than a curve
_KNOTS = {3: (0.10, 0.50, 0.90), 4: (0.05, 0.35, 0.65, 0.95)}


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


def spline_columns(marker: Floats, n_knots: int) -> Floats:
    r"""Bent columns of a restricted cubic spline, linear beyond its outer knots.

    .. math:: s_j(x) = \frac{(x - t_j)_+^3 - (x - t_{k-1})_+^3 \frac{t_k - t_j}{t_k - t_{k-1}}
              + (x - t_k)_+^3 \frac{t_{k-1} - t_j}{t_k - t_{k-1}}}{(t_k - t_1)^2}

    Parameters
    ----------
    marker : ndarray, shape (n_patients,)
    n_knots : {3, 4}
        At the 10th, 50th and 90th, or the 5th, 35th, 65th and 95th percentile.

    Returns
    -------
    ndarray, shape (n_patients, n_knots - 2)
        The line itself is left out.

    Raises
    ------
    NotEstimableError
        If knots coincide: the marker takes too few values for a curve.

    References
    ----------
    Harrell (2015), Regression Modeling Strategies, section 2.4.5.

    Examples
    --------
    >>> spline_columns(np.arange(11.0), 3)[:, 0].round(3).tolist()[:4]
    [0.0, 0.0, 0.016, 0.125]
    """
    return _spline(marker, _knots(marker, n_knots))


def _knots(values: Floats, n_knots: int) -> Floats:
    return np.asarray(np.quantile(values, _KNOTS[n_knots]), dtype=np.float64)


def _spline(marker: Floats, t: Floats) -> Floats:
    """The bent columns at given knots."""
    if np.any(np.diff(t) <= 1e-9 * max(1.0, float(np.ptp(marker)))):
        raise NotEstimableError("marker must take enough values for a curve; got knots that meet.")

    def cubed(knot: float) -> Floats:
        return np.asarray(np.maximum(marker - knot, 0.0) ** 3, dtype=np.float64)

    last, before = t[-1], t[-2]
    gap, size = last - before, (last - t[0]) ** 2
    return np.column_stack(
        [
            (cubed(k) - cubed(before) * (last - k) / gap + cubed(last) * (before - k) / gap) / size
            for k in t[:-2]
        ]
    )


def _bent(data: AnalysisSet) -> Floats:
    if data.df != 1 or not data.graded:
        raise NotEstimableError(f"{data.marker} must be continuous or graded for a curve.")
    bent = spline_columns(data.marker_columns[:, 0], _n_knots(data))
    return bent - bent.mean(axis=0)


def _n_knots(data: AnalysisSet) -> int:
    return 4 if data.event.sum() >= _MANY_EVENTS else 3


def _own_curve(data: AnalysisSet) -> Floats:
    """Columns that free a marker's own effect from the line, whatever values it takes.

    A level each where there are few values; knots among the distinct values where a crowd at one
    value, such as a detection limit, makes the ordinary knots meet.
    """
    marker = data.marker_columns[:, 0]
    values = np.unique(marker)
    if len(values) <= _FEW_VALUES:
        columns = (marker[:, None] == values[1:-1]).astype(np.float64)
    else:
        try:
            columns = spline_columns(marker, _n_knots(data))
        except NotEstimableError:
            columns = _spline(marker, _knots(values, 3))
    return np.asarray(columns - columns.mean(axis=0))


def ask_interaction_beside_curve(data: AnalysisSet, adjust_arm: bool = False) -> Nested | None:
    """Ask the linear interaction again, with the marker's own effect as a curve in both models.

    A marker whose own effect bends, or that travels with a strong prognostic one, is misdrawn by a
    line; outcomes redrawn from that line spread the interaction too little.

    Parameters
    ----------
    data : AnalysisSet
    adjust_arm : bool
        As in :func:`biomarker.evidence.interaction.ask_interaction`.

    Returns
    -------
    Nested or None
        None where there is nothing to bend: levels without an order, or two values.

    Raises
    ------
    NotEstimableError
        If a fit has no maximum.
    """
    if data.df != 1 or not data.graded:
        return None
    curve = _own_curve(data)
    if curve.shape[1] == 0:
        return None
    null, tested = interaction_columns(data, data.marker_columns, adjust_arm)
    X = np.column_stack([null, curve, tested])
    n_null = X.shape[1] - tested.shape[1]
    return Nested.ask(regression_of(data), X, n_null, data.places, data.n_rows)


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
    null = np.column_stack([independent_columns(part.covariates), part.marker_columns])
    X = np.column_stack([null, _bent(part)])
    return Nested.ask(regression_of(part), X, null.shape[1], part.places, part.n_rows)


def shape_test(question: Nested, seed: int, key: TaskKey) -> ShapeTest:
    """Calibrate a secondary test by 999 redrawn outcomes."""
    draws = bootstrap_likelihood_ratio(question, seed, key, 0, _DRAWS)
    p = calibrated_p(question.likelihood_ratio, draws)
    return ShapeTest(p, question.p_asymptotic, question.df, _DRAWS, seed)
