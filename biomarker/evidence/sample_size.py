"""How many patients a prediction model needs before it is more than exploratory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from biomarker.errors import UsageError

__all__ = ["RequiredSize", "required_for_response", "required_for_survival"]

_SHRINKAGE = 0.9
_OPTIMISM = 0.05
_MARGIN = 0.05


@dataclass(frozen=True)
class RequiredSize:
    """Patients needed by each criterion; ``n_patients`` is the largest.

    Attributes
    ----------
    for_shrinkage : int
        Expected shrinkage of predictor effects no stronger than 0.9.
    for_optimism : int
        Optimism in the share of explained variation at most 0.05.
    for_precision : int
        Overall risk known to within 0.05.
    """

    for_shrinkage: int
    for_optimism: int
    for_precision: int
    explained: float
    n_parameters: int

    @property
    def n_patients(self) -> int:
        """The largest of the three."""
        return max(self.for_shrinkage, self.for_optimism, self.for_precision)


def required_for_survival(
    n_parameters: int,
    rate: float,
    mean_follow_up: float,
    horizon: float,
    explained: float | None = None,
) -> RequiredSize:
    r"""Patients needed to develop a survival model, by the criteria of Riley et al.

    Shrinkage S needs :math:`n = P / ((S - 1) \ln(1 - R^2 / S))`, with P candidate parameters and
    Cox-Snell :math:`R^2`; the second criterion uses :math:`S = R^2 / (R^2 + 0.05 R^2_{max})`; the
    third bounds the interval of the overall risk at the horizon, under an exponential model.

    Parameters
    ----------
    n_parameters : int
        Candidate predictor parameters (features), before any selection.
    rate : float
        Events per patient and time unit.
    mean_follow_up, horizon : float
        In that time unit.
    explained : float, optional
        Expected Cox-Snell R²; default 15% of its maximum, the authors' cautious choice.

    Raises
    ------
    UsageError
        If a number is not positive, or R² is not below its maximum.

    References
    ----------
    Riley et al. (2019), Statistics in Medicine 38:1276.

    Examples
    --------
    >>> required_for_survival(25, 0.065, 2.07, 2.0, explained=0.051).n_patients
    4286
    """
    for name, value in (("rate", rate), ("mean_follow_up", mean_follow_up), ("horizon", horizon)):
        _positive(name, value)
    events = rate * mean_follow_up
    largest = 1.0 - math.exp(2.0 * (events * math.log(rate) - events))
    risk = 1.0 - math.exp(-rate * horizon)

    def half_width(n: float) -> float:
        upper = rate + 1.959964 * math.sqrt(rate / (mean_follow_up * n))
        return (1.0 - math.exp(-upper * horizon)) - risk

    n = 1
    while half_width(n) > _MARGIN:
        n *= 2
    low, high = n // 2, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if half_width(middle) > _MARGIN else (low, middle)
    return _required(n_parameters, explained, largest, high)


def required_for_response(
    n_parameters: int, prevalence: float, explained: float | None = None
) -> RequiredSize:
    r"""Patients needed to develop a response model, by the criteria of Riley et al.

    As :func:`required_for_survival` with
    :math:`R^2_{max} = 1 - (\phi^\phi (1 - \phi)^{1 - \phi})^2` for response probability
    :math:`\phi`, and the overall probability known to within 0.05.

    Raises
    ------
    UsageError
        If the prevalence is not between 0 and 1, or R² is not below its maximum.

    References
    ----------
    Riley et al. (2020), BMJ 368:m441.

    Examples
    --------
    >>> required_for_response(10, 0.2).n_patients
    898
    """
    if not 0.0 < prevalence < 1.0:
        raise UsageError(f"prevalence must lie between 0 and 1; got {prevalence}.")
    q = 1.0 - prevalence
    largest = 1.0 - (prevalence**prevalence * q**q) ** 2
    precision = math.ceil((1.959964 / _MARGIN) ** 2 * prevalence * q)
    return _required(n_parameters, explained, largest, precision)


def _required(
    n_parameters: int, explained: float | None, largest: float, precision: int
) -> RequiredSize:
    _positive("n_parameters", n_parameters)
    expected = 0.15 * largest if explained is None else explained
    if not 0.0 < expected < min(largest, _SHRINKAGE):
        raise UsageError(f"explained must lie between 0 and {largest:.3f}; got {expected}.")

    def size(shrinkage: float) -> int:
        return math.ceil(n_parameters / ((shrinkage - 1.0) * math.log(1.0 - expected / shrinkage)))

    second = expected / (expected + _OPTIMISM * largest)
    return RequiredSize(size(_SHRINKAGE), size(second), precision, expected, n_parameters)


def _positive(name: str, value: float) -> None:
    if not value > 0 or not math.isfinite(value):
        raise UsageError(f"{name} must be a positive number; got {value}.")
