"""The ledger of tests in the tracking store: one entry an append, none ever rewritten.

An entry is an MLflow run of one experiment for the whole store, found by the dataset's digest: so
two study files about one dataset, or two machines with one tracking address, share a ledger. Its
rows are a JSON artifact whose hash is a tag; the run is marked finished last, and what is not
finished does not count. An entry names those it was written after, so that one that was lost, or
changed, is noticed: a ledger that forgets tests would make later p-values too small.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from biomarker import __version__
from biomarker.errors import TrackingError, UsageError
from biomarker.evidence.multiplicity import Ledger, LedgerRow
from pipelines.tracking_store import artifact_location, open_store, store_faults

__all__ = ["LEDGER_EXPERIMENT", "StoredLedger", "append_to_ledger", "load_ledger"]

# A study's name holds no blank, so no study can take this one.
LEDGER_EXPERIMENT = "biomarker ledger"

_FILE = "ledger.json"
_FORMAT = 1


@dataclass(frozen=True)
class StoredLedger:
    """Every row the store holds of one dataset.

    Attributes
    ----------
    ledger : Ledger
        Rows in the order they were written, each with its date.
    last : tuple of str
        Entries that no other names as earlier; the next entry names them.
    """

    ledger: Ledger
    last: tuple[str, ...] = ()


def load_ledger(dataset: str, store: str | Path | None = None) -> StoredLedger:
    """Read every row of a dataset; a dataset never tested has none.

    Parameters
    ----------
    dataset : str
        Digest, from :func:`biomarker.evidence.multiplicity.dataset_digest`.
    store : path or URI, optional

    Returns
    -------
    StoredLedger

    Raises
    ------
    TrackingError
        If the store cannot be read, or an entry is damaged or gone.
    """
    client = open_store(store)
    with store_faults():
        return _read(client, dataset)


def append_to_ledger(
    dataset: str,
    rows: Sequence[LedgerRow],
    known: StoredLedger,
    store: str | Path | None = None,
    study: str = "",
) -> StoredLedger:
    """Write rows the ledger does not hold, dated now, and read it back with what others wrote.

    Parameters
    ----------
    dataset : str
    rows : sequence of LedgerRow
        Those already in ``known`` are left out; with none left nothing is written.
    known : StoredLedger
        As last read.
    store : path or URI, optional
    study : str
        For people who look at the entry.

    Returns
    -------
    StoredLedger
        May hold rows that another process wrote in the meantime.

    Raises
    ------
    TrackingError
        If the store refuses; what is not written whole does not count.
    """
    new = known.ledger.append(rows)[len(known.ledger) :]
    client = open_store(store)
    with store_faults():
        if new:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            dated = [replace(row, recorded=now) for row in new]
            _write(client, _experiment(client, store), dataset, dated, known.last, study)
        return _read(client, dataset)


def _experiment(client: Any, store: str | Path | None) -> str:
    """The ledger's experiment, made by whichever process comes first."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(LEDGER_EXPERIMENT)
    if found is None:
        try:
            place = artifact_location(store, "ledger")
            return str(client.create_experiment(LEDGER_EXPERIMENT, artifact_location=place))
        except MlflowException:
            found = client.get_experiment_by_name(LEDGER_EXPERIMENT)
    if found is None or found.lifecycle_stage != "active":
        raise TrackingError(
            f"The experiment '{LEDGER_EXPERIMENT}' must be active in the store; it was deleted. "
            "Restore it in MLflow: without it nobody knows how many tests were made."
        )
    return str(found.experiment_id)


def _write(
    client: Any,
    experiment: str,
    dataset: str,
    rows: Sequence[LedgerRow],
    after: Sequence[str],
    study: str,
) -> None:
    """One entry: opened, its rows stored, marked finished last."""
    body = json.dumps(
        {
            "format": _FORMAT,
            "dataset": dataset,
            "after": list(after),
            "rows": Ledger(tuple(rows)).to_rows(),
        },
        indent=1,
        sort_keys=True,
    )
    kinds = {kind: sum(row.kind == kind for row in rows) for kind in ("hypothesis", "test")}
    run = client.create_run(
        experiment,
        run_name=f"{study or dataset[:12]} {rows[0].recorded}",
        tags={
            "biomarker.kind": "ledger",
            "biomarker.release": __version__,
            "biomarker.study": study,
            "ledger.dataset": dataset,
            "ledger.sha256": _sha256(body),
            "ledger.hypotheses": str(kinds["hypothesis"]),
            "ledger.tests": str(kinds["test"]),
            "mlflow.source.name": "biomarker",
            "mlflow.source.type": "LOCAL",
        },
    )
    client.log_text(run.info.run_id, body, _FILE)
    client.set_terminated(run.info.run_id, "FINISHED")


def _read(client: Any, dataset: str) -> StoredLedger:
    """Entries in order of writing; a run deleted in MLflow's pages was written all the same."""
    from mlflow.entities import ViewType

    found = client.get_experiment_by_name(LEDGER_EXPERIMENT)
    if found is None:
        return StoredLedger(Ledger())
    runs: list[Any] = []
    token = None
    while token is None or token:
        page = client.search_runs(
            [found.experiment_id],
            filter_string=(
                f"tags.`ledger.dataset` = '{dataset}' and attributes.status = 'FINISHED'"
            ),
            run_view_type=ViewType.ALL,
            order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
            page_token=token,
        )
        runs.extend(page)
        token = page.token or ""
    bodies = {str(run.info.run_id): _body(client, run, dataset) for run in runs}
    earlier = {name for body in bodies.values() for name in body["after"]}
    gone = earlier - set(bodies)
    if gone:
        raise TrackingError(_damaged(dataset, f"{len(gone)} of its entries are gone"))
    ledger = Ledger()
    for name, body in bodies.items():
        try:
            ledger = ledger.append(Ledger.from_rows(body["rows"]))
        except UsageError:
            raise TrackingError(
                f"Entry {name} of the ledger must have this release's fields; it was written by "
                "another. Use that release, or upgrade this one."
            ) from None
    return StoredLedger(ledger, tuple(sorted(set(bodies) - earlier)))


def _body(client: Any, run: Any, dataset: str) -> dict[str, Any]:
    """The rows of one entry, held against its hash."""
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    name = run.info.run_id
    try:
        text = str(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{_FILE}"))
    except MlflowException:
        if _FILE in {item.path for item in client.list_artifacts(name)}:
            raise
        raise TrackingError(_damaged(dataset, f"the rows of entry {name} are gone")) from None
    if _sha256(text) != run.data.tags.get("ledger.sha256"):
        raise TrackingError(_damaged(dataset, f"entry {name} was changed or cut short"))
    body: dict[str, Any] = json.loads(text)
    if body["format"] != _FORMAT or body["dataset"] != dataset:
        raise TrackingError(_damaged(dataset, f"entry {name} is of another format or dataset"))
    return body


def _damaged(dataset: str, what: str) -> str:
    return (
        f"The ledger of dataset {dataset[:16]} must be whole; {what}. Restore the tracking store "
        "from a copy: tests that are forgotten make later p-values too small."
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
