"""What the experiments share: cells run one by one and kept, rates against limits, their tables."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Part", "Parts", "Row", "command", "kept_rows", "rate_row", "replicates", "results_page"]

Row = dict[str, Any]
Measure = Callable[[Any, int, int, int], list[Row]]
# A part's cells, and what is measured on one: (cell, cohorts, workers, seed) to rows.
Part = tuple[Callable[[], Sequence[Any]], Measure]
Parts = Mapping[str, Part]


def replicates(
    task: Callable[..., Any], cell: Any, n: int, workers: int, seed: int, block: int = 50
) -> list[Any]:
    """Results of ``task(cell, b, seed)`` for b from 0 to n - 1, whatever the number of workers."""
    from joblib import Parallel, delayed

    blocks = Parallel(n_jobs=workers)(
        delayed(_block)(task, cell, low, min(low + block, n), seed) for low in range(0, n, block)
    )
    return list(itertools.chain.from_iterable(blocks))


def _block(task: Callable[..., Any], cell: Any, low: int, high: int, seed: int) -> list[Any]:
    return [task(cell, b, seed) for b in range(low, high)]


def rate_row(
    row: str, cell: Row, measure: str, count: int, n: int, limit: str = "reported",
    passed: Callable[[float], bool] = lambda share: True,
) -> Row:  # fmt: skip
    """A share with its exact 95% interval, against its limit."""
    from scipy.stats import beta

    low = float(beta.ppf(0.025, count, n - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, n - count)) if count < n else 1.0
    share = count / n if n else float("nan")
    return {"row": row, "cell": cell, "measure": measure, "value": share, "low": low, "high": high,
            "n": n, "limit": limit, "passed": bool(passed(share))}  # fmt: skip


def command(
    about: str | None,
    parts: Parts,
    results: Path,
    write_page: Callable[[Path], None],
    seed: int,
    cohorts: int,
    again: Callable[[Callable[[str], list[Row]], int], list[Row]],
) -> None:
    """Read the command line: run what is not kept yet, or cells once more, then draw the page.

    Parameters
    ----------
    about : str
    parts : mapping
        Each is kept in a file of its name, cell by cell, so that it can go on where it stopped.
    results : Path
    write_page : callable
    seed : int
    cohorts : int
        Of a cell, by default.
    again : callable
        From the rows kept of a part, by its name, and a number of workers to rows of a second run.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--cohorts", type=int, default=cohorts)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=list(parts), default=list(parts))
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    results.mkdir(exist_ok=True)

    def kept(name: str) -> list[Row]:
        path = results / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else []

    if options.again:
        _keep(results, "again", again(kept, options.workers))
    elif not options.page:
        for name in options.only:
            cells, measure = parts[name]
            rows = kept(name)
            done = {row["design"] for row in rows}
            for cell in cells():
                if repr(cell) not in done:
                    found = measure(cell, options.cohorts, options.workers, seed)
                    rows += [row | {"design": repr(cell)} for row in found]
                    _keep(results, name, rows)
                    print(name, [(r["measure"], round(r["value"], 4)) for r in found], flush=True)
    write_page(results)


def _keep(results: Path, name: str, rows: list[Row]) -> None:
    text = json.dumps(rows, indent=0, allow_nan=False)
    (results / f"{name}.json").write_text(text + "\n")


def kept_rows(results: Path) -> list[Row]:
    """Rows of every part that has been run."""
    return [row for path in sorted(results.glob("*.json")) for row in json.loads(path.read_text())]


def results_page(
    results: Path, title: str, drawings: Sequence[str], titles: Mapping[str, str], rows: list[Row]
) -> None:
    """Write ``README.md`` into ``results``: drawings, then a table for each ``row`` of titles."""
    lines = [f"# {title} · results", "", "Made by `run.py`; intervals are exact binomial, 95%.", ""]
    for drawing in drawings:
        lines += [drawing, ""]
    for key, heading in titles.items():
        part = [row for row in rows if row["row"] == key]
        if part:
            judged = [row for row in part if _judged(row)]
            passed = sum(row["passed"] for row in judged)
            within = f"{passed} of {len(judged)} figures within their limits."
            lines += [f"## {heading}", "", within, "", *_table(part), ""]
    (results / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def _judged(row: Row) -> bool:
    return bool(row["limit"] != "reported")


def _table(rows: list[Row]) -> list[str]:
    lines = [
        "| cell | measure | value | 95% interval | cohorts | limit | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cell = ", ".join(f"{name} {value}" for name, value in row["cell"].items())
        mark = ("yes" if row["passed"] else "**no**") if _judged(row) else ""
        lines.append(
            f"| {cell} | {row['measure']} | {row['value']:.4g} | {row['low']:.3g} to "
            f"{row['high']:.3g} | {row['n']:,} | {row['limit']} | {mark} |"
        )
    return lines
