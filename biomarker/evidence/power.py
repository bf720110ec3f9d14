"""How many events an interaction needs, and how often this very procedure would claim it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from biomarker.cohort import Cohort
from biomarker.errors import UsageError
from biomarker.resampling import spawn

__all__ = ["ClaimRate", "claim_rate", "events_for_interaction", "interaction_power"]


def _check(ratio: float, share_treated: float, marker_variance: float, alpha: float) -> None:
    if not (ratio > 0 and math.isfinite(ratio)):
        raise UsageError(f"ratio must be finite and above 0; got {ratio}.")
    if not 0.0 < share_treated < 1.0:
        raise UsageError(f"share_treated must lie between 0 and 1; got {share_treated}.")
    if not (marker_variance > 0 and math.isfinite(marker_variance)):
        raise UsageError(f"marker_variance must be finite and above 0; got {marker_variance}.")
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha must lie between 0 and 1; got {alpha}.")


def interaction_power(
    ratio: float,
    n_events: float,
    share_treated: float = 0.5,
    marker_variance: float = 1.0,
    alpha: float = 0.05,
) -> float:
    r"""Chance that a ratio of hazard ratios is found, by the large-sample formula.

    .. math:: \Phi(|\log\rho| \sqrt{d\, q (1 - q)\, v} - z_{1 - \alpha/2})
              + \Phi(-|\log\rho| \sqrt{d\, q (1 - q)\, v} - z_{1 - \alpha/2})

    with :math:`\rho` the ratio per unit of the marker, d events, q the share treated and v the
    marker's variance (1 per SD; share times 1 - share for two levels). Assumes that arm and marker
    are independent, and that effects are small enough for events to fall on the cells as patients
    do.

    Parameters
    ----------
    ratio : float
        Hazard ratio (treated against control) at one marker unit more, over that at one less.
    n_events : float
        In both arms together.
    share_treated, marker_variance, alpha : float

    Returns
    -------
    float
        Between alpha (ratio 1) and 1.

    Raises
    ------
    UsageError
        If a number is outside its range.

    References
    ----------
    Schoenfeld (1983), Biometrics 39:499; Peterson and George (1993), Controlled Clinical Trials
    14:511.

    Examples
    --------
    >>> round(interaction_power(0.6, 295, marker_variance=0.25), 2)
    0.59
    """
    from scipy.special import ndtr, ndtri

    _check(ratio, share_treated, marker_variance, alpha)
    if not (n_events >= 0 and math.isfinite(n_events)):
        raise UsageError(f"n_events must be finite and at least 0; got {n_events}.")
    information = n_events * share_treated * (1.0 - share_treated) * marker_variance
    reach = abs(math.log(ratio)) * math.sqrt(information)
    z = float(-ndtri(alpha / 2.0))
    return float(ndtr(reach - z) + ndtr(-reach - z))


def events_for_interaction(
    ratio: float,
    power: float = 0.80,
    share_treated: float = 0.5,
    marker_variance: float = 1.0,
    alpha: float = 0.05,
) -> int:
    r"""Events at which a ratio of hazard ratios is found with the wanted power.

    .. math:: d = \frac{(z_{1-\alpha/2} + z_{power})^2}{q (1 - q)\, v \log^2\rho}

    Parameters as in :func:`interaction_power`; its assumptions hold.

    Returns
    -------
    int

    Raises
    ------
    UsageError
        If a number is outside its range, the ratio is 1, or power is not above alpha.

    Notes
    -----
    A difference of effects between two equal halves needs four times the events that an equal main
    effect needs.

    References
    ----------
    As :func:`interaction_power`.

    Examples
    --------
    >>> events_for_interaction(0.6, marker_variance=0.25)
    482
    """
    from scipy.special import ndtri

    _check(ratio, share_treated, marker_variance, alpha)
    if ratio == 1.0:
        raise UsageError("ratio must differ from 1; got 1: no number of events finds nothing.")
    if not alpha < power < 1.0:
        raise UsageError(f"power must lie between alpha and 1; got {power}.")
    reach = float(ndtri(1.0 - alpha / 2.0) + ndtri(power))
    share = share_treated * (1.0 - share_treated) * marker_variance
    return math.ceil(reach**2 / (share * math.log(ratio) ** 2) - 1e-9)


@dataclass(frozen=True)
class ClaimRate:
    """How often the procedure claimed that the treatment's effect differs.

    Attributes
    ----------
    share, low, high : float
        Claims among cohorts, with the exact 95% interval. Power where an interaction was planted,
        the false-claim rate where none was.
    n_cohorts, n_not_estimable : int
    mean_events : float
    """

    share: float
    low: float
    high: float
    n_cohorts: int
    n_not_estimable: int
    mean_events: float


def claim_rate(
    generate: Callable[[int], Cohort],
    n_cohorts: int,
    marker: str,
    endpoint: str,
    markers: tuple[str, ...] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
) -> ClaimRate:
    """Run the whole assessment on simulated cohorts and count its claims about one marker.

    Parameters
    ----------
    generate : callable
        A cohort from a seed; the caller brings the generator.
    n_cohorts : int
    marker, endpoint : str
        What is counted.
    markers : tuple of str, optional
        The family assessed together; the one marker by default.
    alpha : float
    seed : int

    Returns
    -------
    ClaimRate

    Raises
    ------
    UsageError
        If there is no cohort to make, or the marker is not in the family.
    """
    from scipy.stats import beta

    from biomarker.evidence.assessment import assess

    family = (marker,) if markers is None else markers
    if n_cohorts < 1 or marker not in family:
        raise UsageError(
            f"n_cohorts must be at least 1 and marker one of markers; got {n_cohorts}, {marker!r}."
        )
    claims = refused = events = 0
    for b in range(n_cohorts):
        one, other = (int(v) for v in spawn(seed, "claim rate", b).integers(0, 2**31, size=2))
        found = assess(generate(one), family, alpha, random_state=other)
        verdict = next(v for v in found if (v.marker, v.endpoint) == (marker, endpoint))
        claims += verdict.claimed
        refused += verdict.p_interaction is None
        events += verdict.events_treated + verdict.events_control
    low = float(beta.ppf(0.025, claims, n_cohorts - claims + 1)) if claims else 0.0
    high = float(beta.ppf(0.975, claims + 1, n_cohorts - claims)) if claims < n_cohorts else 1.0
    return ClaimRate(claims / n_cohorts, low, high, n_cohorts, refused, events / n_cohorts)
