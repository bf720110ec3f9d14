"""The main job on three cohorts, as a user would run it: ``make demo``."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

OUT = Path("demo-output")
STORE = OUT / "runs"
PATIENTS, HELD_OUT, SEED = 700, 200, 20


def main() -> None:
    """Train on ACTG175, GBSG2 and a synthetic IL-2 cohort; score held-out patients."""
    began = time.monotonic()
    data = OUT / "data"
    shutil.rmtree(OUT, ignore_errors=True)
    data.mkdir(parents=True)
    shipped = resources.files("lifelines").joinpath("datasets")
    for name, target in (("ACTG175.csv", "actg175.csv"), ("gbsg2.csv", "gbsg2.csv")):
        (data / target).write_bytes(shipped.joinpath(name).read_bytes())
    simulated = data / "simulated.csv"
    run("simulate", "il2-rcc", "--patients", str(PATIENTS), "--seed", str(SEED),
        "--out", str(simulated), "--truth", str(data / "truth.parquet"))  # fmt: skip
    hold_out(simulated, data / "il2.csv", OUT / "held_out.csv")
    il2_study = data / "simulated.study.toml"

    for name, study in (("gbsg2", "gbsg2"), ("actg175", "actg175"), ("il2", str(il2_study))):
        extra = ["--endpoint", "os", "--endpoint", "response"] if name == "il2" else []
        run("train", str(data / f"{name}.csv"), "--study", study, "--out", str(OUT / name),
            "--store", str(STORE), "--refits", "60", *extra)  # fmt: skip
    run("promote", "il2-rcc-os", "--store", str(STORE))
    run("score", str(OUT / "held_out.csv"), "--model", "models:/il2-rcc-os@champion",
        "--store", str(STORE), "--drivers", "3", "--out", str(OUT / "scores.parquet"))  # fmt: skip
    tell(time.monotonic() - began)


def hold_out(simulated: Path, train: Path, held_out: Path) -> None:
    """Split a simulated file: the last patients are kept from training."""
    header, *lines = simulated.read_text("utf-8").splitlines(keepends=True)
    train.write_text(header + "".join(lines[:-HELD_OUT]), "utf-8")
    held_out.write_text(header + "".join(lines[-HELD_OUT:]), "utf-8")


def run(*words: str) -> None:
    """Show a command, run it, and stop the demo where it fails."""
    print(f"\n$ biomarker {' '.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "pipelines.cli", *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def tell(seconds: float) -> None:
    """Say where everything is and what to try next."""
    print(f"\nDone in {seconds:.0f} s.\n")
    for name in ("gbsg2", "actg175", "il2"):
        print(f"  report   {OUT / name / 'report.html'}")
    print(f"  scores   {OUT / 'scores.parquet'} (from {OUT / 'held_out.csv'})")
    print(f"  runs     biomarker ui --store {STORE}")
    print("\nTry next:")
    print(f"  biomarker inspect models:/gbsg2-rfs@candidate --store {STORE}")
    print("  biomarker study --from YOUR.csv --out your.toml")
    print("  biomarker train YOUR.csv --study your.toml")


if __name__ == "__main__":
    main()
