"""How much better a model looks on its own patients than on new ones, by the bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.metrics.calibration_measures import calibration, response_calibration
from biomarker.metrics.discrimination import concordance_index, roc_auc, uno_concordance_index
from biomarker.metrics.estimate import MetricEstimate, interval
from biomarker.resampling import bootstrap_indices, spawn
from biomarker.side_by_side import one_thread
from biomarker.validation.nested import prepare
from biomarker.validation.procedure import Build, Kind, Params, Procedure, check_grid

__all__ = ["OptimismResult", "optimism_corrected"]

Floats = npt.NDArray[np.float64]

COVERS = (
    "Performance of this fitted model in new patients of the same population, from the interval of "
    "the apparent value shifted by the optimism. It leaves out the uncertainty of the optimism "
    "itself, and so runs a little narrow with few events per parameter."
)


@dataclass(frozen=True)
class OptimismResult:
    """One metric: as it looks, by how much it flatters, and what remains.

    Attributes
    ----------
    metric : str
    apparent, optimism, value : float
        ``value`` = ``apparent`` - ``optimism``.
    monte_carlo_error : float
        Standard error of the optimism from the finite number of bootstrap cohorts.
    low, high : float or None
    horizon : float or None
    n_patients, n_bootstrap : int
        ``n_bootstrap`` counts the cohorts that carried the metric.
    n_failed : int
        Cohorts in which it could not be estimated.
    covers : str
    """

    metric: str
    apparent: float
    optimism: float
    value: float
    monte_carlo_error: float
    low: float | None
    high: float | None
    horizon: float | None
    n_patients: int
    n_bootstrap: int
    n_failed: int
    covers: str = COVERS


def optimism_corrected(
    build: Build,
    grid: Sequence[Params],
    X: npt.ArrayLike,
    y: npt.NDArray[Any],
    *,
    kind: Kind,
    n_bootstrap: int = 200,
    times: npt.ArrayLike | None = None,
    horizons: npt.ArrayLike = (),
    tau: float | None = None,
    n_inner: int = 3,
    strata: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> tuple[OptimismResult, ...]:
    """Correct apparent discrimination and calibration slope for having seen the patients.

    The whole procedure is repeated on bootstrap cohorts; optimism is the mean of (performance on
    the bootstrap cohort - performance of the same model on the original one), and is subtracted
    from the apparent performance. Assumes that a bootstrap cohort relates to the data as the data
    to the population; with very few events per parameter, or with models that reproduce their
    training data, the correction falls short and nested cross-validation is to be preferred.

    Parameters
    ----------
    build, grid, X, y, kind, times, horizons, tau, n_inner, strata, groups, seed
        As in :func:`biomarker.validation.nested.nested_cross_validation`. Rows drawn twice stay on
        one side of every inner split.
    n_bootstrap : int
        Bootstrap cohorts.

    Returns
    -------
    tuple of OptimismResult
        Survival: Harrell's and Uno's concordance, and the calibration slope at each horizon.
        Response: AUC and calibration slope.

    Raises
    ------
    NotEstimableError
        If the procedure cannot be fitted to all patients, or to fewer than half of the cohorts.

    References
    ----------
    Harrell, Lee and Mark (1996), Statistics in Medicine 15. Noma et al. (2021), Statistics in
    Medicine 40, for the shifted interval.

    Examples
    --------
    >>> import numpy as np
    >>> from biomarker.models import LogisticResponse
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(80, 4)), rng.random(80) < 0.5
    >>> auc, slope = optimism_corrected(
    ...     lambda p, s: LogisticResponse(**p), [{}], X, y, kind="response", n_bootstrap=20
    ... )
    >>> auc.optimism > 0, slope.value < slope.apparent
    (True, True)
    """
    X = np.asarray(X, dtype=np.float64)
    y, labels, moments, limit = prepare(y, kind, strata, times, tau)
    marks = np.unique(np.asarray(horizons, dtype=np.float64)) if kind == "survival" else np.zeros(0)
    patient = np.arange(len(y)) if groups is None else np.asarray(groups)
    procedure = Procedure(build, check_grid(grid), kind, moments, n_inner, seed)
    with one_thread():
        everyone = np.arange(len(y))
        own = procedure.fit(X, y, everyone, labels, patient, "optimism", "all").model
        apparent = _judge(own, X, y, kind, marks, limit)
        gaps = [
            _gap(procedure, X, y, labels, patient, marks, limit, number)
            for number in range(n_bootstrap)
        ]
    return tuple(
        _correct(name, horizon, result, [gap.get((name, horizon)) for gap in gaps])
        for (name, horizon), result in apparent.items()
    )


_Key = tuple[str, float | None]


def _gap(
    procedure: Procedure,
    X: Floats,
    y: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    patient: npt.NDArray[Any],
    horizons: Floats,
    tau: float | None,
    number: int,
) -> dict[_Key, float]:
    """Bootstrap minus original performance of one bootstrap cohort's model."""
    rows = bootstrap_indices(patient, labels, spawn(procedure.seed, "optimism", number))
    try:
        tuned = procedure.fit(X, y, rows, labels, patient, "optimism", number)
    except NotEstimableError:
        return {}
    seen = _judge(tuned.model, X[rows], y[rows], procedure.kind, horizons, tau)
    new = _judge(tuned.model, X, y, procedure.kind, horizons, tau)
    return {key: seen[key].value - new[key].value for key in seen if key in new}


def _judge(
    model: Any,
    X: Floats,
    y: npt.NDArray[Any],
    kind: Kind,
    horizons: Floats,
    tau: float | None,
) -> dict[_Key, MetricEstimate]:
    """Discrimination and calibration slope of a model on some patients, where defined."""
    results: dict[_Key, MetricEstimate] = {}

    def keep(key: _Key, judge: Any) -> None:
        try:
            results[key] = judge()
        except NotEstimableError:
            return

    if kind == "response":
        p = np.asarray(model.predict_response(X), dtype=np.float64)
        keep(("roc_auc", None), lambda: roc_auc(y, p))
        keep(("calibration_slope", None), lambda: response_calibration(y, p).slope)
        return results
    risk = np.asarray(model.predict_risk(X), dtype=np.float64)
    limit = float(tau or 0.0)
    keep(("concordance_index", None), lambda: concordance_index(y, risk))
    keep(("uno_concordance_index", limit), lambda: uno_concordance_index(y, y, risk, limit))
    if len(horizons):
        curves = np.asarray(model.predict_survival(X, horizons), dtype=np.float64)
        for number, horizon in enumerate(map(float, horizons)):
            keep(
                ("calibration_slope", horizon),
                lambda c=curves[:, number], h=horizon: calibration(y, y, c, h).slope,
            )
    return results


def _correct(
    metric: str, horizon: float | None, apparent: MetricEstimate, gaps: Sequence[float | None]
) -> OptimismResult:
    """Apparent value less the mean gap, with the shifted interval."""
    known = np.array([gap for gap in gaps if gap is not None], dtype=np.float64)
    if 2 * len(known) < len(gaps) or not len(known):
        raise NotEstimableError(
            f"{metric} must be estimable in at least half of the bootstrap cohorts; got "
            f"{len(known)} of {len(gaps)}. More events, or fewer parameters, are needed."
        )
    optimism = float(known.mean())
    value = apparent.value - optimism
    scale = "identity" if metric == "calibration_slope" else "logit"
    low, high = interval(value, apparent.standard_error, scale)  # type: ignore[arg-type]
    error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else float("inf")
    return OptimismResult(
        metric,
        apparent.value,
        optimism,
        value,
        error,
        low,
        high,
        horizon,
        apparent.n_patients,
        len(known),
        len(gaps) - len(known),
    )
