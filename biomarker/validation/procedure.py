"""The fitting procedure under validation: tune on the given patients, refit, keep count."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.resampling import TaskKey, make_folds, spawn

__all__ = ["Build", "FitCall", "Kind", "Procedure", "TunedFit"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Kind = Literal["survival", "response"]
Params = Mapping[str, Any]
Build = Callable[[dict[str, Any], int], Any]


@dataclass(frozen=True)
class FitCall:
    """One call of ``fit``: what was built, with which seed, on which rows."""

    params: dict[str, Any]
    seed: int
    rows: Indices = field(repr=False)


@dataclass(frozen=True)
class TunedFit:
    """A fitted model with the way it was chosen.

    Attributes
    ----------
    model : object
    params : dict
    scores : tuple of (float or None)
        Inner score of each entry of the grid, lower is better; None where every inner fit failed
        or nothing was tuned.
    calls : tuple of FitCall
        Every ``fit`` made, failed ones included, in order.
    n_failed : int
        Fits that were not estimable.
    """

    model: Any = field(repr=False)
    params: dict[str, Any]
    scores: tuple[float | None, ...]
    calls: tuple[FitCall, ...] = field(repr=False)
    n_failed: int


@dataclass(frozen=True)
class Procedure:
    """Tuning and refitting, as one thing that can be repeated on any set of rows.

    The inner score is a proper one, so that it rewards calibrated probabilities and not only a
    ranking, and it allows for censoring, which a partial likelihood of parametric or boosted
    models would not be comparable for: the integrated Brier score with censoring weights over
    ``times`` for survival, the log loss for a response, both on the pooled inner out-of-fold
    predictions. Ties go to the earlier entry of the grid.
    """

    build: Build
    grid: tuple[dict[str, Any], ...]
    kind: Kind
    times: Floats
    n_inner: int
    seed: int

    def fit(
        self,
        X: Floats,
        y: npt.NDArray[Any],
        rows: Indices,
        strata: npt.NDArray[Any],
        groups: npt.NDArray[Any] | None,
        *keys: TaskKey,
    ) -> TunedFit:
        """Tune on ``rows`` alone and refit the best entry on all of them.

        An entry whose refit is not estimable gives way to the next best.

        Raises
        ------
        NotEstimableError
            If no entry of the grid can be fitted.
        """
        calls: list[FitCall] = []
        failed = 0
        scores: tuple[float | None, ...] = (None,) * len(self.grid)
        ranking = list(range(len(self.grid)))
        if len(self.grid) > 1:
            scores, failed = self._scores(X, y, rows, strata, groups, calls, keys)
            ranking = sorted(
                (i for i in ranking if scores[i] is not None),
                key=lambda i: (scores[i], i),
            )
        reason = "no inner fit succeeded"
        for entry in ranking:
            try:
                model = self._fit_one(X, y, rows, entry, calls, (*keys, "refit"))
            except NotEstimableError as error:
                failed += 1
                reason = str(error)
            else:
                return TunedFit(model, dict(self.grid[entry]), scores, tuple(calls), failed)
        raise NotEstimableError(
            f"At least one of {len(self.grid)} settings must be estimable on {len(rows)} patients; "
            f"got none. The last reason: {reason}"
        )

    def refit(
        self,
        X: Floats,
        y: npt.NDArray[Any],
        rows: Indices,
        params: Params,
        calls: list[FitCall],
        *keys: TaskKey,
    ) -> Any:
        """Fit settings already chosen, without tuning, adding the call to ``calls``."""
        entry = self.grid.index(dict(params))
        return self._fit_one(X, y, rows, entry, calls, (*keys, "perturbed"))

    def _scores(
        self,
        X: Floats,
        y: npt.NDArray[Any],
        rows: Indices,
        strata: npt.NDArray[Any],
        groups: npt.NDArray[Any] | None,
        calls: list[FitCall],
        keys: tuple[TaskKey, ...],
    ) -> tuple[tuple[float | None, ...], int]:
        """Inner cross-validated score of every entry of the grid, and the number of failures."""
        rng = spawn(self.seed, *keys, "inner")
        inner_groups = None if groups is None else groups[rows]
        folds = make_folds(self.n_inner, inner_groups, strata[rows], rng)
        scores: list[float | None] = []
        failed = 0
        for entry in range(len(self.grid)):
            width = len(self.times) if self.kind == "survival" else 1
            predicted = np.full((len(rows), width), np.nan)
            for number, (train, test) in enumerate(folds):
                try:
                    model = self._fit_one(X, y, rows[train], entry, calls, (*keys, "inner", number))
                    predicted[test] = self._predict(model, X[rows[test]])
                except NotEstimableError:
                    failed += 1
                    break
            scores.append(self._score(y[rows], predicted))
        return tuple(scores), failed

    def _fit_one(
        self,
        X: Floats,
        y: npt.NDArray[Any],
        rows: Indices,
        entry: int,
        calls: list[FitCall],
        keys: tuple[TaskKey, ...],
    ) -> Any:
        """Build and fit one model, noting the call before it can fail."""
        seed = int(spawn(self.seed, *keys, "fit", entry).integers(2**31 - 1))
        params = dict(self.grid[entry])
        calls.append(FitCall(params, seed, rows))
        model = self.build(dict(params), seed)
        model.fit(X[rows], y[rows])
        return model

    def _predict(self, model: Any, X: Floats) -> Floats:
        """Probabilities that the inner score judges."""
        if self.kind == "survival":
            return np.asarray(model.predict_survival(X, self.times), dtype=np.float64)
        return np.asarray(model.predict_response(X), dtype=np.float64)[:, None]

    def _score(self, y: npt.NDArray[Any], predicted: Floats) -> float | None:
        """Inner score of pooled out-of-fold probabilities; None where some are missing."""
        from biomarker.metrics.scoring_rules import integrated_brier_score, log_loss

        if not np.all(np.isfinite(predicted)):
            return None
        if self.kind == "response":
            return log_loss(y, predicted[:, 0]).value
        try:
            value = float(integrated_brier_score(y, y, predicted, self.times).value[0])
        except NotEstimableError:
            return None
        return value if math.isfinite(value) else None


def check_grid(grid: Sequence[Params]) -> tuple[dict[str, Any], ...]:
    """The grid as dictionaries, refused when empty."""
    entries = tuple(dict(entry) for entry in grid)
    if not entries:
        raise ValueError("grid must hold at least one setting; got none. Pass [{}] for defaults.")
    return entries
