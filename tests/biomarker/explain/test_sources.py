"""Features go back to the column they came from, and levels have the names they count into."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from biomarker.explain.sources import DIRECTIONS, by_source, level_names
from biomarker.models.zoo import default_zoo
from biomarker.parsing import ParseRule


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.integers(0, 99))
def test_a_rows_sum_survives_the_way_back(sources: list[str], seed: int) -> None:
    """Each column gets the sum of its own features, and nothing is lost."""
    shares = np.random.default_rng(seed).normal(size=(5, len(sources)))
    names, values = by_source(SimpleNamespace(sources=tuple(sources)), shares)
    assert sorted(names) == sorted(set(sources))
    for j, name in enumerate(names):
        own = [k for k, source in enumerate(sources) if source == name]
        np.testing.assert_allclose(values[:, j], shares[:, own].sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(values.sum(axis=1), shares.sum(axis=1), atol=1e-12)


def test_every_margin_scale_of_the_zoo_has_a_direction() -> None:
    """A reader is told which way is up for any model there is."""
    kinds: tuple[Literal["survival"], Literal["response"]] = ("survival", "response")
    scales = {
        choice.build(choice.grid[0], 0).margin_scale
        for kind in kinds
        for choice in default_zoo(kind)
    }
    assert scales <= set(DIRECTIONS)


def test_levels_of_an_arm_are_control_and_the_rest() -> None:
    """An arm is read as 0 or 1; a number has no levels; others keep theirs in order."""
    arm = ParseRule("arm", "arm", levels=("b", "a", "placebo"), control=("placebo",))
    assert level_names(arm) == ("placebo", "b or a")
    assert level_names(ParseRule("age", "continuous")) == ()
    assert level_names(ParseRule("grade", "ordinal", levels=("1", "2"))) == ("1", "2")
