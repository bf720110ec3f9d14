"""Explain some patients with survshap and save values and seconds.

Run by ``attribution.py`` in the environment that holds survshap:
``python survshap_peer.py FOLDER``.
``FOLDER`` holds the booster, the rest of its curve, patients and background, and ``settings.json``.
The model is offered in the fastest form the package takes: one booster call for all rows, and
curves already at the wanted times.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from sksurv.util import Surv
from survshap import PredictSurvSHAP, SurvivalModelExplainer


class Curve:
    """A patient's survival, known at the wanted times only."""

    def __init__(self, times, values):
        self.x, self.y = times, values

    def __call__(self, times):
        """Values at the only times there are."""
        return self.y


def main() -> None:
    """Time each method asked for."""
    folder = Path(sys.argv[1])
    settings = json.loads((folder / "settings.json").read_text())
    data = np.load(folder / "data.npz")
    times, hazard = data["times"], data["hazard"]
    booster = xgboost.Booster({"nthread": settings["threads"]})
    booster.load_model(folder / "booster.ubj")

    def curves(model, frame):
        rows = np.ascontiguousarray(frame, dtype=np.float32)
        margin = booster.inplace_predict(rows, predict_type="margin", validate_features=False)
        relative = np.exp(settings["slope"] * (margin.astype(np.float64) - settings["center"]))
        return [Curve(times, row) for row in np.exp(-relative[:, None] * hazard)]

    names = [f"x{j}" for j in range(data["patients"].shape[1])]
    background = pd.DataFrame(data["background"], columns=names)
    outcome = Surv.from_arrays(np.ones(len(background), bool), np.ones(len(background)))
    explainer = SurvivalModelExplainer(None, background, outcome, predict_survival_function=curves)
    values, seconds = [], []
    warnings.simplefilter("ignore")
    for row in data["patients"]:
        patient = pd.DataFrame([row], columns=names)
        shap = PredictSurvSHAP(
            calculation_method=settings["method"], B=settings["paths"], random_state=0
        )
        began = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):
            shap.fit(explainer, patient, timestamps=times)
        seconds.append(time.perf_counter() - began)
        found = shap.result[shap.result["B"] == 0].set_index("variable_name").loc[names]
        values.append(found.filter(like="t = ").to_numpy(dtype=np.float64))
    np.save(folder / "values.npy", np.array(values))
    (folder / "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()
