"""Draft a study TOML by looking at a file's columns; a person confirms every line."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tomli_w

from biomarker.errors import CohortError
from biomarker.parsing import ParseRule, State, is_plain, to_arrow
from biomarker.reporting import Reporting

__all__ = ["draft_study"]

_ID = re.compile(
    r"(?i)^(id|.*[_. -]id|id[_. -](no|num|number)|u?subj(ect)?(_?id)?|pid(num)?|"
    r"patient([_. -]?(id|no|num|number))?|usubjid)$"
)
_ARM = re.compile(r"(?i)^(arms?|treat(ment)?|trt|rx|therapy|horth|treatment[_. ]arm)$")
_TIME = re.compile(
    r"(?i)^(?:(?P<stem>.+)[_. ])?(time|days?|weeks?|months?|years?|duration|futime|aval)$"
    r"|^(?P<short>os|pfs|dfs|rfs|efs|ttp)(time|days|months|years)?$|^t$"
)
_EVENT = re.compile(
    r"(?i)^(?:(?P<stem>.+)[_. ])?(status|event|death|dead|died|cens(or(ed)?)?|cnsr|arrest|fustat)$"
    r"|^(?P<short>os|pfs|dfs|rfs|efs|ttp)(event|status|cens)$|^d$"
)
_INTERVAL = re.compile(r"(?i)^t?(start|stop)([_. ]?time)?$")  # a row per interval of follow-up
_SURVIVAL_STEM = re.compile(r"(?i)^(os|pfs|dfs|rfs|efs|ttp|dss|mfs|surv(ival)?|fu|follow[_. ]?up)$")
_LATER = re.compile(
    r"(?i)^off|relaps|recur|progress|respon|follow|nadir|post|discontin|withdr|_?(wk|week|month)\d"
)
_RESPONSE = {"CR", "PR", "SD", "PD", "NE"}
_CENTRE = re.compile(r"(?i)^(cent(re|er)|site|inst(itution)?|hospital)$")
_BATCH = re.compile(r"(?i)^(batch|plate|run|lot)$")
_MARKER = re.compile(r"(?i)caix|vegf|fibronectin|ccr5|progrec|estrec|cd\d+|marker|expr")
_UNITS = ("days", "weeks", "months", "years")
_HAPPENED = re.compile(r"(?i)^(1|dead|died|death|event|yes|y|true|relapsed?|progress(ed|ion)?)$")
_MISSING_WORDS = (".", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "-", "?")
_LIMITED = re.compile(r"([<>])\s?(\d+\.?\d*|\.\d+)", re.ASCII)
_MOST_LEVELS = 12

_BASELINE = "that it was known before treatment began (if not: role = 'post_baseline')"


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
    floating: bool = False
    below: float | None = None
    above: float | None = None


@dataclass(frozen=True)
class _Pair:
    """A time column and its event column, recognised as one endpoint."""

    name: str
    time: str
    event: str


def draft_study(table: pa.Table, name: str) -> str:
    """TOML text that declares every column of a table, with what to check said beside it.

    Parameters
    ----------
    table : pyarrow Table
        As read from a file.
    name : str
        Name for the study; characters a study name may not hold become hyphens.

    Returns
    -------
    str
        A draft. Where an endpoint was recognised the draft can be used once the lines marked
        CHECK are confirmed; otherwise it says what to add. Columns that look like a second outcome
        or a later measurement are drafted as ``post_baseline``, so that none becomes a feature
        unless a person says so.

    Raises
    ------
    CohortError
        If a column name is repeated: TOML, like every table, needs each name once.
    """
    repeated = [column for column, n in Counter(table.column_names).items() if n > 1]
    if repeated:
        raise CohortError(
            f"Every column name must be unique; {len(repeated)} of them stand more than once. "
            "Rename or remove the repeated columns."
        )
    missing = _missing_words(table)
    seen = [_look(column, table[column], missing) for column in table.column_names]
    pairs = _pairs(seen)
    roles = _roles(seen, pairs, table.num_rows)
    head: dict[str, Any] = {"format_version": 1, "name": _study_name(name)}
    parts = [
        f"# Drafted from {table.num_rows} rows and {len(seen)} columns. Confirm every line marked",
        "# CHECK: a wrong role, coding or unit makes a wrong study.",
    ]
    if len(missing) > 2:
        head["missing"] = list(missing)
        parts.append("# CHECK: that each text under 'missing' means missing")
    parts.append(tomli_w.dumps(head))
    for column in seen:
        spec, note = _column(column, roles[column.name])
        body = tomli_w.dumps({"columns": {column.name: spec}}).replace("[columns]\n", "").strip()
        parts.append(f"# {note}\n{body}\n" if note else f"{body}\n")
    parts += _endpoints(seen, roles, pairs)
    parts.append(_reporting())
    return "\n".join(parts)


def _reporting() -> str:
    """The ``[reporting]`` table, every line commented out: answers only the author has."""
    lines = [
        "# Answers for the evidence pack that only the author has; what is left out is marked",
        "# there as needing the author.",
        "# [reporting]",
    ]
    lines += [
        f'# {name} = ""  # {known.description}' for name, known in Reporting.model_fields.items()
    ]
    return "\n".join(lines) + "\n"


def _study_name(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain)[:64].strip("._-") or "study"


def _missing_words(table: pa.Table) -> tuple[str, ...]:
    """Words for missing that keep an otherwise numeric column from being numbers."""
    found: set[str] = set()
    for name in table.column_names:
        words = set(_distinct(table[name])) & set(_MISSING_WORDS)
        if words and _look(name, table[name], ("", "NA", *words)).numeric:
            found |= words
    return ("", "NA", *(word for word in _MISSING_WORDS if word in found))


def _distinct(column: pa.ChunkedArray) -> list[str]:
    if not is_plain(column.type):
        return []
    return [str(v) for v in pc.unique(to_arrow(column)).to_pylist() if v is not None]


def _look(name: str, column: pa.ChunkedArray, missing: tuple[str, ...]) -> _Seen:
    values = to_arrow(column)
    rule = ParseRule(name, "continuous", missing=missing)
    numbers = rule.parse(values)
    known = numbers.states != State.MISSING
    texts = [text for text in _distinct(column) if text not in missing and text != "nan"]
    seen = _Seen(name, texts[: _MOST_LEVELS + 1], False, len(texts), int(known.sum()))
    seen.floating = pa.types.is_floating(values.type)
    odd = known & (numbers.states != State.OK)
    plain = known & (numbers.states == State.OK)
    if odd.any() and plain.any() and not _find_limits(seen, texts, missing):
        return seen
    seen.numeric = bool(plain.any())
    if seen.numeric:
        seen.low, seen.high = float(np.nanmin(numbers.values)), float(np.nanmax(numbers.values))
        if seen.below is None and seen.above is None and len(texts) <= _MOST_LEVELS:
            seen.texts = [_number_text(v) for v in np.unique([float(t) for t in texts])]
    return seen


def _find_limits(seen: _Seen, texts: list[str], missing: tuple[str, ...]) -> bool:
    """Whether every odd text is a reading beyond a limit; notes the limits met."""
    plain = ParseRule(seen.name, "continuous", missing=missing).parse(pa.array(texts, pa.string()))
    odd = [text for text, state in zip(texts, plain.states, strict=True) if state != State.OK]
    matches = [_LIMITED.fullmatch(text) for text in odd]
    limits = [(m[1], float(m[2])) for m in matches if m is not None and float(m[2]) > 0]
    if len(limits) < len(odd):
        return False
    below = [limit for side, limit in limits if side == "<"]
    above = [limit for side, limit in limits if side == ">"]
    seen.below, seen.above = (max(below) if below else None), (min(above) if above else None)
    return seen.below is None or seen.above is None or seen.below < seen.above


def _number_text(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(float(value))


def _stem(pattern: re.Pattern[str], name: str) -> str | None:
    """What a time or event column's name begins with; None where it is neither."""
    match = pattern.match(name)
    if match is None:
        return None
    return (match["stem"] or match["short"] or "").lower()


def _pairs(seen: list[_Seen]) -> list[_Pair]:
    """Endpoints recognised by their columns' names: equal beginnings first, else the first two."""
    times = {
        column.name: stem
        for column in seen
        if column.numeric and column.low >= 0 and column.n_distinct > 2
        if (stem := _stem(_TIME, column.name)) is not None
    }
    events = {
        column.name: stem
        for column in seen
        if column.n_distinct == 2
        if (stem := _stem(_EVENT, column.name)) is not None
    }
    pairs: list[_Pair] = []
    for time, stem in times.items():
        for event, other in events.items():
            if stem == other and not any(event == p.event or stem == p.name for p in pairs):
                pairs.append(_Pair(stem, time, event))
                break
    if not pairs and times and events:
        pairs.append(_Pair("", next(iter(times)), next(iter(events))))
    return [_Pair(p.name or "survival", p.time, p.event) for p in pairs]


def _roles(seen: list[_Seen], pairs: list[_Pair], n_rows: int) -> dict[str, str]:
    paired = {name for pair in pairs for name in (pair.time, pair.event)}
    roles: dict[str, str] = {}
    for column in seen:
        role = "endpoint" if column.name in paired else _role(column, n_rows)
        if role == "arm" and "arm" in roles.values():
            role = "second arm"
        elif role == "response" and "response" in roles.values():
            role = "later"
        elif role == "id" and "id" in roles.values():
            role = "ignore"
        roles[column.name] = role
    return roles


def _role(column: _Seen, n_rows: int) -> str:
    name = column.name
    if name == "" or column.n_known == 0:
        return "ignore"
    if _ID.match(name) and not column.floating:
        return "id" if column.n_distinct == n_rows else "repeated id"
    if column.n_distinct >= 2 and set(column.texts) <= _RESPONSE:
        return "response"
    if _ARM.match(name) and 2 <= column.n_distinct <= 4:
        return "arm"
    if _CENTRE.match(name):
        return "centre"
    if _BATCH.match(name):
        return "batch"
    if column.n_distinct < 2 or (not column.numeric and column.n_distinct > _MOST_LEVELS):
        return "ignore"
    time = _stem(_TIME, name)
    unclaimed = time is not None and (time == "" or _SURVIVAL_STEM.match(time))
    unclaimed = unclaimed or _INTERVAL.match(name) is not None
    if unclaimed or _stem(_EVENT, name) is not None or _LATER.search(name):
        return "later"
    return "marker" if _MARKER.search(name) else "covariate"


def _column(column: _Seen, role: str) -> tuple[dict[str, Any], str]:
    if role in ("endpoint", "response"):
        return {"role": "endpoint"}, "CHECK: used by an endpoint below"
    if role == "id":
        return {"role": role}, "CHECK: that this names the patient and is no measurement"
    if role == "repeated id":
        return {"role": "ignore"}, (
            "CHECK: left out. If it names the patient, say role = 'id' here and rows_per_patient = "
            "'many' above; if each row is an interval of follow-up, make one row a patient first"
        )
    if role in ("centre", "batch"):
        return {"role": role}, ""
    if role == "ignore":
        if column.n_distinct < 2:
            return {"role": "ignore"}, "left out: one value at most"
        return {"role": "ignore"}, f"CHECK: left out with {column.n_distinct} distinct values"
    if role == "second arm":
        return {"role": "ignore"}, "CHECK: left out since another column was taken for the arm"
    if role == "later":
        return {"role": "post_baseline"}, (
            "CHECK: looks like an outcome or a later measurement, so it is never a feature"
        )
    if role == "arm":
        spec = {"role": "arm", "levels": column.texts, "control": column.texts[0]}
        return {**spec, "randomised": False}, (
            "CHECK: which level is control, and whether patients were randomised"
        )
    return _feature(column, role)


def _feature(column: _Seen, role: str) -> tuple[dict[str, Any], str]:
    limits = {
        side: limit
        for side, limit in (("lower", column.below), ("upper", column.above))
        if limit is not None
    }
    if limits or (column.numeric and column.n_distinct > 6):
        spec: dict[str, Any] = {"role": role, "kind": "continuous"}
        note = f"CHECK: give the unit and the allowed range, and confirm {_BASELINE}"
        if limits:
            spec["detection"] = limits
            note = f"CHECK: the detection limits; {note.removeprefix('CHECK: ')}"
        return spec, note
    kind = "ordinal" if column.numeric and column.n_distinct > 2 else "categorical"
    levels = column.texts if column.numeric else sorted(column.texts)
    note = f"CHECK: confirm {_BASELINE}"
    if kind == "ordinal":
        note = f"CHECK: the order of the levels, and {_BASELINE}"
    return {"role": role, "kind": kind, "levels": levels}, note


def _endpoints(seen: list[_Seen], roles: dict[str, str], pairs: list[_Pair]) -> list[str]:
    columns = {column.name: column for column in seen}
    parts = [_survival(pair, columns[pair.event].texts) for pair in pairs]
    response = next((name for name, role in roles.items() if role == "response"), None)
    if response is not None:
        values = set(columns[response].texts)
        spec: dict[str, Any] = {
            "type": "response",
            "column": response,
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


def _survival(pair: _Pair, texts: list[str]) -> str:
    unit = next((u for u in _UNITS if u[:-1] in pair.time.lower()), "days")
    codes = sorted(texts)
    happened = next((code for code in codes if _HAPPENED.match(code)), codes[-1])
    if re.search(r"(?i)cnsr$", pair.event) and "0" in codes:
        happened = "0"  # CDISC: 0 is the event, anything above it a reason for censoring
    spec = {
        "type": "survival",
        "duration": pair.time,
        "event": pair.event,
        "event_values": [happened],
        "censored_values": [code for code in codes if code != happened],
        "unit": unit,
    }
    return (
        f"# CHECK: that event_values are the patients whose event happened, and time is in {unit}\n"
        + tomli_w.dumps({"endpoints": {pair.name: spec}})
    )
