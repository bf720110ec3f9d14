"""Time lifelines on resamples and print one line of JSON.

Run by ``resampling.py`` as a process of its own:
``python resampling_peer.py FOLDER N_FITS N_CONCORDANCE CHUNK``. Processor seconds are per call, one
value for each chunk of calls; the first chunk is left out, since it loads what later ones have.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np


def timed(n: int, chunk: int, one: Callable[[int], object]) -> list[float]:
    """Seconds per call, chunk by chunk."""
    for b in range(chunk):
        one(b)
    seconds = []
    for low in range(0, n, chunk):
        began = time.process_time()
        for b in range(low, min(low + chunk, n)):
            one(b)
        seconds.append((time.process_time() - began) / (min(low + chunk, n) - low))
    return seconds


def main() -> None:
    """Time fits and concordance indices of resampled rows."""
    import pandas as pd
    from lifelines import CoxPHFitter
    from lifelines.utils import concordance_index

    folder = Path(sys.argv[1])
    n_fits, n_concordance, chunk = (int(text) for text in sys.argv[2:5])
    warnings.simplefilter("ignore")
    X, event, duration, weights, risk = (
        np.load(folder / f"{name}.npy") for name in ("X", "event", "duration", "weights", "risk")
    )
    drawn = [np.repeat(np.arange(len(X)), w) for w in weights]
    frame = pd.DataFrame(X, columns=["arm", "marker", "interaction"])
    frame["duration"], frame["event"] = duration, event

    def fit(b: int, options: dict[str, float] | None = None) -> CoxPHFitter:
        return CoxPHFitter().fit(frame.iloc[drawn[b]], "duration", "event", fit_options=options)

    def index(b: int) -> float:
        rows = drawn[b]
        return float(concordance_index(duration[rows], -risk[rows], event[rows]))

    print(
        json.dumps(
            {
                "fits": timed(n_fits, chunk, fit),
                "concordance": timed(n_concordance, chunk, index),
                "coef": [fit(b, {"precision": 1e-14}).params_.tolist() for b in range(5)],
                "values": [index(b) for b in range(n_concordance)],
            }
        )
    )


if __name__ == "__main__":
    main()
