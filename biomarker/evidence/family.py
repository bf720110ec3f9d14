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
from biomarker.resampling import TaskKey

__all__ = ["Question", "adjust", "gate_open", "ledger_row", "set_stages", "with_hypotheses"]

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


def with_hypotheses(book: Ledger, cohort: Cohort, dataset: str) -> Ledger:
    """Write the study's hypotheses down, if no test of this dataset came before.

    One about a marker that the file lacks is written down too: it stays unconfirmed.
    """
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
            direction=h.direction or "",
        )
        for h in cohort.study.hypotheses
    )


def _hypotheses(book: Ledger, dataset: str) -> set[str]:
    return {r.specification for r in book if r.kind == "hypothesis" and r.dataset == dataset}


def set_stages(asked: Sequence[Question], book: Ledger, dataset: str) -> None:
    """Mark the questions that were written down before the first test of this dataset."""
    recorded = _hypotheses(book, dataset)
    for question in asked:
        question.stage = 1 if question.specification in recorded else 2


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
        draws[j] = draw_until_clear([nested[j]], seed, keys[j], alpha, threads=threads)[:, 0]
    if second:
        family = [nested[j] for j in second]
        earlier = _earlier(fitted, second, book, dataset)
        table = draw_until_clear(
            family, seed, [keys[j] for j in second], alpha,
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
        for hypothesis in sorted(_hypotheses(book, dataset) - here)
        if _family_of(book, dataset, hypothesis) == family
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


def _family_of(book: Ledger, dataset: str, text: str) -> str:
    return next(r.family for r in book if r.dataset == dataset and r.specification == text)


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
    )  # fmt: skip


def gate_open(book: Ledger, dataset: str, alpha: float) -> bool:
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
