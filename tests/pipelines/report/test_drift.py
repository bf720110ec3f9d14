"""The drift page: nothing it says is beyond its numbers, and nothing in it is a request."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biomarker.features.encoding import fit_encoder
from biomarker.features.frozen_column import ColumnPlan
from biomarker.features.support import fit_support
from biomarker.metrics.drift import Drift, judge_drift
from biomarker.parsing import ParseRule
from pipelines.bundle import Bundle
from pipelines.report.drift import render_drift

HOSTILE = "<img src=x onerror=alert(1)>\u202e"


def case(name: str = "vegf", moved: int = 0, n: int = 500) -> tuple[Drift, Bundle]:
    """A bundle of one column, and a file whose lowest tenth lost some rows to its highest."""
    raw = np.random.default_rng(0).normal(300, 50, (400, 1))
    encoder = fit_encoder((ColumnPlan(ParseRule(name, "continuous", unit="pg/mL")),), raw)
    support = fit_support(encoder, raw, np.zeros(raw.shape, np.uint8))
    cells = [n // 10] * 10
    cells[0], cells[9] = cells[0] - moved, cells[9] + moved
    drift = judge_drift(support, {name: [*cells, 0, 0, 0]}, [n, n // 20, n // 100], n)

    class Fitted:
        encoder_ = encoder

    told: dict[str, Any] = {"name": "m", "kind": "survival"}
    return drift, Bundle(told, {}, Fitted(), "d" * 64, Path(), support)  # type: ignore[arg-type]


@pytest.mark.parametrize("moved", [0, 45])
def test_the_page_says_what_was_found(moved: int) -> None:
    """The verdict first, the numbers with n, and what none does not prove."""
    drift, bundle = case(moved=moved)
    html = render_drift(drift, bundle, "new.csv")
    if moved:
        assert "<strong>Major drift: 1 column.</strong>" in html
        assert "n = 500 known values" in html
        assert "vegf, pg/mL: known values by cell." in html
    else:
        assert "<strong>No drift established.</strong>" in html
        assert "would not have been seen" in html
    assert "500 rows, compared with 400 training rows" in html
    assert "By chance, up to" in html
    assert re.search(r"<svg class=\"drawing\"", html)


def test_the_page_makes_no_request_and_obeys_no_name() -> None:
    """A policy without a source, no address, every name escaped."""
    drift, bundle = case(HOSTILE, moved=45)
    html = render_drift(drift, bundle, HOSTILE)
    assert "default-src 'none'" in html
    assert "<img" not in html
    assert "\u202e" not in html
    body = html.replace("http://www.w3.org/2000/svg", "")
    assert "http:" not in body
    assert "https:" not in body
    assert "@import" not in body
    assert "url(" not in body


def test_the_page_never_says_why() -> None:
    """A changed column is a fact about the file; the page names no cause and promises nothing."""
    drift, bundle = case(moved=45)
    text = re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]+>", " ",
                  render_drift(drift, bundle, "new.csv"), flags=re.S).lower()  # fmt: skip
    for word in ("because of", "caused", "due to", "safe to use", "predictive"):
        assert word not in text
