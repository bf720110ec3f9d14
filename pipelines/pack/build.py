"""The whole pack of a run: pages, machine-readable copies, artefacts, and one list of hashes."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.pack.artefacts import Artefact, artefacts
from pipelines.pack.fields import Checklist, Item, Writer
from pipelines.pack.model_card import model_card
from pipelines.pack.remark import remark
from pipelines.pack.tripod import tripod
from pipelines.results import StudyRun

__all__ = ["FOLDER", "Pack", "build_pack"]

FOLDER = "evidence-pack"


@dataclass(frozen=True)
class Pack:
    """A finished evidence pack, in memory.

    Attributes
    ----------
    documents : tuple of Checklist
        TRIPOD+AI, REMARK, then a model card each.
    artefacts : mapping of str to Artefact
    files : mapping of str to str
        Path inside the pack to content; ``SHA256SUMS`` lists all others.
    """

    documents: tuple[Checklist, ...]
    artefacts: Mapping[str, Artefact]
    files: Mapping[str, str]

    @property
    def counts(self) -> list[str]:
        """Items by status as every overview prints them; they count the pack, not the run."""
        return [str(n) for document in self.documents for n in _counts(document.items).values()]

    @property
    def pages(self) -> dict[str, str]:
        """The HTML pages alone."""
        return {name: text for name, text in self.files.items() if name.endswith(".html")}


def build_pack(run: StudyRun, bundles: Mapping[str, str] | None = None) -> Pack:
    """Fill the checklists and model cards from a run.

    Parameters
    ----------
    run : StudyRun
    bundles : mapping of str to str, optional
        ``endpoint-model`` to the digest of its bundle.

    Returns
    -------
    Pack
        The same run gives the same bytes. Holds no patient id and no row of the file.
    """
    found = artefacts(run, bundles)
    writer = Writer(found, run.cohort.study.reporting)
    documents = (
        tripod(writer),
        remark(writer),
        *(model_card(writer, i) for i in range(len(run.models))),
    )
    files: dict[str, str] = {}
    for document in documents:
        stem = _file_name(document.name, files)
        files[f"{stem}.html"] = _page(run, document, found)
        files[f"{stem}.json"] = _json(_plain(document))
    files |= {f"artefacts/{name}": artefact.text for name, artefact in found.items()}
    files["SHA256SUMS"] = "".join(
        f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n"
        for name, text in sorted(files.items())
    )
    return Pack(documents, found, files)


def _file_name(name: str, taken: Mapping[str, str]) -> str:
    """A name any file system bears; endpoints that only differ in odd characters get a number."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:100]
    stem, n = plain, 1
    while f"{stem}.html" in taken:
        n += 1
        stem = f"{plain}-{n}"
    return stem


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _plain(document: Checklist) -> dict[str, Any]:
    def item(found: Item) -> dict[str, Any]:
        said = asdict(found)
        said.pop("absent")
        return {**said, "status": found.status}

    return {
        "name": document.name,
        "title": document.title,
        "source": document.source,
        "items": [item(found) for found in document.items],
        "profiles": [asdict(profile) for profile in document.profiles],
    }


def _page(run: StudyRun, document: Checklist, found: Mapping[str, Artefact]) -> str:
    from pipelines.pack.document import render

    return render(run, document, list(found.values()), _counts(document.items))


def _counts(items: Sequence[Item]) -> dict[str, int]:
    count = Counter(item.status for item in items)
    return {status: count[status] for status in sorted(count)}
