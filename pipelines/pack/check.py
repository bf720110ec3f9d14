"""Holding a run's own documents to its own numbers and verdicts, before anything is published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from biomarker.errors import ClaimError
from biomarker.figures.performance import number
from pipelines.pack.artefacts import Artefact
from pipelines.pack.build import Pack
from pipelines.pack.claims import ClaimFault, Gate, lint
from pipelines.pack.page import read_page
from pipelines.pack.printed import Values
from pipelines.results import StudyRun

__all__ = ["check_documents", "document_faults", "gate_of", "shown_numbers", "values_of"]

# Texts of an artefact that the library wrote with its own numbers in them.
_WORDED = ("covers", "interval_covers", "reason", "notices", "notes", "note", "why", "contrast")
_SHOWN = 12


def values_of(found: Mapping[str, Artefact]) -> Values:
    """Every number of a run's artefacts.

    The sentences among them (limits, verdicts) do not count: they are prose, to be held to the
    numbers like any other.
    """
    values = Values()
    for name, artefact in found.items():
        if name != "limits.json":
            values.add_json(artefact.data, _WORDED)
    return values


def gate_of(run: StudyRun) -> Gate:
    """What a run's verdicts allow to be said, and which words are the study's own."""
    study = run.cohort.study
    verdicts = () if run.evidence is None else run.evidence.verdicts
    return Gate(
        claimed=frozenset((v.marker, v.endpoint) for v in verdicts if v.claimed),
        markers={
            name: tuple(filter(None, (name, study.columns[name].label)))
            for name in study.feature_columns
        },
        endpoints={
            name: tuple(filter(None, (name, endpoint.label)))
            for name, endpoint in study.endpoints.items()
        },
        declared=tuple(_declared(run)),
    )


def _declared(run: StudyRun) -> Iterator[str]:
    """Texts that the study or the file brought."""
    study = run.cohort.study
    yield from _texts(study.to_dict())
    yield run.source_name
    for model in run.models:
        for name in model.fitted.encoder_.feature_names:
            yield str(name)


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in data)
        yield " ".join(data.split())
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from _texts(str(key))
            yield from _texts(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _texts(value)


def document_faults(
    pages: Mapping[str, str],
    found: Mapping[str, Artefact],
    gate: Gate,
    shown: Iterable[str] = (),
    report: str = "report.html",
) -> list[ClaimFault]:
    """Faults of finished HTML pages.

    Parameters
    ----------
    pages : mapping of str to str
        File name to HTML.
    found : mapping of str to Artefact
    gate : Gate
    shown : iterable of str
        Numbers that only the report holds, as printed: see :func:`shown_numbers`.
    report : str
        The page whose own tables count as computed values for its prose; result objects filled
        them.
    """
    faults = []
    known = values_of(found)
    for said in shown:
        known.add_text(said)
    for name, page in pages.items():
        text = read_page(page)
        values = known.copy()
        if name == report:
            for row in text.rows:
                values.add_cells(row)
        faults += [
            ClaimFault(
                f"{name}, {fault.where}" if fault.where else name,
                fault.sentence,
                fault.wrong,
                fault.of_number,
            )
            for fault in lint(text.passages, values, gate)
        ]
    return faults


def check_documents(run: StudyRun, report: str, pack: Pack) -> tuple[ClaimFault, ...]:
    """Refuse a report or a pack that claims more than its run carries.

    A word that is not allowed stops a run. A number that was not found does not: in data unlike any
    that were tried, a right sentence may quote what no artefact holds. It is told, and the tests
    of this package allow none.

    Parameters
    ----------
    run : StudyRun
    report : str
        The report's HTML.
    pack : Pack

    Returns
    -------
    tuple of ClaimFault
        Numbers that equal no computed value.

    Raises
    ------
    ClaimError
        With every such word: where, the sentence, what is wrong.
    """
    pages = {"report.html": report, **pack.pages}
    shown = [*shown_numbers(run), *pack.counts]
    faults = document_faults(pages, pack.artefacts, gate_of(run), shown)
    words = [fault for fault in faults if not fault.of_number]
    if words:
        raise ClaimError(told(words), tuple(map(str, words)))
    return tuple(faults)


def shown_numbers(run: StudyRun) -> list[str]:
    """Margins of the patients a report shows under pseudonyms; a patient's, so in no artefact."""
    return [
        number(float(model.attribution.margin[patient.row]))
        for model in run.models
        for patient in model.attribution.illustrations
    ]


def told(faults: Iterable[ClaimFault]) -> str:
    """Faults as one message, the first of them whole."""
    listed = list(faults)
    lines = [f"  {fault}" for fault in listed[:_SHOWN]]
    if len(listed) > _SHOWN:
        lines.append(f"  and {len(listed) - _SHOWN} more")
    return (
        f"The documents of a run must claim what its numbers carry and no more; got {len(listed)} "
        "sentence(s) that do not. Nothing was published. This is a fault of the program, not of "
        "the data: report it with the lines below.\n" + "\n".join(lines)
    )
