"""The results page: what passed, in two plots and one table."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from experiments.cells import Row, kept_rows, results_page

__all__ = ["write_page"]

_TITLES = {
    "4": "Row 4: the best cut-point of a marker",
    "5": "Row 5: the best cut-point of an interaction",
    "6": "Row 6: a prognostic marker, and treatment that works for everybody alike",
    "response": "Row 6 for a binary response: odds ratios of 2 per SD, and of treatment",
    "bends": "Row 6 for a lognormal marker that acts by its logarithm and is entered as it is",
    "again": "Cells of row 6 run once more, with 20,000 cohorts and a seed written beforehand",
    "7": "Row 7: significant in one subgroup only",
    "8": "Row 8: many correlated markers",
    "9": "Row 9: groups that form after treatment began",
    "13": "Row 13: interval methods",
    "coverage": "Coverage of intervals",
    "shapes": "Where hazards are not proportional",
}


def write_page(results: Path) -> None:
    """Write ``results/README.md`` and its drawing from the parts that are there."""
    rows = kept_rows(results)
    if not rows:
        return
    grid = [row for row in rows if row["row"] == "6"]
    if grid:
        _draw_grid(grid, results / "claims.svg")
    drawings = ["![Claim rate and size over the grid](claims.svg)"] if grid else []
    results_page(results, "e02", drawings, _TITLES, rows)


def _draw_grid(rows: list[Row], path: Path) -> None:
    """Every cell's claim rate, calibrated and asymptotic size."""
    measures = ("asymptotic p < .05", "calibrated p < .05", "claims")
    colours = ("#b0b0b0", "#2b6cb0", "#c05621")
    markers = ("normal", "lognormal", "binary")
    mpl.rcParams["svg.hashsalt"] = "e02"
    figure, axes = plt.subplots(1, 3, figsize=(10, 4.2), sharey=True, layout="constrained")
    for axis, marker in zip(axes, markers, strict=True):
        for measure, colour in zip(measures, colours, strict=True):
            part = [r for r in rows if r["measure"] == measure and r["cell"]["marker"] == marker]
            x = [r["cell"]["mean_events"] for r in part]
            axis.errorbar(
                x, [100 * r["value"] for r in part],
                [[100 * (r["value"] - r["low"]) for r in part],
                 [100 * (r["high"] - r["value"]) for r in part]],
                fmt="o", markersize=3.5, linewidth=0.8, color=colour, label=measure,
            )  # fmt: skip
        axis.axhline(5, color="black", linewidth=0.8)
        axis.axhline(6, color="black", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", xlim=(12, 700), title=f"{marker} marker", xlabel="events")
    axes[0].set_ylabel("share of cohorts without any interaction, %")
    axes[0].set_ylim(0, 9)
    axes[2].legend(frameon=False, fontsize=8, loc="upper right")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
