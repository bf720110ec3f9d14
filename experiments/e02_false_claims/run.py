"""Run the parts of the experiment and keep their rows; draw the page.

``python -m experiments.e02_false_claims.run --cohorts 2000 --workers 2`` runs what is not yet in
``results/``; ``--only claims coverage`` some parts; ``--page`` draws alone. A cell outside its
limit is run once more with 20,000 cohorts by ``--again``, with the seed written here beforehand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from experiments.e02_false_claims import claims, cutpoints, durable
from experiments.e02_false_claims.page import write_page

RESULTS = Path(__file__).parent / "results"
SEED, SEED_AGAIN = 2026, 906_020

PARTS = claims.PARTS | {"cutpoints": cutpoints.run, "durable": durable.run}


def keep(name: str, rows: list[dict[str, Any]]) -> None:
    """Write one part's rows."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps(rows, indent=0, allow_nan=False)
    path.write_text(text + "\n")


def kept(name: str) -> list[dict[str, Any]]:
    """Rows of a part that has been run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else []


def run_grid(cohorts: int, workers: int) -> None:
    """Run the grid cell by cell, kept after each, so that it can go on where it was stopped."""
    rows = kept("claims")
    done = {(r["cell"]["marker"], r["cell"]["n"], r["cell"]["events"], r["cell"]["treatment"])
            for r in rows}  # fmt: skip
    for design in claims.grid():
        if (design.markers[0], design.n, design.events, design.treatment) not in done:
            rows += claims.claims(cohorts, workers, SEED, [design])
            keep("claims", rows)


def run_again(workers: int) -> None:
    """Give cells outside a 6.0% limit 20,000 fresh cohorts, and 5.5%."""
    rows = kept("claims")
    outside = {json.dumps(r["cell"]) for r in rows
               if not r["passed"] and r["measure"] in ("claims", "calibrated p < .05")}  # fmt: skip
    again = []
    for design in claims.grid():
        cell = {"marker": design.markers[0], "n": design.n, "events": design.events,
                "treatment": design.treatment}  # fmt: skip
        if any(cell.items() <= json.loads(text).items() for text in outside):
            for row in claims.claims(20_000, workers, SEED_AGAIN, [design]):
                if row["measure"] in ("claims", "calibrated p < .05"):
                    row |= {"limit": "at most 5.5%", "passed": row["value"] <= 0.055}
                again.append(row)
    keep("claims_again", again)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=sorted(PARTS), default=sorted(PARTS))
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    if options.again:
        run_again(options.workers)
    elif not options.page:
        for name in options.only:
            if name == "claims":
                run_grid(options.cohorts, options.workers)
            elif not kept(name):
                keep(name, PARTS[name](options.cohorts, options.workers, SEED))
    write_page(RESULTS)


if __name__ == "__main__":
    main()
