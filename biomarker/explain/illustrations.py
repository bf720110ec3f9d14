"""Patients chosen at random to show how a prediction comes about, known by pseudonym only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Illustration", "illustrations_of"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Illustration:
    """One patient chosen to illustrate, known by pseudonym only.

    Attributes
    ----------
    pseudonym : str
        ``patient A``, ``patient B``, ``patient C``; says nothing about the id.
    level : str
        ``low``, ``middle`` or ``high`` among the margins of the patients explained.
    row : int
        Position in the attribution's rows; for drawing only, never for storing.
    """

    pseudonym: str
    level: str
    row: int


def illustrations_of(margin: Floats, rng: np.random.Generator) -> tuple[Illustration, ...]:
    """One patient at random from the lowest, the middle and the highest tenth.

    Parameters
    ----------
    margin : ndarray, shape (n_patients,)
        What the patients are ordered by.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of Illustration
        Low, middle, high; empty with fewer than three patients.

    Examples
    --------
    >>> [one.level for one in illustrations_of(np.arange(30.0), np.random.default_rng(0))]
    ['low', 'middle', 'high']
    """
    n = len(margin)
    if n < 3:
        return ()
    order, width = np.argsort(margin, kind="stable"), max(1, n // 10)
    middle = (n - width) // 2
    bands = {
        "low": order[:width],
        "middle": order[middle : middle + width],
        "high": order[n - width :],
    }
    return tuple(
        Illustration(f"patient {letter}", level, int(rng.choice(rows)))
        for letter, (level, rows) in zip("ABC", bands.items(), strict=True)
    )
