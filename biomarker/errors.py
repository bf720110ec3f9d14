"""What can go wrong, as types a caller can catch.

::

    BiomarkerError
    ├── StudyError         (ValueError)       the study contradicts itself or names nothing
    ├── UsageError         (ValueError)       a call or option that cannot be carried out
    ├── CohortError        (ValueError)       the patient table breaks the study's declarations
    ├── OutcomeError       (ValueError)       an (event, duration) pair cannot be an outcome
    ├── NotEstimableError  (ArithmeticError)  the data cannot carry this: never a silent NaN
    ├── BundleError        (ValueError)       a bundle is damaged, foreign, or another version
    ├── SchemaError        (LookupError)      a file to score lacks what the model needs
    ├── StorageError       (OSError)          an output could not be written whole
    ├── ClaimError         (AssertionError)   a document says more than its numbers carry
    └── TrackingError      (RuntimeError)     the tracking store cannot be used as it is

Messages follow one form: ``<name> must be <rule>; got <value>. <What to do.>`` They never carry
patient values, identifiers or whole arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BiomarkerError",
    "BundleError",
    "ClaimError",
    "CohortError",
    "Fault",
    "NotEstimableError",
    "OutcomeError",
    "SchemaError",
    "StorageError",
    "StudyError",
    "TrackingError",
    "UsageError",
]


@dataclass(frozen=True)
class Fault:
    """One thing wrong with the table; ``row`` counts from 0 and is None for a whole column."""

    row: int | None
    column: str
    kind: str
    found: str
    allowed: str
    advice: str


class BiomarkerError(Exception):
    """Base of every error this project raises on purpose."""


class StudyError(BiomarkerError, ValueError):
    """The study description contradicts itself or names nothing."""


class UsageError(BiomarkerError, ValueError):
    """A call or an option that cannot be carried out as given."""


class CohortError(BiomarkerError, ValueError):
    """The patient table breaks the study's declarations.

    Parameters
    ----------
    message : str
        One sentence that counts the faults.
    faults : tuple
        Every fault found; empty where one sentence says it all.
    """

    def __init__(self, message: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class OutcomeError(BiomarkerError, ValueError):
    """An (event, duration) pair or a response cannot be an outcome."""


class NotEstimableError(BiomarkerError, ArithmeticError):
    """The data cannot carry this estimate."""


class BundleError(BiomarkerError, ValueError):
    """A model bundle is damaged, foreign, or of another version."""


class SchemaError(BiomarkerError, LookupError):
    """A file to score lacks what the model needs."""


class StorageError(BiomarkerError, OSError):
    """An output could not be written whole."""


class ClaimError(BiomarkerError, AssertionError):
    """A document says more than its numbers or its evidence carry.

    Parameters
    ----------
    message : str
    faults : tuple of str
        Every sentence found, with where it stands and what is wrong.
    """

    def __init__(self, message: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class TrackingError(BiomarkerError, RuntimeError):
    """The tracking store cannot be used as it is."""
