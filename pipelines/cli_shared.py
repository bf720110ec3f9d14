"""What every command shares: one message and exit code for an error, flags, the next command."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click

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

__all__ = [
    "EXIT_DATA",
    "EXIT_MODEL",
    "EXIT_OK",
    "EXIT_PARTIAL",
    "EXIT_STORAGE",
    "EXIT_USAGE",
    "engine_flag",
    "guarded",
    "json_flag",
    "keep_input",
    "say_next",
    "scheduler_flag",
    "store_flag",
    "study_flag",
    "undeclared_flag",
    "values_flag",
    "with_store",
    "words",
]

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


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
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


def say_next(text: str) -> None:
    """Suggest the next command, on stderr so that stdout stays a result."""
    click.echo(f"\nNext: {text}", err=True)


def words(*words: str) -> str:
    """A command that can be pasted into a shell: words with blanks are quoted."""
    return shlex.join(words)


def keep_input(source: str, out: str) -> None:
    """Refuse to write a result over the file it is made from."""
    from pipelines.storage import same_file

    if same_file(source, out):
        raise UsageError(
            f"--out must be another file than the one read; both are '{Path(out).name}'. "
            "Name another output."
        )


def with_store(store: str | None) -> str:
    """The store flag to repeat in a suggestion, where one was given."""
    return f" {words('--store', store)}" if store else ""


json_flag = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
study_flag = click.option(
    "--study", "study_name", default="il2", show_default=True, metavar="NAME|FILE",
    help="il2, actg175, gbsg2, or a study TOML file.",
)  # fmt: skip
store_flag = click.option(
    "--store", metavar="FOLDER|URI", default=None,
    help="Tracking store. Default: MLFLOW_TRACKING_URI, else ./biomarker-runs.",
)  # fmt: skip
undeclared_flag = click.option(
    "--allow-undeclared", is_flag=True, help="Leave aside columns the study does not name."
)
engine_flag = click.option(
    "--engine", type=click.Choice(["local", "dask"]), default="local", help="Where it runs."
)
scheduler_flag = click.option(
    "--scheduler", metavar="ADDRESS", help="Of a Dask cluster: tcp://127.0.0.1:8786."
)
values_flag = click.option(
    "--show-values", is_flag=True, help="Show faulty values on this terminal (default: masked)."
)
