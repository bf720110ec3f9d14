"""The treatment's effect on either side of a chosen cut, pulled towards the effect in everybody."""

from __future__ import annotations

import math
from dataclasses import dataclass

from biomarker.evidence.cut_design import CutDesign
from biomarker.evidence.regressions import Fit

__all__ = ["SubgroupEffect", "subgroup_effects"]


@dataclass(frozen=True)
class SubgroupEffect:
    """Treatment against control in the patients on one side of a cut.

    Attributes
    ----------
    label : {"at or below", "above"}
    ratio, low, high : float
        Treated over control; below 1 where treatment lowers the hazard (or the odds). The interval
        counts the choosing of the cut.
    shrunken : float
        Pulled towards the effect that both sides share.
    """

    label: str
    n_treated: int
    n_control: int
    events_treated: int
    events_control: int
    ratio: float
    low: float
    high: float
    shrunken: float


def subgroup_effects(
    design: CutDesign,
    cut: float,
    fit: Fit,
    interaction: tuple[float, float],
    shrunken: float,
    alpha: float,
) -> tuple[SubgroupEffect, SubgroupEffect]:
    r"""Effects below and above a cut, as a shared effect and a share of the interaction.

    With :math:`\beta` the effect below and :math:`\gamma` the log ratio of effects,
    :math:`\omega = \beta + \lambda\gamma` with :math:`\lambda = -cov(\beta, \gamma)/var(\gamma)` is
    uncorrelated with :math:`\gamma`: choosing a cut by :math:`\gamma` leaves it alone. The effects
    are :math:`\omega - \lambda\gamma` and :math:`\omega + (1 - \lambda)\gamma`; their intervals
    join the normal one of :math:`\omega` to the corrected one of :math:`\gamma` by the method of
    variance estimates recovery, and shrinking :math:`\gamma` pulls both towards :math:`\omega`.

    Parameters
    ----------
    design : CutDesign
        Of an interaction; the arm is the null model's first column.
    cut : float
    fit : Fit
        Null columns, above the cut, treated above the cut.
    interaction : (float, float)
        Corrected interval of :math:`\gamma`.
    shrunken : float
        :math:`\gamma` shrunken.
    alpha : float

    Returns
    -------
    tuple of SubgroupEffect
        At or below, above.

    References
    ----------
    Zou and Donner (2008), Statistics in Medicine 27:1693.
    """
    from scipy.special import ndtri

    beta, gamma = float(fit.coefficients[0]), float(fit.coefficients[-1])
    spread = fit.covariance
    share = -float(spread[0, -1] / spread[-1, -1])
    common = beta + share * gamma
    error = math.sqrt(max(0.0, float(spread[0, 0] - spread[0, -1] ** 2 / spread[-1, -1])))
    half = float(-ndtri(alpha / 2.0)) * error
    above, treated = design.values > cut, design.treated
    effects = []
    for label, side, weight in (("at or below", ~above, -share), ("above", above, 1.0 - share)):
        value = common + weight * gamma
        # How far the interaction's part may lie below and above; a chosen cut may put both ends of
        # its interval on one side of the estimate, which then gives nothing on the other.
        parts = sorted(weight * (end - gamma) for end in interaction)
        down, up = max(0.0, -parts[0]), max(0.0, parts[1])
        here, there = side & treated, side & ~treated
        effects.append(
            SubgroupEffect(
                label=label,
                n_treated=int(here.sum()),
                n_control=int(there.sum()),
                events_treated=int((here & design.data.event).sum()),
                events_control=int((there & design.data.event).sum()),
                ratio=_exp(value),
                low=_exp(value - math.hypot(half, down)),
                high=_exp(value + math.hypot(half, up)),
                shrunken=_exp(common + weight * shrunken),
            )
        )
    return effects[0], effects[1]


def _exp(value: float) -> float:
    """Exponential that runs to infinity quietly."""
    return math.exp(value) if value < 700 else math.inf
