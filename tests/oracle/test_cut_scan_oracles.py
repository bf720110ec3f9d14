"""The scan against a published approximation of its distribution, and a cut worked by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from biomarker import survival_outcome
from biomarker.evidence.analysis_set import AnalysisSet
from biomarker.evidence.cut_design import CutDesign, candidate_cuts
from biomarker.evidence.cutpoint import selected_cut_p
from biomarker.evidence.regressions import HazardRegression


def planned(n: int, time: np.ndarray, marker: np.ndarray) -> CutDesign:
    """One arm, no covariates, everybody followed to death, every cut between 10 and 90%."""
    y = survival_outcome(np.ones(n, dtype=bool), time)
    outcome: Any = SimpleNamespace(kind="survival", name="os")
    data = AnalysisSet(
        marker="m", outcome=outcome, rows=np.arange(n), places=np.arange(n), n_rows=n, y=y,
        arm=None,
        marker_columns=marker[:, None], covariates=np.empty((n, 0)), strata=None,
        contrast="per unit", graded=True, missing_differs=False,
    )  # fmt: skip
    cuts = candidate_cuts(marker, np.zeros(n, dtype=np.int64), 0.1, 0.9, n, 1)
    return CutDesign("prognostic", data, HazardRegression(y), np.empty((n, 0)), marker, cuts, 1)


@pytest.mark.parametrize("p", [0.01, 0.001])
def test_the_best_of_all_cuts_follows_miller_and_siegmund(p: float) -> None:
    """801 cuts over 10-90% of 1,000 patients: how often the smallest p falls below .01 and .001.

    Miller and Siegmund (1982) give .1615 and .0255; 4,000 redrawn outcomes, within three standard
    errors.
    """
    rng = np.random.default_rng(0)
    design = planned(1000, rng.exponential(size=1000), rng.normal(size=1000))
    assert len(design.cuts) == 801
    best = np.abs(design.redrawn(4000, 1, "Miller and Siegmund")).max(axis=1)
    known = selected_cut_p(p)
    error = np.sqrt(known * (1 - known) / 4000)
    assert np.mean(best > -ndtri(p / 2)) == pytest.approx(known, abs=3 * error)


def test_the_log_rank_of_a_clean_split_by_hand() -> None:
    """Of 20 patients the 8 with the highest marker die first, in any order.

    At the cut below them expected deaths among the 8 are sum (8 - i)/(20 - i), i = 0..7, and the
    variance is the sum of p (1 - p) with the same p.
    """
    marker = np.arange(20.0)
    time = np.concatenate([np.arange(9.0, 21.0), np.random.default_rng(2).permutation(8) + 1.0])
    design = planned(20, time, marker)
    share = (8 - np.arange(8)) / (20 - np.arange(8))
    expected = (8 - share.sum()) / np.sqrt((share * (1 - share)).sum())
    assert design.scan()[design.cuts == 11.0] == pytest.approx([expected], abs=1e-12)
