"""From a cohort file to validated, explained, tracked models and a report: the main job."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomarker.cohort import Cohort, Outcome
from biomarker.explain.attribution import attribute
from biomarker.features.encoding import plan_columns
from biomarker.models.pipeline import PipelineBuilder
from biomarker.models.zoo import model_choice
from biomarker.resampling import joint_strata, spawn
from biomarker.study import Study, SurvivalEndpoint
from biomarker.validation.nested import validate_and_refit
from pipelines.bundle import bundle_digest, save_bundle
from pipelines.bundle_description import describe_bundle
from pipelines.drift import training_support
from pipelines.engine import Engine
from pipelines.evidence import note_look, try_to_assess
from pipelines.evidence_results import Evidence
from pipelines.explaining import explained
from pipelines.ingest import load_cohort
from pipelines.limits import find_limits
from pipelines.results import ModelRun, StudyRun, TimePlan, performance_table
from pipelines.settings import resolve
from pipelines.software import software_versions
from pipelines.storage import atomic_folder, ready_folder, write_text
from pipelines.summary import summarise
from pipelines.terminal import Progress
from pipelines.tracking_store import open_store
from pipelines.training_choices import (
    affordable_folds,
    best_model,
    chosen_endpoints,
    chosen_models,
    plan_times,
)

__all__ = ["FitRecorder", "TrainResult", "fit_study", "train"]

FitRecorder = Callable[[str, str, dict[str, Any], int, Any], None]

# What a terminal shows of a model.
HEADLINE = {
    "survival": ("uno_concordance_index", "integrated_brier_skill"),
    "response": ("roc_auc", "response_brier"),
}


@dataclass(frozen=True, eq=False)
class TrainResult:
    """A finished training run and where everything went.

    Attributes
    ----------
    run : StudyRun
        The estimates, in memory.
    report : Path
        The HTML report.
    pack : Path
        Folder of the evidence pack.
    bundles : dict
        ``endpoint-model`` to the bundle folder.
    registered : dict
        Registered model name to {alias or model name: version}.
    run_id : str
        The parent run in the tracking store.
    doubts : tuple of str
        Sentences of the documents with a number that equals no computed value.
    """

    run: StudyRun
    report: Path
    pack: Path
    bundles: Mapping[str, Path]
    registered: Mapping[str, Mapping[str, int]]
    run_id: str
    doubts: tuple[str, ...] = ()

    def performance_tables(self) -> list[list[dict[str, Any]]]:
        """Headline performance for a terminal: a table an endpoint, a row a model."""
        return [
            [_headline(m, m.name == best) for m in self.run.models if m.endpoint == endpoint]
            for endpoint, best in self.run.best.items()
        ]

    def places(self) -> list[str]:
        """Where the results are, as lines for a person."""
        lines = [f"Report   {self.report}", f"Pack     {self.pack}", f"Run      {self.run_id}"]
        lines += [f"Model    models:/{name}@candidate" for name in self.registered]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form: counts, performance, places; no patient values."""
        return {
            "study": self.run.summary.study,
            "run_id": self.run_id,
            "report": str(self.report),
            "evidence_pack": str(self.pack),
            "bundles": {name: str(path) for name, path in self.bundles.items()},
            "registered": {name: dict(aliases) for name, aliases in self.registered.items()},
            "best": dict(self.run.best),
            "settings": {name: dict(value) for name, value in self.run.settings.items()},
            "performance": {
                f"{model.endpoint}-{model.name}": performance_table(model.nested)
                for model in self.run.models
            },
            "limits": list(self.run.limits),
            **({} if self.run.evidence is None else {"evidence": self.run.evidence.to_dict()}),
            "summary": self.run.summary.to_dict(),
        }


def train(
    source: str | Path | Any,
    study: Study | str | Path = "il2",
    *,
    models: Sequence[str] | None = None,
    endpoints: Sequence[str] | None = None,
    out: str | Path | None = None,
    store: str | Path | None = None,
    run_name: str | None = None,
    allow_undeclared: bool = False,
    progress: Progress | None = None,
    recorder: FitRecorder | None = None,
    evidence: bool = True,
    engine: Engine | None = None,
    **flags: Any,
) -> TrainResult:
    """Validate, fit, explain, track and report every model of a study, and assess its markers.

    Parameters
    ----------
    source : path, pandas DataFrame or pyarrow Table
        The cohort.
    study : Study, built-in name or TOML file
    models : sequence of str, optional
        Names of the zoo; default all that fit each endpoint.
    endpoints : sequence of str, optional
        Default every endpoint whose columns the file holds.
    out : path, optional
        Folder for the report and the bundles; default ``biomarker-output/STUDY``.
    store : path or URI, optional
        Tracking store; default MLFLOW_TRACKING_URI, else ``biomarker-runs``. Its ledger counts
        the tests of the evidence.
    evidence : bool
        Whether to assess the markers too, each on every endpoint of the file.
    engine : Engine, optional
        Where folds, refits and looks run; processes of this machine by default. It changes no
        number.
    flags : folds, repeats, inner_folds, seed, jobs, refits
        Settings; an environment variable or the study's ``[training]`` table stands in for those
        not given.

    Returns
    -------
    TrainResult

    Raises
    ------
    CohortError, StudyError, UsageError, NotEstimableError, TrackingError, StorageError
    ClaimError
        If a document says more than the run's verdicts carry: nothing is published.
    """
    progress = Progress(quiet=True) if progress is None else progress
    progress.stage("reading the cohort")
    cohort = load_cohort(source, study, allow_undeclared=allow_undeclared)
    settings = resolve({"models": models, **flags}, cohort.study.training)
    name = Path(source).name if isinstance(source, (str, Path)) else "table in memory"
    for outcome in chosen_endpoints(cohort, endpoints):
        chosen_models(outcome, settings["models"]["value"])
    folder = Path(out) if out is not None else Path("biomarker-output") / cohort.study.name
    with nullcontext() if engine is None else engine.workers():
        ready_folder(folder)
        open_store(store)
        # Before the fits: what a study wrote down is recorded before anything sees an outcome.
        found = None
        if evidence:
            seed, jobs = (settings[key]["value"] for key in ("seed", "jobs"))
            found = try_to_assess(cohort, store, seed, progress, jobs)
        else:
            note_look(cohort, store)
        run = fit_study(cohort, settings, endpoints, name, progress, recorder, found)
        run = explained(run, folder, progress)
    return _publish(run, folder, store, run_name, progress)


def fit_study(
    cohort: Cohort,
    settings: Mapping[str, Mapping[str, Any]],
    endpoints: Sequence[str] | None = None,
    source_name: str = "table in memory",
    progress: Progress | None = None,
    recorder: FitRecorder | None = None,
    evidence: Evidence | None = None,
) -> StudyRun:
    """Fit and judge every model in memory; writes nothing. As :func:`train`."""
    progress = Progress(quiet=True) if progress is None else progress
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    chosen = chosen_endpoints(cohort, endpoints)
    plans: dict[str, TimePlan] = {}
    runs: list[ModelRun] = []
    for outcome in chosen:
        if isinstance(outcome.endpoint, SurvivalEndpoint):
            plans[outcome.name] = plan_times(outcome)
        for name in chosen_models(outcome, settings["models"]["value"]):
            runs.append(
                _fit_model(
                    cohort, outcome, name, settings, plans.get(outcome.name), progress, recorder
                )
            )
    progress.done()
    best = {outcome.name: best_model(runs, outcome) for outcome in chosen}
    summary = summarise(cohort)
    return StudyRun(
        cohort=cohort,
        summary=summary,
        settings=settings,
        time_plans=plans,
        models=tuple(runs),
        best=best,
        limits=find_limits(cohort, summary, runs, plans, best, evidence),
        software=software_versions(),
        started=started,
        source_name=source_name,
        evidence=evidence,
    )


def _fit_model(
    cohort: Cohort,
    outcome: Outcome,
    name: str,
    settings: Mapping[str, Mapping[str, Any]],
    plan: TimePlan | None,
    progress: Progress,
    recorder: FitRecorder | None,
) -> ModelRun:
    """Nested validation, the refit on everyone, and its attribution."""
    progress.stage(f"{outcome.name}: {name}")
    began = time.monotonic()
    value = {key: setting["value"] for key, setting in settings.items()}
    X = cohort.matrix()[outcome.included]
    arm = cohort.treated
    strata = outcome.event if arm is None else joint_strata(outcome.event, arm[outcome.included])
    groups = cohort.patient_numbers[outcome.included] if cohort.n_patients < cohort.n_rows else None
    build = PipelineBuilder(plan_columns(cohort.study, cohort.features), name)
    grid = model_choice(name).grid

    def note(params: dict[str, Any], seed: int, rows: Any) -> None:
        if recorder is not None:
            recorder(outcome.name, name, params, seed, rows)

    nested, tuned = validate_and_refit(
        build,
        grid,
        X,
        outcome.y,
        kind=outcome.kind,
        times=None if plan is None else plan.times,
        horizons=() if plan is None else plan.horizons,
        tau=None if plan is None else plan.tau,
        n_splits=affordable_folds(outcome, value["folds"]),
        n_repeats=value["repeats"],
        n_inner=value["inner_folds"],
        strata=strata,
        groups=groups,
        seed=value["seed"],
        n_jobs=value["jobs"] or os.cpu_count() or 1,
        progress=progress.step,
        recorder=note,
    )
    attribution = attribute(
        tuned.model,
        X,
        rng=spawn(value["seed"], "attribution", outcome.name, name),
        patient_numbers=groups,
    )
    return ModelRun(
        name,
        outcome.name,
        outcome.kind,
        dict(tuned.params),
        tuned.model,
        nested,
        attribution,
        time.monotonic() - began,
    )


def _publish(
    run: StudyRun,
    folder: Path,
    store: str | Path | None,
    run_name: str | None,
    progress: Progress,
) -> TrainResult:
    """Write report and bundles, log everything, register the models."""
    from pipelines.pack.build import FOLDER, build_pack
    from pipelines.pack.check import check_documents
    from pipelines.publish import track_run
    from pipelines.report import render_report

    progress.stage("drawing the report")
    html = render_report(run)
    study = run.cohort.study.to_dict()
    told = {f"{m.endpoint}-{m.name}": describe_bundle(run, m) for m in run.models}
    support = {
        f"{m.endpoint}-{m.name}": training_support(run.cohort, m.endpoint, m.fitted)
        for m in run.models
    }
    progress.stage("filling the evidence pack")
    pack = build_pack(
        run,
        {
            name: bundle_digest(model.fitted, study, told[name], support[name])
            for name, model in zip(told, run.models, strict=True)
        },
    )
    # A document that claims beyond the verdicts stops the run before any is written.
    doubts = check_documents(run, html, pack)
    report = folder / "report.html"
    write_text(report, html)
    with atomic_folder(folder / FOLDER) as place:
        for file, text in pack.files.items():
            (place / file).parent.mkdir(exist_ok=True)
            (place / file).write_bytes(text.encode())
    progress.stage("writing bundles")
    bundles = {}
    for name, model in zip(told, run.models, strict=True):
        bundles[name] = folder / "bundles" / name
        save_bundle(bundles[name], model.fitted, study, told[name], support[name])
    progress.stage("tracking in MLflow")
    run_id, registered = track_run(run, html, bundles, store, run_name, pack.files)
    progress.done()
    return TrainResult(
        run, report, folder / FOLDER, bundles, registered, run_id, tuple(map(str, doubts))
    )


def _headline(model: ModelRun, candidate: bool) -> dict[str, Any]:
    """A model's two main metrics with their intervals, for one row of a terminal's table."""
    row: dict[str, Any] = {"endpoint": model.endpoint, "model": model.name}
    for metric in HEADLINE[model.kind]:
        found = next(p for p in model.nested.performance if p.metric == metric)
        row[metric.replace("_", " ")] = _with_interval(found)
    return row | {"patients": model.nested.n_patients, "candidate": "yes" if candidate else ""}


def _with_interval(estimate: Any) -> str:
    if estimate.value is None:
        return "not estimable"
    if estimate.low is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
