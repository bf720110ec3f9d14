"""What a cohort was drawn from: potential outcomes, individual benefit, and each marker's truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from biomarker.errors import StudyError
from synthetic_data.effects import Effect, describe_mode

if TYPE_CHECKING:
    from synthetic_data.plan import Plan

__all__ = ["TRUTH_UNITS", "Truth"]


@dataclass(frozen=True, eq=False)
class Truth:
    """The declared truth of one cohort, kept apart from its file.

    Attributes
    ----------
    plan : Plan
        Design, size, seed and declared effects.
    patients : DataFrame, shape (n_patients, n_columns)
        Potential outcomes under both arms and the individual benefit; higher = more benefit.
    """

    plan: Plan
    patients: pd.DataFrame

    @property
    def mode(self) -> str:
        """Null, prognostic-only or predictive, and on which scale an interaction is zero."""
        if self.plan.published:
            return "published: strata drawn as the study reported them, no effect declared"
        return describe_mode(self.plan.effects)

    @property
    def markers(self) -> pd.DataFrame:
        """Structural and marginal truth of every marker: one row per quantity.

        Columns: marker, endpoint, kind ("structural" or "marginal"), quantity, value, mc_se,
        unit, direction. The first call for a declaration takes some seconds.
        """
        from synthetic_data.marginal import marginal_table

        if self.plan.published:
            raise StudyError(
                f"markers must come from an open design; {self.plan.name!r} is a published study, "
                "which declares no marker effect."
            )
        marginal = marginal_table(self.plan).assign(kind="marginal")
        structural = pd.DataFrame(_structural(self.plan)).assign(kind="structural", mc_se=0.0)
        table = pd.concat([structural, marginal], ignore_index=True)
        units = {m: _per(m, s) for m, s in self.plan.design["markers"].items()}
        table["unit"] = [
            _unit(q, units[m]) for m, q in zip(table["marker"], table["quantity"], strict=True)
        ]
        table["direction"] = [_direction(q) for q in table["quantity"]]
        order = ["marker", "endpoint", "kind", "quantity", "value", "mc_se", "unit", "direction"]
        return table[order]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able statement of this cohort's truth, its marker table included."""
        return self.declaration(self.plan)

    @classmethod
    def declaration(cls, plan: Plan, markers: bool = True) -> dict[str, Any]:
        """JSON-able statement of what was declared, with the marker table if asked for.

        Parameters
        ----------
        plan : Plan
            From :func:`synthetic_data.plan.plan_for`.
        markers : bool, default True
            Whether to include the marker table, whose first computation takes some seconds.
        """
        declared: dict[str, Any] = {
            "design": plan.name,
            "n_patients": plan.n_patients,
            "seed": plan.seed,
            "confounding": plan.confounding,
            "informative": plan.informative,
            "mode": cls(plan, pd.DataFrame()).mode,
            "effects": [_effect_record(plan, effect) for effect in plan.effects],
        }
        if not plan.published:
            declared["censoring"] = dict(plan.design["censoring"])
            declared["z"] = {
                "formula": "z = (transform(value) - centre) / scale; levels count from 0",
                "markers": {name: dict(spec) for name, spec in plan.design["markers"].items()},
            }
            declared["marginal"] = (
                "what fits of arm and measured marker alone converge to under this censoring, in "
                "a file without missing values; standard errors are those of the internal draw"
            )
        if markers and not plan.published:
            table = cls(plan, pd.DataFrame()).markers
            declared["markers"] = table.to_dict(orient="records")
        return declared


def _effect_record(plan: Plan, effect: Effect) -> dict[str, Any]:
    """One declared effect with its unit and direction."""
    quantity = f"{effect.kind}_{effect.scale}"
    return {
        "marker": effect.marker,
        "kind": effect.kind,
        "scale": effect.scale,
        "value": effect.value,
        "unit": _unit(quantity, _per(effect.marker, plan.design["markers"][effect.marker])),
        "direction": _direction(quantity),
    }


# Units of the truth file's columns, by how their names begin.
TRUTH_UNITS = {
    "pfs_months": "months",
    "os_months": "months",
    "log_hazard": "log hazard relative to the design's reference patient",
    "response_probability": "probability",
    "benefit_survival": "difference in survival probability, treated minus control",
    "benefit_rmst": "months gained, treated minus control",
    "benefit_response": "difference in response probability, treated minus control",
    "censoring_months": "months",
}


def _per(marker: str, spec: Mapping[str, Any]) -> str:
    """What one unit of a marker's z is."""
    if spec["transform"] == "levels":
        return f"per level ({spec['unit']})"
    name = f"ln({marker})" if spec["transform"] == "log" else marker
    return f"per SD ({spec['scale']:g} of {name}, {spec['unit']})"


def _unit(quantity: str, per: str) -> str:
    """Unit of a quantity or scale."""
    if quantity.endswith(("cure", "response")) and not quantity.startswith("delta_"):
        return f"log odds ratio {per}"
    if "odds" in quantity or "log_or" in quantity:
        return f"log odds ratio {per}"
    if quantity == "log_hr_treatment_at_centre":
        return "log hazard ratio, treated over control, at the marker's centre"
    if quantity.startswith("delta_"):
        base = "months" if "rmst" in quantity else "probability"
        return f"{base} {per}" if quantity.endswith("_per_sd") else base
    if quantity == "predictive_hazard" or "ratio_of_hazard_ratios" in quantity:
        return f"log ratio of hazard ratios, treated over control, {per}"
    return f"log hazard ratio {per}"


def _direction(quantity: str) -> str:
    """Which way is up."""
    if quantity.startswith("delta_"):
        return "positive = more benefit of treatment"
    if "ratio_of_hazard_ratios" in quantity or quantity == "predictive_hazard":
        return "positive = less benefit of treatment at higher values"
    if "ratio_of_odds" in quantity or quantity in ("predictive_cure", "predictive_response"):
        return "positive = more benefit of treatment at higher values"
    if "log_or" in quantity or quantity in ("prognostic_cure", "prognostic_response"):
        return "positive = more cures or responses at higher values"
    return "positive = worse"


def _structural(plan: Plan) -> list[dict[str, Any]]:
    """Declared effects of every marker on every scale, zeros included."""
    declared = {(e.marker, e.kind, e.scale): e.value for e in plan.effects}
    endpoint = {"hazard": "os, pfs", "cure": "os, pfs", "response": "response"}
    return [
        {
            "marker": marker,
            "endpoint": endpoint[scale],
            "quantity": f"{kind}_{scale}",
            "value": declared.get((marker, kind, scale), 0.0),
        }
        for marker in plan.design["markers"]
        for kind in ("prognostic", "predictive")
        for scale in ("hazard", "cure", "response")
    ]
