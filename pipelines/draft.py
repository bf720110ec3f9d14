"""Draft a study TOML by looking at a file's columns; a person confirms every line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tomli_w

from biomarker.parsing import ParseRule, State, to_arrow

__all__ = ["draft_study"]

_ID = re.compile(r"(?i)^(.*[_. ]?id|id[_. ].*|pid.*|patient.*|subject.*|usubjid)$")
_ARM = re.compile(r"(?i)^(arm|treat(ment)?|trt|rx|therapy|horth)$")
_TIME = re.compile(
    r"(?i)^(time|days?|weeks?|months?|years?|duration|futime|aval|t|"
    r"(os|pfs|dfs|rfs|efs)[_. ]?(time|days|months|years)?|.*[_. ](time|days|weeks|months|years))$"
)
_EVENT = re.compile(
    r"(?i)^(status|event|death|dead|died|cens(or)?|arrest|fustat|d|.*[_. ](event|status))$"
)
_RESPONSE = {"CR", "PR", "SD", "PD", "NE"}
_CENTRE = re.compile(r"(?i)^(cent(re|er)|site|inst(itution)?|hospital)$")
_BATCH = re.compile(r"(?i)^(batch|plate|run|lot)$")
_MARKER = re.compile(r"(?i)caix|vegf|fibronectin|ccr5|progrec|estrec|cd\d+|marker|expr")
_UNITS = ("days", "weeks", "months", "years")
_MOST_LEVELS = 12


@dataclass
class _Seen:
    """What a look at one column found."""

    name: str
    texts: list[str]  # distinct known values, at most _MOST_LEVELS + 1
    numeric: bool
    n_distinct: int
    n_known: int
    low: float = np.nan
    high: float = np.nan


def draft_study(table: pa.Table, name: str) -> str:
    """TOML text that declares every column of a table, with what to check said beside it.

    Parameters
    ----------
    table : pyarrow Table
        As read from a file.
    name : str
        Name for the study.

    Returns
    -------
    str
        A draft. Where an endpoint was recognised the draft can be used once the lines marked
        CHECK are confirmed; otherwise it says what to add.
    """
    seen = [_look(column, table[column]) for column in table.column_names]
    roles = _roles(seen, table.num_rows)
    parts = [
        f"# Drafted from {table.num_rows} rows and {len(seen)} columns. Confirm every line marked",
        "# CHECK: a wrong role, coding or unit makes a wrong study.",
        tomli_w.dumps({"format_version": 1, "name": re.sub(r"[^A-Za-z0-9._-]", "-", name)}),
    ]
    for column in seen:
        spec, note = _column(column, roles[column.name])
        body = tomli_w.dumps({"columns": {column.name: spec}}).replace("[columns]\n", "").strip()
        parts.append(f"# {note}\n{body}\n" if note else f"{body}\n")
    parts += _endpoints(seen, roles)
    return "\n".join(parts)


def _look(name: str, column: pa.ChunkedArray) -> _Seen:
    values = to_arrow(column)
    numbers = ParseRule(name, "continuous").parse(values)
    known = numbers.states != State.MISSING
    numeric = bool(known.any()) and bool(np.all(numbers.states[known] == State.OK))
    distinct = [str(v) for v in pc.unique(values).to_pylist() if v is not None]
    texts = [text for text in distinct if text not in ("", "NA", "nan")]
    seen = _Seen(name, texts[: _MOST_LEVELS + 1], numeric, len(texts), int(known.sum()))
    if numeric:
        seen.low, seen.high = float(np.nanmin(numbers.values)), float(np.nanmax(numbers.values))
        if len(texts) <= _MOST_LEVELS:
            seen.texts = [f"{v:g}" for v in np.unique([float(t) for t in texts])]
    return seen


def _roles(seen: list[_Seen], n_rows: int) -> dict[str, str]:
    roles: dict[str, str] = {}
    taken: set[str] = set()
    for column in seen:
        role = _role(column, n_rows)
        if role in ("id", "arm", "time", "event") and role in taken:
            role = "covariate"
        taken.add(role)
        roles[column.name] = role
    if "time" in taken and "event" not in taken:
        roles = {k: ("covariate" if v == "time" else v) for k, v in roles.items()}
    if "event" in taken and "time" not in taken:
        roles = {k: ("covariate" if v == "event" else v) for k, v in roles.items()}
    return roles


def _role(column: _Seen, n_rows: int) -> str:
    name = column.name
    if name == "" or column.n_known == 0:
        return "ignore"
    if _ID.match(name) and column.n_distinct == n_rows:
        return "id"
    if set(column.texts) <= _RESPONSE and column.n_distinct >= 2:
        return "response"
    if _TIME.match(name) and column.numeric and column.low > 0 and column.n_distinct > 2:
        return "time"
    if _EVENT.match(name) and column.n_distinct == 2:
        return "event"
    if _ARM.match(name) and 2 <= column.n_distinct <= 4:
        return "arm"
    if _CENTRE.match(name):
        return "centre"
    if _BATCH.match(name):
        return "batch"
    if column.n_distinct < 2 or (not column.numeric and column.n_distinct > _MOST_LEVELS):
        return "ignore"
    return "marker" if _MARKER.search(name) else "covariate"


def _column(column: _Seen, role: str) -> tuple[dict[str, Any], str]:
    if role in ("time", "event", "response"):
        return {"role": "endpoint"}, "CHECK: used by the endpoint below"
    if role in ("id", "centre", "batch"):
        return {"role": role}, ""
    if role == "ignore":
        why = "one value only" if column.n_distinct < 2 else f"{column.n_distinct} distinct texts"
        return {"role": "ignore"}, f"left out: {why}"
    if role == "arm":
        spec = {"role": "arm", "levels": column.texts, "control": column.texts[0]}
        return {**spec, "randomised": False}, (
            "CHECK: which level is control, and whether patients were randomised"
        )
    if column.numeric and column.n_distinct > 6:
        note = "CHECK: give the unit and the allowed range; post-baseline columns are no features"
        return {"role": role, "kind": "continuous"}, note
    kind = "ordinal" if column.numeric and column.n_distinct > 2 else "categorical"
    levels = column.texts if column.numeric else sorted(column.texts)
    note = "CHECK: the order of the levels" if kind == "ordinal" else ""
    return {"role": role, "kind": kind, "levels": levels}, note


def _endpoints(seen: list[_Seen], roles: dict[str, str]) -> list[str]:
    by_role = {role: name for name, role in reversed(list(roles.items()))}
    columns = {column.name: column for column in seen}
    parts = []
    if "time" in by_role:
        time, event = by_role["time"], by_role["event"]
        unit = next((u for u in _UNITS if u[:-1] in time.lower()), "days")
        codes = columns[event].texts
        spec = {
            "type": "survival",
            "duration": time,
            "event": event,
            "event_values": codes[-1:],
            "censored_values": codes[:1],
            "unit": unit,
        }
        parts.append(
            f"# CHECK: that {codes[-1]} means the event happened, and that time is in {unit}\n"
            + tomli_w.dumps({"endpoints": {"survival": spec}})
        )
    if "response" in by_role:
        values = set(columns[by_role["response"]].texts)
        spec = {
            "type": "response",
            "column": by_role["response"],
            "positive": sorted(values & {"CR", "PR"}) or ["CR"],
            "negative": sorted(values & {"SD", "PD"}) or ["PD"],
        }
        if "NE" in values:
            spec["not_evaluable"] = ["NE"]
        parts.append(
            "# CHECK: what counts as response, and the rule for NE and missing\n"
            + tomli_w.dumps({"endpoints": {"response": spec}})
        )
    if not parts:
        parts.append(
            "# No endpoint was recognised: give its columns role = 'endpoint' and add, e.g.,\n"
            '# [endpoints.os]\n# type = "survival"\n# duration = "COLUMN"\n# event = "COLUMN"\n'
            '# event_values = ["1"]\n# censored_values = ["0"]\n# unit = "months"\n'
        )
    return parts
