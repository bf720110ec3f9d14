"""The wheel stands on its own."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from this tree without network."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", str(out), str(ROOT)], check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_ships_three_packages_and_their_data(wheel):
    """Experiments and tests stay in the checkout; studies and templates travel."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"biomarker", "pipelines", "synthetic_data"}
    assert "pipelines/studies/il2.toml" in names
    assert any(name.startswith("pipelines/report/templates/") for name in names)
    assert any(name.startswith("synthetic_data/studies/") for name in names)
    assert any(name.endswith("entry_points.txt") for name in names)


def test_the_installed_wheel_scores_a_file_elsewhere(wheel, tmp_path):
    """Installed into an empty folder, away from the checkout, it simulates, trains and scores."""
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", str(site)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import pipelines; assert pipelines.__file__.startswith(sys.argv[1])\n"
        "from pipelines.simulate import write_cohort\n"
        "written = write_cohort('il2-rcc', 120, 3, [], 'c.csv')\n"
        "result = pipelines.train('c.csv', written['study'], models=['cox'], endpoints=['os'],\n"
        "    folds=2, repeats=1, inner_folds=2, jobs=1, out='out', store='runs')\n"
        "scored = pipelines.score('c.csv', result.bundles['os-cox'], out='s.parquet')\n"
        "assert scored.table.num_rows == 120\n"
    )
    subprocess.run([sys.executable, "-I", "-c", script, str(site)], check=True, cwd=tmp_path)
    assert (tmp_path / "s.parquet").exists()
