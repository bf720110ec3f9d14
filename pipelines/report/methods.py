"""How the numbers came about, in sentences made of the run's own settings."""

from __future__ import annotations

from biomarker.models.zoo import model_choice
from pipelines.report.tables import counted, label_of
from pipelines.report.words import METRICS, amount, time_words
from pipelines.results import ModelRun, StudyRun

__all__ = ["methods"]

_KEPT_BY = {"survival": "integrated Brier skill", "response": "log loss"}
_KINDS = {"survival": "survival", "response": "response"}


def methods(run: StudyRun) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Headings and the sentences under each, in the order of the work.

    Parameters
    ----------
    run : StudyRun

    Returns
    -------
    tuple of (str, tuple of str)
    """
    return (
        ("Patients and outcomes", _patients(run)),
        ("Baseline columns", _columns(run)),
        ("Models", _models(run)),
        ("Validation", _validation(run)),
        ("Performance and use", _performance(run)),
        ("Attribution", _attribution(run)),
    )


def _patients(run: StudyRun) -> tuple[str, ...]:
    summary = run.summary
    said = [f"{summary.n_patients:,} patients on {summary.n_rows:,} rows; {summary.design}."]
    for endpoint in summary.endpoints:
        unit = f", time in {endpoint.unit}" if endpoint.unit else ""
        what = "events" if endpoint.kind == "survival" else "responses"
        left = "; ".join(f"{n:,} left out: {why}" for why, n in endpoint.excluded.items())
        said.append(
            f"{endpoint.label}: a {_KINDS[endpoint.kind]} endpoint{unit}; {endpoint.n_patients:,} "
            f"{counted(run)}, {endpoint.n_events:,} {what}{'; ' + left if left else ''}."
        )
    said.append(
        "Kaplan–Meier intervals are pointwise on the log(−log) scale; follow-up is the reverse "
        "Kaplan–Meier median."
    )
    return tuple(said)


def _columns(run: StudyRun) -> tuple[str, ...]:
    missing = [c for c in run.summary.columns if c.n_missing]
    said = [
        f"{len(run.summary.columns)} columns known before treatment: "
        + ", ".join(label_of(run.cohort, c.name) for c in run.summary.columns)
        + ".",
        "Encoding, filling of missing values and tuning are learned from training patients only "
        "and frozen with the model.",
    ]
    if missing:
        said.append(
            f"{len(missing)} of them miss values. A missing value is filled with the median or "
            "most frequent value of the training patients and marked by an indicator; no row is "
            "dropped for it."
        )
    return tuple(said)


def _models(run: StudyRun) -> tuple[str, ...]:
    said = []
    for name in dict.fromkeys(model.name for model in run.models):
        choice = model_choice(name)
        tried = len(choice.grid)
        settings = "one setting" if tried == 1 else f"{tried} settings tried in tuning"
        said.append(f"{name}: {choice.description}; {settings}.")
    for endpoint in run.summary.endpoints:
        mine = [model for model in run.models if model.endpoint == endpoint.name]
        if len(mine) > 1:
            said.append(
                f"{endpoint.label}: of {len(mine)} models {run.best[endpoint.name]} was kept, the "
                f"best by out-of-fold {_KEPT_BY[endpoint.kind]}."
            )
    return tuple(said)


def _validation(run: StudyRun) -> tuple[str, ...]:
    value = {name: item["value"] for name, item in run.settings.items()}
    strata = "outcome and arm" if run.summary.arms else "outcome"
    together = (
        ", rows of one patient kept together"
        if run.summary.n_rows != run.summary.n_patients
        else ""
    )
    return (
        f"{value['repeats']} × {value['folds']}-fold cross-validation, tuning inside each training "
        f"fold by {value['inner_folds']}-fold cross-validation, stratified by {strata}{together}. "
        f"Seed {value['seed']}.",
        "Concordance and areas under the curve are computed within each test fold and averaged; "
        "scores and calibration come from out-of-fold probabilities pooled over folds.",
    )


def _performance(run: StudyRun) -> tuple[str, ...]:
    labels = {endpoint.name: endpoint.label for endpoint in run.summary.endpoints}
    said = []
    for name, plan in run.time_plans.items():
        horizons = ", ".join(time_words(h, plan.unit) for h in plan.horizons) or "none"
        said.append(
            f"{labels.get(name, name)}: horizons {horizons}; integrated scores over "
            f"{len(plan.times)} times from {amount(float(plan.times[0]))} to "
            f"{time_words(float(plan.times[-1]), plan.unit)}; concordance up to "
            f"{time_words(plan.tau, plan.unit)}."
        )
        said += list(plan.notes)
    said += [f"{METRICS[name].label.format(at='its limit', when='')}: {METRICS[name].meaning}"
             for name in _main_metrics(run.models)]  # fmt: skip
    said.append(
        "Calibration plots and decision curves come from the first repeat's out-of-fold "
        "predictions; censoring is met by inverse-probability weights, which assume that it does "
        "not depend on the outcome."
    )
    return tuple(said)


def _main_metrics(models: tuple[ModelRun, ...]) -> list[str]:
    kinds = dict.fromkeys(model.kind for model in models)
    return [{"survival": "uno_concordance_index", "response": "roc_auc"}[kind] for kind in kinds]


def _attribution(run: StudyRun) -> tuple[str, ...]:
    labels = {endpoint.name: endpoint.label for endpoint in run.summary.endpoints}
    return tuple(
        f"{labels[model.endpoint]}: {model.attribution.method}; "
        f"{model.attribution.interval_covers}."
        for model in run.models
        if run.best.get(model.endpoint) == model.name
    )
