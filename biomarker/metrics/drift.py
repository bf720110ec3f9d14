r"""How far a file's rows are from those a model was trained on, beyond what sampling alone brings.

The population stability index over cells :math:`k` with training shares :math:`p_k` and shares
:math:`q_k` in the file is

.. math:: \mathrm{PSI} = \sum_k (q_k - p_k) \ln(q_k / p_k),

each share with 1/K of a row added to its cell, so that an empty cell gives a number. Its usual
marks, 0.1 and 0.25, take no notice of size: among twenty rows it exceeds both without any drift.
So every change is held against files of the same size drawn from the training population, which is
itself known from a sample alone: shares Dirichlet(training counts + 1/K), then a multinomial
count. Where the bounds between cells are sample quantiles, this is their exact distribution. A
verdict needs the size *and* a p-value that stays at or below 0.05 after Holm's correction over all
checks of the file, so that at most one file in twenty without drift is called drifting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from biomarker.features.support import ColumnSupport, Support
from biomarker.resampling import spawn

__all__ = ["VERDICTS", "Check", "Drift", "judge_drift", "stability_index"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Level = Literal["none", "moderate", "major"]

VERDICTS: tuple[Level, ...] = ("none", "moderate", "major")
_ALPHA = 0.05
_Z = 1.959963984540054
_BLOCK = 800  # files drawn at a time
_MOST = 200_000
_EXCEEDED = 50  # files beyond the one seen, after which its p-value is known well enough


@dataclass(frozen=True)
class Check:
    """One comparison of a file with the training rows.

    Attributes
    ----------
    column : str
        Empty for the distance over all features.
    what : str
        ``psi``, ``missing``, ``below_detection``, ``above_detection``,
        ``outside_training_range`` or ``distance``.
    value : float
        The index; for a share its change, file minus training.
    by_chance : float
        Value that 95% of files of this size without drift stay at or below; of a change that may
        go either way, its absolute size.
    n, n_training : int
        Rows compared: those with a known value for the index, below or above detection; all rows
        for missing; rows with a number for the range and the distance.
    training, share : float or None
        Shares in the training rows and in the file; None for the index.
    low, high : float or None
        95% interval of the file's ``share`` minus the training share (Newcombe), or of ``share``
        itself (Wilson) for the range and the distance; None for the index.
    p_adjusted : float
        After Holm, over all checks of the file; 1 where the size is below its threshold.
    verdict : {"none", "moderate", "major"}
    """

    column: str
    what: str
    value: float
    by_chance: float
    n: int
    n_training: int
    training: float | None
    share: float | None
    low: float | None
    high: float | None
    p_adjusted: float
    verdict: Level


@dataclass(frozen=True)
class Drift:
    """What a file's checks found.

    Attributes
    ----------
    checks : tuple of Check
        In the order of the columns; checks without a row to judge are left out.
    counts : mapping of str to tuple of int
        Column to its rows in each cell of its support.
    n_rows, n_training : int
    n_checks : int
        What the p-values are adjusted for.
    """

    checks: tuple[Check, ...]
    counts: Mapping[str, tuple[int, ...]]
    n_rows: int
    n_training: int
    n_checks: int

    @property
    def verdict(self) -> Level:
        """The worst of any check."""
        return max((check.verdict for check in self.checks), key=VERDICTS.index, default="none")

    @property
    def drifting(self) -> tuple[Check, ...]:
        """Checks with a verdict, the worst first."""
        found = [check for check in self.checks if check.verdict != "none"]
        return tuple(sorted(found, key=lambda check: -VERDICTS.index(check.verdict)))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; counts and shares alone."""
        return {
            "verdict": self.verdict,
            "n_rows": self.n_rows,
            "n_training": self.n_training,
            "n_checks": self.n_checks,
            "checks": [asdict(check) for check in self.checks],
            "counts": {name: list(counts) for name, counts in self.counts.items()},
        }


def stability_index(training: npt.ArrayLike, found: npt.ArrayLike) -> Any:
    """Population stability index of counts, 0 for equal shares, without an upper end.

    Parameters
    ----------
    training : array-like, shape (n_cells,)
        Rows in each cell.
    found : array-like, shape (..., n_cells)
        Of one file, or of many.

    Returns
    -------
    float or ndarray of float, shape (...)

    Examples
    --------
    >>> round(float(stability_index([500, 500], [400, 600])), 3)
    0.04
    """
    old, new = np.asarray(training, np.float64), np.asarray(found, np.float64)
    extra = 1.0 / old.shape[-1]
    p = (old + extra) / (old.sum(axis=-1, keepdims=True) + 1.0)
    q = (new + extra) / (new.sum(axis=-1, keepdims=True) + 1.0)
    return ((q - p) * np.log(q / p)).sum(axis=-1)


def judge_drift(
    support: Support, tallies: Mapping[str, npt.ArrayLike], far: npt.ArrayLike, n_rows: int
) -> Drift:
    """Compare a file's counts with the training rows.

    Parameters
    ----------
    support : Support
    tallies : mapping of str to array-like
        Column to the sum of its :meth:`ColumnSupport.tally` over the file.
    far : array-like, shape (3,)
        Sum of :meth:`Spread.tally`.
    n_rows : int
        Rows of the file.

    Returns
    -------
    Drift

    Notes
    -----
    The draws are seeded by the check's name: the same counts give the same verdicts.

    References
    ----------
    Yurdakul, B. and Naranjo, J. (2020). Statistical properties of the population stability index.
    Journal of Risk Model Validation 14(4).
    """
    asked: list[_Question] = []
    counts: dict[str, tuple[int, ...]] = {}
    for column in support.columns:
        if column.name in tallies:
            tally = np.asarray(tallies[column.name], dtype=np.int64)
            counts[column.name] = tuple(int(n) for n in tally[: len(column.cells)])
            asked += _questions(column, tally, support.n_rows)
    n, _, beyond = (int(count) for count in np.asarray(far, dtype=np.int64))
    if n:
        spread = support.spread
        asked.append(_one_sided("", "distance", spread.beyond[1], spread.n_rows, beyond, n))
    found = [_judged(one, support.thresholds[one.what], len(asked)) for one in asked]
    adjusted = _holm([p for _, _, p in found])
    checks = tuple(
        _check(one, value, chance, p, support.thresholds[one.what])
        for one, (value, chance, _), p in zip(asked, found, adjusted, strict=True)
    )
    return Drift(checks, counts, n_rows, support.n_rows, len(asked))


@dataclass(frozen=True, eq=False)
class _Question:
    """Counts to compare, and by which size."""

    column: str
    what: str
    training: Floats  # counts the population is known by; whole rows, or with a prior's share
    found: Ints
    size: Callable[[Any], Any]  # of files' counts, shape (..., n_cells)


def _questions(column: ColumnSupport, tally: Ints, n_rows: int) -> list[_Question]:
    """Checks of one column that have a row to judge."""
    k = len(column.cells)
    cells, (n_missing, unusable, outside) = tally[:k], tally[k:]
    known = int(cells.sum())
    asked: list[_Question] = []
    if known + n_missing:
        asked.append(
            _two_sided(column.name, "missing", column.n_missing, n_rows,
                       int(n_missing), known + int(n_missing) + int(unusable))
        )  # fmt: skip
    if known == 0 or column.n_known == 0:
        return asked
    training = np.array(column.counts, np.float64)
    asked.append(
        _Question(column.name, "psi", training, cells, lambda new: stability_index(training, new))
    )
    for cell, what in (
        ("below detection", "below_detection"),
        ("above detection", "above_detection"),
    ):
        if column.kind == "continuous" and cell in column.cells:
            at = column.cells.index(cell)
            asked.append(
                _two_sided(column.name, what, column.counts[at], column.n_known,
                           int(cells[at]), known)
            )  # fmt: skip
    if column.low is not None and column.high is not None:
        # Of a new row beyond the lowest and highest of n: Beta(2, n - 1) by exchangeability.
        asked.append(
            _one_sided(column.name, "outside_training_range", 1.5, column.n_known + 0.0,
                       int(outside), known)
        )  # fmt: skip
    return asked


def _two_sided(column: str, what: str, hit: int, n: int, new: int, m: int) -> _Question:
    """Change of a share, up or down."""
    share = hit / n
    return _Question(
        column, what, np.array([n - hit, hit], np.float64), np.array([m - new, new]),
        lambda found: np.abs(found[..., 1] / m - share),
    )  # fmt: skip


def _one_sided(column: str, what: str, hit: float, n: float, new: int, m: int) -> _Question:
    """A share of rows far off; fewer of them than in training is no drift."""
    return _Question(
        column, what, np.array([n - hit, hit]), np.array([m - new, new]),
        lambda found: found[..., 1] / m,
    )  # fmt: skip


def _judged(
    one: _Question, thresholds: tuple[float, float], n_checks: int
) -> tuple[float, float, float]:
    """Size, what chance alone reaches in 95% of files, and an unadjusted p-value."""
    rng = spawn(0, "drift", one.column, one.what)
    prior = one.training + 1.0 / len(one.training)
    m = int(one.found.sum())
    value = float(one.size(one.found))

    def drawn() -> Any:
        return one.size(rng.multinomial(m, rng.dirichlet(prior, _BLOCK)))

    first = drawn()
    chance = float(np.quantile(first, 0.95, method="higher"))
    if value < thresholds[0]:
        return value, chance, 1.0
    # As many files as it takes to tell a p-value from the level of the strictest comparison.
    wanted = min(_MOST, math.ceil(20 * n_checks / _ALPHA))
    total, beyond = len(first), int(np.count_nonzero(first >= value))
    while total < wanted and beyond < _EXCEEDED:
        more = drawn()
        total, beyond = total + len(more), beyond + int(np.count_nonzero(more >= value))
    return value, chance, (beyond + 1) / (total + 1)


def _holm(p_values: list[float]) -> list[float]:
    """Adjusted p-values, in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, least = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted


def _check(
    one: _Question, value: float, chance: float, p: float, thresholds: tuple[float, float]
) -> Check:
    reached = sum(value >= threshold for threshold in thresholds) if p <= _ALPHA else 0
    n, n_training = int(one.found.sum()), round(float(one.training.sum()))
    told: dict[str, float | None] = dict.fromkeys(("training", "share", "low", "high"))
    if one.what != "psi":
        hit, new = float(one.training[1]), int(one.found[1])
        share, (low, high) = new / n, _wilson(new, n)
        if one.what == "outside_training_range":
            told = {"training": 0.0, "share": share, "low": low, "high": high}
        elif one.what == "distance":
            told = {"training": hit / n_training, "share": share, "low": low, "high": high}
        else:
            known, (old_low, old_high) = hit / n_training, _wilson(hit, n_training)
            value = share - known
            told = {
                "training": known,
                "share": share,
                "low": value - math.hypot(share - low, old_high - known),
                "high": value + math.hypot(high - share, known - old_low),
            }
    return Check(
        one.column, one.what, value, chance, n, n_training,
        p_adjusted=p, verdict=VERDICTS[reached], **told,
    )  # fmt: skip


def _wilson(hit: float, n: int) -> tuple[float, float]:
    """95% interval of a share."""
    middle = (hit + _Z**2 / 2) / (n + _Z**2)
    half = _Z * math.sqrt(hit * (n - hit) / n + _Z**2 / 4) / (n + _Z**2)
    return max(0.0, middle - half), min(1.0, middle + half)
