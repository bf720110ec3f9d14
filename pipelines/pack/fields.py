"""Items of a checklist: filled from artefacts, every value traced, or left to the author."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from biomarker.figures.performance import number
from biomarker.reporting import Reporting
from pipelines.evidence_text import p_words, ratio_words
from pipelines.pack.artefacts import Artefact, resolve
from pipelines.report.words import amount

__all__ = [
    "STYLES",
    "Answer",
    "Checklist",
    "Item",
    "Profile",
    "Status",
    "Trace",
    "Writer",
    "holds",
    "pointer",
]

Status = Literal["filled", "needs author", "not in this run", "not applicable"]


def _joined(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


# How a value is printed; a trace names its style, so that anyone can print it again.
STYLES: Mapping[str, Callable[[Any], str]] = {
    "count": lambda v: f"{v:,}",
    "metric": number,
    "percent": lambda v: f"{100 * v:.0f}%",
    "one decimal": lambda v: f"{v:.1f}",
    "time": amount,
    "p": p_words,
    "ratio": lambda v: ratio_words(v, None, None) if v is not None else "no limit",
    "plain": lambda v: f"{v:g}" if isinstance(v, float) else str(v),
    "text": _joined,
    "members": lambda v: f"{len(v):,}",
    "short hash": lambda v: str(v)[:12],
}


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901) to nested keys and places.

    Examples
    --------
    >>> pointer("endpoints", "os/pfs", 0)
    '/endpoints/os~1pfs/0'
    """
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


@dataclass(frozen=True)
class Trace:
    """Where a printed value comes from.

    Attributes
    ----------
    printed : str
        As it stands in the text.
    artefact, place, sha256 : str
        File of the pack, JSON pointer into it, and the hash of its bytes.
    style : str
        Name in :data:`STYLES`.
    """

    printed: str
    artefact: str
    place: str
    style: str
    sha256: str


def holds(trace: Trace, found: Mapping[str, Artefact]) -> bool:
    """Whether the value still stands at its place and prints the same."""
    artefact = found.get(trace.artefact)
    if artefact is None or artefact.sha256 != trace.sha256:
        return False
    try:
        return STYLES[trace.style](resolve(artefact.data, trace.place)) == trace.printed
    except KeyError:
        return False


@dataclass(frozen=True)
class Answer:
    """One question to the author: a field of the study's ``[reporting]``, and what stands there."""

    field: str
    asks: str
    words: str


@dataclass(frozen=True)
class Item:
    """One item of a checklist.

    Attributes
    ----------
    number, section, name : str
        Number in its source; section and name in our own words.
    said : tuple of str
        Sentences filled from the run.
    traces : tuple of Trace
        One for every value in them.
    answers : tuple of Answer
    reason : str
        Why it does not apply, or is not in this run; empty otherwise.
    """

    number: str
    section: str
    name: str
    said: tuple[str, ...]
    traces: tuple[Trace, ...]
    answers: tuple[Answer, ...]
    reason: str
    absent: bool = False

    @property
    def status(self) -> Status:
        """Whether a reader finds all of it, and if not, who can help."""
        if any(not answer.words for answer in self.answers):
            return "needs author"
        if self.reason:
            return "not in this run" if self.absent else "not applicable"
        return "filled"

    @property
    def key(self) -> str:
        """Id on the page."""
        return "item-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in self.number)


@dataclass(frozen=True)
class Profile:
    """A table of which every cell with a number traces."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    traces: tuple[Trace, ...]


@dataclass(frozen=True)
class Checklist:
    """A finished document of the pack.

    Attributes
    ----------
    name : str
        File name without its ending.
    title, intro, source : str
        ``source`` cites where the item numbers come from.
    """

    name: str
    title: str
    intro: str
    source: str
    items: tuple[Item, ...]
    profiles: tuple[Profile, ...] = ()

    @property
    def sections(self) -> dict[str, list[Item]]:
        """Items by section, in order."""
        found: dict[str, list[Item]] = {}
        for item in self.items:
            found.setdefault(item.section, []).append(item)
        return found

    def traces(self) -> list[Trace]:
        """Every trace of the document."""
        return [
            *(trace for item in self.items for trace in item.traces),
            *(trace for profile in self.profiles for trace in profile.traces),
        ]


@dataclass
class Writer:
    """Writes items whose every value is taken from an artefact, and noted.

    Examples
    --------
    >>> import json
    >>> cohort = Artefact("cohort.json", {"n_patients": 1200}, "", "0" * 64)
    >>> writer = Writer({"cohort.json": cohort}, Reporting())
    >>> writer.say(f"{writer.take('cohort.json', '/n_patients', 'count')} patients.")
    >>> item = writer.item("20a", "Results", "flow of patients")
    >>> item.said, item.traces[0].printed, item.status
    (('1,200 patients.',), '1,200', 'filled')
    """

    found: Mapping[str, Artefact]
    reporting: Reporting
    _said: list[str] = field(default_factory=list)
    _traces: list[Trace] = field(default_factory=list)
    _answers: list[Answer] = field(default_factory=list)

    def take(self, artefact: str, place: str, style: str = "text") -> str:
        """A value as printed, its origin noted."""
        source = self.found[artefact]
        printed = STYLES[style](resolve(source.data, place))
        self._traces.append(Trace(printed, artefact, place, style, source.sha256))
        return printed

    def value(self, artefact: str, place: str) -> Any:
        """A value to decide by; what is printed of it must be taken."""
        return resolve(self.found[artefact].data, place)

    def say(self, *sentences: str) -> None:
        """Add sentences to the item being written."""
        self._said += sentences

    def ask(self, *fields: str) -> None:
        """Leave a part of the item to fields of the study's ``[reporting]``."""
        for name in fields:
            asks = Reporting.model_fields[name].description or ""
            self._answers.append(Answer(name, asks, getattr(self.reporting, name).strip()))

    def item(
        self, number: str, section: str, name: str, reason: str = "", absent: bool = False
    ) -> Item:
        """Close the item being written."""
        done = Item(number, section, name, tuple(self._said), tuple(self._traces),
                    tuple(self._answers), reason, absent)  # fmt: skip
        self._said, self._traces, self._answers = [], [], []
        return done

    def profile(self, title: str, note: str, head: tuple[str, ...],
                rows: list[tuple[str, ...]]) -> Profile:  # fmt: skip
        """Close a table whose cells were taken."""
        done = Profile(title, note, head, tuple(rows), tuple(self._traces))
        self._traces = []
        return done
