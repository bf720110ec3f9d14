"""Time survival attribution over a grid of times against survshap, on the same model and rows.

Usage::

    python -m experiments.benchmarks.attribution --only-survival

1,000 patients, 25 features, 20 horizons, a boosted Cox model, 64 background patients, one thread.
survshap explains a few patients, one at a time as it must, and is scaled to all: its time is
proportional to them. It walks as many random orders as give it our number of coalitions, then its
own default of 25. Errors are against our values at many times the budget. Where few features let
both enumerate everything, values are compared outright.
The peer lives in ``.venv-bench`` (see ``cox.py``); where it is absent this says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
HERE = Path(__file__).parent
PEER = HERE.parent.parent / ".venv-bench" / "bin" / "python"
N_PATIENTS, N_FEATURES, N_BACKGROUND = 1000, 25, 64
TIMES = tuple(np.linspace(0.1, 2.0, 20).tolist())
WANTED = 50.0


def survival(n_theirs: int) -> None:
    """Print seconds, ratios, errors and agreement."""
    run, X = fitted(N_FEATURES, n_trees=100, depth=3)
    ours(run, X[:2], X)  # compiled or loaded
    began = time.perf_counter()
    found = ours(run, X, X)
    seconds = time.perf_counter() - began
    background = chosen_background(X)
    truth = ours(run, X[:n_theirs], background, budget=2**19).values
    error = float(np.sqrt(np.square(found.values[:n_theirs] - truth).mean()))
    stated = float(np.sqrt(np.square(found.standard_error[:n_theirs]).mean()))
    print(
        f"\nsurvival over time: {N_PATIENTS:,} patients x {N_FEATURES} features x {len(TIMES)} "
        f"horizons, 100 trees of depth 3, {N_BACKGROUND} background patients, 1 thread\n"
        f"  ours {seconds:.2f} s, {found.plan.n_coalitions:,} coalitions a patient, "
        f"intervals included; additivity within {found.additivity_gap:.1e}; root mean square "
        f"error {error:.1e} (stated {stated:.1e})"
    )
    if not PEER.exists():
        print("  .venv-bench is not set up: nothing to compare with")
        return
    per_order = (N_FEATURES - 1) * N_BACKGROUND
    for label, orders in (("our number of coalitions", found.plan.n_coalitions // per_order),
                          ("its default", 25)):  # fmt: skip
        theirs, each = survshap(run, X[:n_theirs], background, "sampling", orders)
        total = N_PATIENTS * float(np.median(each))
        their_error = float(np.sqrt(np.square(theirs - truth).mean()))
        print(
            f"  survshap, {orders} orders ({label}): {total:,.0f} s, scaled from the median of "
            f"{n_theirs} patients; root mean square error {their_error:.1e}\n"
            f"  RATIO survshap / ours: {total / seconds:,.0f} (wanted >= {WANTED:g})"
        )
    agreement()


def agreement() -> None:
    """Both by full enumeration: 7 features, 40 background patients, 5 patients."""
    run, X = fitted(7, n_trees=60, depth=3)
    background = X[100:140]
    exact = ours(run, X[:5], background)
    theirs, _ = survshap(run, X[:5], background, "kernel", 1)
    gap = float(np.abs(exact.values - theirs).max())
    print(
        f"  both exact ({'all' if exact.plan.exact else 'NOT all'} coalitions of 7 features, 40 "
        f"background patients): largest difference {gap:.1e} of survival probability"
    )


def fitted(p: int, n_trees: int, depth: int) -> tuple[Any, Floats]:
    """A boosted Cox model on products and sums, and its rows."""
    from biomarker import survival_outcome
    from biomarker.features.frozen_column import ColumnPlan
    from biomarker.models import BoostedCox
    from biomarker.models.pipeline import EncodedModel
    from biomarker.parsing import ParseRule

    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_PATIENTS, p)).astype(np.float32).astype(np.float64)
    margin = X[:, 0] * X[:, 1] + 0.5 * X[:, 2] + 0.1 * X[:, 3:].sum(axis=1)
    y = survival_outcome(rng.random(len(X)) < 0.7, rng.exponential(np.exp(-margin)) + 0.01)
    plans = tuple(ColumnPlan(ParseRule(f"x{j}", "continuous")) for j in range(p))
    model = BoostedCox(n_estimators=n_trees, max_depth=depth, n_threads=1)
    return EncodedModel(plans, model).fit(X, y), X


def ours(run: Any, rows: Floats, background: Floats, **settings: Any) -> Any:
    """Our values, on the same draw of the background each time."""
    from biomarker.explain.over_time import attribute_over_time
    from biomarker.explain.scales import Scale

    return attribute_over_time(
        run, rows, Scale("survival", TIMES, "years"), background,
        rng=np.random.default_rng(7), n_background=N_BACKGROUND, **settings,
    )  # fmt: skip


def chosen_background(X: Floats) -> Floats:
    """The rows that :func:`ours` draws from X."""
    rng = np.random.default_rng(7).spawn(3)[0]
    return X[np.sort(rng.choice(len(X), N_BACKGROUND, replace=False))]


def survshap(
    run: Any, rows: Floats, background: Floats, method: str, orders: int
) -> tuple[Floats, list[float]]:
    """The peer's values (n, p, n_times) and seconds a patient."""
    model = run.model
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model.booster_.save_model(folder / "booster.ubj")
        hazard = np.interp(TIMES, model.baseline_times_, model.baseline_hazard_)
        np.savez(
            folder / "data.npz", patients=run.encode(rows), background=run.encode(background),
            times=np.array(TIMES), hazard=hazard,
        )  # fmt: skip
        settings = {
            "threads": 1, "slope": model.calibration_slope_, "center": model.margin_center_,
            "method": method, "paths": orders,
        }  # fmt: skip
        (folder / "settings.json").write_text(json.dumps(settings))
        names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
        alone = {**os.environ, **{f"{name}_NUM_THREADS": "1" for name in names}}
        subprocess.run(
            [str(PEER), str(HERE / "survshap_peer.py"), str(folder)], check=True, env=alone
        )
        return np.load(folder / "values.npy"), json.loads((folder / "seconds.json").read_text())
