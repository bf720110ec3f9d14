"""Time one Efron Cox fit against lifelines, scikit-survival and R's coxph on the same arrays.

Usage::

    python experiments/benchmarks/cox.py [--threads 2] [--quick] [--json FILE]

Every library runs in a process of its own with the same number of BLAS threads allowed; our fit
uses one. The peers live in ``.venv-bench`` (``python3 -m venv .venv-bench``, then
``.venv-bench/bin/pip install --require-hashes -r requirements/bench.txt``); a peer that is absent,
or R without its survival package, is skipped with a message. A time is the shortest of the calls
after the first; the peers' are at their default, looser tolerance, ours always at 1e-10.
Coefficients are compared at tight tolerances.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ("lifelines", "sksurv", "R")
WANTED = {
    ("continuous", 100_000): {"lifelines": 20.0, "sksurv": 15.0, "R": 3.0},
    ("tied", 100_000): {"lifelines": 1.0, "R": 3.0},
    ("continuous", 1_000): {"lifelines": 15.0},
}


def write_cohort(folder: Path, times: str, n: int, p: int = 20, seed: int = 20) -> None:
    """Save a cohort with proportional hazards, about 55% events; tied means about 120 times."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    X[:, : p // 4] = rng.random((n, p // 4)) < 0.4
    risk = X @ rng.normal(scale=0.25, size=p)
    latent = rng.exponential(size=n) * np.exp(-risk)
    censoring = rng.exponential(scale=1.5, size=n)
    event, duration = latent <= censoring, np.minimum(latent, censoring) + 1e-9
    if times == "tied":
        duration = np.ceil(np.minimum(duration, 4.0) * 30)
    np.save(folder / "X.npy", X)
    np.save(folder / "event.npy", event)
    np.save(folder / "duration.npy", duration)
    np.array(X.shape, dtype="<i4").tofile(folder / "shape.i32")
    X.T.astype("<f8").tofile(folder / "X.f64")
    event.astype("<f8").tofile(folder / "event.f64")
    duration.astype("<f8").tofile(folder / "duration.f64")


def command(library: str, folder: Path, repeats: int) -> list[str] | str:
    """Return the process that times one library, or why there is none."""
    if library == "R":
        rscript = shutil.which("Rscript")
        if rscript is None:
            return "R is not installed"
        probe = [rscript, "-e", "library(survival)"]
        if subprocess.run(probe, capture_output=True, check=False).returncode:
            return "R's survival package is not installed"
        return [rscript, str(HERE / "cox_peer.R"), str(folder), str(repeats)]
    python = Path(sys.executable)
    if library != "ours":
        python = ROOT / ".venv-bench" / "bin" / "python"
        if not python.exists():
            return ".venv-bench is not set up"
    return [str(python), str(HERE / "cox_peer.py"), library, str(folder), str(repeats)]


def run(library: str, folder: Path, repeats: int, threads: int) -> dict[str, Any] | str:
    """Time one library on one saved cohort."""
    asked = command(library, folder, repeats)
    if isinstance(asked, str):
        return asked
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA", "BLIS", "VECLIB")
    environment = {**os.environ, **{f"{name}_NUM_THREADS": str(threads) for name in names}}
    if library == "ours":
        # An empty cache, so that the first call shows what compiling costs.
        environment["NUMBA_CACHE_DIR"] = str(folder / "numba")
        environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(asked, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else '?'}"
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    seconds = result["seconds"]
    result["first"] = seconds[0]
    result["warm"] = min(seconds[1:] or seconds)
    return result


def compare(times: str, n: int, threads: int, slow: int = 2) -> list[dict[str, Any]]:
    """Time every library on one cohort and print its rows."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cohort(folder, times, n)
        mine = run("ours", folder, 11 if n <= 10_000 else 5, threads)
        if isinstance(mine, str):
            sys.exit(f"our own fit {mine}")
        print(f"\n{times} times, n = {n:,}, p = 20")
        print(f"  {'library':<10} {'warm s':>10} {'ratio':>8} {'wanted':>7}  largest difference")
        print(
            f"  {'ours':<10} {mine['warm']:>10.5f}   (first call, compiling: {mine['first']:.2f} s)"
        )
        for library in PEERS:
            repeats = 11 if n <= 10_000 else {"R": 5}.get(library, slow)
            peer = run(library, folder, repeats, threads)
            if isinstance(peer, str):
                print(f"  {library:<10} skipped: {peer}")
                continue
            ratio = peer["warm"] / mine["warm"]
            gap = float(np.max(np.abs(np.subtract(peer["coef"], mine["coef"]))))
            wanted = WANTED.get((times, n), {}).get(library)
            mark = "" if wanted is None else f"{wanted:.0f}x" + ("" if ratio >= wanted else " MISS")
            print(f"  {library:<10} {peer['warm']:>10.5f} {ratio:>7.1f}x {mark:>7}  {gap:.1e}")
            rows.append(
                {"times": times, "n": n, "peer": library, "ratio": ratio, "wanted": wanted}
                | {"ours": mine["warm"], "theirs": peer["warm"], "difference": gap}
            )
    return rows


def growth(threads: int) -> list[dict[str, Any]]:
    """Print how our own time grows with n; n log n means an even last column."""
    print("\ncontinuous times, our fit alone")
    print(f"  {'n':>10} {'warm s':>10} {'ns / (n log2 n)':>16}")
    rows = []
    for n in (1_000, 10_000, 100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_cohort(folder, "continuous", n)
            mine = run("ours", folder, 4 if n >= 1_000_000 else 8, threads)
        if isinstance(mine, str):
            print(f"  {n:>10,} {mine}")
            continue
        unit = 1e9 * mine["warm"] / (n * np.log2(n))
        print(f"  {n:>10,} {mine['warm']:>10.5f} {unit:>16.1f}")
        rows.append({"n": n, "seconds": mine["warm"], "per_n_log_n": unit})
    return rows


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="BLAS threads for every library")
    parser.add_argument("--quick", action="store_true", help="only n = 1,000")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    print(f"One Efron Cox fit; {options.threads} BLAS thread(s) allowed to every library.")
    rows = compare("continuous", 1_000, options.threads)
    grown: list[dict[str, Any]] = []
    if not options.quick:
        rows += compare("tied", 100_000, options.threads, slow=4)
        rows += compare("continuous", 100_000, options.threads, slow=2)
        grown = growth(options.threads)
    if options.json is not None:
        text = json.dumps({"threads": options.threads, "compared": rows, "growth": grown}, indent=1)
        options.json.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
