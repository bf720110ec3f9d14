"""Assess every marker on every endpoint: tests, their family, verdicts, and the ledger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.absolute import AbsoluteEffect, absolute_effect, supported_until
from biomarker.evidence.analysis_set import AnalysisSet, analysis_set
from biomarker.evidence.family import (
    Question,
    adjust,
    gate_open,
    ledger_row,
    set_stages,
    with_hypotheses,
)
from biomarker.evidence.interaction import RatioTest, ask_interaction
from biomarker.evidence.multiplicity import Ledger, LedgerRow, dataset_digest, specification
from biomarker.evidence.prognostic import ask_association
from biomarker.evidence.robustness import (
    effect_type,
    observational_faults,
    p_without_influential,
    proportionality,
    same_sign_on_ranks,
)
from biomarker.evidence.sentences import Told, sentence
from biomarker.evidence.shape import ShapeTest, ask_bend, ask_spline_interaction, shape_test
from biomarker.evidence.verdict import (
    PROPORTIONALITY_ALPHA,
    Claim,
    Design,
    Verdict,
    decide,
    reasons_against,
)
from biomarker.study import SurvivalEndpoint

__all__ = ["EvidenceResult", "assess"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EvidenceResult(Sequence[Verdict]):
    """Verdicts in order, primary endpoint first.

    Attributes
    ----------
    verdicts : tuple of Verdict
    ledger : Ledger
        Every test of every run so far, this one's at the end.
    dataset : str
        Digest under which the ledger counts this dataset.
    """

    verdicts: tuple[Verdict, ...]
    ledger: Ledger
    dataset: str

    def __len__(self) -> int:
        return len(self.verdicts)

    def __getitem__(self, index: Any) -> Any:
        return self.verdicts[index]


@dataclass
class _Pair:
    """One marker and endpoint."""

    marker: str
    endpoint: str
    data: AnalysisSet | None = None
    failure: str = ""
    questions: dict[str, Question] = field(default_factory=dict)
    shapes: dict[str, ShapeTest] = field(default_factory=dict)


def assess(
    cohort: Cohort,
    markers: Sequence[str] | None = None,
    alpha: float = 0.05,
    ledger: Ledger | None = None,
    random_state: int | None = None,
    *,
    curves: bool = True,
    threads: int = 1,
) -> EvidenceResult:
    """Say of each marker what the data can carry: prognostic, predictive, or not established.

    Two questions, each two-sided at ``alpha`` after its own adjustment: does the treatment's effect
    differ by the marker (log hazard or odds ratio), and does the marker go with the outcome under
    control. The first family is adjusted by step-down max-T over jointly redrawn outcomes; where
    the ledger holds further tests of the dataset, by Holm over all of them if that is larger.
    Hypotheses in the study are stage 1 if the ledger held no test of the dataset when they were
    first seen; an exploratory claim needs every stage-1 hypothesis confirmed, or none declared.

    The design is what the study declares, never what balance suggests. Proportional hazards are
    checked, and where they fail the wording keeps to the hazard-ratio scale.

    Parameters
    ----------
    cohort : Cohort
        One row a patient.
    markers : sequence of str, optional
        Columns declared as markers; all of them by default.
    alpha : float
    ledger : Ledger, optional
        Of earlier runs; never changed, a longer one is returned.
    random_state : int, optional
        Seed of the redrawn outcomes; 0 by default, so that a repeated call repeats its numbers. A
        dataset that the ledger knows keeps the seed of its first test: no second roll of the dice.
    curves : bool
        Whether the secondary spline tests are made too; no verdict depends on them.
    threads : int
        Tests drawn for side by side; results do not depend on it, to the bit.

    Returns
    -------
    EvidenceResult

    Raises
    ------
    UsageError
        If a name is no declared marker, patients repeat, alpha is no probability, or a declared
        limit lies beyond what both arms support.

    Notes
    -----
    999 outcomes are redrawn per test, 3,999 where some p lies near alpha.
    """
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha must lie between 0 and 1; got {alpha}.")
    names = list(cohort.study.with_role("marker") if markers is None else markers)
    if markers is None:
        names = [name for name in names if name in cohort.columns]
    if len(set(names)) < len(names):
        raise UsageError("markers must be distinct; got a name more than once.")
    dataset = dataset_digest(cohort)
    design = _design(cohort)
    _check_limits(cohort)
    book = with_hypotheses(ledger or Ledger(), cohort, dataset)
    seed = next((row.seed for row in book.tests(dataset) if row.n_draws), int(random_state or 0))
    pairs = [_pair(cohort, name, end, design) for end in _endpoints(cohort) for name in names]
    for family in ("interaction", "association"):
        asked = [pair.questions[family] for pair in pairs if family in pair.questions]
        set_stages(asked, book, dataset)
        adjust(asked, book, dataset, seed, alpha, threads)
        book = book.append(ledger_row(question, dataset) for question in asked)
    if curves:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda pair: _add_curves(pair, design, seed), pairs))
        book = book.append(row for pair in pairs for row in _curve_rows(cohort, pair, dataset))
    open_gate = gate_open(book, dataset, alpha)
    written = {row.specification: row for row in book if row.kind == "hypothesis"}
    verdicts = tuple(
        _verdict(cohort, pair, design, open_gate, _recorded(pair, written), seed, alpha)
        for pair in pairs
    )
    return EvidenceResult(verdicts, book, dataset)


def _design(cohort: Cohort) -> Design:
    """What the study declares; anything unstated is the weaker design.

    Raises
    ------
    UsageError
        If the study declares an arm that the file lacks: all patients in one arm is not what it
        says.
    """
    if cohort.treated is None:
        if cohort.study.arm_column is not None:
            raise UsageError(
                f"The cohort must hold the arm column {cohort.study.arm_column!r} that the study "
                "declares; the file lacks it. Add it, or declare a single-arm study."
            )
        control = cohort.study.single_arm == "control"
        return "single_arm_control" if control else "single_arm_treated"
    return "randomised" if cohort.study.randomised else "observational"


def _check_limits(cohort: Cohort) -> None:
    """Refuse a declared tau that the cohort's arms do not support, before any test is made."""
    if cohort.treated is None:
        return
    for name, outcome in cohort.outcomes.items():
        tau = getattr(cohort.study.endpoints[name], "tau", None)
        if tau is None:
            continue
        longest = supported_until(outcome.y["duration"], cohort.treated[outcome.included])
        if tau > longest:
            raise UsageError(
                f"tau of endpoint {name!r} must be at most about {longest:.2g}, where 10% of each "
                f"arm are still at risk; got {tau:g}. Beyond it the curves rest on a handful of "
                "patients."
            )


def _endpoints(cohort: Cohort) -> list[str]:
    """Endpoints the cohort has, the primary one first."""
    primary = cohort.study.primary_endpoint
    return sorted(cohort.outcomes, key=lambda name: name != primary)


def _pair(cohort: Cohort, marker: str, endpoint: str, design: Design) -> _Pair:
    """Fit what can be fitted for one marker and endpoint; note why the rest cannot."""
    pair = _Pair(marker, endpoint)
    try:
        pair.data = analysis_set(cohort, marker, endpoint)
    except NotEstimableError as error:
        pair.failure = _first(error)
    families = ["association"] if design.startswith("single") else ["interaction", "association"]
    for family in families:
        text = specification(cohort, family, marker, endpoint)
        question = Question(family, marker, endpoint, text, failure=pair.failure)
        if pair.data is not None:
            try:
                question.nested = (
                    ask_interaction(pair.data, adjust_arm=design == "observational")
                    if family == "interaction"
                    else ask_association(pair.data)
                )
            except NotEstimableError as error:
                question.failure = _first(error)
        pair.questions[family] = question
    return pair


_CURVES = {"interaction": "interaction_spline", "association": "association_bend"}


def _add_curves(pair: _Pair, design: Design, seed: int) -> None:
    """Make the secondary tests of curves where the marker allows one."""
    if pair.data is None:
        return
    for family in pair.questions:
        key = (_CURVES[family], pair.endpoint)
        try:
            question = (
                ask_spline_interaction(pair.data, design == "observational")
                if family == "interaction"
                else ask_bend(pair.data)
            )
            pair.shapes[family] = shape_test(question, seed, key)
        except NotEstimableError:
            continue


def _curve_rows(cohort: Cohort, pair: _Pair, dataset: str) -> list[LedgerRow]:
    """Secondary tests as the ledger keeps them: families of their own, which claim nothing."""
    return [
        LedgerRow(
            "test", dataset, specification(cohort, _CURVES[family], pair.marker, pair.endpoint),
            _CURVES[family], pair.marker, pair.endpoint, test.p, test.p_asymptotic,
            n_draws=test.n_draws, seed=test.seed,
        )
        for family, test in pair.shapes.items()
    ]  # fmt: skip


def _first(error: Exception) -> str:
    """The first clause of a message, to stand inside a sentence."""
    text = str(error).split(". ")[0].rstrip(".")
    return f"not estimable: {text}"


def _recorded(pair: _Pair, written: dict[str, LedgerRow]) -> LedgerRow | None:
    """The hypothesis about this interaction, as it was written down."""
    asked = pair.questions.get("interaction")
    return None if asked is None else written.get(asked.specification)


# -- one verdict --------------------------------------------------------------------------------


def _verdict(
    cohort: Cohort,
    pair: _Pair,
    design: Design,
    open_gate: bool,
    recorded: LedgerRow | None,
    seed: int,
    alpha: float,
) -> Verdict:
    """Put one marker's tests, checks and words together."""
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
    claim = Claim(design, asked.p_adjusted, test.p, gate_open=open_gate or asked.stage == 1)
    if claim.p_adjusted is None or not (claim.p_adjusted < alpha and test.p < alpha):
        return claim
    by_arm = design == "observational"
    return replace(
        claim,
        p_without_influential=p_without_influential(data, test, seed, alpha, by_arm),
        same_sign_on_ranks=same_sign_on_ranks(data, test, by_arm),
        comparison_faults=observational_faults(data, test) if by_arm else (),
    )


def _withheld(claim: Claim, control: Question, alpha: float) -> list[str]:
    """Reasons worth saying: not that a test simply was not significant."""
    if claim.design.startswith("single"):
        return [control.failure] if control.failure else []
    alive = claim.p_adjusted is None or claim.p_adjusted < alpha
    return list(reasons_against(claim, alpha)) if alive else []


def _status(
    cohort: Cohort,
    pair: _Pair,
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


def _survival(cohort: Cohort, pair: _Pair) -> bool:
    return cohort.outcomes[pair.endpoint].kind == "survival"


def _scale(cohort: Cohort, endpoint: str) -> str:
    """Name of the ratio; a hazard among competing events is named cause-specific."""
    declared = cohort.study.endpoints[endpoint]
    if not isinstance(declared, SurvivalEndpoint):
        return "odds ratio"
    return "cause-specific hazard ratio" if declared.competing else "hazard ratio"


def _shape_p(pair: _Pair, family: str) -> float | None:
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
