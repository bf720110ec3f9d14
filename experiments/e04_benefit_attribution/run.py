"""Run the parts of the experiment and keep their rows; draw the page.

``python -m experiments.e04_benefit_attribution.run --cohorts 1000 --workers 1`` runs what is not
yet in ``results/``; ``--only ranking`` one part; ``--page`` draws alone. A cell outside its limit
is run once more with 10,000 cohorts by ``--again``, with the seed written here beforehand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from experiments.e04_benefit_attribution.measures import PARTS
from experiments.e04_benefit_attribution.page import write_page

RESULTS = Path(__file__).parent / "results"
SEED, SEED_AGAIN = 2026, 906_040


def keep(name: str, rows: list[dict[str, Any]]) -> None:
    """Write one part's rows."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(rows, indent=0, allow_nan=False)
    (RESULTS / f"{name}.json").write_text(text + "\n")


def kept(name: str) -> list[dict[str, Any]]:
    """Rows of a part that has been run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else []


def run_part(name: str, cohorts: int, workers: int) -> None:
    """Run one part cell by cell, so that it can go on where it was stopped."""
    cells, measure = PARTS[name]
    rows = kept(name)
    done = {row["design"] for row in rows}
    for design in cells():
        if repr(design) not in done:
            found = measure(design, cohorts, workers, SEED)
            rows += [row | {"design": repr(design)} for row in found]
            keep(name, rows)
            print(name, [(r["measure"], round(r["value"], 4)) for r in found], flush=True)


def run_again(workers: int) -> None:
    """Give cells outside a limit 10,000 fresh cohorts, and the same limit."""
    again = []
    for name, (cells, measure) in PARTS.items():
        outside = {row["design"] for row in kept(name) if not row["passed"]}
        for design in cells():
            if repr(design) in outside:
                found = measure(design, 10_000, workers, SEED_AGAIN)
                again += [row | {"design": repr(design), "row": "again"} for row in found]
    keep("again", again)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    if options.again:
        run_again(options.workers)
    elif not options.page:
        for name in options.only:
            run_part(name, options.cohorts, options.workers)
    write_page(RESULTS)


if __name__ == "__main__":
    main()
