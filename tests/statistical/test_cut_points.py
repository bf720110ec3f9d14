"""Error rates of chosen cuts, reduced: the full size is experiment ``e02_false_claims``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from biomarker.evidence.analysis_set import AnalysisSet
from biomarker.evidence.cut_design import CutDesign, candidate_cuts, independent_columns
from biomarker.evidence.cut_interval import Alternative, accepted_shifts, corrected_p, log_ratio_at
from biomarker.evidence.regressions import HazardRegression
from biomarker.outcomes import survival_outcome
from biomarker.resampling import spawn

N_NULLS, N_DRAWS = 300, 199


def planned(
    question: Any, n: int, rng: np.random.Generator, slope: float = 0.0, step: float = 0.0
) -> CutDesign:
    """Exponential survival, about 65% events; a step sits at the marker's 60% quantile."""
    marker = rng.normal(size=n)
    arm = rng.permutation(np.arange(n) % 2).astype(float)
    two_arms = question == "interaction"
    rate = np.exp(slope * marker + two_arms * np.log(0.6) * arm + step * (marker > 0.2533))
    time, limit = rng.exponential(size=n) / rate, rng.uniform(0.4, 2.4, size=n)
    y = survival_outcome(time <= limit, np.maximum(np.minimum(time, limit), 1e-9))
    outcome: Any = SimpleNamespace(kind="survival", name="os")
    columns = marker[:, None]
    data = AnalysisSet(
        marker="m", outcome=outcome, rows=np.arange(n), places=np.arange(n), n_rows=n, y=y,
        arm=arm if two_arms else None,
        marker_columns=columns, covariates=np.empty((n, 0)), strata=None, contrast="per unit",
        graded=True, missing_differs=False,
    )  # fmt: skip
    rank = np.argsort(np.argsort(marker)) / n - 0.5
    null = (
        independent_columns(np.column_stack([arm, marker, rank, rank**2 - np.mean(rank**2)]))
        if two_arms
        else np.empty((n, 0))
    )
    groups = arm.astype(np.int64) if two_arms else np.zeros(n, dtype=np.int64)
    cuts = candidate_cuts(marker, groups, 0.1, 0.9, 21, 10)
    regression = HazardRegression(y, None, arm if two_arms else None)
    return CutDesign(question, data, regression, null, marker, cuts, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "slope"), [("prognostic", 0.0), ("interaction", 0.0), ("interaction", 0.7)]
)
def test_the_corrected_p_keeps_its_level(question: str, slope: float) -> None:
    """300 nulls: rejections inside the 99.8% range of a 5% test; uncorrected ones far above.

    A correction that does nothing (30% and more) and one that refuses everything both fail.
    """
    corrected, uncorrected = 0, 0
    for b in range(N_NULLS):
        design = planned(question, 200, spawn(11, "cut nulls", question, slope, b), slope)
        z = design.scan()
        draws = design.redrawn(N_DRAWS, b, "null")
        corrected += corrected_p(z, draws) < 0.05
        uncorrected += np.abs(z).max() > 1.959964
    # With 199 draws p < .05 allows 9 of 200 ranks: 4.5%.
    low, high = binom.ppf([0.001, 0.999], N_NULLS, 0.045)
    assert low <= corrected <= high
    assert uncorrected > 0.2 * N_NULLS


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.0, 0.7])
def test_the_ratio_at_a_chosen_cut_is_covered(step: float) -> None:
    """300 cohorts without effect and with a threshold: 95% inside, the naive interval far less."""
    held, naive, n = 0, 0, 300
    for b in range(n):
        design = planned("prognostic", 300, spawn(12, "cut coverage", step, b), step=step)
        z = design.scan()
        k = int(np.abs(z).argmax())
        draws = design.redrawn(N_DRAWS, b, "coverage")
        X = np.column_stack([design.null, design.columns_at(design.cuts[k])])
        fit = design.regression.fit(X)
        shifts = accepted_shifts(z[k], k, draws, [Alternative(design.carried()[:, k])], 0.05)
        low, high = log_ratio_at(design.regression, X, fit, z[k], shifts)
        # A split that misses the threshold mixes both sides: its ratio, to first order.
        share, at = np.mean(design.values <= design.cuts[k]), 0.6
        true = step * (min(share, at) * (1 - max(share, at))) / (share * (1 - share))
        held += low <= true <= high
        error = np.sqrt(fit.covariance[-1, -1])
        naive += abs(fit.coefficients[-1] - true) <= 1.959964 * error
    spread = 3.1 * np.sqrt(0.95 * 0.05 / n)
    assert abs(held / n - 0.95) <= spread
    assert step > 0 or naive / n < 0.75
