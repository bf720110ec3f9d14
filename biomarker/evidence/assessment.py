"""Assess every marker on every endpoint: tests, their family, verdicts, and the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from biomarker.cohort import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.absolute import supported_until
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.calibration import SMALLEST_ALPHA
from biomarker.evidence.conclusion import Pair, conclude
from biomarker.evidence.family import (
    Question,
    adjust,
    gate_open,
    ledger_row,
    recorded,
    set_stages,
    with_hypotheses,
)
from biomarker.evidence.interaction import ask_interaction
from biomarker.evidence.multiplicity import Ledger, LedgerRow, dataset_digest, specification
from biomarker.evidence.prognostic import ask_association
from biomarker.evidence.shape import ask_bend, ask_spline_interaction, shape_test
from biomarker.evidence.verdict import Design, Verdict

__all__ = ["EvidenceResult", "assess", "check_choices"]


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
    first seen; an exploratory claim that the effect of treatment differs needs every stage-1
    hypothesis confirmed (by Holm, at the level and in the direction written down), or none
    declared.

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
        If a name is no declared marker, patients repeat, alpha is below .0001 or not below 1, the
        seed is negative, or a declared limit lies beyond what both arms support.

    Notes
    -----
    999 outcomes are redrawn per test, 3,999 where an adjusted p of its family lies near alpha, and
    up to 99,999 where alpha is small or many tests came before.
    """
    check_choices(alpha, random_state)
    names = list(cohort.study.with_role("marker") if markers is None else markers)
    if markers is None:
        names = [name for name in names if name in cohort.columns]
    if len(set(names)) < len(names):
        raise UsageError("markers must be distinct; got a name more than once.")
    dataset = dataset_digest(cohort)
    design = _design(cohort)
    _check_limits(cohort)
    book = with_hypotheses(ledger or Ledger(), cohort, dataset, alpha)
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
    written = recorded(book, dataset)
    verdicts = tuple(
        conclude(cohort, pair, design, open_gate, written, seed, alpha) for pair in pairs
    )
    return EvidenceResult(verdicts, book, dataset)


def check_choices(alpha: float, random_state: int | None = None) -> None:
    """Refuse a level or a seed that :func:`assess` cannot use.

    Raises
    ------
    UsageError
        If alpha is below .0001 or not below 1, or the seed is negative.
    """
    if not SMALLEST_ALPHA <= alpha < 1.0:
        raise UsageError(
            f"alpha must lie between {SMALLEST_ALPHA:.4f} and 1; got {alpha}. Redrawn outcomes "
            "cannot tell smaller p-values apart."
        )
    if random_state is not None and random_state < 0:
        raise UsageError(f"seed (random_state) must be at least 0; got {random_state}.")


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


def _pair(cohort: Cohort, marker: str, endpoint: str, design: Design) -> Pair:
    """Fit what can be fitted for one marker and endpoint; note why the rest cannot."""
    pair = Pair(marker, endpoint)
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


def _add_curves(pair: Pair, design: Design, seed: int) -> None:
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


def _curve_rows(cohort: Cohort, pair: Pair, dataset: str) -> list[LedgerRow]:
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
