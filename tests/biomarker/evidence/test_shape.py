"""Curves beside the line: Harrell's basis, bends found where planted, and none where not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort
from biomarker.errors import NotEstimableError
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.shape import ask_bend, ask_spline_interaction, shape_test

Trial = Callable[..., Cohort]


def test_a_planted_bend_is_found_and_a_line_is_not_called_one(trial: Trial) -> None:
    """Risk that rises on both sides of the middle is no line."""

    def bend(frame: pd.DataFrame) -> pd.DataFrame:
        frame["months"] = np.maximum(frame["months"] * np.exp(-0.9 * frame["m1"] ** 2), 1e-6)
        return frame

    bent = shape_test(ask_bend(analysis_set(trial(change=bend, n=400), "m1", "os")), 0, ("s",))
    line = shape_test(ask_bend(analysis_set(trial(n=400, prognostic=0.5), "m1", "os")), 0, ("s",))
    assert bent.p < 0.01 < line.p
    assert bent.df == 2


def test_a_curved_interaction_is_found_where_the_line_sees_none(trial: Trial) -> None:
    """Treatment that helps in the middle and harms at both ends."""

    def curved(frame: pd.DataFrame) -> pd.DataFrame:
        drug = frame["arm"] == "drug"
        factor = np.where(drug, np.exp(1.0 - frame["m1"] ** 2), 1.0)
        frame["months"] = np.maximum(frame["months"] * factor, 1e-6)
        return frame

    data = analysis_set(trial(change=curved, n=500), "m1", "os")
    found = shape_test(ask_spline_interaction(data), 0, ("s",))
    assert found.p < 0.01
    assert found.df == 3


def test_levels_have_no_curve(trial: Trial) -> None:
    """Refused with a reason, not fitted."""
    with pytest.raises(NotEstimableError, match="curve"):
        ask_spline_interaction(analysis_set(trial(n=80), "m2", "os"))
