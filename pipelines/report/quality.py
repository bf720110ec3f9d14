"""What the file was like: who stays in each analysis and why not, and the state of every column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from pipelines.report.parts import Table
from pipelines.report.tables import arm_names, label_of
from pipelines.report.words import percent
from pipelines.summary import CohortSummary

__all__ = ["column_states", "flow_by_arm", "quality_notes"]

Bools = npt.NDArray[np.bool_]

# Fewer patients in a level than this decide its coefficient by chance.
_FEW = 10


def flow_by_arm(summary: CohortSummary, cohort: Cohort) -> Table:
    """From the file's rows to those analysed and their events, for every endpoint, by arm.

    Parameters
    ----------
    summary : CohortSummary
    cohort : Cohort

    Returns
    -------
    Table
        Counts of rows; one block an endpoint.
    """
    groups: list[tuple[str, Bools]] = [("All", np.ones(cohort.n_rows, bool)), *arm_names(cohort)]
    rows: list[tuple[str, ...]] = []
    for endpoint in summary.endpoints:
        outcome = cohort.outcomes[endpoint.name]
        happened = np.zeros(cohort.n_rows, bool)
        happened[np.flatnonzero(outcome.included)] = outcome.event
        reasons = ", ".join(f"{n:,} {why}" for why, n in endpoint.excluded.items())
        what = "events" if endpoint.kind == "survival" else "responses"
        rows.append((endpoint.label, *("" for _ in groups)))
        rows.append(("  in the file", *(f"{int(mask.sum()):,}" for _, mask in groups)))
        rows.append(
            (
                f"  left out ({reasons})" if reasons else "  left out",
                *(f"{int((mask & ~outcome.included).sum()):,}" for _, mask in groups),
            )
        )
        inside = [mask & outcome.included for _, mask in groups]
        rows.append(("  analysed", *(f"{int(mask.sum()):,}" for mask in inside)))
        rows.append(
            (
                f"  {what}",
                *(
                    f"{int((mask & happened).sum()):,} "
                    f"({percent(int((mask & happened).sum()), int(mask.sum()))})"
                    for mask in inside
                ),
            )
        )
    counted = "patients" if summary.n_rows == summary.n_patients else "rows"
    return Table(
        f"From the file to the analysis, {counted} by arm.",
        ("Endpoint", *(name for name, _ in groups)),
        tuple(rows),
    )


def column_states(summary: CohortSummary, cohort: Cohort) -> Table:
    """Each feature column: how it was read, how much is known, and what is odd about it."""
    rows = []
    for column in summary.columns:
        parsed, declared = cohort.columns[column.name], cohort.study.columns[column.name]
        known = summary.n_rows - column.n_missing
        values = parsed.values[np.isfinite(parsed.values)]
        rows.append(
            (
                label_of(cohort, column.name),
                f"{column.role}, {column.kind}" if column.kind != column.role else column.role,
                column.unit or "–",
                f"{known:,} ({percent(known, summary.n_rows)})",
                *(_beyond(n, declared.detection) for n in
                  (column.n_below_detection, column.n_above_detection)),
                f"{len(np.unique(values)):,}",
                _remark(values, declared.levels, column.kind),
            )
        )  # fmt: skip
    return Table(
        "Columns as they were read.",
        ("Column", "Role, kind", "Unit", "Known", "Below detection", "Above detection",
         "Distinct values", "Remark"),
        tuple(rows),
        numeric=False,
        note="Known: neither missing nor empty; a value beyond a detection limit counts as known.",
    )  # fmt: skip


def _beyond(count: int, limits: object) -> str:
    """Values beyond a limit; a dash where the study declares none."""
    return f"{count:,}" if count or limits is not None else "–"


def _remark(values: npt.NDArray[np.float64], levels: tuple[str, ...], kind: str) -> str:
    """What a reader should know before trusting the column."""
    if len(values) == 0:
        return "never measured"
    counts = np.unique(values, return_counts=True)[1]
    if len(counts) == 1:
        return "every known value is the same"
    said = []
    if kind != "continuous" and kind != "marker" and levels:
        if len(counts) < len(levels):
            said.append(f"{len(levels) - len(counts)} of {len(levels)} declared levels absent")
        few = int((counts < _FEW).sum())
        if few:
            said.append(f"{few} level{'s' if few > 1 else ''} with fewer than {_FEW} patients")
    return "; ".join(said) or "–"


def quality_notes(summary: CohortSummary, cohort: Cohort) -> tuple[str, ...]:
    """What was checked on reading, what was set aside, and what reading the file noticed."""
    repeated = summary.n_rows - summary.n_patients
    notes = [
        f"{summary.n_rows:,} rows were read, {len(summary.columns)} feature columns used. A value "
        "outside the declared kinds, levels, ranges or codes, or an id that should not repeat, "
        "stops a run: there was none.",
        f"{repeated:,} rows repeat the id of a patient who has another row; they are kept together "
        "in every split."
        if repeated
        else "No patient has more than one row.",
    ]
    if summary.refused_as_features:
        named = ", ".join(label_of(cohort, name) for name in summary.refused_as_features)
        notes.append(f"Measured after baseline and therefore never used as features: {named}.")
    said = (n.replace("not declared", "Not declared", 1) if n.startswith("not declared") else n
            for n in summary.notices)  # fmt: skip
    return (*notes, *(f"{notice}." for notice in said))
