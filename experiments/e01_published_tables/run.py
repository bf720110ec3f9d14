"""Hold synthetic cohorts against the published tables, and the generator against its controls.

``python experiments/e01_published_tables/run.py --replicates 500`` writes ``results/*.csv``, the
page ``docs/published_tables.md`` and its plot. The analyses are the generator's own plain NumPy
ones; nothing here uses the estimators that synthetic cohorts later judge.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from page import write_page
from panels import draw_panels
from scipy.stats import kstest

from experiments.e01_published_tables.batched_cox import interaction_p
from synthetic_data.blocks import draw_block
from synthetic_data.exact_targets import exact_table
from synthetic_data.outcomes import marker_scores
from synthetic_data.plan import plan_for
from synthetic_data.replicate_targets import judge, replicate, stochastic_checks

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SIZE = 700
SEED = 500_000


def main() -> None:
    """Run every check, write tables, plot and page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--replicates", type=int, default=500)
    options.add_argument("--cohorts", type=int, default=2000)
    options.add_argument("--docs", type=Path, default=HERE.parents[1] / "docs")
    options.add_argument("--page-only", action="store_true", help="write the page from results/")
    chosen = options.parse_args()
    if chosen.page_only:
        # "null" is the name of a truth, not a missing value
        tables = [
            pd.read_csv(RESULTS / f"{k}.csv", keep_default_na=False, na_values=[""])
            for k in ("exact", "replicates", "controls")
        ]
        write_page(*tables, chosen.docs / "published_tables.md")
        return
    RESULTS.mkdir(exist_ok=True)
    exact = exact_table()
    exact.to_csv(RESULTS / "exact.csv", index=False)
    print(f"exact: {int(exact['holds'].sum())} of {len(exact)} figures hold")
    verdicts, values = [], []
    for check in stochastic_checks():
        began = time.perf_counter()
        figures = replicate(check, chosen.replicates, SEED)
        verdicts.append(judge(check, figures).assign(replicates=len(figures)))
        values.append((check, figures))
        held = verdicts[-1]["holds"]
        print(
            f"{check.target:4} {check.recipe:16} {int(held.sum())} of {len(held)} hold, "
            f"{len(figures)} replicates, {time.perf_counter() - began:.0f} s",
            flush=True,
        )
    table = pd.concat(verdicts, ignore_index=True)
    table.to_csv(RESULTS / "replicates.csv", index=False, float_format="%.6g")
    controls = run_controls(chosen.cohorts)
    controls.to_csv(RESULTS / "controls.csv", index=False, float_format="%.6g")
    print(controls.to_string(index=False))
    draw_panels(values, chosen.docs / "published_tables.png")
    write_page(exact, table, controls, chosen.docs / "published_tables.md")


def run_controls(n_cohorts: int) -> pd.DataFrame:
    """Interaction p-values of cohorts of 700 under null, prognostic-only and predictive truths."""
    rows = []
    for mode, effects in (
        ("null", None),
        ("prognostic-only", {"vegf": "prognostic:0.7"}),
        ("predictive", {"vegf": "predictive:0.5"}),
    ):
        plan = plan_for("il2-rcc", n_cohorts * SIZE, 900_001, effects, complete=True)
        for marker, p in p_values(plan, n_cohorts).items():
            uniform = kstest(p, "uniform").pvalue
            rows.append((mode, marker, n_cohorts, float((p < 0.05).mean()), float(uniform)))
        print(f"controls: {mode} done", flush=True)
    return pd.DataFrame(rows, columns=["truth", "marker", "cohorts", "rejected", "ks_p"])


def p_values(plan: object, n_cohorts: int) -> dict[str, np.ndarray]:
    """Interaction p of every marker in each cohort of 700 cut from a long stream of patients."""
    parts: dict[str, list[np.ndarray]] = {}
    for index in range(plan.n_blocks):
        block = draw_block(plan, index)
        for name, z in marker_scores(block.measured, plan.design["markers"]).items():
            parts.setdefault(name, []).append(z)
        parts.setdefault("arm", []).append(block.treated.astype(np.float64))
        for name in ("os_months", "os_event"):
            parts.setdefault(name, []).append(np.asarray(block.observed[name], dtype=float))
    whole = {k: np.concatenate(v).reshape(n_cohorts, SIZE) for k, v in parts.items()}
    fixed = ("arm", "os_months", "os_event")
    return {
        marker: np.concatenate(
            [
                interaction_p(
                    whole["arm"][cut], z[cut], whole["os_months"][cut], whole["os_event"][cut]
                )
                for cut in np.array_split(np.arange(n_cohorts), max(1, n_cohorts // 250))
            ]
        )
        for marker, z in whole.items()
        if marker not in fixed
    }


if __name__ == "__main__":
    main()
