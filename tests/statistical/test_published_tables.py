"""Targets T1 to T32: exact figures from rows, stochastic ones at reduced replicates.

The full depth, 500 replicates and more, is experiments/e01_published_tables.
"""

import pytest

from synthetic_data.exact_targets import exact_checks, exact_table
from synthetic_data.replicate_targets import judge, replicate, stochastic_checks

REPLICATES = 60
ALL = {f"T{k}" for k in range(1, 33)}


def test_every_target_is_checked():
    """No target from T1 to T32 is left without a check."""
    exact = {check.target for check in exact_checks()}
    stochastic = {check.target for check in stochastic_checks()}
    assert exact | stochastic == ALL


@pytest.mark.parametrize(
    "target", sorted({c.target for c in exact_checks()}, key=lambda t: int(t[1:]))
)
def test_exact_targets(target):
    """Counts recomputed from rows equal print; ratios, p-values and intervals to its last digit."""
    table = exact_table()
    rows = table[table["target"] == target]
    assert len(rows) > 0
    assert rows["holds"].all(), rows.to_string()


def test_exact_checks_can_fail(monkeypatch):
    """One patient moved from one cell to another breaks the check that counts them."""
    from synthetic_data import exact_targets

    def moved(name, snapshot=None):
        rows = original(name, snapshot)
        if name == "atkins-2005":
            first = rows.index[(rows["response"] == "PR") & (rows["caix"] > 85)][0]
            rows.loc[first, "caix"] = 10.0
        return rows

    original = exact_targets.fixture
    monkeypatch.setattr(exact_targets, "fixture", moved)
    broken = exact_table().query("not holds")
    assert {"T1"} <= set(broken["target"]) <= {"T1", "T2", "T3"}


@pytest.mark.parametrize(
    "check", stochastic_checks(), ids=lambda c: f"{c.target}-{c.recipe}-{next(iter(c.bands))}"
)
def test_stochastic_targets(check):
    """The mean over replicates lies in its band, given three standard errors of that mean."""
    found = judge(check, replicate(check, REPLICATES, seed=20_000), slack=3.0)
    assert found["holds"].all(), found.to_string()


def test_stochastic_checks_can_fail():
    """A recipe held against another study's figures is rejected."""
    from dataclasses import replace

    check = next(c for c in stochastic_checks() if c.target == "T11")
    ((name, band),) = check.bands.items()
    wrong = replace(check, bands={name: replace(band, low=16.0, high=18.0)})
    assert not judge(wrong, replicate(wrong, REPLICATES, seed=20_000), slack=3.0)["holds"].any()
