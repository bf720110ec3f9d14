"""What refits say about a ranking: frozen, aggregates only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["MemberStability", "Spread", "Stability", "UnitStability", "withheld_words"]


@dataclass(frozen=True)
class Spread:
    """How one unit's importance and rank moved over the refits of one scheme.

    Attributes
    ----------
    low, high : float
        Mean absolute attribution, on the margin scale.
    rank_low, rank_high : float
        Ranks, 1 = largest; ties share their mean rank.
    top : tuple of float
        Share of refits with the unit among the first 1, 3 and 5, in [0, 1].
    """

    low: float
    high: float
    rank_low: float
    rank_high: float
    top: tuple[float, ...]


@dataclass(frozen=True)
class MemberStability:
    """One column of a unit, over bootstrap refits.

    Attributes
    ----------
    source : str
    importance, low, high : float
        Mean absolute attribution of the full fit, and 95% limits over refits.
    sign : int
        +1 where higher values raise the margin in the full fit, -1 where they lower it, 0 where
        neither, or where the values have no order.
    flip_rate : float or None
        Share of refits that use the column in a direction and in which it is the opposite one, in
        [0, 1]; None where the full fit has no direction or no refit has.
    n_signed : int
        Refits that have a direction.
    """

    source: str
    importance: float
    low: float
    high: float
    sign: int
    flip_rate: float | None
    n_signed: int


@dataclass(frozen=True)
class UnitStability:
    """What is ranked as one: a column, or a group of columns too correlated to be told apart.

    Attributes
    ----------
    members : tuple of str
    importance : float
        Of the full fit: mean absolute attribution, for a group of the members' sum.
    rank : float
        Of the full fit, 1 = largest.
    bootstrap : Spread
        95% percentile limits over bootstrap refits.
    folds, seeds : Spread or None
        Smallest and largest over the refits; None where there were none.
    detail : tuple of MemberStability
    """

    members: tuple[str, ...]
    importance: float
    rank: float
    bootstrap: Spread
    folds: Spread | None
    seeds: Spread | None
    detail: tuple[MemberStability, ...]


@dataclass(frozen=True)
class Stability:
    """How far a model's ranking of columns can be trusted; aggregates only.

    Attributes
    ----------
    units : tuple of UnitStability
        Largest importance of the full fit first; empty where withheld.
    top : str or None
        The one column that comes first in at least 80% of bootstrap refits.
    sentence : str
        What may be said about the first place, with its numbers; or why nothing is shown.
    withheld : bool
        Whether the model's performance forbids reading its importance.
    scale : str
        Scale of every importance.
    n_patients : int
    n_refits, n_failed : mapping of str to int
        By scheme: refits used, and those not estimable.
    interval_covers : str
    """

    units: tuple[UnitStability, ...]
    top: str | None
    sentence: str
    withheld: bool
    scale: str
    n_patients: int
    n_refits: Mapping[str, int]
    n_failed: Mapping[str, int]
    interval_covers: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; no patient's row is in it."""
        return asdict(self) | {"n_refits": dict(self.n_refits), "n_failed": dict(self.n_failed)}


def withheld_words(n_patients: int) -> str:
    """Why no importance is shown for a model that is not above chance."""
    return (
        f"Importance is withheld (n = {n_patients:,}): out of fold, this model is not shown to do "
        "better than chance, so nothing may be read into what moves its predictions."
    )
