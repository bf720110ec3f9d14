"""The results page: one plot, one table a question."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from experiments.cells import Row, kept_rows, results_page

__all__ = ["write_page"]

_TITLES = {
    "ranking": "Does the marker that changes the effect of treatment come first?",
    "band": "Does the null band hold a marker that is prognostic only?",
    "again": "Cells run once more",
}


def write_page(results: Path) -> None:
    """Write ``results/README.md`` and its drawing from the parts that are there."""
    rows = kept_rows(results)
    if rows:
        _draw(rows, results / "rates.svg")
        drawings = ["![Every judged rate against its limit](rates.svg)"]
        results_page(results, "e04", drawings, _TITLES, rows)


def _draw(rows: list[Row], path: Path) -> None:
    """First place beside power; the prognostic marker's share within its band."""
    panels = (
        ("ranking", (("first by predictive part", "#2b6cb0"), ("power, Holm", "#c05621"),
                     ("power, unadjusted", "#b0b0b0")), 95),
        ("band", (("prognostic marker: predictive share within its band", "#2b6cb0"),), 94),
    )  # fmt: skip
    mpl.rcParams["svg.hashsalt"] = "e04"
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for axis, (key, measures, limit) in zip(axes, panels, strict=True):
        part = [r for r in rows if r["row"] == key]
        cells = list(dict.fromkeys(_short(r["cell"]) for r in part))
        for k, (measure, colour) in enumerate(measures):
            here = [r for r in part if r["measure"] == measure]
            y = [cells.index(_short(r["cell"])) + 0.18 * (k - (len(measures) - 1) / 2)
                 for r in here]  # fmt: skip
            value = [100 * r["value"] for r in here]
            error = [[100 * (r["value"] - r["low"]) for r in here],
                     [100 * (r["high"] - r["value"]) for r in here]]  # fmt: skip
            axis.errorbar(value, y, xerr=error, fmt="o", markersize=4, linewidth=1,
                          color=colour, label=measure)  # fmt: skip
        axis.axvline(limit, color="black", linewidth=0.8, linestyle=":")
        axis.set_yticks(range(len(cells)), cells, fontsize=8)
        axis.invert_yaxis()
        axis.set(xlim=(85, 100.5), xlabel="share of cohorts, %")
        if len(measures) > 1:
            axis.legend(frameon=False, fontsize=8, loc="lower left")
        else:
            axis.set_title(measures[0][0], fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _short(cell: Row) -> str:
    return (f"{cell['endpoint']}, n {cell['n']}, {cell['markers']} {cell['kinds']}"
            f"{', r .3' if cell['correlation'] else ''}, ratio {cell['ratio']}")  # fmt: skip
