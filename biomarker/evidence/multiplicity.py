"""Asking many questions of one dataset: adjusted p-values, and the book that counts them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.errors import UsageError
from biomarker.evidence.identity import column_digest, dataset_digest, outcome_digest

__all__ = [
    "Ledger",
    "LedgerRow",
    "benjamini_hochberg",
    "common_scale",
    "dataset_digest",
    "holm",
    "specification",
    "step_down_max",
]

Floats = npt.NDArray[np.float64]


def holm(p: npt.ArrayLike) -> Floats:
    """Holm's adjusted p-values: the family-wise error rate is held whatever the dependence.

    Parameters
    ----------
    p : array-like, shape (n_tests,)

    Returns
    -------
    ndarray, shape (n_tests,)

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6:65.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    values = _probabilities(p)
    order = np.argsort(values, kind="stable")
    raised = values[order] * np.arange(len(values), 0, -1)
    out = np.empty(len(values))
    out[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return out


def benjamini_hochberg(p: npt.ArrayLike) -> Floats:
    """Adjusted p-values that hold the expected share of false findings (false discovery rate).

    Holds for independent or positively dependent tests. Shown for reading on; sets no verdict.

    Parameters
    ----------
    p : array-like, shape (n_tests,)

    Returns
    -------
    ndarray, shape (n_tests,)

    References
    ----------
    Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57:289.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.04, 0.04]
    """
    values = _probabilities(p)
    order = np.argsort(values, kind="stable")
    m = len(values)
    raised = values[order] * m / np.arange(1, m + 1)
    out = np.empty(m)
    out[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return out


def common_scale(likelihood_ratio: npt.ArrayLike, df: int) -> Floats:
    """Put statistics of different degrees of freedom on one scale: -log of the chi-squared tail."""
    from scipy.stats import chi2

    value: Floats = -np.asarray(chi2.logsf(np.asarray(likelihood_ratio, dtype=np.float64), df))
    return value


def step_down_max(observed: npt.ArrayLike, draws: npt.ArrayLike) -> Floats:
    """Westfall and Young's adjusted p-values from jointly redrawn statistics.

    The largest statistic is held against the largest of each draw, the second against the largest
    of the others, and so on. Dependence between tests is used, not feared: fifty copies of one
    marker cost what one costs. Assumes that each draw redraws all tests together under their nulls.

    Parameters
    ----------
    observed : array-like, shape (n_tests,)
        Higher = further from the null, all on one scale.
    draws : array-like, shape (n_draws, n_tests)

    Returns
    -------
    ndarray, shape (n_tests,)
        Never below the test's own (1 + #) / (B + 1).

    References
    ----------
    Westfall and Young (1993), Resampling-Based Multiple Testing.

    Examples
    --------
    >>> step_down_max([3.0, 1.0], [[1.0, 2.0], [4.0, 0.0], [0.0, 0.5]]).tolist()
    [0.5, 0.5]
    """
    seen, table = np.asarray(observed, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(seen) or np.isnan(table).any():
        raise UsageError(
            f"draws must have {len(seen)} columns without missing values; got shape {table.shape}."
        )
    order = np.argsort(-seen, kind="stable")
    # From the weakest test up, the running maximum over it and all weaker ones.
    largest = np.maximum.accumulate(table[:, order][:, ::-1], axis=1)[:, ::-1]
    share = (1 + np.count_nonzero(largest >= seen[order], axis=0)) / (len(table) + 1)
    out = np.empty(len(seen))
    out[order] = np.maximum.accumulate(share)
    return out


def _probabilities(p: npt.ArrayLike) -> Floats:
    """Check that these are probabilities."""
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1)):
        raise UsageError(
            f"p must be a list of probabilities; got shape {values.shape}, or values outside 0-1."
        )
    return values


def specification(cohort: Cohort, family: str, marker: str, endpoint: str) -> str:
    """Canonical text of one test: everything declared, and digests of the values it is made on.

    The same marker read anew, another covariate under an old name, or a value declared missing is
    another test.
    """
    study = cohort.study
    arm = study.arm_column
    used = [marker, *study.with_role("covariate", "stratum"), *([arm] if arm else [])]
    parts = {
        "family": family,
        "marker": marker,
        "endpoint": endpoint,
        "outcome": study.endpoints[endpoint].model_dump(mode="json", exclude={"label", "primary"}),
        "columns": {
            name: study.columns[name].model_dump(mode="json", exclude={"label", "scoring"})
            for name in used
            if name in cohort.columns
        },
        "values": {name: column_digest(cohort, name) for name in used if name in cohort.columns},
        "missing": study.missing,
        "outcomes": outcome_digest(cohort, endpoint) if endpoint in cohort.outcomes else "",
        "single_arm": study.single_arm,
    }
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class LedgerRow:
    """One test that was made, one hypothesis written down before any was, or one other look.

    Attributes
    ----------
    kind : str
        ``test``, ``hypothesis``, or ``look``: outcomes were analysed without a test.
    dataset, specification : str
        Together the key: the same test on the same dataset is one row.
    family : str
        ``interaction`` or ``association``.
    p, p_asymptotic : float or None
        None where the test could not be fitted.
    stage : int
        1 for a hypothesis written down before the first test of its dataset, else 2.
    recorded : str
        Date, as the caller gives it; the library reads no clock.
    direction : str
        Of a hypothesis, as it was when written down; of a test, the way its estimate points. Empty
        where there is none.
    alpha : float or None
        Level a hypothesis is to be judged at, at most; None for a test.
    """

    kind: str
    dataset: str
    specification: str
    family: str
    marker: str
    endpoint: str
    p: float | None = None
    p_asymptotic: float | None = None
    stage: int = 2
    n_draws: int = 0
    seed: int = 0
    recorded: str = ""
    direction: str = ""
    alpha: float | None = None

    @property
    def key(self) -> str:
        """SHA-256 (hex) of kind, dataset and specification."""
        text = "\x1f".join((self.kind, self.dataset, self.specification))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Ledger(Sequence[LedgerRow]):
    """Every test made so far, in order; rows are added, never changed.

    Examples
    --------
    >>> row = LedgerRow("test", "d", "s", "interaction", "m", "os", p=0.2)
    >>> len(Ledger().append([row]).append([row]))
    1
    """

    rows: tuple[LedgerRow, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __iter__(self) -> Iterator[LedgerRow]:
        return iter(self.rows)

    def append(self, rows: Iterable[LedgerRow]) -> Ledger:
        """Return the ledger with these rows at its end, those it already holds left out."""
        found = list(self.rows)
        keys = {row.key for row in found}
        for row in rows:
            if row.key not in keys:
                keys.add(row.key)
                found.append(row)
        return Ledger(tuple(found))

    def tests(self, dataset: str, family: str | None = None) -> tuple[LedgerRow, ...]:
        """Tests made of a dataset, of one family or of all."""
        return tuple(
            row
            for row in self.rows
            if row.kind == "test" and row.dataset == dataset and family in (None, row.family)
        )

    def analysed(self, dataset: str) -> bool:
        """Whether outcomes of a dataset have been looked at: what is written down now is late."""
        return any(row.kind != "hypothesis" and row.dataset == dataset for row in self.rows)

    def to_rows(self) -> list[dict[str, Any]]:
        """JSON-able rows, for a store."""
        return [asdict(row) for row in self.rows]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Ledger:
        """Read rows back.

        Raises
        ------
        UsageError
            If a row lacks a field or has one too many.
        """
        try:
            return cls().append(LedgerRow(**row) for row in rows)
        except TypeError:
            raise UsageError(
                "ledger rows must have the fields of LedgerRow; got others. The store is of "
                "another version."
            ) from None
