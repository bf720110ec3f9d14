"""What an assessment hands to reports, tracking and training: verdicts and the ledger's size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from biomarker.cohort import Cohort
from biomarker.evidence.assessment import EvidenceResult
from biomarker.evidence.multiplicity import LedgerRow
from biomarker.evidence.verdict import Verdict
from pipelines.evidence_looks import Looks

__all__ = ["Evidence"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Verdicts of one cohort beside the size of the ledger they were adjusted with.

    Attributes
    ----------
    cohort : Cohort
        Kept in memory for words and figures; never stored.
    result : EvidenceResult or None
        None where the assessment was refused.
    alpha : float
    seed : int
        Of the redrawn outcomes: that of the dataset's first test, whatever is asked for later.
    n_tests : int
        Tests of this dataset in the ledger, those of this run included.
    n_tests_here : int
        Tests this run made, whether or not an earlier one had made them.
    n_tests_added : int
        Those of them the ledger did not hold before.
    refused : str
        Why nothing was assessed; empty where it was.
    looks : Looks or None
        Displays beside the verdicts; None where they were not asked for.
    """

    cohort: Cohort
    result: EvidenceResult | None
    alpha: float
    seed: int
    n_tests: int = 0
    n_tests_here: int = 0
    n_tests_added: int = 0
    refused: str = ""
    looks: Looks | None = None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One per marker and endpoint, the primary endpoint first."""
        return () if self.result is None else self.result.verdicts

    @property
    def recorded_hypotheses(self) -> tuple[LedgerRow, ...]:
        """Hypotheses that stood in the ledger before the dataset's first test."""
        if self.result is None:
            return ()
        dataset = self.result.dataset
        return tuple(
            row for row in self.result.ledger if row.kind == "hypothesis" and row.dataset == dataset
        )

    def ledger_words(self) -> str:
        """The ledger's size in a sentence."""
        tests = "1 test" if self.n_tests == 1 else f"{self.n_tests:,} tests"
        again = self.n_tests_here - self.n_tests_added
        repeated = f" ({again:,} of them made before)" if again else ""
        return f"{tests} of this dataset so far, of which this run {self.n_tests_here:,}{repeated}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form: the records and the ledger's size; no patient values."""
        study = self.cohort.study
        return {
            "study": study.name,
            "dataset": "" if self.result is None else self.result.dataset[:16],
            "study_digest": study.digest[:16],
            "alpha": self.alpha,
            "seed": self.seed,
            "records": [verdict.record() for verdict in self.verdicts],
            "contrasts": [
                {"marker": v.marker, "endpoint": v.endpoint, "contrast": name,
                 **_finite("ratio", *values)}
                for v in self.verdicts for name, values in v.others
            ],
            "between_quartiles": [
                {
                    "marker": v.marker,
                    "endpoint": v.endpoint,
                    **_finite("change", e.quartiles, e.quartiles_low, e.quartiles_high),
                }
                for v in self.verdicts
                for e in v.absolute_effects[:1]
            ],
            "ledger": {
                "tests_of_this_dataset": self.n_tests,
                "tests_of_this_run": self.n_tests_here,
                "added_by_this_run": self.n_tests_added,
                "hypotheses": [
                    {"marker": row.marker, "endpoint": row.endpoint, "family": row.family,
                     "recorded": row.recorded}
                    for row in self.recorded_hypotheses
                ],
            },
            **({} if self.looks is None else self.looks.to_dict()),
            **({"refused": self.refused} if self.refused else {}),
        }  # fmt: skip


def _finite(name: str, *values: float) -> dict[str, float | None]:
    """A value, and its interval where it has one, for JSON: what is not finite is null."""
    return {
        f"{name}{end}": value if math.isfinite(value) else None
        for end, value in zip(("", "_low", "_high"), values, strict=False)
    }
