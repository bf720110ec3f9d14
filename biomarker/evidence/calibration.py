"""The p-value of a likelihood ratio by redrawing outcomes under the fitted null model.

Chi squared is an approximation that is too small with few events or a skewed marker. Here outcomes
are redrawn from the null model fitted to the data: its baseline hazard and effects, censoring by
arm. The same random numbers serve every test of an endpoint, so that the largest statistic of a
draw has the distribution a family-wise correction needs.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.evidence.regressions import Fit, Regression, Sampler
from biomarker.resampling import TaskKey, spawn

__all__ = [
    "DRAWS",
    "SMALLEST_ALPHA",
    "Nested",
    "bootstrap_likelihood_ratio",
    "calibrated_p",
    "comparable",
    "critical_value",
    "draw_until_clear",
    "profile_interval",
    "surely_quiet",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRAWS = (999, 3999)
_MOST_DRAWS = 99_999
SMALLEST_ALPHA = 1e-4  # below it that many draws say little
_RESOLVED = 10  # draws beyond the data's ratio that tell how rare it is
_BLOCK = 111  # draws that share a random stream; nine blocks make the first 999
_CELLS = 3_000_000  # redrawn outcomes held at a time
_EARNED = 1.92  # of log-likelihood: a likelihood ratio of 3.84 is chi squared's 5%
_HAIR = 1e-12  # on the log scale: a ratio that still differs from 1
_CLEAR = 3.0  # Monte Carlo standard errors between p and alpha that end the drawing


@dataclass(frozen=True, eq=False)
class Nested:
    """One question: does the full model fit better than the null by more than chance.

    Attributes
    ----------
    regression : Regression
    X : ndarray, shape (n_patients, n_features)
        Null columns first, then the tested ones.
    n_null : int
    rows : ndarray of int, shape (n_patients,)
        Rows of the cohort's table.
    n_rows : int
    fit : Fit
        Of the full model.
    null : Fit
    likelihood_ratio : float
    sampler : Sampler
        Of the null model, or of the one that outcomes are redrawn from in its place.
    penalised : bool
        Whether the plain likelihood has no finite maximum, so that Firth's serves throughout.
    """

    regression: Regression
    X: Floats
    n_null: int
    rows: Ints
    n_rows: int
    fit: Fit
    null: Fit
    likelihood_ratio: float
    sampler: Sampler
    penalised: bool = False

    @classmethod
    def ask(
        cls,
        regression: Regression,
        X: Floats,
        n_null: int,
        rows: Ints,
        n_rows: int,
        redrawn: Sequence[Floats] = (),
    ) -> Nested:
        """Fit both models; by Firth's penalised likelihood where the plain one is separated.

        Parameters
        ----------
        regression, X, n_null, rows, n_rows
            As above.
        redrawn : sequence of ndarray, each of shape (n_patients, n_columns)
            Columns that outcomes are redrawn with in place of the null's: of those with a maximum
            the ones that fit best, where a column more must earn its place at the 5% level.

        Raises
        ------
        NotEstimableError
            If columns depend on one another or there is no event.
        """
        from biomarker.evidence.penalised import penalised_form

        if X.shape[1] - n_null < 1:
            raise NotEstimableError("X must hold at least one tested column; got none.")
        penalised = False
        try:
            fit, null = regression.fit(X), regression.null_fit(X, n_null)
        except NotEstimableError:
            # Dependent columns stop the penalised fit too, and then say so.
            regression, penalised = penalised_form(regression), True
            fit, null = regression.fit(X), regression.null_fit(X, n_null)
        ratio = max(0.0, 2.0 * (fit.log_likelihood - null.log_likelihood))
        columns, source, best = X[:, :n_null], null, -math.inf
        for some in redrawn:
            with contextlib.suppress(NotEstimableError):
                other = regression.fit(some)
                if (worth := other.log_likelihood - _EARNED * some.shape[1]) > best:
                    columns, source, best = some, other, worth
        sampler = regression.sampler(columns, source, rows, n_rows)
        return cls(regression, X, n_null, rows, n_rows, fit, null, ratio, sampler, penalised)

    @property
    def df(self) -> int:
        """Tested columns."""
        return self.X.shape[1] - self.n_null

    @property
    def p_asymptotic(self) -> float:
        """Chi-squared p-value, for the record."""
        from scipy.special import chdtrc

        return float(chdtrc(self.df, self.likelihood_ratio))


def bootstrap_likelihood_ratio(
    question: Nested, seed: int, key: TaskKey, low: int, high: int
) -> Floats:
    """Likelihood ratios of redrawn outcomes number ``low`` to ``high``.

    Parameters
    ----------
    question : Nested
    seed : int
    key : TaskKey
        Tests with the same key and table share their random numbers.
    low, high : int
        Which draws; draw b is the same in every call whose ``low`` starts a block there.

    Returns
    -------
    ndarray, shape (high - low,)
        At least 0; infinite where a draw's fit did not settle.
    """
    start = np.concatenate([question.null.coefficients, np.zeros(question.df)])
    share = max(1, min(_BLOCK, _CELLS // max(1, question.n_rows)))
    found = []
    for begin in range(low, high, share):
        size = min(share, high - begin)
        outcomes = question.sampler.draw(spawn(seed, "null outcomes", key, begin), size)
        found.append(
            question.regression.likelihood_ratios(question.X, question.n_null, outcomes, start)
        )
    return np.concatenate(found)


def calibrated_p(observed: float, draws: Floats) -> float:
    """Share of null draws at least as extreme, the data counted among them: (1 + #) / (B + 1).

    Examples
    --------
    >>> calibrated_p(3.0, np.array([1.0, 2.0, 4.0]))
    0.5
    """
    return float((1 + np.count_nonzero(draws >= observed)) / (len(draws) + 1))


def critical_value(draws: Floats, alpha: float) -> float:
    """Find the value that a likelihood ratio exceeds exactly when its calibrated p is below alpha.

    Examples
    --------
    >>> draws = np.arange(1.0, 100.0)
    >>> c = critical_value(draws, 0.05)
    >>> calibrated_p(c, draws) >= 0.05 > calibrated_p(c + 1e-9, draws)
    True
    """
    # (1 + #) / (B + 1) < alpha allows at most this many draws at or above.
    allowed = math.ceil(round(alpha * (len(draws) + 1), 9)) - 2
    if allowed < 0:
        return math.inf
    return float(np.sort(draws)[::-1][allowed])


def draw_until_clear(
    questions: Sequence[Nested],
    seed: int,
    keys: TaskKey | list[TaskKey],
    alpha: float,
    tests: int = 1,
    decisive: Callable[[Floats], Sequence[float]] | None = None,
    threads: int = 1,
) -> Floats:
    """Redraw for all questions together until every decisive p is clear of alpha.

    999 and then 3,999 outcomes; more where alpha is small, or shared with so many tests that the
    smallest p of 3,999 draws could not stay below it. The number is chosen by how far the p-values
    lie from alpha, so the level is kept up to the Monte Carlo error that is reported.

    Parameters
    ----------
    questions : sequence of Nested
    seed, keys
        As in :func:`bootstrap_likelihood_ratio`; one key, or a list with one for each question.
    alpha : float
    tests : int
        By how many a p-value may be multiplied, as Holm does over a ledger.
    decisive : callable, optional
        Gives, from the draws, the p-values that must be clear, such as adjusted ones; each
        question's own by default.
    threads : int
        Questions drawn for side by side; draws do not depend on it.

    Returns
    -------
    ndarray, shape (n_draws, n_questions)
    """
    draws = np.empty((0, len(questions)))
    each = list(keys) if isinstance(keys, list) else [keys] * len(questions)
    for size in _looks(alpha, tests):
        low = len(draws)
        with ThreadPoolExecutor(threads) as pool:
            waiting = [
                pool.submit(bootstrap_likelihood_ratio, q, seed, key, low, size)
                for q, key in zip(questions, each, strict=True)
            ]
            draws = np.vstack([draws, np.column_stack([w.result() for w in waiting])])
        found = (
            [calibrated_p(q.likelihood_ratio, draws[:, j]) for j, q in enumerate(questions)]
            if decisive is None
            else decisive(draws)
        )
        error = math.sqrt(alpha * (1.0 - alpha) / size)
        if all(abs(p - alpha) > _CLEAR * error for p in found) and (
            tests == 1 or _told_apart(questions, draws, alpha / tests)
        ):
            break
    return draws


def _looks(alpha: float, tests: int) -> list[int]:
    """Numbers of draws at which to look; the last ends it."""
    first = max(DRAWS[0], math.ceil(0.5 * _RESOLVED / alpha) - 1)
    last = min(_MOST_DRAWS, max(DRAWS[1], math.ceil(_RESOLVED * tests / alpha) - 1))
    looks = [min(first, last)]
    while looks[-1] < last:
        looks.append(min(last, max(DRAWS[1], 4 * looks[-1] + 3)))
    return looks


def _told_apart(questions: Sequence[Nested], draws: Floats, level: float) -> bool:
    """Whether each p is told from the level that it may be held to after many tests.

    Either so many draws lie beyond the data's ratio that it cannot be so rare, or p is far below.
    """
    far_below = level - _CLEAR * math.sqrt(level * (1.0 - level) / len(draws))
    common = (1 + _RESOLVED) / (len(draws) + 1)
    found = (calibrated_p(q.likelihood_ratio, draws[:, j]) for j, q in enumerate(questions))
    return all(p < far_below or p >= common for p in found)


def surely_quiet(
    questions: Sequence[Nested], seed: int, keys: TaskKey | list[TaskKey], alpha: float
) -> bool:
    """Whether no adjusted p of these questions can turn out near alpha, found in few draws.

    The same draws as :func:`draw_until_clear` makes, ended once the largest statistic has been
    reached so often that the family's smallest adjusted p is clear of alpha after all of the first
    look. For simulations, where most cohorts are quiet; True decides as the whole procedure would.

    Parameters
    ----------
    questions, seed, keys, alpha
        As in :func:`draw_until_clear`.

    Returns
    -------
    bool
        False: the whole procedure is needed to know.
    """
    each = list(keys) if isinstance(keys, list) else [keys] * len(questions)
    first = DRAWS[0]
    clear = alpha + _CLEAR * math.sqrt(alpha * (1.0 - alpha) / first)
    enough = math.floor(clear * (first + 1))
    alike = len({q.df for q in questions}) == 1
    top = max(comparable(q.likelihood_ratio, q.df, alike) for q in questions)
    reached = 0
    for low in range(0, first, _BLOCK):
        high = min(low + _BLOCK, first)
        largest = np.full(high - low, -np.inf)
        for q, key in zip(questions, each, strict=True):
            draws = bootstrap_likelihood_ratio(q, seed, key, low, high)
            largest = np.maximum(largest, comparable(draws, q.df, alike))
        reached += int(np.count_nonzero(largest >= top))
        if reached >= enough:
            return True
    return False


def comparable(likelihood_ratio: npt.ArrayLike, df: int, alike: bool) -> Floats:
    """Statistics that can be compared: as they are where degrees of freedom are the same."""
    from biomarker.evidence.multiplicity import common_scale

    if alike:
        return np.asarray(likelihood_ratio, dtype=np.float64)
    return common_scale(likelihood_ratio, df)


def profile_interval(question: Nested, column: int, critical: float) -> tuple[float, float]:
    """Values of one coefficient whose profile likelihood ratio stays within a critical value.

    With the bootstrap's critical value and one tested column this inverts the calibrated test: 0
    is outside exactly when the calibrated p is below alpha. Values other than 0 borrow the null's
    critical value.

    Parameters
    ----------
    question : Nested
    column : int
    critical : float

    Returns
    -------
    low, high : float
        On the log scale; infinite where the likelihood never falls far enough.
    """
    from scipy.optimize import brentq

    centre = float(question.fit.coefficients[column])
    width = math.sqrt(float(question.fit.covariance[column, column]))
    profile = question.regression.held(question.X, column, question.fit.coefficients)
    top = question.fit.log_likelihood

    # Far out a climb may or may not arrive, depending on where it began: each value is asked once.
    @cache
    def excess(value: float) -> float:
        found = 2.0 * (top - profile(value)) - critical
        return min(found, 0.0) if value == centre else found

    ends = []
    for sign in (-1.0, 1.0):
        if not math.isfinite(critical):
            ends.append(sign * math.inf)
            continue
        step, near, far = max(1.0, math.sqrt(critical)), 0.0, math.inf
        while step < 200.0:
            if excess(centre + sign * step * width) > 0:
                far = step
                break
            near, step = step, step * 1.5
        if not math.isfinite(far):
            ends.append(sign * math.inf)
            continue
        root = brentq(lambda s, sign=sign: excess(centre + sign * s * width), near, far, xtol=1e-6)
        ends.append(centre + sign * root * width)
    if question.df == 1:
        ends = _agreeing(ends, centre, question.likelihood_ratio > critical)
    return ends[0], ends[1]


def _agreeing(ends: list[float], centre: float, excluded: bool) -> list[float]:
    """Settle an end that rounding left on the wrong side of 0."""
    low, high = ends
    if excluded and low <= 0.0 <= high:
        return [_HAIR, high] if centre > 0 else [low, -_HAIR]
    if not excluded and low > 0.0:
        return [0.0, high]
    if not excluded and high < 0.0:
        return [low, 0.0]
    return ends
