"""From a cohort file to one verdict per marker and endpoint, with the ledger that counts tests."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from biomarker.cohort import Cohort
from biomarker.errors import NotEstimableError, TrackingError, UsageError
from biomarker.evidence.assessment import EvidenceResult, assess, check_choices
from biomarker.evidence.family import with_hypotheses
from biomarker.evidence.multiplicity import LedgerRow, dataset_digest, specification
from biomarker.study import Study
from pipelines.evidence_looks import look
from pipelines.evidence_results import Evidence
from pipelines.ingest import load_cohort
from pipelines.terminal import Progress
from pipelines.tracking_ledger import append_to_ledger, load_ledger

__all__ = [
    "EvidenceRun",
    "assess_cohort",
    "evidence",
    "note_look",
    "try_to_assess",
    "with_looks",
]

_TRIES = 5


@dataclass(frozen=True, eq=False)
class EvidenceRun:
    """A finished assessment and where it went.

    Attributes
    ----------
    evidence : Evidence
    run_id : str
        In the tracking store.
    report : Path or None
        The HTML page, where a folder was named.
    """

    evidence: Evidence
    run_id: str
    report: Path | None = None


def evidence(
    source: str | Path | Any,
    study: Study | str | Path = "il2",
    *,
    markers: Sequence[str] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    jobs: int = 0,
    out: str | Path | None = None,
    store: str | Path | None = None,
    allow_undeclared: bool = False,
    progress: Progress | None = None,
) -> EvidenceRun:
    """Assess the markers of a cohort, count the tests in the store's ledger, and track the result.

    Parameters
    ----------
    source : path, pandas DataFrame or pyarrow Table
    study : Study, built-in name or TOML file
    markers : sequence of str, optional
        Declared markers to assess; all by default.
    alpha : float
        Two-sided level of each family.
    seed : int
        Of the redrawn outcomes.
    jobs : int
        Threads that draw outcomes and processes for the page's displays; 0 takes every core.
    out : path, optional
        Folder for ``evidence.html``, ``evidence.json``.
    store : path or URI, optional
        Tracking store; default MLFLOW_TRACKING_URI, else ``biomarker-runs``.

    Returns
    -------
    EvidenceRun

    Raises
    ------
    CohortError, StudyError, UsageError, NotEstimableError, TrackingError, StorageError
    """
    from pipelines.publish import track_evidence
    from pipelines.storage import ready_folder, write_text
    from pipelines.tracking_store import open_store

    progress = Progress(quiet=True) if progress is None else progress
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    progress.stage("reading the cohort")
    cohort = load_cohort(source, study, allow_undeclared=allow_undeclared)
    _check_call(cohort, markers, alpha, seed)
    if out is not None:
        ready_folder(out)
    open_store(store)
    found = assess_cohort(cohort, store, markers, alpha, seed, progress, jobs)
    name = Path(source).name if isinstance(source, (str, Path)) else "table in memory"
    page = None
    html = ""
    if out is not None:
        from pipelines.report import render_evidence

        found = with_looks(found, progress, jobs)
        progress.stage("drawing the page")
        html = render_evidence(found, name, started)
        page = Path(out) / "evidence.html"
        write_text(page, html)
        write_text(Path(out) / "evidence.json", json.dumps(found.to_dict(), indent=1) + "\n")
    progress.stage("tracking in MLflow")
    run_id = track_evidence(found, html, store, name)
    progress.done()
    return EvidenceRun(found, run_id, page)


def assess_cohort(
    cohort: Cohort,
    store: str | Path | None = None,
    markers: Sequence[str] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    progress: Progress | None = None,
    jobs: int = 1,
) -> Evidence:
    """Assess a cohort against the store's ledger, and write the tests down before they are shown.

    Hypotheses enter the ledger before the dataset's first test is made. Where another run wrote
    tests of the same dataset in the meantime, the assessment is made again with them counted.

    Parameters
    ----------
    cohort : Cohort
    store : path or URI, optional
    markers, alpha, seed, jobs
        As in :func:`evidence`.

    Returns
    -------
    Evidence

    Raises
    ------
    UsageError, NotEstimableError, TrackingError
    """
    progress = Progress(quiet=True) if progress is None else progress
    dataset, name = dataset_digest(cohort), cohort.study.name
    progress.stage("reading the ledger")
    known = load_ledger(dataset, store)
    if not known.ledger.analysed(dataset):
        written_down = with_hypotheses(known.ledger, cohort, dataset, alpha)
        known = append_to_ledger(dataset, written_down, known, store, name)
    before = {row.key for row in known.ledger}
    progress.stage("assessing the evidence")
    for _ in range(_TRIES):
        result = assess(
            cohort,
            markers,
            alpha,
            ledger=known.ledger,
            random_state=seed,
            threads=jobs or os.cpu_count() or 1,
        )
        written = append_to_ledger(dataset, result.ledger, known, store, name)
        if {row.key for row in written.ledger} == {row.key for row in result.ledger}:
            break
        known = written
    else:
        raise TrackingError(
            f"The ledger must hold still for one assessment; in {_TRIES} tries other runs added "
            "tests of this dataset each time. Try again when they have ended."
        )
    result = replace(result, ledger=written.ledger)
    here = _made_here(cohort, result)
    return Evidence(
        cohort,
        result,
        alpha,
        next((verdict.seed for verdict in result), seed),
        n_tests=len(result.ledger.tests(dataset)),
        n_tests_here=len(here),
        n_tests_added=sum(row.key not in before for row in here),
    )


def with_looks(evidence: Evidence, progress: Progress | None = None, jobs: int = 1) -> Evidence:
    """The same with the displays a report puts beside the verdicts; they create none.

    Parameters
    ----------
    evidence : Evidence
    progress : Progress, optional
    jobs : int
        Processes; 0 takes every core. The result does not depend on their number.
    """
    progress = Progress(quiet=True) if progress is None else progress
    progress.stage("looking beside the verdicts")
    found = look(
        evidence.cohort,
        evidence.verdicts,
        evidence.alpha,
        evidence.seed,
        jobs or os.cpu_count() or 1,
        progress.step,
    )
    return replace(evidence, looks=found)


def note_look(cohort: Cohort, store: str | Path | None = None) -> None:
    """Write down that outcomes are analysed without a test of evidence.

    Hypotheses of the study go into the ledger before it; any that come later stay exploratory.

    Raises
    ------
    TrackingError
        If the ledger cannot be read or written.
    """
    dataset = dataset_digest(cohort)
    known = load_ledger(dataset, store)
    if known.ledger.analysed(dataset):
        return
    look_made = LedgerRow("look", dataset, "outcomes analysed", "", "", "")
    rows = with_hypotheses(known.ledger, cohort, dataset).append([look_made])
    append_to_ledger(dataset, rows, known, store, cohort.study.name)


def try_to_assess(
    cohort: Cohort, store: str | Path | None, seed: int, progress: Progress, jobs: int = 1
) -> Evidence:
    """As :func:`assess_cohort` for a run that has more to do: a refusal becomes words."""
    try:
        _check_call(cohort, None, 0.05, seed)
        found = assess_cohort(cohort, store, seed=seed, progress=progress, jobs=jobs)
        return with_looks(found, progress, jobs)
    except (UsageError, NotEstimableError) as error:
        note_look(cohort, store)
        return Evidence(cohort, None, 0.05, seed, refused=str(error))


def _check_call(cohort: Cohort, markers: Sequence[str] | None, alpha: float, seed: int) -> None:
    """Meet a slip of the hand before the store is touched."""
    declared = [name for name in cohort.study.with_role("marker") if name in cohort.columns]
    if not declared:
        raise UsageError(
            "The study must declare a column of the file with role 'marker'; it declares none. "
            "A marker is a baseline column whose meaning is the question."
        )
    unknown = [name for name in markers or () if name not in declared]
    if unknown:
        raise UsageError(
            f"markers must be among those declared ({', '.join(declared)}); "
            f"got {', '.join(unknown)}."
        )
    check_choices(alpha, seed)


def _made_here(cohort: Cohort, result: EvidenceResult) -> list[LedgerRow]:
    """Tests of the ledger that this very study and choice of markers asks for."""
    asked = {(verdict.marker, verdict.endpoint) for verdict in result}
    return [
        row
        for row in result.ledger.tests(result.dataset)
        if (row.marker, row.endpoint) in asked
        and row.specification == specification(cohort, row.family, row.marker, row.endpoint)
    ]
