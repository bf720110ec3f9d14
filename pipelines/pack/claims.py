"""The claim linter: numbers need values, importance is no cause, strong words need a gate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.pack.causes import causal_words
from pipelines.pack.exemptions import FILLER, hide, hide_names
from pipelines.pack.printed import NUMBER, Printed, Values, printed_numbers
from pipelines.report.words import CAUTION

__all__ = ["ClaimFault", "Gate", "Passage", "lint", "sentences"]


@dataclass(frozen=True)
class Passage:
    """A piece of prose and what it stands in.

    Attributes
    ----------
    where : str
        Headings above it, the outermost first.
    text : str
    attribution : bool
        Whether it speaks of attribution or importance: causal words are faults there.
    numbers : bool
        Whether its numbers are claims; false for axis labels and for tables, which are values.
    """

    where: str
    text: str
    attribution: bool = False
    numbers: bool = True


@dataclass(frozen=True)
class Gate:
    """Which strong words the evidence allows.

    Attributes
    ----------
    claimed : frozenset of (str, str)
        Marker and endpoint of every verdict that claims a differing effect of treatment.
    markers, endpoints : mapping of str to tuple of str
        Name to the spellings a text may use for it.
    validated : bool
        Whether the model was judged on patients from elsewhere.
    declared : tuple of str
        Every text the study or the file brought: not ours to judge.
    """

    claimed: frozenset[tuple[str, str]] = frozenset()
    markers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    endpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    validated: bool = False
    declared: tuple[str, ...] = ()

    def named(self, text: str, kind: str) -> set[str]:
        """Markers or endpoints a text names."""
        known: Mapping[str, tuple[str, ...]] = getattr(self, kind)
        return {
            name
            for name, spellings in known.items()
            if any(
                re.search(rf"(?<!\w){re.escape(s)}(?!\w)", text, re.IGNORECASE)
                for s in spellings
                if s
            )
        }


@dataclass(frozen=True)
class ClaimFault:
    """A sentence that says what the numbers or the evidence do not carry.

    Attributes
    ----------
    where, sentence, wrong : str
    of_number : bool
        Whether a number was not found, rather than a word not allowed.
    """

    where: str
    sentence: str
    wrong: str
    of_number: bool = False

    def __str__(self) -> str:
        return f"{self.where or 'text'}: “{self.sentence}” — {self.wrong}"


_END = re.compile(r"(?<!\bet al\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bv\.)(?<!\bFig\.)(?<=[.!?])\s+")
_CLAUSE = re.compile(r";\s")
_PREDICTIVE = re.compile(r"(?i)\bpredictive(?:ly)?\b")
_VALIDATED = re.compile(r"(?i)\bvalidated\b")
_WORDS = re.compile(r"(?i)\b(?:predictive(?:ly)?|validated|cross-?validated)\b")

# What may be said of the word without a claim; nothing else may.
_PREDICTIVE_ALLOWED = re.compile(
    r"(?i)predictive (?:effect|claim|reading|part|parts|question)s?,? (?:is |was |are |were )?"
    r"(?:not (?:established|estimable|shown|assessed|confirmed|claimed|allowed)|withheld)"
    r"|\bno predictive (?:effect|claim|reading|part)"
    r"|\b(?:withh[eo]ld\w*|without|before|what) (?:a |any |the )?predictive (?:reading|part|claim)"
    r"|\bwhether\b[^.;:]{0,60}\bpredictive"
    r"|\b(?:positive|negative) predictive values?\b"
    r"|\bthe word [“\"']?predictive[”\"']?"
    r"|\bprognostic, predictive,? or not established"
)
_NOT_PREDICTIVE = re.compile(r"(?i)\b(?:not|non|never|isn.t|hardly)[ -](?:a )?predictive\b")
_VALIDATED_ALLOWED = re.compile(
    r"(?i)\bcross-?validated\b|\b(?:not|never|nowhere|un)(?: yet| been| externally| otherwise)*"
    r"[ -]?validated\b|\bto be validated\b|\bmust be validated\b|\bneeds? to be validated\b"
    r"|\bwhether\b[^.;:]{0,40}\bvalidated\b"
)
_OF_IMPORTANCE = re.compile(
    r"(?i)\battribut(?:ion|ions|ed)\b|\bshap\b|\bshapley\b|\bimportan(?:ce|t column|t feature)s?\b"
)
_INTERVAL = re.compile(
    rf"(?P<lead>\(|\binterval,? |\bCI,? |·:? ?|: |, )(?P<a>{NUMBER})(?: \w+)? to (?P<b>{NUMBER})"
)
_COUNTED = re.compile(
    r" (?:more |treated |control |candidate |encoded |recorded )?(?:patients|rows|events|responses|"
    r"responders|samples|tests|columns|features|fits|models|hypotheses|markers|endpoints|cuts|deaths)\b"
)
_N_IS = re.compile(r"\bn ?= ?$")
_P_BOUND = re.compile(rf"(?i)\bp(?:-values?)?\s*(?:is )?(?P<side>[<>≤≥])\s*(?P<p>{NUMBER})")


def lint(
    prose: Iterable[Passage | str], values: Values, gate: Gate | None = None
) -> list[ClaimFault]:
    """Find what a text claims beyond its numbers and its evidence.

    Three rules. A number must equal a computed value at the precision it is printed with, an
    interval the two ends of one estimate; constants, dates, versions, identifiers and reference
    years are exempt by the rules of :mod:`pipelines.pack.exemptions`. Text on attribution or
    importance may hold no causal word (:mod:`pipelines.pack.causes`). ``predictive`` needs the
    gate's claim on every marker and endpoint its sentence names, and ``validated`` patients from
    elsewhere.

    Parameters
    ----------
    prose : iterable of Passage or str
    values : Values
    gate : Gate, optional
        None allows neither word.

    Returns
    -------
    list of ClaimFault
        In order of the text; empty where all is carried.

    Notes
    -----
    A number can agree with an unrelated value by chance: the rule finds numbers that cannot be
    right, it does not prove the others. Numbers in words ("three") are not read.

    Examples
    --------
    >>> values = Values().add_json({"n": 120, "auc": 0.681})
    >>> lint(["AUC 0.68 in 120 patients."], values)
    []
    >>> [str(fault) for fault in lint(["AUC 0.86 in 120 patients."], values)]
    ['text: “AUC 0.86 in 120 patients.” — 0.86 equals no computed value at printed precision']
    """
    gate = Gate() if gate is None else gate
    faults: dict[ClaimFault, None] = {}
    for item in prose:
        passage = Passage("", item) if isinstance(item, str) else item
        text = " ".join(passage.text.split())
        if not passage.numbers and _part_of_a_name(text, gate.declared):
            continue
        # Names may hold full stops: they are covered before the text is parted, places unchanged.
        ours = hide_names(_without_caution(text), gate.declared, _WORDS)
        for start, end in _spans(ours, _END):
            said = _Said(text[start:end], ours[start:end], text)
            shown = _shortened(said.raw)
            if passage.numbers:
                for wrong in _numbers(said.ours, values):
                    faults[ClaimFault(passage.where, shown, wrong, True)] = None
            for wrong in _wrong(said, passage, gate):
                faults[ClaimFault(passage.where, shown, wrong)] = None
    return list(faults)


@dataclass(frozen=True)
class _Said:
    """One sentence: as it stands, with names covered, and the passage around it."""

    raw: str
    ours: str
    passage: str


def sentences(text: str) -> list[str]:
    """Sentences of a text; abbreviations and decimal points do not end one.

    Examples
    --------
    >>> sentences("Adjusted: p .388. See Uno et al. (2011). End.")
    ['Adjusted: p .388.', 'See Uno et al. (2011).', 'End.']
    """
    return [text[start:end] for start, end in _spans(text, _END)]


def _spans(text: str, between: re.Pattern[str]) -> list[tuple[int, int]]:
    """Where the parts of a text stand."""
    spans, start = [], 0
    for match in between.finditer(text):
        spans.append((start, match.start()))
        start = match.end()
    return [(a, b) for a, b in [*spans, (start, len(text))] if a < b]


def _without_caution(text: str) -> str:
    """The text with the fixed caution covered: it names what it denies."""
    for said in (CAUTION, *sentences(CAUTION)):
        text = text.replace(said, FILLER * len(said))
    return text


def _part_of_a_name(text: str, declared: tuple[str, ...]) -> bool:
    """Whether a label of a drawing is a declared name, cut short or set on two lines."""
    part = text.rstrip("…").strip().lower()
    return len(part) > 3 and any(part in " ".join(name.split()).lower() for name in declared)


def _shortened(sentence: str) -> str:
    return sentence if len(sentence) <= 300 else sentence[:299] + "…"


def _wrong(said: _Said, passage: Passage, gate: Gate) -> Iterable[str]:
    """Words that are not allowed here."""
    if passage.attribution or _OF_IMPORTANCE.search(said.ours):
        yield from (
            f"“{word}” says cause; attribution describes a model"
            for word in causal_words(said.ours)
        )
    yield from _predictive(said, passage.where, gate)
    if not gate.validated and _VALIDATED.search(_VALIDATED_ALLOWED.sub("", said.ours)):
        yield "“validated” needs patients from elsewhere; these results have none"


# --- numbers --------------------------------------------------------------------------------------


def _numbers(said: str, values: Values) -> Iterable[str]:
    shown = hide(said)
    bounds = {match.start("p"): match for match in _P_BOUND.finditer(shown)}
    found = list(printed_numbers(shown))
    for number in found:
        if number.start in bounds:
            yield from _bound(bounds[number.start]["side"], number, values)
        elif _is_count(shown, number):
            if not values.hold_count(number):
                yield f"{number.text.strip()} is no computed count"
        elif not values.hold(number):
            yield f"{number.text.strip()} equals no computed value at printed precision"
    for match in _INTERVAL.finditer(shown):
        yield from _interval(match, shown, found, values)


def _is_count(shown: str, number: Printed) -> bool:
    """Whether a whole number counts something: then nothing may have been rounded."""
    if number.half != 0.5 or number.percent:
        return False
    after = _COUNTED.match(shown, number.end)
    return after is not None or _N_IS.search(shown[: number.start]) is not None


def _bound(side: str, number: Printed, values: Values) -> Iterable[str]:
    """A bound on a p-value must be met by some p-value."""
    met = values.hold_p_below(number.value)
    if side in ">≥":
        met = any(p >= number.value for p in values.p_values)
    if not met:
        yield f"no computed p-value is {side} {number.text.strip()}"


def _interval(
    match: re.Match[str], shown: str, found: Sequence[Printed], values: Values
) -> Iterable[str]:
    """An interval must be one estimate's, and that of the estimate printed before it."""
    at = {number.start: number for number in found}
    low, high = at.get(match.start("a")), at.get(match.start("b"))
    lead = match["lead"]
    told = lead.startswith(("(", "interval", "CI", "·"))
    before = [n for n in found if n.end <= match.start()]
    value = before[-1] if before else None
    gap = "" if value is None else shown[value.end : match.start()]
    near = value is not None and len(gap) <= 45 and not re.search(r"[.;]\s", gap)
    if low is None or high is None or not (told or (near and lead == ", " and not gap.strip())):
        return
    if not (values.hold(low) and values.hold(high)):
        return  # already told, number by number
    if lead == "(" and not (near and not gap.strip(" ·")) and not re.search("interval|CI", gap):
        value = None
    if not near or (
        value is not None and re.search(r"(?i)\b(?:at|to|n =|over) *$", shown[: value.start])
    ):
        value = None  # the number before it is a time or a count
    if not values.hold_interval(low, high, value):
        of = "" if value is None else f" with the estimate {value.text.strip()}"
        yield (
            f"the interval {low.text.strip()} to {high.text.strip()} is of no computed estimate{of}"
        )


# --- words ----------------------------------------------------------------------------------------


def _predictive(said: _Said, where: str, gate: Gate) -> Iterable[str]:
    """The word needs the gate for every marker and endpoint named nearest to it."""
    if _NOT_PREDICTIVE.search(said.ours):
        yield (
            "absence of evidence is put as evidence of absence; say “predictive effect not "
            "established”"
        )
        return
    for start, end in _spans(said.ours, _CLAUSE):
        if not _PREDICTIVE.search(_PREDICTIVE_ALLOWED.sub("", said.ours[start:end])):
            continue
        near = (said.raw[start:end], said.raw, said.passage, where)
        markers = _nearest(near, gate, "markers")
        endpoints = _nearest(near, gate, "endpoints") or set(gate.endpoints)
        refused = sorted({m for m in markers for e in endpoints if (m, e) not in gate.claimed})
        if not markers:
            yield "“predictive” must name a marker the evidence allows it for"
        elif refused:
            yield f"“predictive” is not established for {', '.join(refused)}"


def _nearest(near: Sequence[str], gate: Gate, kind: str) -> set[str]:
    """What the narrowest of these texts names that names anything."""
    return next((found for part in near if (found := gate.named(part, kind))), set())
