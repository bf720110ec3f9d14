"""One job holds an output in a store; a lease that is renewed no more passes on."""

from __future__ import annotations

import time
from typing import Any

import pytest

from biomarker.errors import StorageError
from pipelines import store_lease
from pipelines.store_lease import leased
from pipelines.stores import located

pytest.importorskip("fsspec")


@pytest.fixture
def out(request: pytest.FixtureRequest) -> Any:
    """An output in memory that nobody holds."""
    made = located(f"memory://{request.node.name}/out.csv")
    yield made
    made.parent.remove_below()


def lock_of(out: Any) -> Any:
    """The object that a lease is."""
    return out.with_name(f".{out.name}.lock")


def test_a_second_job_is_refused_and_the_lease_goes_with_the_first(out: Any) -> None:
    """However the first one ends."""
    with leased(out):  # noqa: SIM117 - the second is refused while the first holds
        with pytest.raises(StorageError, match="Another job is writing 'out.csv'"), leased(out):
            pass
    with pytest.raises(ZeroDivisionError), leased(out):
        raise ZeroDivisionError
    assert not lock_of(out).exists()
    with leased(out):
        pass


def test_a_lease_is_renewed_while_it_is_held(out: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long job does not lose it."""
    monkeypatch.setattr(store_lease, "LEASE_SECONDS", 0.4)
    with leased(out) as lease:
        time.sleep(1.0)
        with pytest.raises(StorageError, match="Another job"), leased(out):
            pass
        lease.check()


def test_what_a_killed_job_held_passes_on_after_its_time(
    out: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not before; the next job never waits for ever."""
    monkeypatch.setattr(store_lease, "LEASE_SECONDS", 0.3)
    lock_of(out).create(store_lease._terms("killed"))
    with pytest.raises(StorageError, match="killed less than"), leased(out):
        pass
    time.sleep(0.4)
    with leased(out) as lease:
        lease.check()


def test_who_has_lost_the_lease_stops_and_leaves_the_others(out: Any) -> None:
    """Before anything of its own can be seen."""
    with leased(out) as lease:
        lock_of(out).put(store_lease._terms("another"))
        with pytest.raises(StorageError, match="taken this output over"):
            lease.check()
    assert b"another" in lock_of(out).read_bytes()
