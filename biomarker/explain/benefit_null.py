"""What a part's size means: its interval over refits, and the size it has without interaction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.explain.benefit_refits import Refits

__all__ = ["ColumnParts", "column_parts", "upper"]

Floats = npt.NDArray[np.float64]

STABLE = 0.8  # share of refits in which a column must come first to be called first
_FEWEST = 39  # refits from which a 95% band, or the corners of the share's interval, can be read


@dataclass(frozen=True)
class ColumnParts:
    """Size of one column's two parts: means over patients of the absolute value.

    Attributes
    ----------
    source : str
    prognostic, prognostic_low, prognostic_high : float
    predictive, predictive_low, predictive_high : float
        On the attribution's scale. Intervals cover refitting to other patients, at the columns of
        these patients; a low end of 0 says that the part may have either sign.
    null_high : float
        What ``predictive`` exceeds in a share alpha of refits without any interaction; NaN where
        the model holds no interaction of the column.
    family_high : float
        The same for the columns together: none exceeds its own in a share 1 - alpha of refits.
    share, share_low, share_high, share_null_high : float
        ``predictive`` over the sum of both, in [0, 1]; its interval is conservative.
    first : float
        Share of bootstrap refits in which this column's predictive part is the largest.
    established : bool
        Whether the evidence room claims that the effect of treatment differs by this column.
    """

    source: str
    prognostic: float
    prognostic_low: float
    prognostic_high: float
    predictive: float
    predictive_low: float
    predictive_high: float
    null_high: float
    family_high: float
    share: float
    share_low: float
    share_high: float
    share_null_high: float
    first: float
    established: bool

    @property
    def beyond_null(self) -> bool:
        """Whether the predictive part is larger than its own band."""
        return self.predictive > self.null_high


def upper(draws: Floats, alpha: float) -> Floats:
    """Value that an exchangeable newcomer exceeds with a chance of at most alpha.

    Parameters
    ----------
    draws : ndarray, shape (n_draws, ...)
        Infinite where a draw has no value: it can only widen the band.
    alpha : float

    Returns
    -------
    ndarray, shape (...)

    Raises
    ------
    NotEstimableError
        If there are too few draws for this alpha, or too many without a value.

    Examples
    --------
    >>> float(upper(np.arange(1.0, 200.0), 0.05))
    190.0
    """
    n = len(draws)
    rank = math.ceil(round((1.0 - alpha) * (n + 1), 9))
    if rank > n:
        raise NotEstimableError(
            f"refits must number at least {math.ceil(1.0 / alpha) - 1} for a band at {alpha:g}; "
            f"got {n}. Ask for more."
        )
    found = np.sort(draws, axis=0)[rank - 1]
    if np.isinf(found).any():
        raise NotEstimableError(
            f"at most {n - rank} of {n} refits may lack a finite maximum; got more. Use fewer "
            "markers or covariates."
        )
    return np.asarray(found, dtype=np.float64)


def column_parts(
    sources: tuple[str, ...],
    prognostic: Floats,
    predictive: Floats,
    interacts: npt.NDArray[np.bool_],
    resamples: Refits,
    null: Refits,
    established: frozenset[str],
    alpha: float = 0.05,
) -> tuple[ColumnParts, ...]:
    r"""Join sizes, intervals and bands, one record a column, largest predictive part first.

    The interval of a mean absolute part :math:`\bar{|\phi|}` is
    :math:`\bar{|\phi|} \pm q`, with q the 1 - alpha quantile over refits of the mean absolute
    *change* :math:`\overline{|\phi^* - \phi|}`: by the triangle inequality it covers whenever the
    bootstrap holds for the parts themselves. Percentiles of :math:`\overline{|\phi^*|}` would not:
    an absolute value of noise is never near 0.

    The family's bands are the columns' own null means, all multiplied by one number, so that
    columns of any spread are held to the same standard.

    Parameters
    ----------
    sources : tuple of str
    prognostic, predictive : ndarray, shape (n_sources,)
        Mean absolute parts of the fit to the data.
    interacts : ndarray of bool, shape (n_sources,)
        Whether the model lets the column change the effect of treatment.
    resamples, null : Refits
    established : frozenset of str
    alpha : float

    Returns
    -------
    tuple of ColumnParts

    Raises
    ------
    NotEstimableError
        If refits are too few, or too many have no finite maximum.
    """
    if min(len(null.predictive), len(resamples.predictive)) < _FEWEST:
        raise NotEstimableError(
            f"refits must number at least {_FEWEST}; got {len(resamples.predictive)} resamples "
            f"and {len(null.predictive)} without interaction. Ask for more."
        )
    half = [upper(moved, alpha) for moved in (resamples.prognostic_moved,
                                              resamples.predictive_moved)]  # fmt: skip
    # Both ends of the share move at once, hence half of alpha for each part.
    corner = [upper(moved, alpha / 2.0) for moved in (resamples.prognostic_moved,
                                                      resamples.predictive_moved)]  # fmt: skip
    band, share_band = upper(null.predictive, alpha), upper(null.share, alpha)
    known = ~np.isinf(null.predictive).any(axis=1)
    typical = null.predictive[known].mean(axis=0)
    # A column that no refit ever uses has no size to compare with.
    unit = np.where(typical > 0.0, typical, 1.0)
    relative = (null.predictive / unit)[:, interacts]
    family = typical * (upper(relative.max(axis=1), alpha) if interacts.any() else np.nan)
    refitted = resamples.predictive[~np.isinf(resamples.predictive).any(axis=1)]
    first = np.bincount(refitted.argmax(axis=1), minlength=len(sources)) / len(refitted)
    found = []
    for j, source in enumerate(sources):
        low = [max(0.0, v - c[j]) for v, c in zip((prognostic[j], predictive[j]), corner,
                                                  strict=True)]  # fmt: skip
        high = [v[j] + c[j] for v, c in zip((prognostic, predictive), corner, strict=True)]
        own = bool(interacts[j])
        found.append(
            ColumnParts(
                source=source,
                prognostic=float(prognostic[j]),
                prognostic_low=max(0.0, float(prognostic[j] - half[0][j])),
                prognostic_high=float(prognostic[j] + half[0][j]),
                predictive=float(predictive[j]),
                predictive_low=max(0.0, float(predictive[j] - half[1][j])),
                predictive_high=float(predictive[j] + half[1][j]),
                null_high=float(band[j]) if own else math.nan,
                family_high=float(family[j]) if own else math.nan,
                share=_ratio(float(predictive[j]), float(prognostic[j])),
                share_low=_ratio(low[1], high[0]),
                share_high=_ratio(high[1], low[0]),
                share_null_high=float(share_band[j]) if own else math.nan,
                first=float(first[j]),
                established=source in established,
            )
        )
    return tuple(sorted(found, key=lambda parts: (-parts.predictive, -parts.prognostic)))


def _ratio(predictive: float, prognostic: float) -> float:
    """Predictive over the sum of both; 0 where neither is there."""
    total = float(predictive + prognostic)
    return float(predictive / total) if total > 0.0 else 0.0
