"""The results page: what passed, in two plots and one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

__all__ = ["write_page"]

_TITLES = {
    "4": "Row 4: the best cut-point of a marker",
    "5": "Row 5: the best cut-point of an interaction",
    "6": "Row 6: a prognostic marker, and treatment that works for everybody alike",
    "7": "Row 7: significant in one subgroup only",
    "8": "Row 8: many correlated markers",
    "9": "Row 9: groups that form after treatment began",
    "13": "Row 13: interval methods",
    "coverage": "Coverage of intervals",
    "shapes": "Where hazards are not proportional",
}


def write_page(results: Path) -> None:
    """Write ``results/README.md`` and its drawing from the parts that are there."""
    rows: list[dict[str, Any]] = []
    for path in sorted(results.glob("*.json")):
        rows += json.loads(path.read_text())
    if not rows:
        return
    lines = ["# e02 · results", "", "Made by `run.py`; intervals are exact binomial, 95%.", ""]
    grid = [r for r in rows if r["row"] == "6"]
    if grid:
        _draw_grid(grid, results / "claims.svg")
        lines += ["![Claim rate and size over the grid](claims.svg)", ""]
    for key, title in _TITLES.items():
        part = [r for r in rows if r["row"] == key]
        if part:
            judged = [r for r in part if r["limit"] != "reported" and "no limit" not in r["limit"]]
            passed = sum(r["passed"] for r in judged)
            lines += [f"## {title}", "", f"{passed} of {len(judged)} figures within their limits.",
                      "", *_table(part), ""]  # fmt: skip
    (results / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| cell | measure | value | 95% interval | cohorts | limit | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cell = ", ".join(f"{k} {v}" for k, v in row["cell"].items())
        judged = row["limit"] != "reported" and "no limit" not in row["limit"]
        mark = ("yes" if row["passed"] else "**no**") if judged else ""
        lines.append(
            f"| {cell} | {row['measure']} | {row['value']:.4g} | {row['low']:.3g} to "
            f"{row['high']:.3g} | {row['n']:,} | {row['limit']} | {mark} |"
        )
    return lines


def _draw_grid(rows: list[dict[str, Any]], path: Path) -> None:
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
