"""Folds, bootstrap rows and random streams that depend on the task, never on the worker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from biomarker.errors import CohortError, NotEstimableError

__all__ = [
    "bootstrap_indices",
    "check_disjoint",
    "joint_strata",
    "make_folds",
    "repeated_folds",
    "spawn",
]

Indices = npt.NDArray[np.intp]
Fold = tuple[Indices, Indices]
TaskKey = str | int | float | bool | tuple["TaskKey", ...]


def spawn(seed: int, *task_keys: TaskKey) -> np.random.Generator:
    """Random generator of one task: same seed and keys, same stream, on any worker.

    Parameters
    ----------
    seed : int
        The run's seed, at least 0.
    *task_keys : str, int, float, bool or tuples of these
        What the task is, such as ``("fold", 3)``. Different keys give independent streams.

    Returns
    -------
    numpy.random.Generator

    Notes
    -----
    The keys are hashed (BLAKE2b of their type and text) into the spawn key of a seed sequence:
    unlike the built-in ``hash`` this is the same in every process.

    Examples
    --------
    >>> spawn(7, "fold", 3).integers(100) == spawn(7, "fold", 3).integers(100)
    np.True_
    """
    digest = hashlib.blake2b(digest_size=16)
    for key in task_keys:
        digest.update(_key_text(key).encode())
        digest.update(b"\x1f")
    words = tuple(int(word) for word in np.frombuffer(digest.digest(), dtype="<u4"))
    return np.random.default_rng(np.random.SeedSequence(entropy=int(seed), spawn_key=words))


def _key_text(key: TaskKey) -> str:
    """Text of a key that no key of another type or nesting shares."""
    if isinstance(key, tuple):
        return "(" + "\x1e".join(_key_text(part) for part in key) + ")"
    if isinstance(key, np.generic):
        key = key.item()
    return f"{type(key).__name__}:{key!r}"


def joint_strata(*labels: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """One stratum code per row for every combination of labels (event by arm, say).

    Parameters
    ----------
    *labels : array-like, each of shape (n_rows,)

    Returns
    -------
    ndarray of int, shape (n_rows,)

    Examples
    --------
    >>> joint_strata([1, 0, 1], ["a", "a", "b"]).tolist()
    [1, 0, 2]
    """
    codes = [np.unique(np.asarray(label), return_inverse=True)[1] for label in labels]
    joined = codes[0]
    for code in codes[1:]:
        joined = np.unique(joined * (code.max(initial=0) + 1) + code, return_inverse=True)[1]
    return np.asarray(joined, dtype=np.intp)


def _group_codes(
    groups: npt.ArrayLike | None, strata: npt.ArrayLike | None, n_patients: int | None
) -> tuple[Indices, Indices]:
    """Group code and stratum code of each row; a group takes its largest stratum."""
    sizes = {len(np.asarray(part)) for part in (groups, strata) if part is not None}
    if n_patients is not None:
        sizes.add(int(n_patients))
    if len(sizes) != 1:
        raise ValueError(
            "groups, strata and n_patients must agree on one number of rows; "
            f"got {sorted(sizes) or 'none of them'}."
        )
    n = sizes.pop()
    group = (
        np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    )
    stratum = (
        np.zeros(n, dtype=np.intp)
        if strata is None
        else np.unique(np.asarray(strata), return_inverse=True)[1]
    )
    of_group = np.zeros(group.max(initial=-1) + 1, dtype=np.intp)
    np.maximum.at(of_group, group, stratum)
    return group.astype(np.intp), of_group


def make_folds(
    n_splits: int,
    groups: npt.ArrayLike | None,
    strata: npt.ArrayLike | None,
    rng: np.random.Generator,
    n_patients: int | None = None,
) -> tuple[Fold, ...]:
    """Split rows into folds that share strata evenly and never share a patient.

    Parameters
    ----------
    n_splits : int
        Number of folds, at least 2.
    groups : array-like, shape (n_rows,), optional
        Patient of each row; all rows of one patient land in the same fold.
    strata : array-like, shape (n_rows,), optional
        Labels to spread evenly, such as event by arm (see :func:`joint_strata`). A patient with
        rows in several strata counts for the last label in sorted order.
    rng : numpy.random.Generator
    n_patients : int, optional
        Number of rows, where neither groups nor strata tell.

    Returns
    -------
    tuple of (train, test)
        Ascending row numbers; every row is in exactly one test set.

    Raises
    ------
    NotEstimableError
        If there are fewer patients than folds.
    CohortError
        If a patient would be on both sides of a split.

    Examples
    --------
    >>> folds = make_folds(2, None, [0, 0, 1, 1], np.random.default_rng(0))
    >>> [sorted(int(i) // 2 for i in test) for _, test in folds]
    [[0, 1], [0, 1]]
    """
    if n_splits < 2:
        raise ValueError(f"n_splits must be at least 2; got {n_splits}.")
    group, stratum = _group_codes(groups, strata, n_patients)
    if len(stratum) < n_splits:
        raise NotEstimableError(
            f"n_splits must be at most the number of patients ({len(stratum)}); got {n_splits}."
        )
    fold_of_row = _deal(np.bincount(group), stratum, n_splits, rng)[group]
    rows = np.arange(len(group))
    folds = tuple((rows[fold_of_row != k], rows[fold_of_row == k]) for k in range(n_splits))
    for train, test in folds:
        check_disjoint(train, test, group)
    return folds


def _deal(sizes: Indices, stratum: Indices, n_splits: int, rng: np.random.Generator) -> Indices:
    """Fold of each group: shuffled within strata, then dealt like cards."""
    order = rng.permutation(len(stratum))
    order = order[np.argsort(stratum[order], kind="stable")]
    fold = np.empty(len(stratum), dtype=np.intp)
    if np.all(sizes == sizes[0]):
        # One running deal over all strata keeps the fold sizes within one of each other.
        fold[order] = (np.arange(len(order)) + rng.integers(n_splits)) % n_splits
        return fold
    total = np.zeros(n_splits)
    for label in np.unique(stratum):
        members = order[stratum[order] == label]
        members = members[np.argsort(-sizes[members], kind="stable")]
        load = np.zeros(n_splits)
        for member in members:
            lightest = np.lexsort((rng.random(n_splits), total, load))[0]
            fold[member] = lightest
            load[lightest] += sizes[member]
            total[lightest] += sizes[member]
    if len(np.unique(fold)) < n_splits:
        fold[order] = np.arange(len(order)) % n_splits
    return fold


def check_disjoint(
    train: npt.ArrayLike, test: npt.ArrayLike, groups: npt.ArrayLike | None = None
) -> None:
    """Refuse a split that has a row, or a patient, on both sides.

    Parameters
    ----------
    train, test : array-like of int
        Row numbers.
    groups : array-like, shape (n_rows,), optional
        Patient of each row; without it every row is its own patient.

    Raises
    ------
    CohortError
        With the number of patients found on both sides.

    Examples
    --------
    >>> check_disjoint([0, 1], [2])
    """
    left, right = np.asarray(train, dtype=np.intp), np.asarray(test, dtype=np.intp)
    if groups is not None:
        patient = np.asarray(groups)
        shared = len(np.intersect1d(patient[left], patient[right]))
    else:
        shared = len(np.intersect1d(left, right))
    if shared:
        raise CohortError(
            f"A patient must be on one side of a split only; got {shared} on both. "
            "Give the patient id as groups."
        )


def repeated_folds(
    n_splits: int,
    n_repeats: int,
    groups: npt.ArrayLike | None,
    strata: npt.ArrayLike | None,
    seed: int,
    n_patients: int | None = None,
) -> Iterator[tuple[int, int, Fold]]:
    """Folds of every repeat, each repeat shuffled by its own stream.

    Parameters
    ----------
    n_splits, n_repeats : int
    groups, strata, n_patients
        As in :func:`make_folds`.
    seed : int

    Yields
    ------
    (repeat, fold, (train, test))

    Examples
    --------
    >>> len(list(repeated_folds(5, 2, None, None, seed=0, n_patients=20)))
    10
    """
    for repeat in range(n_repeats):
        rng = spawn(seed, "folds", repeat)
        folds = make_folds(n_splits, groups, strata, rng, n_patients)
        for number, fold in enumerate(folds):
            yield repeat, number, fold


def bootstrap_indices(
    groups: npt.ArrayLike | None,
    strata: npt.ArrayLike | None,
    rng: np.random.Generator,
    n_patients: int | None = None,
) -> Indices:
    """Rows of one bootstrap cohort: patients drawn with replacement within strata.

    Parameters
    ----------
    groups, strata, n_patients
        As in :func:`make_folds`; a drawn patient brings all its rows.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int
        As many patients per stratum as in the data.

    Examples
    --------
    >>> bootstrap_indices(None, [0, 0, 1], np.random.default_rng(1)).tolist()
    [0, 1, 2]
    """
    group, stratum = _group_codes(groups, strata, n_patients)
    drawn = np.concatenate(
        [
            rng.choice(members, size=len(members), replace=True)
            for label in np.unique(stratum)
            for members in [np.nonzero(stratum == label)[0]]
        ]
    )
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(stratum) + 1))
    return np.concatenate([order[starts[g] : starts[g + 1]] for g in drawn]).astype(np.intp)
