"""The command that scores a file of any length."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from pipelines.cli_shared import (
    EXIT_PARTIAL,
    engine_flag,
    guarded,
    json_flag,
    keep_input,
    scheduler_flag,
    store_flag,
    undeclared_flag,
)

__all__ = ["score"]

# ruff: noqa: D301
# Click keeps lines apart after a real backspace, which a raw docstring would not hold.


@click.command()
@click.argument("file")
@click.option(
    "--model", required=True, metavar="MODEL",
    help="models:/NAME@ALIAS, models:/NAME/VERSION, or a bundle folder.",
)  # fmt: skip
@click.option(
    "--out", required=True, metavar="FILE", help=".parquet or .csv; may be in a store: s3://..."
)
@click.option("--drivers", type=click.IntRange(0, 50), default=0, help="Top contributions per row.")
@click.option("--single-file", is_flag=True, help="Join the parts of a long job into one file.")
@click.option("--spreadsheet", is_flag=True, help="CSV that opens without running formulas.")
@click.option("--restart", is_flag=True, help="Discard what another, interrupted job left.")
@click.option("--no-drift", is_flag=True, help="Write no drift report beside the scores.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="0: every core.")
@engine_flag
@scheduler_flag
@store_flag
@undeclared_flag
@json_flag
@guarded
def score(
    file: str,
    model: str,
    out: str,
    drivers: int,
    single_file: bool,
    spreadsheet: bool,
    restart: bool,
    no_drift: bool,
    threads: int,
    engine: str,
    scheduler: str | None,
    store: str | None,
    allow_undeclared: bool,
    as_json: bool,
) -> None:
    """Score a cohort file of any length: one output row per input row.

    FILE may be a folder, a pattern of files or a store's address too. Beyond 131,072 rows the
    output is a folder of parts with a manifest, and the same command takes up a job that was
    interrupted.

    Exit code 5 when some rows were refused: they are in the output, without a number and with
    the reason.

    \b
    Examples:
      biomarker score new.csv --model models:/il2-os@champion --out scores.parquet
      biomarker score "cohorts/2026-*.parquet" --model bundle --out scores.parquet --drivers 3
    """
    from pipelines.engine import engine_named
    from pipelines.scoring import resolve_bundle
    from pipelines.scoring_job import score_file
    from pipelines.terminal import Progress

    keep_input(file, out)
    bundle = resolve_bundle(model, store)
    done = score_file(
        file,
        bundle,
        out,
        drivers=drivers,
        allow_undeclared=allow_undeclared,
        single_file=single_file,
        spreadsheet=spreadsheet,
        restart=restart,
        drift=not no_drift,
        engine=engine_named(engine, threads, scheduler),
        progress=Progress(),
    )
    body = {
        "rows": done.rows,
        "out": out,
        "status": done.counts,
        "reasons": done.reasons,
        "undeclared_columns": list(done.ignored),
        "chunks": done.chunks,
        "chunks_done_before": done.chunks_done_before,
        "join_seconds": round(done.join_seconds, 3),
        "drift": None if done.drift is None else done.drift.verdict,
        "model": bundle.description["name"],
        "bundle": bundle.digest,
    }
    if done.drift is not None:
        from pipelines.drift_words import drift_lines

        for line in drift_lines(done.drift):
            click.echo(line[:1].upper() + line[1:], err=True)
    if done.formulas and not spreadsheet:
        click.echo(
            f"{done.formulas:,} id(s) begin like a formula, which a spreadsheet would run on "
            "opening the CSV: write it with --spreadsheet, or import the id column as text.",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(body, indent=1))
    else:
        _tell_scores(body)
    if done.counts["refused"]:
        from pipelines.terminal import table

        rows = [{"reason": name, "rows": n} for name, n in done.reasons.items()]
        click.echo(f"{done.counts['refused']:,} row(s) refused:\n{table(rows)}", err=True)
        sys.exit(EXIT_PARTIAL)


def _tell_scores(body: dict[str, Any]) -> None:
    counts = body["status"]
    click.echo(
        f"{body['rows']} rows scored into {body['out']}: "
        + ", ".join(f"{count} {status}" for status, count in counts.items())
    )
    if body["undeclared_columns"]:
        click.echo(f"Left aside (not declared): {', '.join(body['undeclared_columns'])}", err=True)
    if body["reasons"]:
        from pipelines.terminal import table

        rows = [{"reason": reason, "rows": count} for reason, count in body["reasons"].items()]
        click.echo("", err=True)
        click.echo(table(rows), err=True)
