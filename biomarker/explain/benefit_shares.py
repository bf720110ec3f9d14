r"""A prediction split in two: what a column says about the disease, and about the treatment.

With f(x, a) the margin of a patient of columns x under arm a, the *benefit* is
f(x, control) - f(x, treated) on the log-hazard scale and f(x, treated) - f(x, control) on the log
odds of response: up always means that treatment helps more. Each column j gets

.. math:: \phi_j^{\text{prognostic}} = \phi_j[f(\cdot, \text{control})], \qquad
          \phi_j^{\text{predictive}} = \phi_j[\text{benefit}]
                                     = \pm\{\phi_j[f(\cdot, 0)] - \phi_j[f(\cdot, 1)]\}

Shapley values are linear in the function they explain, so that the two parts add up exactly to the
prediction under either arm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import UsageError
from biomarker.explain.contributions import AdditivityError
from biomarker.explain.sources import DIRECTIONS, by_source

__all__ = ["LINEAR_TOLERANCE", "TREE_TOLERANCE", "BenefitShares", "zoo_benefit"]

Floats = npt.NDArray[np.float64]

LINEAR_TOLERANCE, TREE_TOLERANCE = 1e-9, 1e-4
NO_INTERACTION = (
    "this model has no term through which a column could change the effect of treatment: it "
    "predicts the same benefit for everybody, and every predictive part is 0 by construction"
)


@dataclass(frozen=True, eq=False)
class BenefitShares:
    """Both parts of every patient's prediction.

    Attributes
    ----------
    sources : tuple of str, length n_sources
        Columns of the file, arm left out.
    prognostic : ndarray, shape (n_patients, n_sources)
        Shapley values of the prediction under control, on ``scale``.
    predictive : ndarray, shape (n_patients, n_sources)
        Shapley values of the benefit, on ``scale``; positive = treatment helps this patient more
        than the average one, whatever the scale's own direction.
    base_control, base_benefit : float
        Prediction under control, and benefit, before any column is known.
    control, treated, benefit : ndarray, shape (n_patients,)
        What is explained.
    sign : {-1, 1}
        benefit = sign x (treated - control): -1 where a higher prediction is worse.
    scale : str
        Such as ``log hazard`` or ``log odds``.
    direction : str
        What a higher prediction means.
    method : str
        How the parts were computed, in words for a methods section.
    note : str
        What a reader must know about the model; empty if nothing.
    """

    sources: tuple[str, ...]
    prognostic: Floats
    predictive: Floats
    base_control: float
    base_benefit: float
    control: Floats
    treated: Floats
    benefit: Floats
    sign: int
    scale: str
    direction: str
    method: str
    note: str = ""

    @property
    def base_treated(self) -> float:
        """Prediction under treatment before any column is known."""
        return self.base_control + self.sign * self.base_benefit

    def checked(self, tolerance: float) -> BenefitShares:
        """Pass the parts on if they add up to both predictions and the benefit.

        Raises
        ------
        AdditivityError
            If any patient's parts miss by more than ``tolerance``.
        """
        prognostic, predictive = self.prognostic.sum(axis=1), self.predictive.sum(axis=1)
        gaps = (
            self.base_control + prognostic - self.control,
            self.base_benefit + predictive - self.benefit,
            self.base_treated + prognostic + self.sign * predictive - self.treated,
        )
        worst = max(float(np.max(np.abs(gap), initial=0.0)) for gap in gaps)
        if not worst <= tolerance:
            raise AdditivityError(
                f"Prognostic and predictive parts must sum to the prediction within {tolerance:g}; "
                f"got a gap of {worst:.3g} on the {self.scale} scale. Report this with the model's "
                "name and the installed versions."
            )
        return self


def zoo_benefit(fitted: Any, X: npt.ArrayLike, arm: str) -> BenefitShares:
    """Split the prediction of any fitted model of the zoo that was given the arm as a column.

    Boosted trees: splits on the arm are resolved to one arm or the other, and the exact tree
    Shapley values of the two forests subtracted. Linear models of the zoo hold no interaction, so
    that the predictive part is exactly 0, as ``note`` says.

    Assumes that the arm was randomised; with other data f(x, treated) - f(x, control) is no effect.
    What trees regularise away is missing from both parts: a predictive part of 0 is no evidence.

    Parameters
    ----------
    fitted : EncodedModel
    X : array-like of float, shape (n_patients, n_columns)
        Parsed values as the model was fitted on, NaN where missing; the arm's are not looked at.
    arm : str
        Name of the arm column: 0 control, 1 treated.

    Returns
    -------
    BenefitShares
        On the model's margin scale.

    Raises
    ------
    UsageError
        If the model has no feature of the arm, or there is no patient.
    AdditivityError
        If the parts miss the prediction by more than 1e-9 (linear) or 1e-4 (trees).

    Notes
    -----
    Cost of two attributions.

    References
    ----------
    Lundberg et al. (2020), Nature Machine Intelligence 2, for tree Shapley values. Lamont et al.
    (2018), Statistical Methods in Medical Research 27:142, for predicted individual effects.

    Examples
    --------
    >>> from biomarker.features.frozen_column import ColumnPlan
    >>> from biomarker.models import BoostedResponse
    >>> from biomarker.models.pipeline import EncodedModel
    >>> from biomarker.parsing import ParseRule
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.normal(size=300), np.arange(300) % 2])
    >>> y = rng.random(300) < 1 / (1 + np.exp(-2 * X[:, 0] * X[:, 1]))
    >>> plans = (ColumnPlan(ParseRule("vegf", "continuous")),
    ...          ColumnPlan(ParseRule("arm", "arm", levels=("0", "1"), control=("0",))))
    >>> parts = zoo_benefit(EncodedModel(plans, BoostedResponse()).fit(X, y), X, "arm")
    >>> parts.sources, bool(np.abs(parts.predictive).mean() > np.abs(parts.prognostic).mean())
    (('vegf',), True)
    """
    model, encoder = fitted.model, fitted.encoder_
    if arm not in encoder.sources:
        raise UsageError(
            f"arm must be a column the model was fitted on; got {arm!r}, of which it has no "
            "feature. Train with the arm among the features."
        )
    if len(np.asarray(X)) == 0:
        raise UsageError("X must hold at least one patient; got none.")
    features = {side: _with_arm(fitted, X, arm, side) for side in (0.0, 1.0)}
    if model.attribution == "linear":
        shares, base = _linear_sides(model, features)
        method = "closed form: coefficient times distance from the training mean, arm by arm"
        note, tolerance = NO_INTERACTION, LINEAR_TOLERANCE
    else:
        shares, base = _tree_sides(model, features, np.array(encoder.sources) == arm)
        method = (
            "exact path-dependent tree Shapley values of the booster with its splits on the arm "
            "resolved, treated against control"
        )
        note, tolerance = "", TREE_TOLERANCE
    margin = {
        side: np.asarray(model.predict_margin(rows), dtype=np.float64)
        for side, rows in features.items()
    }
    sign = 1 if model.margin_scale == "log odds" else -1
    sources, control = by_source(encoder, shares[0.0])
    _, treated = by_source(encoder, shares[1.0])
    others = [j for j, source in enumerate(sources) if source != arm]
    return BenefitShares(
        sources=tuple(sources[j] for j in others),
        prognostic=control[:, others],
        predictive=sign * (treated - control)[:, others],
        base_control=base[0.0],
        base_benefit=sign * (base[1.0] - base[0.0]),
        control=margin[0.0],
        treated=margin[1.0],
        benefit=sign * (margin[1.0] - margin[0.0]),
        sign=sign,
        scale=model.margin_scale,
        direction=DIRECTIONS[model.margin_scale],
        method=method,
        note=note,
    ).checked(tolerance)


def _with_arm(fitted: Any, X: npt.ArrayLike, arm: str, side: float) -> Floats:
    """Features of the patients as if all were in one arm."""
    rows = np.array(X, dtype=np.float64)
    rows[:, [plan.rule.column for plan in fitted.plans].index(arm)] = side
    return np.asarray(fitted.encode(rows), dtype=np.float64)


def _linear_sides(
    model: Any, features: dict[float, Floats]
) -> tuple[dict[float, Floats], dict[float, float]]:
    """Coefficient times distance from the training mean; what the arm adds goes to the base."""
    coef = np.asarray(model.coef_, dtype=np.float64)
    center = np.asarray(model.center_, dtype=np.float64)
    # Only features of the arm differ between the sides.
    fixed = np.any(features[1.0] != features[0.0], axis=0)
    shares = {side: np.where(fixed, 0.0, coef * (rows - center)) for side, rows in features.items()}
    base = {
        side: float(model.intercept_ + np.dot(np.where(fixed, rows[0], center), coef))
        for side, rows in features.items()
    }
    return shares, base


def _tree_sides(
    model: Any, features: dict[float, Floats], fixed: npt.NDArray[np.bool_]
) -> tuple[dict[float, Floats], dict[float, float]]:
    """Tree Shapley values and base value of either arm's forest."""
    from biomarker.explain.arm_trees import paths_with_arm_fixed

    shares, base = {}, {}
    threads = getattr(model, "n_threads", 1)
    for side, rows in features.items():
        known = {int(j): float(rows[0, j]) for j in np.flatnonzero(fixed)}
        found = paths_with_arm_fixed(model.booster_, known).contributions(rows, threads)
        found = found * float(model.contribution_sign)
        shares[side], base[side] = found[:, :-1], float(found[0, -1])
    return shares, base
