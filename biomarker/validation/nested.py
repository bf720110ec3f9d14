"""Repeated nested cross-validation: how well the whole procedure does on unseen patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.outcomes import check_survival_outcome
from biomarker.resampling import repeated_folds
from biomarker.side_by_side import Progress, Task, one_thread, run_tasks
from biomarker.validation.nested_result import NestedResult, assemble
from biomarker.validation.outer_fold import final_fit, outer_fold, training_groups
from biomarker.validation.procedure import Build, Kind, Params, Procedure, TunedFit, check_grid

__all__ = [
    "NestedResult",
    "nested_cross_validation",
    "select_and_refit",
    "validate_and_refit",
]

Floats = npt.NDArray[np.float64]
Recorder = Callable[[dict[str, Any], int, npt.NDArray[np.intp]], None]


def nested_cross_validation(
    build: Build,
    grid: Sequence[Params],
    X: npt.ArrayLike,
    y: npt.NDArray[Any],
    *,
    kind: Kind,
    times: npt.ArrayLike | None = None,
    horizons: npt.ArrayLike = (),
    tau: float | None = None,
    n_splits: int = 5,
    n_repeats: int = 2,
    n_inner: int = 3,
    n_training_groups: int = 4,
    strata: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    progress: Progress | None = None,
    recorder: Recorder | None = None,
) -> NestedResult:
    """Judge a fitting procedure, tuning included, by repeated nested cross-validation.

    In each outer fold the grid is tuned by ``n_inner``-fold cross-validation within the training
    patients, the best entry refitted on all of them, and the test patients predicted. Everything
    learned from data (encoding, filling, scaling) must happen inside the estimator's ``fit``.

    Parameters
    ----------
    build : callable ``(params, seed) -> estimator``
        Unfitted estimator with ``fit(X, y)`` and, for survival, ``predict_risk(X)`` and
        ``predict_survival(X, times)``; for response, ``predict_response(X)``. It should use one
        thread.
    grid : sequence of dict
        Settings to choose from; one entry means no tuning.
    X : array-like, shape (n_patients, n_columns)
        Float matrix; NaN is missing.
    y : structured array or booleans, shape (n_patients,)
    kind : {"survival", "response"}
    times : array-like, optional
        Times of the integrated Brier score and of the survival curves kept; default
        :func:`biomarker.survival.censoring.safe_time_grid` of all patients, chosen once.
    horizons : array-like
        Times of AUC, Brier score and calibration, in the unit of the durations.
    tau : float, optional
        Upper limit of Uno's concordance; default the end of the safe grid.
    n_splits, n_repeats, n_inner : int
    n_training_groups : int
        Parts of the cohort left out of training in turn, at the settings already chosen, to see how
        much discrimination moves with the training patients; costs n_splits fits each. 0 leaves
        that out of the intervals, which then are too narrow for small cohorts.
    strata : array-like, shape (n_patients,), optional
        Default the event or the response; give event by arm where there are arms.
    groups : array-like, shape (n_patients,), optional
        Patient of each row where an id repeats.
    seed : int
        The result depends on it and not on ``n_jobs``.
    n_jobs : int
        Outer folds fitted at the same time, in processes when above 1.
    progress : callable ``(done, total)``, optional
    recorder : callable ``(params, seed, rows)``, optional
        Called once for every ``fit`` made, in a fixed order, for a replay of exactly these fits.

    Returns
    -------
    NestedResult

    Raises
    ------
    NotEstimableError
        If some outer fold has no estimable setting, or the outcome has no event.

    Notes
    -----
    Concordance and AUC are computed within folds and averaged, since risks from different fits are
    not comparable; Brier scores and calibration use the pooled out-of-fold probabilities.
    Fits: n_repeats * n_splits * (1 + n_inner * len(grid) where tuned), and n_splits *
    n_training_groups more for the intervals, which come from three variances: each patient's share
    in the metric, the spread between repeats, and (discrimination) a grouped jackknife over the
    training patients of the first repeat. Their coverage in simulation is in the project's
    experiments, e00.

    References
    ----------
    Varma and Simon (2006), BMC Bioinformatics 7:91. LeDell, Petersen and van der Laan (2015),
    Electronic Journal of Statistics 9.

    Examples
    --------
    >>> import numpy as np
    >>> from biomarker.models import LogisticResponse
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(120, 2))
    >>> y = rng.random(120) < 1 / (1 + np.exp(-2 * X[:, 0]))
    >>> result = nested_cross_validation(
    ...     lambda params, seed: LogisticResponse(**params), [{}], X, y, kind="response"
    ... )
    >>> result.n_fits, result.estimate("roc_auc").value > 0.7
    (30, True)
    """
    result, _ = _validate(
        build, grid, X, y, kind, times, horizons, tau, n_splits, n_repeats, n_inner,
        n_training_groups, strata, groups, seed, n_jobs, progress, recorder, refit=False,
    )  # fmt: skip
    return result


def validate_and_refit(
    build: Build,
    grid: Sequence[Params],
    X: npt.ArrayLike,
    y: npt.NDArray[Any],
    *,
    kind: Kind,
    times: npt.ArrayLike | None = None,
    horizons: npt.ArrayLike = (),
    tau: float | None = None,
    n_splits: int = 5,
    n_repeats: int = 2,
    n_inner: int = 3,
    n_training_groups: int = 4,
    strata: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    progress: Progress | None = None,
    recorder: Recorder | None = None,
) -> tuple[NestedResult, TunedFit]:
    """Judge a procedure and fit it to everyone, the final fit beside the folds.

    The same numbers as :func:`nested_cross_validation` and :func:`select_and_refit` one after
    the other, without leaving all workers but one idle during the second.

    Returns
    -------
    tuple of NestedResult and TunedFit
    """
    result, tuned = _validate(
        build, grid, X, y, kind, times, horizons, tau, n_splits, n_repeats, n_inner,
        n_training_groups, strata, groups, seed, n_jobs, progress, recorder, refit=True,
    )  # fmt: skip
    assert tuned is not None
    return result, tuned


def _validate(
    build: Build,
    grid: Sequence[Params],
    X: npt.ArrayLike,
    y: npt.NDArray[Any],
    kind: Kind,
    times: npt.ArrayLike | None,
    horizons: npt.ArrayLike,
    tau: float | None,
    n_splits: int,
    n_repeats: int,
    n_inner: int,
    n_training_groups: int,
    strata: npt.ArrayLike | None,
    groups: npt.ArrayLike | None,
    seed: int,
    n_jobs: int,
    progress: Progress | None,
    recorder: Recorder | None,
    refit: bool,
) -> tuple[NestedResult, TunedFit | None]:
    """Every outer fold and, on request, the final fit, in as many processes as pay."""
    X = np.asarray(X, dtype=np.float64)
    y, labels, moments, tau = prepare(y, kind, strata, times, tau)
    if X.ndim != 2 or len(X) != len(y):
        raise ValueError(
            f"X must be a matrix with one row per outcome ({len(y)}); got shape {X.shape}."
        )
    patient = None if groups is None else np.asarray(groups)
    marks = np.unique(np.asarray(horizons, dtype=np.float64)) if kind == "survival" else np.zeros(0)
    asked = np.union1d(moments, marks)
    procedure = Procedure(build, check_grid(grid), kind, moments, n_inner, seed)
    cells = list(repeated_folds(n_splits, n_repeats, patient, labels, seed))
    parts = training_groups(n_training_groups, patient, labels, seed)
    tasks: list[Task] = [
        (outer_fold, (procedure, X, y, labels, patient, asked, repeat, number, fold, parts))
        for repeat, number, fold in cells
    ]
    if refit:
        tasks.append((final_fit, (procedure, X, y, labels, patient)))
    outputs = run_tasks(tasks, n_jobs, progress)
    if recorder is not None:
        for output in outputs:
            for call in output.calls:
                recorder(dict(call.params), call.seed, call.rows)
    tuned = outputs.pop() if refit else None
    result = assemble(kind, y, cells, outputs, moments, marks, asked, tau, patient, n_splits)
    return result, tuned


def select_and_refit(
    build: Build,
    grid: Sequence[Params],
    X: npt.ArrayLike,
    y: npt.NDArray[Any],
    *,
    kind: Kind,
    times: npt.ArrayLike | None = None,
    n_inner: int = 3,
    strata: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
    recorder: Recorder | None = None,
) -> TunedFit:
    """The final model: the same tuning as inside each outer fold, on all patients.

    Parameters
    ----------
    build, grid, X, y, kind, times, n_inner, strata, groups, seed, recorder
        As in :func:`nested_cross_validation`.

    Returns
    -------
    TunedFit
        ``model``, the chosen ``params`` and the inner ``scores``.

    Raises
    ------
    NotEstimableError
        If no entry of the grid can be fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from biomarker.models import LogisticResponse
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(60, 2)), rng.random(60) < 0.5
    >>> select_and_refit(lambda p, s: LogisticResponse(**p), [{}], X, y, kind="response").params
    {}
    """
    X = np.asarray(X, dtype=np.float64)
    y, labels, moments, _ = prepare(y, kind, strata, times, None)
    patient = None if groups is None else np.asarray(groups)
    procedure = Procedure(build, check_grid(grid), kind, moments, n_inner, seed)
    with one_thread():
        tuned = final_fit(procedure, X, y, labels, patient)
    if recorder is not None:
        for call in tuned.calls:
            recorder(dict(call.params), call.seed, call.rows)
    return tuned


def prepare(
    y: npt.NDArray[Any],
    kind: Kind,
    strata: npt.ArrayLike | None,
    times: npt.ArrayLike | None,
    tau: float | None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Floats, float | None]:
    """The outcome in its one form, labels to spread over folds, times of curves and tau."""
    outcome, labels = _check_outcome(y, kind, strata)
    return outcome, labels, *_time_frame(outcome, kind, times, tau)


def _check_outcome(
    y: npt.NDArray[Any], kind: Kind, strata: npt.ArrayLike | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The outcome in its one form, and the labels to spread over folds."""
    from biomarker.metrics.estimate import check_response

    if kind not in ("survival", "response"):
        raise ValueError(f"kind must be 'survival' or 'response'; got {kind!r}.")
    outcome: npt.NDArray[Any] = (
        check_survival_outcome(y) if kind == "survival" else check_response(y)
    )
    status = outcome["event"] if kind == "survival" else outcome
    if not status.any() or (kind == "response" and status.all()):
        raise NotEstimableError(
            f"y must hold patients with {'an event' if kind == 'survival' else 'and without it'}; "
            f"got {int(status.sum())} of {len(status)}."
        )
    labels = status if strata is None else np.asarray(strata)
    if labels.shape != (len(outcome),):
        raise ValueError(f"strata must hold {len(outcome)} labels; got shape {labels.shape}.")
    return outcome, labels


def _time_frame(
    y: npt.NDArray[Any], kind: Kind, times: npt.ArrayLike | None, tau: float | None
) -> tuple[Floats, float | None]:
    """The times of the curves and the limit of concordance, chosen once from all patients."""
    from biomarker.metrics.discrimination import check_times
    from biomarker.survival.censoring import default_tau, safe_time_grid

    if kind == "response":
        return np.zeros(0), None
    moments = safe_time_grid(y).times if times is None else check_times(times)
    return moments, default_tau(y) if tau is None else float(tau)
