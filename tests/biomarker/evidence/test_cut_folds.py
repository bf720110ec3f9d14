"""The out-of-fold effect: no patient helps to choose the own group."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from biomarker import Cohort, survival_outcome
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.cut_design import CutDesign, candidate_cuts
from biomarker.evidence.cut_folds import _critical, _groups, out_of_fold_effect
from biomarker.evidence.interaction import regression_of


def planned(trial: Callable[..., Cohort], n: int = 160, **keywords: float) -> CutDesign:
    """Prognosis of everybody, without covariates."""
    cohort = trial(n=n, **keywords)
    data = replace(analysis_set(cohort, "m1", "os"), arm=None)
    values = cohort.columns["m1"].values[data.rows]
    cuts = candidate_cuts(values, np.zeros(n, dtype=int), 0.1, 0.9, 20, 10)
    return CutDesign("prognostic", data, regression_of(data), np.empty((n, 0)), values, cuts, 3)


def test_a_patient_s_outcome_never_moves_the_own_group(trial: Callable[..., Cohort]) -> None:
    """Groups of a fold stay when its outcomes are replaced."""
    design = planned(trial)
    keep = np.arange(160) % 5 != 0
    test = np.flatnonzero(~keep)
    parts = [(design.where(keep), keep, test)]
    before = _groups(design, parts, design.observed)[0, test]
    duration, event = (part.copy() for part in design.observed)
    duration[:, test] = 9.0
    event[:, test] = True
    np.testing.assert_array_equal(_groups(design, parts, (duration, event))[0, test], before)


def test_a_strong_step_is_found_in_patients_left_out(trial: Callable[..., Cohort]) -> None:
    """A hazard ratio of 5 above 0 shows in full; the interval holds it."""
    design = planned(trial, n=400)
    rng = np.random.default_rng(5)
    time = rng.exponential(size=400) / np.where(design.values > 0, 5.0, 1.0)
    y = survival_outcome(time < 1.5, np.minimum(time, 1.5))
    data = replace(design.data, y=y)
    design = replace(design, data=data, regression=regression_of(data))
    ratio, low, high = out_of_fold_effect(design, 5, 0.05, 0)
    assert low < 5.0 < high
    assert ratio > 3.0


def test_its_critical_value_is_above_the_normal_one(trial: Callable[..., Cohort]) -> None:
    """Folds lean on each other: without effect 1.96 would be exceeded too often."""
    design = planned(trial)
    parts = []
    for fold in range(5):
        keep = np.arange(160) % 5 != fold
        parts.append((design.where(keep), keep, np.flatnonzero(~keep)))
    assert 2.05 < _critical(design, parts, 0.05, 1) < 3.0
    # The interval spans that many standard errors of the fit to the groups.
    ratio, low, high = out_of_fold_effect(design, 5, 0.05, 0)
    assert math.log(high / ratio) == pytest.approx(math.log(ratio / low))
    assert math.log(high / ratio) > 1.96 * 2.0 / math.sqrt(design.data.event.sum())


def test_a_fold_without_a_cut_gives_no_number(trial: Callable[..., Cohort]) -> None:
    """All three are NaN, never a guess."""
    design = replace(planned(trial), least_events=1000)
    assert all(math.isnan(value) for value in out_of_fold_effect(design, 5, 0.05, 0))
