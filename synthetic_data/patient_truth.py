"""What is true of each patient: survival and months under both arms, and the benefit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synthetic_data.blocks import RESPONSES, Block
from synthetic_data.outcomes import ArmTerms, cumulative_hazard
from synthetic_data.table import Coded, Floats, Table

__all__ = ["patient_truth", "restricted_mean", "survival_probability"]


def survival_probability(
    terms: ArmTerms, months: float, survival: Mapping[str, Any], treated: bool
) -> Floats:
    """Probability of being alive at ``months`` given everything about the patient but luck.

    Parameters
    ----------
    terms : ArmTerms
        Multipliers in the arm.
    months : float
        Horizon.
    survival : mapping
        The design's survival parameters.
    treated : bool
        Whether treatment-related death can occur.
    """
    hazard = float(cumulative_hazard(np.asarray(months), survival["os"]))
    alive = np.exp(-np.exp(terms.log_hazard) * hazard)
    if terms.durable.any():
        alive = terms.durable + (1.0 - terms.durable) * alive
    if treated:
        died = -np.expm1(-months / survival["toxic_death"]["scale_months"])
        alive = alive * (1.0 - terms.toxic * died)
    return alive


def restricted_mean(
    terms: ArmTerms, months: float, survival: Mapping[str, Any], treated: bool
) -> Floats:
    """Expected months alive up to ``months`` given everything about the patient but luck.

    The integral of the survival probability depends on the patient only through the hazard
    multiplier, so it is tabulated on a grid of its logarithm and interpolated.

    Parameters
    ----------
    terms, months, survival, treated
        As for :func:`survival_probability`.
    """
    node, weight = np.polynomial.legendre.leggauss(64)
    times = 0.5 * months * (node + 1.0)
    weights = 0.5 * months * weight
    low, high = float(terms.log_hazard.min()) - 1e-9, float(terms.log_hazard.max()) + 1e-9
    grid = np.linspace(low, high, 801)
    alive = np.exp(-np.exp(grid)[:, None] * cumulative_hazard(times, survival["os"])[None, :])
    spared = np.interp(terms.log_hazard, grid, alive @ weights)
    died = -np.expm1(-times / survival["toxic_death"]["scale_months"]) if treated else 0.0 * times
    lost = np.interp(terms.log_hazard, grid, alive @ (weights * died)) if treated else 0.0
    durable, toxic = terms.durable, terms.toxic
    plain = months - toxic * float(weights @ died)
    return durable * plain + (1.0 - durable) * (spared - toxic * lost)


def patient_truth(block: Block, design: Mapping[str, Any]) -> Table:
    """Truth columns of one block of patients.

    Parameters
    ----------
    block : Block
        From :func:`synthetic_data.blocks.draw_block`.
    design : mapping
        The design's parameters.

    Returns
    -------
    dict of columns
        Potential outcomes (infinite times where an event never comes), conditional survival and
        restricted mean under both arms, and the benefit of treatment, higher = better.
    """
    survival = design["survival"]
    table: Table = {"arm": Coded(block.treated.astype(np.int8), tuple(design["arms"]))}
    names = ("control", "treated")
    for arm, outcome, terms in zip(names, block.outcomes, block.terms, strict=True):
        table[f"response_{arm}"] = Coded(outcome.response, RESPONSES)
        table[f"pfs_months_{arm}"] = outcome.pfs_months
        table[f"os_months_{arm}"] = outcome.os_months
        table[f"log_hazard_{arm}"] = terms.log_hazard
        table[f"response_probability_{arm}"] = terms.response
    for months in design["horizons_months"]:
        table[f"benefit_survival_{months:g}_months"] = survival_probability(
            block.terms[1], months, survival, True
        ) - survival_probability(block.terms[0], months, survival, False)
    tau = design["rmst_months"]
    table[f"benefit_rmst_{tau:g}_months"] = restricted_mean(
        block.terms[1], tau, survival, True
    ) - restricted_mean(block.terms[0], tau, survival, False)
    table["benefit_response"] = block.terms[1].response - block.terms[0].response
    table["censoring_months"] = block.censoring
    return table
