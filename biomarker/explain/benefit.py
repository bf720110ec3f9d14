r"""How much of what a model says of a patient is about the treatment, and may that be shown at all.

The model is a Cox (or logistic) regression on covariates, arm, markers and arm x markers: the one
the evidence room judges predictive effects by. Its prediction under control and its predicted
benefit are split over the columns (:mod:`biomarker.explain.benefit_shares`); predictive parts stand
beside the size they reach on outcomes without any interaction. Nothing of it is computed unless at
least one marker's verdict allows a predictive reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.errors import UsageError
from biomarker.evidence.verdict import Verdict
from biomarker.explain.benefit_null import STABLE, ColumnParts, column_parts
from biomarker.explain.benefit_patients import benefit_design, design_note, source_columns
from biomarker.explain.benefit_refits import null_refits, patient_refits
from biomarker.explain.benefit_shares import BenefitShares
from biomarker.explain.illustrations import Illustration, illustrations_of

if TYPE_CHECKING:
    from biomarker.explain.benefit_scales import AbsoluteBenefit

__all__ = ["BenefitAttribution", "WithheldBenefit", "attribute_benefit", "withheld_because"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WithheldBenefit:
    """Why the benefit is not attributed: what a report prints in the panel's place.

    Attributes
    ----------
    endpoint, reason : str
    """

    endpoint: str
    reason: str


@dataclass(frozen=True, eq=False)
class BenefitAttribution:
    """Both parts of every patient's prediction; rows live in memory, only aggregates are stored.

    Attributes
    ----------
    endpoint : str
    shares : BenefitShares
        Parts per patient, on the margin's scale.
    parts : tuple of ColumnParts
        Sizes, intervals and bands, largest predictive part first.
    columns : ndarray, shape (n_patients, n_sources)
        Parsed value of each column, NaN where missing; for colours only.
    kinds : tuple of str
    levels : tuple of tuple of str
    units : tuple of str or None
    illustrations : tuple of Illustration
        Patients of low, middle and high predicted benefit, by pseudonym.
    absolute : tuple of AbsoluteBenefit
        The same on scales of probability or time, without bands or ranks.
    n_treated, n_control, events_treated, events_control, n_missing : int
        Events are responses where the endpoint is one; missing are patients without some marker.
    n_bootstrap, n_bootstrap_failed, n_null, n_null_failed, seed : int
    alpha : float
    interval_covers, band_means : str
        For the figure's caption and the methods section.
    """

    endpoint: str
    shares: BenefitShares
    parts: tuple[ColumnParts, ...]
    columns: Floats
    kinds: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    units: tuple[str | None, ...]
    illustrations: tuple[Illustration, ...]
    absolute: tuple[AbsoluteBenefit, ...]
    n_treated: int
    n_control: int
    events_treated: int
    events_control: int
    n_missing: int
    n_bootstrap: int
    n_bootstrap_failed: int
    n_null: int
    n_null_failed: int
    seed: int
    alpha: float
    interval_covers: str
    band_means: str

    @property
    def n_patients(self) -> int:
        """Patients the parts are means over."""
        return len(self.shares.benefit)

    @property
    def leader(self) -> str | None:
        """The one column that may be said to come first in the predictive parts, if any.

        Its effect is claimed, its part exceeds the family's band, and it comes first in at least
        80% of bootstrap refits.
        """
        top = self.parts[0]
        stands = top.established and top.predictive > top.family_high and top.first >= STABLE
        return top.source if stands else None

    def to_dict(self) -> dict[str, Any]:
        """Aggregates as JSON-able data: never a patient's row; what has no value is None."""
        fields = ColumnParts.__dataclass_fields__
        return {
            "endpoint": self.endpoint,
            "scale": self.shares.scale,
            "direction": self.shares.direction,
            "method": self.shares.method,
            "note": self.shares.note,
            "base_control": self.shares.base_control,
            "base_benefit": self.shares.base_benefit,
            "leader": self.leader,
            "parts": [
                {
                    name: None if (value := getattr(part, name)) != value else value
                    for name in fields
                }
                for part in self.parts
            ],
            "absolute": [one.to_dict() for one in self.absolute],
            **{
                name: getattr(self, name)
                for name in (
                    "n_patients", "n_treated", "n_control", "events_treated", "events_control",
                    "n_missing", "n_bootstrap", "n_bootstrap_failed", "n_null", "n_null_failed",
                    "seed", "alpha", "interval_covers", "band_means",
                )
            },
        }  # fmt: skip


def withheld_because(verdicts: Iterable[Verdict], endpoint: str) -> str:
    """Why benefit may not be attributed on this endpoint; empty where a claim stands.

    Parameters
    ----------
    verdicts : iterable of Verdict
        From :func:`biomarker.evidence.assess`; those of other endpoints are ignored.
    endpoint : str

    Returns
    -------
    str

    Examples
    --------
    >>> withheld_because([], "os")[:44]
    'Withheld: no marker was assessed on os. With'
    """
    asked = [verdict for verdict in verdicts if verdict.endpoint == endpoint]
    if any(verdict.claimed for verdict in asked):
        return ""
    if not asked:
        return (
            f"Withheld: no marker was assessed on {endpoint}. Without a test of the interaction a "
            "part cannot be said to concern the treatment."
        )
    reasons = dict.fromkeys(verdict.reason for verdict in asked if verdict.reason)
    counted = f"{len(asked)} marker" + ("" if len(asked) == 1 else "s")
    return (
        f"Withheld: predictive effect not established for any of {counted} assessed on {endpoint}"
        + (f" ({'; '.join(reasons)})" if reasons else "")
        + ". Differences in predicted benefit would be noise, or scale, drawn as a finding."
    )


def attribute_benefit(
    cohort: Cohort,
    endpoint: str,
    verdicts: Sequence[Verdict],
    *,
    at: float | None = None,
    n_bootstrap: int = 199,
    n_null: int = 199,
    alpha: float = 0.05,
    random_state: int = 0,
    threads: int = 1,
) -> BenefitAttribution | WithheldBenefit:
    r"""Split predictions into what concerns the disease and what concerns the treatment.

    .. math:: f(x, \text{treated}) = b + \sum_j \phi_j^{\text{prognostic}}
              \mp \sum_j \phi_j^{\text{predictive}}

    with minus for a hazard, where benefit lowers the prediction, and plus for the odds of
    response. Positive predictive parts always mean: treatment helps this patient more.

    Assumes linear effects of the encoded columns, and that columns may be varied one at a time:
    among correlated ones the split is a convention. Attribution is no cause: it says what moved
    the model's prediction.

    Parameters
    ----------
    cohort : Cohort
        One row a patient.
    endpoint : str
    verdicts : sequence of Verdict
        Of this cohort. Markers assessed on this endpoint enter the model together; a marker that
        could not be estimated is left out.
    at : float, optional
        Horizon in the endpoint's unit (survival only): ``absolute`` then holds survival at it and
        the restricted mean up to it; without it none. The chance of response is always there.
    n_bootstrap, n_null : int
        Refits to resampled patients and to redrawn outcomes, each at least 39.
    alpha : float
    random_state, threads : int
        Results do not depend on ``threads``.

    Returns
    -------
    BenefitAttribution or WithheldBenefit
        The second unless a verdict on this endpoint claims that the effect of treatment differs.

    Raises
    ------
    UsageError
        If the endpoint is not one of the cohort's, or ``at`` goes with a response.
    NotEstimableError
        If the model, or too many refits, have no finite maximum.
    AdditivityError
        If parts miss the prediction by more than 1e-9.

    Notes
    -----
    Patients without every marker are left out, and counted. The cost is that of the refits, tens of
    microseconds for each patient per thousand.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, for tests by a fitted null.
    Lundberg and Lee (2017), Advances in Neural Information Processing Systems 30.
    """
    if endpoint not in cohort.outcomes:
        raise UsageError(f"endpoint must be one of {list(cohort.outcomes)}; got {endpoint!r}.")
    reason = withheld_because(verdicts, endpoint)
    if reason:
        return WithheldBenefit(endpoint, reason)
    asked = [v for v in verdicts if v.endpoint == endpoint and v.verdict != "not_estimable"]
    # Claimed ones first: of markers that say the same, the others give way.
    asked = sorted(asked, key=lambda verdict: not verdict.claimed)
    claimed = frozenset(verdict.marker for verdict in asked if verdict.claimed)
    design, rows, n_missing = benefit_design(
        cohort, endpoint, tuple(verdict.marker for verdict in asked), claimed
    )
    if at is not None and not design.is_survival:
        raise UsageError(f"at must go with a survival endpoint; got {at:g} with a response.")
    coefficients = design.fit()
    shares = design.shares(coefficients)
    shares = replace(shares, note=design_note(design, [verdict.marker for verdict in asked]))
    resamples = patient_refits(design, coefficients, n_bootstrap, random_state, threads)
    null = null_refits(design, coefficients, n_null, random_state, threads)
    parts = column_parts(
        design.sources,
        np.abs(shares.prognostic).mean(axis=0),
        np.abs(shares.predictive).mean(axis=0),
        np.isin(design.sources, design.marker_sources),
        resamples,
        null,
        claimed,
        alpha,
    )
    absolute: tuple[AbsoluteBenefit, ...] = ()
    if at is not None or not design.is_survival:
        from biomarker.explain.benefit_scales import absolute_benefit

        unit = str(getattr(cohort.outcomes[endpoint].endpoint, "unit", ""))
        absolute = absolute_benefit(design, coefficients, at, unit, random_state)
    treated = design.data.treated
    event = np.asarray(design.data.y["event"] if design.is_survival else design.data.y, np.bool_)
    return BenefitAttribution(
        endpoint=endpoint,
        shares=shares,
        parts=parts,
        **source_columns(cohort, design, rows),
        illustrations=illustrations_of(shares.benefit, np.random.default_rng(random_state)),
        absolute=absolute,
        n_treated=int(treated.sum()),
        n_control=int((~treated).sum()),
        events_treated=int(event[treated].sum()),
        events_control=int(event[~treated].sum()),
        n_missing=n_missing,
        n_bootstrap=n_bootstrap,
        n_bootstrap_failed=resamples.n_failed,
        n_null=n_null,
        n_null_failed=null.n_failed,
        seed=random_state,
        alpha=alpha,
        interval_covers=(
            f"{1 - alpha:.0%} interval over {n_bootstrap} refits to patients resampled within arm: "
            "how far a part would move with other patients, at these patients' columns; it does "
            "not cover the choice of model or markers"
        ),
        band_means=(
            f"size that a predictive part exceeds in {alpha:.0%} of {n_null} refits to outcomes "
            "redrawn from the fitted model without interaction"
        ),
    )
