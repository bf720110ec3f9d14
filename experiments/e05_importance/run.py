"""Run the cells and keep their counts; draw the page.

``python -m experiments.e05_importance.run --cohorts 500 --workers 2`` runs what is not yet in
``results/``, ten cohorts at a time, and goes on where it was stopped; ``--only null-cox`` some
cells; ``--page`` draws alone.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from experiments.e05_importance.page import write_page
from experiments.e05_importance.trials import NOISE, PROXIES, noise_trial, proxy_trial

RESULTS = Path(__file__).parent / "results"
SEED = 50_500
STEP = 10
CELLS: dict[str, Any] = {**NOISE, **PROXIES}


def run_cell(name: str, cohorts: int, workers: int) -> None:
    """Count what happens in cohorts not yet counted."""
    cell = CELLS[name]
    trial: Callable[..., dict[str, bool]] = noise_trial if name in NOISE else proxy_trial
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    if kept.get("design") != repr(cell) or kept.get("seed") != SEED:
        kept = {"design": repr(cell), "seed": SEED, "n": 0, "counts": {}}
    counts = Counter(kept["counts"])
    while kept["n"] < cohorts:
        numbers = range(kept["n"], min(kept["n"] + STEP, cohorts))
        found = Parallel(n_jobs=workers)(delayed(trial)(cell, SEED, b) for b in numbers)
        for flags in found:
            counts.update({measure: int(flag) for measure, flag in flags.items()})
        kept |= {"n": kept["n"] + len(numbers), "counts": dict(counts)}
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps(kept, indent=0, allow_nan=False) + "\n")
        print(name, kept["n"], kept["counts"], flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=CELLS, default=list(CELLS))
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    if not options.page:
        for name in options.only:
            run_cell(name, options.cohorts, options.workers)
    write_page(RESULTS)


if __name__ == "__main__":
    main()
