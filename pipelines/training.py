"""From a cohort file to validated, explained, tracked models and a report: the main job."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from biomarker.cohort import Cohort, Outcome
from biomarker.errors import NotEstimableError, UsageError
from biomarker.explain.attribution import attribute
from biomarker.features.encoding import plan_columns
from biomarker.models.pipeline import PipelineBuilder
from biomarker.models.zoo import ModelKind, default_zoo, model_choice
from biomarker.resampling import joint_strata, spawn
from biomarker.study import Study, SurvivalEndpoint
from biomarker.survival.censoring import safe_time_grid
from biomarker.validation.nested import validate_and_refit
from pipelines.bundle import bundle_digest, save_bundle
from pipelines.drift import training_support
from pipelines.engine import Engine
from pipelines.evidence import Evidence, try_to_assess
from pipelines.explaining import explained
from pipelines.ingest import load_cohort
from pipelines.limits import find_limits
from pipelines.results import ModelRun, StudyRun, TimePlan, performance_table, plain_value
from pipelines.settings import resolve
from pipelines.storage import atomic_folder, ready_folder, write_text
from pipelines.summary import summarise
from pipelines.terminal import Progress
from pipelines.tracking_store import open_store

__all__ = ["FitRecorder", "TrainResult", "fit_study", "train"]

FitRecorder = Callable[[str, str, dict[str, Any], int, Any], None]

# What a terminal shows of a model.
HEADLINE = {
    "survival": ("uno_concordance_index", "integrated_brier_skill"),
    "response": ("roc_auc", "response_brier"),
}
KINDS: tuple[ModelKind, ...] = ("survival", "response")
# What decides which model of an endpoint becomes the candidate: a proper score, out of fold.
SELECTION = {"survival": ("integrated_brier_skill", +1), "response": ("log_loss", -1)}


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
    for outcome in _chosen_endpoints(cohort, endpoints):
        _chosen_models(outcome, settings["models"]["value"])
    folder = Path(out) if out is not None else Path("biomarker-output") / cohort.study.name
    with nullcontext() if engine is None else engine.workers():
        ready_folder(folder)
        open_store(store)
        # Before the fits: what a study wrote down is recorded before anything sees an outcome.
        found = None
        if evidence:
            seed, jobs = (settings[key]["value"] for key in ("seed", "jobs"))
            found = try_to_assess(cohort, store, seed, progress, jobs)
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
    chosen = _chosen_endpoints(cohort, endpoints)
    plans: dict[str, TimePlan] = {}
    runs: list[ModelRun] = []
    for outcome in chosen:
        if isinstance(outcome.endpoint, SurvivalEndpoint):
            plans[outcome.name] = plan_times(outcome)
        for name in _chosen_models(outcome, settings["models"]["value"]):
            runs.append(
                _fit_model(
                    cohort, outcome, name, settings, plans.get(outcome.name), progress, recorder
                )
            )
    progress.done()
    best = {outcome.name: _best(runs, outcome) for outcome in chosen}
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


def _chosen_endpoints(cohort: Cohort, wanted: Sequence[str] | None) -> list[Outcome]:
    unknown = [name for name in wanted or () if name not in cohort.outcomes]
    if unknown:
        raise UsageError(
            f"endpoint must be one the file holds ({', '.join(cohort.outcomes)}); "
            f"got {', '.join(unknown)}."
        )
    return [outcome for name, outcome in cohort.outcomes.items() if not wanted or name in wanted]


def _chosen_models(outcome: Outcome, wanted: Sequence[str]) -> list[str]:
    known = [choice.name for choice in default_zoo(outcome.kind)]
    every = {choice.name for kind in KINDS for choice in default_zoo(kind)}
    unknown = [name for name in wanted if name not in every]
    if unknown:
        raise UsageError(
            f"models must be among {', '.join(sorted(every))}; got {', '.join(unknown)}."
        )
    picked = [name for name in wanted if name in known] if wanted else known
    if not picked:
        raise UsageError(
            f"models must include one for the {outcome.kind} endpoint '{outcome.name}' "
            f"({', '.join(known)}); got {', '.join(wanted)}."
        )
    return picked


def plan_times(outcome: Outcome) -> TimePlan:
    """Choose a survival endpoint's time grid, horizons and concordance limit from its support.

    Raises
    ------
    UsageError
        If the declared tau lies beyond the support.
    """
    endpoint = outcome.endpoint
    assert isinstance(endpoint, SurvivalEndpoint)
    grid = safe_time_grid(outcome.y)
    # Rounded inward: the exact ends are single patients' times, and the grid is stored.
    lower, upper = _inward(grid.lower, +1), _inward(grid.upper, -1)
    if not lower < upper:
        lower, upper = grid.lower, grid.upper
    limit = upper
    tau = endpoint.tau if endpoint.tau is not None else limit
    if tau > limit:
        raise UsageError(
            f"tau of endpoint '{outcome.name}' must lie within the data's support, up to "
            f"{limit:g} {endpoint.unit}; got {tau:g}."
        )
    carried = tuple(h for h in endpoint.horizons if lower <= h <= upper)
    notes = [
        f"The declared horizon of {h:g} {endpoint.unit} lies outside the supported "
        f"{lower:g} to {upper:g} {endpoint.unit} and is not judged."
        for h in endpoint.horizons
        if h not in carried
    ]
    if not carried:
        wanted = "declared horizon is supported" if endpoint.horizons else "horizon is declared"
        middle = float(np.median(outcome.y["duration"][outcome.y["event"]]))
        carried = (min(max(float(f"{middle:.2g}"), lower), upper),)
        notes.append(
            f"No {wanted}; {carried[0]:g} {endpoint.unit}, near the median event time, is used."
        )
    times = np.linspace(lower, upper, len(grid.times))
    return TimePlan(times, carried, float(tau), endpoint.unit, tuple(notes))


def _inward(value: float, direction: int) -> float:
    """Round to three significant digits, up for +1 and down for -1."""
    scale = 10.0 ** (math.floor(math.log10(value)) - 2)
    steps = value / scale
    whole = math.ceil(steps) if direction > 0 else math.floor(steps)
    return float(f"{whole * scale:.12g}")


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
        n_splits=_affordable_folds(outcome, value["folds"]),
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


def _affordable_folds(outcome: Outcome, folds: int) -> int:
    """At least two events (and, for a response, two non-responders) in every fold."""
    events = int(outcome.event.sum())
    scarce = events if outcome.kind == "survival" else min(events, len(outcome.event) - events)
    if scarce < 4:
        raise NotEstimableError(
            f"Endpoint '{outcome.name}' must have at least 4 events to be validated; got {scarce}."
        )
    return min(folds, scarce // 2)


def _best(runs: Sequence[ModelRun], outcome: Outcome) -> str:
    """Name of the endpoint's model with the best proper score, simpler first on ties."""
    metric, direction = SELECTION[outcome.kind]

    def merit(run: ModelRun) -> float:
        value = next(p.value for p in run.nested.performance if p.metric == metric)
        return -np.inf if value is None else direction * value

    mine = [run for run in runs if run.endpoint == outcome.name]
    return max(mine, key=merit).name


def software_versions() -> dict[str, str]:
    """Versions that decide the numbers."""
    names = ("lifelines", "mlflow", "numba", "numpy", "pandas", "pyarrow", "scikit-learn")
    found = {"python": platform.python_version()}
    for name in (*names, "scipy", "shap", "xgboost-cpu", "xgboost", "biomarker-response"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


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


def describe_bundle(run: StudyRun, model: ModelRun) -> dict[str, Any]:
    """What a bundle says of itself: counts, horizons, performance; no patient values."""
    study = run.cohort.study
    endpoint = next(e for e in run.summary.endpoints if e.name == model.endpoint)
    plan = run.time_plans.get(model.endpoint)
    id_column = study.id_column
    return {
        "name": f"{study.name}-{model.endpoint}-{model.name}",
        "endpoint": model.endpoint,
        "kind": model.kind,
        "model": model.name,
        "params": dict(model.params),
        "horizons": [] if plan is None else list(plan.horizons),
        "unit": None if plan is None else plan.unit,
        "id_column": id_column,
        "id_optional": id_column is not None and study.columns[id_column].optional,
        "n_patients": endpoint.n_patients,
        "n_events": endpoint.n_events,
        "benefit": _benefit_allowed(run, model),
        "margin_scale": model.attribution.scale,
        "performance": performance_table(model.nested),
        "dataset_digest": run.summary.dataset_digest,
        "study_digest": run.summary.study_digest,
        "software": dict(run.software),
        "settings": {key: plain_value(value["value"]) for key, value in run.settings.items()},
    }


def _benefit_allowed(run: StudyRun, model: ModelRun) -> dict[str, Any] | None:
    """Whose verdicts let a model's scores carry a predicted benefit; None where none do.

    A difference of effect must have been claimed on this endpoint, and the model must be able to
    hold one: without a product of arm and marker everyone's benefit would follow from risk alone.
    """
    arm = run.cohort.study.arm_column
    if run.evidence is None or arm is None or model.kind != "survival":
        return None
    markers = [
        v.marker for v in run.evidence.verdicts if v.endpoint == model.endpoint and v.claimed
    ]
    if not markers or int(model.params.get("max_depth", 1)) < 2:
        return None
    return {"arm": arm, "markers": markers}


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
