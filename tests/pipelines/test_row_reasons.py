"""Combinations of reasons, found without comparing rows, are those that comparing rows finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.row_reasons import Reasons


def compared(n: int, noted: list[tuple[str, list[int]]]) -> tuple[list[int], list[str]]:
    """Index and texts by sorting the bits of all rows, as parts were first written."""
    noted = [(name, rows) for name, rows in noted if rows]
    words = np.zeros((-(-len(noted) // 63) or 1, n), np.uint64)
    for i, (_, rows) in enumerate(noted):
        words[i // 63, rows] |= np.uint64(1 << (i % 63))
    seen = sorted({tuple(int(w) for w in row) for row in words.T if row.any()})
    book = [
        ";".join(name for i, (name, _) in enumerate(noted) if word[i // 63] >> (i % 63) & 1)
        for word in seen
    ]
    place = {word: k + 1 for k, word in enumerate(seen)}
    return [place.get(tuple(int(w) for w in row), 0) for row in words.T], ["", *book]


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(0, 30),
    noted=st.lists(st.lists(st.integers(0, 29), max_size=12, unique=True), max_size=12),
    before=st.integers(0, 130),
)
def test_the_column_is_what_sorting_gives(n: int, noted: list[list[int]], before: int) -> None:
    """The same codes and texts in the same order, past the reasons that one number holds too."""
    pairs = [(f"b{i}:x", [i % n]) for i in range(before if n else 0)]
    pairs += [(f"r{i}:x", sorted(k for k in rows if k < n)) for i, rows in enumerate(noted)]
    reasons = Reasons(n)
    for i, (name, rows) in enumerate(pairs):
        reasons.add(name, "refuse" if i % 3 == 0 else "warn", np.array(rows, np.int64))
    column, tally = reasons.column()
    index, book = compared(n, pairs)
    assert column.indices.to_pylist() == index
    assert column.dictionary.to_pylist() == book
    assert tally == {name: len(rows) for name, rows in pairs if rows}
    refused = {row for i, (_, rows) in enumerate(pairs) if i % 3 == 0 for row in rows}
    warned = {row for i, (_, rows) in enumerate(pairs) if i % 3 for row in rows}
    assert set(np.flatnonzero(reasons.refused).tolist()) == refused
    assert set(np.flatnonzero(reasons.warned).tolist()) == warned


@pytest.mark.parametrize("n", [0, 3])
def test_rows_without_a_reason_share_the_empty_text(n: int) -> None:
    """And a reason that stands on no row is no reason."""
    reasons = Reasons(n)
    reasons.add("missing:x", "warn", np.zeros(0, np.int64))
    column, tally = reasons.column()
    assert column.to_pylist() == [""] * n
    assert column.dictionary.to_pylist() == [""]
    assert tally == {}
