"""Cumulative baseline hazards as step functions, and the coarse form a stored model keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_CELLS", "BaselineHazard"]

Floats = npt.NDArray[np.float64]

MOST_CELLS = 400


@dataclass(frozen=True)
class BaselineHazard:
    """A cumulative hazard over time: zero before the first point, flat after the last.

    Attributes
    ----------
    time : ndarray, shape (n_points,)
        Rising.
    cumulative : ndarray, shape (n_points,)
        Hazard accrued up to and including each time.
    dying : ndarray, shape (n_points,)
        What a death at exactly that time has accrued; less than ``cumulative`` under Efron's ties.
    interpolated : bool
        False for an exact step function; True for a coarse one, linear between its points.

    Examples
    --------
    >>> hazard = BaselineHazard.from_jumps([2.0, 5.0], [0.5, 0.25], [0.5, 0.25])
    >>> hazard.at([1.0, 2.0, 9.0]).tolist()
    [0.0, 0.5, 0.75]
    """

    time: Floats
    cumulative: Floats
    dying: Floats
    interpolated: bool = False

    @classmethod
    def from_jumps(
        cls, time: npt.ArrayLike, jump: npt.ArrayLike, jump_dying: npt.ArrayLike
    ) -> BaselineHazard:
        """Accumulate the jumps at rising, distinct times."""
        cumulative = np.cumsum(np.asarray(jump, dtype=np.float64))
        before = cumulative - np.asarray(jump, dtype=np.float64)
        dying = before + np.asarray(jump_dying, dtype=np.float64)
        return cls(np.asarray(time, dtype=np.float64), cumulative, dying)

    @classmethod
    def from_points(cls, time: Floats, cumulative: Floats) -> BaselineHazard:
        """Rebuild a coarse hazard from its points.

        Raises
        ------
        ValueError
            If times do not rise or the hazard falls.
        """
        rising = np.all(np.diff(time) > 0) and np.all(np.diff(cumulative) >= 0)
        if len(time) == 0 or time.shape != cumulative.shape or not rising:
            raise ValueError(f"points must rise; got {len(time)} time(s). Store the model again.")
        return cls(time, cumulative, cumulative, interpolated=True)

    def at(self, times: npt.ArrayLike) -> Floats:
        """Cumulative hazard at each time, jumps at that time included."""
        wanted = np.asarray(times, dtype=np.float64)
        if len(self.time) == 0:
            return np.zeros(wanted.shape)
        if self.interpolated:
            values: Floats = np.interp(wanted, self.time, self.cumulative)
            return values
        position = np.searchsorted(self.time, wanted, side="right")
        return np.concatenate([[0.0], self.cumulative])[position]

    def accrued(self, duration: Floats, event: npt.NDArray[np.bool_]) -> Floats:
        """Hazard accrued by patients leaving at ``duration``, tied deaths by their tie method."""
        accrued = self.at(duration)
        if self.interpolated or len(self.time) == 0:
            return accrued
        position = np.minimum(np.searchsorted(self.time, duration), len(self.time) - 1)
        tied = event & (self.time[position] == duration)
        return np.where(tied, self.dying[position], accrued)

    def coarse(self, horizons: npt.ArrayLike = ()) -> BaselineHazard:
        """Return the hazard on an even grid that holds no patient's own time.

        The grid's step is 1, 2, 2.5 or 5 times a power of ten, the smallest that needs at most
        ``MOST_CELLS`` cells; ``horizons`` are added to it. Values at grid points and horizons are
        exact. Between them the hazard is interpolated linearly, so it is off by less than what
        accrues within one cell, a few thousandths of the follow-up.
        """
        if self.interpolated:
            return self
        if len(self.time) == 0:
            return BaselineHazard.from_points(np.zeros(1), np.zeros(1))
        last = float(self.time[-1])
        step = _round_step(last / MOST_CELLS)
        # Divided where the step is a fraction, so that 3 steps of .1 are the double nearest to .3.
        count = np.arange(math.ceil(last / step) + 1, dtype=np.float64)
        grid = count * step if step >= 1 else count / round(1 / step, 6)
        if grid[-1] < last:
            grid = np.append(grid, grid[-1] + step)
        wanted = np.asarray(horizons, dtype=np.float64).ravel()
        points = np.union1d(grid, wanted[np.isfinite(wanted) & (wanted > 0)])
        return BaselineHazard.from_points(points, self.at(points))


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is not below ``least``."""
    power = math.floor(math.log10(least))
    for digits in (1.0, 2.0, 2.5, 5.0, 10.0):
        # Written as a decimal, so that 0.2 is the double nearest to 0.2.
        step = float(f"{digits}e{power}")
        if step >= least:
            return step
    return float(f"1e{power + 1}")
