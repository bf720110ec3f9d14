"""Ids that stand twice are found at any length, in any division, compared exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import row_ids
from pipelines.row_ids import find_repeated, hash_ids


def passes(ids: pa.Array, size: int) -> Callable[[], Iterator[pa.Array]]:
    """The ids in parts of so many, from the beginning at each call."""
    return lambda: (ids.slice(at, size) for at in range(0, len(ids), size))


def twice(values: list[Any]) -> list[bool]:
    """The plain answer."""
    count = Counter(values)
    return [count[value] > 1 for value in values]


look_alikes = st.sampled_from(["", "0", "00", "1e5", "100000", "NA", "é", "e\u0301", "a\0b", "a"])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=st.lists(st.one_of(st.none(), look_alikes, st.text(max_size=20)), max_size=60),
    size=st.integers(1, 20),
    in_memory=st.sampled_from([8, 100, 2**20]),
)
def test_the_plain_answer_comes_out(
    tmp_path: Path, values: list[str | None], size: int, in_memory: int
) -> None:
    """Texts and nulls, in memory or through files, and nothing is left behind."""
    ids = pa.array(values, pa.string())
    found = find_repeated(passes(ids, size), tmp_path / "spill", in_memory)
    assert found(ids).tolist() == twice(values)
    assert found.n_rows == len(values)
    assert not (tmp_path / "spill").exists()


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.int32()])
def test_whole_numbers_are_compared_as_numbers(kind: pa.DataType, tmp_path: Path) -> None:
    """Neighbours beyond what a float can tell apart stay apart."""
    top = 2**53 if kind != pa.int32() else 2**30
    values = [top, top + 1, top - 1, 0, top + 1, 7]
    ids = pa.array(values, kind)
    assert find_repeated(passes(ids, 2), tmp_path)(ids).tolist() == twice(values)


def test_texts_of_any_layout_hash_alike() -> None:
    """Slices, large texts and chunks do not change a text's hash."""
    values = ["", "a", "longer than eight", None, "12345678", "123456789"]
    plain = hash_ids(pa.array(values))
    assert np.array_equal(hash_ids(pa.array(values, pa.large_string())), plain)
    assert np.array_equal(hash_ids(pa.array(["x", *values])[1:]), plain)
    assert len(set(plain.tolist())) == len(values)


def test_ids_that_share_a_hash_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a hash of three values every id collides, and the answer stays exact."""
    real = row_ids.hash_ids
    monkeypatch.setattr(row_ids, "hash_ids", lambda ids: real(ids) % np.uint64(3))
    values = [f"p{i}" for i in range(40)] + ["p3", "p11", None, None]
    ids = pa.array(values)
    found = find_repeated(passes(ids, 7), tmp_path)
    assert found(ids).tolist() == twice(values)
    assert len(found.shared) > 0


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.sampled_from([0, 1, 255, 256, 2**63, 2**64 - 1, 2**64 - 256]), max_size=30),
    seed=st.integers(0, 1000),
    n=st.integers(0, 3000),
)
def test_hashes_met_again_are_those_that_sorting_finds(
    values: list[int], seed: int, n: int
) -> None:
    """Whatever their last byte, also those that look like an empty place; none is changed."""
    from pipelines.row_ids_kernel import met_again

    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 2**64, n, np.uint64) | np.uint64(seed % 2)
    drawn[: n // 7] = drawn[n - n // 7 :]
    hashes = np.concatenate([np.array(values, np.uint64), drawn])
    kept = hashes.copy()
    found = met_again(hashes)
    distinct, counts = np.unique(hashes, return_counts=True)
    assert np.array_equal(np.unique(found), distinct[counts > 1])
    assert len(found) == len(hashes) - len(distinct)
    assert np.array_equal(hashes, kept)
