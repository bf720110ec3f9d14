"""The results page: a table a row of the threats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["LIMITS", "write_page"]

# (cell, measure): the rule, as words and as a test of the share.
LIMITS: dict[tuple[str, str], tuple[str, Any]] = {
    ("null-cox", "shown"): ("at most 6%", lambda share: share <= 0.06),
    ("null-cox-treated", "shown"): ("at most 6%", lambda share: share <= 0.06),
    ("null-boosted", "shown"): ("at most 6%", lambda share: share <= 0.06),
    ("true-cox", "true driver shown"): ("at least 90%", lambda share: share >= 0.90),
    ("true-boosted", "true driver shown"): ("at least 90%", lambda share: share >= 0.90),
    ("proxies-cox", "a single column named first"): ("never", lambda share: share == 0.0),
    ("proxies-cox", "proxies read as one"): ("always", lambda share: share == 1.0),
    ("proxies-boosted", "a single column named first"): ("never", lambda share: share == 0.0),
    ("proxies-boosted", "proxies read as one"): ("always", lambda share: share == 1.0),
    ("proxies-cox-loose", "a proxy named first"): ("at most 5%", lambda share: share <= 0.05),
    ("single-cox", "a proxy named first"): ("at least 90%", lambda share: share >= 0.90),
}
# Cohorts that the rule asks for; a share of fewer is no verdict yet.
_WANTED = {"null-cox": 500, "null-cox-treated": 500}
_TITLES = {
    "Row 19: three proxies of one cause": (
        "proxies-cox", "proxies-boosted", "proxies-cox-loose", "single-cox",
    ),
    "Row 20: nothing to find, and something": (
        "null-cox", "null-cox-treated", "true-cox", "null-boosted", "true-boosted",
    ),
}  # fmt: skip


def write_page(results: Path) -> None:
    """Write ``results/README.md`` from the cells that are there."""
    kept = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    if not kept:
        return
    lines = ["# e05 · results", "", "Made by `run.py`; intervals are exact binomial, 95%.", ""]
    for title, names in _TITLES.items():
        part = [name for name in names if name in kept]
        if not part:
            continue
        rows = [row for name in part for row in _rows(name, kept[name])]
        judged = [row for row in rows if row[-1] in ("yes", "**no**")]
        passed = sum(row[-1] == "yes" for row in judged)
        lines += [f"## {title}", "", f"{passed} of {len(judged)} figures within their limits.", ""]
        lines += ["| cell | measure | share | 95% interval | cohorts | limit | |"]
        lines += ["|---|---|---|---|---|---|---|"]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
        lines += ["", *(f"- `{name}`: `{kept[name]['design']}`" for name in part), ""]
    (results / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def _rows(name: str, kept: dict[str, Any]) -> list[list[str]]:
    """One row a measure."""
    from scipy.stats import binomtest

    rows = []
    for measure, count in kept["counts"].items():
        exact = binomtest(count, kept["n"]).proportion_ci()
        share = count / kept["n"]
        words, holds = LIMITS.get((name, measure), ("reported", None))
        mark = "" if holds is None else ("yes" if holds(share) else "**no**")
        if mark and kept["n"] < _WANTED.get(name, 0):
            mark = f"unfinished: {kept['n']} of {_WANTED[name]}"
        rows.append(
            [name, measure, f"{share:.3f}", f"{exact.low:.3f} to {exact.high:.3f}",
             f"{kept['n']:,}", words, mark]
        )  # fmt: skip
    return rows
