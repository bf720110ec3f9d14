"""One small run of each kind of demonstration study, trained once a session."""

from __future__ import annotations

import functools
import tempfile
from importlib import resources
from pathlib import Path

import pandas as pd

from biomarker.cohort import Cohort
from biomarker.evidence import assess
from pipelines.evidence import with_looks
from pipelines.evidence_results import Evidence
from pipelines.explaining import explained
from pipelines.ingest import load_cohort
from pipelines.results import StudyRun
from pipelines.settings import resolve
from pipelines.simulate import write_cohort
from pipelines.terminal import Progress
from pipelines.training import fit_study

__all__ = ["DEMO_STUDIES", "demo_run"]

DEMO_STUDIES = ("gbsg2", "actg175", "il2")
_ROWS = 160
_FILES = {"gbsg2": "gbsg2.csv", "actg175": "ACTG175.csv"}
_MODELS = {"gbsg2": ("cox", "boosted_cox"), "actg175": ("cox",), "il2": ("cox", "logistic")}
_ENDPOINTS = {"il2": ("os", "response")}


def _cohort(name: str) -> Cohort:
    """Some patients of the study; those of IL-2 are drawn from its generator."""
    if name == "il2":
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "il2.csv"
            write_cohort("il2-rcc", _ROWS, 20, [], file)
            return load_cohort(file, file.with_name("il2.study.toml"))
    with resources.files("lifelines").joinpath("datasets", _FILES[name]).open() as text:
        frame = pd.read_csv(text, dtype=str, keep_default_na=False)
    frame = frame.iloc[:: len(frame) // _ROWS].reset_index(drop=True)
    return load_cohort(frame, name, allow_undeclared=True)


@functools.cache
def demo_run(name: str) -> StudyRun:
    """The run of a demonstration study on a few of its patients, with evidence on one marker."""
    cohort = _cohort(name)
    flags = {"models": _MODELS[name], "folds": 2, "repeats": 1, "inner_folds": 2, "jobs": 1}
    flags["refits"] = 20
    settings = resolve(flags, cohort.study.training, {})
    markers = list(cohort.study.with_role("marker")[:1])
    found = assess(cohort, markers)
    n_tests = len(found.ledger.tests(found.dataset))
    evidence = Evidence(cohort, found, 0.05, 0, n_tests, n_tests, n_tests)
    if name == "gbsg2":  # the displays beside the verdicts are the slow part; once is enough
        evidence = with_looks(evidence)
    run = fit_study(cohort, settings, _ENDPOINTS.get(name), f"{name}.csv", evidence=evidence)
    with tempfile.TemporaryDirectory() as folder:
        return explained(run, Path(folder), Progress(quiet=True))
