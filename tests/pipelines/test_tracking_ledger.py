"""The ledger in the store: nothing is lost, nothing counted twice, no damage passed over."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from biomarker.errors import TrackingError
from biomarker.evidence.multiplicity import LedgerRow
from pipelines.tracking_ledger import (
    LEDGER_EXPERIMENT,
    StoredLedger,
    append_to_ledger,
    load_ledger,
)
from pipelines.tracking_store import open_store

DATASET = "0123456789abcdef" * 4
WRITERS = 6


def row(text: str, kind: str = "test", p: float | None = 0.2) -> LedgerRow:
    """A row whose specification is a word."""
    return LedgerRow(kind, DATASET, text, "interaction", "m", "os", p=p)


def add(store: Path, *rows: LedgerRow, known: StoredLedger | None = None) -> StoredLedger:
    """Append to what the store holds now, or to what was known earlier."""
    return append_to_ledger(DATASET, rows, known or load_ledger(DATASET, store), store, "ward")


def entries(store: Path) -> list[Path]:
    """The files that hold rows."""
    return sorted(store.rglob("ledger.json"))


def test_rows_come_back_in_order_with_the_time_they_were_written(store: Path) -> None:
    """A time in UTC; everything else as it was given."""
    assert load_ledger(DATASET, store) == StoredLedger(load_ledger(DATASET, store).ledger)
    add(store, row("h", "hypothesis", None))
    found = add(store, row("a"), row("b", p=None)).ledger
    assert [(r.kind, r.specification, r.p) for r in found] == [
        ("hypothesis", "h", None),
        ("test", "a", 0.2),
        ("test", "b", None),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r.recorded) for r in found)
    assert [r.key for r in found] == [r.key for r in (row("h", "hypothesis"), row("a"), row("b"))]


def test_a_row_it_holds_is_not_written_again(store: Path) -> None:
    """Neither as a row nor as an entry, whatever its p is now: the first p stays."""
    first = add(store, row("a"))
    again = add(store, row("a", p=0.001))
    assert again == first
    assert len(entries(store)) == 1


def test_datasets_do_not_see_each_other(store: Path) -> None:
    """The digest is the key, not the study's name."""
    add(store, row("a"))
    assert len(load_ledger("f" * 64, store).ledger) == 0


def test_processes_that_write_at_once_lose_nothing(store: Path) -> None:
    """Each appends its own row and one they all have; every row is there, that one once."""
    script = (
        "import sys\n"
        "from biomarker.evidence.multiplicity import LedgerRow\n"
        "from pipelines.tracking_ledger import append_to_ledger, load_ledger\n"
        f"d = {DATASET!r}\n"
        "rows = [LedgerRow('test', d, s, 'interaction', 'm', 'os', p=.5) for s in ('all', "
        "sys.argv[2])]\n"
        "append_to_ledger(d, rows, load_ledger(d, sys.argv[1]), sys.argv[1])\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(store), f"own {i}"], stderr=subprocess.PIPE
        )
        for i in range(WRITERS)
    ]
    errors = [writer.communicate()[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * WRITERS, errors
    found = load_ledger(DATASET, store).ledger
    assert sorted(r.specification for r in found) == ["all", *(f"own {i}" for i in range(WRITERS))]


def test_two_who_read_the_same_ledger_both_stay(store: Path) -> None:
    """Entries side by side are joined; the next one names both as earlier."""
    known = add(store, row("a"))
    add(store, row("b"), known=known)
    both = add(store, row("c"), known=known)
    assert len(both.ledger) == 3
    assert len(both.last) == 2
    assert len(add(store, row("d")).last) == 1


def test_what_was_deleted_in_mlflows_pages_still_counts(store: Path) -> None:
    """A test that was made cannot be unmade; without its experiment no more are made."""
    found = add(store, row("a"))
    client = open_store(store)
    client.delete_run(found.last[0])
    assert len(load_ledger(DATASET, store).ledger) == 1
    client.delete_experiment(client.get_experiment_by_name(LEDGER_EXPERIMENT).experiment_id)
    assert len(load_ledger(DATASET, store).ledger) == 1
    with pytest.raises(TrackingError, match="must be active in the store; it was deleted"):
        add(store, row("b"))


def test_an_entry_that_was_not_finished_does_not_count(store: Path) -> None:
    """A process killed while writing showed nobody its results."""
    client = open_store(store)
    add(store, row("a"))
    experiment = client.get_experiment_by_name(LEDGER_EXPERIMENT)
    client.create_run(experiment.experiment_id, tags={"ledger.dataset": DATASET})
    assert len(load_ledger(DATASET, store).ledger) == 1
    assert len(add(store, row("b")).ledger) == 2


def changed(file: Path) -> None:
    """A p-value made smaller by hand."""
    file.write_text(file.read_text().replace("0.2", "0.9"))


def cut(file: Path) -> None:
    """Half a file, as a full disk leaves it."""
    file.write_text(file.read_text()[:80])


@pytest.mark.parametrize(
    ("harm", "said"),
    [(changed, "changed or cut short"), (cut, "changed or cut short"), (Path.unlink, "are gone")],
)
def test_damage_is_refused_and_named(store: Path, harm: Any, said: str) -> None:
    """Reading and writing both stop; nothing starts anew."""
    known = add(store, row("a"))
    harm(entries(store)[0])
    for call in (lambda: load_ledger(DATASET, store), lambda: add(store, row("b"), known=known)):
        with pytest.raises(TrackingError, match=f"must be whole.*{said}.*Restore"):
            call()


def test_an_entry_lost_without_a_trace_is_missed_by_the_next(store: Path) -> None:
    """Later entries name the earlier ones they were written after."""
    import sqlite3

    first = add(store, row("a"))
    add(store, row("b"))
    with sqlite3.connect(store / "mlflow.db") as connection:
        for table in ("tags", "latest_metrics", "runs"):
            connection.execute(
                f"DELETE FROM {table} WHERE run_uuid = ?",
                (first.last[0],),
            )
    connection.close()
    with pytest.raises(TrackingError, match="1 of its entries are gone"):
        load_ledger(DATASET, store)


def test_rows_of_another_release_are_refused_by_entry(store: Path) -> None:
    """A field this release does not know is not dropped in silence."""
    import hashlib

    found = add(store, row("a"))
    file = entries(store)[0]
    body = json.loads(file.read_text())
    body["rows"][0]["moon"] = "full"
    file.write_text(json.dumps(body))
    tag = hashlib.sha256(file.read_bytes()).hexdigest()
    open_store(store).set_tag(found.last[0], "ledger.sha256", tag)
    with pytest.raises(TrackingError, match="must have this release's fields"):
        load_ledger(DATASET, store)
