"""The results page of e03: one table, one plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["write_page"]

Row = dict[str, Any]

_COLOURS = {"normal": "#0b69a3", "lognormal": "#c8500a", "binary": "#0a7d5c"}


def write_page(rows: list[Row], bounds: list[Row], out: Path) -> None:
    """Write ``README.md`` and ``power.svg`` into the results folder."""
    (out / "README.md").write_text("\n".join(_page(rows) + _bound(bounds)) + "\n", "utf-8")
    _plot(rows, out / "power.svg")


def _found(rows: list[Row], name: str, measure: str) -> list[Row]:
    return [r for r in rows if r["cell"]["name"] == name and r["measure"] == measure]


def _of(rows: list[Row], name: str, measure: str) -> Row:
    (row,) = _found(rows, name, measure)
    return row


def _names(rows: list[Row], part: str) -> list[str]:
    return list(
        dict.fromkeys(r["cell"]["name"] for r in rows if r["cell"]["name"].startswith(part))
    )


def _share(row: Row) -> str:
    return f"{100 * row['value']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def _page(rows: list[Row]) -> list[str]:
    judged = [r for r in rows if r["limit"] != "reported"]
    held = sum(r["passed"] for r in judged)
    n = sorted({r["n"] for r in rows})
    lines = [
        "# e03: results",
        "",
        f"{held} of {len(judged)} cells within their limit; cohorts per cell: "
        f"{', '.join(map(str, n))}. Shares in %, with 95% intervals.",
        "",
        "![Procedure against reference](power.svg)",
        "",
        "## Power of the procedure, all rules in force, against the exact test",
        "",
        "| marker | patients | events | ratio per SD | formula | exact test | procedure "
        "| difference, points | withheld: calibrated p | influence | ranks | within 5 points |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in _names(rows, "power"):
        gap = _of(rows, name, "procedure minus reference")
        cell = gap["cell"]
        lost = [
            _found(rows, name, f"withheld: {rule}")
            for rule in ("calibrated p", "influence", "ranks")
        ]
        lines.append(
            f"| {cell['marker']} | {cell['n']} | {cell['events']:.0f} | {cell['ratio']:.3f} "
            f"| {100 * cell['formula_power']:.1f} "
            f"| {_share(_of(rows, name, 'power of the reference'))} "
            f"| {_share(_of(rows, name, 'claim rate of the procedure'))} | {_share(gap)} | "
            + " | ".join(f"{100 * r[0]['value']:.1f}" if r else "0" for r in lost)
            + f" | {'yes' if gap['passed'] else 'NO'} |"
        )
    lines += [
        "",
        "## Positive control: hazard ratio .6 in marker-positive, 1.0 in marker-negative patients",
        "",
        "| patients | events | formula | claimed | limit | held |",
        "|---|---|---|---|---|---|",
    ]
    for name in _names(rows, "control"):
        row = _of(rows, name, "claim rate of the procedure")
        cell = row["cell"]
        lines.append(
            f"| {cell['n']} | {cell['events']:.0f} | {100 * cell['analytic_power']:.1f} "
            f"| {_share(row)} | {row['limit']} | {'yes' if row['passed'] else 'NO'} |"
        )
    return lines


def _bound(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    lines = [
        "",
        "## What three patients hold: the exact test with and without the three furthest markers",
        "",
        "Left out whatever became of them, each test at its own exact critical value.",
        "",
        "| marker | patients | ratio per SD | their share of the marker's sum of squares "
        "| exact test | without the three | lost, points |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in _names(rows, "power"):
        whole = _of(rows, name, "exact test of everybody")
        part = _of(rows, name, "exact test without the furthest")
        cell = whole["cell"]
        lines.append(
            f"| {cell['marker']} | {cell['n']} | {cell['ratio']:.3f} | {cell['weight']:.0%} "
            f"| {_share(whole)} | {_share(part)} | {100 * (whole['value'] - part['value']):.1f} |"
        )
    return lines


def _plot(rows: list[Row], file: Path) -> None:
    """Procedure against reference with both intervals; the band is five points wide."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "e03", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(6.0, 4.6), layout="constrained")
        axes = figure.subplots()
        axes.plot([35, 95], [35, 95], color="#566572", linewidth=1)
        axes.plot([35, 95], [30, 90], color="#566572", linewidth=1, linestyle=(0, (4, 2)))
        for name in _names(rows, "power"):
            seen = _of(rows, name, "claim rate of the procedure")
            known = _of(rows, name, "power of the reference")
            gap = _of(rows, name, "procedure minus reference")
            x, y = 100 * known["value"], 100 * seen["value"]
            ends = [x + 100 * gap["low"], x + 100 * gap["high"]]
            colour = _COLOURS[seen["cell"]["marker"]]
            axes.plot([x, x], ends, color=colour, linewidth=1.6)
            axes.plot(
                [x], [y], "o" if seen["cell"]["n"] == 120 else "s", color=colour, markersize=6,
                label=f"{seen['cell']['marker']}, n = {seen['cell']['n']}",
            )  # fmt: skip
        handles, labels = axes.get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))
        axes.legend(once.values(), once.keys(), frameon=False, loc="upper left")
        axes.text(
            94.5, 82, "dashed: five points below", ha="right", va="top", color="#566572", fontsize=9
        )
        axes.set_xlabel("exact test: rejected, % of cohorts")
        axes.set_ylabel("procedure: claimed, % of cohorts")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.savefig(file, format="svg", metadata={"Date": None})
