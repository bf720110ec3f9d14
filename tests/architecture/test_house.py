"""Who may import whom, and what importing must not do."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = sorted((ROOT / "biomarker").rglob("*.py"))
OURS = [
    file
    for package in ("biomarker", "pipelines", "synthetic_data")
    for file in sorted((ROOT / package).rglob("*.py"))
]
HEAVY = [
    *("numpy", "pandas", "sklearn", "numba", "xgboost"),
    *("lifelines", "shap", "matplotlib", "mlflow", "pyarrow"),
]


def test_import_contracts_hold():
    """The layers, and the single rooms that may import mlflow, shap and matplotlib."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", ["biomarker", "pipelines", "synthetic_data"])
def test_importing_a_package_loads_nothing_heavy(package):
    """numpy, pandas, mlflow and the like come with the first use, not with the import."""
    script = f"import sys, {package}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_library_opens_no_file():
    """Biomarker takes tables and gives estimates; paths belong to pipelines."""
    for file in LIBRARY:
        tree = ast.parse(file.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "open", file
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
                assert not {"pathlib", "os", "shutil", "tempfile"} & set(names), file


def test_nothing_unpickles():
    """No load path can run code: pickle and its kin are imported nowhere."""
    for file in OURS:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            assert not {"pickle", "cloudpickle", "dill", "marshal", "shelve"} & set(names), file
            if isinstance(node, ast.ImportFrom) and node.module == "joblib":
                assert not {"load", "dump"} & {a.name for a in node.names}, file


def test_the_architecture_page_lists_every_file_as_it_describes_itself():
    """The next person finds the file in one hop; each file says in a sentence what it is for."""
    from experiments.architecture_page import PAGE, first_sentence, page

    assert PAGE.read_text("utf-8") == page(), "run: python -m experiments.architecture_page"
    assert all(first_sentence(file) for file in OURS)


def test_no_committed_text_names_a_registry_or_this_machine():
    """Locks carry hashes, not hosts."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in listed:
        if name.startswith("requirements/"):
            text = (ROOT / name).read_text("utf-8")
            assert "://" not in text, name
            assert "index-url" not in text, name
