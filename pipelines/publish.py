"""What of a training run goes into the tracking store, and under which names."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from biomarker.validation.performance import PerformanceEstimate
from pipelines.evidence_results import Evidence
from pipelines.limits import beats_chance
from pipelines.noise import NOISE_FILE, noise_record
from pipelines.results import ModelRun, StudyRun, performance_table, settings_table
from pipelines.run_note import best_tags, dataset_card, evidence_note, model_note, run_note
from pipelines.summary import design_words, summarise
from pipelines.tracking import StudyTracker
from pipelines.tracking_store import store_faults

__all__ = ["metric_names", "track_evidence", "track_run"]


def track_run(
    run: StudyRun,
    html: str,
    bundles: Mapping[str, Path],
    store: str | Path | None,
    run_name: str | None,
    pack: Mapping[str, str] | None = None,
) -> tuple[str, dict[str, dict[str, int]]]:
    """Log a parent run and a child per model; register every bundle.

    Parameters
    ----------
    run : StudyRun
    html : str
        The report.
    bundles : mapping of str to path
    store : path or URI, optional
    run_name : str, optional
    pack : mapping of str to str, optional
        Files of the evidence pack, logged under ``evidence-pack``.

    Returns
    -------
    tuple of str and dict
        The parent run's id, and registered name to {alias: version}.

    Raises
    ------
    TrackingError
        If the store refuses a step; a run that was opened is marked failed.
    """
    with store_faults():
        tracker = StudyTracker(run.summary.study, store)
        return _track(tracker, run, html, bundles, run_name, pack or {})


def track_evidence(
    evidence: Evidence, html: str, store: str | Path | None, source_name: str
) -> str:
    """Log an assessment as a run of its study; returns the run's id.

    Raises
    ------
    TrackingError
        If the store refuses a step; a run that was opened is marked failed.
    """
    study = evidence.cohort.study
    with store_faults():
        tracker = StudyTracker(study.name, store)
        started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        run_id = tracker.start(
            f"{study.name} evidence {started}",
            {
                "biomarker.kind": "evidence",
                "dataset.digest": evidence.cohort.digest,
                "study.digest": study.digest,
                "design": design_words(evidence.cohort),
            },
            {"alpha": evidence.alpha, "seed": evidence.seed, "source": source_name},
        )
        try:
            summary = summarise(evidence.cohort)
            tracker.note(run_id, evidence_note(evidence, summary))
            tracker.dataset(run_id, dataset_card(summary, source_name))
            _log_evidence(tracker, run_id, evidence)
            if html:
                tracker.text(run_id, html, "evidence.html")
        except BaseException:
            with contextlib.suppress(Exception):  # the first fault is the one to tell
                tracker.finish("FAILED")
            raise
        tracker.finish()
    return run_id


def _track(
    tracker: StudyTracker,
    run: StudyRun,
    html: str,
    bundles: Mapping[str, Path],
    run_name: str | None,
    pack: Mapping[str, str],
) -> tuple[str, dict[str, dict[str, int]]]:
    """As :func:`track_run`, on an open tracker."""
    summary = run.summary
    tags = {
        "dataset.digest": summary.dataset_digest,
        "study.digest": summary.study_digest,
        "design": summary.design,
    }
    parent = tracker.start(
        run_name or f"{summary.study} {run.started}",
        {**tags, "biomarker.kind": "study"},
        {
            **{key: _text(setting["value"]) for key, setting in run.settings.items()},
            "n_patients": summary.n_patients,
            "source": run.source_name,
        },
    )
    # Models of several runs stand side by side on MLflow's compare page.
    tags["biomarker.run"] = run_name or f"{summary.study} {run.started}"
    registered: dict[str, dict[str, int]] = {}
    try:
        for model in run.models:
            name = f"{summary.study}-{model.endpoint}"
            version = _log_model(tracker, run, model, bundles, name, tags)
            aliases = registered.setdefault(name, {})
            aliases[model.name] = version
            tracker.alias(name, model.name.replace("_", "-"), version)
            if run.best[model.endpoint] == model.name:
                aliases["candidate"] = version
                tracker.alias(name, "candidate", version)
        _log_study(tracker, parent, run, html)
        for name, text in pack.items():
            tracker.text(parent, text, f"evidence-pack/{name}")
    except BaseException:
        with contextlib.suppress(Exception):  # the first fault is the one to tell
            tracker.finish("FAILED")
        raise
    tracker.finish()
    return parent, registered


def _log_study(tracker: StudyTracker, parent: str, run: StudyRun, html: str) -> None:
    from pipelines.report import report_figures

    tracker.text(parent, html, "report.html")
    tracker.json(parent, run.summary.to_dict(), "cohort.json")
    tracker.json(parent, run.cohort.study.to_dict(), "study.json")
    tracker.json(parent, settings_table(run), "settings.json")
    tracker.json(parent, dict(run.software), "software.json")
    tracker.json(parent, list(run.limits), "limits.json")
    rows = [
        # MLflow's pages put tables of several runs side by side by their first column.
        {
            "name": f"{model.endpoint}.{model.name}.{_metric_name(estimate)}",
            "endpoint": model.endpoint,
            "model": model.name,
            **row,
        }
        for model in run.models
        for estimate, row in zip(
            model.nested.performance, performance_table(model.nested), strict=True
        )
    ]
    tracker.table(parent, {key: [row[key] for row in rows] for key in rows[0]}, "performance")
    tracker.note(parent, run_note(run))
    tracker.tags(parent, best_tags(run.best))
    tracker.dataset(parent, dataset_card(run.summary, run.source_name))
    if run.readings:
        readings = {endpoint: found.to_dict() for endpoint, found in run.readings.items()}
        tracker.json(parent, readings, "explanations.json")
    if run.evidence is not None:
        _log_evidence(tracker, parent, run.evidence)
    for name, svg in report_figures(run).items():
        tracker.text(parent, svg, f"figures/{name}.svg")
    headline: dict[str, float] = {}
    for model in run.models:
        if run.best[model.endpoint] == model.name:
            headline |= {f"{model.endpoint}.{k}": v for k, v in metric_names(model).items()}
    tracker.metrics(parent, headline)


def _log_evidence(tracker: StudyTracker, run_id: str, evidence: Evidence) -> None:
    """A tag a verdict, its numbers as metrics, and the records whole as an artifact and a table."""
    tracker.json(run_id, evidence.to_dict(), "evidence.json")
    records = [verdict.record() for verdict in evidence.verdicts]
    if not records:
        return
    tracker.table(run_id, {key: [r[key] for r in records] for key in records[0]}, "evidence")
    tags, metrics = {}, {"evidence.tests_of_this_dataset": float(evidence.n_tests)}
    for record in records:
        name = f"evidence.{record['endpoint']}.{record['marker']}"
        tags[name] = record["verdict"]
        metrics |= {
            f"{name}.{key}": float(record[key]) for key in _EVIDENCE if record[key] is not None
        }
    tracker.tags(run_id, tags)
    tracker.metrics(run_id, metrics)


_EVIDENCE = (
    *("ratio", "ratio_low", "ratio_high", "p_interaction", "p_adjusted"),
    *("hr_control", "hr_control_low", "hr_control_high", "p_prognostic_adjusted"),
    *("effect_absolute", "effect_absolute_low", "effect_absolute_high", "detectable_ratio_80"),
)


def _log_model(
    tracker: StudyTracker,
    run: StudyRun,
    model: ModelRun,
    bundles: Mapping[str, Path],
    name: str,
    tags: Mapping[str, str],
) -> int:
    own = {**tags, "endpoint": model.endpoint, "model": model.name, "biomarker.kind": "model"}
    child = tracker.child(
        f"{model.endpoint} {model.name}",
        own,
        {
            **{f"model.{key}": value for key, value in model.params.items()},
            "model": model.name,
            "endpoint": model.endpoint,
            "n_fits": model.nested.n_fits,
            "n_failed_fits": model.nested.n_failed,
        },
        {**metric_names(model), "seconds": model.seconds},
        {
            "folds": _fold_table(model),
            **_importance_table(model),
            **_stability_table(run, model),
        },
    )
    tracker.json(child, noise_record(run.cohort, model), NOISE_FILE)
    tracker.note(child, model_note(run, model))
    tracker.dataset(child, dataset_card(run.summary, run.source_name))
    key = f"{model.endpoint}-{model.name}"
    return tracker.model(child, bundles[key], key, name, own)


def _importance_table(model: ModelRun) -> dict[str, dict[str, list[Any]]]:
    """Mean absolute attributions; none where the model is not shown to beat chance."""
    if not beats_chance(model):
        return {}
    importance = model.attribution.to_dict()["importance"]
    return {"importance": {key: [row[key] for row in importance] for key in importance[0]}}


def _stability_table(run: StudyRun, model: ModelRun) -> dict[str, dict[str, list[Any]]]:
    """Importance and rank over bootstrap refits of the model kept; none where it is withheld."""
    reading = run.readings.get(model.endpoint)
    if reading is None or reading.examination is None or run.best[model.endpoint] != model.name:
        return {}
    found = reading.examination.stability
    if found.withheld or not found.units:
        return {}
    rows = [
        {
            "source": ", ".join(unit.members),
            "mean_absolute": unit.importance,
            "low": unit.bootstrap.low,
            "high": unit.bootstrap.high,
            "rank": unit.rank,
            "rank_low": unit.bootstrap.rank_low,
            "rank_high": unit.bootstrap.rank_high,
            "first_in": unit.bootstrap.top[0],
            "n_refits": found.n_refits["bootstrap"],
        }
        for unit in found.units
    ]
    return {"stability": {key: [row[key] for row in rows] for key in rows[0]}}


def metric_names(model: ModelRun) -> dict[str, float]:
    """Performance under stable names: metric, ``_low`` and ``_high``, horizon appended."""
    metrics: dict[str, float] = {}
    for estimate in model.nested.performance:
        name = _metric_name(estimate)
        for suffix, value in (
            ("", estimate.value),
            ("_low", estimate.low),
            ("_high", estimate.high),
        ):
            if value is not None and math.isfinite(value):
                metrics[name + suffix] = float(value)
    return metrics


def _metric_name(estimate: PerformanceEstimate) -> str:
    """A metric's name in the store; a limit that the data set is no part of it."""
    at = estimate.horizon is not None and estimate.metric in _AT_HORIZON
    return f"{estimate.metric}_{estimate.horizon:g}" if at else estimate.metric


_AT_HORIZON = {
    "time_dependent_auc",
    "brier_score",
    "brier_skill",
    "calibration_slope",
    "calibration_intercept",
    "observed_expected",
    "ici",
}


def _fold_table(model: ModelRun) -> dict[str, list[Any]]:
    """Sizes, chosen parameters and inner scores of every outer fold; no patient rows."""
    nested = model.nested
    table: dict[str, list[Any]] = {
        "repeat": [], "fold": [], "n_train": [], "n_test": [], "params": [], "inner_scores": [],
    }  # fmt: skip
    for repeat, folds in enumerate(nested.folds):
        for number, (train, test) in enumerate(folds):
            table["repeat"].append(repeat)
            table["fold"].append(number)
            table["n_train"].append(len(train))
            table["n_test"].append(len(test))
            table["params"].append(dict(nested.chosen_params[repeat][number]))
            table["inner_scores"].append(list(nested.inner_scores[repeat][number]))
    return table


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
