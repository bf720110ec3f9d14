"""Whether two validated runs differ by more than resampling: paired on patients, or bounded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.validation.performance import PerformanceEstimate, jackknife_variance

__all__ = [
    "Change",
    "MetricNoise",
    "independent_change",
    "metric_change",
    "metric_noise",
    "paired_change",
    "patient_parts",
]

Floats = npt.NDArray[np.float64]
Pairing = Literal["same patients and splits", "same patients", "independent"]

_MOST_PARTS = 40
_FEWEST_PARTS = 5
_PATIENTS_A_PART = 10
_NORMAL_975 = 1.959963984540054


@dataclass(frozen=True)
class MetricNoise:
    """What of one cross-validated metric must be kept to compare it with another run's.

    Attributes
    ----------
    value, low, high : float
        The estimate and its 95% interval.
    by_patients : tuple of float
        Share of each part of the patients in the metric's error, ten patients or more a part;
        empty where there are too few patients. No patient's own share can be had from it.
    by_repeat : tuple of float
        The metric of every repeat of the random splits.
    by_training : tuple of float
        The metric of models trained without each part of the cohort in turn; empty for a metric
        whose interval leaves that out.
    n_train_share : float
        Patients of a training fold over all patients.
    """

    value: float
    low: float
    high: float
    by_patients: tuple[float, ...] = ()
    by_repeat: tuple[float, ...] = ()
    by_training: tuple[float, ...] = ()
    n_train_share: float = 0.8


@dataclass(frozen=True)
class Change:
    """How far an estimate moved from run A to run B, and what resampling alone could do.

    Attributes
    ----------
    before, after : float
        In runs A and B.
    difference, low, high : float
        B minus A with its 95% interval, in the estimate's own unit.
    standard_error : float
    degrees_of_freedom : float
    p_value : float
        Two-sided, of no difference; before any adjustment for how many were compared.
    pairing : str
        ``same patients and splits`` or ``same patients``: from paired differences.
        ``independent``: as of two samples that share no patient. Where the runs do share patients
        that is an upper bound of the noise as long as the two errors are not opposed.
    """

    before: float
    after: float
    difference: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: float
    p_value: float
    pairing: Pairing


def patient_parts(patients: Sequence[str]) -> npt.NDArray[np.intp]:
    """Spread patients over parts that any run on the same patients forms alike.

    Patients are ordered by a hash of their name, so that neither the order of the file nor the
    outcome has a say.

    Parameters
    ----------
    patients : sequence of str, length n_rows
        Id of each row's patient; equal where a patient has several rows.

    Returns
    -------
    ndarray of int, shape (n_rows,)
        Part of each row, from 0; at most 40 parts of at least ten patients. All 0 where five such
        parts cannot be formed.

    Examples
    --------
    >>> parts = patient_parts([f"p{i}" for i in range(100)])
    >>> [int(count) for count in np.bincount(parts)] == [10] * 10
    True
    """
    distinct = sorted(set(patients), key=lambda name: (_hash(name), name))
    n_parts = min(_MOST_PARTS, len(distinct) // _PATIENTS_A_PART)
    if n_parts < _FEWEST_PARTS:
        return np.zeros(len(patients), dtype=np.intp)
    part = {name: number * n_parts // len(distinct) for number, name in enumerate(distinct)}
    return np.array([part[name] for name in patients], dtype=np.intp)


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def metric_noise(
    estimate: PerformanceEstimate, parts: npt.NDArray[np.intp], n_train_share: float
) -> MetricNoise | None:
    """What to keep of an estimate; None where it has no value or no interval.

    Parameters
    ----------
    estimate : PerformanceEstimate
    parts : ndarray of int, shape (n_rows,)
        From :func:`patient_parts`, in the order of the estimate's rows.
    n_train_share : float
        Patients of a training fold over all patients: 0.8 with five folds.
    """
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    sums: tuple[float, ...] = ()
    if estimate.influence is not None and len(parts) and parts.max() > 0:
        sums = tuple(np.bincount(parts, weights=estimate.influence).tolist())
    return MetricNoise(
        estimate.value,
        estimate.low,
        estimate.high,
        sums,
        estimate.by_repeat,
        estimate.by_part,
        n_train_share,
    )


def metric_change(a: MetricNoise, b: MetricNoise, same_patients: bool, same_splits: bool) -> Change:
    """How one metric moved between two runs, by the tighter of the comparisons that hold.

    :func:`independent_change` bounds the noise of any two runs whose errors are not opposed, and
    :func:`paired_change` that of two runs on the same patients; where both hold, the one with the
    narrower interval is used and named.

    Parameters
    ----------
    a, b : MetricNoise
        Of runs A and B.
    same_patients : bool
        Whether both runs judged the same patients on the same outcomes.
    same_splits : bool
        Whether every repeat and fold held the same patients in both.

    Returns
    -------
    Change

    Raises
    ------
    NotEstimableError
        If neither comparison has an error to judge by.

    Notes
    -----
    Two runs that differ by their seed alone were called different in at most 1% of 300 simulated
    cohorts of 150 patients, per metric, at a two-sided 5% (Cox models, two repeats of three folds).

    Examples
    --------
    >>> shares = (0.01, -0.02, 0.01, 0.02, -0.02)
    >>> a = MetricNoise(0.70, 0.64, 0.76, shares, (0.69, 0.71))
    >>> b = MetricNoise(0.66, 0.60, 0.72, shares, (0.65, 0.66))
    >>> metric_change(a, b, same_patients=True, same_splits=True).pairing
    'same patients and splits'
    >>> metric_change(a, b, same_patients=False, same_splits=False).pairing
    'independent'
    """
    bound = independent_change(a, b)
    if not same_patients:
        return bound
    try:
        paired = paired_change(a, b, same_splits)
    except NotEstimableError:
        return bound
    return paired if paired.high - paired.low <= bound.high - bound.low else bound


def paired_change(a: MetricNoise, b: MetricNoise, same_splits: bool) -> Change:
    r"""Compare two runs on the same patients by differences within patients.

    With :math:`d_g` the difference of the shares of part g of the patients (G parts), :math:`m_r`
    the metric of repeat r (R repeats) and :math:`t_k` the metric of models trained without part k
    of K, the variance of the difference is

    .. math:: c \frac{G}{G-1}\sum_g (d_g - \bar d)^2 + \frac{s^2(m)}{R} + \frac{(K-1)^2}{K} s^2(t),

    the last two of the paired differences where both runs used the same splits, else the sum over
    the two runs. Degrees of freedom of the sum are Satterthwaite's. The factor c is 1 where there
    are t; a metric judged on pooled predictions has none, and c is 1 + n / n_train instead, the
    correction for training folds that overlap of Nadeau and Bengio (2003).

    Assumes that both runs judged the same patients on the same outcomes and formed the same parts;
    otherwise the shared error would be cancelled where it is not shared, and noise be called a
    change. Without the same splits the split error is counted in both of the first two terms,
    which errs on the side of noise.

    Parameters
    ----------
    a, b : MetricNoise
        Of runs A and B.
    same_splits : bool
        Whether every repeat and fold held the same patients in both.

    Returns
    -------
    Change
        ``pairing`` is ``same patients and splits`` or ``same patients``.

    Raises
    ------
    NotEstimableError
        If the parts do not match, or a run has one repeat, so that nothing says how much the
        splits move it.

    References
    ----------
    Nadeau and Bengio (2003), Machine Learning 52:239. Bengio and Grandvalet (2004), Journal of
    Machine Learning Research 5:1089. Satterthwaite (1946), Biometrics Bulletin 2:110.

    Examples
    --------
    >>> shares = (0.01, -0.02, 0.01, 0.02, -0.02)
    >>> a = MetricNoise(0.70, 0.64, 0.76, shares, (0.69, 0.71, 0.70))
    >>> b = MetricNoise(0.66, 0.60, 0.72, shares, (0.65, 0.66, 0.67))
    >>> paired_change(a, b, same_splits=True).p_value < 0.05
    True
    >>> independent_change(a, b).p_value < 0.05
    False
    """
    g = len(a.by_patients)
    if g < _FEWEST_PARTS or len(b.by_patients) != g:
        raise NotEstimableError(
            f"Paired differences must rest on the same {_FEWEST_PARTS} or more parts of the "
            f"patients in both runs; got {g} and {len(b.by_patients)}. Compare the intervals."
        )
    split_a, split_b = np.array(a.by_repeat), np.array(b.by_repeat)
    if min(len(split_a), len(split_b)) < 2:
        # Even on the same splits: another draw of them would move the two runs differently.
        raise NotEstimableError(
            "Paired runs must have two repeats or more each, to show how much the splits move a "
            f"metric; got {len(split_a)} and {len(split_b)}. Train with --repeats 2."
        )
    if same_splits and len(split_a) == len(split_b):
        splits = [_mean_variance(split_b - split_a)]
    else:
        splits = [_mean_variance(split_a), _mean_variance(split_b)]
    if same_splits and len(a.by_training) == len(b.by_training):
        moved = [y - x for x, y in zip(a.by_training, b.by_training, strict=True)]
        training = [jackknife_variance(moved)]
    else:
        training = [jackknife_variance(a.by_training), jackknife_variance(b.by_training)]
    apart = np.array(b.by_patients) - np.array(a.by_patients)
    spread = g / (g - 1) * float(((apart - apart.mean()) ** 2).sum())
    known = a.by_training and b.by_training
    overlap = 1.0 if known else 1.0 + 1.0 / min(a.n_train_share, b.n_train_share)
    patients = (overlap * spread, g - 1.0)
    variance, freedom = _joined([patients, *splits, *training])
    pairing: Pairing = "same patients and splits" if same_splits else "same patients"
    return _change(a.value, b.value, math.sqrt(variance), freedom, pairing)


def independent_change(a: MetricNoise, b: MetricNoise) -> Change:
    """Compare two runs by their intervals alone, as if they shared no patient.

    The standard error is the root of the summed squares of the two intervals' half-widths over
    1.96; a half-width taken from a t quantile stays that wide.

    Assumes that the errors of the two runs are not negatively correlated. Right for two samples
    that share no patient; for runs that share patients an upper bound of the noise, so that a real
    change may go unseen.

    Parameters
    ----------
    a, b : MetricNoise
        Of runs A and B; only ``value``, ``low`` and ``high`` are used.

    Returns
    -------
    Change
        ``pairing`` is ``independent``.

    Raises
    ------
    NotEstimableError
        If both intervals have no width while the values differ.

    Examples
    --------
    >>> a, b = MetricNoise(0.70, 0.66, 0.74), MetricNoise(0.60, 0.56, 0.64)
    >>> round(independent_change(a, b).p_value, 4)
    0.0005
    """
    error = math.hypot(a.high - a.low, b.high - b.low) / (2.0 * _NORMAL_975)
    return _change(a.value, b.value, error, math.inf, "independent")


def _mean_variance(values: Floats) -> tuple[float, float]:
    """Variance of a mean of repeats and its degrees of freedom; none from a single repeat."""
    n = len(values)
    return (0.0, math.inf) if n < 2 else (float(np.var(values, ddof=1)) / n, n - 1.0)


def _joined(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Sum of variances and Satterthwaite's degrees of freedom."""
    total = sum(variance for variance, _ in parts)
    if total <= 0.0:
        return 0.0, math.inf
    # As shares of the total: squares of tiny variances would underflow.
    noise = sum((variance / total) ** 2 / df for variance, df in parts)
    return total, 1.0 / noise if noise > 0.0 else math.inf


def _change(before: float, after: float, error: float, freedom: float, pairing: Pairing) -> Change:
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    difference = after - before
    if error <= 0.0:
        if difference != 0.0:
            raise NotEstimableError(
                "A difference must have an error to be judged by; got a standard error of 0."
            )
        return Change(before, after, 0.0, 0.0, 0.0, 0.0, freedom, 1.0, pairing)
    z = -abs(difference) / error
    finite = math.isfinite(freedom)
    tail = float(stdtr(freedom, z) if finite else ndtr(z))
    half = error * float(stdtrit(freedom, 0.975) if finite else ndtri(0.975))
    return Change(
        before,
        after,
        difference,
        difference - half,
        difference + half,
        error,
        freedom,
        min(2.0 * tail, 1.0),
        pairing,
    )
