"""From the tests of one marker and endpoint to its verdict: code, limits, checks and words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from biomarker.cohort import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.absolute import AbsoluteEffect, absolute_effect
from biomarker.evidence.analysis_set import AnalysisSet
from biomarker.evidence.family import Question
from biomarker.evidence.interaction import RatioTest
from biomarker.evidence.multiplicity import LedgerRow
from biomarker.evidence.robustness import (
    effect_type,
    observational_faults,
    p_without_influential,
    proportionality,
    same_sign_on_ranks,
)
from biomarker.evidence.sentences import Told, sentence
from biomarker.evidence.shape import ShapeTest
from biomarker.evidence.verdict import (
    PROPORTIONALITY_ALPHA,
    Claim,
    Design,
    Verdict,
    decide,
    reasons_against,
)
from biomarker.study import SurvivalEndpoint

__all__ = ["Pair", "conclude"]


@dataclass
class Pair:
    """One marker and endpoint, and what has been asked of them.

    Attributes
    ----------
    marker, endpoint : str
    data : AnalysisSet or None
        None where the marker cannot be analysed, which ``failure`` explains.
    questions : dict
        ``interaction`` and ``association`` to the question, tested and adjusted.
    shapes : dict
        The same families to the secondary test of a curve.
    """

    marker: str
    endpoint: str
    data: AnalysisSet | None = None
    failure: str = ""
    questions: dict[str, Question] = field(default_factory=dict)
    shapes: dict[str, ShapeTest] = field(default_factory=dict)


def conclude(
    cohort: Cohort,
    pair: Pair,
    design: Design,
    open_gate: bool,
    recorded: LedgerRow | None,
    seed: int,
    alpha: float,
) -> Verdict:
    """Put one marker's tests, checks and words together.

    Parameters
    ----------
    cohort : Cohort
    pair : Pair
        Its questions tested and adjusted within their families.
    design : str
    open_gate : bool
        Whether an exploratory claim may stand beside the stage-1 hypotheses.
    recorded : LedgerRow or None
        The hypothesis about this interaction, as it was written down.
    seed : int
    alpha : float

    Returns
    -------
    Verdict
    """
    data = pair.data
    asked, control = pair.questions.get("interaction"), pair.questions["association"]
    test, association = (asked.test if asked else None), control.test
    claim = _claim(data, asked, design, open_gate, seed, alpha)
    code = decide(claim, control.p_adjusted, alpha)
    gains = () if data is None or data.arm is None else _gains(data, cohort, alpha)
    gain = gains[0] if gains else None
    ph_p = None if data is None or test is None else proportionality(data, test)
    claimed = not reasons_against(claim, alpha)
    proportional = ph_p is None or ph_p >= PROPORTIONALITY_ALPHA
    kind = None
    if claimed and proportional and data is not None and test is not None:
        kind = effect_type(data, test, alpha)
    scale = _scale(cohort, pair.endpoint)
    family_size = (asked or control).family_size
    detectable = None if test is None else test.detectable(0.80, alpha / max(1, family_size))
    confirmatory, limits = _status(cohort, pair, asked, design, recorded)
    if test is not None and test.question.penalised:
        limits.append(
            "a group without events (or with nothing else) leaves the plain ratio infinite, and "
            "Firth's penalised likelihood is used"
        )
    reason = "; ".join([*_withheld(claim, control, alpha), *limits])
    flag = _flag(test, gain, alpha)
    told = Told(
        pair.marker, pair.endpoint, code, design, scale,
        "" if data is None else data.contrast, alpha, confirmatory,
        ratio=_triple(test), p_adjusted=claim.p_adjusted,
        family_size=family_size, detectable=detectable,
        association=_triple(association), ph_p=ph_p, effect_type=kind, reason=reason,
        gain=gain, unit=getattr(cohort.study.endpoints[pair.endpoint], "unit", ""), flag=flag,
        n_contrasts=1 if data is None else data.df,
        arm_stated=cohort.treated is not None or cohort.study.single_arm is not None,
    )  # fmt: skip
    numbers = _counts(data, design)
    ratio, low, high = _triple(test) or (None, None, None)
    hr, hr_low, hr_high = _triple(association) or (None, None, None)
    return Verdict(
        marker=pair.marker,
        endpoint=pair.endpoint,
        verdict=code,
        design=design,
        scale=scale,
        contrast=told.contrast,
        **numbers,
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        p_interaction=claim.p_calibrated,
        p_adjusted=claim.p_adjusted,
        p_asymptotic=None if test is None else test.p_asymptotic,
        p_prognostic=None if association is None else association.p,
        p_prognostic_adjusted=control.p_adjusted,
        hr_control=hr,
        hr_control_low=hr_low,
        hr_control_high=hr_high,
        effect_absolute=None if gain is None else gain.value,
        effect_absolute_low=None if gain is None else gain.low,
        effect_absolute_high=None if gain is None else gain.high,
        detectable_ratio_80=detectable,
        confirmatory=confirmatory,
        family_size=(asked or control).family_size,
        ph_p=ph_p,
        reason=reason,
        sentence=sentence(told),
        adjustment=(asked or control).adjustment,
        absolute_effects=gains,
        flag=flag,
        p_spline=_shape_p(pair, "interaction"),
        p_bend=_shape_p(pair, "association"),
        penalised=test is not None and test.question.penalised,
        effect_type=kind,
        p_without_influential=claim.p_without_influential,
        p_false_discovery=(asked or control).p_false_discovery,
        monte_carlo_error=None if test is None else test.monte_carlo_error,
        n_draws=max(t.n_draws if t is not None else 0 for t in (test, association)),
        seed=seed,
    )


def _claim(
    data: AnalysisSet | None,
    asked: Question | None,
    design: Design,
    open_gate: bool,
    seed: int,
    alpha: float,
) -> Claim:
    """Collect what a claim must show; the costly checks only where it is still alive."""
    if asked is None:
        return Claim(design)
    if asked.test is None or data is None:
        return Claim(design, not_fitted=asked.failure)
    test = asked.test
    claim = Claim(
        design, asked.p_adjusted, test.p, test.p_asymptotic, gate_open=open_gate or asked.stage == 1
    )
    alive = claim.p_adjusted is not None and claim.p_adjusted < alpha and test.p < alpha
    if not (alive or claim.only_asymptotic(alpha)):
        return claim
    by_arm = design == "observational"
    without = p_without_influential(data, test, seed, alpha, by_arm)
    claim = replace(claim, p_without_influential=without)
    if not alive:
        # Not needed to decide, but a reader who fits the model elsewhere must be told why.
        return claim
    return replace(
        claim,
        same_sign_on_ranks=same_sign_on_ranks(data, test, by_arm),
        comparison_faults=observational_faults(data, test) if by_arm else (),
    )


def _withheld(claim: Claim, control: Question, alpha: float) -> list[str]:
    """Reasons worth saying: not that a test simply was not significant."""
    if claim.design.startswith("single"):
        return [control.failure] if control.failure else []
    told = claim.p_adjusted is None or claim.p_adjusted < alpha or claim.only_asymptotic(alpha)
    return list(reasons_against(claim, alpha)) if told else []


def _status(
    cohort: Cohort,
    pair: Pair,
    asked: Question | None,
    design: Design,
    recorded: LedgerRow | None,
) -> tuple[bool, list[str]]:
    """Whether the interaction is confirmatory, and what stands against it."""
    limits: list[str] = []
    if pair.data is not None and pair.data.missing_differs:
        limits.append("missing values of the marker differ by arm or outcome")
    if pair.data is not None and pair.data.no_outcome_differs:
        limits.append("patients without the outcome differ by arm or by the marker")
    if asked is None or asked.stage != 1:
        return False, limits
    # The direction as it was written down, whatever the study says today.
    if recorded is not None and recorded.direction and asked.test is not None:
        helps = asked.test.ratio < 1 if _survival(cohort, pair) else asked.test.ratio > 1
        if asked.nested is not None and asked.nested.df > 1:
            limits.append("a direction was written down, and several levels have none in common")
        elif helps != (recorded.direction == "higher_is_better"):
            limits.append("the recorded hypothesis named the other direction")
    return design == "randomised" and not limits, limits


def _survival(cohort: Cohort, pair: Pair) -> bool:
    return cohort.outcomes[pair.endpoint].kind == "survival"


def _scale(cohort: Cohort, endpoint: str) -> str:
    """Name of the ratio; a hazard among competing events is named cause-specific."""
    declared = cohort.study.endpoints[endpoint]
    if not isinstance(declared, SurvivalEndpoint):
        return "odds ratio"
    return "cause-specific hazard ratio" if declared.competing else "hazard ratio"


def _shape_p(pair: Pair, family: str) -> float | None:
    return pair.shapes[family].p if family in pair.shapes else None


def _gains(data: AnalysisSet, cohort: Cohort, alpha: float) -> tuple[AbsoluteEffect, ...]:
    """Effects on the absolute scale: restricted mean or response first, then each horizon."""
    declared = cohort.study.endpoints[data.outcome.name]
    try:
        if not isinstance(declared, SurvivalEndpoint):
            return (absolute_effect(data, alpha=alpha),)
        found = [absolute_effect(data, at=declared.tau, alpha=alpha)]
    except (NotEstimableError, UsageError):
        return ()  # also where patients with this marker support less than the cohort does
    for horizon in declared.horizons:
        try:
            found.append(absolute_effect(data, "survival", horizon, alpha))
        except (NotEstimableError, UsageError):
            continue  # a horizon past what an arm supports carries no number
    return tuple(found)


def _flag(test: RatioTest | None, gain: AbsoluteEffect | None, alpha: float) -> str:
    """Say where the ratio and the absolute scale disagree; it changes no code."""
    if test is None or gain is None or math.isnan(gain.p):
        return ""
    on_ratio, on_absolute = test.p < alpha, gain.p < alpha
    if on_ratio and not on_absolute:
        return "found on the ratio scale only, before adjustment"
    if on_absolute and not on_ratio:
        return "found on the absolute scale only, before adjustment"
    return ""


def _counts(data: AnalysisSet | None, design: Design) -> dict[str, int]:
    """Patients and events by arm, and who is missing."""
    if data is None:
        names = ("n_treated", "n_control", "events_treated", "events_control", "n_missing")
        return dict.fromkeys(names, 0)
    arm = data.arm
    if arm is None:
        arm = np.full(len(data.rows), 0.0 if design == "single_arm_control" else 1.0)
    treated = arm == 1
    return {
        "n_treated": int(treated.sum()),
        "n_control": int((~treated).sum()),
        "events_treated": int((data.event & treated).sum()),
        "events_control": int((data.event & ~treated).sum()),
        "n_missing": data.n_missing,
        "missing_treated": data.missing_treated,
        "missing_control": data.missing_control,
        "missing_with_event": data.missing_with_event,
        "no_outcome_treated": data.no_outcome_treated,
        "no_outcome_control": data.no_outcome_control,
    }


def _triple(test: RatioTest | None) -> tuple[float, float, float] | None:
    if test is None or math.isnan(test.ratio):
        return None
    return test.ratio, test.low, test.high
