"""Association under control: treated patients have no say, and the size is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort
from biomarker.errors import NotEstimableError
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.prognostic import ask_association, association_test

Trial = Callable[..., Cohort]


def test_a_prognostic_marker_is_found(trial: Trial) -> None:
    """A log hazard ratio of .8 per SD among 100 controls is shown with the right direction."""
    found = association_test(analysis_set(trial(n=200, prognostic=0.8), "m1", "os"))
    assert found.p < 0.01
    assert 1.0 < found.low < np.exp(0.8) < found.high


def test_treated_patients_have_no_say(trial: Trial) -> None:
    """Changing every treated patient's outcome changes nothing."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        treated = frame["arm"] == "drug"
        frame.loc[treated, "months"] = 7.0
        frame.loc[treated, "died"] = "0"
        return frame

    one = ask_association(analysis_set(trial(n=80), "m1", "os"))
    other = ask_association(analysis_set(trial(n=80, change=change), "m1", "os"))
    assert one.likelihood_ratio == pytest.approx(other.likelihood_ratio, abs=1e-9)


def test_a_marker_constant_under_control_is_not_estimable(trial: Trial) -> None:
    """A level that controls lack cannot be compared there."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["arm"] == "placebo", "m2"] = "low"
        return frame

    with pytest.raises(NotEstimableError, match="vary under control"):
        ask_association(analysis_set(trial(n=80, change=change), "m2", "os"))


def test_a_covariate_constant_under_control_is_left_out(
    trial: Trial, declared: Callable[..., dict[str, Any]]
) -> None:
    """It cannot adjust anything there, and must not stop the test."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["arm"] == "placebo", "age"] = 60.0
        return frame

    question = ask_association(analysis_set(trial(n=80, change=change), "m1", "os"))
    assert question.n_null == 0


def test_under_no_association_p_values_are_spread_evenly(trial: Trial) -> None:
    """Twenty null trials: the smallest p is not tiny and about half lie below one half."""
    p = [association_test(analysis_set(trial(n=80, seed=s), "m1", "os")).p for s in range(20)]
    assert min(p) > 0.0015
    assert 4 <= sum(value < 0.5 for value in p) <= 16
