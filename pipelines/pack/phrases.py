"""Sentences that several documents of the pack share, every value taken from an artefact."""

from __future__ import annotations

from pipelines.pack.fields import Writer, pointer
from pipelines.report.words import METRICS, fallback_labels

__all__ = [
    "arms",
    "columns_missing",
    "endpoint_flow",
    "endpoint_words",
    "interval_of",
    "main_performance",
    "model_name",
    "performance_words",
    "settings_words",
]

_MAIN = {"survival": ("uno_concordance_index", "integrated_brier_skill", "calibration_slope"),
         "response": ("roc_auc", "response_brier", "calibration_slope")}  # fmt: skip


def interval_of(
    w: Writer, artefact: str, stem: str, style: str, names: tuple[str, str, str]
) -> str:
    """``0.681 (0.640 to 0.722)`` of three keys under one place, whichever of them exist."""
    value, low, high = (w.value(artefact, f"{stem}/{name}") for name in names)
    if value is None:
        return "not estimable"
    said = w.take(artefact, f"{stem}/{names[0]}", style)
    if low is None and high is None:
        return said
    ends = [
        "no limit" if end is None else w.take(artefact, f"{stem}/{name}", style)
        for end, name in zip((low, high), names[1:], strict=True)
    ]
    return f"{said} ({ends[0]} to {ends[1]})"


def model_name(w: Writer, i: int) -> str:
    """A model and its endpoint."""
    return (
        f"{w.take('models.json', pointer(i, 'model'))} on "
        f"{w.take('models.json', pointer(i, 'endpoint'))}"
    )


def performance_words(w: Writer, i: int, j: int) -> str:
    """One estimate of one model: metric, time, value, interval, n."""
    stem = pointer(i, "performance", j)
    metric = w.value("models.json", f"{stem}/metric")
    known = METRICS.get(metric, fallback_labels(metric))
    at = ""
    if w.value("models.json", f"{stem}/horizon") is not None:
        unit = _unit(w, w.value("models.json", pointer(i, "endpoint")))
        at = f"{w.take('models.json', f'{stem}/horizon', 'time')} {unit}"
    label = known.label.format(at=at, when=f" at {at}" if at else "")
    value = interval_of(w, "models.json", stem, "metric", ("value", "low", "high"))
    n = w.take("models.json", f"{stem}/n_patients", "count")
    return f"{label}: {value}, n = {n}"


def _unit(w: Writer, endpoint: str) -> str:
    for i, known in enumerate(w.value("cohort.json", "/endpoints")):
        if known["name"] == endpoint:
            return w.take("cohort.json", pointer("endpoints", i, "unit"))
    return ""


def main_performance(w: Writer, i: int) -> str:
    """A model's discrimination, overall error and calibration in one sentence."""
    kind = w.value("models.json", pointer(i, "kind"))
    rows = w.value("models.json", pointer(i, "performance"))
    parts = [
        performance_words(w, i, j)
        for metric in _MAIN[kind]
        for j, row in enumerate(rows)
        if row["metric"] == metric
    ]
    return f"{model_name(w, i)}: {'; '.join(parts)}."


def endpoint_flow(w: Writer) -> list[str]:
    """Rows in the file, left out with reasons, analysed, events, by endpoint and arm."""
    said = [
        f"{w.take('cohort.json', '/n_rows', 'count')} rows of "
        f"{w.take('cohort.json', '/n_patients', 'count')} patients were read."
    ]
    for i, endpoint in enumerate(w.value("cohort.json", "/endpoints")):
        at = pointer("endpoints", i)
        text = f"{w.take('cohort.json', f'{at}/label')}: "
        gone = [
            f"{w.take('cohort.json', at + pointer('excluded', why), 'count')} ({why})"
            for why in endpoint["excluded"]
        ]
        text += f"left out {', '.join(gone)}; " if gone else ""
        text += (
            f"analysed {w.take('cohort.json', f'{at}/n_patients', 'count')}, with the event or "
            f"response {w.take('cohort.json', f'{at}/n_events', 'count')}"
        )
        arms_ = [
            f"{w.take('cohort.json', f'{at}/by_arm/{k}/arm')} "
            f"{w.take('cohort.json', f'{at}/by_arm/{k}/n_events', 'count')} of "
            f"{w.take('cohort.json', f'{at}/by_arm/{k}/n_patients', 'count')}"
            for k in range(len(endpoint["by_arm"]))
        ]
        text += f" ({'; '.join(arms_)})" if arms_ else ""
        said.append(text + ".")
    return said


def endpoint_words(w: Writer) -> list[str]:
    """What each endpoint is and how the file codes it, as the study declares."""
    said = []
    declared = w.value("study.json", "/endpoints")
    for i, endpoint in enumerate(w.value("cohort.json", "/endpoints")):
        at = pointer("endpoints", endpoint["name"])
        label = w.take("cohort.json", pointer("endpoints", i, "label"))
        if endpoint["kind"] == "survival":
            followed = w.take("cohort.json", pointer("endpoints", i, "mean_duration"), "time")
            text = (
                f"{label}: time from column {w.take('study.json', f'{at}/duration')} in "
                f"{w.take('study.json', f'{at}/unit')}, event in column "
                f"{w.take('study.json', f'{at}/event')} coded "
                f"{w.take('study.json', f'{at}/event_values')}; mean time followed {followed} "
                f"{w.take('study.json', f'{at}/unit')}"
            )
        else:
            text = (
                f"{label}: column {w.take('study.json', f'{at}/column')}, response coded "
                f"{w.take('study.json', f'{at}/positive')}"
            )
        primary = declared[endpoint["name"]].get("primary")
        said.append(f"{text}{'; declared primary' if primary else ''}.")
    return said


def arms(w: Writer) -> str:
    """The design and the arms, as declared."""
    sizes = [
        f"{w.take('cohort.json', f'/arms/{i}/0')} {w.take('cohort.json', f'/arms/{i}/1', 'count')}"
        for i in range(len(w.value("cohort.json", "/arms")))
    ]
    tail = f" Patients by arm: {', '.join(sizes)}." if sizes else ""
    return f"Design, as declared: {w.take('cohort.json', '/design')}.{tail}"


def columns_missing(w: Writer) -> str:
    """Missing values of every candidate column."""
    parts = [
        f"{w.take('cohort.json', f'/columns/{i}/label')} "
        f"{w.take('cohort.json', f'/columns/{i}/n_missing', 'count')}"
        for i in range(len(w.value("cohort.json", "/columns")))
    ]
    return (
        f"Missing among {w.take('cohort.json', '/n_rows', 'count')} rows: {', '.join(parts)}; by "
        "outcome and arm in the report."
    )


def settings_words(w: Writer) -> str:
    """How models were validated and tuned."""
    repeats, folds, inner, seed = (
        w.take("settings.json", f"/settings/{name}/value", "plain")
        for name in ("repeats", "folds", "inner_folds", "seed")
    )
    return (
        f"{repeats} × {folds}-fold cross-validation, tuned inside each training fold by "
        f"{inner}-fold cross-validation, folds balanced by outcome and arm; seed {seed}. Where "
        "events were too few for so many folds, fewer were used."
    )
