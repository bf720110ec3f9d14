"""From out-of-fold predictions to performance with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.metrics.estimate import MetricEstimate, Scale, TimedEstimate, interval
from biomarker.resampling import Fold

__all__ = ["PerformanceEstimate", "response_performance", "survival_performance"]

Floats = npt.NDArray[np.float64]

COVERS = (
    "Expected performance, in new patients of the same population, of models that this whole "
    "procedure (tuning included) fits to cohorts of {n_train} patients, the size of a training "
    "fold; not the performance of the one final model. 95% interval."
)


@dataclass(frozen=True)
class PerformanceEstimate:
    """One cross-validated metric with an interval for the procedure.

    Attributes
    ----------
    metric : str
    value : float or None
        None where the data cannot carry the metric; ``reason`` then says why.
    low, high : float or None
    n_patients : int
    horizon : float or None
        Time of the metric, in the unit of the durations.
    standard_error : float or None
    covers : str
        What the interval covers, in words.
    n_folds : int
        Folds (over all repeats) that carried the metric.
    reason : str or None
    influence : ndarray, shape (n_patients,), or None
        Share of each patient in the error: the estimate moves by their sum.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    n_patients: int
    horizon: float | None
    standard_error: float | None
    covers: str
    n_folds: int
    reason: str | None = None
    influence: Floats | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class _Cut:
    """A metric of one fold or one pooled repeat: value and shares in the error."""

    value: float
    shares: Floats


def _shares(
    result: MetricEstimate | TimedEstimate,
    n: int,
    test: npt.NDArray[np.intp],
    train: npt.NDArray[np.intp],
    column: int | None = None,
) -> Floats:
    """Spread a metric's influence over the cohort: the fold's test and training patients."""
    influence = result.influence
    assert influence is not None
    pick = (lambda a: a) if column is None else (lambda a: a[:, column])
    shares = np.zeros(n)
    shares[test] += pick(influence.test) / len(test)
    if influence.train is not None:
        shares[train] += pick(influence.train) / len(train)
    return shares


class _Collector:
    """Gathers cuts of one metric and turns them into an estimate."""

    def __init__(self, n: int, groups: npt.NDArray[Any] | None, covers: str) -> None:
        self.n = n
        self.covers = covers
        self.code = None if groups is None else np.unique(groups, return_inverse=True)[1]
        self.results: list[PerformanceEstimate] = []

    def add(
        self,
        metric: str,
        horizon: float | None,
        scale: Scale,
        cuts: Sequence[Callable[[], _Cut]],
        no_interval: str | None = None,
    ) -> None:
        """Average a metric over its cuts; cuts it is undefined in are left out and counted."""
        done: list[_Cut] = []
        reason = None
        for cut in cuts:
            try:
                done.append(cut())
            except NotEstimableError as error:
                reason = str(error)
        if 2 * len(done) < len(cuts):
            self.results.append(
                PerformanceEstimate(
                    metric,
                    None,
                    None,
                    None,
                    self.n,
                    horizon,
                    None,
                    "No estimate.",
                    len(done),
                    reason,
                )
            )
            return
        value = float(np.mean([cut.value for cut in done]))
        if no_interval is not None:
            self.results.append(
                PerformanceEstimate(
                    metric, value, None, None, self.n, horizon, None, no_interval, len(done)
                )
            )
            return
        shares = np.mean([cut.shares for cut in done], axis=0)
        units = shares if self.code is None else np.bincount(self.code, weights=shares)
        m = len(units)
        error = float(np.sqrt((units**2).sum() * m / max(m - 1, 1)))
        low, high = interval(value, error, scale)
        self.results.append(
            PerformanceEstimate(
                metric,
                value,
                low,
                high,
                self.n,
                horizon,
                error,
                self.covers,
                len(done),
                None,
                shares,
            )
        )


_NO_INTERVAL = (
    "No interval: a distance from perfect calibration cannot be below 0, so noise alone makes it "
    "positive."
)


def survival_performance(
    y: npt.NDArray[Any],
    folds: Sequence[Sequence[Fold]],
    risk: Floats,
    survival: Floats,
    reference: Floats,
    times: Floats,
    horizon_survival: Floats,
    horizon_reference: Floats,
    horizons: Floats,
    tau: float,
    groups: npt.NDArray[Any] | None,
) -> list[PerformanceEstimate]:
    """Concordance and areas within folds, scores and calibration on pooled probabilities.

    Arrays are (n_repeats, n_patients[, n_times]); ``reference`` holds the Kaplan-Meier curve of the
    training patients of each patient's fold.
    """
    from biomarker.metrics import (
        brier_score,
        brier_skill,
        concordance_index,
        integrated_brier_score,
        time_dependent_auc,
        uno_concordance_index,
    )
    from biomarker.metrics.scoring_rules import integrated_brier_skill

    n = len(y)
    collect = _Collector(n, groups, _covers(folds))
    everyone = np.arange(n)
    cells = [(r, train, test) for r, repeat in enumerate(folds) for train, test in repeat]

    def uno(r: int, train: Any, test: Any) -> _Cut:
        result = uno_concordance_index(y[train], y[test], risk[r, test], tau)
        return _Cut(result.value, _shares(result, n, test, train))

    def harrell(r: int, train: Any, test: Any) -> _Cut:
        result = concordance_index(y[test], risk[r, test])
        return _Cut(result.value, _shares(result, n, test, train))

    collect.add("uno_concordance_index", tau, "logit", _within(uno, cells))
    collect.add("concordance_index", None, "logit", _within(harrell, cells))

    def integrated(r: int, skill: bool) -> _Cut:
        score = integrated_brier_skill if skill else integrated_brier_score
        result = score(y, y, survival[r], times, reference=reference[r])
        return _Cut(float(result.value[0]), _shares(result, n, everyone, everyone, 0))

    repeats = range(len(folds))
    for name, scale, flag in (
        ("integrated_brier_score", "log", False),
        ("integrated_brier_skill", "log_complement", True),
    ):
        pooled = [lambda r=r, flag=flag: integrated(r, flag) for r in repeats]
        collect.add(name, float(times[-1]), scale, pooled)  # type: ignore[arg-type]
    for number, horizon in enumerate(map(float, horizons)):

        def area(r: int, train: Any, test: Any, horizon: float = horizon) -> _Cut:
            result = time_dependent_auc(y[train], y[test], risk[r, test], [horizon])
            return _Cut(float(result.value[0]), _shares(result, n, test, train, 0))

        collect.add("time_dependent_auc", horizon, "logit", _within(area, cells))
        at, null = horizon_survival[:, :, number], horizon_reference[:, :, number]

        def score(
            r: int, metric: Any, horizon: float = horizon, at: Floats = at, null: Floats = null
        ) -> _Cut:
            result = metric(y, y, at[r], [horizon], reference=null[r])
            return _Cut(float(result.value[0]), _shares(result, n, everyone, everyone, 0))

        collect.add(
            "brier_score", horizon, "log", [lambda r=r: score(r, brier_score) for r in repeats]
        )
        collect.add(
            "brier_skill",
            horizon,
            "log_complement",
            [lambda r=r: score(r, brier_skill) for r in repeats],
        )
        _add_calibration(collect, _survival_calibration(y, at, horizon), len(folds), horizon)
    return collect.results


def _covers(folds: Sequence[Sequence[Fold]]) -> str:
    """The sentence that says what the intervals cover."""
    sizes = [len(train) for repeat in folds for train, _ in repeat]
    return COVERS.format(n_train=round(float(np.mean(sizes))))


def _within(
    metric: Callable[..., _Cut], cells: Sequence[tuple[int, Any, Any]]
) -> list[Callable[[], _Cut]]:
    """One call per fold."""
    return [lambda cell=cell: metric(*cell) for cell in cells]  # type: ignore[misc]


def _survival_calibration(y: Any, at: Floats, horizon: float) -> Callable[[int], Any]:
    """Calibration of one repeat's pooled predictions at a horizon."""
    from biomarker.metrics import calibration

    return lambda r: calibration(y, y, at[r], horizon)


def _add_calibration(
    collect: _Collector, calibrate: Callable[[int], Any], n_repeats: int, horizon: float | None
) -> None:
    """Slope, intercept, O:E and ICI on pooled probabilities."""
    everyone = np.arange(collect.n)
    cache: dict[int, Any] = {}

    def result(r: int) -> Any:
        if r not in cache:
            cache[r] = calibrate(r)
        return cache[r]

    def part(r: int, name: str) -> _Cut:
        found = getattr(result(r), name)
        return _Cut(found.value, _shares(found, collect.n, everyone, everyone))

    repeats = range(n_repeats)
    for metric, name, scale in (
        ("calibration_slope", "slope", "identity"),
        ("calibration_intercept", "intercept", "identity"),
        ("observed_expected", "observed_expected", "log"),
    ):
        cuts = [lambda r=r, name=name: part(r, name) for r in repeats]
        collect.add(metric, horizon, scale, cuts)  # type: ignore[arg-type]
    distance = [lambda r=r: _Cut(result(r).ici, np.zeros(0)) for r in repeats]
    collect.add("ici", horizon, "identity", distance, _NO_INTERVAL)


def response_performance(
    response: npt.NDArray[np.bool_],
    folds: Sequence[Sequence[Fold]],
    probability: Floats,
    groups: npt.NDArray[Any] | None,
) -> list[PerformanceEstimate]:
    """AUC within folds; Brier score, log loss and calibration on pooled probabilities."""
    from biomarker.metrics import log_loss, response_brier, response_calibration, roc_auc

    n = len(response)
    collect = _Collector(n, groups, _covers(folds))
    everyone = np.arange(n)
    cells = [(r, train, test) for r, repeat in enumerate(folds) for train, test in repeat]

    def area(r: int, train: Any, test: Any) -> _Cut:
        result = roc_auc(response[test], probability[r, test])
        return _Cut(result.value, _shares(result, n, test, train))

    collect.add("roc_auc", None, "logit", _within(area, cells))

    def pooled(r: int, metric: Any) -> _Cut:
        result = metric(response, probability[r])
        return _Cut(result.value, _shares(result, n, everyone, everyone))

    repeats = range(len(folds))
    for name, metric in (("response_brier", response_brier), ("log_loss", log_loss)):
        cuts = [lambda r=r, metric=metric: pooled(r, metric) for r in repeats]
        collect.add(name, None, "log", cuts)  # type: ignore[arg-type]
    _add_calibration(
        collect, lambda r: response_calibration(response, probability[r]), len(folds), None
    )
    return collect.results
