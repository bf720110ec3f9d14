"""Versions of what decides the numbers, here and on workers."""

from __future__ import annotations

import platform
from importlib import metadata

__all__ = ["software_versions"]


def software_versions() -> dict[str, str]:
    """Versions that decide the numbers."""
    names = ("lifelines", "mlflow", "numba", "numpy", "pandas", "pyarrow", "scikit-learn")
    found = {"python": platform.python_version()}
    for name in (*names, "scipy", "shap", "xgboost-cpu", "xgboost", "biomarker-response"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
