"""One family of tests: drawn together, adjusted together, held against the ledger and the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.evidence.calibration import (
    Nested,
    calibrated_p,
    comparable,
    draw_until_clear,
)
from biomarker.evidence.interaction import RatioTest, ratio_from_draws
from biomarker.evidence.multiplicity import (
    Ledger,
    LedgerRow,
    benjamini_hochberg,
    holm,
    specification,
    step_down_max,
)
from biomarker.evidence.regressions import HazardRegression
from biomarker.resampling import TaskKey

__all__ = [
    "Question",
    "adjust",
    "direction_of",
    "gate_open",
    "ledger_row",
    "recorded",
    "set_stages",
    "with_hypotheses",
]

Floats = npt.NDArray[np.float64]


@dataclass
class Question:
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


_CLAIMS = {"predictive": "interaction", "prognostic": "association"}


def with_hypotheses(book: Ledger, cohort: Cohort, dataset: str, alpha: float = 0.05) -> Ledger:
    """Write the study's hypotheses down, if no outcome of this dataset was analysed before.

    One about a marker that the file lacks is written down too: it stays unconfirmed. So is the
    level they are to be judged at.
    """
    if book.analysed(dataset):
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
            direction=h.direction or "",
            alpha=alpha,
        )
        for h in cohort.study.hypotheses
    )


def recorded(book: Ledger, dataset: str, family: str | None = None) -> dict[str, LedgerRow]:
    """Hypotheses of a dataset (and family) by specification, as they were written down."""
    return {
        row.specification: row
        for row in book
        if row.kind == "hypothesis" and row.dataset == dataset and family in (None, row.family)
    }


def set_stages(asked: Sequence[Question], book: Ledger, dataset: str) -> None:
    """Mark the questions that were written down before the first test of this dataset."""
    written = recorded(book, dataset)
    for question in asked:
        question.stage = 1 if question.specification in written else 2


def adjust(
    asked: Sequence[Question], book: Ledger, dataset: str, seed: int, alpha: float, threads: int = 1
) -> None:
    """Draw for a whole family, then adjust stage 1 by Holm and stage 2 by max-T and the ledger."""
    fitted = [q for q in asked if q.nested is not None]
    if not fitted:
        return
    nested = [q.nested for q in fitted if q.nested is not None]
    keys: list[TaskKey] = [(q.family, q.endpoint) for q in fitted]
    first = [j for j, q in enumerate(fitted) if q.stage == 1]
    second = [j for j, q in enumerate(fitted) if q.stage == 2]
    draws: dict[int, Floats] = {}
    for j in first:
        # Alone, so that nothing explored beside it can change a confirmatory result.
        count = len(recorded(book, dataset, fitted[j].family))
        draws[j] = draw_until_clear(
            [nested[j]], seed, keys[j], alpha, tests=count, threads=threads
        )[:, 0]
    if second:
        family = [nested[j] for j in second]
        earlier = _earlier(fitted, second, book, dataset)
        table = draw_until_clear(
            family, seed, [keys[j] for j in second], alpha, tests=1 + len(earlier),
            decisive=lambda table: list(_within_and_over(family, table, earlier).max(axis=0)),
            threads=threads,
        )  # fmt: skip
        draws |= {j: table[:, k] for k, j in enumerate(second)}
        within, over = _within_and_over(family, table, earlier)
        for k, j in enumerate(second):
            larger = over[k] > within[k]
            fitted[j].p_adjusted = float(max(within[k], over[k]))
            fitted[j].adjustment = "Holm over the ledger" if larger else "step-down max-T"
            fitted[j].family_size = len(second) + len(earlier)
    for j, question in enumerate(fitted):
        question.test = ratio_from_draws(nested[j], draws[j], seed, alpha)
    p = np.array([calibrated_p(n.likelihood_ratio, draws[j]) for j, n in enumerate(nested)])
    _adjust_first_stage(fitted, first, p, book, dataset)
    discovery = benjamini_hochberg(p)
    for j, question in enumerate(fitted):
        question.p_false_discovery = float(discovery[j])


def _adjust_first_stage(
    fitted: Sequence[Question], first: Sequence[int], p: Floats, book: Ledger, dataset: str
) -> None:
    """Holm over recorded hypotheses: those of this run, and those tested in earlier ones."""
    if not first:
        return
    family = fitted[first[0]].family
    here = {fitted[j].specification for j in first}
    others = [
        1.0 if (row := _tested(book, dataset, hypothesis)) is None or row.p is None else row.p
        for hypothesis in sorted(set(recorded(book, dataset, family)) - here)
    ]
    adjusted = holm([*p[list(first)], *others])
    for k, j in enumerate(first):
        fitted[j].p_adjusted = float(adjusted[k])
        fitted[j].adjustment = "Holm over recorded hypotheses"
        fitted[j].family_size = len(adjusted)


def _earlier(
    fitted: Sequence[Question], second: Sequence[int], book: Ledger, dataset: str
) -> list[float]:
    """Explored p-values of earlier runs that this one does not ask again."""
    here = {fitted[j].specification for j in second}
    return [
        row.p
        for row in book.tests(dataset, fitted[second[0]].family)
        if row.p is not None and row.stage == 2 and row.specification not in here
    ]


def _within_and_over(family: Sequence[Nested], draws: Floats, earlier: list[float]) -> Floats:
    """Adjusted p-values by step-down max-T within the run, and by Holm over the ledger."""
    over = np.zeros(len(family))
    if earlier:
        p = [calibrated_p(q.likelihood_ratio, draws[:, k]) for k, q in enumerate(family)]
        over = holm([*p, *earlier])[: len(family)]
    alike = len({q.df for q in family}) == 1
    seen = [float(comparable(q.likelihood_ratio, q.df, alike)) for q in family]
    table = np.column_stack([comparable(draws[:, k], q.df, alike) for k, q in enumerate(family)])
    return np.vstack([step_down_max(seen, table), over])


def _tested(book: Ledger, dataset: str, text: str) -> LedgerRow | None:
    return next((r for r in book.tests(dataset) if r.specification == text), None)


def ledger_row(question: Question, dataset: str) -> LedgerRow:
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
        direction=direction_of(question),
    )  # fmt: skip


def direction_of(question: Question) -> str:
    """Which way an estimate points: whether a higher marker, or more benefit with it, is better.

    Empty where nothing was estimated, or several levels have no direction in common.
    """
    if question.test is None or question.nested is None or question.nested.df > 1:
        return ""
    survival = isinstance(question.nested.regression, HazardRegression)
    return "higher_is_better" if (question.test.ratio < 1) == survival else "higher_is_worse"


def gate_open(book: Ledger, dataset: str, alpha: float) -> bool:
    """Whether exploration may claim: every recorded hypothesis was confirmed, or there is none.

    Confirmed is what is rejected by Holm at the level written down, and points the way it named.
    """
    for family in ("interaction", "association"):
        written = recorded(book, dataset, family)
        if not written:
            continue
        p = [_p_of(hypothesis, _tested(book, dataset, t)) for t, hypothesis in written.items()]
        levels = [alpha if h.alpha is None else min(alpha, h.alpha) for h in written.values()]
        if not np.all(holm(p) < np.array(levels)):
            return False
    return True


def _p_of(hypothesis: LedgerRow, test: LedgerRow | None) -> float:
    """P-value of a hypothesis; 1 where it was not tested, or its test points the other way."""
    if test is None or test.p is None:
        return 1.0
    return test.p if hypothesis.direction in ("", test.direction) else 1.0
