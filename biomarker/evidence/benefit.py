"""Whether a model's predicted benefits hold out of fold, and what a rule built on them gains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.errors import UsageError
from biomarker.evidence.absolute import longest_tau
from biomarker.evidence.analysis_set import AnalysisSet, analysis_set
from biomarker.evidence.benefit_models import (
    BenefitBuilder,
    BenefitData,
    BenefitModel,
    BuiltBenefit,
    CoxBenefit,
    OddsBenefit,
    independent_columns,
)
from biomarker.evidence.benefit_runs import NAMES, Judge, Run
from biomarker.metrics.benefit import BenefitCalibration
from biomarker.metrics.estimate import MetricEstimate
from biomarker.survival.pseudo_observations import Measure

__all__ = ["BenefitEvaluation", "BenefitMeasure", "evaluate_benefit"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BenefitMeasure:
    """One measure, its interval, and what it would be if treatment helped everybody alike.

    Attributes
    ----------
    name, unit : str
    value : float
    low, high : float or None
        Over the whole fitting procedure, or with external predictions held fixed; None where a rule
        that treats everybody (or nobody) leaves nothing to estimate.
    null_value, null_low, null_high : float
        Mean and central share (1 - alpha) of the same procedure's values on outcomes redrawn from
        the fitted model without interaction.
    n_patients : int
    """

    name: str
    unit: str
    value: float
    low: float | None
    high: float | None
    null_value: float
    null_low: float
    null_high: float
    n_patients: int


@dataclass(frozen=True)
class BenefitEvaluation:
    """Predicted benefits held against a randomised comparison.

    Attributes
    ----------
    endpoint, measure, unit : str
        ``measure`` is ``restricted_mean``, ``survival`` or ``response``.
    markers : tuple of str
        Those whose effect on benefit was fitted; empty for external predictions.
    at, threshold : float
        Limit or horizon (NaN for a response), and the benefit that the rule asks for.
    c_for_benefit, calibration_slope, in_the_large, gain_over_all, gain_over_none : BenefitMeasure
        See :mod:`biomarker.metrics.benefit`.
    share_treated : float
        By the rule.
    groups : BenefitCalibration
        Observed against predicted benefit, the predictions held fixed.
    n_treated, n_control, events_treated, events_control, n_missing : int
        ``n_missing`` patients lacked a marker (or a prediction) and are left out.
    external : bool
        Whether predictions came from elsewhere, so that nothing was fitted here.
    n_folds, n_resamples, n_resamples_failed, n_null, n_null_failed, seed : int
    alpha : float
    predictions : ndarray, shape (n_patients,)
        Out of fold, or as given; for drawing, never for a store.
    """

    endpoint: str
    measure: str
    unit: str
    markers: tuple[str, ...]
    at: float
    threshold: float
    c_for_benefit: BenefitMeasure
    calibration_slope: BenefitMeasure
    in_the_large: BenefitMeasure
    gain_over_all: BenefitMeasure
    gain_over_none: BenefitMeasure
    share_treated: float
    groups: BenefitCalibration
    n_treated: int
    n_control: int
    events_treated: int
    events_control: int
    n_missing: int
    external: bool
    n_folds: int
    n_resamples: int
    n_resamples_failed: int
    n_null: int
    n_null_failed: int
    seed: int
    alpha: float
    predictions: Floats = field(repr=False, compare=False)


def evaluate_benefit(
    cohort: Cohort,
    endpoint: str,
    build: BenefitBuilder | None = None,
    *,
    markers: Sequence[str] | None = None,
    predictions: npt.ArrayLike | None = None,
    measure: Measure = "restricted_mean",
    at: float | None = None,
    threshold: float = 0.0,
    n_folds: int = 5,
    n_resamples: int = 200,
    n_null: int = 200,
    alpha: float = 0.05,
    random_state: int = 0,
    threads: int = 1,
) -> BenefitEvaluation:
    r"""Judge predicted benefits on patients the model has not seen, against randomised treatment.

    The procedure (by default Cox, or logistic, regression on covariates, arm, markers and
    arm x markers) is fitted in folds; each patient's predicted benefit comes from the model that
    left them out. Three questions: do pairs with more predicted benefit see more of it
    (C-for-benefit, within folds), is it of the right size (calibration, an intercept for each
    fold), and what would treating only above a threshold gain over treating all or none.

    Intervals resample the whole procedure: patients drawn within arm, folds dealt anew (copies of a
    patient stay together), models refitted, measures taken. They are as wide as the central
    1 - alpha of the resampled values and centred on the estimate: a resample holds fewer distinct
    patients and so predicts a little worse, which moves its values but hardly their spread.

    Beside each value stands what the same procedure gives where treatment has one hazard (or odds)
    ratio for everybody: outcomes redrawn from that fitted model. On an absolute scale benefits
    differ even so, as patients' risks do; what a marker adds is the distance from there.

    Assumes randomised arms, and censoring that depends on the arm alone.

    Parameters
    ----------
    cohort : Cohort
        One row a patient, arm declared randomised.
    endpoint : str
    build : callable, optional
        Takes training :class:`~biomarker.evidence.benefit_models.BenefitData` and returns a
        function from such data to predicted benefits; every choice it makes is made anew in each
        fold and resample.
    markers : sequence of str, optional
        All declared ones by default; patients who lack one are left out, and counted.
    predictions : array-like, shape (n_rows,), optional
        Benefits predicted by a model fitted elsewhere, NaN where there is none: nothing is fitted
        here, and intervals hold them fixed.
    measure : {"restricted_mean", "survival"}
        What benefit is, for a survival endpoint.
    at : float, optional
        Limit or horizon in the endpoint's unit. By default the study's tau, else the longest time
        with 10% of each arm at risk; a horizon of survival must be given.
    threshold : float
        The rule treats where predicted benefit is greater.
    n_folds, n_resamples, n_null : int
    alpha : float
    random_state, threads : int
        Results do not depend on ``threads``.

    Returns
    -------
    BenefitEvaluation

    Raises
    ------
    UsageError
        If the arms are not declared randomised, a limit is missing or beyond what both arms
        support, or predictions come with a procedure.
    NotEstimableError
        If the procedure cannot be fitted in a fold, or in more than 10% of resamples or draws.

    Notes
    -----
    The default procedure is not shrunk: its calibration slope below 1 shows how far it overfits.

    References
    ----------
    van Klaveren, Steyerberg, Serruys and Kent (2018), Journal of Clinical Epidemiology 94:59.
    Kent et al. (2020), Annals of Internal Medicine 172:35, the PATH statement.
    """
    if not cohort.study.randomised:
        raise UsageError(
            f"study must declare its arm randomised to judge benefit; got "
            f"{cohort.study.name!r}, which does not. Without it the arms differ in more than "
            "treatment."
        )
    if predictions is not None and (build is not None or markers is not None):
        raise UsageError("predictions must come without build and markers; got both.")
    if min(n_resamples, n_null) < 20:
        raise UsageError(
            f"n_resamples and n_null must be at least 20; got {n_resamples} and {n_null}."
        )
    sets = _sets(cohort, endpoint, markers)
    limit = _limit(sets[0], measure, at)
    external = None if predictions is None else _external(predictions, cohort)
    data, rows, n_missing = _join(cohort, sets, measure, limit, external)
    judge = Judge(limit, measure, threshold, alpha, random_state)
    model: BenefitModel = (
        BuiltBenefit(build)
        if build is not None
        else (CoxBenefit() if sets[0].kind == "survival" else OddsBenefit())
    )
    run = Run(model, data, judge, n_folds, random_state, threads)
    if external is not None:
        benefit, spread, fold = external[rows], None, None
    else:
        benefit, fold = run.out_of_fold(), run.folds("data")
        spread = run.resampled(n_resamples)
    estimates, groups, share = judge.measures(data, benefit, fold)
    null = run.under_null(n_null, None if external is None else benefit)
    unit = "probability" if measure == "survival" or math.isnan(limit) else _unit(sets[0])
    units = ("", "", unit, unit, unit)
    found = {
        name: _measure(
            name,
            units[k],
            estimates[k],
            None if spread is None else spread[:, k],
            null[:, k],
            alpha,
        )
        for k, name in enumerate(NAMES)
    }
    event = _event(data)
    treated = data.treated
    return BenefitEvaluation(
        endpoint=endpoint,
        measure="response" if math.isnan(limit) else measure,
        unit=unit,
        markers=() if external is not None else tuple(s.marker for s in sets),
        at=limit,
        threshold=threshold,
        c_for_benefit=found["c_for_benefit"],
        calibration_slope=found["calibration_slope"],
        in_the_large=found["in_the_large"],
        gain_over_all=found["gain_over_all"],
        gain_over_none=found["gain_over_none"],
        share_treated=share,
        groups=groups,
        n_treated=int(treated.sum()),
        n_control=int((~treated).sum()),
        events_treated=int(event[treated].sum()),
        events_control=int(event[~treated].sum()),
        n_missing=n_missing,
        external=external is not None,
        n_folds=0 if external is not None else n_folds,
        n_resamples=0 if spread is None else n_resamples,
        n_resamples_failed=0 if spread is None else n_resamples - len(spread),
        n_null=n_null,
        n_null_failed=n_null - len(null),
        seed=random_state,
        alpha=alpha,
        predictions=benefit,
    )


def _sets(cohort: Cohort, endpoint: str, markers: Sequence[str] | None) -> list[AnalysisSet]:
    """One analysis set a marker: its columns and the patients who have it."""
    if endpoint not in cohort.outcomes:
        raise UsageError(f"endpoint must be one of {list(cohort.outcomes)}; got {endpoint!r}.")
    names = list(cohort.study.with_role("marker") if markers is None else markers)
    names = [name for name in names if markers is not None or name in cohort.columns]
    if not names:
        raise UsageError("cohort must hold a declared marker; got none.")
    sets = [analysis_set(cohort, name, endpoint) for name in names]
    if any(s.arm is None for s in sets):
        raise UsageError("cohort must have a treated and a control arm; got one arm.")
    return sets


def _limit(data: AnalysisSet, measure: Measure, at: float | None) -> float:
    """Limit or horizon that both arms support; NaN for a response."""
    if data.kind == "response":
        return math.nan
    declared = getattr(data.outcome.endpoint, "tau", None)
    chosen = declared if at is None and measure == "restricted_mean" else at
    longest = longest_tau(data)
    if chosen is None and measure == "survival":
        raise UsageError("at must be a declared horizon for survival; got none.")
    limit = longest if chosen is None else float(chosen)
    if not 0.0 < limit <= longest:
        raise UsageError(
            f"at must be above 0 and at most {longest:g}, where 10% of each arm are still at risk; "
            f"got {limit:g}. Beyond it the curves rest on a handful of patients."
        )
    return limit


def _external(predictions: npt.ArrayLike, cohort: Cohort) -> Floats:
    """Pass predictions, one a row of the cohort."""
    given = np.asarray(predictions, dtype=np.float64)
    if given.shape != (cohort.n_rows,) or np.isinf(given).any():
        raise UsageError(
            f"predictions must hold {cohort.n_rows} finite numbers or NaN; got shape {given.shape}."
        )
    return given


def _join(
    cohort: Cohort,
    sets: list[AnalysisSet],
    measure: Measure,
    limit: float,
    external: Floats | None,
) -> tuple[BenefitData, Ints, int]:
    """Patients who have every marker (or a prediction), side by side."""
    included = cohort.outcomes[sets[0].outcome.name].included
    known = included.copy()
    for s in sets:
        here = np.zeros(cohort.n_rows, dtype=np.bool_)
        here[s.rows] = True
        known &= here
    if external is not None:
        known &= ~np.isnan(external)
    parts = [s.where(known[s.rows]) for s in sets]
    first = parts[0]
    assert first.arm is not None
    data = BenefitData(
        # A covariate's stand-in for missing values goes with an indicator, so that its value,
        # learned from all patients, cannot reach a prediction.
        independent_columns(first.covariates),
        np.column_stack([part.marker_columns for part in parts]),
        first.arm == 1.0,
        first.y,
        measure,
        limit,
        first.strata,
    )
    return data, first.rows, int(included.sum() - known.sum())


def _unit(data: AnalysisSet) -> str:
    return str(getattr(data.outcome.endpoint, "unit", ""))


def _event(data: BenefitData) -> npt.NDArray[np.bool_]:
    return np.asarray(data.y if data.y.dtype.names is None else data.y["event"], dtype=np.bool_)


def _measure(
    name: str,
    unit: str,
    fixed: MetricEstimate,
    spread: Floats | None,
    null: Floats,
    alpha: float,
) -> BenefitMeasure:
    """Join a value, its interval, and its null."""
    tails = (alpha / 2.0, 1.0 - alpha / 2.0)
    low, high = fixed.low, fixed.high
    if spread is not None:
        ends = np.quantile(spread, tails)
        half = float(ends[1] - ends[0]) / 2.0
        low, high = (fixed.value - half, fixed.value + half) if half > 0.0 else (None, None)
        if name == "c_for_benefit" and low is not None and high is not None:
            low, high = max(0.0, low), min(1.0, high)
    edges = np.quantile(null, tails)
    return BenefitMeasure(
        name, unit, float(fixed.value), low, high,
        float(null.mean()), float(edges[0]), float(edges[1]), fixed.n_patients,
    )  # fmt: skip
