"""What a comparison of two runs is made of: one row a difference, each with its judgement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from biomarker.validation.differences import Change
from pipelines.tracking_runs import StoredRun

__all__ = [
    "ALPHA",
    "JUDGEMENTS",
    "PAIRINGS",
    "SECTIONS",
    "Comparison",
    "Judgement",
    "Row",
    "Section",
    "changed",
    "fact",
    "judge_family",
    "moved",
    "unjudged",
]

Section = Literal[
    "data", "study", "settings", "performance", "calibration", "attribution", "verdicts"
]
Judgement = Literal["exceeds", "within", "same_number", "not_judged", "fact"]

ALPHA = 0.05

SECTIONS: dict[Section, str] = {
    "data": "Data",
    "study": "Features and study",
    "settings": "Settings and software",
    "performance": "Performance",
    "calibration": "Calibration",
    "attribution": "Attribution",
    "verdicts": "Verdicts",
}

JUDGEMENTS: dict[Judgement, str] = {
    "exceeds": "exceeds resampling noise",
    "within": "no more than resampling noise",
    "same_number": "the same number in both runs",
    "not_judged": "not judged",
    "fact": "not an estimate",
}

PAIRINGS = {
    "same patients and splits": "paired: same patients, same splits",
    "same patients": "paired: same patients, other splits",
    "independent": "from the two intervals, as if no patient were shared: an upper bound of the "
    "noise where patients are shared",
}


@dataclass(frozen=True)
class Row:
    """One thing that was compared.

    Attributes
    ----------
    section : str
    what : str
        What is compared, in words.
    before, after : str
        In run A and run B, with interval, n and unit where it is an estimate.
    judgement : str
        Key of ``JUDGEMENTS``.
    basis : str
        How it was judged, or why it was not.
    difference, low, high : float or None
        B minus A with its 95% interval; for a ratio, B over A.
    p_value : float or None
        Two-sided, of no difference, before adjustment.
    p_adjusted : float or None
        Holm's, within the row's family.
    """

    section: Section
    what: str
    before: str
    after: str
    judgement: Judgement
    basis: str = ""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None

    @property
    def verdict(self) -> str:
        """The judgement in words."""
        return JUDGEMENTS[self.judgement]


@dataclass(frozen=True)
class Comparison:
    """What changed from run A to run B.

    Attributes
    ----------
    opening : tuple of str
        What must be known first: other studies, whether patients are shared.
    rows : tuple of Row
        Everything that differs, and every performance number; in the order of the sections.
    """

    a: StoredRun
    b: StoredRun
    opening: tuple[str, ...]
    rows: tuple[Row, ...]

    def section(self, name: Section) -> tuple[Row, ...]:
        """Rows of one section."""
        return tuple(row for row in self.rows if row.section == name)

    def count(self, judgement: Judgement) -> int:
        """How many rows were judged so."""
        return sum(row.judgement == judgement for row in self.rows)

    def headline(self) -> str:
        """How many estimates were compared, and how many moved by more than noise."""
        judged = self.count("exceeds") + self.count("within")
        same = self.count("same_number")
        also = f" {same} more are the same number in both runs." if same else ""
        if not judged:
            return f"No estimate that can be judged differs between the runs.{also}"
        beyond = self.count("exceeds")
        said = {0: "none exceeds", 1: "1 exceeds"}.get(beyond, f"{beyond} exceed")
        return (
            f"Of {judged} estimates that differ and can be judged, {said} resampling noise.{also}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; no patient values."""
        return {
            "runs": {
                key: {
                    "run_id": run.run_id,
                    "name": run.name,
                    "study": run.study,
                    "started": run.started,
                    "kind": run.kind,
                }
                for key, run in (("a", self.a), ("b", self.b))
            },
            "opening": list(self.opening),
            "headline": self.headline(),
            "alpha": ALPHA,
            "rows": [asdict(row) for row in self.rows],
        }


def judge_family(rows: Sequence[Row]) -> list[Row]:
    """Holm over the rows that carry a p-value; the others pass through.

    A number that is the same in both runs needs no test and is not counted.

    Examples
    --------
    >>> rows = [Row("data", name, "", "", "within", p_value=p) for name, p in
    ...         (("a", 0.01), ("b", 0.04), ("c", 0.03))]
    >>> [(row.what, row.judgement, round(row.p_adjusted, 3)) for row in judge_family(rows)]
    [('a', 'exceeds', 0.03), ('b', 'within', 0.06), ('c', 'within', 0.06)]
    """
    from biomarker.evidence.multiplicity import holm

    tested = [
        i for i, row in enumerate(rows)
        if row.p_value is not None and row.judgement in ("exceeds", "within")
    ]  # fmt: skip
    if not tested:
        return list(rows)
    adjusted = dict(zip(tested, holm([rows[i].p_value or 0.0 for i in tested]), strict=True))
    return [
        row
        if i not in adjusted
        else replace(
            row,
            p_adjusted=float(adjusted[i]),
            judgement="exceeds" if adjusted[i] < ALPHA else "within",
        )
        for i, row in enumerate(rows)
    ]


def fact(section: Section, what: str, before: Any, after: Any) -> Row:
    """A difference of input, as it stands."""
    return Row(section, what, _text(before), _text(after), "fact")


def unjudged(section: Section, what: str, words: Sequence[str], why: str) -> Row:
    """A pair of estimates that nothing stored can judge."""
    before, after = words
    return Row(section, what, before, after, "not_judged", why)


def moved(
    section: Section,
    what: str,
    words: Sequence[str],
    basis: str,
    change: Change,
    ratio: bool = False,
) -> Row:
    """A pair of estimates with their difference, not yet held against its family."""
    before, after = words
    as_shown = math.exp if ratio else float
    return Row(
        section,
        what,
        before,
        after,
        "within",
        basis,
        as_shown(change.difference),
        as_shown(change.low),
        as_shown(change.high),
        change.p_value,
    )


def changed(
    section: Section, what: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Row]:
    """One fact a key whose value differs; nested tables by their path."""
    rows: list[Row] = []
    for key in [*before, *(key for key in after if key not in before)]:
        name = f"{what}{': ' if what else ''}{key}"
        x, y = before.get(key), after.get(key)
        if x == y:
            continue
        if isinstance(x, Mapping) and isinstance(y, Mapping):
            rows += changed(section, name, x, y)
        else:
            rows.append(fact(section, name, x, y))
    return rows


def _text(value: Any) -> str:
    """A setting in words: lists by commas, tables by their keys."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items()) or "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
