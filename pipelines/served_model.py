"""The script MLflow runs to serve a bundle: loads it, scores a frame, keeps ids."""

import warnings

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from pipelines.bundle import load_bundle
from pipelines.score import score_table, table_from_frame

with warnings.catch_warnings():
    # MLflow suggests type hints on predict; with them it would check, and print, patient rows.
    warnings.simplefilter("ignore", UserWarning)

    class ServedBundle(PythonModel):
        """A bundle behind MLflow's ``predict``: one output row per input row, ids first."""

        def load_context(self, context):  # type: ignore[no-untyped-def]  # read as a schema otherwise
            """Verify and load the bundle among the model's artifacts."""
            self.bundle = load_bundle(context.artifacts["bundle"])

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # as above
            """Score a pandas frame; columns the study does not declare are left aside."""
            table = table_from_frame(model_input)
            return score_table(self.bundle, table, allow_undeclared=True).table.to_pandas()


set_model(ServedBundle())
