"""The ``biomarker`` command: thin wiring from flags to the functions a notebook would call.

Nothing heavy is imported before a command runs, so that help answers at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from biomarker import __version__
from pipelines.cli_generate import power, simulate
from pipelines.cli_score import score
from pipelines.cli_shared import (
    engine_flag,
    guarded,
    json_flag,
    keep_input,
    say_next,
    scheduler_flag,
    store_flag,
    study_flag,
    undeclared_flag,
    values_flag,
    with_store,
    words,
)

__all__ = ["main"]

# ruff: noqa: D301
# Click keeps lines apart after a real backspace, which a raw docstring would not hold.

_EPILOG = """\b
Exit codes: 0 done · 2 usage or study · 3 data · 4 model or schema · 5 some rows refused · 6 storage
"""


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="biomarker")
def main() -> None:
    """Fit, explain and judge biomarker response models.

    \b
    Start here:
      biomarker simulate il2-rcc --patients 500 --out cohort.csv
      biomarker check cohort.csv --study cohort.study.toml
      biomarker evidence cohort.csv --study cohort.study.toml
      biomarker train cohort.csv --study cohort.study.toml
      biomarker score new.csv --model models:/NAME@candidate --out scores.parquet
    """


@main.command()
@click.option("--from", "source", required=True, metavar="FILE", help="A CSV, TSV or Parquet file.")
@click.option("--out", metavar="FILE", help="Write here instead of stdout.")
@click.option("--name", default=None, help="Name for the study. Default: the file's name.")
@guarded
def study(source: str, out: str | None, name: str | None) -> None:
    """Draft a study TOML by looking at a file's columns.

    \b
    Example:
      biomarker study --from trial.csv --out trial.toml
    """
    from pipelines.draft import draft_study
    from pipelines.readers import read_table

    text = draft_study(read_table(source).table, name or Path(source).name.split(".")[0])
    if out is None:
        click.echo(text)
        return
    keep_input(source, out)
    from pipelines.storage import write_text

    write_text(out, text)
    click.echo(f"Drafted {out}. Confirm every line marked CHECK.")
    then = words("biomarker", "check", source, "--study", out)
    drafted = "[endpoints." in text.replace("# [endpoints.", "")
    say_next(then if drafted else f"add an endpoint to {out}, then: {then}")


@main.command()
@click.argument("file")
@study_flag
@undeclared_flag
@values_flag
@json_flag
@guarded
def check(
    file: str, study_name: str, allow_undeclared: bool, show_values: bool, as_json: bool
) -> None:
    """Say what was understood of a cohort file, or everything wrong with it.

    \b
    Example:
      biomarker check cohort.csv --study il2
    """
    from pipelines.ingest import load_cohort
    from pipelines.summary import summarise

    cohort = load_cohort(file, study_name, allow_undeclared=allow_undeclared)
    summary = summarise(cohort)
    if as_json:
        click.echo(json.dumps(summary.to_dict(), indent=1))
        return
    from pipelines.summary_text import summary_text

    click.echo(summary_text(summary))
    say_next(words("biomarker", "train", file, "--study", study_name))


@main.command()
@click.argument("file")
@study_flag
@click.option(
    "--models", metavar="A,B,...", help="Models to fit. Default: all that fit the endpoint."
)
@click.option("--endpoint", "endpoints", multiple=True, help="Endpoint(s) to model. Default: all.")
@click.option("--folds", type=int, help="Outer folds.")
@click.option("--repeats", type=int, help="Repeats of the outer folds.")
@click.option("--inner-folds", type=int, help="Folds for tuning, inside each outer fold.")
@click.option("--seed", type=int, help="Seed of every random choice.")
@click.option("--jobs", type=int, help="Processes; 0 takes every core.")
@click.option("--refits", type=int, help="Refits of the model kept, for stability; 0 for none.")
@click.option(
    "--out", metavar="FOLDER", help="Report and bundles. Default: biomarker-output/STUDY."
)
@click.option("--name", "run_name", help="Name of the run in MLflow.")
@engine_flag
@scheduler_flag
@store_flag
@undeclared_flag
@values_flag
@json_flag
@guarded
def train(
    file: str,
    study_name: str,
    models: str | None,
    endpoints: tuple[str, ...],
    out: str | None,
    run_name: str | None,
    engine: str,
    scheduler: str | None,
    store: str | None,
    allow_undeclared: bool,
    show_values: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Validate, fit, explain, track and report every model of a study.

    \b
    Examples:
      biomarker train cohort.csv --study il2
      biomarker train trial.parquet --study trial.toml --models cox,boosted_cox --repeats 5
    """
    from pipelines.engine import engine_named
    from pipelines.terminal import Progress
    from pipelines.training import train as run_training

    result = run_training(
        file,
        study_name,
        models=models.split(",") if models else None,
        endpoints=endpoints or None,
        out=out,
        store=store,
        run_name=run_name,
        allow_undeclared=allow_undeclared,
        progress=Progress(),
        engine=engine_named(engine, scheduler=scheduler),
        **flags,
    )
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=1))
        return
    from pipelines.terminal import table

    for doubt in result.doubts:
        click.echo(f"Please report: a number that no artefact holds. {doubt}", err=True)
    for rows in result.performance_tables():
        click.echo(table(rows) + "\n")
    if result.run.evidence is not None:
        from pipelines.evidence_text import train_evidence

        click.echo(train_evidence(result.run.evidence) + "\n")
    for line in result.places():
        click.echo(line)
    first = next(iter(result.registered))
    say_next(
        f"biomarker score NEW.csv --model models:/{first}@candidate --out scores.parquet"
        + with_store(store)
    )


@main.command()
@click.argument("file")
@study_flag
@click.option("--markers", metavar="A,B,...", help="Markers to assess. Default: all declared.")
@click.option(
    "--alpha", type=float, default=0.05, show_default=True, help="Two-sided level of each family."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of redrawn outcomes.")
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="Processes; 0: every core.")
@click.option("--out", metavar="FOLDER", help="Write evidence.html and evidence.json here.")
@store_flag
@undeclared_flag
@values_flag
@json_flag
@guarded
def evidence(
    file: str,
    study_name: str,
    markers: str | None,
    alpha: float,
    seed: int,
    jobs: int,
    out: str | None,
    store: str | None,
    allow_undeclared: bool,
    show_values: bool,
    as_json: bool,
) -> None:
    """Say of each marker what the data carry: prognostic, predictive, or not established.

    One verdict per marker and endpoint. Every test is counted in the store's ledger, so that
    asking again, or asking more, is paid for.

    \b
    Examples:
      biomarker evidence gbsg2.csv --study gbsg2
      biomarker evidence trial.csv --study trial.toml --markers caix,vegf --out evidence
    """
    from pipelines.evidence import evidence as run_evidence
    from pipelines.terminal import Progress

    done = run_evidence(
        file,
        study_name,
        markers=[name.strip() for name in markers.split(",")] if markers else None,
        alpha=alpha,
        seed=seed,
        jobs=jobs,
        out=out,
        store=store,
        allow_undeclared=allow_undeclared,
        progress=Progress(),
    )
    if as_json:
        click.echo(json.dumps(done.evidence.to_dict(), indent=1))
        return
    from pipelines.evidence_text import evidence_text

    click.echo(evidence_text(done.evidence))
    if done.report is not None:
        click.echo(f"Page     {done.report}")
    click.echo(f"Run      {done.run_id}")
    if done.report is None:
        again = words("biomarker", "evidence", file, "--study", study_name, "--out", "evidence")
        say_next(again + with_store(store) + "  (forest plot and curves on one page)")


@main.command()
@click.argument("runs", nargs=-1, metavar="RUN [RUN]")
@click.option("--compare", is_flag=True, help="Say what changed from the first RUN to the second.")
@click.option("--out", metavar="FILE", help="Where to write the HTML page.")
@store_flag
@json_flag
@guarded
def report(
    runs: tuple[str, ...], compare: bool, out: str | None, store: str | None, as_json: bool
) -> None:
    """Fetch the report of a tracked run, or compare two runs.

    RUN is a run id, or a study's name for its latest run; NAME~1 is the run before that.

    \b
    Examples:
      biomarker report gbsg2 --out report.html
      biomarker report --compare gbsg2~1 gbsg2 --out changes.html
    """
    from pipelines.report_command import compare_reports, fetch_report

    if compare:
        click.echo(compare_reports(runs, out, store, as_json))
    else:
        click.echo(fetch_report(runs, out, store, as_json))


@main.command()
@click.argument("model")
@store_flag
@json_flag
@guarded
def inspect(model: str, store: str | None, as_json: bool) -> None:
    """Say what a bundle or a registered model is.

    \b
    Example:
      biomarker inspect biomarker-output/gbsg2/bundles/rfs-cox
    """
    from pipelines.scoring import resolve_bundle

    bundle = resolve_bundle(model, store)
    from pipelines.summary_text import bundle_facts, bundle_text

    click.echo(json.dumps(bundle_facts(bundle), indent=1) if as_json else bundle_text(bundle))


@main.command()
@click.argument("name")
@click.option("--version", "version", type=int, help="Version to promote. Default: the candidate.")
@store_flag
@guarded
def promote(name: str, version: int | None, store: str | None) -> None:
    """Make a registered model's candidate its champion.

    \b
    Example:
      biomarker promote gbsg2-rfs
    """
    from pipelines.tracking import promote as run_promotion

    chosen, former = run_promotion(name, version, store)
    before = f" (before: version {former})" if former is not None else ""
    click.echo(f"{name}: version {chosen} is champion{before}")
    say_next(
        f"biomarker score FILE --model models:/{name}@champion --out scores.parquet"
        + with_store(store)
    )


@main.command()
@click.option("--port", type=int, default=5000, show_default=True)
@store_flag
@guarded
def ui(port: int, store: str | None) -> None:
    """Open MLflow's own pages on the loopback address."""
    from pipelines.tracking import serve_ui

    sys.exit(serve_ui(port, store))


@main.command()
@click.option("--upgrade", is_flag=True, help="Back the store up and migrate it to this MLflow.")
@store_flag
@guarded
def store(upgrade: bool, store: str | None) -> None:
    """Say where runs are kept, and whether this release can read them."""
    from pipelines import tracking_store

    click.echo(tracking_store.store_uri(store))
    if upgrade:
        backup = tracking_store.upgrade_store(store)
        click.echo("up to date" if backup is None else f"upgraded; backup: {backup.name}")
    else:
        tracking_store.open_store(store)
        click.echo("readable")


for _command in (score, simulate, power):
    main.add_command(_command)


if __name__ == "__main__":
    main()
