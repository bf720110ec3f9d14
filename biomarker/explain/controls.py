"""The importance that a model gives its columns when there is nothing to find.

Outcomes change hands within arm, the whole procedure is refitted, and what importance then remains
is noise: the grey band of an importance plot. A column is shown as more than noise only where the
model is above chance out of fold and its importance beats the largest of such refits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.calibration import calibrated_p, critical_value
from biomarker.explain.attribution import Attribution
from biomarker.explain.refit_runs import run_blocks
from biomarker.explain.refits import Refits, RefitTable, blocks_of, full_fit, join
from biomarker.explain.stability import estimable
from biomarker.explain.stability_result import withheld_words

__all__ = ["NullBand", "UnitBand", "assess_null", "null_band"]


@dataclass(frozen=True)
class UnitBand:
    """One unit's importance beside what permuted outcomes give it.

    Attributes
    ----------
    members : tuple of str
        A column, or a group of correlated ones.
    importance : float
        Of the full fit: mean absolute attribution on the margin scale.
    middle, limit : float or None
        Median and upper limit (95% by default) of the unit's own importance over permuted refits;
        None for the arm, whose effect permuting within arm keeps.
    p : float or None
        Family-wise: share of permuted refits, the data counted among them, whose largest importance
        of any unit is at least this one.
    """

    members: tuple[str, ...]
    importance: float
    middle: float | None
    limit: float | None
    p: float | None


@dataclass(frozen=True)
class NullBand:
    """Importance over refits on permuted outcomes.

    Attributes
    ----------
    units : tuple of UnitBand
        Largest importance first.
    largest : float
        Limit of the largest importance of any unit but the arm; a unit above it has p < alpha.
    shown : tuple of tuple of str
        Units shown as more than noise: above ``largest``, of a model above chance.
    sentence : str
    above_chance : bool
    alpha : float
    scale : str
    n_patients, n_refits, n_failed : int
    """

    units: tuple[UnitBand, ...]
    largest: float
    shown: tuple[tuple[str, ...], ...]
    sentence: str
    above_chance: bool
    alpha: float
    scale: str
    n_patients: int
    n_refits: int
    n_failed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; no patient's row is in it."""
        return asdict(self)

    def said(self, labels: Mapping[str, str]) -> str:
        """The sentence, with the words a reader knows the columns by."""
        named = "; ".join(" with ".join(names) for names in self.shown)
        labelled = (" with ".join(labels.get(n, n) for n in names) for names in self.shown)
        if not named or not self.sentence.endswith(f": {named}."):
            return self.sentence
        return f"{self.sentence.removesuffix(f'{named}.')}{'; '.join(labelled)}."

    def of(self, members: Sequence[str]) -> UnitBand | None:
        """The band of the unit with these members, None where there is none."""
        return next((unit for unit in self.units if unit.members == tuple(members)), None)


def assess_null(
    plan: Refits,
    found: Attribution,
    *,
    above_chance: bool,
    n_permuted: int = 199,
    alpha: float = 0.05,
    n_jobs: int = 1,
) -> NullBand:
    """Run the permuted refits and read them; :func:`null_band` reads refits already run.

    Parameters
    ----------
    plan : Refits
    found : Attribution
        Of the full fit.
    above_chance : bool
        Whether the whole out-of-fold interval of discrimination lies above a half. Where not, no
        unit is shown as more than noise.
    n_permuted : int
        At least 1 / alpha.
    alpha : float
        Chance that any unit but the arm is above ``largest`` where outcomes are exchangeable.
    n_jobs : int
        Refits side by side; changes no number.

    Returns
    -------
    NullBand

    Raises
    ------
    UsageError
        If there are too few refits for alpha.
    NotEstimableError
        If fewer than nine in ten refits are estimable, or the arm is the only unit.

    Examples
    --------
    >>> from biomarker.explain.attribution import attribute
    >>> from biomarker.features.frozen_column import ColumnPlan
    >>> from biomarker.models.pipeline import PipelineBuilder
    >>> from biomarker.parsing import ParseRule
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 2))
    >>> y = X[:, 0] + rng.normal(size=80) > 0
    >>> build = PipelineBuilder(
    ...     tuple(ColumnPlan(ParseRule(name, "continuous")) for name in ("il6", "age")), "logistic"
    ... )
    >>> found = attribute(build({"penalty": 3.0}, 0).fit(X, y), X, n_bootstrap=1, rng=rng)
    >>> band = assess_null(Refits.of(found, build, {"penalty": 3.0}, X, y), found,
    ...                    above_chance=True, n_permuted=39)
    >>> band.shown
    (('il6',),)
    """
    tables = dict(run_blocks(plan, blocks_of("permuted", n_permuted), n_jobs))
    ordered = [tables[k] for k in range(len(tables))]
    return null_band(plan, found, ordered, above_chance=above_chance, alpha=alpha)


def null_band(
    plan: Refits,
    found: Attribution,
    tables: Sequence[RefitTable],
    *,
    above_chance: bool,
    alpha: float = 0.05,
) -> NullBand:
    r"""Read permuted refits already run.

    With :math:`I_j` a unit's importance and :math:`I_j^{(b)}` that of refit b on permuted outcomes,

    .. math:: p_j = \frac{1 + \#\{b : \max_k I_k^{(b)} \ge I_j\}}{B + 1}

    Assumes that outcomes are exchangeable within arm when no column is associated with them, and
    that the settings, which were tuned on the true outcomes, favour none: the gate on out-of-fold
    performance, which is tuned within folds, covers what tuning adds.

    Parameters
    ----------
    plan, found, above_chance, alpha
        As in :func:`assess_null`.
    tables : sequence of RefitTable
        Of the scheme ``permuted``; others are passed over.

    Returns
    -------
    NullBand

    Notes
    -----
    The arm has no band: permuting within arm keeps the arms' difference in outcome, so that the arm
    neither raises the largest importance nor is judged by it. Importance on permuted outcomes says
    what noise looks like to this procedure; being above it is association, not cause.

    References
    ----------
    Westfall and Young (1993), Resampling-based multiple testing, for the largest statistic.
    Altmann et al. (2010), Bioinformatics 26, for importance on permuted outcomes.
    """
    permuted = join([table for table in tables if table.scheme == "permuted"])
    usable = estimable(permuted)
    n = len(usable.fitted)
    if not 0 < alpha < 1 or n * alpha < 1:
        raise UsageError(
            f"alpha must be in (0, 1) and permuted refits at least 1 / alpha; got {alpha:g} and "
            f"{n}. Run more refits."
        )
    arm = {s for s, kind in zip(found.sources, found.kinds, strict=True) if kind == "arm"}
    judged = [j for j, names in enumerate(plan.units) if not arm & set(names)]
    if not judged:
        raise NotEstimableError(
            "plan must rank a unit other than the arm; got none. Permuting within arm cannot "
            "judge the arm."
        )
    full = full_fit(plan, found).together[0]
    largest = usable.together[:, judged].max(axis=1)
    limit = critical_value(largest, alpha)
    units = []
    for j, names in enumerate(plan.units):
        value = float(full[j])
        if j not in judged:
            units.append(UnitBand(names, value, None, None, None))
            continue
        own = usable.together[:, j]
        units.append(
            UnitBand(names, value, float(np.median(own)), critical_value(own, alpha),
                     calibrated_p(value, largest))
        )  # fmt: skip
    units.sort(key=lambda unit: -unit.importance)
    beyond = tuple(unit.members for unit in units if unit.p is not None and unit.p < alpha)
    shown = beyond if above_chance else ()
    sentence = _words(shown, above_chance, bool(arm), plan.n_patients, n, alpha)
    return NullBand(
        tuple(units), limit, shown, sentence, above_chance, alpha, found.scale,
        plan.n_patients, n, len(permuted.fitted) - n,
    )  # fmt: skip


def _words(
    shown: Sequence[tuple[str, ...]],
    above_chance: bool,
    has_arm: bool,
    n_patients: int,
    n: int,
    alpha: float,
) -> str:
    """What the band lets one say."""
    if not above_chance:
        return withheld_words(n_patients)
    than = (
        f"larger than the largest importance of any column{', the arm aside,' if has_arm else ''} "
        f"in all but {alpha:.0%} of {n} refits on outcomes permuted"
        f"{' within arm' if has_arm else ''} (n = {n_patients:,})"
    )
    if not shown:
        return f"No column's importance is {than}."
    return f"Importance {than}: {'; '.join(' with '.join(names) for names in shown)}."
