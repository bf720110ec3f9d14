"""What moved the predictions, for the model kept and, in short, for the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from biomarker.explain.attribution import Attribution
from biomarker.explain.by_value import FEWEST, ValueGroup, by_value
from biomarker.figures.attribution import beeswarm, dependence, importance, value_words, waterfall
from biomarker.figures.performance import number
from biomarker.resampling import spawn
from pipelines.limits import beats_chance
from pipelines.report.parts import Figure, Table
from pipelines.report.tables import counted, label_of
from pipelines.report.words import CAUTION
from pipelines.results import ModelRun, StudyRun

__all__ = ["Explanation", "explanation"]

_DEPENDENCE = 4
_GROUP = "Value"
_GROUPS = "Fifths of the known values; equal values stay together, so fifths may differ in size."
_COVERS = (
    "Interval: 95% percentile bootstrap over the patients of the group for this one fitted model, "
    "not over refits. Where a model gives all of a group the same, it is a point."
)
_TOO_FEW = f" No mean is given of fewer than {FEWEST} patients."


@dataclass(frozen=True)
class Explanation:
    """Attribution of one endpoint, or why it is withheld.

    Attributes
    ----------
    withheld : str
        Why no attribution is shown; empty where it is.
    caution : str
        Fixed words that stand under every attribution figure.
    """

    withheld: str
    model: str
    method: str
    scale: str
    direction: str
    covers: str
    caution: str
    overview: tuple[Figure, ...]
    dependence: tuple[Figure, ...]
    patients: tuple[Figure, ...]
    others: tuple[Figure, ...]
    others_withheld: tuple[str, ...]
    correlated: tuple[tuple[str, ...], ...]


def explanation(
    run: StudyRun, models: Sequence[ModelRun], best: ModelRun, key: str, above_chance: bool
) -> Explanation:
    """Draw the attribution of the model kept where its performance allows a reading.

    A model whose out-of-fold interval reaches chance still has attributions, as large as any: on
    pure noise they look like findings. They are withheld then.
    """
    found = best.attribution
    labels = {name: label_of(run.cohort, name) for name in run.cohort.features}
    parts: dict[str, tuple[Figure, ...]] = dict.fromkeys(
        ("overview", "dependence", "patients", "others"), ()
    )
    withheld = ""
    if above_chance:
        parts["overview"] = (
            _beeswarm(found, labels, key, counted(run)),
            _importance(found, labels, f"{key}-importance", best.name),
        )
        parts["dependence"] = tuple(
            _dependence(run, best, item.source, labels, f"{key}-dependence-{i}")
            for i, item in enumerate(found.importance[:_DEPENDENCE])
            if item.value > 0
        )
        parts["patients"] = _patients(found, labels, key)
        parts["others"] = tuple(
            _importance(model.attribution, labels, f"{key}-other-{i}", model.name)
            for i, model in enumerate(models)
            if model is not best and beats_chance(model)
        )
    else:
        withheld = (
            f"Withheld: out of fold the interval of {best.name} reaches what chance gives. "
            "Attributions of such a model can be as large as those of a good one and mean nothing."
        )
    return Explanation(
        withheld=withheld,
        model=best.name,
        method=found.method,
        scale=found.scale,
        direction=found.direction,
        covers=found.interval_covers,
        caution=CAUTION,
        others_withheld=tuple(m.name for m in models if m is not best and not beats_chance(m)),
        correlated=tuple(
            tuple(labels.get(name, name) for name in group) for group in found.correlated
        ),
        **parts,
    )


def _beeswarm(found: Attribution, labels: dict[str, str], key: str, unit_counted: str) -> Figure:
    leading = ", ".join(labels.get(i.source, i.source) for i in found.importance[:3])
    return Figure(
        f"{key}-beeswarm",
        "Attribution of every patient",
        beeswarm(found, labels, name=f"{key}-beeswarm"),
        f"Beeswarm plot on the {found.scale} scale ({found.direction}). Largest mean absolute "
        f"attribution: {leading}.",
        "One point a patient (at most 500 a row; placed to the nearest 1/150 of their spread, so "
        "that no exact value can be read off), right of zero where the column moves the margin "
        "up. Colour follows the rank of the column's value, for levels their declared order.",
        _swarm_table(found, labels, unit_counted),
    )


def _swarm_table(found: Attribution, labels: dict[str, str], unit_counted: str) -> Table:
    """Every column, and set in under it the mean of each fifth or level."""
    rows: list[tuple[str, ...]] = []
    fewest = False
    for item in found.importance:
        shares = found.values[:, found.sources.index(item.source)]
        rows.append(
            (
                labels.get(item.source, item.source),
                _signed(float(shares.mean())),
                number(item.value),
                f"{len(shares):,}",
            )
        )
        for group in by_value(found, item.source):
            fewest = fewest or group.mean is None
            rows.append(
                (
                    f"  {group.label}",
                    _signed(group.mean),
                    number(group.absolute),
                    f"{group.n_rows:,}",
                )
            )
    return Table(
        f"Attribution by fifth or level of each column ({found.scale}).",
        ("Column", "Mean attribution", "Mean |attribution|", unit_counted.capitalize()),
        tuple(rows),
        note=_GROUPS + (_TOO_FEW if fewest else ""),
    )


def _signed(value: float | None) -> str:
    """A number with its sign, a true minus; an en dash where there is none."""
    if value is None:
        return number(None)
    words = number(value)
    if not words.strip("−0."):
        return words.removeprefix("−")
    return words if value < 0 else f"+{words}"


def _importance(found: Attribution, labels: dict[str, str], key: str, model: str) -> Figure:
    rows = tuple(
        (
            labels.get(i.source, i.source),
            number(i.value),
            f"{number(i.low)} to {number(i.high)}",
            f"{i.n_patients:,}",
        )
        for i in found.importance
    )
    said = "; ".join(f"{row[0]} {row[1]} ({row[2]})" for row in rows[:8])
    return Figure(
        key,
        f"Mean absolute attribution: {model}",
        importance(found, labels, name=key),
        f"Bars with intervals on the {found.scale} scale. {said}.",
        f"Intervals: {found.interval_covers}.",
        Table(
            f"Mean absolute attribution, {model} ({found.scale}).",
            ("Column", "Mean |attribution|", "95% interval", "Patients"),
            rows,
        ),
    )


def _dependence(
    run: StudyRun, best: ModelRun, source: str, labels: dict[str, str], key: str
) -> Figure:
    """Points, and the mean of each fifth or level with its limits."""
    found, label = best.attribution, labels.get(source, source)
    j = found.sources.index(source)
    groups = _groups(run, best, source)
    absent = int((found.columns[:, j] != found.columns[:, j]).sum())
    caption = "One point a patient (at most 500), placed to the nearest 1/150 of their spread."
    what = "level" if found.levels[j] else "fifth of the values"
    caption += f" Bars: mean of each {what}, in a box as high as its 95% interval."
    unit_counted = counted(run)
    if absent:
        caption += f" {absent:,} {unit_counted} without a value are not drawn."
    return Figure(
        key,
        f"{label}: attribution against value",
        dependence(found, source, labels, groups, name=key),
        f"Attribution of {label} against its value, {found.scale} scale ({found.direction}). "
        + "; ".join(f"{g.label} {_signed(g.mean)}" for g in groups)
        + ".",
        caption,
        Table(
            f"{label}: mean attribution by {'level' if found.levels[j] else 'fifth'} "
            f"({found.scale}).",
            (_GROUP, "Mean attribution", "95% interval", unit_counted.capitalize()),
            tuple(
                (
                    group.label.capitalize() if not found.levels[j] else group.label,
                    _signed(group.mean),
                    "–" if group.low is None else f"{_signed(group.low)} to {_signed(group.high)}",
                    f"{group.n_rows:,}",
                )
                for group in groups
            ),
            note=_COVERS
            + ("" if found.levels[j] else f" {_GROUPS}")
            + (_TOO_FEW if any(group.mean is None for group in groups) else ""),
        ),
    )


def _groups(run: StudyRun, best: ModelRun, source: str) -> tuple[ValueGroup, ...]:
    """A column's means with limits over patients; drawn from a stream of their own."""
    numbers = run.cohort.patient_numbers[run.cohort.outcomes[best.endpoint].included]
    seed = run.settings["seed"]["value"]
    return by_value(
        best.attribution,
        source,
        rng=spawn(seed, "attribution by value", best.endpoint, best.name, source),
        patient_numbers=numbers if counted(run) == "rows" else None,
    )


def _patients(found: Attribution, labels: dict[str, str], key: str) -> tuple[Figure, ...]:
    """Three waterfalls under pseudonyms; values as fifths or levels, never as measured."""
    figures = []
    what = "probability of response" if "respond" in found.direction else "risk"
    for i, patient in enumerate(found.illustrations):
        share = found.values[patient.row]
        order = np.argsort(-np.abs(share), kind="stable")
        rows = tuple(
            (
                labels.get(found.sources[j], found.sources[j]),
                value_words(found, j, patient.row),
                f"{share[j]:+.3f}".replace("-", "−"),
            )
            for j in order
        )
        said = "; ".join(f"{row[0]} ({row[1]}) {row[2]}" for row in rows[:5])
        title = f"{patient.pseudonym[0].upper()}{patient.pseudonym[1:]}: {patient.level} {what}"
        figures.append(
            Figure(
                f"{key}-patient-{i}",
                title,
                waterfall(found, patient, labels, name=f"{key}-patient-{i}"),
                f"Waterfall from {number(found.base_value)} to "
                f"{number(float(found.margin[patient.row]))} on the {found.scale} scale. {said}.",
                f"From the base value {number(found.base_value)} (dashed) to the margin "
                f"{number(float(found.margin[patient.row]))}. Values as levels or fifths.",
                Table(
                    f"{title} ({found.scale}).",
                    ("Column", "Value", "Attribution"),
                    rows,
                    numeric=False,
                ),
            )
        )
    return tuple(figures)
