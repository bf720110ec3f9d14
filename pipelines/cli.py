"""The ``biomarker`` command: thin wiring from flags to the functions a notebook would call.

Nothing heavy is imported before a command runs, so that help answers at once.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click

from biomarker import __version__
from biomarker.errors import (
    BiomarkerError,
    BundleError,
    ClaimError,
    CohortError,
    NotEstimableError,
    OutcomeError,
    SchemaError,
    StorageError,
    TrackingError,
    UsageError,
)

__all__ = ["main"]

# ruff: noqa: D301
# Click keeps lines apart after a real backspace, which a raw docstring would not hold.

EXIT_OK, EXIT_USAGE, EXIT_DATA, EXIT_MODEL, EXIT_PARTIAL, EXIT_STORAGE = 0, 2, 3, 4, 5, 6
_EXITS: tuple[tuple[type[BiomarkerError], int], ...] = (
    (CohortError, EXIT_DATA),
    (OutcomeError, EXIT_DATA),
    (NotEstimableError, EXIT_DATA),
    (BundleError, EXIT_MODEL),
    (ClaimError, EXIT_MODEL),
    (SchemaError, EXIT_MODEL),
    (StorageError, EXIT_STORAGE),
    (TrackingError, EXIT_STORAGE),
)
_SHOWN_FAULTS = 40

_EPILOG = """\b
Exit codes: 0 done · 2 usage or study · 3 data · 4 model or schema · 5 some rows refused · 6 storage
"""


def _guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn our errors into one clear message and the documented exit code."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except BiomarkerError as error:
            _explain(error, bool(kwargs.get("show_values")), bool(kwargs.get("as_json")))

    return run


def _explain(error: BiomarkerError, show_values: bool, as_json: bool) -> NoReturn:
    """Say what went wrong on stderr (and as JSON on stdout when asked), then exit."""
    code = next((code for kind, code in _EXITS if isinstance(error, kind)), EXIT_USAGE)
    rows: list[dict[str, str]] = []
    if isinstance(error, CohortError) and error.faults:
        from pipelines.ingest import fault_rows
        from pipelines.terminal import table

        rows = fault_rows(error.faults, getattr(error, "file", None), show_values)
        click.echo(table(rows[:_SHOWN_FAULTS]), err=True)
        if len(rows) > _SHOWN_FAULTS:
            click.echo(
                f"... and {len(rows) - _SHOWN_FAULTS} more (all of them with --json)", err=True
            )
        click.echo("", err=True)
    click.echo(f"Error: {error}", err=True)
    if as_json:
        body = {"error": type(error).__name__, "message": str(error), "faults": rows}
        click.echo(json.dumps({**body, "exit_code": code}, indent=1))
    sys.exit(code)


def _next(text: str) -> None:
    """Suggest the next command, on stderr so that stdout stays a result."""
    click.echo(f"\nNext: {text}", err=True)


def _words(*words: str) -> str:
    """A command that can be pasted into a shell: words with blanks are quoted."""
    return shlex.join(words)


def _keep_input(source: str, out: str) -> None:
    """Refuse to write a result over the file it is made from."""
    from pipelines.storage import same_file

    if same_file(source, out):
        raise UsageError(
            f"--out must be another file than the one read; both are '{Path(out).name}'. "
            "Name another output."
        )


def _with_store(store: str | None) -> str:
    """The store flag to repeat in a suggestion, where one was given."""
    return f" {_words('--store', store)}" if store else ""


_json_flag = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_study_flag = click.option(
    "--study", "study_name", default="il2", show_default=True, metavar="NAME|FILE",
    help="il2, actg175, gbsg2, or a study TOML file.",
)  # fmt: skip
_store_flag = click.option(
    "--store", metavar="FOLDER|URI", default=None,
    help="Tracking store. Default: MLFLOW_TRACKING_URI, else ./biomarker-runs.",
)  # fmt: skip
_undeclared_flag = click.option(
    "--allow-undeclared", is_flag=True, help="Leave aside columns the study does not name."
)
_engine_flag = click.option(
    "--engine", type=click.Choice(["local", "dask"]), default="local", help="Where it runs."
)
_scheduler_flag = click.option(
    "--scheduler", metavar="ADDRESS", help="Of a Dask cluster: tcp://127.0.0.1:8786."
)
_values_flag = click.option(
    "--show-values", is_flag=True, help="Show faulty values on this terminal (default: masked)."
)


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
@_guarded
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
    _keep_input(source, out)
    from pipelines.storage import write_text

    write_text(out, text)
    click.echo(f"Drafted {out}. Confirm every line marked CHECK.")
    then = _words("biomarker", "check", source, "--study", out)
    drafted = "[endpoints." in text.replace("# [endpoints.", "")
    _next(then if drafted else f"add an endpoint to {out}, then: {then}")


@main.command()
@click.argument("file")
@_study_flag
@_undeclared_flag
@_values_flag
@_json_flag
@_guarded
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
    _next(_words("biomarker", "train", file, "--study", study_name))


@main.command()
@click.argument("file")
@_study_flag
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
@_engine_flag
@_scheduler_flag
@_store_flag
@_undeclared_flag
@_values_flag
@_json_flag
@_guarded
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
    _next(
        f"biomarker score NEW.csv --model models:/{first}@candidate --out scores.parquet"
        + _with_store(store)
    )


@main.command()
@click.argument("file")
@_study_flag
@click.option("--markers", metavar="A,B,...", help="Markers to assess. Default: all declared.")
@click.option(
    "--alpha", type=float, default=0.05, show_default=True, help="Two-sided level of each family."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of redrawn outcomes.")
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="Processes; 0: every core.")
@click.option("--out", metavar="FOLDER", help="Write evidence.html and evidence.json here.")
@_store_flag
@_undeclared_flag
@_values_flag
@_json_flag
@_guarded
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
        again = _words("biomarker", "evidence", file, "--study", study_name, "--out", "evidence")
        _next(again + _with_store(store) + "  (forest plot and curves on one page)")


@main.command()
@click.argument("runs", nargs=-1, metavar="RUN [RUN]")
@click.option("--compare", is_flag=True, help="Say what changed from the first RUN to the second.")
@click.option("--out", metavar="FILE", help="Where to write the HTML page.")
@_store_flag
@_json_flag
@_guarded
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
@_engine_flag
@_scheduler_flag
@_store_flag
@_undeclared_flag
@_json_flag
@_guarded
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

    _keep_input(file, out)
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
        from pipelines.drift import drift_lines

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


@main.command()
@click.argument("model")
@_store_flag
@_json_flag
@_guarded
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
@_store_flag
@_guarded
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
    _next(
        f"biomarker score FILE --model models:/{name}@champion --out scores.parquet"
        + _with_store(store)
    )


@main.command()
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
@_json_flag
@_guarded
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
        _next(_words("biomarker", "check", out, "--study", written["study"]))
    elif "study" in written:
        _next(_words("biomarker", "train", out, "--study", written["study"]))


@main.command()
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
@_json_flag
@_guarded
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


@main.command()
@click.option("--port", type=int, default=5000, show_default=True)
@_store_flag
@_guarded
def ui(port: int, store: str | None) -> None:
    """Open MLflow's own pages on the loopback address."""
    from pipelines.tracking import serve_ui

    sys.exit(serve_ui(port, store))


@main.command()
@click.option("--upgrade", is_flag=True, help="Back the store up and migrate it to this MLflow.")
@_store_flag
@_guarded
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


if __name__ == "__main__":
    main()
