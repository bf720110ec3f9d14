"""Time batches of Cox fits, max-T and concordance against loops over lifelines and R.

Usage::

    python -m experiments.benchmarks.resampling [--quick] [--json FILE]

Every library runs at one thread, on the same bootstrap draws. Loops over lifelines and R's
``coxph(formula)`` run some dozens or hundreds of the replicates and are scaled up; R's bare fitter
``coxph.fit`` (no formula, no residuals) runs them all. Times are processor time at one thread, and
a time per fit is that of the fastest chunk of calls (of the fastest whole call for ours), since a
shared machine only ever adds time. First calls, which compile, are shown apart. R is skipped with a
message where it or its survival package is absent.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "BLIS", "VECLIB")
Floats = npt.NDArray[np.float64]


def draw_cohort(n: int, seed: int = 4) -> tuple[Floats, npt.NDArray[np.bool_], Floats]:
    """Arm, marker and their product, with about 60% events."""
    rng = np.random.default_rng(seed)
    arm, marker = (rng.random(n) < 0.5).astype(float), rng.normal(size=n)
    X = np.column_stack([arm, marker, arm * marker])
    latent = rng.exponential(size=n) * np.exp(-X @ [-0.4, 0.4, 0.2])
    censoring = rng.exponential(scale=1.6, size=n)
    return X, latent <= censoring, np.minimum(latent, censoring) + 1e-9


def shortest(call: Callable[[], Any], times: int) -> tuple[float, float, Any]:
    """Seconds the first call lasts, processor seconds of the fastest later one, and the result."""
    began = time.perf_counter()
    result = call()
    first, later = time.perf_counter() - began, []
    for _ in range(times):
        began = time.process_time()
        call()
        later.append(time.process_time() - began)
    return first, min(later), result


def peer(command: list[str]) -> dict[str, Any] | str:
    """Run a peer's script, or say why it cannot run."""
    environment = {**os.environ, **{f"{name}_NUM_THREADS": "1" for name in THREADS}}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else '?'}"
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def r_command(folder: Path, n_formula: int, n_bare: int) -> list[str] | str:
    """Return R's process, or why there is none."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        return "R is not installed"
    probe = [rscript, "-e", "library(survival)"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        return "R's survival package is not installed"
    script = str(HERE / "resampling_peer.R")
    return [rscript, script, str(folder), str(n_formula), str(n_bare), "20"]


def save(folder: Path, X: Floats, event: Any, duration: Floats, weights: Any, risk: Floats) -> None:
    """Write the arrays for both peers."""
    arrays = {"X": X, "event": event, "duration": duration, "weights": weights, "risk": risk}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.array([*weights.shape, X.shape[1]], dtype="<i4").tofile(folder / "shape.i32")
    X.T.astype("<f8").tofile(folder / "X.f64")
    event.astype("<f8").tofile(folder / "event.f64")
    duration.astype("<f8").tofile(folder / "duration.f64")
    weights.astype("<i4").tofile(folder / "weights.i32")


def line(name: str, ours: float, theirs: float, wanted: float, note: str) -> dict[str, Any]:
    """Print and return one comparison."""
    ratio = theirs / ours
    verdict = "" if ratio >= wanted else " MISS"
    print(f"  {name:<28} {theirs:>10.6f} s {ratio:>8.1f}x  wanted {wanted:g}x{verdict}  {note}")
    return {"peer": name, "ours": ours, "theirs": theirs, "ratio": ratio, "wanted": wanted}


def compare_fits(quick: bool) -> tuple[list[dict[str, Any]], float]:
    """Bootstrap fits and concordance side by side; also returns one lifelines fit's seconds."""
    from biomarker.outcomes import survival_outcome
    from biomarker.survival.batched_concordance import resampled_concordance
    from biomarker.survival.batched_cox import fit_batch, resample_counts

    n, n_fits, n_index = 300, 2000, 1000
    X, event, duration = draw_cohort(n)
    y, risk = survival_outcome(event, duration), X @ [0.4, -0.4, -0.2]
    weights = resample_counts(np.random.default_rng(5), n_fits, n)
    first, warm, fit = shortest(lambda: fit_batch(X, y, weights), 30)
    pair = weights[:n_index]
    first_index, warm_index, index = shortest(lambda: resampled_concordance(y, risk, pair), 30)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(folder, X, event, duration, weights, risk)
        script = str(HERE / "resampling_peer.py")
        few, many = (20, 100) if quick else (60, n_index)
        lifelines = peer([sys.executable, script, str(folder), str(few), str(many), "10"])
        if isinstance(lifelines, str):
            sys.exit(f"lifelines {lifelines}")
        asked = r_command(folder, 100 if quick else 200, n_fits)
        r = asked if isinstance(asked, str) else peer(asked)
    # Once more, so that a machine busy at the start does not decide.
    warm = min(warm, shortest(lambda: fit_batch(X, y, weights), 30)[1])
    each = warm / n_fits
    print(f"\n{n_fits} bootstrap fits, n = {n}, p = 3, {event.mean():.0%} events, Efron, 1 thread")
    print(
        f"  ours: {1e6 * each:.1f} us a fit, warm; first call, compiling: {first:.1f} s; ", end=""
    )
    print(f"{fit.converged.sum()} of {n_fits} converged")
    gap = np.max(np.abs(np.array(lifelines["coef"]) - fit.coefficients[:5]))
    lifelines_fit = min(lifelines["fits"])
    note = f"scaled from {few} fits; coefficients differ by {gap:.1e}"
    rows.append(line("lifelines loop", each, lifelines_fit, 1000, note))
    if isinstance(r, str):
        print(f"  R: skipped: {r}")
    else:
        coef = np.array(r["coef"]).reshape(-1, 3)
        height = np.array(r["log_likelihood"]).reshape(-1, 2)
        gap = np.max(np.abs(coef - fit.coefficients[: len(coef)]))
        ours = np.column_stack([fit.log_likelihood_null, fit.log_likelihood])[: len(coef)]
        note = f"scaled from {len(coef)} fits; coefficients differ by {gap:.1e}, "
        note += f"log-likelihoods by {np.max(np.abs(height - ours)):.1e} (wanted 1e-9)"
        rows.append(line("R coxph(formula) loop", each, min(r["formula"]), 90, note))
        rows.append(line("R coxph.fit loop", each, min(r["bare"]), 8, "all fits"))
    print(f"\n{n_index} bootstrap concordance indices, n = {n}, one thread")
    each = warm_index / n_index
    print(f"  ours: {1e6 * each:.1f} us an index, warm; first call, compiling: {first_index:.1f} s")
    equal = np.array_equal(index.value[: len(lifelines["values"])], lifelines["values"])
    note = f"{'exactly equal' if equal else 'NOT EQUAL'} over {len(lifelines['values'])}"
    rows.append(line("lifelines loop", each, min(lifelines["concordance"]), 200, note))
    return rows, lifelines_fit


def compare_max_t(lifelines_fit: float, quick: bool) -> list[dict[str, Any]]:
    """Interaction statistics of 50 markers over 2000 null outcomes, null model refitted to each."""
    from biomarker.outcomes import survival_outcome
    from biomarker.resampling import spawn
    from biomarker.survival.null_outcomes import NullModel
    from biomarker.survival.score_statistics import nested_statistics, score_statistics

    n, n_markers, n_draws = 300, 50, 2000
    X, event, duration = draw_cohort(n)
    y, arm = survival_outcome(event, duration), X[:, 0]
    markers = np.random.default_rng(6).normal(size=(n, n_markers))
    designs = [np.column_stack([arm, m, arm * m]) for m in markers.T]
    null = NullModel.fit(arm[:, None], y, censoring_by=arm)
    began = time.perf_counter()
    times, events = null.draw(spawn(1, "max-T"), n_draws)
    drawing = time.perf_counter() - began
    orders = np.array([spawn(2, b).permutation(n) for b in range(n_draws)])
    print(f"\nmax-T: {n_markers} markers x {n_draws} resamples, n = {n}, one thread")
    print(f"  drawing the {n_draws} outcomes took {drawing:.3f} s")
    rows = []
    calls: dict[str, Callable[[], Any]] = {
        "interaction, likelihood ratio": lambda: nested_statistics(
            designs, times, events, n_null=2
        ),
        "interaction, score": lambda: nested_statistics(
            designs, times, events, n_null=2, statistic="score"
        ),
        "marker, score, permuted": lambda: score_statistics(
            markers, y, covariates=arm[:, None], orders=orders
        ),
    }
    for name, call in calls.items():
        _, seconds, found = shortest(call, 1 if quick else 3)
        cost = seconds / (n_markers * lifelines_fit)
        each = 1e6 * seconds / (n_markers * n_draws)
        failed = int(np.count_nonzero(found.reason))
        print(f"  {name:<30} {seconds:>7.3f} s, {each:>5.1f} us each, {failed} failed: ", end="")
        print(f"{cost:.2f}x {n_markers} lifelines fits, wanted <= 20x{' MISS' * (cost > 20)}")
        rows.append({"max_t": name, "seconds": seconds, "lifelines_fits": cost, "wanted": 20})
    return rows


def growth(quick: bool) -> list[dict[str, Any]]:
    """Cost in the number of replicates and of patients: even last columns mean as promised."""
    from biomarker.outcomes import survival_outcome
    from biomarker.survival.batched_concordance import resampled_concordance
    from biomarker.survival.batched_cox import fit_batch, fit_batch_outcomes, resample_counts

    rows = []
    X, event, duration = draw_cohort(300)
    y = survival_outcome(event, duration)
    print("\nbootstrap fits, n = 300, p = 3: growth with the number of replicates B")
    for b in (500, 1000, 2000, 4000, 8000):
        weights = resample_counts(np.random.default_rng(7), b, 300)
        _, seconds, _ = shortest(lambda w=weights: fit_batch(X, y, w), 5)
        print(f"  B = {b:>6,} {seconds:>9.4f} s {1e6 * seconds / b:>8.2f} us a fit")
        rows.append({"n": 300, "replicates": b, "fit_seconds": seconds})
    print("\ngrowth with the number of patients n: us per replicate, and ns per n log2 n")
    print(f"  {'n':>8} {'bootstrap fit':>22} {'redrawn outcome fit':>22} {'concordance':>22}")
    for n in (1_000, 10_000) if quick else (300, 1_000, 3_000, 10_000, 30_000, 100_000):
        X, event, duration = draw_cohort(n)
        y = survival_outcome(event, duration)
        b = max(4, min(500, 600_000 // n))
        weights = resample_counts(np.random.default_rng(8), b, n)
        rng = np.random.default_rng(9)
        times = rng.exponential(size=(b, n))
        events = rng.random((b, n)) < 0.6
        calls: list[Callable[[], Any]] = [
            lambda X=X, y=y, w=weights: fit_batch(X, y, w, start=np.zeros(3)),
            lambda X=X, t=times, e=events: fit_batch_outcomes(X, t, e, n_null=2),
            lambda X=X, y=y, w=weights: resampled_concordance(y, X[:, 1], w),
        ]
        seconds = [shortest(call, 5)[1] / b for call in calls]
        unit = 1e9 / (n * np.log2(n))
        print(f"  {n:>8,}", *(f"{1e6 * s:>12.1f} {unit * s:>9.2f}" for s in seconds))
        rows.append({"n": n, "replicates": b, "seconds_each": seconds})
    return rows


def main() -> None:
    """Run the comparisons and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer of the peers' replicates")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        # An empty cache, so that first calls show what compiling costs.
        os.environ["NUMBA_CACHE_DIR"] = cache
        rows = run_all(options.quick)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def run_all(quick: bool) -> dict[str, Any]:
    """Run every comparison."""
    compared, lifelines_fit = compare_fits(quick)
    return {
        "compared": compared,
        "max_t": compare_max_t(lifelines_fit, quick),
        "growth": growth(quick),
    }


if __name__ == "__main__":
    main()
