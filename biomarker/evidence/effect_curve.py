"""The treatment's effect over the range of a marker, in overlapping windows of patients.

Nobody needs a cut to see where treatment helps: each window holds the same number of patients, the
next one moves on by a part of them, and the effect is estimated in each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.analysis_set import AnalysisSet, analysis_set
from biomarker.evidence.calibration import calibrated_p
from biomarker.evidence.cut_design import independent_columns
from biomarker.evidence.interaction import regression_of
from biomarker.evidence.log_odds import fit_log_odds
from biomarker.evidence.splines import mean_ranks
from biomarker.resampling import spawn

__all__ = ["EffectCurve", "effect_curve"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LEAST_WINDOWS = 3
_CELLS = 3_000_000  # redrawn outcomes held at a time


@dataclass(frozen=True, eq=False)
class EffectCurve:
    """Treated against control in windows along a marker.

    Attributes
    ----------
    marker, endpoint : str
    scale : {"hazard ratio", "cause-specific hazard ratio", "odds ratio"}
    at : ndarray, shape (n_windows,)
        Median marker of each window, in the marker's own unit; ascending.
    window_low, window_high : ndarray, shape (n_windows,)
        Lowest and highest marker in it.
    ratio : ndarray, shape (n_windows,)
        Below 1 where treatment lowers the hazard (or the odds).
    ratio_low, ratio_high : ndarray, shape (n_windows,)
        Pointwise 95%: each holds for one window looked at alone.
    band_low, band_high : ndarray, shape (n_windows,)
        Simultaneous 95%: all windows together.
    n_treated, n_control, events_treated, events_control : ndarray of int, shape (n_windows,)
    p : float
        Of the same effect in every window, by outcomes redrawn with one common effect.
    patients_per_window, overlap : int
        Patients in a window, and how many of them the next one shares.
    n_patients, n_draws, seed : int
    """

    marker: str
    endpoint: str
    scale: str
    at: Floats
    window_low: Floats
    window_high: Floats
    ratio: Floats
    ratio_low: Floats
    ratio_high: Floats
    band_low: Floats
    band_high: Floats
    n_treated: Ints
    n_control: Ints
    events_treated: Ints
    events_control: Ints
    p: float
    patients_per_window: int
    overlap: int
    n_patients: int
    n_draws: int
    seed: int


def effect_curve(
    cohort: Cohort,
    marker: str,
    endpoint: str,
    patients_per_window: int | None = None,
    overlap: int | None = None,
    least_events: int = 3,
    n_draws: int = 999,
    seed: int = 0,
    alpha: float = 0.05,
) -> EffectCurve:
    r"""Estimate the treatment's effect in overlapping windows of a marker, and test that it varies.

    Outcomes are redrawn from a model with one treatment effect, the marker's own effect (its
    declared transform, rank and squared rank) and the declared covariates. With :math:`b_w` the
    log ratio in window w and :math:`b` that in everybody, the test refers
    :math:`\max_w |b_w - b| / s_w` to the draws, s being their standard deviation; the band takes
    the value that :math:`\max_w |b_w - \beta| / se(b_w)` exceeds in ``alpha`` of draws whose effect
    is :math:`\beta`.

    Assumes proportional hazards (or constant odds ratios) within a window, and censoring that
    depends on the arm alone.

    Parameters
    ----------
    cohort : Cohort
        Both arms.
    marker : str
        Continuous, or with ordered values; patients of one value stay in one window.
    endpoint : str
    patients_per_window : int, optional
        By default a quarter of the patients, at least 40, and more until events suffice.
    overlap : int, optional
        Patients that the next window shares at least; three quarters of a window by default.
    least_events : int
        In each arm of each window.
    n_draws, seed, alpha
        Of the redrawing, and the two-sided level.

    Returns
    -------
    EffectCurve

    Raises
    ------
    UsageError
        If there is one arm, the marker has no order, or the windows are no windows.
    NotEstimableError
        If fewer than three windows can be formed, one has too few events, or a fit has no finite
        maximum.

    Notes
    -----
    A window has the effect of its own patients, averaged: the curve is smoother than the truth.
    Cost: draws times windows times patients per window.

    References
    ----------
    Bonetti and Gelber (2004), Biostatistics 5:465. Lazar et al. (2010), JCO 28:4539.
    """
    data = analysis_set(cohort, marker, endpoint)
    if data.arm is None:
        raise UsageError("cohort must have a treated and a control arm; got one arm.")
    if not data.graded:
        raise UsageError(f"marker must have an order; got {marker!r}, declared as categorical.")
    n = len(data.rows)
    if n_draws < math.ceil(1.0 / alpha):
        raise UsageError(f"n_draws must be at least 1 / alpha; got {n_draws}.")
    size = min(n, max(40, n // 4)) if patients_per_window is None else patients_per_window
    values = cohort.columns[marker].values[data.rows]
    while True:
        shared = (3 * size) // 4 if overlap is None else overlap
        if not (1 <= size <= n and 0 <= shared < size):
            raise UsageError(
                f"patients_per_window must lie from 1 to {n}, and overlap from 0 to less than it; "
                f"got {size} and {shared}."
            )
        windows = _windows(values, size, size - shared)
        if len(windows) < _LEAST_WINDOWS:
            raise NotEstimableError(
                f"{marker} must give at least {_LEAST_WINDOWS} windows of {size} patients; got "
                f"{len(windows)} among {n} patients."
            )
        try:
            counts = _counts(data, windows, least_events)
            break
        except NotEstimableError:
            # Windows that nobody declared grow until their events suffice.
            if patients_per_window is not None or size >= n:
                raise
            size = min(n, size + max(5, size // 5))
    return _curve(data, values, windows, counts, (size, shared), n_draws, seed, alpha)


def _windows(values: Floats, size: int, step: int) -> list[Ints]:
    """Patients of each window; those of one value stay together, the last window ends the range."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    n = len(values)
    starts = [*range(0, n - size, step), n - size]
    found: list[Ints] = []
    for start in starts:
        low = int(np.searchsorted(ordered, ordered[start], side="left"))
        high = int(np.searchsorted(ordered, ordered[start + size - 1], side="right"))
        window = np.sort(order[low:high]).astype(np.int64)
        if not found or not np.array_equal(window, found[-1]):
            found.append(window)
    return found


def _counts(data: AnalysisSet, windows: list[Ints], least_events: int) -> dict[str, Ints]:
    """Patients and events by arm and window."""
    assert data.arm is not None
    treated = data.arm > 0.5
    found = {
        "n_treated": [treated[w].sum() for w in windows],
        "n_control": [(~treated[w]).sum() for w in windows],
        "events_treated": [(treated & data.event)[w].sum() for w in windows],
        "events_control": [(~treated & data.event)[w].sum() for w in windows],
    }
    counts = {name: np.array(value, dtype=np.int64) for name, value in found.items()}
    least = np.minimum(counts["events_treated"], counts["events_control"])
    if np.any(least < least_events):
        raise NotEstimableError(
            f"Each window must hold at least {least_events} event(s) in each arm; got "
            f"{int(np.count_nonzero(least < least_events))} of {len(windows)} windows with fewer. "
            "Make windows larger."
        )
    return counts


def _curve(
    data: AnalysisSet,
    values: Floats,
    windows: list[Ints],
    counts: dict[str, Ints],
    shape: tuple[int, int],
    n_draws: int,
    seed: int,
    alpha: float,
) -> EffectCurve:
    """Fit every window, in the data and in draws with one common effect."""
    from scipy.special import ndtri

    assert data.arm is not None
    rank = mean_ranks(values) - 0.5
    null = independent_columns(
        np.column_stack(
            [data.arm, data.covariates, data.marker_columns, rank, rank**2 - np.mean(rank**2)]
        )
    )
    regression = regression_of(data)
    whole = regression.fit(null)
    common = float(whole.coefficients[0])
    survival = data.kind == "survival"
    observed: Any = (
        (data.y["duration"][None, :].copy(), data.y["event"][None, :].copy())
        if survival
        else np.asarray(data.y, dtype=np.bool_)[None, :]
    )
    everybody = np.arange(len(values))
    logs, errors = _effects(data, [*windows, everybody], observed)
    if not (np.isfinite(logs).all() and np.isfinite(errors).all()):
        raise NotEstimableError(
            "each window must have a finite treatment effect; got "
            f"{int(np.count_nonzero(~np.isfinite(logs)))} without. Make windows larger."
        )
    sampler = regression.sampler(null, whole, data.places, data.n_rows)
    share = max(1, _CELLS // max(1, data.n_rows))
    drawn = []
    for begin in range(0, n_draws, share):
        rng = spawn(seed, "effect curve", data.outcome.name, begin)
        outcomes = sampler.draw(rng, min(share, n_draws - begin))
        drawn.append(_effects(data, [*windows, everybody], outcomes))
    b, se = (np.concatenate(part) for part in zip(*drawn, strict=True))
    apart = b[:, :-1] - b[:, -1:]
    spread = _spread(apart)
    # A window of a draw without a finite effect counts as far from the rest, never as near.
    sizes = np.where(np.isfinite(apart), np.abs(apart) / spread, np.inf).max(axis=1)
    statistic = float(np.max(np.abs(logs[0, :-1] - logs[0, -1]) / spread))
    with np.errstate(invalid="ignore"):
        reach = np.where(np.isfinite(b), np.abs(b - common) / se, np.inf)[:, :-1].max(axis=1)
    critical = max(float(np.sort(reach)[math.ceil((1.0 - alpha) * (n_draws + 1)) - 1]),
                   float(-ndtri(alpha / 2.0)))  # fmt: skip
    value, error = logs[0, :-1], errors[0, :-1]
    half = float(-ndtri(alpha / 2.0)) * error
    return EffectCurve(
        marker=data.marker,
        endpoint=data.outcome.name,
        scale=data.scale,
        at=np.array([np.median(values[w]) for w in windows]),
        window_low=np.array([values[w].min() for w in windows]),
        window_high=np.array([values[w].max() for w in windows]),
        ratio=np.exp(value),
        ratio_low=np.exp(value - half),
        ratio_high=np.exp(value + half),
        band_low=np.exp(np.maximum(value - critical * error, -700.0)),
        band_high=np.exp(np.minimum(value + critical * error, 700.0)),
        **counts,
        p=calibrated_p(statistic, sizes),
        patients_per_window=shape[0],
        overlap=shape[1],
        n_patients=len(values),
        n_draws=n_draws,
        seed=seed,
    )


def _spread(apart: Floats) -> Floats:
    """Standard deviation of each window's difference over the draws that have one."""
    usable = np.where(np.isfinite(apart), apart, np.nan)
    enough = np.isfinite(usable).mean(axis=0) > 0.5
    if not enough.all():
        raise NotEstimableError(
            "each window must have a finite treatment effect in most redrawn outcomes; got "
            f"{int(np.count_nonzero(~enough))} window(s) without. Make windows larger."
        )
    found: Floats = np.nanstd(usable, axis=0)
    return np.where(found > 0, found, 1.0)


def _effects(data: AnalysisSet, windows: list[Ints], outcomes: Any) -> tuple[Floats, Floats]:
    """Log ratio of the arm and its standard error, each of shape (n_replicates, n_windows)."""
    logs, errors = [], []
    for window in windows:
        columns = _columns(data, window)
        if data.kind == "survival":
            from biomarker.survival.batched_cox import fit_batch_outcomes

            duration, event = outcomes
            strata = None if data.strata is None else data.strata[window]
            fits = fit_batch_outcomes(columns, duration[:, window], event[:, window], strata=strata)
            value = fits.coefficients[:, 0]
            variance = np.full(len(value), np.nan)
            if fits.converged.any():
                part = np.linalg.inv(fits.information[fits.converged])
                variance[fits.converged] = part[:, 0, 0]
        else:
            first = np.ones((len(window), 1))
            if data.strata is not None:
                codes = data.strata[window]
                first = (codes[:, None] == np.unique(codes)).astype(np.float64)
            odds = fit_log_odds(np.column_stack([columns, first]), outcomes[:, window])
            value = np.where(odds.converged, odds.coefficients[:, 0], np.nan)
            variance = np.full(len(value), np.nan)
            if odds.converged.any():
                variance[odds.converged] = np.linalg.inv(odds.information[odds.converged])[:, 0, 0]
        logs.append(value)
        errors.append(np.sqrt(variance))
    return np.column_stack(logs), np.column_stack(errors)


def _columns(data: AnalysisSet, window: Ints) -> Floats:
    """Arm first, then the covariates that vary in the window."""
    assert data.arm is not None
    return independent_columns(np.column_stack([data.arm[window], data.covariates[window]]))
