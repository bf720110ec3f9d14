"""Verdicts in words, for a terminal."""

from __future__ import annotations

import textwrap
from typing import Any

from biomarker.evidence.sentences import ratio_number
from biomarker.evidence.verdict import Verdict
from pipelines.evidence_results import Evidence
from pipelines.terminal import table

__all__ = [
    "VERDICTS",
    "evidence_table",
    "evidence_text",
    "p_words",
    "ratio_words",
    "train_evidence",
]

VERDICTS = {
    "predictive_and_prognostic": "predictive and prognostic",
    "predictive": "predictive",
    "prognostic": "prognostic",
    "not_established": "not established",
    "associated_under_treatment": "associated under treatment",
    "not_estimable": "not estimable",
}

_WIDTH = 96
_INTERVALS = "Intervals are of one test each; the adjusted p counts all."


def evidence_text(evidence: Evidence) -> str:
    """What ``biomarker evidence`` prints: the table, a sentence a verdict, the ledger's size."""
    parts = [evidence_table(evidence)]
    if any(verdict.ratio is not None for verdict in evidence.verdicts):
        parts += ["Interaction ratio: effect in treated over effect in control. " + _INTERVALS]
    elif any(verdict.hr_control is not None for verdict in evidence.verdicts):
        parts += [_INTERVALS]
    for verdict in evidence.verdicts:
        parts += ["", textwrap.fill(verdict.sentence, _WIDTH, break_on_hyphens=False)]
    parts += ["", f"Ledger   {evidence.ledger_words()}"]
    dataset = "" if evidence.result is None else evidence.result.dataset
    parts += [f"Dataset  {dataset[:16]}"]
    return "\n".join(parts)


def evidence_table(evidence: Evidence) -> str:
    """One row a marker and endpoint."""
    return table([_row(verdict) for verdict in evidence.verdicts])


def train_evidence(evidence: Evidence) -> str:
    """The table and the ledger's size after a training run, or why there is none."""
    if evidence.result is None:
        return textwrap.fill(f"Evidence not assessed: {evidence.refused}", _WIDTH)
    return f"{evidence_table(evidence)}\n{evidence.ledger_words()}"


def _row(verdict: Verdict) -> dict[str, Any]:
    row: dict[str, Any] = {
        "marker": verdict.marker,
        "endpoint": verdict.endpoint,
        "verdict": VERDICTS[verdict.verdict],
    }
    if verdict.design.startswith("single_arm"):
        return row | {
            "association": f"{verdict.scale} " + ratio_words(
                verdict.hr_control, verdict.hr_control_low, verdict.hr_control_high),
            "adjusted p": p_words(verdict.p_prognostic_adjusted),
            "patients": verdict.n_treated + verdict.n_control,
            "events": verdict.events_treated + verdict.events_control,
        }  # fmt: skip
    return row | {
        "interaction ratio": ratio_words(verdict.ratio, verdict.ratio_low, verdict.ratio_high),
        "adjusted p": p_words(verdict.p_adjusted),
        "patients": verdict.n_treated + verdict.n_control,
        "events treated, control": f"{verdict.events_treated}/{verdict.n_treated}, "
        f"{verdict.events_control}/{verdict.n_control}",
        "standing": "confirmatory" if verdict.confirmatory else "exploratory",
    }


def ratio_words(value: float | None, low: float | None, high: float | None) -> str:
    """``0.753 (0.574 to 0.986)``; an end without limit in words.

    Examples
    --------
    >>> ratio_words(0.7531, 0.574, float("inf"))
    '0.753 (0.574 to no limit)'
    >>> ratio_words(1.52, 0.00004, 1319.6)
    '1.52 (<0.001 to 1,320)'
    >>> ratio_words(None, None, None)
    'not estimable'
    """
    if value is None:
        return "not estimable"
    if low is None or high is None:
        return ratio_number(value)
    return f"{ratio_number(value)} ({ratio_number(low)} to {ratio_number(high)})"


def p_words(p: float | None) -> str:
    """A p-value at three decimals, never zero.

    Examples
    --------
    >>> p_words(0.0625), p_words(0.0002), p_words(None)
    ('0.062', '< 0.001', '–')
    """
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
