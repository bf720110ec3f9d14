"""Who is in a dataset, whatever the order of rows: the ledger's digests, and places for draws."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort

__all__ = ["column_digest", "dataset_digest", "outcome_digest", "places"]

Ints = npt.NDArray[np.int64]

_KNOWN: WeakKeyDictionary[Cohort, dict[str, str]] = WeakKeyDictionary()
_LINES: WeakKeyDictionary[Cohort, list[str]] = WeakKeyDictionary()
_PLACES: WeakKeyDictionary[Cohort, Ints] = WeakKeyDictionary()


def _outcomes(cohort: Cohort) -> list[str]:
    """Every patient's outcomes as text, in an order that no endpoint's name decides."""
    parts: list[list[str]] = [[] for _ in range(cohort.n_rows)]
    for outcome in cohort.outcomes.values():
        position = np.cumsum(outcome.included) - 1
        for i, there in enumerate(outcome.included.tolist()):
            parts[i].append(repr(outcome.y[position[i]].tolist()) if there else "")
    return ["\x1d".join(sorted(part)) for part in parts]


def _lines(cohort: Cohort) -> list[str]:
    """One line a patient: the id, or the outcomes where the study declares no id."""
    if cohort not in _LINES:
        named = cohort.study.id_column is not None
        _LINES[cohort] = [str(i) for i in cohort.ids.tolist()] if named else _outcomes(cohort)
    return _LINES[cohort]


def _digest(lines: Iterable[str]) -> str:
    text = "\x1e".join(sorted(lines))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def dataset_digest(cohort: Cohort) -> str:
    """SHA-256 (hex) of who the patients are and which of them were treated alike.

    Row order, the names of endpoints, which arm is called control, how more than two arms are
    pooled, markers and transforms are no part of it: none of them makes a new dataset. Nor are
    outcomes where two arms and ids tell datasets apart, so that a later data cut goes on with the
    same ledger; where there is one arm, or no id column, outcomes stand in.
    """
    arm, lines = cohort.treated, _lines(cohort)
    study = cohort.study
    if arm is None or study.id_column is None:
        lines = [f"{a}\x1f{b}" for a, b in zip(lines, _outcomes(cohort), strict=True)]
    if arm is None or len(study.columns[study.arm_column or ""].levels) > 2:
        return _digest(lines)
    # Which arm is called control changes nothing.
    if study.id_column is not None:
        side = arm != arm[min(range(len(lines)), key=lambda i: lines[i])]
        return _digest(_marked(lines, side))
    return min(_digest(_marked(lines, side)) for side in (arm, ~arm))


def _marked(lines: list[str], side: npt.NDArray[np.bool_]) -> Iterable[str]:
    return (f"{line}\x1f{int(s)}" for line, s in zip(lines, side.tolist(), strict=True))


def column_digest(cohort: Cohort, name: str) -> str:
    """First 16 digits (hex) of the SHA-256 of a column's values as read, patient by patient."""
    known = _KNOWN.setdefault(cohort, {})
    if name not in known:
        values = cohort.columns[name].values.tolist()
        found = (f"{line}\x1f{v!r}" for line, v in zip(_lines(cohort), values, strict=True))
        known[name] = _digest(found)[:16]
    return known[name]


def outcome_digest(cohort: Cohort, endpoint: str) -> str:
    """The same of an endpoint's outcomes."""
    known = _KNOWN.setdefault(cohort, {})
    key = f"endpoint {endpoint}"
    if key not in known:
        outcome = cohort.outcomes[endpoint]
        position = np.cumsum(outcome.included) - 1
        found = [
            f"{line}\x1f{outcome.y[position[i]].tolist()!r}" if outcome.included[i] else line
            for i, line in enumerate(_lines(cohort))
        ]
        known[key] = _digest(found)[:16]
    return known[key]


def places(cohort: Cohort) -> Ints:
    """Place of each row among the sorted patients: random numbers belong to places, not to rows.

    Where outcomes stand in for ids, patients alike in them are told apart by what else the file
    says of them; those alike in everything can change places without changing a number.
    """
    if cohort in _PLACES:
        return _PLACES[cohort]
    lines: list[Any] = _lines(cohort)
    if cohort.study.id_column is None:
        values = [cohort.columns[name].values.tolist() for name in sorted(cohort.columns)]
        lines = [(a, repr(b)) for a, b in zip(lines, zip(*values, strict=True), strict=True)]
    order = np.array(sorted(range(cohort.n_rows), key=lines.__getitem__), dtype=np.int64)
    found = np.empty(cohort.n_rows, dtype=np.int64)
    found[order] = np.arange(cohort.n_rows)
    found.setflags(write=False)
    _PLACES[cohort] = found
    return found
