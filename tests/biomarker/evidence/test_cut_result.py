"""Settings of a scan that mean nothing, and what a result always carries."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from biomarker.errors import UsageError
from biomarker.evidence.cut_result import CutResult, CutSettings


def test_a_ratio_never_travels_without_what_choosing_cost() -> None:
    """Scanned range, number of cuts, corrected p and shrunken ratio have no default."""
    from dataclasses import MISSING

    needed = {f.name for f in fields(CutResult) if f.default is MISSING}
    assert {"scanned_low", "scanned_high", "n_cuts", "p_corrected", "ratio_shrunken"} <= needed


def test_settings_are_frozen() -> None:
    """What was declared stays declared."""
    with pytest.raises(FrozenInstanceError):
        CutSettings().low = 0.2  # type: ignore[misc]


@pytest.mark.parametrize(
    "settings", [{"alpha": 0.0}, {"n_draws": 5}, {"n_folds": 1}, {"least_events": 0}]
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    """Each with its name."""
    with pytest.raises(UsageError, match=next(iter(settings))):
        CutSettings(**settings)
