"""Which column moves predictions, by how much, on a named scale, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.explain.contributions import Contributions, contributions
from biomarker.explain.illustrations import Illustration, illustrations_of
from biomarker.explain.sources import level_names

__all__ = [
    "CORRELATED",
    "Attribution",
    "SourceImportance",
    "attribute",
    "mean_intervals",
    "to_shap",
]

Floats = npt.NDArray[np.float64]

CORRELATED = 0.8
_BOOTSTRAP_BLOCK = 2**22


@dataclass(frozen=True)
class SourceImportance:
    """Mean absolute attribution of one source column, with its interval, on the margin scale."""

    source: str
    value: float
    low: float
    high: float
    n_patients: int


@dataclass(frozen=True, eq=False)
class Attribution(Contributions):
    """What moved a model's predictions; rows live in memory, only aggregates may be stored.

    Attributes
    ----------
    sources, values, base_value, margin, scale, direction, method
        As in :class:`Contributions`.
    columns : ndarray, shape (n_patients, n_sources)
        Parsed value of each source column, NaN where missing; for colour and dependence plots.
    kinds : tuple of str
        Kind of each source: continuous, ordinal, categorical, genotype or arm.
    levels : tuple of tuple of str
        Levels a source's values count into; empty for continuous ones.
    units : tuple of str or None
    importance : tuple of SourceImportance
        Largest first; ties in column order.
    correlated : tuple of tuple of str
        Groups of sources tied by a correlation above 0.8 in size: attribution is shared among
        them in a way the data do not determine.
    illustrations : tuple of Illustration
        Low, middle and high; fewer where there are fewer than three patients.
    n_patients, n_bootstrap : int
    interval_covers : str
        What the intervals of ``importance`` do and do not cover.
    """

    columns: Floats
    kinds: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    units: tuple[str | None, ...]
    importance: tuple[SourceImportance, ...]
    correlated: tuple[tuple[str, ...], ...]
    illustrations: tuple[Illustration, ...]
    n_patients: int
    n_bootstrap: int
    interval_covers: str

    def to_dict(self) -> dict[str, Any]:
        """Aggregates as JSON-able data: importance, groups and method, never a patient's row."""
        return {
            "scale": self.scale,
            "direction": self.direction,
            "method": self.method,
            "base_value": self.base_value,
            "n_patients": self.n_patients,
            "n_bootstrap": self.n_bootstrap,
            "interval_covers": self.interval_covers,
            "importance": [
                {"source": i.source, "mean_absolute": i.value, "low": i.low, "high": i.high}
                for i in self.importance
            ],
            "correlated": [list(group) for group in self.correlated],
        }


def attribute(
    fitted: Any,
    X: npt.ArrayLike,
    y: Any = None,
    *,
    n_bootstrap: int = 1000,
    rng: np.random.Generator,
    patient_numbers: npt.ArrayLike | None = None,
) -> Attribution:
    """Explain a fitted model on a set of patients, with importance and its intervals.

    Importance of a column is the mean over patients of the absolute share it has in the margin.
    Its interval is the 95% percentile bootstrap over patients for this one fitted model: it says
    how much the mean would move with other patients, not how much refitting would move it.

    Parameters
    ----------
    fitted : EncodedModel
    X : array-like of float, shape (n_patients, n_columns)
        Parsed values as the model was fitted on, NaN where missing.
    y : ignored
        Taken so that every explainer is called alike; no value here depends on outcomes.
    n_bootstrap : int
        Number of bootstrap samples of patients, at least 1.
    rng : numpy.random.Generator
        Draws the bootstrap samples and the three illustrative patients.
    patient_numbers : array-like of int, shape (n_rows,), optional
        Equal where rows belong to one patient; the bootstrap then draws patients, not rows.

    Returns
    -------
    Attribution

    Raises
    ------
    AdditivityError
        As in :func:`contributions`.
    ValueError
        If there is no patient or no bootstrap sample.

    Notes
    -----
    Columns are called correlated when any pair of their features, missing indicators aside, has
    |Pearson r| above 0.8 over the patients explained. Cost: one prediction with contributions,
    plus n_bootstrap x n_patients x n_sources multiplications in blocks of bounded memory.

    References
    ----------
    Lundberg and Lee (2017), Advances in Neural Information Processing Systems 30. Lundberg et
    al. (2020), Nature Machine Intelligence 2, for trees.

    Examples
    --------
    >>> from biomarker.features.frozen_column import ColumnPlan
    >>> from biomarker.models import LogisticResponse
    >>> from biomarker.models.pipeline import EncodedModel
    >>> from biomarker.parsing import ParseRule
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 1))
    >>> plans = (ColumnPlan(ParseRule("vegf", "continuous")),)
    >>> model = EncodedModel(plans, LogisticResponse()).fit(X, X[:, 0] + rng.normal(size=80) > 0)
    >>> found = attribute(model, X, n_bootstrap=50, rng=rng)
    >>> found.scale, found.sources, found.importance[0].value > 0
    ('log odds', ('vegf',), True)
    """
    raw = np.asarray(X, dtype=np.float64)
    if raw.ndim != 2 or len(raw) == 0 or n_bootstrap < 1:
        raise ValueError(
            "X must be a matrix with at least one patient, and n_bootstrap at least 1; got shape "
            f"{raw.shape} and {n_bootstrap}."
        )
    parts = contributions(fitted, raw)
    importance, n_units = _importance(parts, n_bootstrap, rng, patient_numbers)
    columns = {column.name: column for column in fitted.encoder_.columns}
    position = dict(zip(columns, fitted.columns_, strict=True))
    rules = [columns[name].plan.rule for name in parts.sources]
    return Attribution(
        **{name: getattr(parts, name) for name in Contributions.__dataclass_fields__},
        columns=raw[:, [position[name] for name in parts.sources]],
        kinds=tuple(rule.kind for rule in rules),
        levels=tuple(level_names(rule) for rule in rules),
        units=tuple(rule.unit for rule in rules),
        importance=importance,
        correlated=_correlated(fitted.encoder_, fitted.encode(raw), parts.sources),
        illustrations=illustrations_of(parts.margin, rng),
        n_patients=n_units,
        n_bootstrap=n_bootstrap,
        interval_covers=(
            f"95% percentile bootstrap over {n_units} patients ({n_bootstrap} samples) for this "
            "one fitted model: sampling of patients only, not refitting, tuning or model choice"
        ),
    )


def to_shap(attribution: Attribution) -> Any:
    """The same values as a ``shap.Explanation``, for shap's own plots.

    Parameters
    ----------
    attribution : Attribution

    Returns
    -------
    shap.Explanation
        One column per source, on the attribution's margin scale.
    """
    import shap

    return shap.Explanation(
        values=attribution.values.copy(),
        base_values=np.full(len(attribution.values), attribution.base_value),
        data=attribution.columns.copy(),
        feature_names=list(attribution.sources),
    )


# --- the parts ----------------------------------------------------------------------------------


def _importance(
    parts: Contributions,
    n_bootstrap: int,
    rng: np.random.Generator,
    patient_numbers: npt.ArrayLike | None,
) -> tuple[tuple[SourceImportance, ...], int]:
    """Mean absolute share per source with its percentile interval over patients."""
    value, low, high, n_units = mean_intervals(
        np.abs(parts.values), n_bootstrap, rng, patient_numbers
    )
    found = [
        SourceImportance(name, float(value[i]), float(low[i]), float(high[i]), n_units)
        for i, name in enumerate(parts.sources)
    ]
    return tuple(sorted(found, key=lambda item: -item.value)), n_units


def mean_intervals(
    rows: Floats,
    n_bootstrap: int,
    rng: np.random.Generator,
    patient_numbers: npt.ArrayLike | None = None,
) -> tuple[Floats, Floats, Floats, int]:
    """Mean over rows with its 95% percentile bootstrap interval over patients.

    Parameters
    ----------
    rows : ndarray, shape (n_rows, n_columns)
    n_bootstrap, rng, patient_numbers
        As for :func:`attribute`.

    Returns
    -------
    value, low, high : ndarray, shape (n_columns,)
    n_units : int
        Patients, or rows where no numbers are given.
    """
    size, weight = rows, np.ones(len(rows))
    if patient_numbers is not None:
        code = np.unique(np.asarray(patient_numbers), return_inverse=True)[1]
        weight = np.bincount(code).astype(np.float64)
        size = np.zeros((len(weight), rows.shape[1]))
        np.add.at(size, code, rows)
    n_units = len(size)
    means = np.empty((n_bootstrap, size.shape[1]))
    step = max(1, _BOOTSTRAP_BLOCK // n_units)
    for start in range(0, n_bootstrap, step):
        block = min(step, n_bootstrap - start)
        drawn = rng.integers(n_units, size=(block, n_units))
        offset = np.arange(block)[:, None] * n_units
        counts = np.bincount((drawn + offset).ravel(), minlength=block * n_units)
        counts = counts.reshape(block, n_units).astype(np.float64)
        means[start : start + block] = (counts @ size) / (counts @ weight)[:, None]
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    return size.sum(axis=0) / weight.sum(), low, high, n_units


def _correlated(
    encoder: Any, features: Floats, sources: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """Connected groups of sources whose features correlate above the limit."""
    indicator = {f"{column.name} missing" for column in encoder.columns if column.indicator}
    kept = [
        i
        for i, name in enumerate(encoder.feature_names)
        if name not in indicator and np.ptp(features[:, i]) > 0
    ]
    if len(kept) < 2:
        return ()
    close = np.abs(np.corrcoef(features[:, kept], rowvar=False)) > CORRELATED
    group = {name: name for name in sources}
    for i, j in zip(*np.nonzero(np.triu(close, 1)), strict=True):
        first, second = group[encoder.sources[kept[i]]], group[encoder.sources[kept[j]]]
        for name, leader in group.items():
            if leader == second:
                group[name] = first
    members = [
        tuple(name for name in sources if group[name] == leader)
        for leader in dict.fromkeys(group.values())
    ]
    return tuple(names for names in members if len(names) > 1)
