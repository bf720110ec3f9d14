"""Counts and medians of the cohort: who was studied, and what is missing. Nothing is estimated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.figures.cohort import missing_shares
from biomarker.parsing import State
from pipelines.report.parts import Figure, Table
from pipelines.report.words import percent, significant
from pipelines.results import StudyRun
from pipelines.summary import CohortSummary

__all__ = [
    "arm_label",
    "arm_names",
    "counted",
    "label_of",
    "missing_figure",
    "missingness",
    "table_one",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def label_of(cohort: Cohort, name: str) -> str:
    """The words a reader knows a column by."""
    column = cohort.study.columns.get(name)
    return (column.label if column else None) or name


def arm_names(cohort: Cohort) -> tuple[tuple[str, Bools], ...]:
    """Arms by their declared levels with the rows in each; empty without an arm column."""
    arm, treated = cohort.study.arm_column, cohort.treated
    if arm is None or treated is None:
        return ()
    column = cohort.study.columns[arm]
    others = [level for level in column.levels if level not in column.control]
    control, rest = " or ".join(column.control), " or ".join(others)
    return (
        (control if "control" in control.lower() else f"{control} (control)", ~treated),
        (rest if len(rest) < 28 else "any other", treated),
    )


def counted(run: StudyRun) -> str:
    """What counts, curves and calibration plots count: patients, or their rows."""
    return "patients" if run.summary.n_rows == run.summary.n_patients else "rows"


def arm_label(cohort: Cohort) -> str:
    """The words a reader knows the arm column by; empty without one."""
    arm = cohort.study.arm_column
    return label_of(cohort, arm) if arm is not None else ""


def table_one(cohort: Cohort) -> Table:
    """Baseline columns, overall and by arm: median and quartiles, or counts; missing counted."""
    groups: list[tuple[str, Bools]] = [("All", np.ones(cohort.n_rows, bool)), *arm_names(cohort)]
    rows: list[tuple[str, ...]] = []
    for name in cohort.features:
        if name == cohort.study.arm_column:
            continue
        rows.extend(_baseline_rows(cohort, name, [mask for _, mask in groups]))
    head = ("Baseline column", *(f"{name}, n = {int(mask.sum()):,}" for name, mask in groups))
    return Table(
        "Table 1. Patients at baseline: median (first to third quartile), or number (share of "
        "those known).",
        head,
        tuple(rows),
    )


def _baseline_rows(cohort: Cohort, name: str, masks: list[Bools]) -> list[tuple[str, ...]]:
    """The rows of one column of the file."""
    column, parsed = cohort.study.columns[name], cohort.columns[name]
    values = parsed.values
    unit = f", {column.unit}" if column.unit else ""
    label = label_of(cohort, name) + unit
    rows: list[tuple[str, ...]] = []
    if column.kind in (None, "continuous"):
        rows.append((label, *(_quartiles(values[mask]) for mask in masks)))
    else:
        rows.append((label, *("" for _ in masks)))
        for code, level in enumerate(column.levels):
            if np.any(values == code):
                rows.append((f"  {level}", *(_share(values[mask] == code, values[mask])
                                             for mask in masks)))  # fmt: skip
    for words, state in (
        ("  below detection limit", State.BELOW_DETECTION),
        ("  above detection limit", State.ABOVE_DETECTION),
        ("  missing", State.MISSING),
    ):
        if np.any(parsed.states == state):
            rows.append((words, *(_count(parsed.states[mask] == state) for mask in masks)))
    return rows


def _quartiles(values: Floats) -> str:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return "–"
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    return f"{significant(middle)} ({significant(low)} to {significant(high)})"


def _share(hit: Bools, values: Floats) -> str:
    known = int(np.isfinite(values).sum())
    return f"{int(hit.sum()):,} ({percent(int(hit.sum()), known)})"


def _count(hit: Bools) -> str:
    return f"{int(hit.sum()):,} ({percent(int(hit.sum()), len(hit))})"


def missingness(summary: CohortSummary, cohort: Cohort, endpoint: str) -> Table:
    """Missing values per column, overall and by the outcome of one endpoint."""
    survival = next(e.kind for e in summary.endpoints if e.name == endpoint) == "survival"
    rows = []
    for column in summary.columns:
        absent, n_event, absent_other, n_other = column.missing_by_outcome[endpoint]
        if column.n_missing == 0:
            continue
        rows.append(
            (
                label_of(cohort, column.name),
                f"{column.n_missing:,} ({percent(column.n_missing, summary.n_rows)})",
                f"{absent:,} of {n_event:,} ({percent(absent, n_event)})",
                f"{absent_other:,} of {n_other:,} ({percent(absent_other, n_other)})",
            )
        )
    complete = len(summary.columns) - len(rows)
    return Table(
        "Missing values by column and outcome.",
        (
            "Column",
            "All rows",
            "With the event" if survival else "Responders",
            "Without the event" if survival else "Non-responders",
        ),
        tuple(rows),
        note=f"{complete} of {len(summary.columns)} feature columns have no missing value.",
    )


def missing_figure(
    summary: CohortSummary, cohort: Cohort, endpoint: str, key: str
) -> Figure | None:
    """Share missing by outcome, one row a column that misses anything; None where none does."""
    survival = next(e.kind for e in summary.endpoints if e.name == endpoint) == "survival"
    names = ("with the event", "without") if survival else ("responders", "non-responders")
    rows = []
    for column in summary.columns:
        absent, n_event, absent_other, n_other = column.missing_by_outcome[endpoint]
        if column.n_missing and n_event and n_other:
            label = label_of(cohort, column.name)
            rows.append((label, absent / n_event, absent_other / n_other))
    if not rows:
        return None
    said = "; ".join(f"{r[0]}: {100 * r[1]:.0f}% {names[0]}, {100 * r[2]:.0f}% {names[1]}"
                     for r in rows)  # fmt: skip
    return Figure(
        key,
        "Share missing, by outcome",
        missing_shares(rows, names, name=key),
        f"Pairs of dots. {said}.",
        "Dots far apart: a value is missing more often with one outcome than with the other, and "
        "filling it is less innocent.",
        Table(
            "Share missing, by outcome.",
            ("Column", names[0].capitalize(), names[1].capitalize()),
            tuple((r[0], f"{100 * r[1]:.0f}%", f"{100 * r[2]:.0f}%") for r in rows),
        ),
    )
