"""The scales a reader asks for beyond the margin, and tables of what a margin means on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.models.link import mean_time_rule, response_at_margin, survival_at_margin

__all__ = ["LinkTable", "Scale", "predicted", "restricted_mean", "tabulate"]

Floats = npt.NDArray[np.float64]
Kind = Literal["survival", "restricted mean", "response"]

_WORDS: dict[str, tuple[str, str]] = {
    "survival": ("survival probability", "higher = more likely free of the event"),
    "restricted mean": ("restricted mean survival time", "higher = longer free of the event"),
    "response": ("probability of response", "higher = more likely to respond"),
}
_FEWEST, _MOST_NUMBERS = 1024, 2**25
_CLOSE = 1e-6
_BLOCK = 2**21


@dataclass(frozen=True)
class Scale:
    """What is predicted: survival at some times, restricted means to some limits, or response.

    Attributes
    ----------
    kind : {"survival", "restricted mean", "response"}
    times : tuple of float
        Horizons or limits above 0, rising, in the unit of the durations; empty for a response.
    unit : str
        Of the times, such as ``months``; empty for a response.

    Examples
    --------
    >>> Scale("survival", (6.0, 12.0), "months").name
    'survival probability'
    >>> Scale("response").n_points
    1
    """

    kind: Kind
    times: tuple[float, ...] = ()
    unit: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _WORDS:
            raise ValueError(f"kind must be one of {tuple(_WORDS)}; got {self.kind!r}.")
        times = np.asarray(self.times, dtype=np.float64)
        if self.kind == "response":
            if times.size or self.unit:
                raise ValueError(
                    f"times must be empty for a response; got {times.size}. Leave them out."
                )
            return
        rising = times.ndim == 1 and len(times) > 0 and np.isfinite(times).all()
        if not (rising and times[0] > 0 and (np.diff(times) > 0).all()):
            raise ValueError(
                f"times must be above 0, finite and rising; got {times.size} value(s) of shape "
                f"{times.shape}. Give horizons in the unit of the durations."
            )
        if not self.unit:
            raise ValueError("unit must name the unit of the times; got ''. Say days or months.")

    @property
    def name(self) -> str:
        """The scale in words."""
        return _WORDS[self.kind][0]

    @property
    def direction(self) -> str:
        """What a higher value means."""
        return _WORDS[self.kind][1]

    @property
    def n_points(self) -> int:
        """Number of values predicted for a patient."""
        return max(1, len(self.times))

    @property
    def size(self) -> Floats:
        """Largest possible value at each point: 1 for a probability, the limit for a mean."""
        if self.kind == "restricted mean":
            return np.array(self.times, dtype=np.float64)
        return np.ones(self.n_points)


@dataclass(frozen=True, eq=False)
class LinkTable:
    """Predictions at evenly spaced margins, to be interpolated linearly.

    Attributes
    ----------
    low, step : float
        First margin and distance of the next.
    values : ndarray, shape (n_margins, n_points)
    error : float
        Largest error halfway between margins, as a share of the scale's size.
    """

    low: float
    step: float
    values: Floats
    error: float

    def at(self, margin: Floats) -> Floats:
        """Interpolated predictions, shape (n, n_points)."""
        place = (margin - self.low) / self.step
        left = np.clip(place.astype(np.int64), 0, len(self.values) - 2)
        share = (place - left)[:, None]
        found: Floats = self.values[left] + share * (self.values[left + 1] - self.values[left])
        return found


def restricted_mean(model: Any, features: Floats, limits: tuple[float, ...]) -> Floats:
    """Area under each patient's own predicted curve up to each limit.

    Parameters
    ----------
    model : fitted survival model of the zoo
    features : ndarray, shape (n_patients, n_features)
        Encoded.
    limits : tuple of float
        In the unit of the durations.

    Returns
    -------
    ndarray, shape (n_patients, n_limits)
        Between 0 and the limit, in its unit; higher = longer free of the event.
    """
    return _means(model, limits, len(features), lambda part, times: np.asarray(
        model.predict_survival(features[part], times), dtype=np.float64
    ))  # fmt: skip


def predicted(model: Any, features: Floats, scale: Scale) -> Floats:
    """The model's own predictions on a scale, shape (n_patients, n_points)."""
    if scale.kind == "response":
        if not hasattr(model, "predict_response"):
            raise _other_endpoint(model, scale)
        return np.asarray(model.predict_response(features), dtype=np.float64)[:, None]
    if not hasattr(model, "predict_survival"):
        raise _other_endpoint(model, scale)
    if scale.kind == "survival":
        return np.asarray(model.predict_survival(features, scale.times), dtype=np.float64)
    return restricted_mean(model, features, scale.times)


def tabulate(model: Any, scale: Scale, low: float, high: float) -> LinkTable:
    """Table of what every margin between two means on a scale.

    Parameters
    ----------
    model : fitted model of the zoo
    scale : Scale
    low, high : float
        Finite margins, low at most high.

    Returns
    -------
    LinkTable
        With so many margins that halfway between two the error is at most 1e-6 of the scale's
        size, or as many as 2**25 numbers allow.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"low must be at most high, both finite; got {low} and {high}.")
    pad = 1e-6 * max(1.0, abs(low), abs(high))
    low, high = low - pad, high + pad
    n = _FEWEST
    margins = np.linspace(low, high, n + 1)
    values = _at_margins(model, scale, margins)
    while True:
        halfway = _at_margins(model, scale, 0.5 * (margins[:-1] + margins[1:]))
        gap = np.abs(halfway - 0.5 * (values[:-1] + values[1:])) / scale.size
        error = float(gap.max())
        if error <= _CLOSE or 4 * n * scale.n_points > _MOST_NUMBERS:
            return LinkTable(low, float(margins[1] - margins[0]), values, error)
        both = np.empty((2 * n + 1, scale.n_points))
        both[::2], both[1::2] = values, halfway
        values, n = both, 2 * n
        margins = np.linspace(low, high, n + 1)


def _at_margins(model: Any, scale: Scale, margins: Floats) -> Floats:
    """Predictions at margins, shape (n, n_points)."""
    if scale.kind == "response":
        return response_at_margin(model, margins)[:, None]
    if scale.kind == "survival":
        return survival_at_margin(model, margins, scale.times)
    return _means(model, scale.times, len(margins), lambda part, times: survival_at_margin(
        model, margins[part], times
    ))  # fmt: skip


def _means(
    model: Any, limits: tuple[float, ...], n: int, curves: Callable[[slice, Floats], Floats]
) -> Floats:
    """Restricted means by the model's rule, in blocks of bounded memory."""
    out = np.empty((n, len(limits)))
    for i, limit in enumerate(limits):
        times, weights = mean_time_rule(model, limit)
        step = max(1, _BLOCK // len(times))
        for start in range(0, n, step):
            part = slice(start, start + step)
            # Row by row, so that a patient's value does not depend on the batch.
            out[part, i] = np.einsum("ij,j->i", curves(part, times), weights)
    return out


def _other_endpoint(model: Any, scale: Scale) -> NotEstimableError:
    return NotEstimableError(
        f"scale must be one the model predicts on; got {scale.name} for a "
        f"{type(model).__name__}. Choose a scale of its endpoint."
    )
