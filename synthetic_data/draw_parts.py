"""What draws of published studies share: times that follow a curve, archives by outcome."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from biomarker.errors import StudyError
from synthetic_data.table import Floats

__all__ = ["HIDDEN", "sample_by_outcome", "scale_and_shape", "weibull_times"]

HIDDEN = "truth:"  # columns of a draw that go to the truth, never to the cohort


def scale_and_shape(curve: Mapping[str, float]) -> tuple[float, float, float]:
    """Weibull scale, shape and plateau from a median and a shape, or one more point."""
    plateau = curve.get("plateau", 0.0)

    def hazard(alive: float) -> float:
        return float(-np.log((alive - plateau) / (1.0 - plateau)))

    half = hazard(0.5)
    if "at" in curve:
        ratio = hazard(curve["alive"]) / half
        shape = float(np.log(ratio) / np.log(curve["at"] / curve["median"]))
    else:
        shape = curve["shape"]
    return float(curve["median"] / half ** (1.0 / shape)), shape, plateau


def weibull_times(
    alive: Floats, curve: Mapping[str, float], log_hazard: Floats | float = 0.0
) -> Floats:
    """Times at which a survival curve passes given levels; infinite on its plateau.

    S(t) = p + (1 - p) exp(-(t/scale)^shape), raised to exp(log_hazard) below the plateau.

    Parameters
    ----------
    alive : ndarray, shape (n_patients,)
        Uniforms: levels of the survival curve.
    curve : mapping
        ``median`` (months) with ``shape`` and ``plateau``, or with ``at`` (months) and ``alive``.
    log_hazard : ndarray or float
        Log hazard ratio of each patient against the curve.

    Examples
    --------
    >>> weibull_times(np.array([0.5]), {"median": 12.0, "shape": 1.0}).round(6).tolist()
    [12.0]
    """
    scale, shape, plateau = scale_and_shape(curve)
    share = (alive - plateau) / (1.0 - plateau)
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = -np.log(np.maximum(share, 0.0)) * np.exp(-np.asarray(log_hazard))
        return np.asarray(np.where(share > 0.0, scale * hazard ** (1.0 / shape), np.inf))


def sample_by_outcome(
    frame: pd.DataFrame, n_responders: int, n_non_responders: int, rng: np.random.Generator
) -> pd.DataFrame:
    """A responder-enriched archive: so many responders and so many others, drawn without return.

    Parameters
    ----------
    frame : DataFrame
        A population with a ``response`` column.
    n_responders, n_non_responders : int
        Sizes to draw.
    rng : numpy.random.Generator
        Stream of the sampling.

    Raises
    ------
    StudyError
        If the population holds too few of either.
    """
    responder = frame["response"].isin(["CR", "PR"]).to_numpy()
    yes, no = np.flatnonzero(responder), np.flatnonzero(~responder)
    if len(yes) < n_responders or len(no) < n_non_responders:
        raise StudyError(
            f"frame must hold {n_responders} responders and {n_non_responders} others; "
            f"got {len(yes)} and {len(no)}. Draw a larger population."
        )
    chosen = np.concatenate(
        [
            rng.choice(yes, n_responders, replace=False),
            rng.choice(no, n_non_responders, replace=False),
        ]
    )
    return frame.iloc[np.sort(chosen)].reset_index(drop=True)
