"""The script MLflow runs to serve a bundle: loads it, scores a frame, keeps ids."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

# Compiled code is kept with the user, never beside the model: a store holds no pickled file.
_CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
os.environ.setdefault("NUMBA_CACHE_DIR", str(_CACHES / "biomarker-numba"))

from pipelines.bundle import load_bundle  # noqa: E402
from pipelines.scoring import score_table, table_from_frame  # noqa: E402


class ServedBundle(PythonModel):
    """A bundle behind MLflow's ``predict``: one output row per input row, ids first."""

    def load_context(self, context: Any) -> None:
        """Verify and load the bundle among the model's artifacts."""
        self.bundle = load_bundle(context.artifacts["bundle"])

    # A plain DataFrame is the one annotation with which MLflow neither checks rows against the
    # hint (its errors print them) nor warns that there is none.
    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score a pandas frame; columns the study does not declare are left aside."""
        table = table_from_frame(model_input)
        scores = score_table(self.bundle, table, allow_undeclared=True).table
        frame = scores.to_pandas()
        for name, column in zip(scores.column_names, scores.columns, strict=True):
            if column.null_count:
                # NaN is no JSON: the server would send it as it is, and few clients read it.
                frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
        return frame


set_model(ServedBundle())
