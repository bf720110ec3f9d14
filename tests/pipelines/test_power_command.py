"""`biomarker power`: which flags go together, JSON and the drawing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from biomarker.evidence.claim_rate import ClaimRate, PowerCurve, PowerPoint
from pipelines import simulated_power as simulation
from pipelines.cli import main
from pipelines.simulated_power import SimulatedPower


def run(*words: object) -> Result:
    """Call the command in this process."""
    return CliRunner().invoke(main, ["power", *(str(word) for word in words)])


def rate(share: float) -> ClaimRate:
    """Made-up counts."""
    return ClaimRate(share, share / 2, (1 + share) / 2, 200, 3, 7, 340.0, 240.0, 170.0, 110.0)


FOUND = SimulatedPower(
    PowerCurve(
        "caix", "os", "survival", ("caix", "vegf"), 0.6, 0.05, 1,
        (PowerPoint(400, 0.97, rate(0.9), rate(0.04)),),
    ),
    "il2-rcc", "A trial", False, ("caix=predictive:-0.510826",), (), "per SD", ("ecog",), 1.0,
)  # fmt: skip


def test_the_formula_prints_power_events_needed_and_a_main_effect() -> None:
    """Every answer says what is assumed, and that an interaction takes four times the events."""
    done = run("--ratio", 0.6, "--events", 295, "--marker-share", 0.5)
    assert done.exit_code == 0, done.output
    for words in ("295", "59%", "needs 482 events", "121 events", "four times", "Assumed"):
        assert words in done.stdout, words


def test_json_is_a_record() -> None:
    """Nothing else on stdout."""
    body = json.loads(run("--events", "100,200", "--json").stdout)
    assert [row["n_events"] for row in body["rows"]] == [100, 200]
    assert body["ratio"] == 0.6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--recipe", "select", "--marker", "caix"], "At no number of patients"),
        (["--recipe", "il2-rcc"], "--marker"),
        (["--recipe", "il2-rcc", "--marker", "caix", "--events", "9"], "--events"),
        (["--recipe", "il2-rcc", "--marker", "caix", "--out", "x.png"], ".svg"),
        (["--cohorts", "5"], "--recipe"),
        (["--events", "ten"], "whole numbers"),
        (["--patients", "0"], "whole numbers"),
        (["--response-treated", "0.2"], "--response-control"),
    ],
)
def test_flags_that_do_not_go_together_exit_2(words: list[str], said: str) -> None:
    """With a message that names the flag."""
    done = run(*words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_simulation_is_told_drawn_and_given_as_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Flags reach the simulation; claims and false claims stand side by side."""
    asked: dict[str, Any] = {}

    def catch(*words: Any, **more: Any) -> SimulatedPower:
        asked.update(more, words=words)
        return FOUND

    monkeypatch.setattr(simulation, "simulated_power", catch)
    base = ["--recipe", "il2-rcc", "--marker", "caix", "--patients", "400", "--cohorts", "200"]
    out = tmp_path / "curve.svg"
    done = run(*base, "--covariates", "none", "--family", "vegf", "--out", out)
    assert done.exit_code == 0, done.output
    assert asked["words"] == ("il2-rcc", "caix", [400], 200)
    assert (asked["covariates"], asked["family"]) == ([], ["vegf"])
    for words in ("90.0 (45.0 to 95.0)", "4.0 (2.0 to 52.0)", "97%", "340", "240", "four times"):
        assert words in done.stdout, words
    assert out.read_text("utf-8").startswith("<svg")
    body = json.loads(run(*base, "--json").stdout)
    assert body["curve"]["points"][0]["false_claims"]["share"] == 0.04
    assert asked["covariates"] is None
