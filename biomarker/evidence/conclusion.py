"""From the tests of one marker and endpoint to its verdict: code, limits, checks and words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from biomarker.cohort import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.absolute import AbsoluteEffect, absolute_effect
from biomarker.evidence.analysis_set import AnalysisSet, counts, ratio_scale
from biomarker.evidence.family import Question, direction_of
from biomarker.evidence.interaction import RatioTest
from biomarker.evidence.multiplicity import LedgerRow
from biomarker.evidence.robustness import (
    OVERLAP,
    compared,
    effect_type,
    n_influential,
    p_without_influential,
    proportionality,
    same_sign_on_ranks,
)
from biomarker.evidence.sentences import Told, ratio_number, sentence
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
    written: Mapping[str, LedgerRow],
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
    written : mapping
        Hypotheses of this dataset by specification, as they were written down.
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
    family = (asked or control).family_size
    gain = gains[0] if gains else None
    ph_p = None if data is None else proportionality(data, test, association)
    claimed = not reasons_against(claim, alpha)
    proportional = ph_p is None or ph_p >= PROPORTIONALITY_ALPHA
    kind = None
    if claimed and proportional and data is not None and test is not None:
        kind = effect_type(data, test, alpha)
    scale = ratio_scale(cohort.outcomes[pair.endpoint])
    detectable = None if test is None else test.detectable(0.80, alpha / max(1, family))
    confirmatory, limits = _status(pair, asked, design, written, alpha)
    if _turned(control, written.get(control.specification)):
        limits.append("the recorded hypothesis about its association named the other direction")
    penalised = [
        name
        for name, found in (("interaction", test), ("association", association))
        if found is not None and found.question.penalised
    ]
    if penalised:
        limits.append(
            f"the plain likelihood of the {' and the '.join(penalised)} has no maximum (a group "
            "without events or with nothing else, or more columns than these patients carry), and "
            "Firth's penalised one is used"
        )
    if claim.comparison_shown is not None:
        inside, weighted = claim.comparison_shown
        limits.append(
            f"{inside:.0%} of patients have a propensity of treatment between {OVERLAP[0]} and "
            f"{OVERLAP[1]}, and weighted by it the ratio is {ratio_number(weighted)}"
        )
    others: tuple[tuple[str, tuple[float, float, float]], ...] = ()
    if data is not None and test is not None:
        others = tuple(zip(data.other_contrasts, test.others, strict=True))
    reason = "; ".join([*_withheld(claim, control, alpha), *limits])
    # Not adjusted for covariates: in a comparison that is not randomised no second opinion.
    flag = "" if design == "observational" else _flag(test, gain, alpha)
    told = Told(
        pair.marker, pair.endpoint, code, design, scale,
        "" if data is None else data.contrast, alpha, confirmatory,
        ratio=_triple(test), p_adjusted=claim.p_adjusted,
        family_size=family, detectable=detectable,
        association=_triple(association), p_association=control.p_adjusted,
        ph_p=ph_p, effect_type=kind, reason=reason,
        gain=gain, unit=getattr(cohort.study.endpoints[pair.endpoint], "unit", ""), flag=flag,
        others=others,
        arm_stated=cohort.treated is not None or cohort.study.single_arm is not None,
    )  # fmt: skip
    ratio, low, high = _triple(test) or (None, None, None)
    hr, hr_low, hr_high = _triple(association) or (None, None, None)
    return Verdict(
        marker=pair.marker,
        endpoint=pair.endpoint,
        verdict=code,
        design=design,
        scale=scale,
        contrast=told.contrast,
        **counts(cohort, pair.marker, pair.endpoint),
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
        family_size=family,
        ph_p=ph_p,
        reason=reason,
        sentence=sentence(told),
        adjustment=(asked or control).adjustment,
        others=others,
        alpha=alpha,
        absolute_effects=gains,
        flag=flag,
        p_spline=_shape_p(pair, "interaction"),
        p_bend=_shape_p(pair, "association"),
        penalised=bool(penalised),
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
    faults, shown = compared(data, test) if by_arm and alive else ((), None)
    without = p_without_influential(data, test, seed, alpha, by_arm)
    claim = replace(
        claim,
        p_without_influential=without,
        left_out=f"{n_influential(data)} most influential of {len(data.rows):,} patients",
    )
    if not alive:
        # Not needed to decide, but a reader who fits the model elsewhere must be told why.
        return claim
    return replace(
        claim,
        same_sign_on_ranks=same_sign_on_ranks(data, test, by_arm),
        comparison_faults=faults,
        comparison_shown=shown,
    )


def _withheld(claim: Claim, control: Question, alpha: float) -> list[str]:
    """Reasons worth saying: not that a test simply was not significant."""
    if claim.design.startswith("single"):
        return [control.failure] if control.failure else []
    told = claim.p_adjusted is None or claim.p_adjusted < alpha or claim.only_asymptotic(alpha)
    return list(reasons_against(claim, alpha)) if told else []


def _status(
    pair: Pair,
    asked: Question | None,
    design: Design,
    written: Mapping[str, LedgerRow],
    alpha: float,
) -> tuple[bool, list[str]]:
    """Whether the interaction is confirmatory, and what stands against it."""
    limits: list[str] = []
    if pair.data is not None and pair.data.missing_differs:
        limits.append("missing values of the marker differ by arm or outcome")
    if pair.data is not None and pair.data.no_outcome_differs:
        limits.append("patients without the outcome differ by arm or by the marker")
    if asked is None or asked.stage != 1:
        return False, limits
    # Direction and level as they were written down, whatever is asked for today.
    hypothesis = written.get(asked.specification)
    if hypothesis is not None and hypothesis.direction and asked.test is not None:
        if asked.nested is not None and asked.nested.df > 1:
            limits.append("a direction was written down, and several levels have none in common")
        elif _turned(asked, hypothesis):
            limits.append("the recorded hypothesis named the other direction")
    if hypothesis is not None and hypothesis.alpha is not None and alpha > hypothesis.alpha:
        limits.append(f"the hypothesis was written down to be judged at alpha {hypothesis.alpha:g}")
    return design == "randomised" and not limits, limits


def _turned(question: Question, hypothesis: LedgerRow | None) -> bool:
    """Whether an estimate points the other way than was written down."""
    if hypothesis is None or not hypothesis.direction:
        return False
    return direction_of(question) not in ("", hypothesis.direction)


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
    if test is None or gain is None or math.isnan(gain.p) or test.others:
        return ""  # a joint test of several contrasts is not held against one of them
    on_ratio, on_absolute = test.p < alpha, gain.p < alpha
    if on_ratio and not on_absolute:
        return "found on the ratio scale only, before adjustment"
    if on_absolute and not on_ratio:
        return "found on the absolute scale only, before adjustment"
    return ""


def _triple(test: RatioTest | None) -> tuple[float, float, float] | None:
    if test is None or math.isnan(test.ratio):
        return None
    return test.ratio, test.low, test.high
