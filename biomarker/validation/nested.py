"""Repeated nested cross-validation: how well the whole procedure does on unseen patients."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.outcomes import check_survival_outcome
from biomarker.resampling import Fold, make_folds, repeated_folds, spawn
from biomarker.side_by_side import side_by_side, workers_are_set
from biomarker.validation.performance import (
    PerformanceEstimate,
    response_performance,
    survival_performance,
)
from biomarker.validation.procedure import (
    Build,
    FitCall,
    Kind,
    Params,
    Procedure,
    TunedFit,
    check_grid,
)

__all__ = [
    "NestedResult",
    "nested_cross_validation",
    "select_and_refit",
    "validate_and_refit",
]

Floats = npt.NDArray[np.float64]
Recorder = Callable[[dict[str, Any], int, npt.NDArray[np.intp]], None]
Progress = Callable[[int, int], None]

# Thirds of the training patients' risk: low, middle, high.
_CUT_LEVELS = (1.0 / 3.0, 2.0 / 3.0)

# Worker processes import everything anew, which takes seconds.
_WORKERS_PAY_FROM_SECONDS = 8.0

# Once started, joblib keeps its workers for the process: later calls need not weigh their start.
_workers = {"started": False}

_Task = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass(frozen=True)
class NestedResult:
    """Out-of-fold predictions of every repeat, how they were made, and how good they are.

    Attributes
    ----------
    kind : str
        "survival" or "response".
    folds : tuple of tuple of (train, test)
        Row numbers per repeat and fold.
    risk : ndarray, shape (n_repeats, n_patients)
        Out-of-fold risk (for a response: its probability). Risks of different folds come from
        different fits and must not be ranked against each other.
    survival : ndarray, shape (n_repeats, n_patients, n_times), or None
    horizon_survival : ndarray, shape (n_repeats, n_patients, n_horizons), or None
    response : ndarray, shape (n_repeats, n_patients), or None
    times, horizons : ndarray
    tau : float or None
    chosen_params : tuple of tuple of dict
        Per repeat and fold.
    inner_scores : tuple of tuple of tuple
        Inner score of each grid entry per repeat and fold; None where not tuned or not estimable.
    risk_group : ndarray of int, shape (n_repeats, n_patients)
        0 low, 1 middle, 2 high, by the cuts of the patient's own training fold.
    risk_cuts : ndarray, shape (n_repeats, n_splits, 2)
        Thirds of the training patients' risks.
    n_fits, n_failed : int
        Calls of ``fit``, and those not estimable.
    performance : tuple of PerformanceEstimate
    n_patients : int
        Distinct patients (groups where given, else rows).
    """

    kind: Kind
    folds: tuple[tuple[Fold, ...], ...] = field(repr=False)
    risk: Floats = field(repr=False)
    survival: Floats | None = field(repr=False)
    horizon_survival: Floats | None = field(repr=False)
    response: Floats | None = field(repr=False)
    times: Floats = field(repr=False)
    horizons: Floats
    tau: float | None
    chosen_params: tuple[tuple[dict[str, Any], ...], ...] = field(repr=False)
    inner_scores: tuple[tuple[tuple[float | None, ...], ...], ...] = field(repr=False)
    risk_group: npt.NDArray[np.intp] = field(repr=False)
    risk_cuts: Floats = field(repr=False)
    n_fits: int
    n_failed: int
    performance: tuple[PerformanceEstimate, ...] = field(repr=False)
    n_patients: int

    def estimate(self, metric: str, horizon: float | None = None) -> PerformanceEstimate:
        """The performance estimate of a metric (at a horizon, where it has several)."""
        found = [
            p
            for p in self.performance
            if p.metric == metric and (horizon is None or p.horizon == horizon)
        ]
        if len(found) != 1:
            known = sorted({p.metric for p in self.performance})
            raise KeyError(
                f"metric and horizon must name one estimate; got {len(found)} for {metric!r}. "
                f"Known metrics: {', '.join(known)}."
            )
        return found[0]


@dataclass(frozen=True)
class _FoldOutput:
    """What one outer fold sends back: plain arrays, no model."""

    risk: Floats
    survival: Floats | None
    cuts: Floats
    params: dict[str, Any]
    scores: tuple[float | None, ...]
    calls: tuple[FitCall, ...]
    n_failed: int
    perturbed: Floats


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
    parts = _training_groups(n_training_groups, patient, labels, seed)
    tasks: list[_Task] = [
        (_outer_fold, (procedure, X, y, labels, patient, asked, repeat, number, fold, parts))
        for repeat, number, fold in cells
    ]
    if refit:
        tasks.append((_final_fit, (procedure, X, y, labels, patient)))
    outputs = _run(tasks, n_jobs, progress)
    if recorder is not None:
        for output in outputs:
            for call in output.calls:
                recorder(dict(call.params), call.seed, call.rows)
    tuned = outputs.pop() if refit else None
    result = _assemble(kind, y, cells, outputs, moments, marks, asked, tau, patient, n_splits)
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
        tuned = _final_fit(procedure, X, y, labels, patient)
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


def _run(tasks: list[_Task], n_jobs: int, progress: Progress | None) -> list[Any]:
    """Every task, in order, in this process or several.

    The first is done here: where the others would take less time than workers need to start,
    they are done here too. Other workers that the caller has set get every task. Where a task is
    done never changes its result.
    """
    done: list[Any] = []
    if not workers_are_set() and (n_jobs == 1 or not _workers["started"]):
        # Finding the loaded thread pools costs more than a small fit: once for all tasks.
        with one_thread():
            began = time.perf_counter()
            done = _collect((run(*words) for run, words in tasks[:1]), 0, len(tasks), progress)
            rest = (time.perf_counter() - began) * (len(tasks) - 1)
            if n_jobs == 1 or rest < _WORKERS_PAY_FROM_SECONDS:
                here = (run(*words) for run, words in tasks[1:])
                return done + _collect(here, 1, len(tasks), progress)
    if not workers_are_set():
        _workers["started"] = True
    calls = [(run, *words) for run, words in tasks[len(done) :]]
    results = side_by_side(_limited, calls, n_jobs)
    return done + _collect(results, len(done), len(tasks), progress)


def _collect(
    results: Iterable[Any], before: int, total: int, progress: Progress | None
) -> list[Any]:
    """Gather finished tasks in order, telling the callback."""
    outputs = []
    for output in results:
        outputs.append(output)
        if progress is not None:
            progress(before + len(outputs), total)
    return outputs


def _limited(run: Callable[..., Any], *words: Any) -> Any:
    """One task in a worker process, held to one thread."""
    with one_thread():
        return run(*words)


def _final_fit(
    procedure: Procedure,
    X: Floats,
    y: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    groups: npt.NDArray[Any] | None,
) -> TunedFit:
    """Tune and fit on every patient."""
    return procedure.fit(X, y, np.arange(len(y)), labels, groups, "final")


def one_thread() -> AbstractContextManager[Any]:
    """Hold numerical libraries to one thread: folds run side by side, and results stay the same."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        return nullcontext()
    return threadpool_limits(limits=1)


def _outer_fold(
    procedure: Procedure,
    X: Floats,
    y: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    groups: npt.NDArray[Any] | None,
    asked: Floats,
    repeat: int,
    number: int,
    fold: Fold,
    parts: Sequence[npt.NDArray[np.intp]],
) -> _FoldOutput:
    """Tune and refit on the training patients, predict the test patients."""
    train, test = fold
    tuned = procedure.fit(X, y, train, labels, groups, "outer", repeat, number)
    model = tuned.model
    if procedure.kind == "survival":
        risk = np.asarray(model.predict_risk(X[test]), dtype=np.float64)
        known = np.asarray(model.predict_risk(X[train]), dtype=np.float64)
        survival = np.asarray(model.predict_survival(X[test], asked), dtype=np.float64)
    else:
        risk = np.asarray(model.predict_response(X[test]), dtype=np.float64)
        known = np.asarray(model.predict_response(X[train]), dtype=np.float64)
        survival = None
    perturbed, calls, failed = _perturb(
        procedure, tuned, X, y, fold, parts if repeat == 0 else (), number
    )
    cuts = np.asarray(np.quantile(known, _CUT_LEVELS), dtype=np.float64)
    return _FoldOutput(
        risk,
        survival,
        cuts,
        tuned.params,
        tuned.scores,
        (*tuned.calls, *calls),
        tuned.n_failed + failed,
        perturbed,
    )


def _training_groups(
    n_parts: int, patient: npt.NDArray[Any] | None, labels: npt.NDArray[Any], seed: int
) -> tuple[npt.NDArray[np.intp], ...]:
    """Parts of the cohort to leave out of training, the same for every outer fold."""
    if n_parts == 0:
        return ()
    folds = make_folds(n_parts, patient, labels, spawn(seed, "training groups"))
    return tuple(part for _, part in folds)


def _perturb(
    procedure: Procedure,
    tuned: TunedFit,
    X: Floats,
    y: npt.NDArray[Any],
    fold: Fold,
    parts: Sequence[npt.NDArray[np.intp]],
    number: int,
) -> tuple[Floats, list[FitCall], int]:
    """Risk of the test patients from training without each part; NaN where not estimable."""
    train, test = fold
    risks = np.full((len(parts), len(test)), np.nan)
    calls: list[FitCall] = []
    failed = 0
    for part, left_out in enumerate(parts):
        rows = np.setdiff1d(train, left_out)
        try:
            model = procedure.refit(X, y, rows, tuned.params, calls, "outer", 0, number, part)
            if procedure.kind == "survival":
                risks[part] = model.predict_risk(X[test])
            else:
                risks[part] = model.predict_response(X[test])
        except NotEstimableError:
            failed += 1
    return risks, calls, failed


def _assemble(
    kind: Kind,
    y: npt.NDArray[Any],
    cells: list[tuple[int, int, Fold]],
    outputs: list[_FoldOutput],
    times: Floats,
    horizons: Floats,
    asked: Floats,
    tau: float | None,
    groups: npt.NDArray[Any] | None,
    n_splits: int,
) -> NestedResult:
    """Put the folds' predictions where their patients are, and judge them."""
    n, n_repeats = len(y), cells[-1][0] + 1
    risk = np.full((n_repeats, n), np.nan)
    group = np.zeros((n_repeats, n), dtype=np.intp)
    cuts = np.empty((n_repeats, n_splits, len(_CUT_LEVELS)))
    curves = np.full((n_repeats, n, len(asked)), np.nan)
    perturbed = np.full((len(outputs[0].perturbed), n), np.nan)
    for (repeat, number, (_, test)), output in zip(cells, outputs, strict=True):
        risk[repeat, test] = output.risk
        group[repeat, test] = np.searchsorted(output.cuts, output.risk, side="left")
        cuts[repeat, number] = output.cuts
        if repeat == 0:
            perturbed[:, test] = output.perturbed
        if output.survival is not None:
            curves[repeat, test] = output.survival
    per_repeat = [cells[r * n_splits : (r + 1) * n_splits] for r in range(n_repeats)]
    folds = tuple(tuple(fold for _, _, fold in repeat) for repeat in per_repeat)
    survival = horizon_survival = response = None
    if kind == "survival":
        at, mark = np.searchsorted(asked, times), np.searchsorted(asked, horizons)
        survival, horizon_survival = curves[:, :, at], curves[:, :, mark]
        null = _null_curves(y, cells, asked, n_repeats)
        performance = survival_performance(
            y,
            folds,
            risk,
            perturbed,
            survival,
            null[:, :, at],
            times,
            horizon_survival,
            null[:, :, mark],
            horizons,
            float(tau or 0.0),
            groups,
        )
    else:
        response = risk
        performance = response_performance(y, folds, response, perturbed, groups)
    chunk = [outputs[r * n_splits : (r + 1) * n_splits] for r in range(n_repeats)]
    return NestedResult(
        kind=kind,
        folds=folds,
        risk=risk,
        survival=survival,
        horizon_survival=horizon_survival,
        response=response,
        times=times,
        horizons=horizons,
        tau=tau,
        chosen_params=tuple(tuple(o.params for o in part) for part in chunk),
        inner_scores=tuple(tuple(o.scores for o in part) for part in chunk),
        risk_group=group,
        risk_cuts=cuts,
        n_fits=sum(len(o.calls) for o in outputs),
        n_failed=sum(o.n_failed for o in outputs),
        performance=tuple(performance),
        n_patients=n if groups is None else len(np.unique(groups)),
    )


def _null_curves(
    y: npt.NDArray[Any], cells: list[tuple[int, int, Fold]], asked: Floats, n_repeats: int
) -> Floats:
    """Kaplan-Meier of each patient's training fold: the prediction that ignores the patient."""
    from biomarker.survival.curves import kaplan_meier

    curves = np.empty((n_repeats, len(y), len(asked)))
    for repeat, _, (train, test) in cells:
        curves[repeat, test] = kaplan_meier(y[train]).survival_at(asked)
    return curves
