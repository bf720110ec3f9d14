"""Source columns of an explanation: what a margin means, and features summed back to columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DIRECTIONS", "by_source", "level_names"]

Floats = npt.NDArray[np.float64]

# What a higher value means on each margin scale.
DIRECTIONS = {
    "log hazard": "higher = worse",
    "log time, sign reversed": "higher = worse",
    "log odds": "higher = more likely to respond",
}


def by_source(encoder: Any, by_feature: Floats) -> tuple[tuple[str, ...], Floats]:
    """Sum features to the columns they came from.

    Parameters
    ----------
    encoder : fitted encoder
        Its ``sources`` name the column of each feature.
    by_feature : ndarray, shape (n_patients, n_features)

    Returns
    -------
    sources : tuple of str, length n_sources
        In the encoder's order.
    values : ndarray, shape (n_patients, n_sources)

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> by_source(SimpleNamespace(sources=("age", "grade", "grade")), np.array([[1.0, 2.0, 3.0]]))
    (('age', 'grade'), array([[1., 5.]]))
    """
    sources = tuple(dict.fromkeys(encoder.sources))
    membership = np.array([[s == source for source in sources] for s in encoder.sources])
    return sources, by_feature @ membership.astype(np.float64)


def level_names(rule: Any) -> tuple[str, ...]:
    """What a parsed number of this column counts into."""
    if rule.kind == "continuous":
        return ()
    if rule.kind != "arm":
        return tuple(rule.levels)
    others = [level for level in rule.levels if level not in rule.control]
    return " or ".join(rule.control), " or ".join(others)
