"""How many events or patients an interaction needs, by the large-sample formulas."""

from __future__ import annotations

import math

from biomarker.errors import UsageError

__all__ = [
    "events_for_interaction",
    "interaction_power",
    "patients_for_response_interaction",
    "response_interaction_power",
]


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
    14:511; Schmoor, Sauerbrei and Schumacher (2000), Statistics in Medicine 19:441.

    Examples
    --------
    >>> round(interaction_power(0.6, 295, marker_variance=0.25), 2)
    0.59
    """
    _check(ratio, share_treated, marker_variance, alpha)
    if not (n_events >= 0 and math.isfinite(n_events)):
        raise UsageError(f"n_events must be finite and at least 0; got {n_events}.")
    information = n_events * share_treated * (1.0 - share_treated) * marker_variance
    return _power(ratio, information, alpha)


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
    At ``marker_variance`` 1 these are also the events that a main effect of treatment of the same
    hazard ratio needs; between two equal halves (0.25) the interaction needs four times as many.

    References
    ----------
    As :func:`interaction_power`.

    Examples
    --------
    >>> events_for_interaction(0.6, marker_variance=0.25)
    482
    """
    _check(ratio, share_treated, marker_variance, alpha)
    per_event = share_treated * (1.0 - share_treated) * marker_variance
    return _needed(ratio, per_event, power, alpha)


def response_interaction_power(
    ratio: float,
    n_patients: float,
    response_treated: float,
    response_control: float,
    share_treated: float = 0.5,
    marker_variance: float = 1.0,
    alpha: float = 0.05,
) -> float:
    r"""Chance that a ratio of odds ratios of response is found, by the large-sample formula.

    As :func:`interaction_power` with :math:`d\, q (1 - q)` replaced by the information of two
    arms, :math:`n / (1 / (q\, p_1 (1 - p_1)) + 1 / ((1 - q)\, p_0 (1 - p_0)))`, where
    :math:`p_1` and :math:`p_0` are the shares responding. Assumes that arm and marker are
    independent, and that the marker moves the shares little.

    Parameters
    ----------
    ratio : float
        Odds ratio of response (treated against control) at one marker unit more, over that at one
        less.
    n_patients : float
        In both arms together, with marker and response known.
    response_treated, response_control : float
        Shares responding.
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
    Demidenko (2008), Statistics in Medicine 27:36.

    Examples
    --------
    >>> round(response_interaction_power(3.33, 120, 0.25, 0.10, marker_variance=0.235), 2)
    0.2
    """
    _check(ratio, share_treated, marker_variance, alpha)
    if not (n_patients >= 0 and math.isfinite(n_patients)):
        raise UsageError(f"n_patients must be finite and at least 0; got {n_patients}.")
    per_patient = _response_information(response_treated, response_control, share_treated)
    return _power(ratio, n_patients * per_patient * marker_variance, alpha)


def patients_for_response_interaction(
    ratio: float,
    response_treated: float,
    response_control: float,
    power: float = 0.80,
    share_treated: float = 0.5,
    marker_variance: float = 1.0,
    alpha: float = 0.05,
) -> int:
    """Patients at which a ratio of odds ratios of response is found with the wanted power.

    Parameters as in :func:`response_interaction_power`; its assumptions hold.

    Returns
    -------
    int

    Raises
    ------
    UsageError
        If a number is outside its range, the ratio is 1, or power is not above alpha.

    Notes
    -----
    At ``marker_variance`` 1 these are also the patients that a main effect of treatment of the same
    odds ratio needs.

    References
    ----------
    As :func:`response_interaction_power`.

    Examples
    --------
    >>> patients_for_response_interaction(3.33, 0.25, 0.10, marker_variance=0.235)
    760
    """
    _check(ratio, share_treated, marker_variance, alpha)
    per_patient = _response_information(response_treated, response_control, share_treated)
    return _needed(ratio, per_patient * marker_variance, power, alpha)


def _response_information(treated: float, control: float, share_treated: float) -> float:
    """Information per patient on a log odds ratio between the arms."""
    for name, p in (("response_treated", treated), ("response_control", control)):
        if not 0.0 < p < 1.0:
            raise UsageError(f"{name} must lie between 0 and 1; got {p}.")
    q = share_treated
    return 1.0 / (1.0 / (q * treated * (1 - treated)) + 1.0 / ((1 - q) * control * (1 - control)))


def _power(ratio: float, information: float, alpha: float) -> float:
    """Power of a two-sided normal test of a log ratio."""
    from scipy.special import ndtr, ndtri

    reach = abs(math.log(ratio)) * math.sqrt(information)
    z = float(-ndtri(alpha / 2.0))
    return float(ndtr(reach - z) + ndtr(-reach - z))


def _needed(ratio: float, per_one: float, power: float, alpha: float) -> int:
    """Events or patients, each bringing so much information, for the wanted power."""
    from scipy.special import ndtri

    if ratio == 1.0:
        raise UsageError("ratio must differ from 1; got 1: no number of events finds nothing.")
    if not alpha < power < 1.0:
        raise UsageError(f"power must lie between alpha and 1; got {power}.")
    reach = float(ndtri(power) - ndtri(alpha / 2.0))
    return math.ceil(reach**2 / (per_one * math.log(ratio) ** 2) - 1e-9)
