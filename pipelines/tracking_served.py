"""A bundle as MLflow serves it: models from code, with a signature and a made-up example."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

from pipelines.tracking_store import quiet_mlflow

__all__ = ["serving_requirements", "write_served_model"]

_EXAMPLE, _SERVED_EXAMPLE = "input_example.json", "serving_input_example.json"

_SERVING = (
    "mlflow",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "scikit-learn",
    "scipy",
    "xgboost-cpu",
)


def serving_requirements() -> list[str]:
    """What scoring needs, pinned to what is installed; never this project's own name."""
    pins = []
    for name in _SERVING:
        try:
            pins.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            pins.append(f"xgboost=={metadata.version('xgboost')}")
    return pins


def write_served_model(
    folder: Path, bundle: Path, model_id: str, run_id: str, location: str
) -> None:
    """Save the models-from-code pyfunc, then take this machine's paths out of it.

    Parameters
    ----------
    folder : path
        Made here.
    bundle : path
    model_id, run_id, location : str
        Of the logged model.
    """
    quiet_mlflow()
    import yaml
    from mlflow.models import Model

    here = Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as scratch:
        code = []
        for package in (here.parent / "biomarker", here):
            target = Path(scratch) / package.name
            shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__", "*.nb?"))
            code.append(str(target))
        named = Path(scratch) / "bundle"
        shutil.copytree(bundle, named)
        with warnings.catch_warnings():
            # MLflow asks for an input example, which it would predict; ours is written below.
            warnings.simplefilter("ignore", UserWarning)
            import mlflow.pyfunc

            mlflow.pyfunc.save_model(
                path=str(folder),
                python_model=str(here / "served_model.py"),
                artifacts={"bundle": str(named)},
                code_paths=code,
                signature=_signature(bundle),
                pip_requirements=serving_requirements(),
                mlflow_model=Model(
                    artifact_path=location, run_id=run_id, model_uuid=model_id, model_id=model_id
                ),
            )
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    example = _example(bundle)
    _write_json(folder / _EXAMPLE, example)
    _write_json(folder / _SERVED_EXAMPLE, {"dataframe_split": example})
    listing = folder / "MLmodel"
    content = yaml.safe_load(listing.read_text("utf-8"))
    flavor = content["flavors"]["python_function"]
    flavor["model_code_path"] = "served_model.py"
    for artifact in flavor.get("artifacts", {}).values():
        artifact["uri"] = artifact["path"]
    content["saved_input_example_info"] = {
        "artifact_path": _EXAMPLE,
        "pandas_orient": "split",
        "serving_input_path": _SERVED_EXAMPLE,
        "type": "dataframe",
    }
    content["artifact_path"] = f"models:/{model_id}"
    listing.write_text(yaml.safe_dump(content, sort_keys=True), "utf-8")


def _signature(bundle: Path) -> Any:
    """Inputs by name, of any type (the bundle validates them, and never prints a value)."""
    from mlflow.models.signature import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    from pipelines.bundle import load_bundle

    loaded = load_bundle(bundle)
    names = [column.name for column in loaded.encoder.columns]
    optional_id = loaded.id_column
    inputs = [ColSpec(AnyType(), name=name, required=False) for name in names]
    if optional_id is not None:
        inputs.insert(0, ColSpec(AnyType(), name=optional_id, required=False))
    id_kind = "long" if optional_id is None else "string"
    outputs = [ColSpec(id_kind, name=optional_id or "row")]
    outputs += [ColSpec("double", name=name) for name in loaded.number_names]
    outputs += [ColSpec("string", name=name) for name in ("status", "reason")]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _example(bundle: Path) -> dict[str, Any]:
    """One made-up patient: first levels, and typical values rounded until they are nobody's."""
    from pipelines.bundle import load_bundle

    loaded = load_bundle(bundle)
    columns: list[str] = []
    values: list[Any] = []
    if loaded.id_column is not None:
        columns.append(loaded.id_column)
        values.append("example")
    for column in loaded.encoder.columns:
        rule = column.plan.rule
        columns.append(rule.column)
        values.append(rule.levels[0] if rule.levels else _round(column.fill, rule.range))
    return {"columns": columns, "data": [values]}


def _round(typical: float, allowed: tuple[float, float] | None) -> float:
    """One significant digit, within what the study allows."""
    value = float(f"{typical:.1g}")
    return value if allowed is None else min(max(value, allowed[0]), allowed[1])


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), "utf-8")
