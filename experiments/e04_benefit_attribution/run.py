"""Run the parts of the experiment and keep their rows; draw the page.

``python -m experiments.e04_benefit_attribution.run --cohorts 1000 --workers 1`` runs what is not
yet in ``results/``; ``--only ranking`` one part; ``--page`` draws alone. A cell outside its limit
is run once more with 10,000 cohorts by ``--again``, with the seed written here beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from experiments.cells import Row, command
from experiments.e04_benefit_attribution.measures import PARTS
from experiments.e04_benefit_attribution.page import write_page

RESULTS = Path(__file__).parent / "results"
SEED, SEED_AGAIN = 2026, 906_040


def again(kept: Callable[[str], list[Row]], workers: int) -> list[Row]:
    """Give cells outside a limit 10,000 fresh cohorts, and the same limit."""
    found = []
    for name, (cells, measure) in PARTS.items():
        outside = {row["design"] for row in kept(name) if not row["passed"]}
        for design in cells():
            if repr(design) in outside:
                rows = measure(design, 10_000, workers, SEED_AGAIN)
                found += [row | {"design": repr(design), "row": "again"} for row in rows]
    return found


if __name__ == "__main__":
    command(__doc__, PARTS, RESULTS, write_page, SEED, 1000, again)
