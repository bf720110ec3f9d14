"""Adjusted p-values against definitions, and a ledger that only grows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort, Study
from biomarker.errors import UsageError
from biomarker.evidence.multiplicity import (
    Ledger,
    LedgerRow,
    benjamini_hochberg,
    common_scale,
    dataset_digest,
    holm,
    specification,
    step_down_max,
)

Trial = Callable[..., Cohort]


def test_holm_rejects_as_the_step_down_rule_does() -> None:
    """Reject the smallest at alpha/m, the next at alpha/(m-1), and stop at the first failure."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.beta(0.4, 2.0, size=6)
        by_rule = set()
        for step, j in enumerate(np.argsort(p)):
            if p[j] > 0.05 / (6 - step):
                break
            by_rule.add(int(j))
        assert set(np.flatnonzero(holm(p) <= 0.05).tolist()) == by_rule


def test_benjamini_hochberg_rejects_as_the_step_up_rule_does() -> None:
    """Reject up to the last p at or below alpha k / m."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        p = rng.beta(0.4, 2.0, size=6)
        last = max((k for k in range(1, 7) if np.sort(p)[k - 1] <= 0.05 * k / 6), default=0)
        assert np.count_nonzero(benjamini_hochberg(p) <= 0.05) == last


def test_copies_of_one_test_cost_nothing_and_independent_ones_cost_sidak() -> None:
    """The dependence in the draws decides the price."""
    rng = np.random.default_rng(2)
    one = rng.chisquare(1, size=(20_000, 1))
    copies = step_down_max([3.84] * 10, np.repeat(one, 10, axis=1))
    assert copies == pytest.approx(0.05, abs=0.005)
    apart = step_down_max([3.84] * 10, rng.chisquare(1, size=(20_000, 10)))
    assert apart == pytest.approx(1 - 0.95**10, abs=0.012)


def test_the_family_wise_rate_holds_for_correlated_tests() -> None:
    """Of 2,000 families of 8 null tests with r = .5 at most 5% + 1.96 s.e. claim any."""
    rng = np.random.default_rng(3)

    def statistics(size: int) -> Any:
        shared = rng.normal(size=(size, 1))
        return (np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=(size, 8))) ** 2

    draws = statistics(999)
    claimed = [bool((step_down_max(row, draws) < 0.05).any()) for row in statistics(2000)]
    assert 0.03 < np.mean(claimed) < 0.065  # one fixed set of draws adds its own error


def test_statistics_of_other_degrees_of_freedom_share_a_scale() -> None:
    """The 5% point is at the same height for every df; an infinite one stays largest."""
    from scipy.stats import chi2

    heights = [float(common_scale(chi2.isf(0.05, df), df)) for df in (1, 2, 5)]
    assert heights == pytest.approx([-np.log(0.05)] * 3)
    assert np.isinf(common_scale(np.inf, 2))


@pytest.mark.parametrize("p", [[0.1, np.nan], [1.2], [-0.1]])
def test_what_is_no_probability_is_refused(p: list[float]) -> None:
    """Never passed on."""
    with pytest.raises(UsageError, match="p must be"):
        holm(p)


def test_repeating_a_test_adds_nothing_and_the_first_row_stays() -> None:
    """The same key keeps its first p, whatever comes later."""
    row = LedgerRow("test", "d", "spec", "interaction", "m", "os", p=0.2)
    again = LedgerRow("test", "d", "spec", "interaction", "m", "os", p=0.01)
    other = LedgerRow("test", "d", "spec 2", "interaction", "m", "os", p=0.3)
    ledger = Ledger().append([row]).append([again, other])
    assert [r.p for r in ledger] == [0.2, 0.3]
    assert Ledger.from_rows(ledger.to_rows()) == ledger


def test_a_foreign_row_is_refused() -> None:
    """A store of another version is named, not guessed at."""
    with pytest.raises(UsageError, match="another version"):
        Ledger.from_rows([{"kind": "test", "colour": "red"}])


def test_a_new_transform_is_a_new_test_of_the_same_dataset(
    trial: Trial, declared: Callable[..., dict[str, Any]]
) -> None:
    """Fishing through transforms is counted; row order and other columns change nothing."""
    study = declared()
    study["columns"]["m1"] |= {"transform": "log1p", "range": [-0.9, 10]}

    def positive(frame: pd.DataFrame) -> pd.DataFrame:
        frame["m1"] = frame["m1"].abs()
        return frame

    def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
        return positive(frame).sample(frac=1.0, random_state=1)

    plain, logged = trial(change=positive), trial(study, positive)
    assert dataset_digest(plain) == dataset_digest(logged) == dataset_digest(trial(None, shuffled))
    assert specification(plain, "interaction", "m1", "os") != specification(
        logged, "interaction", "m1", "os"
    )
    assert dataset_digest(trial(seed=1)) != dataset_digest(trial(seed=2))
    assert isinstance(plain.study, Study)
