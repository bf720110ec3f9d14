"""What a reviewer asks first: in whom, for which use, and how sure each endpoint's answer is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from biomarker.explain.stability_result import Stability
from biomarker.figures.performance import number
from biomarker.study import Study
from pipelines.report.endpoint import EndpointPage
from pipelines.report.performance import metric_words
from pipelines.report.tables import label_of
from pipelines.report.words import interval_words, lower_first
from pipelines.results import ModelRun, StudyRun

__all__ = ["Answer", "Told", "answers", "whom"]

_LEADING = 3
_AGREEMENT = ("calibration_slope", "observed_expected")


@dataclass(frozen=True)
class Told:
    """A heading with the author's own words, or what stands in for them.

    Attributes
    ----------
    by_author : bool
        Whether ``words`` are the study author's, to be marked as such.
    """

    heading: str
    words: str
    by_author: bool


@dataclass(frozen=True)
class Answer:
    """A question with its answer, and the place of the page where all of it stands."""

    question: str
    words: str
    place: str


def whom(study: Study) -> tuple[Told, ...]:
    """In whom the numbers were found and for which use, as far as the study says."""
    said = study.reporting
    people = " ".join(
        _sentence(words) for words in (said.eligibility, said.setting, said.data_source) if words
    )
    use = " ".join(_sentence(words) for words in (said.intended_use,) if words)
    found = [
        Told(
            "In whom",
            people
            or "The study file does not say who could enter; Table 1 describes those who did.",
            bool(people),
        ),
        Told(
            "For which use",
            use or "The study file names none. These numbers carry no use by themselves.",
            bool(use),
        ),
    ]
    if said.not_for:
        found.append(Told("Not for", _sentence(said.not_for), True))
    return tuple(found)


def _sentence(words: str) -> str:
    text = words.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def answers(run: StudyRun, page: EndpointPage) -> tuple[Answer, ...]:
    """What the first page says of one endpoint beside its main metric."""
    best = next(m for m in run.models if (m.endpoint, m.name) == (page.name, run.best[page.name]))
    found = [
        Answer("Are the forecasts of the right size?", _size(run, best), f"{page.key}-agreement"),
        Answer("Which columns carry it?", _carried(run, best, page), f"{page.key}-explained"),
    ]
    read = page.reading
    if read.benefit_withheld:
        # The reason in full stands at the place the answer leads to.
        words = re.split(r"\.(?: |$)| \(", read.benefit_withheld, maxsplit=1)[0] + "."
        found.append(Answer("Does it concern the treatment?", words, f"{page.key}-benefit-split"))
    elif read.benefit:
        words = "Both parts of the forecast are shown, beside what chance alone gives."
        found.append(Answer("Does it concern the treatment?", words, f"{page.key}-benefit-split"))
    return tuple(found)


def _size(run: StudyRun, best: ModelRun) -> str:
    """Calibration of the model kept at the last time it is asked of."""
    unit = next(e.unit for e in run.summary.endpoints if e.name == best.endpoint)
    parts = []
    for metric in _AGREEMENT:
        told = [p for p in best.nested.performance if p.metric == metric and p.value is not None]
        if told:
            last = told[-1]
            words = interval_words(last.value, last.low, last.high)
            parts.append(f"{lower_first(metric_words(last, unit))} {words}")
    if not parts:
        return "Calibration could not be estimated from these data."
    return f"{parts[0][0].upper()}{'; '.join(parts)[1:]}; 1 is perfect agreement."


def _carried(run: StudyRun, best: ModelRun, page: EndpointPage) -> str:
    """The leading columns with their limits over refits, or why none is named."""
    if page.explanation.withheld:
        return "Withheld: the model is not shown to do better than chance."
    found = run.readings.get(page.name)
    stability = None if found is None or found.examination is None else found.examination.stability
    if stability is not None and stability.units:
        return _leading(run, stability) + " " + " ".join(page.reading.said[:1])
    items = best.attribution.importance[:_LEADING]
    named = ", ".join(
        f"{label_of(run.cohort, i.source)} {interval_words(i.value, i.low, i.high)}" for i in items
    )
    return (
        f"{named}: mean |attribution| ({best.attribution.scale}), with 95% limits over patients. "
        "No refits were made, so how far the ranking holds is not known."
    )


def _leading(run: StudyRun, stability: Stability) -> str:
    """The first units with their importance, its limits and their ranks over refits."""
    named = []
    for unit in stability.units[:_LEADING]:
        words = " + ".join(label_of(run.cohort, name) for name in unit.members)
        low, high = unit.bootstrap.low, unit.bootstrap.high
        ranks = f"{unit.bootstrap.rank_low:g} to {unit.bootstrap.rank_high:g}"
        named.append(
            f"{words} {number(unit.importance)} ({number(low)} to {number(high)}), rank {ranks}"
        )
    return (
        f"{'; '.join(named)}: mean |attribution| ({stability.scale}), with 95% limits over refits."
    )
