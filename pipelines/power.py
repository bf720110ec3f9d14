"""Power of an interaction, and the events or patients it needs, by the large-sample formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from biomarker.errors import UsageError
from biomarker.evidence.power import (
    events_for_interaction,
    interaction_power,
    patients_for_response_interaction,
    response_interaction_power,
)

__all__ = ["DEFAULT_RATIO", "FormulaPower", "formula_power"]

DEFAULT_RATIO = 0.6
_HALVES = 0.25  # variance of a marker that half the patients have


@dataclass(frozen=True)
class FormulaPower:
    """Power and size by the large-sample formula.

    Attributes
    ----------
    scale : str
        ``hazard ratio`` or ``odds ratio``.
    unit : str
        What one unit of the marker is.
    counted : str
        ``events`` or ``patients``: what the power depends on.
    rows : tuple of (int or None, float, float)
        Patients where known, events or patients counted, power.
    needed, patients_needed : int, int or None
        For the power wanted.
    main_effect, halves : int
        What an overall effect of treatment of the same size needs, and the same difference between
        two equal halves of the patients.
    """

    scale: str
    unit: str
    counted: str
    ratio: float
    alpha: float
    share_treated: float
    marker_variance: float
    power: float
    rows: tuple[tuple[int | None, float, float], ...]
    needed: int
    patients_needed: int | None
    main_effect: int
    halves: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able record."""
        named = ("n_patients", f"n_{self.counted}", "power")
        return {
            "kind": "formula",
            **asdict(self),
            "rows": [dict(zip(named, row, strict=True)) for row in self.rows],
        }


def formula_power(
    ratio: float,
    events: Sequence[int] = (),
    patients: Sequence[int] = (),
    event_share: float | None = None,
    responses: tuple[float, float] | None = None,
    power: float = 0.80,
    share_treated: float = 0.5,
    marker_sd: float | None = None,
    marker_share: float | None = None,
    alpha: float = 0.05,
) -> FormulaPower:
    """Power at the sizes asked for, and the size the wanted power needs.

    Parameters
    ----------
    ratio : float
        Of hazard ratios, or of odds ratios of response where ``responses`` is given; treated over
        control, per marker unit.
    events, patients : sequence of int
        At which to give the power; patients with a hazard need ``event_share``.
    event_share : float, optional
        Patients who will have an event.
    responses : (float, float), optional
        Shares responding among treated and among controls.
    power : float
        Wanted.
    share_treated : float
    marker_sd, marker_share : float, optional
        Standard deviation of the marker in the ratio's unit (1 by default), or the share of
        marker-positive patients.
    alpha : float

    Raises
    ------
    UsageError
        If numbers are outside their range or do not go together.
    """
    variance, unit = _marker(marker_sd, marker_share)
    if event_share is not None and not 0.0 < event_share <= 1.0:
        raise UsageError(f"event_share must lie between 0 and 1; got {event_share}.")
    common = {"share_treated": share_treated, "alpha": alpha}
    rows: tuple[tuple[int | None, float, float], ...]
    if responses is not None:
        if events or event_share is not None:
            raise UsageError(
                "events must not be given with response shares; got both. Give --patients."
            )
        rows = tuple(
            (n, float(n), response_interaction_power(
                ratio, n, *responses, marker_variance=variance, **common))
            for n in patients
        )  # fmt: skip
        sizes = [
            patients_for_response_interaction(ratio, *responses, power, marker_variance=v, **common)
            for v in (variance, 1.0, _HALVES)
        ]
        return FormulaPower(
            "odds ratio", unit, "patients", ratio, alpha, share_treated, variance, power, rows,
            sizes[0], sizes[0], sizes[1], sizes[2],
        )  # fmt: skip
    if patients and event_share is None:
        raise UsageError(
            "patients must come with the share who will have an event; got none. Give "
            "--event-share, or --events instead."
        )
    counts: list[tuple[int | None, float]] = [(None, float(d)) for d in events]
    counts += [(n, n * event_share) for n in patients if event_share is not None]
    rows = tuple(
        (n, d, interaction_power(ratio, d, marker_variance=variance, **common)) for n, d in counts
    )
    # At variance 1 the formula is Schoenfeld's for a main effect of treatment.
    sizes = [
        events_for_interaction(ratio, power, marker_variance=v, **common)
        for v in (variance, 1.0, _HALVES)
    ]
    return FormulaPower(
        "hazard ratio", unit, "events", ratio, alpha, share_treated, variance, power, rows,
        sizes[0], None if event_share is None else math.ceil(sizes[0] / event_share - 1e-9),
        sizes[1], sizes[2],
    )  # fmt: skip


def _marker(sd: float | None, share: float | None) -> tuple[float, str]:
    """Variance of the marker in the ratio's unit, and that unit in words."""
    if sd is not None and share is not None:
        raise UsageError("marker_sd and marker_share must not both be given; got both.")
    if share is not None:
        if not 0.0 < share < 1.0:
            raise UsageError(f"marker_share must lie between 0 and 1; got {share}.")
        return share * (1.0 - share), f"marker-positive ({share:.0%}) against negative"
    if sd is not None and not sd > 0:
        raise UsageError(f"marker_sd must be above 0; got {sd}.")
    if sd is None or sd == 1.0:
        return 1.0, "per SD of the marker"
    return sd**2, f"per unit of the marker (SD {sd:g})"
