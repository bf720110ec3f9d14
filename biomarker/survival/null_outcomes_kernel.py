"""Compiled look-up of redrawn times: which step of a curve each random number reaches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["Steps", "steps_of", "times_reached"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_GUIDES = 4  # guide entries a step, so that a look-up begins next to its end


class Steps(NamedTuple):
    """Rising step curves one after the other, each with a guide into it.

    Attributes
    ----------
    height : ndarray, shape (n_steps,)
        Of the curve from that step on.
    time : ndarray, shape (n_steps + n_curves,)
        Where each step lies; after a curve's steps what is meant by "beyond the last".
    begin : ndarray of int, shape (n_curves + 1,)
        First step of each curve.
    guide : ndarray of int, shape (n_guides,)
        A step near any height: the first of the curve at least as high as the guide's own height.
    guide_begin : ndarray of int, shape (n_curves + 1,)
    per_height : ndarray, shape (n_curves,)
        Guide entries per unit of height.
    """

    height: Floats
    time: Floats
    begin: Ints
    guide: Ints
    guide_begin: Ints
    per_height: Floats


def steps_of(curves: list[tuple[Floats, Floats, float]]) -> Steps:
    """Lay curves out side by side.

    Parameters
    ----------
    curves : list of (times, heights, beyond)
        Heights never fall; ``beyond`` is the time where a curve is never reached.
    """
    guides, per_height = [], []
    for _, height, _ in curves:
        top = float(height[-1]) if len(height) else 0.0
        count = _GUIDES * len(height) + 1
        scale = count / top if top > 0 else 0.0
        at = np.arange(count) / scale if scale > 0 else np.zeros(count)
        guides.append(np.searchsorted(height, at, side="left"))
        per_height.append(scale)
    return Steps(
        np.concatenate([height for _, height, _ in curves]),
        np.concatenate([np.append(times, beyond) for times, _, beyond in curves]),
        np.cumsum([0, *(len(height) for _, height, _ in curves)]),
        np.concatenate(guides).astype(np.int64),
        np.cumsum([0, *(len(guide) for guide in guides)]),
        np.array(per_height),
    )


@njit(cache=True, nogil=True)
def times_reached(values: Floats, steps: Steps, curve: Ints, right: bool) -> None:
    """Replace each value by the time of the first step at least (``right``: more than) as high.

    Parameters
    ----------
    values : ndarray, shape (n_replicates, n_patients)
        Heights in, times out.
    steps : Steps
    curve : ndarray of int, shape (n_patients,)
        Each patient's curve.
    right : bool
    """
    for b in range(values.shape[0]):
        for i in range(values.shape[1]):
            c, x = curve[i], values[b, i]
            first, end = steps.begin[c], steps.begin[c + 1]
            n = end - first
            guides = steps.guide_begin[c + 1] - steps.guide_begin[c]
            # A height times none is no number: a curve without a step has no guide to ask.
            near = x * steps.per_height[c] if steps.per_height[c] > 0.0 else 0.0
            at = n if near >= guides else steps.guide[steps.guide_begin[c] + int(near)]
            # The guide says where to begin; the heights themselves decide.
            if right:
                while at > 0 and steps.height[first + at - 1] > x:
                    at -= 1
                while at < n and steps.height[first + at] <= x:
                    at += 1
            else:
                while at > 0 and steps.height[first + at - 1] >= x:
                    at -= 1
                while at < n and steps.height[first + at] < x:
                    at += 1
            values[b, i] = steps.time[first + c + at]
