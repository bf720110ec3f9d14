"""Who may write an output in a store: a lease that its holder renews, since there are no locks.

The lease is an object beside the output, made only where none is, with the moment up to which it
holds. A job that was killed renews it no more, and the next job takes it over once it has run out.
The machines' clocks must agree to within a few seconds. Should two jobs hold it after all (one was
stopped for longer than the lease), a reader still meets one whole output: parts stand under a name
of their plan, and the last write of all, one object, decides.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from biomarker.errors import StorageError
from pipelines.stores import StorePath

__all__ = ["Lease", "leased"]

LEASE_SECONDS = 60.0
_RENEWALS = 4  # in the time of a lease


@dataclass
class Lease:
    """A lease that is held.

    Attributes
    ----------
    place : StorePath
        The object it is.
    token : str
        Tells this holder from all others.
    """

    place: StorePath
    token: str
    _over: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """See that it is still held, before a step that others would see.

        Raises
        ------
        StorageError
            If it is not.
        """
        if _read(self.place).get("holder") != self.token:
            raise StorageError(
                "Another job has taken this output over, since this one had stopped for longer "
                f"than {LEASE_SECONDS:g} seconds. What stands there is that job's."
            )

    def renew(self) -> None:
        """Keep it until the block ends; a renewal that fails is tried again."""
        while not self._over.wait(LEASE_SECONDS / _RENEWALS):
            with contextlib.suppress(OSError):
                if _read(self.place).get("holder") != self.token:
                    return
                self.place.put(_terms(self.token))


@contextlib.contextmanager
def leased(out: StorePath) -> Iterator[Lease]:
    """Hold the lease on an output.

    Raises
    ------
    StorageError
        If another job holds it, or was killed less than the lease's time ago.
    """
    lease = Lease(out.with_name(f".{out.name}.lock"), secrets.token_hex(16))
    _take(lease, out.name)
    renewing = threading.Thread(target=lease.renew, daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        lease._over.set()
        renewing.join()
        with contextlib.suppress(OSError):
            if _read(lease.place).get("holder") == lease.token:
                lease.place.unlink(missing_ok=True)


def _take(lease: Lease, name: str) -> None:
    for _ in range(2):
        try:
            lease.place.create(_terms(lease.token))
        except FileExistsError:
            if float(_read(lease.place).get("until", 0.0)) > time.time():
                break
            # It has run out: its holder is gone.
            lease.place.unlink(missing_ok=True)
            continue
        # One who took the same lease for run out may have removed this one.
        lease.check()
        return
    raise StorageError(
        f"Another job is writing '{name}', or was killed less than {LEASE_SECONDS:g} seconds ago. "
        "Wait for it, or name another output."
    )


def _terms(token: str) -> bytes:
    return json.dumps({"holder": token, "until": time.time() + LEASE_SECONDS}).encode()


def _read(place: StorePath) -> dict[str, Any]:
    """What it says; nothing where it is gone or no lease."""
    try:
        value = json.loads(place.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
