"""The sentence of a verdict: what is shown, on which scale, and what could have been."""

from __future__ import annotations

import math
from dataclasses import dataclass

from biomarker.evidence.absolute import AbsoluteEffect
from biomarker.evidence.robustness import EffectType
from biomarker.evidence.verdict import PROPORTIONALITY_ALPHA, Code, Design

__all__ = ["Told", "level_words", "ratio_number", "sentence"]


@dataclass(frozen=True)
class Told:
    """Numbers a sentence is made of; None where there is none.

    Attributes
    ----------
    ratio, association : (value, low, high) or None
        Of the interaction, and of the association under control or in the only arm.
    others : tuple of (str, (value, low, high))
        Further contrasts of the interaction.
    detectable : float or None
    """

    marker: str
    endpoint: str
    code: Code
    design: Design
    scale: str
    contrast: str
    level: float
    confirmatory: bool
    ratio: tuple[float, float, float] | None = None
    p_adjusted: float | None = None
    family_size: int = 0
    detectable: float | None = None
    association: tuple[float, float, float] | None = None
    p_association: float | None = None
    ph_p: float | None = None
    effect_type: EffectType | None = None
    reason: str = ""
    gain: AbsoluteEffect | None = None
    unit: str = ""
    flag: str = ""
    others: tuple[tuple[str, tuple[float, float, float]], ...] = ()
    arm_stated: bool = True


def sentence(told: Told) -> str:
    """Say the verdict in words that the numbers carry, and no more.

    Whenever a differing effect is not shown in two arms, the sentence gives the ratio's interval,
    what it excludes, and what could have been detected; absence of evidence is never put as
    evidence of absence. One-arm sentences do not touch the treatment's effect.
    """
    if told.design.startswith("single_arm"):
        return _one_arm(told)
    opening = "In a non-randomised comparison, " if told.design == "observational" else ""
    if told.code in ("predictive", "predictive_and_prognostic"):
        text = _shown(told)
    else:
        text = _not_shown(told)
    if opening:
        text = opening + text
    elif text.startswith("the "):
        text = "T" + text[1:]
    return " ".join(part for part in (text, _absolute(told), _association(told)) if part)


def _scale(told: Told) -> str:
    return told.scale.removesuffix(" ratio")


def _interval(told: Told, values: tuple[float, float, float]) -> str:
    """Value and interval, as printed."""
    value, low, high = (ratio_number(v) for v in values)
    return f"{value}, {level_words(told.level)} interval {low} to {high}"


def _contrasts(told: Told, ratio: tuple[float, float, float]) -> str:
    """The ratio and what it is of; further ones where the marker has several levels."""
    all_of = [*told.others, (told.contrast, ratio)]
    return "; ".join(f"{_interval(told, values)}, {name}" for name, values in all_of)


def level_words(alpha: float) -> str:
    """Confidence level in per cent, without rounding it up to all.

    Examples
    --------
    >>> level_words(0.05), level_words(0.001)
    ('95%', '99.9%')
    """
    return f"{100 * (1 - alpha):.6g}%"


def _shown(told: Told) -> str:
    assert told.ratio is not None
    assert told.p_adjusted is not None
    observed = told.design == "observational"
    what = "association of treatment with" if observed else "effect of treatment on"
    # The scale is named in every claim: on another one the same patients may not differ.
    differs = (
        f"the {what} {told.endpoint} differs by {told.marker} on the {_scale(told)}-ratio scale"
    )
    if told.ph_p is not None and told.ph_p < PROPORTIONALITY_ALPHA:
        differs += "; hazards are not proportional, so no more is claimed"
    text = (
        f"{differs} (ratio of {_scale(told)} ratios {_contrasts(told, told.ratio)}; adjusted p "
        f"{_p(told.p_adjusted)}{_jointly(told)})"
    )
    if told.effect_type == "qualitative":
        sides = "; the difference is qualitative: "
        text += sides + (
            "of opposite direction in some and in others"
            if observed
            else "treatment helps some and harms others"
        )
    elif told.effect_type == "quantitative":
        text += "; the difference is quantitative: its size, not its direction"
    elif told.effect_type is not None:
        text += "; type not determined"
    status = "confirmatory" if told.confirmatory else "exploratory"
    limits = f" Note: {told.reason}." if told.reason else ""
    return f"{text}. This result is {status}.{limits}"


def _jointly(told: Told) -> str:
    """That a p-value is of several contrasts together."""
    return f", joint test of {1 + len(told.others)} contrasts" if told.others else ""


def _not_shown(told: Told) -> str:
    if told.ratio is None:
        why = told.reason or "the interaction could not be fitted"
        return f"{told.marker}, {told.endpoint}: predictive effect not established ({why})."
    _, low, high = told.ratio
    text = (
        f"{told.marker}, {told.endpoint}: predictive effect not established. The ratio of "
        f"{_scale(told)} ratios is {_contrasts(told, told.ratio)}; the interval "
        f"{'of the last ' if told.others else ''}excludes {_excluded(low, high)}."
    )
    if told.p_adjusted is not None:
        tests = "1 test" if told.family_size == 1 else f"{told.family_size} tests"
        text += f" Adjusted for {tests}: p {_p(told.p_adjusted)}{_jointly(told)}."
    if told.detectable is not None and math.isfinite(told.detectable):
        text += (
            " By the large-sample formula these data could detect a ratio of "
            f"{ratio_number(told.detectable)} or {ratio_number(1 / told.detectable)} with 80% power"
            f"{' after that adjustment' if told.family_size > 1 else ''}."
        )
    if told.ph_p is not None and told.ph_p < PROPORTIONALITY_ALPHA:
        text += " Hazards are not proportional: this holds on the hazard-ratio scale."
    if told.reason:
        text += f" Note: {told.reason}."
    return text


def _absolute(told: Told) -> str:
    """The same question in time or probability, and whether the scales disagree."""
    gain = told.gain
    if gain is None or math.isnan(gain.value):
        return ""
    competing = " (if competing events could not happen)" if "cause" in told.scale else ""
    whose = "the arms' difference" if told.design == "observational" else "the treatment's gain"
    what = {
        "restricted_mean": f"{whose} in mean event-free time up to "
        f"{_time(gain.at)} {told.unit}{competing}",
        "survival": f"{whose} in event-free probability at {_time(gain.at)} {told.unit}{competing}",
        "response": f"{whose} in response probability",
    }[gain.measure]
    unit = f" {told.unit}" if gain.measure == "restricted_mean" else ""
    adjusted = ", without adjustment," if told.design == "observational" else ""
    text = (
        f"On the absolute scale{adjusted} {what} changes by {_signed(gain.value)}{unit} "
        f"{gain.contrast} ({level_words(told.level)} interval {_signed(gain.low)} to "
        f"{_signed(gain.high)})"
    )
    if not math.isnan(gain.quartiles):
        text += (
            f", from the marker's lower to its upper quartile by {_signed(gain.quartiles)}{unit} "
            f"({_signed(gain.quartiles_low)} to {_signed(gain.quartiles_high)})"
        )
    return f"{text}; {told.flag}." if told.flag else f"{text}."


def _signed(value: float) -> str:
    """Two significant digits and a sign, without powers of ten."""
    if not value:
        return "0"
    places = max(0, 1 - math.floor(math.log10(abs(value))))
    return f"{value:+,.{places}f}".replace("-", "\N{MINUS SIGN}")


def _excluded(low: float, high: float) -> str:
    """What an interval leaves out, in words."""
    parts = [f"ratios below {ratio_number(low)}"] if low >= 0.001 else []
    parts += [f"above {ratio_number(high)}"] if high < 1e6 else []
    if len(parts) == 1 and not low >= 0.001:
        return f"ratios {parts[0]}"
    return " and ".join(parts) if parts else "no ratio"


def _association(told: Told) -> str:
    """What holds under control."""
    if told.association is None:
        return ""
    found = _found(told, told.association)
    if told.code in ("prognostic", "predictive_and_prognostic"):
        return f"Under control it is associated with {told.endpoint} ({found})."
    return f"Under control an association with {told.endpoint} is not established ({found})."


def _found(told: Told, association: tuple[float, float, float]) -> str:
    """The association's numbers; its p-value counts the other tests, its interval does not."""
    adjusted = "" if told.p_association is None else f"; adjusted p {_p(told.p_association)}"
    return f"{told.scale} {_interval(told, association)}, {told.contrast}{adjusted}"


def _one_arm(told: Told) -> str:
    """An association in the only arm, and nothing about the treatment."""
    where = "under control" if told.design == "single_arm_control" else "in treated patients"
    if not told.arm_stated:
        where = "in the only arm, which the study does not name"
    if told.association is None:
        why = told.reason or "it could not be estimated"
        return f"{told.marker}: association with {told.endpoint} {where} not established ({why})."
    found = _found(told, told.association)
    shown = told.code != "not_established"
    text = f"{told.marker} is associated with {told.endpoint} {where} ({found})."
    if not shown:
        text = f"{told.marker}: association with {told.endpoint} {where} not established ({found})."
    if told.ph_p is not None and told.ph_p < PROPORTIONALITY_ALPHA:
        text += " Hazards are not proportional: this holds on the hazard-ratio scale."
    if told.reason:
        text += f" Note: {told.reason}."
    return text + " All patients are in one arm, so whether treatment matters cannot be told."


def _time(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def ratio_number(value: float) -> str:
    """A ratio at three significant digits, without powers of ten; 'no limit' for infinity.

    Examples
    --------
    >>> ratio_number(1.0), ratio_number(0.00004), ratio_number(1319.6)
    ('1.00', '<0.001', '1,320')
    """
    if math.isinf(value):
        return "no limit"
    if value >= 999.5:
        return f"{value:,.0f}" if value < 1e6 else "over a million"
    if 0 < value < 0.001:
        return "<0.001"
    return f"{value:#.3g}".rstrip(".") if value else "0"


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}".replace("0.", ".", 1)
