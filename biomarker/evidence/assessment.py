"""Assess every marker on every endpoint: tests, their family, verdicts, and the ledger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.absolute import AbsoluteEffect, absolute_effect
from biomarker.evidence.analysis_set import AnalysisSet, analysis_set
from biomarker.evidence.calibration import Nested, calibrated_p, draw_until_clear
from biomarker.evidence.interaction import RatioTest, ask_interaction, ratio_from_draws
from biomarker.evidence.multiplicity import (
    Ledger,
    LedgerRow,
    benjamini_hochberg,
    common_scale,
    dataset_digest,
    holm,
    specification,
    step_down_max,
)
from biomarker.evidence.prognostic import ask_association
from biomarker.evidence.robustness import (
    effect_type,
    observational_faults,
    p_without_influential,
    proportionality,
    same_sign_on_ranks,
)
from biomarker.evidence.sentences import Told, sentence
from biomarker.evidence.verdict import Claim, Design, Verdict, decide, reasons_against

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
class _Question:
    """One test of one family on its way from data to an adjusted p."""

    family: str
    marker: str
    endpoint: str
    specification: str
    nested: Nested | None = None
    failure: str = ""
    stage: int = 2
    test: RatioTest | None = None
    p_adjusted: float | None = None
    p_false_discovery: float | None = None
    adjustment: str = ""
    family_size: int = 0


@dataclass
class _Pair:
    """One marker and endpoint."""

    marker: str
    endpoint: str
    data: AnalysisSet | None = None
    failure: str = ""
    questions: dict[str, _Question] = field(default_factory=dict)


def assess(
    cohort: Cohort,
    markers: Sequence[str] | None = None,
    alpha: float = 0.05,
    ledger: Ledger | None = None,
    random_state: int | None = None,
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
        Seed of the redrawn outcomes; 0 by default, so that a repeated call repeats its numbers.

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
    seed = 0 if random_state is None else int(random_state)
    dataset = dataset_digest(cohort)
    design = _design(cohort)
    book = _with_hypotheses(ledger or Ledger(), cohort, dataset)
    pairs = [_pair(cohort, name, end, design) for end in _endpoints(cohort) for name in names]
    for family in ("interaction", "association"):
        asked = [pair.questions[family] for pair in pairs if family in pair.questions]
        _set_stages(asked, book, dataset)
        _adjust(asked, book, dataset, seed, alpha)
        book = book.append(_row(question, dataset) for question in asked)
    open_gate = _gate_open(pairs, book, dataset, alpha)
    verdicts = tuple(_verdict(cohort, pair, design, open_gate, seed, alpha) for pair in pairs)
    return EvidenceResult(verdicts, book, dataset)


def _design(cohort: Cohort) -> Design:
    """What the study declares; anything unstated is the weaker design."""
    if cohort.treated is None:
        control = cohort.study.single_arm == "control"
        return "single_arm_control" if control else "single_arm_treated"
    return "randomised" if cohort.study.randomised else "observational"


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
        question = _Question(family, marker, endpoint, text, failure=pair.failure)
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


def _first(error: Exception) -> str:
    """The first clause of a message, to stand inside a sentence."""
    text = str(error).split(". ")[0].rstrip(".")
    return f"not estimable: {text}"


# -- the family ---------------------------------------------------------------------------------

_CLAIMS = {"predictive": "interaction", "prognostic": "association"}


def _with_hypotheses(book: Ledger, cohort: Cohort, dataset: str) -> Ledger:
    """Write the study's hypotheses down, if no test of this dataset came before."""
    if book.tests(dataset):
        return book
    return book.append(
        LedgerRow(
            "hypothesis",
            dataset,
            specification(cohort, _CLAIMS[h.claim], h.marker, h.endpoint),
            _CLAIMS[h.claim],
            h.marker,
            h.endpoint,
            stage=1,
        )
        for h in cohort.study.hypotheses
        if h.marker in cohort.columns
    )


def _hypotheses(book: Ledger, dataset: str) -> set[str]:
    return {r.specification for r in book if r.kind == "hypothesis" and r.dataset == dataset}


def _set_stages(asked: Sequence[_Question], book: Ledger, dataset: str) -> None:
    recorded = _hypotheses(book, dataset)
    for question in asked:
        question.stage = 1 if question.specification in recorded else 2


def _adjust(
    asked: Sequence[_Question], book: Ledger, dataset: str, seed: int, alpha: float
) -> None:
    """Draw for a whole family, then adjust stage 1 by Holm and stage 2 by max-T and the ledger."""
    fitted = [q for q in asked if q.nested is not None]
    if not fitted:
        return
    nested = [q.nested for q in fitted if q.nested is not None]
    second = [j for j, q in enumerate(fitted) if q.stage == 2]

    def joint(draws: Floats) -> Floats:
        seen = [float(common_scale(nested[j].likelihood_ratio, nested[j].df)) for j in second]
        table = [common_scale(draws[:, j], nested[j].df) for j in second]
        return step_down_max(seen, np.column_stack(table)) if second else np.empty(0)

    draws = draw_until_clear(
        nested, seed, [(q.family, q.endpoint) for q in fitted], alpha,
        hardest=lambda table: [float(p) for p in joint(table)],
    )  # fmt: skip
    for j, question in enumerate(fitted):
        question.test = ratio_from_draws(nested[j], draws[:, j], seed, alpha)
    p = np.array([calibrated_p(n.likelihood_ratio, draws[:, j]) for j, n in enumerate(nested)])
    _adjust_first_stage(fitted, p, book, dataset)
    _adjust_second_stage([fitted[j] for j in second], p[second], joint(draws), book, dataset)
    discovery = benjamini_hochberg(p)
    for j, question in enumerate(fitted):
        question.p_false_discovery = float(discovery[j])


def _adjust_first_stage(fitted: Sequence[_Question], p: Floats, book: Ledger, dataset: str) -> None:
    """Holm over recorded hypotheses: those of this run, and those tested in earlier ones."""
    first = [j for j, q in enumerate(fitted) if q.stage == 1]
    if not first:
        return
    family = fitted[first[0]].family
    here = {fitted[j].specification for j in first}
    others = [
        1.0 if (row := _tested(book, dataset, hypothesis)) is None or row.p is None else row.p
        for hypothesis in sorted(_hypotheses(book, dataset) - here)
        if _family_of(book, dataset, hypothesis) == family
    ]
    adjusted = holm([*p[first], *others])
    for k, j in enumerate(first):
        fitted[j].p_adjusted = float(adjusted[k])
        fitted[j].adjustment = "Holm over recorded hypotheses"
        fitted[j].family_size = len(adjusted)


def _adjust_second_stage(
    second: Sequence[_Question], p: Floats, joint: Floats, book: Ledger, dataset: str
) -> None:
    """Step-down max-T within the run; Holm over the ledger where that is larger."""
    if not second:
        return
    here = {q.specification for q in second}
    earlier = [
        row.p
        for row in book.tests(dataset, second[0].family)
        if row.p is not None and row.stage == 2 and row.specification not in here
    ]
    over_all = holm([*p, *earlier])[: len(second)] if earlier else np.zeros(len(second))
    for k, question in enumerate(second):
        larger = over_all[k] > joint[k]
        question.p_adjusted = float(over_all[k] if larger else joint[k])
        question.adjustment = "Holm over the ledger" if larger else "step-down max-T"
        question.family_size = len(second) + len(earlier)


def _tested(book: Ledger, dataset: str, text: str) -> LedgerRow | None:
    return next((r for r in book.tests(dataset) if r.specification == text), None)


def _family_of(book: Ledger, dataset: str, text: str) -> str:
    return next(r.family for r in book if r.dataset == dataset and r.specification == text)


def _row(question: _Question, dataset: str) -> LedgerRow:
    """One test as the ledger keeps it."""
    test = question.test
    return LedgerRow(
        "test", dataset, question.specification, question.family, question.marker,
        question.endpoint,
        p=None if test is None else test.p,
        p_asymptotic=None if test is None else test.p_asymptotic,
        stage=question.stage,
        n_draws=0 if test is None else test.n_draws,
        seed=0 if test is None else test.seed,
    )  # fmt: skip


def _gate_open(pairs: Sequence[_Pair], book: Ledger, dataset: str, alpha: float) -> bool:
    """Whether exploration may claim: every recorded hypothesis was rejected, or there is none."""
    for family in ("interaction", "association"):
        texts = [
            row.specification
            for row in book
            if row.kind == "hypothesis" and row.dataset == dataset and row.family == family
        ]
        if not texts:
            continue
        tested = [_tested(book, dataset, text) for text in texts]
        p = [1.0 if row is None or row.p is None else row.p for row in tested]
        if not np.all(holm(p) < alpha):
            return False
    return True


# -- one verdict --------------------------------------------------------------------------------


def _verdict(
    cohort: Cohort, pair: _Pair, design: Design, open_gate: bool, seed: int, alpha: float
) -> Verdict:
    """Put one marker's tests, checks and words together."""
    data = pair.data
    asked, control = pair.questions.get("interaction"), pair.questions["association"]
    test, association = (asked.test if asked else None), control.test
    claim = _claim(data, asked, design, open_gate, seed, alpha)
    code = decide(claim, control.p_adjusted, alpha)
    gain = None if data is None or data.arm is None else _gain(data, cohort, alpha)
    ph_p = None if data is None or test is None else proportionality(data, test)
    claimed = not reasons_against(claim, alpha)
    kind = effect_type(data, test, alpha) if claimed and data is not None and test else None
    scale = "hazard ratio" if cohort.outcomes[pair.endpoint].kind == "survival" else "odds ratio"
    detectable = None if test is None else test.detectable(0.80, alpha)
    confirmatory, limits = _status(cohort, pair, asked, design)
    reason = "; ".join([*_withheld(claim, control, alpha), *limits])
    told = Told(
        pair.marker, pair.endpoint, code, design, scale,
        "" if data is None else data.contrast, alpha, confirmatory,
        ratio=_triple(test), p_adjusted=claim.p_adjusted,
        family_size=(asked or control).family_size, detectable=detectable,
        association=_triple(association), ph_p=ph_p, effect_type=kind, reason=reason,
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
        absolute_measure="" if gain is None else gain.measure,
        effect_type=kind,
        p_without_influential=claim.p_without_influential,
        p_false_discovery=(asked or control).p_false_discovery,
        monte_carlo_error=None if test is None else test.monte_carlo_error,
        n_draws=max(t.n_draws if t is not None else 0 for t in (test, association)),
        seed=seed,
    )


def _claim(
    data: AnalysisSet | None,
    asked: _Question | None,
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


def _withheld(claim: Claim, control: _Question, alpha: float) -> list[str]:
    """Reasons worth saying: not that a test simply was not significant."""
    if claim.design.startswith("single"):
        return [control.failure] if control.failure else []
    alive = claim.p_adjusted is None or claim.p_adjusted < alpha
    return list(reasons_against(claim, alpha)) if alive else []


def _status(
    cohort: Cohort, pair: _Pair, asked: _Question | None, design: Design
) -> tuple[bool, list[str]]:
    """Whether the interaction is confirmatory, and what stands against it."""
    limits: list[str] = []
    if pair.data is not None and pair.data.missing_differs:
        limits.append("missing values of the marker differ by arm or outcome")
    if asked is None or asked.stage != 1:
        return False, limits
    for h in cohort.study.hypotheses:
        same = (h.marker, h.endpoint, h.claim) == (pair.marker, pair.endpoint, "predictive")
        if same and h.direction is not None and asked.test is not None:
            helps = asked.test.ratio < 1 if _survival(cohort, pair) else asked.test.ratio > 1
            if helps != (h.direction == "higher_is_better"):
                limits.append("the recorded hypothesis named the other direction")
    return design == "randomised" and not limits, limits


def _survival(cohort: Cohort, pair: _Pair) -> bool:
    return cohort.outcomes[pair.endpoint].kind == "survival"


def _gain(data: AnalysisSet, cohort: Cohort, alpha: float) -> AbsoluteEffect | None:
    """The effect on the absolute scale, up to the declared limit or the longest supported."""
    declared = getattr(cohort.study.endpoints[data.outcome.name], "tau", None)
    try:
        return absolute_effect(data, at=declared, alpha=alpha)
    except NotEstimableError:
        return None


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
    }


def _triple(test: RatioTest | None) -> tuple[float, float, float] | None:
    if test is None or math.isnan(test.ratio):
        return None
    return test.ratio, test.low, test.high
