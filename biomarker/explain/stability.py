"""Whether another sample, another fold or another seed would rank the columns alike.

One model's ranking is one draw. Here it is read over refits: how far each rank moves, how often a
column is among the first, how often its direction turns. Correlated columns are ranked as one, and
none is named the first unless four refits in five agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError, UsageError
from biomarker.explain.attribution import CORRELATED, Attribution
from biomarker.explain.refit_runs import run_blocks
from biomarker.explain.refits import Refits, RefitTable, Scheme, blocks_of, full_fit, join
from biomarker.explain.stability_result import (
    MemberStability,
    Spread,
    Stability,
    UnitStability,
    withheld_words,
)

__all__ = [
    "AGREEMENT",
    "TOP",
    "assess_stability",
    "estimable",
    "stability",
]

Floats = npt.NDArray[np.float64]

AGREEMENT = 0.8  # share of bootstrap refits that must put a column first before it is named
TOP = (1, 3, 5)
_USABLE = 0.9  # share of refits that must be estimable
_LEVELS = (0.025, 0.975)


def assess_stability(
    plan: Refits,
    found: Attribution,
    *,
    above_chance: bool,
    n_bootstrap: int = 500,
    n_seeds: int = 20,
    n_jobs: int = 1,
) -> Stability:
    """Run the refits and read them; :func:`stability` reads refits already run.

    Parameters
    ----------
    plan : Refits
    found : Attribution
        Of the full fit.
    above_chance : bool
        Whether the whole out-of-fold interval of discrimination lies above a half. Where not,
        nothing is run.
    n_bootstrap : int
        Refits on resampled patients, at least 100 for limits that mean something.
    n_seeds : int
        Refits with other seeds; none where the model has no random part.
    n_jobs : int
        Refits side by side; changes no number.

    Returns
    -------
    Stability

    Raises
    ------
    NotEstimableError
        If fewer than nine in ten refits of a scheme are estimable.

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
    >>> plan = Refits.of(found, build, {"penalty": 3.0}, X, y, strata=y)
    >>> read = assess_stability(plan, found, above_chance=True, n_bootstrap=40)
    >>> read.top, read.units[0].detail[0].flip_rate
    ('il6', 0.0)
    """
    if not above_chance:
        return stability(plan, found, (), above_chance=False)
    blocks = blocks_of("bootstrap", n_bootstrap) + blocks_of("fold", len(plan.folds))
    if n_seeds and plan.seeded:
        blocks += blocks_of("seed", n_seeds)
    tables = dict(run_blocks(plan, blocks, n_jobs))
    return stability(plan, found, [tables[k] for k in range(len(blocks))], above_chance=True)


def stability(
    plan: Refits, found: Attribution, tables: Sequence[RefitTable], *, above_chance: bool
) -> Stability:
    """Read refits already run.

    Importance of a unit in a refit is the mean over the patients it was fitted on of the absolute
    attribution, for a group of the absolute sum over its members, on the margin scale. Ranks and
    limits are those of the refits as they are: percentile limits, with no correction for the pull
    of resampling, which makes trees and weakly penalised models a little more confident in noise.
    The limits therefore belong to the ranking, and are no test of an importance of zero.

    Parameters
    ----------
    plan : Refits
    found : Attribution
        Of the full fit.
    tables : sequence of RefitTable
        In any number of blocks; each scheme's in order. Permuted ones are left to the controls.
    above_chance : bool
        Where False, the result is withheld.

    Returns
    -------
    Stability

    Raises
    ------
    UsageError
        If no bootstrap refit is among the tables.
    NotEstimableError
        If fewer than nine in ten refits of a scheme are estimable.

    Notes
    -----
    Cost: ranks of n_refits x n_units numbers; the refits cost all the rest.

    References
    ----------
    Meinshausen and Buhlmann (2010), Journal of the Royal Statistical Society B 72, on selection
    frequencies. Hall and Miller (2009), Journal of Computational and Graphical Statistics 18, on
    the bootstrap of ranks.
    """
    if not above_chance:
        words = withheld_words(plan.n_patients)
        return Stability(
            (), None, words, True, found.scale, plan.n_patients, {}, {}, "nothing: withheld"
        )
    kept, used, failed = _usable(tables)
    if "bootstrap" not in kept:
        raise UsageError(
            "tables must hold bootstrap refits; got none. Ranks have no limits without them."
        )
    full = full_fit(plan, found)
    spreads = {
        scheme: _spreads(table, _LEVELS if scheme == "bootstrap" else (0.0, 1.0))
        for scheme, table in kept.items()
    }
    ranks = _ranks(full.together)[0]
    detail = _members(plan, full, kept["bootstrap"])
    none = [None] * len(plan.units)
    units = [
        UnitStability(
            names, float(full.together[0, j]), float(ranks[j]), spreads["bootstrap"][j],
            spreads.get("fold", none)[j], spreads.get("seed", none)[j],
            tuple(detail[name] for name in names),
        )
        for j, names in enumerate(plan.units)
    ]  # fmt: skip
    units.sort(key=lambda unit: unit.rank)
    top, sentence = first_place(units, used["bootstrap"], plan.n_patients)
    return Stability(
        tuple(units), top, sentence, False, found.scale, plan.n_patients, used, failed,
        f"95% percentile limits over {used['bootstrap']} refits of the whole procedure on "
        f"resampled patients (n = {plan.n_patients:,}), at the settings chosen once: sampling of "
        "patients and refitting, not tuning or the choice of the model",
    )  # fmt: skip


def _usable(
    tables: Sequence[RefitTable],
) -> tuple[dict[Scheme, RefitTable], dict[str, int], dict[str, int]]:
    """Each scheme's estimable refits, how many they are, and how many failed."""
    kept: dict[Scheme, RefitTable] = {}
    used: dict[str, int] = {}
    failed: dict[str, int] = {}
    for scheme in dict.fromkeys(table.scheme for table in tables):
        table = join([t for t in tables if t.scheme == scheme])
        kept[scheme] = estimable(table)
        used[scheme] = len(kept[scheme].fitted)
        failed[scheme] = len(table.fitted) - used[scheme]
    return kept, used, failed


def estimable(table: RefitTable) -> RefitTable:
    """The refits that could be fitted, refused where too many could not."""
    good = table.fitted
    if not good.any() or good.mean() < _USABLE:
        raise NotEstimableError(
            f"at least {_USABLE:.0%} of {table.scheme} refits must be estimable; got "
            f"{int(good.sum())} of {len(good)}. Use fewer columns or a stronger penalty."
        )
    return RefitTable(
        table.scheme, table.importance[good], table.together[good], table.sign[good], good[good]
    )


def _ranks(importance: Floats, ties: str = "average") -> Floats:
    """Ranks within each row, 1 = largest, ties sharing their mean, or the last of their places."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-importance, method=ties, axis=1), dtype=np.float64)


def _spreads(table: RefitTable, levels: tuple[float, float]) -> list[Spread]:
    """Limits and selection shares of every unit."""
    ranks = _ranks(table.together)
    low, high = np.quantile(table.together, levels, axis=0)
    # Ranks are whole: limits that some refit had, the outer ones where between two.
    first = np.quantile(ranks, levels[0], axis=0, method="lower")
    last = np.quantile(ranks, levels[1], axis=0, method="higher")
    # A unit that a refit does not use is not selected, nor is one that ties with too many for k.
    used, place = table.together > 0, _ranks(table.together, "max")
    shares = np.stack([(used & (place <= k)).mean(axis=0) for k in TOP], axis=1)
    return [
        Spread(float(low[j]), float(high[j]), float(first[j]), float(last[j]),
               tuple(shares[j].tolist()))
        for j in range(table.together.shape[1])
    ]  # fmt: skip


def _members(plan: Refits, full: RefitTable, table: RefitTable) -> dict[str, MemberStability]:
    """Every column alone: importance over refits, and how often its direction turned."""
    low, high = np.quantile(table.importance, _LEVELS, axis=0)
    found = {}
    for j, name in enumerate(plan.sources):
        sign = int(full.sign[0, j])
        signed = int(np.count_nonzero(table.sign[:, j]))
        turned = int(np.count_nonzero(table.sign[:, j] == -sign)) if sign else 0
        found[name] = MemberStability(
            name, float(full.importance[0, j]), float(low[j]), float(high[j]), sign,
            turned / signed if sign and signed else None, signed,
        )  # fmt: skip
    return found


def first_place(
    units: Sequence[UnitStability],
    n: int,
    n_patients: int,
    labels: Mapping[str, str] | None = None,
) -> tuple[str | None, str]:
    """The column that may be named first, and what may be said.

    Parameters
    ----------
    units : sequence of UnitStability
    n, n_patients : int
        Bootstrap refits used, and patients.
    labels : mapping of str to str, optional
        Source column to the words a reader knows it by.

    Returns
    -------
    top : str or None
        The source column; None where no single one may be named.
    sentence : str
    """
    order = sorted(units, key=lambda unit: -unit.bootstrap.top[0])
    best = order[0]
    share = best.bootstrap.top[0]
    of = f"of {n} bootstrap refits (n = {n_patients:,})"
    if share >= AGREEMENT and len(best.members) == 1:
        return best.members[0], (
            f"{_listed(best.members, labels)} has the largest importance in {share:.0%} {of}."
        )
    if share >= AGREEMENT:
        return None, (
            f"{_listed(best.members, labels)} together have the largest importance in {share:.0%} "
            f"{of}. They correlate above {CORRELATED:g}: the data do not say how it divides among "
            "them, so no single column is named first."
        )
    leaders = ", ".join(
        f"{_listed(unit.members, labels)} in {unit.bootstrap.top[0]:.0%}"
        for unit in order[:3]
        if unit.bootstrap.top[0] > 0
    )
    return None, (
        f"No single column is named first, which takes {AGREEMENT:.0%} {of}: the largest "
        f"importance is that of {leaders or 'none'}."
    )


def _listed(members: Sequence[str], labels: Mapping[str, str] | None) -> str:
    """Names as a phrase."""
    names = [(labels or {}).get(name, name) for name in members]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
