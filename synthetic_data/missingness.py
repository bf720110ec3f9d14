"""Which values a file lacks: at random, by centre or era, by block, or because of the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from biomarker.errors import StudyError
from synthetic_data.table import Coded, Table

__all__ = ["MECHANISMS", "hide", "lost"]

MECHANISMS = ("mcar", "mar", "mnar", "informative")


def lost(
    rng: np.random.Generator, table: Table, rule: Mapping[str, Any], n: int
) -> npt.NDArray[np.bool_]:
    """Patients whose block of columns is missing under one rule.

    ``mcar``: constant rate. ``mar``: the rate depends on the level of an observed column (``by``,
    with one rate per level). ``mnar``: log odds rise by ``slope`` per SD of the ranked value of
    ``by`` itself. ``informative``: as mnar, on observed follow-up (early end, no sample).

    Parameters
    ----------
    rng : numpy.random.Generator
        Stream of missingness alone.
    table : dict of columns
        Values before any is hidden.
    rule : mapping
        ``kind``, ``rate`` (a number, or a mapping from level to rate), ``by``, ``slope``.
    n : int
        Number of patients.

    Raises
    ------
    StudyError
        If the kind is unknown.
    """
    kind = rule["kind"]
    u = rng.random(n)
    if kind == "mcar":
        return np.asarray(u < rule["rate"])
    if kind not in MECHANISMS:
        raise StudyError(f"kind must be one of {', '.join(MECHANISMS)}; got {kind!r}.")
    column = table[rule["by"]]
    if kind == "mar":
        assert isinstance(column, Coded)
        rates = np.asarray([rule["rate"][level] for level in column.levels])
        return np.asarray(u < rates[column.codes])
    value = column.codes.astype(np.float64) if isinstance(column, Coded) else np.asarray(column)
    spread = float(rule["spread"])
    score = (value - float(rule["centre"])) / spread
    return np.asarray(u < expit(logit(rule["rate"]) + rule["slope"] * score))


def hide(
    rng: np.random.Generator, table: Table, rules: Mapping[str, Mapping[str, Any]], n: int
) -> Table:
    """The table with every rule's block of columns missing together for the patients it picks.

    Parameters
    ----------
    rng : numpy.random.Generator
        Stream of missingness alone.
    table : dict of columns
        Complete values.
    rules : mapping of block name to rule
        Each with its ``columns``.
    n : int
        Number of patients.
    """
    hidden = dict(table)
    for rule in rules.values():
        gone = lost(rng, table, rule, n)
        for name in rule["columns"]:
            column = hidden[name]
            if isinstance(column, Coded):
                codes = np.where(gone, -1, column.codes).astype(column.codes.dtype)
                hidden[name] = Coded(codes, column.levels)
            else:
                hidden[name] = np.where(gone, np.nan, column)
    return hidden
