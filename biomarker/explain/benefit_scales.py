r"""Benefit on the scales patients are told: survival at a horizon, time gained, response.

On these scales a column that is prognostic alone changes the benefit whenever treatment works,
because the same hazard (or odds) ratio moves a middling risk more than an extreme one. So parts of
the absolute benefit say how it is made up, never whether treatment works differently: they carry
the words *includes scale effect*, no band and no rank.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import UsageError
from biomarker.explain.attribution import mean_intervals
from biomarker.explain.benefit_refits import BenefitDesign
from biomarker.explain.benefit_shares import BenefitShares
from biomarker.resampling import spawn

if TYPE_CHECKING:
    from biomarker.explain.coalitions import Players

__all__ = ["SCALE_EFFECT", "AbsoluteBenefit", "absolute_benefit"]

Floats = npt.NDArray[np.float64]

SCALE_EFFECT = "includes scale effect"
TOLERANCE = 1e-3
_BUDGET, _BACKGROUND, _MARGINS = 2**14, 64, 2**14
_BOOTSTRAP = 1000


@dataclass(frozen=True, eq=False)
class AbsoluteBenefit:
    """Parts of the benefit on one absolute scale; in the file's order, for no rank is claimed.

    Attributes
    ----------
    shares : BenefitShares
        ``sign`` is 1: up is better for the patient, and benefit is treated less control.
    prognostic, prognostic_low, prognostic_high : ndarray, shape (n_sources,)
        Mean absolute part of the prediction under control.
    benefit, benefit_low, benefit_high : ndarray, shape (n_sources,)
        Mean absolute part of the benefit.
    mean, mean_low, mean_high : float
        Mean predicted benefit of these patients.
    unit : str
        ``probability`` or the endpoint's unit of time.
    words : str
        ``includes scale effect``: to stand on every panel.
    interval_covers : str
    """

    shares: BenefitShares
    prognostic: Floats
    prognostic_low: Floats
    prognostic_high: Floats
    benefit: Floats
    benefit_low: Floats
    benefit_high: Floats
    mean: float
    mean_low: float
    mean_high: float
    unit: str
    words: str
    interval_covers: str

    def to_dict(self) -> dict[str, Any]:
        """Aggregates as JSON-able data."""
        return {
            "scale": self.shares.scale,
            "direction": self.shares.direction,
            "method": self.shares.method,
            "unit": self.unit,
            "words": self.words,
            "interval_covers": self.interval_covers,
            "n_patients": len(self.shares.benefit),
            "mean_benefit": [self.mean, self.mean_low, self.mean_high],
            "parts": [
                {
                    "source": source,
                    **{
                        name: float(getattr(self, name)[j])
                        for name in (
                            "prognostic", "prognostic_low", "prognostic_high",
                            "benefit", "benefit_low", "benefit_high",
                        )
                    },
                }
                for j, source in enumerate(self.shares.sources)
            ],
        }  # fmt: skip


def absolute_benefit(
    design: BenefitDesign, coefficients: Floats, at: float | None, unit: str, seed: int
) -> tuple[AbsoluteBenefit, ...]:
    """Split absolute benefit: survival at a horizon and mean time up to it, or chance of response.

    Columns play against a background of up to 64 of these patients, who keep their own values of
    the columns not yet known; both arms play the same game, so that parts add up exactly.

    Parameters
    ----------
    design : BenefitDesign
    coefficients : ndarray, shape (1 + n_columns,)
    at : float or None
        Horizon within the follow-up, for survival; None for a response.
    unit : str
        Of the times.
    seed : int

    Returns
    -------
    tuple of AbsoluteBenefit
        Survival and restricted mean, or response.

    Raises
    ------
    UsageError
        If ``at`` is not within the follow-up, or does not fit the endpoint.
    AdditivityError
        If parts miss the prediction by more than 1e-3 of the scale's size.

    Notes
    -----
    Strata of a Cox model share one baseline hazard here.
    """
    data = design.data
    if (at is not None) != design.is_survival:
        raise UsageError(
            "at must be a horizon for survival and None for a response; got "
            f"{'none' if at is None else f'{at:g}'}. Name the horizon of a survival endpoint."
        )
    if at is None:
        found = _split(design, coefficients, lambda m: 0.5 * (1.0 + np.tanh(0.5 * m)), 1.0, seed)
        words = ("chance of response", "higher = more likely to respond", "probability")
        return (_summed(found, *words, seed),)
    latest = min(float(data.y["duration"][data.treated == side].max()) for side in (False, True))
    if not 0.0 < at <= latest:
        raise UsageError(
            f"at must be above 0 and within the follow-up of both arms; got {at:g} {unit}. Choose "
            "an earlier horizon."
        )
    from biomarker.evidence.benefit_models import weighted_baseline

    once = np.ones(data.n_patients, dtype=np.uint16)
    baseline = weighted_baseline(data.y, data.columns, coefficients[1:], once)
    at_horizon = float(baseline.at([at])[0])
    edges = np.concatenate([[0.0], baseline.time[baseline.time < at]])
    width, hazard = np.diff(np.append(edges, at)), baseline.at(edges)

    def survival(margin: Floats) -> Floats:
        return np.asarray(np.exp(-at_horizon * np.exp(margin)))

    def area(margin: Floats) -> Floats:
        blocks = np.array_split(np.exp(margin), max(1, len(margin) * len(hazard) // 2**21))
        return np.concatenate([np.exp(-risk[:, None] * hazard) @ width for risk in blocks])

    return (
        _summed(
            _split(design, coefficients, survival, 1.0, seed),
            f"survival at {at:g} {unit}", "higher = more likely free of the event",
            "probability", seed,
        ),
        _summed(
            _split(design, coefficients, area, at, seed),
            f"restricted mean to {at:g} {unit}", "higher = longer free of the event", unit, seed,
        ),
    )  # fmt: skip


def _split(
    design: BenefitDesign, coefficients: Floats, link: Any, size: float, seed: int
) -> BenefitShares:
    """Both arms' games on one scale; scale and direction are filled in later."""
    from biomarker.explain.coalitions import make_plan, play, set_up
    from biomarker.explain.scales import LinkTable

    data = design.data
    features = np.column_stack([data.markers, data.covariates])
    prognostic, predictive = design.effects(coefficients)
    q = len(design.covariate_sources)
    start = float(coefficients[0])
    sides = {
        0.0: (prognostic, start),
        1.0: (prognostic + design.sign * predictive, start + float(coefficients[1 + q])),
    }
    names = (*design.marker_sources, *design.covariate_sources)
    owner = tuple(design.sources.index(name) for name in names)
    rng = spawn(seed, "benefit background")
    most = min(_BACKGROUND, len(features))
    background = features[np.sort(rng.choice(len(features), most, replace=False))]
    values, base, direct = {}, {}, {}
    for side, (coef, intercept) in sides.items():
        model = SimpleNamespace(attribution="linear", coef_=coef, intercept_=intercept)
        players: Players = set_up(model, owner, features, background)
        margins = np.linspace(players.low - 1e-6, players.high + 1e-6, _MARGINS)
        table = LinkTable(margins[0], float(margins[1] - margins[0]), link(margins)[:, None], 0.0)
        plan = make_plan(len(players.active), most, _BUDGET)
        # The same orders for both arms.
        found = play(players, plan, table, features, spawn(seed, "benefit orders"))
        values[side] = np.zeros((len(features), len(design.sources)))
        values[side][:, list(players.active)] = found.values[:, :, 0]
        base[side] = float(link(background @ coef + intercept).mean())
        direct[side] = link(features @ coef + intercept)
    how = "all coalitions" if plan.exact else f"{plan.n_pairs} pairs of orders a background patient"
    return BenefitShares(
        sources=design.sources,
        prognostic=values[0.0],
        predictive=values[1.0] - values[0.0],
        base_control=base[0.0],
        base_benefit=base[1.0] - base[0.0],
        control=direct[0.0],
        treated=direct[1.0],
        benefit=direct[1.0] - direct[0.0],
        sign=1,
        scale="",
        direction="",
        method=(
            f"interventional Shapley values against {most} patients of this cohort ({how}), "
            "treated less control"
        ),
        note=SCALE_EFFECT,
    ).checked(TOLERANCE * size)


def _summed(
    shares: BenefitShares, scale: str, direction: str, unit: str, seed: int
) -> AbsoluteBenefit:
    """Name the scale, and take means with intervals over patients."""
    rng = spawn(seed, "benefit on an absolute scale")
    n, k = shares.prognostic.shape
    table = np.column_stack([np.abs(shares.prognostic), np.abs(shares.predictive), shares.benefit])
    value, low, high, _ = mean_intervals(table, _BOOTSTRAP, rng, None)
    own, gained = slice(0, k), slice(k, 2 * k)
    return AbsoluteBenefit(
        shares=replace(shares, scale=scale, direction=direction),
        prognostic=value[own],
        prognostic_low=low[own],
        prognostic_high=high[own],
        benefit=value[gained],
        benefit_low=low[gained],
        benefit_high=high[gained],
        mean=float(value[-1]),
        mean_low=float(low[-1]),
        mean_high=float(high[-1]),
        unit=unit,
        words=SCALE_EFFECT,
        interval_covers=(
            f"95% percentile bootstrap over {n} patients ({_BOOTSTRAP} samples) for this one "
            "fitted model: sampling of patients only, not refitting"
        ),
    )
