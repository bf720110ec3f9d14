"""What fixes a cohort before a number is drawn: design, size, seed and declared effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from biomarker.errors import StudyError
from synthetic_data.effects import Effect, parse_effects
from synthetic_data.facts import recipe

__all__ = ["BLOCK", "Plan", "plan_for"]

# Patients per block: fixed, so that bytes never depend on workers or chunks; whole assay plates of
# 80 and whole randomisation blocks of 4.
BLOCK = 65_600
INFORMATIVE_DROPOUT = 0.015  # per month for a patient of average risk


@dataclass(frozen=True)
class Plan:
    """Everything that fixes a cohort before a number is drawn; small, and safe to send to a worker.

    Parameters
    ----------
    name : str
        Design or published study.
    n_patients : int
        Size of the cohort.
    seed : int
        Root of every random stream.
    effects : tuple of Effect
        Declared truth.
    confounding : float
        Correlation of VEGF with ECOG and LDH, 0 by default.
    complete : bool
        True to draw without missing values.
    informative : float
        Log drop-out rate per unit of log hazard; 0 for independent censoring.
    """

    name: str
    n_patients: int
    seed: int
    effects: tuple[Effect, ...] = ()
    confounding: float = 0.0
    complete: bool = False
    informative: float = 0.0

    @property
    def design(self) -> dict[str, Any]:
        """Parameters of the design, with the plan's own censoring."""
        design = recipe(self.name).design
        if not self.informative:
            return design
        rule = design["censoring"] | {
            "kind": "informative",
            "dropout_per_month": INFORMATIVE_DROPOUT,
            "log_rate_per_log_hazard": self.informative,
        }
        return design | {"censoring": rule}

    @property
    def published(self) -> bool:
        """Whether this is a replicate of a published study: no effects, drawn in one piece."""
        return recipe(self.name).kind != "open"

    @property
    def n_blocks(self) -> int:
        """Number of blocks the cohort is drawn in."""
        return 1 if self.published else -(-self.n_patients // BLOCK)

    def block_size(self, index: int) -> int:
        """Patients in block ``index``."""
        return min(BLOCK, self.n_patients - index * BLOCK)


def plan_for(
    name: str,
    n_patients: int | None,
    seed: int,
    effects: Mapping[str, object] | Iterable[str] | None = None,
    confounding: float = 0.0,
    complete: bool = False,
    informative: float = 0.0,
) -> Plan:
    """Check the request and freeze it.

    Parameters
    ----------
    name : str
        An open design, or a published study (which takes no effects).
    n_patients : int or None
        At least 1; None is the published size.
    seed : int
        Not negative.
    effects : mapping, iterable of str or None
        As :func:`synthetic_data.effects.parse_effects` reads them.
    confounding : float
        Correlation, -0.6 to 0.6, between VEGF and the risk factors.
    complete : bool
        True to hide nothing.
    informative : float
        Log drop-out rate per unit of log hazard, -2 to 2.

    Raises
    ------
    StudyError
        If the name, the size, the seed, an effect or an option cannot be used.
    """
    known = recipe(name)
    whole = (int, np.integer)
    if n_patients is None and known.kind == "open":
        raise StudyError(f"n_patients must be given for an open design such as {name!r}.")
    if n_patients is not None and (not isinstance(n_patients, whole) or n_patients < 1):
        raise StudyError(f"n_patients must be a whole number of at least 1; got {n_patients!r}.")
    if not isinstance(seed, whole) or seed < 0:
        raise StudyError(f"seed must be a whole number of at least 0; got {seed!r}.")
    if not abs(confounding) <= 0.6:
        raise StudyError(f"confounding must be from -0.6 to 0.6; got {confounding!r}.")
    size = int(n_patients) if n_patients is not None else published_size(known.design)
    if not abs(informative) <= 2.0:
        raise StudyError(f"informative must be from -2 to 2; got {informative!r}.")
    if known.kind != "open":
        if effects or confounding or informative:
            raise StudyError(
                f"effects must be empty for a published study; got some for {name!r}. Its effects "
                "are what was published: declare your own on an open design."
            )
        return Plan(name, size, int(seed))
    parsed = parse_effects(effects, known.design["markers"])
    return Plan(
        name, size, int(seed), parsed, float(confounding), bool(complete), float(informative)
    )


def published_size(design: Mapping[str, Any]) -> int:
    """Patients of a published study, counted from its strata or stated by its model."""
    if "stratum" in design:
        return sum(int(stratum["n"]) for stratum in design["stratum"])
    if "population" in design:
        return sum(int(population["n"]) for population in design["population"])
    if "n_clear" in design:
        return int(design["n_clear"] + design["n_non_clear"])
    if "responders" in design:
        return int(design["responders"] + design["non_responders"])
    return int(design["n_patients"] if "n_patients" in design else sum(design["group_sizes"]))
