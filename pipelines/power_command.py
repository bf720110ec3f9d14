"""The flags of `biomarker power` sorted into a formula or a simulation, and its answer as text."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biomarker.errors import UsageError
from pipelines.power import DEFAULT_RATIO, formula_power

__all__ = ["run_power"]

_FORMULA = ("events", "event_share", "response_treated", "response_control", "share_treated",
            "marker_sd", "marker_share")  # fmt: skip
_SIMULATION = (
    "marker",
    "endpoint",
    "effects",
    "family",
    "covariates",
    "two_arms",
    "cohorts",
    "out",
)
_SIZES, _COHORTS = (200, 400, 800), 200
_MOST = 1_000_000_000


def run_power(as_json: bool, flags: Mapping[str, Any]) -> str:
    """Answer one call of the command.

    Parameters
    ----------
    as_json : bool
    flags : mapping
        The command's options by name; None, False or empty where not given.

    Returns
    -------
    str
        Text or JSON for stdout.

    Raises
    ------
    UsageError
        If flags of a formula and of a simulation are mixed, or a number cannot be used.
    """
    if flags["recipe"] is None:
        _refuse(flags, _SIMULATION, "--recipe must be given with")
        return _formula(as_json, flags)
    _refuse(flags, _FORMULA, "--recipe must be left out with")
    return _simulation(as_json, flags)


def _refuse(flags: Mapping[str, Any], names: tuple[str, ...], rule: str) -> None:
    """Name flags that belong to the other way of asking."""
    given = [f"--{'effect' if n == 'effects' else n}".replace("_", "-") for n in names if flags[n]]
    if given:
        raise UsageError(f"{rule} {', '.join(given)}; see biomarker power --help.")


def _formula(as_json: bool, flags: Mapping[str, Any]) -> str:
    treated, control = flags["response_treated"], flags["response_control"]
    if (treated is None) != (control is None):
        raise UsageError(
            "--response-treated and --response-control must come together; got one of them."
        )
    found = formula_power(
        DEFAULT_RATIO if flags["ratio"] is None else flags["ratio"],
        events=_numbers("events", flags["events"]),
        patients=_numbers("patients", flags["patients"]),
        event_share=flags["event_share"],
        responses=None if treated is None else (treated, control),
        power=flags["wanted"],
        share_treated=0.5 if flags["share_treated"] is None else flags["share_treated"],
        marker_sd=flags["marker_sd"],
        marker_share=flags["marker_share"],
        alpha=flags["alpha"],
    )
    if as_json:
        return json.dumps(found.to_dict(), indent=1)
    from pipelines.power_text import formula_text

    return formula_text(found)


def _simulation(as_json: bool, flags: Mapping[str, Any]) -> str:
    from pipelines.simulated_power import simulated_power
    from pipelines.terminal import Progress

    out = flags["out"]
    if out is not None and Path(out).suffix != ".svg":
        raise UsageError(f"--out must end in .svg; got '{Path(out).name}'. Rename it.")
    if not flags["marker"]:
        raise UsageError("--marker must be given with --recipe; got none. Name the marker to test.")
    covariates = flags["covariates"]
    progress = Progress()
    progress.stage(f"Assessing cohorts of {flags['recipe']}")
    found = simulated_power(
        flags["recipe"],
        flags["marker"],
        _numbers("patients", flags["patients"]) or _SIZES,
        flags["cohorts"] or _COHORTS,
        ratio=flags["ratio"],
        effects=flags["effects"],
        endpoint=flags["endpoint"],
        family=_names(flags["family"]),
        covariates=None if covariates is None else _names(covariates.replace("none", "")),
        two_arms=flags["two_arms"],
        alpha=flags["alpha"],
        seed=flags["seed"],
        n_jobs=flags["jobs"] or os.cpu_count() or 1,
        progress=progress.step,
    )
    progress.done()
    if out is not None:
        from biomarker.figures.power import power_plot
        from pipelines.storage import write_text

        write_text(out, power_plot(found.curve, name="power", target=flags["wanted"]) + "\n")
    if as_json:
        return json.dumps(found.to_dict(), indent=1)
    from pipelines.power_text import simulated_text

    drawn = "" if out is None else f"\nCurve: {out}"
    return simulated_text(found, flags["wanted"]) + drawn


def _numbers(name: str, text: str | None) -> list[int]:
    """Whole numbers separated by commas."""
    try:
        found = [int(part) for part in (text or "").split(",") if part.strip()]
    except ValueError:
        found = [0]
    if any(not 1 <= n <= _MOST for n in found):
        raise UsageError(
            f"--{name} must be whole numbers from 1 to {_MOST:,}, separated by commas; got "
            f"{textwrap.shorten(text or '', 60)!r}."
        )
    return found


def _names(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
