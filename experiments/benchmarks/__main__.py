"""Run every benchmark in turn: ``make bench``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run each script as its own process; a failing one is said at the end."""
    names = sorted(
        file.stem
        for file in HERE.glob("*.py")
        if not file.stem.startswith("_") and not file.stem.endswith("_peer")
    )
    failed = []
    for name in names:
        print(f"\n== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"experiments.benchmarks.{name}"], check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
