"""How far the columns' importance moved between two runs, by its spread over refits.

Where both runs refitted a model on resampled patients, the two spreads bound the noise. Otherwise
what is stored are intervals over patients of one fitted model: fitting again on other patients
moves an importance further, so these can show a move to be noise, and never more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from biomarker.errors import NotEstimableError
from biomarker.validation.differences import Change, MetricNoise, independent_change
from pipelines.compare_rows import PAIRINGS, Row, fact, judge_family, moved, unjudged
from pipelines.tracking_runs import StoredModel, StoredRun

__all__ = ["attribution_rows"]

_OVER_REFITS = (
    "from the spread over bootstrap refits in each run, as if no patient were shared: an upper "
    "bound of the noise where patients are shared"
)
_ONE_FIT = (
    "further than its interval, which is over patients of one fitted model: fitting again on other "
    "patients would move it more, by how much is not stored"
)
Table = dict[str, dict[str, Any]]


def attribution_rows(a: StoredRun, b: StoredRun) -> list[Row]:
    """Importance and rank of each column, or group of columns, per model fitted in both runs.

    A group is one where the columns are too correlated to be told apart; groups that differ
    between the runs have no partner.
    """
    models = [{(m.endpoint, m.name): m for m in run.models} for run in (a, b)]
    rows: list[Row] = []
    for key, model in models[0].items():
        if key in models[1]:
            rows += _model_rows(" ".join(key), model, models[1][key])
    return judge_family(rows)


def _model_rows(name: str, a: StoredModel, b: StoredModel) -> list[Row]:
    for file in ("tables/stability.json", "tables/importance.json"):
        mine, other = _table(a, file), _table(b, file)
        if mine is not None and other is not None:
            found = (
                _row(f"{name}: {source}", mine.get(source), other.get(source))
                for source in [*mine, *(s for s in other if s not in mine)]
            )
            return [row for row in found if row is not None]
    if mine is other:
        return []
    shown = ["withheld: not shown to do better than chance", "shown"]
    return [fact("attribution", name, shown[mine is not None], shown[other is not None])]


def _table(model: StoredModel, file: str) -> Table | None:
    """Source to its importance and rank, the largest first; None where the run has no such table.

    Importance is not stored where a model is not shown to beat chance.
    """
    stored = model.files.get(file)
    if stored is None:
        return None
    rows = [dict(zip(stored["columns"], values, strict=True)) for values in stored["data"]]
    rows.sort(key=lambda row: -row["mean_absolute"])
    return {row["source"]: {"rank": i + 1} | row | {"of": len(rows)} for i, row in enumerate(rows)}


def _row(what: str, a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> Row | None:
    """One column in both runs; None where nothing moved."""
    words = [_words(row) for row in (a, b)]
    if a is None or b is None:
        return fact("attribution", what, words[0], words[1])
    if all(a[key] == b[key] for key in ("rank", "mean_absolute")):
        return None
    try:
        change = independent_change(_noise(a), _noise(b))
    except NotEstimableError:
        return unjudged("attribution", what, words, "an interval without width")
    if "n_refits" in a and "n_refits" in b:
        return moved("attribution", what, words, _OVER_REFITS, change)
    return _of_one_fit(what, words, change)


def _of_one_fit(what: str, words: list[str], change: Change) -> Row:
    small = change.low <= 0.0 <= change.high
    row = moved("attribution", what, words, PAIRINGS["independent"] if small else _ONE_FIT, change)
    # A p-value of these intervals would be too small.
    return replace(row, p_value=None, judgement="within" if small else "not_judged")


def _noise(row: Mapping[str, Any]) -> MetricNoise:
    return MetricNoise(row["mean_absolute"], row["low"], row["high"])


def _words(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "not in the model, or in another group"
    rank = f"rank {row['rank']:g}"
    if "rank_low" in row:
        rank += f" ({row['rank_low']:g} to {row['rank_high']:g})"
    bounds = f"({row['low']:.3g} to {row['high']:.3g})"
    return f"{rank} of {row['of']}, {row['mean_absolute']:.3g} {bounds}"
