"""Commands that make cohorts: synthetic ones to keep, and many to find a design's power."""

from __future__ import annotations

import json
from typing import Any

import click

from pipelines.cli_shared import (
    guarded,
    json_flag,
    say_next,
    words,
)

__all__ = ["power", "simulate"]

# ruff: noqa: D301
# Click keeps lines apart after a real backspace, which a raw docstring would not hold.


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listing", is_flag=True, help="One line per recipe, its name first.")
@click.option(
    "--patients", type=click.IntRange(min=1),
    help="Default: 500, or the published size of a published study.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--effect", "effects", multiple=True, metavar="MARKER=KIND:SIZE",
    help="For example vegf=predictive:0.5 or caix=prognostic:0.7.",
)  # fmt: skip
@click.option("--out", metavar="FILE", help=".csv or .parquet")
@click.option("--truth", metavar="FILE", help="Write the declared truth here (.json or .parquet).")
@click.option("--dirty", metavar="FILE", help="Plant faults; list them here (.csv).")
@click.option("--confounding", type=float, default=0.0, help="Tie markers to risk: -0.6 to 0.6.")
@click.option("--informative", type=float, default=0.0, help="Tie censoring to risk.")
@json_flag
@guarded
def simulate(
    name: str | None,
    listing: bool,
    patients: int | None,
    seed: int,
    effects: tuple[str, ...],
    out: str | None,
    truth: str | None,
    dirty: str | None,
    confounding: float,
    informative: float,
    as_json: bool,
) -> None:
    """Write a synthetic cohort, its study, and on request its declared truth.

    \b
    Example:
      biomarker simulate il2-rcc --patients 500 --seed 1 --out cohort.csv
    """
    import pipelines.simulate as simulation

    if listing:
        recipes = simulation.recipe_lines()
        click.echo(
            json.dumps(dict(recipes), indent=1)
            if as_json
            else "\n".join(f"{recipe}  {line}" for recipe, line in recipes)
        )
        return
    if name is None or out is None:
        raise click.UsageError("Give a recipe NAME and --out FILE; --list shows the recipes.")
    written = simulation.write_cohort(
        name, patients, seed, effects, out, truth,
        dirty=dirty, confounding=confounding, informative=informative,
    )  # fmt: skip
    click.echo(json.dumps(written, indent=1) if as_json else "\n".join(written.values()))
    if dirty is not None:
        say_next(words("biomarker", "check", out, "--study", written["study"]))
    elif "study" in written:
        say_next(words("biomarker", "train", out, "--study", written["study"]))


@click.command()
@click.option(
    "--ratio", type=float,
    help="Ratio of hazard ratios (odds ratios of response), treated over control, per marker unit."
    " Default: 0.6.",
)  # fmt: skip
@click.option("--events", metavar="N,N,...", help="Give the power at these events.")
@click.option("--patients", metavar="N,N,...", help="Give the power at these patients.")
@click.option("--event-share", type=float, help="Patients who will have an event.")
@click.option("--response-treated", type=float, help="Share responding; then odds, not hazards.")
@click.option("--response-control", type=float, help="Share of controls responding.")
@click.option("--share-treated", type=float, help="Default: 0.5.")
@click.option("--marker-sd", type=float, help="SD of the marker in the ratio's unit. Default: 1.")
@click.option("--marker-share", type=float, help="Share of marker-positive patients, instead.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Two-sided level.")
@click.option("--power", "wanted", type=float, default=0.8, show_default=True, help="Wanted.")
@click.option("--recipe", metavar="NAME", help="Simulate: run the whole procedure on its cohorts.")
@click.option("--marker", metavar="NAME", help="Of the recipe, to carry the interaction.")
@click.option("--endpoint", metavar="NAME", help="Of the recipe. Default: its first.")
@click.option("--effect", "effects", multiple=True, metavar="MARKER=KIND:SIZE", help="Further.")
@click.option("--family", metavar="A,B,...", help="Markers tested together with it.")
@click.option("--covariates", metavar="A,B,...", help="Adjusted for; 'none'. Default: all.")
@click.option("--two-arms", is_flag=True, help="Give a one-arm recipe a randomised control arm.")
@click.option("--cohorts", type=click.IntRange(min=1), help="At each size. Default: 200.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--jobs", type=click.IntRange(min=0), default=1, help="Processes; 0: every core.")
@click.option("--out", metavar="FILE", help="Draw the simulated curve here (.svg).")
@json_flag
@guarded
def power(as_json: bool, **flags: Any) -> None:
    """Say how many events an interaction needs, and how often this procedure would claim it.

    By formula at once; with --recipe by running the procedure, every rule in force, on simulated
    cohorts, and on the same cohorts without an interaction.

    \b
    Examples:
      biomarker power --ratio 0.6 --events 300 --marker-share 0.3
      biomarker power --recipe il2-rcc --marker caix --patients 200,400 --out curve.svg
    """
    from pipelines.power_command import run_power

    click.echo(run_power(as_json, flags))
