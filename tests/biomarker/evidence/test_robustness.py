"""Claims that rest on few patients do not survive; claims that rest on many do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from biomarker import Cohort
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.interaction import interaction_test
from biomarker.evidence.robustness import p_without_influential

Trial = Callable[..., Cohort]


def carried(frame: pd.DataFrame, n_patients: int) -> pd.DataFrame:
    """Treated patients far out on the marker who die at once; nothing else differs by arm."""
    who = frame.index[frame["arm"] == "drug"][:n_patients]
    frame.loc[who, "m1"] = -8.0
    frame.loc[who, "months"] = np.linspace(0.004, 0.006, n_patients)
    frame.loc[who, "died"] = "1"
    return frame


def test_a_group_that_hides_one_another_is_found(trial: Trial) -> None:
    """Left out one at a time none of three alike moves much: at an undragged fit all stand out."""
    seen = []
    for seed in range(6):
        cohort = trial(change=lambda frame: carried(frame, 3), n=200, seed=seed)
        data = analysis_set(cohort, "m1", "os")
        test = interaction_test(data)
        if test.p_asymptotic < 0.05:
            seen.append(p_without_influential(data, test, 0, 0.05))
    assert len(seen) >= 2
    assert np.mean(np.array(seen) < 0.05) < 0.35


def test_an_effect_that_many_share_survives(trial: Trial) -> None:
    """A planted interaction keeps a small p without its most influential patients."""
    data = analysis_set(trial(n=400, predictive=-0.9, seed=5), "m1", "os")
    test = interaction_test(data)
    assert p_without_influential(data, test, 0, 0.05) < 0.01
