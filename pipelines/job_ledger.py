"""What a scoring job is, and what of it is done: its plan, its ledger, and taking one up again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from biomarker import __version__
from biomarker.errors import CohortError, StorageError
from pipelines.engine import Engine
from pipelines.output_place import MANIFEST, remove, retire
from pipelines.row_scores import RowScorer
from pipelines.row_source import RowSource
from pipelines.storage import sha256_file, write_text
from pipelines.stores import Place
from pipelines.terminal import Progress

__all__ = ["JOB", "JobLedger", "content_hash", "read_json"]

JOB = "job.json"


@dataclass
class JobLedger:
    """A job's settings, and its ledger beside the output.

    Attributes
    ----------
    source : RowSource
    scorer : RowScorer
    out : path or StorePath
    ignored : tuple of str
        Columns left aside.
    single_file, spreadsheet, drift : bool
        As :func:`pipelines.scoring_job.score_file` takes them.
    engine : Engine
    progress : Progress
    source_name : str
        What the drift report calls the input.
    """

    source: RowSource
    scorer: RowScorer
    out: Any  # a path, or a store's
    ignored: tuple[str, ...]
    single_file: bool
    spreadsheet: bool
    engine: Engine
    progress: Progress
    drift: bool
    source_name: str

    @property
    def work(self) -> Any:
        """Where parts grow."""
        return self.out.with_name(f".{self.out.name}.work")

    @property
    def ledger(self) -> Any:
        """Where their records stand."""
        return self.out.with_name(f".{self.out.name}.ledger")

    def _plan(self, content: str, sizes: list[int]) -> dict[str, Any]:
        """What a job is: two runs with the same plan write the same bytes."""
        return {
            "format": 2,
            "release": __version__,
            "arrow": pa.__version__,
            "input": content,
            "files": [path.name for path in self.source.paths],
            "rows": sizes,
            "chunk_rows": self.source.chunk_rows,
            "model": self.scorer.bundle.digest,
            "model_name": self.scorer.bundle.description["name"],
            "drivers": self.scorer.drivers,
            "kind": self.out.suffix,
            "spreadsheet": self.spreadsheet,
            "other_unit": [],
        }

    def _take_up(self, plan: dict[str, Any], restart: bool) -> bool:
        """Take up an interrupted job of the same plan, refuse another, or begin.

        Returns
        -------
        bool
            Whether that job had finished, and only its ledger was left to remove.
        """
        known = read_json(self.ledger / JOB)
        if restart or not known:
            self._begin(plan)
            return False
        changed = [key for key in plan if key != "other_unit" and known.get(key) != plan[key]]
        if changed:
            raise StorageError(
                f"An interrupted job for '{self.out.name}' differs in its {', '.join(changed)} "
                "and cannot be taken up. Score the same input with the same model and settings, "
                "or discard what it did with --restart."
            )
        plan["other_unit"] = known["other_unit"]
        self._sweep()
        finished = self.out / MANIFEST if self.out.is_dir() else self.out
        return finished.is_file() and sha256_file(finished) == known.get("finished")

    def _begin(self, plan: Mapping[str, Any]) -> None:
        """Empty folders for this plan; the ledger goes first, for it vouches for the parts."""
        for folder in (self.ledger, self.work):
            retire(folder)
            folder.mkdir(parents=True)
        write_text(self.ledger / JOB, json.dumps(plan, indent=1))

    def _records(self, verify: bool = True) -> dict[int, dict[str, Any]]:
        """Ledger of the chunks whose parts are whole."""
        found: dict[int, dict[str, Any]] = {}
        for entry in sorted(self.ledger.glob("[0-9]*.json")):
            record = read_json(entry)
            part = self.work / str(record.get("part"))
            if not verify or (part.is_file() and sha256_file(part) == record["sha256"]):
                found[int(record["number"])] = record
        return found

    def _sweep(self) -> None:
        """Remove what killed processes left half written."""
        for folder in (self.work, self.ledger):
            for leftover in folder.glob(".*.tmp"):
                remove(leftover)

    def _tidy(self) -> None:
        """Remove what a finished job no longer needs, the ledger last."""
        retire(self.work)
        retire(self.ledger)


def content_hash(source: RowSource) -> str:
    """SHA-256 over the files' own hashes, in order."""
    whole = hashlib.sha256()
    for path in source.paths:
        try:
            whole.update(bytes.fromhex(sha256_file(path)))
        except OSError as error:
            raise CohortError(
                f"The input '{path.name}' could not be read: {error.strerror or 'input error'}."
            ) from None
    return whole.hexdigest()


def read_json(path: Place) -> dict[str, Any]:
    """An object of a file; empty where there is none."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
