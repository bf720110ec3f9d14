"""The results page: one plot, one table a question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

__all__ = ["write_page"]

_TITLES = {
    "ranking": "Does the marker that changes the effect of treatment come first?",
    "band": "Does the null band hold a marker that is prognostic only?",
    "again": "Cells run once more",
}


def write_page(results: Path) -> None:
    """Write ``results/README.md`` and its drawing from the parts that are there."""
    rows: list[dict[str, Any]] = []
    for path in sorted(results.glob("*.json")):
        rows += json.loads(path.read_text())
    if not rows:
        return
    _draw(rows, results / "rates.svg")
    lines = ["# e04 · results", "", "Made by `run.py`; intervals are exact binomial, 95%.", "",
             "![Every judged rate against its limit](rates.svg)", ""]  # fmt: skip
    for key, title in _TITLES.items():
        part = [r for r in rows if r["row"] == key]
        if part:
            judged = [r for r in part if r["limit"] != "reported"]
            lines += [f"## {title}", "", f"{sum(r['passed'] for r in judged)} of {len(judged)} "
                      "figures within their limits.", "", *_table(part), ""]  # fmt: skip
    (results / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def _words(row: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in row["cell"].items())


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| cell | measure | value | 95% interval | cohorts | limit | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        judged = row["limit"] != "reported"
        mark = ("yes" if row["passed"] else "**no**") if judged else ""
        lines.append(
            f"| {_words(row)} | {row['measure']} | {row['value']:.4g} | {row['low']:.3g} to "
            f"{row['high']:.3g} | {row['n']:,} | {row['limit']} | {mark} |"
        )
    return lines


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
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


def _short(cell: dict[str, Any]) -> str:
    return (f"{cell['endpoint']}, n {cell['n']}, {cell['markers']} {cell['kinds']}"
            f"{', r .3' if cell['correlation'] else ''}, ratio {cell['ratio']}")  # fmt: skip
