"""Time one Cox fitter on saved arrays and print the result as one line of JSON.

Run by ``cox.py`` as a process of its own, in the environment that holds the fitter:
``python cox_peer.py LIBRARY FOLDER REPEATS``. ``LIBRARY`` is ``ours``, ``lifelines`` or ``sksurv``.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np


def ours(X, event, duration):
    """One fit, and the same fit again for its coefficients."""
    from biomarker import survival_outcome
    from biomarker.models import CoxRegression

    y = survival_outcome(event, duration)
    return lambda: CoxRegression().fit(X, y).coef_, None


def lifelines(X, event, duration):
    """One fit at the default precision (the faster), one at a tight one."""
    import pandas as pd
    from lifelines import CoxPHFitter

    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    frame["duration"], frame["event"] = duration, event

    def fit(options=None):
        model = CoxPHFitter().fit(frame, "duration", "event", fit_options=options)
        return model.params_.to_numpy()

    return fit, lambda: fit({"precision": 1e-14})


def sksurv(X, event, duration):
    """One fit at the default tolerance (the faster), one at a tight one."""
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    y = Surv.from_arrays(event, duration)

    def fit(tol=1e-9):
        return CoxPHSurvivalAnalysis(ties="efron", tol=tol).fit(X, y).coef_

    return fit, lambda: fit(1e-15)


def main() -> None:
    """Time the first call and the later ones."""
    library, folder, repeats = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    warnings.simplefilter("ignore")
    X, event, duration = (np.load(folder / f"{name}.npy") for name in ("X", "event", "duration"))
    builders = {"ours": ours, "lifelines": lifelines, "sksurv": sksurv}
    small = slice(0, 200)
    if library != "ours":
        # Loads what a first call loads, so that one timed call is a warm one.
        builders[library](X[small], event[small], duration[small])[0]()
    fit, tight = builders[library](X, event, duration)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        coef = fit()
        seconds.append(time.perf_counter() - start)
    if tight is not None:
        coef = tight()
    print(json.dumps({"seconds": seconds, "coef": np.asarray(coef).tolist()}))


if __name__ == "__main__":
    main()
