"""Stored boosters: what XGBoost writes is read, and what its own reader would trust is refused."""

from __future__ import annotations

import contextlib
import copy
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker.errors import BundleError
from biomarker.models.booster_bytes import check_booster, read_ubj

N_FEATURES = 3


@pytest.fixture(scope="module")
def booster() -> Any:
    """A small forest of ten trees."""
    import xgboost

    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, N_FEATURES))
    y = X[:, 0] * X[:, 1] + rng.normal(size=200)
    return xgboost.train({"max_depth": 3, "nthread": 1}, xgboost.DMatrix(X, y), 10)


@pytest.fixture(scope="module")
def raw(booster: Any) -> bytes:
    """Its bytes as a bundle stores them."""
    return bytes(booster.save_raw("ubj"))


def plain(value: Any) -> Any:
    """Arrays as lists."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def test_the_bytes_say_what_xgboost_says_of_itself(booster: Any, raw: bytes) -> None:
    """Read value for value as the JSON text of the same booster."""
    expected = json.loads(bytes(booster.save_raw("json")))
    found = plain(read_ubj(raw))
    single = ("base_weights", "loss_changes", "split_conditions", "sum_hessian")
    for one, other in zip(
        found["learner"]["gradient_booster"]["model"].pop("trees"),
        expected["learner"]["gradient_booster"]["model"].pop("trees"),
        strict=True,
    ):
        for name in single:
            np.testing.assert_array_equal(
                np.float32(one.pop(name)), np.array(other.pop(name), np.float32)
            )
        assert one == other
    assert found == expected
    check_booster(raw, N_FEATURES)


def packed(value: Any) -> bytes:
    """Universal Binary JSON of a value; the reverse of the reader, for what a test has harmed."""

    def text(words: str) -> bytes:
        return b"L" + struct.pack(">q", len(words.encode())) + words.encode()

    if isinstance(value, dict):
        return b"{" + b"".join(text(k) + packed(v) for k, v in value.items()) + b"}"
    if isinstance(value, str):
        return b"S" + text(value)
    if isinstance(value, np.ndarray):
        marks = {"i1": b"i", "u1": b"U", "i4": b"l", "i8": b"L", "f4": b"d"}
        mark = marks[value.dtype.str[1:]]
        return b"[$" + mark + b"#L" + struct.pack(">q", len(value)) + value.tobytes()
    if isinstance(value, list):
        return b"[#L" + struct.pack(">q", len(value)) + b"".join(packed(v) for v in value)
    return b"L" + struct.pack(">q", value)


def put(name: str, node: int, value: float) -> Callable[[Any], None]:
    """A change of one number of the first tree."""

    def change(content: Any) -> None:
        tree = content["learner"]["gradient_booster"]["model"]["trees"][0]
        tree[name] = tree[name].copy()
        tree[name][node] = value

    return change


def told(*path: Any, value: Any) -> Callable[[Any], None]:
    """A change of one value on a path below the learner."""

    def change(content: Any) -> None:
        here = content["learner"]
        for step in path[:-1]:
            here = here[step]
        here[path[-1]] = value

    return change


MODEL = ("gradient_booster", "model")
HARM = {
    "child outside": put("left_children", 0, 2_000_000),
    "child below zero": put("left_children", 0, -7),
    "loop": put("left_children", 1, 0),
    "two parents": put("left_children", 0, 2),
    "half a leaf": put("left_children", 0, -1),
    "wrong parent": put("parents", 2, 1),
    "feature outside": put("split_indices", 0, N_FEATURES),
    "feature below zero": put("split_indices", 0, -1),
    "categories": put("split_type", 0, 1),
    "threshold no number": put("split_conditions", 0, float("nan")),
    "leaf infinite": put("split_conditions", -1, float("inf")),
    "weight below zero": put("sum_hessian", 0, -1.0),
    "short array": told(*MODEL, "trees", 0, "parents", value=np.zeros(1, ">i4")),
    "no tree": told(*MODEL, "trees", 0, value={}),
    "number of nodes": told(*MODEL, "trees", 0, "tree_param", "num_nodes", value="999999"),
    "deleted nodes": told(*MODEL, "trees", 0, "tree_param", "num_deleted", value="1"),
    "number of trees": told(*MODEL, "gbtree_model_param", "num_trees", value="1000000"),
    "rounds": told(*MODEL, "iteration_indptr", 3, value=900),
    "output of a tree": told(*MODEL, "tree_info", 3, value=7),
    "dropout": told("gradient_booster", "name", value="dart"),
    "classes": told("learner_model_param", "num_class", value="1000000000"),
    "score": told("learner_model_param", "base_score", value="[nan]"),
    "extra part": told("extra", value="x"),
    "attributes": told("attributes", value={"a": "b"}),
}


@pytest.mark.parametrize("harm", HARM)
def test_parts_that_do_not_fit_together_are_refused(raw: bytes, harm: str) -> None:
    """Whatever would lead XGBoost outside its own arrays, or round in circles."""
    content = copy.deepcopy(read_ubj(raw))
    check_booster(packed(content), N_FEATURES)
    HARM[harm](content)
    with pytest.raises(BundleError, match="booster.ubj must"):
        check_booster(packed(content), N_FEATURES)


def test_another_number_of_features_is_named(raw: bytes) -> None:
    """The bundle's encoder and its booster must agree."""
    with pytest.raises(BundleError, match="must have 4 feature"):
        check_booster(raw, 4)


@given(st.binary(max_size=200))
def test_no_bytes_lead_the_reader_astray(data: bytes) -> None:
    """Any bytes are read or refused, and none makes it ask for more than there is."""
    with pytest.raises(BundleError, match="could not be read|do not fit"):
        check_booster(b"{" + data, N_FEATURES)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(raw: bytes, place: int, byte: int) -> None:
    """No other error than ours; a byte of a leaf's value may well be another value."""
    harmed = bytearray(raw)
    harmed[place % len(raw)] = byte
    with contextlib.suppress(BundleError):
        check_booster(bytes(harmed), N_FEATURES)
