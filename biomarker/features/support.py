"""What the training rows looked like, in counts a bundle may carry: the ground drift is judged on.

Per column the rows in each tenth of the training values (or at each level), beyond a detection
limit and missing; over all encoded features their means, spreads and correlations, with the
distances that one training row in twenty and in a hundred exceeds. Bounds are rounded, so that no
patient's value is stored, and counting a file's rows adds up over its parts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import BundleError
from biomarker.features.encoding import FrozenEncoder
from biomarker.features.frozen_column import FrozenColumn
from biomarker.parsing import State

__all__ = ["THRESHOLDS", "ColumnSupport", "Spread", "Support", "fit_support"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# From which size on a change is worth a word, and a loud one; stored with each bundle.
THRESHOLDS: dict[str, tuple[float, float]] = {
    "psi": (0.1, 0.25),
    "missing": (0.1, 0.2),
    "below_detection": (0.1, 0.2),
    "above_detection": (0.1, 0.2),
    "outside_training_range": (0.05, 0.15),
    "distance": (0.05, 0.15),
}
_TENTHS, _PER_BIN = 10, 5
_FOLDS = 10
_FEWEST = 5  # patients on each side of a 0/1 feature before its correlations are kept
_SMALLEST = 0.05  # spread of a direction, as a share of a feature's
_PRODUCT, _LEAST = 200_000, 32  # multiplications, and rows, of one matrix product
_ENOUGH = 2048  # rows of a part whose distances are taken; from twice as many on, thinned evenly


@dataclass(frozen=True)
class ColumnSupport:
    """Training rows of one column, counted.

    Attributes
    ----------
    name, kind : str
    cells : tuple of str
        What a known value may be: ``below detection``, ranges in increasing order, ``above
        detection``; or each declared level, then ``no declared level``.
    edges : tuple of float
        Bounds between the ranges, in the column's unit, rounded to three digits.
    counts : tuple of int
        Training rows in each cell.
    n_missing : int
    low, high : float or None
        Training range, as :class:`FrozenColumn` stores it.
    """

    name: str
    kind: str
    cells: tuple[str, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    n_missing: int
    low: float | None = None
    high: float | None = None

    @property
    def n_known(self) -> int:
        """Training rows with a known value."""
        return sum(self.counts)

    def tally(self, raw: Floats, states: npt.NDArray[np.uint8], outside: Bools | None) -> Ints:
        """Count rows of a part of a file.

        Parameters
        ----------
        raw : ndarray of float64, shape (n_rows,)
            Parsed values.
        states : ndarray of uint8, shape (n_rows,)
        outside : ndarray of bool, shape (n_rows,), optional
            Rows outside the training range; None for none.

        Returns
        -------
        ndarray of int, shape (n_cells + 3,)
            Rows in each cell, then missing, without a usable value, outside the training range.
        """
        n_odd = int(np.count_nonzero(states))
        n_missing = int(np.count_nonzero(states == State.MISSING)) if n_odd else 0
        below = above = strange = 0
        known, n_known = raw, len(raw) - n_missing
        if n_odd > n_missing:
            below = int(np.count_nonzero(states == State.BELOW_DETECTION))
            above = int(np.count_nonzero(states == State.ABOVE_DETECTION))
            strange = int(np.count_nonzero(states == State.UNSEEN_CATEGORY))
            known = raw[(states == State.OK) | (states == State.OUTSIDE_ALLOWED_RANGE)]
            n_known = len(known)
        cells = self._cells(known, n_known, below, above, strange)
        n_outside = 0 if outside is None else int(np.count_nonzero(outside))
        unusable = len(raw) - n_missing - int(sum(cells))
        return np.array([*cells, n_missing, unusable, n_outside], dtype=np.int64)

    def tally_known(self, known: Floats, n_known: int) -> Ints:
        """As :meth:`tally`, of known values inside the training range; NaN beside them is none."""
        return np.array([*self._cells(known, n_known), 0, 0, 0], dtype=np.int64)

    def _cells(
        self, known: Floats, n_known: int, below: int = 0, above: int = 0, strange: int = 0
    ) -> list[int]:
        """Rows in each cell."""
        # Comparing with a few bounds or levels costs a tenth of a search for each value's place;
        # a missing value is NaN, which no comparison counts.
        if self.kind == "continuous":
            under = [int(np.count_nonzero(known < edge)) for edge in self.edges]
            inside = np.diff([0, *under, n_known]).tolist()
            limits = ("below detection" in self.cells, "above detection" in self.cells)
            return [*([below] if limits[0] else []), *inside, *([above] if limits[1] else [])]
        levels = range(len(self.cells) - 1)
        return [*(int(np.count_nonzero(known == code)) for code in levels), strange]


@dataclass(frozen=True, eq=False)
class Spread:
    """Where encoded training rows lie, and how far from their middle.

    Attributes
    ----------
    mean, scale : ndarray, shape (n_features,)
        Of each encoded feature, to four digits.
    correlation : ndarray, shape (n_features, n_features)
        To three decimals; 0 beside a 0/1 feature that fewer than five rows have, or lack.
    limits : pair of float
        Distances that 5% and 1% of training rows lie beyond, each row judged by the others.
    beyond : pair of int
        Training rows beyond them.
    n_rows : int
    """

    mean: Floats
    scale: Floats
    correlation: Floats
    limits: tuple[float, float]
    beyond: tuple[int, int]
    n_rows: int
    _root: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_root", _root(self.scale, self.correlation))

    def distance(self, features: npt.NDArray[Any]) -> Floats:
        """Mahalanobis distance of encoded rows from the training mean; shape (n_rows,)."""
        out = np.empty(len(features))
        # Products this small stay on the calling thread: those of other threads would spin.
        rows = max(_LEAST, _PRODUCT // len(self.mean) ** 2)
        for begin in range(0, len(features), rows):
            moved = (features[begin : begin + rows] - self.mean) @ self._root
            out[begin : begin + rows] = np.sqrt(np.einsum("ij,ij->i", moved, moved))
        return out

    def tally(self, features: npt.NDArray[Any]) -> Ints:
        """Rows whose distance was taken, and those beyond each limit; shape (3,)."""
        far = self.distance(features[:: max(1, len(features) // _ENOUGH)])
        return np.array([len(far), *(np.count_nonzero(far > limit) for limit in self.limits)])


@dataclass(frozen=True, eq=False)
class Support:
    """What a model was trained on, as far as new rows are compared with it.

    Attributes
    ----------
    columns : tuple of ColumnSupport
        Of the encoder, without the arm: it is assigned, and says nothing of who the patients are.
    spread : Spread
    n_rows : int
    thresholds : mapping of str to pair of float
        Sizes from which a change is moderate, and major.
    """

    columns: tuple[ColumnSupport, ...]
    spread: Spread
    n_rows: int
    thresholds: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict(THRESHOLDS))

    def column(self, name: str) -> ColumnSupport | None:
        """The column of a name; None for the arm."""
        return next((column for column in self.columns if column.name == name), None)

    def to_state(self) -> dict[str, Any]:
        """JSON-able form."""
        spread = self.spread
        return {
            "n_rows": self.n_rows,
            "thresholds": {name: list(pair) for name, pair in self.thresholds.items()},
            "columns": [
                {f.name: _plain(getattr(column, f.name)) for f in fields(column)}
                for column in self.columns
            ],
            "spread": {
                "mean": spread.mean.tolist(),
                "scale": spread.scale.tolist(),
                "correlation": spread.correlation.tolist(),
                "limits": list(spread.limits),
                "beyond": list(spread.beyond),
                "n_rows": spread.n_rows,
            },
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], encoder: FrozenEncoder) -> Support:
        """Rebuild a stored support.

        Raises
        ------
        BundleError
            If a name lacks or is added, a number is none, or the encoder is another.
        """
        try:
            return _from_state(state, encoder)
        except (AttributeError, KeyError, TypeError, ValueError, np.linalg.LinAlgError) as error:
            raise BundleError(
                "The bundle's support must hold what this release writes for its encoder; got "
                f"{type(error).__name__}. The bundle is damaged or of another version."
            ) from None


def fit_support(encoder: FrozenEncoder, raw: Floats, states: npt.NDArray[np.uint8]) -> Support:
    """Count the training rows of a fitted encoder.

    Parameters
    ----------
    encoder : FrozenEncoder
    raw : ndarray of float64, shape (n_rows, n_columns)
        Parsed training values in the encoder's column order, NaN where missing.
    states : ndarray of uint8, shape (n_rows, n_columns)
        A :class:`biomarker.parsing.State` for each.

    Returns
    -------
    Support

    Notes
    -----
    A training row lies nearer to a mean it is part of than a new row does. So the limits of
    distance come from ten parts of the rows, each judged by the mean and correlations of the
    other nine.

    Examples
    --------
    >>> from biomarker.features.encoding import fit_encoder
    >>> from biomarker.features.frozen_column import ColumnPlan
    >>> from biomarker.parsing import ParseRule
    >>> raw = np.random.default_rng(0).normal(60, 8, (200, 1))
    >>> encoder = fit_encoder((ColumnPlan(ParseRule("age", "continuous")),), raw)
    >>> support = fit_support(encoder, raw, np.zeros((200, 1), np.uint8))
    >>> len(support.columns[0].edges), sum(support.columns[0].counts), support.spread.beyond
    (9, 200, (10, 3))
    """
    columns = tuple(
        _counted(column, raw[:, index], states[:, index])
        for index, column in enumerate(encoder.columns)
        if column.kind != "arm"
    )
    return Support(columns, _spread(encoder.transform(raw)), len(raw))


def _counted(column: FrozenColumn, raw: Floats, states: npt.NDArray[np.uint8]) -> ColumnSupport:
    rule = column.plan.rule
    if column.kind != "continuous":
        cells = (*rule.levels, "no declared level")
        empty = ColumnSupport(column.name, column.kind, cells, (), (0,) * len(cells), 0)
    else:
        known = raw[states == State.OK]
        n_bins = max(2, min(_TENTHS, len(known) // _PER_BIN))
        parts = np.arange(1, n_bins) / n_bins
        found = np.quantile(known, parts).tolist() if len(known) else []
        edges = tuple(sorted({float(f"{value:.3g}") for value in found}))
        below = ("below detection",) if rule.lower_limit is not None or rule.below_tokens else ()
        above = ("above detection",) if rule.upper_limit is not None or rule.above_tokens else ()
        cells = (*below, *_ranges(edges), *above)
        finite = [v if math.isfinite(v) else None for v in (column.low, column.high)]
        empty = ColumnSupport(column.name, column.kind, cells, edges, (0,) * len(cells), 0, *finite)
    tally = empty.tally(raw, states, None)
    counts = tuple(int(count) for count in tally[: len(cells)])
    return ColumnSupport(
        empty.name, empty.kind, cells, empty.edges, counts, int(tally[len(cells)]),
        empty.low, empty.high,
    )  # fmt: skip


def _ranges(edges: tuple[float, ...]) -> tuple[str, ...]:
    """Words for the ranges between bounds."""
    if not edges:
        return ("any number",)
    between = (f"{a:g} to {b:g}" for a, b in pairwise(edges))
    return (f"under {edges[0]:g}", *between, f"{edges[-1]:g} and over")


def _spread(features: Floats) -> Spread:
    """Moments of all rows; limits of distance from rows judged by other rows."""
    n = len(features)
    far = np.empty(n)
    fold = np.arange(n) % min(_FOLDS, n)
    binary = ((features == 0) | (features == 1)).all(axis=0)
    for k in range(min(_FOLDS, n)):
        mean, scale, correlation = _moments(features[fold != k], binary)
        moved = (features[fold == k] - mean) @ _root(scale, correlation)
        far[fold == k] = np.sqrt(np.einsum("ij,ij->i", moved, moved))
    limits = tuple(float(f"{np.quantile(far, q):.3g}") for q in (0.95, 0.99))
    beyond = tuple(int(np.count_nonzero(far > limit)) for limit in limits)
    return Spread(*_moments(features, binary), (limits[0], limits[1]), (beyond[0], beyond[1]), n)


def _moments(features: Floats, binary: Bools) -> tuple[Floats, Floats, Floats]:
    """Mean, scale and correlation, rounded so that no row can be worked out from them."""
    n, p = features.shape
    mean, scale, hits = features.mean(axis=0), features.std(axis=0), features.sum(axis=0)
    spread = scale > 0
    scaled = (features - mean) / np.where(spread, scale, 1.0)
    correlation = np.round(scaled.T @ scaled / n, 3)
    alone = ~spread | (binary & (np.minimum(hits, n - hits) < _FEWEST))
    correlation[alone] = 0.0
    correlation[:, alone] = 0.0
    correlation[np.arange(p), np.arange(p)] = 1.0
    # One row more with a 0/1 feature and one without: a rare one keeps its size where it is absent.
    share = (hits + 1) / (n + 2)
    scale = np.where(binary, np.sqrt(np.clip(share * (1 - share), 0, None)), scale)
    scale = np.where(scale > 0, scale, np.maximum(np.abs(mean), 1.0))
    return _digits(mean), _digits(scale), correlation


def _root(scale: Floats, correlation: Floats) -> Floats:
    """A square root of the inverse covariance, directions of almost no spread held up."""
    values, vectors = np.linalg.eigh(correlation)
    return np.asarray((vectors / np.sqrt(np.maximum(values, _SMALLEST))) / scale[:, None])


def _digits(values: Floats) -> Floats:
    return np.array([float(f"{value:.4g}") for value in values])


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _from_state(state: dict[str, Any], encoder: FrozenEncoder) -> Support:
    names = {"n_rows", "thresholds", "columns", "spread"}
    if set(state) != names or set(state["thresholds"]) != set(THRESHOLDS):
        raise ValueError("names")
    thresholds = {name: (float(a), float(b)) for name, (a, b) in state["thresholds"].items()}
    if not all(0 < a < b for a, b in thresholds.values()):
        raise ValueError("thresholds")
    columns = tuple(_column_from_state(item) for item in state["columns"])
    expected = [(c.name, c.kind) for c in encoder.columns if c.kind != "arm"]
    if [(c.name, c.kind) for c in columns] != expected:
        raise ValueError("columns")
    told = dict(state["spread"])
    p = len(encoder.kept)
    for name, shape in (("mean", (p,)), ("scale", (p,)), ("correlation", (p, p))):
        told[name] = np.array(told[name], dtype=np.float64)
        if told[name].shape != shape or not np.isfinite(told[name]).all():
            raise ValueError(name)
    if not (told["scale"] > 0).all():
        raise ValueError("scale")
    (near, far), (many, few) = told["limits"], told["beyond"]
    told["limits"], told["beyond"] = (float(near), float(far)), (_count(many), _count(few))
    told["n_rows"] = _count(told["n_rows"])
    return Support(columns, Spread(**told), _count(state["n_rows"]), thresholds)


def _column_from_state(item: dict[str, Any]) -> ColumnSupport:
    cells = tuple(str(cell) for cell in item["cells"])
    edges = tuple(float(edge) for edge in item["edges"])
    counts = tuple(_count(count) for count in item["counts"])
    bounds = [None if item[key] is None else float(item[key]) for key in ("low", "high")]
    limits = sum(cell in cells for cell in ("below detection", "above detection"))
    whole = item["kind"] != "continuous" or len(cells) == len(edges) + 1 + limits
    if set(item) != {f.name for f in fields(ColumnSupport)} or len(counts) != len(cells):
        raise ValueError("column")
    if not whole or list(edges) != sorted(set(edges)) or not np.isfinite(edges).all():
        raise ValueError("edges")
    return ColumnSupport(
        str(item["name"]), str(item["kind"]), cells, edges, counts, _count(item["n_missing"]),
        *bounds,
    )  # fmt: skip


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("count")
    return value
