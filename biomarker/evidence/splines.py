"""Restricted cubic splines and ranks: the columns that let a marker's effect bend."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.evidence.analysis_set import AnalysisSet

__all__ = ["knots_for", "mean_ranks", "own_curve", "spline_columns"]

Floats = npt.NDArray[np.float64]

_MANY_EVENTS = 60
_EVENTS_EACH = 10
_FEW_VALUES = 5  # up to here a level each says more than a curve
_KNOTS = {3: (0.10, 0.50, 0.90), 4: (0.05, 0.35, 0.65, 0.95)}


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
    return _spline(marker, np.asarray(np.quantile(marker, _KNOTS[n_knots])))


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


def knots_for(data: AnalysisSet) -> int:
    """Number of knots that the events can carry: four, below 60 events three."""
    return 4 if data.event.sum() >= _MANY_EVENTS else 3


def mean_ranks(values: Floats) -> Floats:
    """Mean ranks, from 0 to 1."""
    from scipy.stats import rankdata

    return np.asarray((rankdata(values) - 0.5) / len(values), dtype=np.float64)


def own_curve(data: AnalysisSet, n_others: int) -> Floats:
    """Columns beside a marker's line that free its own effect from it, where events allow.

    A level each where there are few values; knots among the distinct values where a crowd at one
    value, such as a detection limit, makes the ordinary knots meet.

    Parameters
    ----------
    data : AnalysisSet
    n_others : int
        Coefficients beside the curve: each, and each of the curve, needs ten events (or patients
        without one, if fewer), else the redrawn outcomes would follow chance.

    Returns
    -------
    ndarray, shape (n_patients, n_columns)
        Centred; no column where there is nothing to bend (levels without an order, or two values),
        no room, or too few events for four knots: three miss what a skewed marker does far out.
    """
    none = np.empty((len(data.rows), 0))
    if not data.graded:
        return none
    few = int(data.event.sum())
    if data.kind == "response":
        few = min(few, len(data.rows) - few)
    room = few // _EVENTS_EACH - n_others
    marker = data.marker_columns[:, 0]
    values = np.unique(marker)
    if len(values) <= _FEW_VALUES:
        columns = (marker[:, None] == values[1:-1]).astype(np.float64)
    else:
        if knots_for(data) < 4 or room < 2:
            return none
        for among, n in ((marker, 4), (values, 3)):
            try:
                columns = _spline(marker, np.asarray(np.quantile(among, _KNOTS[n])))
                break
            except NotEstimableError:
                continue
        else:
            return none  # one value lies so far out that all others are alike
    return np.asarray(columns - columns.mean(axis=0)) if columns.shape[1] <= room else none
