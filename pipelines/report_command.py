"""What ``biomarker report`` does with its flags: fetch a stored page, or compare two runs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from biomarker.errors import UsageError

__all__ = ["compare_reports", "fetch_report"]


def fetch_report(runs: Sequence[str], out: str | None, store: str | None, as_json: bool) -> str:
    """Write a run's stored report to a file; returns what to print.

    Raises
    ------
    UsageError
        If there is not one run, or no place to write to.
    TrackingError
        If the store holds no such run.
    """
    if len(runs) != 1 or out is None:
        raise UsageError(
            f"One RUN and --out FILE must be given; got {len(runs)} run(s)"
            f"{'' if out else ' and no --out'}. Two runs are compared with --compare."
        )
    from pipelines.storage import write_text
    from pipelines.tracking_runs import stored_report

    write_text(out, stored_report(runs[0], store))
    return json.dumps({"report": out}) if as_json else f"Report: {out}"


def compare_reports(runs: Sequence[str], out: str | None, store: str | None, as_json: bool) -> str:
    """Compare two runs, write the page where one is asked for; returns what to print.

    Raises
    ------
    UsageError
        If there are not two runs.
    TrackingError
        If the store does not hold both.
    """
    if len(runs) != 2:
        raise UsageError(
            f"--compare must be given two runs; got {len(runs)}. For example: "
            "biomarker report --compare gbsg2~1 gbsg2"
        )
    from pipelines.compare import compare

    found = compare(runs[0], runs[1], store)
    if out is not None:
        from pipelines.report.comparison import render_comparison
        from pipelines.storage import write_text

        write_text(out, render_comparison(found))
    if as_json:
        return json.dumps(found.to_dict(), indent=1, allow_nan=False)
    from pipelines.compare_text import comparison_text

    text = comparison_text(found)
    return text if out is None else f"{text}\n\nPage     {out}"
