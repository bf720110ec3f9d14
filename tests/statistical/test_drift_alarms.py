"""Alarms of drift: rarely without any, nearly always where a marker has moved."""

from __future__ import annotations

import numpy as np
import pytest

from biomarker.features.encoding import fit_encoder
from biomarker.features.frozen_column import ColumnPlan
from biomarker.features.support import fit_support
from biomarker.metrics.drift import Drift, judge_drift
from biomarker.parsing import ParseRule, State

PLANS = (
    ColumnPlan(ParseRule("age", "continuous", unit="years")),
    ColumnPlan(ParseRule("vegf", "continuous", unit="pg/mL", lower_limit=60.0), transform="log"),
    ColumnPlan(ParseRule("hb", "continuous", unit="g/L")),
    ColumnPlan(ParseRule("sex", "categorical", levels=("female", "male", "other"))),
    ColumnPlan(ParseRule("grade", "ordinal", levels=("1", "2", "3"))),
    ColumnPlan(ParseRule("ccr5", "genotype", levels=("wt/wt", "wt/d32", "d32/d32"))),
)
FILES = 300
# 5% and what a true rate of 5% exceeds in one of forty trials.
MOST = 0.05 + 1.96 * np.sqrt(0.05 * 0.95 / FILES)


def drawn(rng: np.random.Generator, n: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Patients with correlated markers, a rare level, 4% missing, VEGF moved by so many SDs."""
    z = rng.normal(size=(n, 3))
    vegf = np.exp(5.5 + 0.7 * (z[:, 1] + shift))
    raw = np.column_stack(
        [
            60 + 8 * z[:, 0],
            vegf,
            130 + 12 * (z[:, 2] + 0.6 * z[:, 0]),
            rng.choice(3, n, p=[0.5, 0.48, 0.02]),
            rng.integers(0, 3, n),
            rng.choice(3, n, p=[0.8, 0.19, 0.01]),
        ]
    ).astype(np.float64)
    states = np.zeros(raw.shape, np.uint8)
    low = raw[:, 1] < 60
    raw[low, 1], states[low, 1] = 60 / np.sqrt(2), State.BELOW_DETECTION
    absent = rng.random(raw.shape) < 0.04
    raw[absent], states[absent] = np.nan, State.MISSING
    return raw, states


def one_file(rng: np.random.Generator, n_training: int, n: int, shift: float = 0.0) -> Drift:
    """A training cohort and a file, both drawn anew, judged as a scoring job does."""
    raw, states = drawn(rng, n_training, 0.0)
    encoder = fit_encoder(PLANS, raw)
    support = fit_support(encoder, raw, states)
    raw, states = drawn(rng, n, shift)
    tallies = {}
    for index, column in enumerate(encoder.columns):
        counted = support.column(column.name)
        assert counted is not None
        found = column.review(raw[:, index], states[:, index])
        tallies[column.name] = counted.tally(
            raw[:, index], states[:, index], found.get("outside_training_range")
        )
    return judge_drift(support, tallies, support.spread.tally(encoder.transform(raw)), n)


@pytest.mark.parametrize(("n_training", "n"), [(100, 20), (120, 100), (300, 500), (60, 5000)])
def test_without_drift_at_most_one_file_in_twenty_alarms(n_training: int, n: int) -> None:
    """Whatever the sizes; the size alone would alarm for nearly every small file."""
    rng = np.random.default_rng([7, n_training, n])
    files = [one_file(rng, n_training, n) for _ in range(FILES)]
    assert np.mean([file.verdict != "none" for file in files]) <= MOST
    if n < 100:
        psi = [max(c.value for c in file.checks if c.what == "psi") for file in files]
        assert np.mean(np.array(psi) > 0.25) > 0.9


@pytest.mark.parametrize(("n_training", "n"), [(120, 100), (300, 500)])
def test_each_check_exceeds_chance_at_its_level(n_training: int, n: int) -> None:
    """What 95% of files stay under is exceeded by about 5%, not by none and not by many."""
    rng = np.random.default_rng([8, n_training, n])
    files = [one_file(rng, n_training, n) for _ in range(FILES)]
    checks = [c for file in files for c in file.checks if c.what == "psi"]
    beyond = np.mean([check.value > check.by_chance for check in checks])
    assert 0.025 <= beyond <= 0.065


def test_a_shifted_marker_is_found() -> None:
    """VEGF half a standard deviation higher, 300 training patients, a file of 500: 90% at least."""
    rng = np.random.default_rng(9)
    files = [one_file(rng, 300, 500, shift=0.5) for _ in range(100)]
    hit = [any(c.column == "vegf" and c.what == "psi" for c in f.drifting) for f in files]
    others = [any(c.column not in ("vegf", "") for c in f.drifting) for f in files]
    assert np.mean(hit) >= 0.9
    assert np.mean(others) <= 0.1
