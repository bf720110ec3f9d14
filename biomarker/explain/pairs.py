"""What pairs of columns did together in each patient's margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.explain.contributions import ADDITIVITY_TOLERANCE, AdditivityError, contributions
from biomarker.explain.tree_paths import compile_paths

__all__ = ["Interactions", "interactions"]

Floats = npt.NDArray[np.float64]

_NUMBERS = 2**24  # of a block's features by features


@dataclass(frozen=True, eq=False)
class Interactions:
    """Every patient's margin split over pairs of source columns; rows live in memory only.

    Attributes
    ----------
    sources : tuple of str, length n_sources
    values : ndarray, shape (n_patients, n_sources, n_sources)
        Symmetric; a row sums to the source's attribution. Off the diagonal, half of what two
        columns did together beyond what each did alone.
    scale, direction : str
        As in :class:`biomarker.explain.contributions.Contributions`.
    """

    sources: tuple[str, ...]
    values: Floats
    scale: str
    direction: str

    def to_dict(self) -> dict[str, Any]:
        """Mean absolute size of each pair, both halves together, largest first; never a row."""
        size = 2 * np.abs(self.values).mean(axis=0)
        first, second = np.triu_indices(len(self.sources), 1)
        order = np.argsort(-size[first, second], kind="stable")
        return {
            "scale": self.scale,
            "n_patients": len(self.values),
            "pairs": [
                {
                    "sources": [self.sources[first[i]], self.sources[second[i]]],
                    "mean_absolute": float(size[first[i], second[i]]),
                }
                for i in order
            ],
        }


def interactions(fitted: Any, X: npt.ArrayLike) -> Interactions:
    r"""Shapley interaction values of each patient's margin, summed to source columns.

    .. math:: \phi_i = \sum_j \Phi_{ij}, \qquad \Phi_{ij} = \Phi_{ji}

    For boosted models those of the path-dependent game, exact. A linear margin has none, so that
    its diagonal holds everything. Levels and indicators of one column act within its diagonal.

    Parameters
    ----------
    fitted : EncodedModel
    X : array-like of float, shape (n_patients, n_columns)
        Parsed values in the order of the model's plans, NaN where missing.

    Returns
    -------
    Interactions

    Raises
    ------
    AdditivityError
        If a row misses the column's attribution by more than 1e-4.
    UnsupportedTreesError
        If the tables of all pairs would be too large, or the trees are too deep.

    Notes
    -----
    An interaction between two markers in the margin says nothing about treatment, and one with
    the arm is not evidence of a predictive effect: that needs the interaction's test.

    References
    ----------
    Fujimoto, Kojadinovic and Marichal (2006), Games and Economic Behavior 55. Lundberg et al.
    (2020), Nature Machine Intelligence 2, for trees.

    Examples
    --------
    >>> from biomarker.features.frozen_column import ColumnPlan
    >>> from biomarker.models import BoostedResponse
    >>> from biomarker.models.pipeline import EncodedModel
    >>> from biomarker.parsing import ParseRule
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> plans = tuple(ColumnPlan(ParseRule(name, "continuous")) for name in ("vegf", "crp"))
    >>> model = EncodedModel(plans, BoostedResponse(n_estimators=20))
    >>> found = interactions(model.fit(X, X[:, 0] * X[:, 1] > 0), X)
    >>> bool(np.abs(found.values[:, 0, 1]).mean() > 0.05)
    True
    """
    parts = contributions(fitted, X)
    model, features = fitted.model, fitted.encode(np.asarray(X, dtype=np.float64))
    n_sources = len(parts.sources)
    values = np.zeros((len(features), n_sources, n_sources))
    if model.attribution == "linear":
        diagonal = np.arange(n_sources)
        values[:, diagonal, diagonal] = parts.values
    else:
        paths = compile_paths(model.booster_)
        member = np.array(
            [[s == name for name in parts.sources] for s in fitted.encoder_.sources], np.float64
        )
        step = max(1, _NUMBERS // features.shape[1] ** 2)
        for start in range(0, len(features), step):
            rows = slice(start, start + step)
            both = paths.interactions(features[rows], getattr(model, "n_threads", 1))
            values[rows] = float(model.contribution_sign) * (member.T @ both @ member)
    gap = float(np.max(np.abs(values.sum(axis=2) - parts.values), initial=0.0))
    if not gap <= ADDITIVITY_TOLERANCE:
        raise AdditivityError(
            f"Interactions must sum to the attribution within {ADDITIVITY_TOLERANCE:g}; got a gap "
            f"of {gap:.3g} on the {parts.scale} scale. The tables of pairs and of columns "
            "disagree: report this with the model's name and the installed versions."
        )
    return Interactions(parts.sources, values, parts.scale, parts.direction)
