"""What moved each patient's predicted survival, mean time or response, over a grid of times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.explain.attribution import mean_intervals
from biomarker.explain.coalitions import Plan, make_plan, play, set_up
from biomarker.explain.contributions import AdditivityError
from biomarker.explain.scales import LinkTable, Scale, predicted, tabulate

__all__ = ["BUDGET", "PROBABILITY_TOLERANCE", "TimeAttribution", "attribute_over_time"]

Floats = npt.NDArray[np.float64]

PROBABILITY_TOLERANCE = 1e-3
BUDGET = 2**14


@dataclass(frozen=True, eq=False)
class TimeAttribution:
    """Predictions on a reader's scale split over source columns; rows live in memory only.

    Attributes
    ----------
    sources : tuple of str, length n_sources
        Columns that gave the model a feature, in the encoder's order.
    times : tuple of float, length n_times
        Horizons or limits, in ``unit``; empty for a response, whose arrays have n_times = 1.
    unit : str
    values : ndarray, shape (n_patients, n_sources, n_times)
        Shapley values on ``scale``, positive = raises the prediction; a patient's and
        ``base_value`` sum to ``prediction`` at every time.
    standard_error : ndarray, shape (n_patients, n_sources, n_times)
        Monte Carlo error of ``values`` for this model and background; 0 where exact.
    base_value : ndarray, shape (n_times,)
        Mean prediction of the background patients.
    prediction : ndarray, shape (n_patients, n_times)
        The model's own.
    scale, direction, method : str
        In words; ``direction`` says what a higher prediction means.
    mean_absolute, low, high : ndarray, shape (n_sources, n_times)
        Mean absolute value over patients and its 95% interval.
    mean_standard_error : ndarray, shape (n_sources, n_times)
        Bound on the Monte Carlo error of ``mean_absolute``: the mean of the patients' own errors,
        as if all erred alike, for they share the orders drawn.
    plan : Plan
        Budget spent.
    additivity_gap : float
        Largest distance of a patient's sum from the prediction, as a share of the scale's size.
    n_patients, n_bootstrap : int
    interval_covers : str
    """

    sources: tuple[str, ...]
    times: tuple[float, ...]
    unit: str
    values: Floats
    standard_error: Floats
    base_value: Floats
    prediction: Floats
    scale: str
    direction: str
    method: str
    mean_absolute: Floats
    low: Floats
    high: Floats
    mean_standard_error: Floats
    plan: Plan
    additivity_gap: float
    n_patients: int
    n_bootstrap: int
    interval_covers: str

    def to_dict(self) -> dict[str, Any]:
        """Aggregates as JSON-able data: means over patients by source and time, never a row."""
        return {
            "scale": self.scale,
            "direction": self.direction,
            "method": self.method,
            "times": list(self.times),
            "unit": self.unit,
            "base_value": self.base_value.tolist(),
            "n_patients": self.n_patients,
            "n_bootstrap": self.n_bootstrap,
            "n_background": self.plan.n_background,
            "n_coalitions": self.plan.n_coalitions,
            "exact": self.plan.exact,
            "additivity_gap": self.additivity_gap,
            "interval_covers": self.interval_covers,
            "importance": [
                {
                    "source": name,
                    "mean_absolute": self.mean_absolute[j].tolist(),
                    "low": self.low[j].tolist(),
                    "high": self.high[j].tolist(),
                    "monte_carlo_error": self.mean_standard_error[j].tolist(),
                }
                for j, name in enumerate(self.sources)
            ],
        }


def attribute_over_time(
    fitted: Any,
    X: npt.ArrayLike,
    scale: Scale,
    background: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    n_background: int = 64,
    budget: int = BUDGET,
    n_bootstrap: int = 1000,
    threads: int = 1,
    patient_numbers: npt.ArrayLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TimeAttribution:
    r"""Split each patient's prediction on a scale over the columns of the file, at every time.

    Column j gets its mean gain :math:`v(S \cup j) - v(S)` when columns are let in one by one in
    random order, where :math:`v(S)` is the mean prediction if the columns of S take the patient's
    values and the others those of a background patient, each in turn. All times are read from the
    same margins.

    Assumes that columns may be varied one at a time: mixtures of two patients may be unlike any
    patient, and with correlated columns the split among them is a convention, not a finding. On
    these scales a column's share depends on the level set by the others, unlike on the margin.

    Parameters
    ----------
    fitted : EncodedModel
        Any model of the zoo, fitted.
    X : array-like of float, shape (n_patients, n_columns)
        Parsed values in the order of the model's plans, NaN where missing.
    scale : Scale
        Which prediction, at which times.
    background : array-like of float, shape (n_rows, n_columns)
        Patients to compare with: those the model was trained on.
    rng : numpy.random.Generator
        Draws background patients, orders and bootstrap samples.
    n_background : int
        Most background patients; more are drawn from without replacement.
    budget : int
        Most coalitions evaluated for one patient. Values are exact where 2**n_columns times
        n_background fit, counting columns that move the margin.
    n_bootstrap : int
        Number of bootstrap samples of patients for the intervals.
    threads : int
        Results are the same to the bit for any number.
    patient_numbers : array-like of int, shape (n_patients,), optional
        Equal where rows belong to one patient; the bootstrap then draws patients.
    progress : callable of (done, total), optional
        Told how many rows are finished.

    Returns
    -------
    TimeAttribution

    Raises
    ------
    AdditivityError
        If a patient's sum misses the model's own prediction by more than 1e-3 of the scale's
        size: 1 for probabilities, the limit for a restricted mean.
    NotEstimableError
        If the model does not predict on this scale.
    ValueError
        If a matrix is empty or the budget too small for a standard error.

    Notes
    -----
    Standard errors come from orders that share a background patient, so they cover the orders
    drawn and nothing else: the background and the model are taken as they are. Sampling inflates
    mean absolute values by about the error's size where the true ones are near 0. Cost: for a
    patient, budget x n_times interpolations, and for trees one look-up a patch of leaves for
    each column it tests.

    References
    ----------
    Štrumbelj and Kononenko (2014), Knowledge and Information Systems 41. Mitchell et al. (2022),
    Journal of Machine Learning Research 23, for antithetic orders. Krzyziński et al. (2023),
    Knowledge-Based Systems 262, for attributions of survival curves over time.

    Examples
    --------
    >>> from biomarker.features.frozen_column import ColumnPlan
    >>> from biomarker.models import CoxRegression
    >>> from biomarker.models.pipeline import EncodedModel
    >>> from biomarker.outcomes import survival_outcome
    >>> from biomarker.parsing import ParseRule
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 1))
    >>> y = survival_outcome(np.ones(80), rng.exponential(np.exp(-X[:, 0])))
    >>> plans = (ColumnPlan(ParseRule("vegf", "continuous")),)
    >>> model = EncodedModel(plans, CoxRegression()).fit(X, y)
    >>> scale = Scale("survival", (0.5, 1.0), "years")
    >>> found = attribute_over_time(model, X[:3], scale, X, rng=rng, n_bootstrap=10)
    >>> found.values.shape, found.plan.exact
    ((3, 1, 2), True)
    """
    raw, compared = _checked(fitted, X, background, n_background, n_bootstrap)
    background_rng, order_rng, bootstrap_rng = rng.spawn(3)
    if len(compared) > n_background:
        chosen = background_rng.choice(len(compared), n_background, replace=False)
        compared = compared[np.sort(chosen)]
    model, features, others = fitted.model, fitted.encode(raw), fitted.encode(compared)
    prediction = predicted(model, features, scale)
    sources = tuple(dict.fromkeys(fitted.encoder_.sources))
    owner = tuple(sources.index(name) for name in fitted.encoder_.sources)
    players = set_up(model, owner, features, others)
    plan = make_plan(len(players.active), len(others), budget)
    link = tabulate(model, scale, players.low, players.high)
    shares = play(players, plan, link, features, order_rng, threads, progress)
    base = link.at(players.game.background_margin).mean(axis=0)
    values, error = np.zeros((2, len(raw), len(sources), scale.n_points))
    values[:, players.active], error[:, players.active] = shares.values, shares.standard_error
    gap = _gap(values, base, prediction, scale, model, link)
    flat = np.abs(values).reshape(len(raw), -1)
    n_units = len(raw)
    mean, low, high, n_units = mean_intervals(flat, n_bootstrap, bootstrap_rng, patient_numbers)
    shape = values.shape[1:]
    return TimeAttribution(
        sources,
        scale.times,
        scale.unit,
        values,
        error,
        base,
        prediction,
        scale.name,
        scale.direction,
        _method(plan),
        mean.reshape(shape),
        low.reshape(shape),
        high.reshape(shape),
        error.mean(axis=0),
        plan,
        gap,
        n_units,
        n_bootstrap,
        (
            f"95% percentile bootstrap over {n_units} patients ({n_bootstrap} samples) for this "
            "one fitted model and background, at each time by itself: sampling of patients only, "
            "not refitting, tuning or model choice"
        ),
    )


def _checked(
    fitted: Any, X: npt.ArrayLike, background: npt.ArrayLike, n_background: int, n_bootstrap: int
) -> tuple[Floats, Floats]:
    """Both matrices, with rows and the columns the model was fitted on."""
    raw, compared = (np.asarray(rows, dtype=np.float64) for rows in (X, background))
    n_columns = len(fitted.plans)
    for name, rows in (("X", raw), ("background", compared)):
        if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != n_columns:
            raise ValueError(
                f"{name} must have at least one row and {n_columns} column(s); got shape "
                f"{rows.shape}. Pass parsed values in the order of the model's plans."
            )
    if n_background < 1 or n_bootstrap < 1:
        raise ValueError(
            "n_background and n_bootstrap must be at least 1; got "
            f"{n_background} and {n_bootstrap}."
        )
    return raw, compared


def _gap(
    values: Floats, base: Floats, prediction: Floats, scale: Scale, model: Any, link: LinkTable
) -> float:
    """Largest distance of a sum from the prediction; refuse one that a reader could see."""
    gap = float(np.max(np.abs(values.sum(axis=1) + base - prediction) / scale.size))
    # Inside the sums the table's own error cancels: half-way between margins it may still show.
    if not max(gap, link.error) <= PROBABILITY_TOLERANCE:
        raise AdditivityError(
            f"Attributions must sum to the {scale.name} within {PROBABILITY_TOLERANCE:g} of its "
            f"size; got a gap of {gap:.3g} and a table good to {link.error:.3g} for a "
            f"{type(model).__name__}. The model and its explanation disagree: report this with "
            "the installed versions."
        )
    return gap


def _method(plan: Plan) -> str:
    """How values were computed, for a methods section."""
    against = f"interventional Shapley values against {plan.n_background} background patients"
    if plan.exact:
        return f"exact {against}, all coalitions of {plan.n_players} columns"
    return (
        f"{against}, estimated from {plan.n_pairs} random orders and their reverses for each "
        f"({plan.n_coalitions:,} coalitions a patient), with Monte Carlo standard errors"
    )
