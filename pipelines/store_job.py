"""A scoring job whose output stands in an object store, where nothing can be renamed.

::

    scores.parquet/_manifest.json               the last write; it alone says what the output is
    scores.parquet/3f09…/part-00000.parquet     parts, below a name made from the job's plan
    scores.parquet                              instead of all that, where there is one part or
                                                --single-file
    .scores.parquet.ledger/…, .lock             while the job runs, and after a kill

Parts of another plan never have the same key, so that an older output stays whole until the
manifest is replaced, and the parts it named go after that.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomarker.errors import StorageError
from pipelines.job_ledger import JOB, read_json
from pipelines.job_run import Job, manifest_of
from pipelines.output_place import MANIFEST
from pipelines.score_parts import join_parts
from pipelines.storage import sha256_file, write_text
from pipelines.store_lease import Lease

__all__ = ["StoreJob"]


@dataclass
class StoreJob(Job):
    """One run of a job, while it holds the lease on its output.

    Attributes
    ----------
    lease : Lease
    """

    lease: Lease | None = None
    _key: str = ""
    _whole: bool = False

    @property
    def work(self) -> Any:
        """Where parts grow: at once below the output's name, where nobody reads unless told."""
        if self._whole:
            return self.out.with_name(f".{self.out.name}.work") / self._key
        return self.out / self._key

    def _plan(self, content: str, sizes: list[int]) -> dict[str, Any]:
        self._whole = self.single_file or self.source.n_chunks(sizes) <= 1
        other = "folder of parts" if self._whole else "file"
        if (self.out / MANIFEST).is_file() if self._whole else self.out.is_file():
            raise StorageError(
                f"'{self.out.name}' could not be written: a {other} stands there, which no single "
                "write can replace in a store. Remove it, or name another output."
            )
        return super()._plan(content, sizes)

    def _take_up(self, plan: dict[str, Any], restart: bool) -> bool:
        finished = super()._take_up(plan, restart)
        self._key = _key(plan)
        return finished

    def _begin(self, plan: Mapping[str, Any]) -> None:
        """Clear what an earlier plan left, unless a manifest names it."""
        self._held()
        former = read_json(self.ledger / JOB)
        kept = _named(read_json(self.out / MANIFEST))
        self.ledger.remove_below()
        if former:
            self._key = _key(former)
            for part in self.work.glob("part-*"):
                if f"{self._key}/{part.name}" not in kept:
                    part.unlink(missing_ok=True)
        self._key = _key(plan)
        write_text(self.ledger / JOB, json.dumps(dict(plan), indent=1))

    def _commit(self, plan: Mapping[str, Any], records: list[dict[str, Any]]) -> float:
        """One write makes the output; before it the ledger notes what that will replace."""
        self.progress.stage("committing")
        if self._whole:
            return self._commit_whole(plan, records)
        manifest = manifest_of(plan, records, f"{self._key}/")
        text = json.dumps(manifest, indent=1)
        gone = sorted(_named(read_json(self.out / MANIFEST)) - _named(manifest))
        done = {"finished": hashlib.sha256(text.encode()).hexdigest(), "replaces": gone}
        write_text(self.ledger / JOB, json.dumps({**plan, **done}))
        self._held()
        write_text(self.out / MANIFEST, text)
        return 0.0

    def _commit_whole(self, plan: Mapping[str, Any], records: list[dict[str, Any]]) -> float:
        """Join the parts on this machine, then one upload."""
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            joined = Path(folder) / f"joined{self.out.suffix}"
            join_parts([self.work / record["part"] for record in records], joined, self.out.suffix)
            done = {"finished": sha256_file(joined)}
            write_text(self.ledger / JOB, json.dumps({**plan, **done}))
            self._held()
            self.out.upload(joined)
        return time.perf_counter() - began if len(records) > 1 else 0.0

    def _held(self) -> None:
        if self.lease is not None:
            self.lease.check()

    def _sweep(self) -> None:
        """Nothing is ever half written."""

    def _tidy(self) -> None:
        """Remove what the output replaced and what its job needed, the ledger last."""
        for name in read_json(self.ledger / JOB).get("replaces", []):
            (self.out / name).unlink(missing_ok=True)
        if self._whole:
            self.work.remove_below()
        self.ledger.remove_below()


def _key(plan: Mapping[str, Any]) -> str:
    """Twelve digits that stand for everything the parts' bytes depend on."""
    told = {key: value for key, value in plan.items() if key not in ("finished", "replaces")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def _named(manifest: Mapping[str, Any]) -> set[str]:
    """Parts a manifest names."""
    return {str(part["part"]) for part in manifest.get("parts", [])}
