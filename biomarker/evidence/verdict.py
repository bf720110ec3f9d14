"""One verdict per marker and endpoint, and the sentence a statistician would sign."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from biomarker.evidence.absolute import AbsoluteEffect
from biomarker.evidence.robustness import EffectType

__all__ = [
    "RECORD_FIELDS",
    "Claim",
    "Code",
    "Verdict",
    "decide",
    "of_hazards",
    "reasons_against",
]

Code = Literal[
    "predictive_and_prognostic",
    "predictive",
    "prognostic",
    "not_established",
    "associated_under_treatment",
    "not_estimable",
]
Design = Literal["randomised", "observational", "single_arm_treated", "single_arm_control"]

PROPORTIONALITY_ALPHA = 0.05


@dataclass(frozen=True)
class Claim:
    """Everything a claim that the treatment's effect differs must show.

    Attributes
    ----------
    design : str
    p_adjusted : float or None
        Of the interaction, after its family; None where it could not be fitted.
    p_calibrated : float or None
    p_asymptotic : float or None
        Of the large-sample formula: never a way to a claim, but what others will find.
    p_without_influential : float or None
        None where it was not asked because the claim had failed before.
    left_out : str
        Those patients, in words.
    same_sign_on_ranks : bool or None
    gate_open : bool
        Whether this test may claim: stage 1, or stage 2 with every stage-1 hypothesis rejected.
    comparison_faults : tuple of str
        What an observational comparison lacks.
    comparison_shown : (float, float) or None
        Its overlap and its weighted ratio.
    not_fitted : str
        Why there is no fit, where there is none.
    """

    design: Design
    p_adjusted: float | None = None
    p_calibrated: float | None = None
    p_asymptotic: float | None = None
    p_without_influential: float | None = None
    left_out: str = "most influential patients"
    same_sign_on_ranks: bool | None = None
    gate_open: bool = True
    comparison_faults: tuple[str, ...] = ()
    comparison_shown: tuple[float, float] | None = None
    not_fitted: str = ""

    def only_asymptotic(self, alpha: float) -> bool:
        """Whether the large-sample formula alone would call the interaction significant."""
        if self.p_calibrated is None or self.p_asymptotic is None:
            return False
        return self.p_asymptotic < alpha <= self.p_calibrated


def reasons_against(claim: Claim, alpha: float) -> tuple[str, ...]:
    """Why a claim is withheld; empty where every condition is met."""
    if claim.design not in ("randomised", "observational"):
        return ("one arm cannot show whether the treatment's effect differs",)
    if claim.p_adjusted is None or claim.p_calibrated is None:
        return (claim.not_fitted or "the interaction could not be fitted",)
    if not (claim.p_adjusted < alpha and claim.p_calibrated < alpha):
        if not claim.only_asymptotic(alpha):
            return ("the interaction is not significant after its adjustment",)
        assert claim.p_asymptotic is not None
        told = (
            f"the interaction is significant by the large-sample formula alone "
            f"(p {_p(claim.p_asymptotic)}) and not against redrawn outcomes"
        )
        return (told, *_without_influential(claim, alpha))
    reasons: list[str] = []
    if not claim.gate_open:
        reasons.append("a hypothesis written down beforehand was not confirmed")
    reasons += _without_influential(claim, alpha)
    if not claim.same_sign_on_ranks:
        reasons.append("the interaction does not keep its sign on ranks")
    reasons += claim.comparison_faults if claim.design == "observational" else ()
    return tuple(reasons)


def _without_influential(claim: Claim, alpha: float) -> list[str]:
    """What the most influential patients carry, where they carry it."""
    without = claim.p_without_influential
    if without is not None and without < alpha:
        return []
    shown = "" if without is None else f" (p {_p(without)} without them)"
    return [f"the interaction rests on the {claim.left_out}{shown}"]


def decide(claim: Claim, p_association: float | None, alpha: float) -> Code:
    """Code of one marker and endpoint.

    Parameters
    ----------
    claim : Claim
    p_association : float or None
        Adjusted, under control (or in the only arm); None where it could not be fitted.
    alpha : float

    Returns
    -------
    str
        ``predictive_and_prognostic``, ``predictive``, ``prognostic``, ``not_established``,
        ``associated_under_treatment`` or ``not_estimable``.
    """
    associated = p_association is not None and p_association < alpha
    if claim.design == "single_arm_treated":
        return "associated_under_treatment" if associated else "not_established"
    if claim.design == "single_arm_control":
        return "prognostic" if associated else "not_established"
    if not reasons_against(claim, alpha):
        return _claimed(claim, associated, alpha)
    if associated:
        return "prognostic"
    return "not_estimable" if claim.p_adjusted is None else "not_established"


def _claimed(claim: Claim, associated: bool, alpha: float) -> Code:
    """The only place the word comes from: its conditions are asserted, not trusted."""
    assert claim.design in ("randomised", "observational")
    assert claim.p_adjusted is not None
    assert claim.p_adjusted < alpha
    assert claim.p_calibrated is not None
    assert claim.p_calibrated < alpha
    assert claim.p_without_influential is not None
    assert claim.p_without_influential < alpha
    assert claim.same_sign_on_ranks
    assert claim.gate_open
    assert claim.design == "randomised" or not claim.comparison_faults
    return "predictive_and_prognostic" if associated else "predictive"


@dataclass(frozen=True)
class Verdict:
    """What the data carry about one marker and endpoint.

    The fields of the command line's record come first, in its order; None where there is no such
    number. ``ratio`` is always the interaction: the effect in the treated over the effect in
    control, per ``contrast``. ``hr_control`` is the association under control (an odds ratio of
    response where ``scale`` is the odds ratio; in the only arm where there is one).

    Attributes
    ----------
    verdict : str
        See :func:`decide`.
    effect_absolute, effect_absolute_low, effect_absolute_high : float or None
        Change of the treatment's absolute gain per contrast unit; beside the verdict, never in it.
    detectable_ratio_80 : float or None
        Ratio above 1 (or its inverse) found with 80% power at this precision.
    confirmatory : bool
        Whether the interaction was a recorded hypothesis of a randomised comparison.
    ph_p : float or None
        Proportionality of arm, marker and interaction.
    reason : str
        Why a claim was withheld, or a result is exploratory; empty if neither.
    absolute_effects : tuple of AbsoluteEffect
        Restricted mean (or response) first, then survival at each declared horizon both arms
        support.
    flag : str
        Where the ratio and the absolute scale disagree; empty otherwise.
    others : tuple of (str, (float, float, float))
        Of a marker with several contrasts those beside ``contrast``: name, and ratio with interval
        at the joint critical value.
    alpha : float
        Level of the intervals.
    p_spline, p_bend : float or None
        Secondary, calibrated: a curve's interaction with treatment; a curve against a line under
        control. No verdict depends on them.
    penalised : bool
        Whether Firth's penalised likelihood stands in for a plain one without a maximum.
    """

    marker: str
    endpoint: str
    verdict: Code
    design: Design
    scale: str
    contrast: str
    n_treated: int
    n_control: int
    events_treated: int
    events_control: int
    n_missing: int
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    p_interaction: float | None
    p_adjusted: float | None
    p_asymptotic: float | None
    p_prognostic: float | None
    p_prognostic_adjusted: float | None
    hr_control: float | None
    hr_control_low: float | None
    hr_control_high: float | None
    effect_absolute: float | None
    effect_absolute_low: float | None
    effect_absolute_high: float | None
    detectable_ratio_80: float | None
    confirmatory: bool
    family_size: int
    ph_p: float | None
    reason: str
    sentence: str
    adjustment: str = ""
    others: tuple[tuple[str, tuple[float, float, float]], ...] = ()
    alpha: float = 0.05
    absolute_effects: tuple[AbsoluteEffect, ...] = ()
    flag: str = ""
    p_spline: float | None = None
    p_bend: float | None = None
    penalised: bool = False
    effect_type: EffectType | None = None
    p_without_influential: float | None = None
    p_false_discovery: float | None = None
    monte_carlo_error: float | None = None
    n_draws: int = 0
    seed: int = 0
    missing_treated: int = 0
    missing_control: int = 0
    missing_with_event: int = 0
    no_outcome_treated: int = 0
    no_outcome_control: int = 0

    @property
    def absolute_measure(self) -> str:
        """What ``effect_absolute`` is a change of; empty where there is none."""
        return self.absolute_effects[0].measure if self.absolute_effects else ""

    @property
    def claimed(self) -> bool:
        """Whether a differing effect of treatment was claimed."""
        return self.verdict in ("predictive", "predictive_and_prognostic")

    def record(self) -> dict[str, Any]:
        """The command line's JSON record; what is not finite is null."""
        out = {name: getattr(self, name) for name in RECORD_FIELDS}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in out.items()
        }


def of_hazards(scale: str) -> bool:
    """Whether a ratio is one of hazards, cause-specific or not, rather than of odds of response."""
    return scale.endswith("hazard ratio")


RECORD_FIELDS = tuple(f.name for f in fields(Verdict))[:31]


def _p(value: float) -> str:
    """A p-value in words: three decimals, never 'p = .000'."""
    return "< .001" if value < 0.001 else f"{value:.3f}".replace("0.", ".", 1)
