"""What choosing the best-looking cut-point does to a p-value."""

from __future__ import annotations

import math

from biomarker.errors import UsageError

__all__ = ["selected_cut_p"]


def selected_cut_p(p_minimal: float, low: float = 0.10, high: float = 0.90) -> float:
    r"""Corrected p-value of the best cut found by scanning a marker's quantile range.

    With z the two-sided normal quantile of the smallest p and :math:`\phi` its density,

    .. math:: p = \phi(z)\,(z - 1/z)\,\ln\frac{h(1 - l)}{(1 - h)l} + 4\phi(z)/z.

    Assumes a continuous marker and every cut between quantiles l and h tried. Without the
    correction a 10-90% scan of a marker without any effect is "significant" about four times in
    ten.

    Parameters
    ----------
    p_minimal : float
        Smallest two-sided p-value over the scan.
    low, high : float
        Quantiles between which cuts were tried.

    Returns
    -------
    float
        In (0, 1]; never below ``p_minimal``.

    Raises
    ------
    UsageError
        If p is not in (0, 1) or the range is not inside it.

    Notes
    -----
    The approximation holds for small p; above about 0.6 it is capped.

    References
    ----------
    Miller and Siegmund (1982), Biometrics 38:1011. Altman et al. (1994), JNCI 86:829.

    Examples
    --------
    >>> round(selected_cut_p(0.05), 4)
    0.4916
    """
    from scipy.special import ndtri

    if not 0.0 < p_minimal < 1.0:
        raise UsageError(f"p_minimal must lie between 0 and 1; got {p_minimal}.")
    if not 0.0 < low < high < 1.0:
        raise UsageError(f"low and high must satisfy 0 < low < high < 1; got {low} and {high}.")
    z = float(-ndtri(p_minimal / 2.0))
    width = math.log(high * (1.0 - low) / ((1.0 - high) * low))
    # So close to no effect the formula turns back: its slope in z is phi times this.
    if z < 1.0 or width * (2.0 - z * z) - 4.0 + (width - 4.0) / (z * z) >= 0.0:
        return 1.0
    density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    corrected = density * (z - 1.0 / z) * width + 4.0 * density / z
    return min(1.0, max(p_minimal, corrected))
