"""A stored booster looked through before XGBoost reads it: its own reader trusts what it is told.

A child that points outside its tree, a loop, or a count that promises more than there is ends a
process there, or never ends. A bundle's hashes say that its bytes are those that were written,
not that whoever wrote them meant well.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import BundleError

__all__ = ["check_booster", "read_ubj"]

_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_DEPTH = 16  # of nested containers; a booster has seven
_ROOT = 2**31 - 1  # what stands for the root's parent
_LONGEST_PATH = 64
_SCORE = re.compile(r"\[?[-+0-9.eE]{1,32}\]?")
_TREE = {
    "base_weights": "f", "categories": "i", "categories_nodes": "i", "categories_segments": "i",
    "categories_sizes": "i", "default_left": "i", "left_children": "i", "loss_changes": "f",
    "parents": "i", "right_children": "i", "split_conditions": "f", "split_indices": "i",
    "split_type": "i", "sum_hessian": "f",
}  # fmt: skip


def read_ubj(raw: bytes) -> Any:
    """Read Universal Binary JSON as XGBoost writes it; numbers of one kind become an array.

    Raises
    ------
    ValueError
        If the bytes break off, go on after the value, or hold what XGBoost does not write.

    Examples
    --------
    >>> read_ubj(b"{L" + (1).to_bytes(8, "big") + b"ai" + bytes([7]) + b"}")
    {'a': 7}
    """
    reader = _Reader(raw)
    value = reader.value(reader.mark(), 0)
    if reader.at != len(raw):
        raise ValueError("bytes after the value")
    return value


class _Reader:
    """A place in the bytes; every count is held against what is left before it is believed."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def take(self, n: int) -> bytes:
        if n < 0 or n > len(self.raw) - self.at:
            raise ValueError("a count beyond the end")
        self.at += n
        return self.raw[self.at - n : self.at]

    def mark(self) -> str:
        return self.take(1).decode("latin-1")

    def count(self) -> int:
        if self.mark() != "L":
            raise ValueError("a count of another kind")
        return int(struct.unpack(">q", self.take(8))[0])

    def text(self) -> str:
        return self.take(self.count()).decode("utf-8")

    def value(self, mark: str, depth: int) -> Any:
        if depth > _DEPTH:
            raise ValueError("containers nested too deep")
        if mark in _NUMBERS:
            kind = np.dtype(_NUMBERS[mark])
            return np.frombuffer(self.take(kind.itemsize), kind)[0].item()
        if mark == "S":
            return self.text()
        if mark == "{":
            return self.names(depth)
        if mark == "[":
            return self.sequence(depth)
        raise ValueError("a value of another kind")

    def names(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (mark := self.mark()) != "}":
            if mark != "L":
                raise ValueError("a name of another kind")
            self.at -= 1
            name = self.text()
            if name in found:
                raise ValueError("a name that stands twice")
            found[name] = self.value(self.mark(), depth + 1)
        return found

    def sequence(self, depth: int) -> Any:
        mark = self.mark()
        if mark == "$":
            kind = self.mark()
            if kind not in _NUMBERS or self.mark() != "#":
                raise ValueError("an array of another kind")
            number = np.dtype(_NUMBERS[kind])
            n = self.count()
            if n < 0:
                raise ValueError("a count below zero")
            return np.frombuffer(self.take(n * number.itemsize), number)
        if mark != "#":
            raise ValueError("an array without its length")
        n = self.count()
        if not 0 <= n <= len(self.raw) - self.at:
            raise ValueError("a count beyond the end")
        return [self.value(self.mark(), depth + 1) for _ in range(n)]


def check_booster(raw: bytes, n_features: int) -> None:
    """Refuse bytes that are no plain forest of trees with one output on so many features.

    Parameters
    ----------
    raw : bytes
        As ``booster.save_raw("ubj")`` gives them.
    n_features : int

    Raises
    ------
    BundleError
        If the bytes are no such booster; none of them has reached XGBoost then.
    """
    try:
        content = read_ubj(raw)
    except (ValueError, OverflowError, struct.error):
        raise BundleError(
            f"booster.ubj must be an XGBoost model; {len(raw):,} bytes could not be read as one. "
            "The bundle is damaged."
        ) from None
    try:
        found = int(content["learner"]["learner_model_param"]["num_feature"])
        whole = _is_forest(content, n_features)
    except (KeyError, TypeError, ValueError, OverflowError):
        found, whole = n_features, False
    if found != n_features:
        raise BundleError(
            f"booster.ubj must have {n_features} feature(s); got {found}. The bundle is damaged."
        )
    if not whole:
        raise BundleError(
            "booster.ubj must be an XGBoost model of whole trees with one output; its parts do "
            "not fit together. The bundle is damaged."
        )


def _is_forest(content: Mapping[str, Any], n_features: int) -> bool:
    learner = content["learner"]
    outputs, booster = learner["learner_model_param"], learner["gradient_booster"]
    model, objective = booster["model"], learner["objective"]
    trees = model["trees"]
    n = len(trees)
    numbers = [v for k, v in objective.items() if k != "name"]
    return bool(
        set(content) == {"learner", "version"}
        and len(content["version"]) == 3
        and set(learner) <= {"attributes", "feature_names", "feature_types", "gradient_booster",
                             "learner_model_param", "objective"}
        and learner["attributes"] == {}
        and len(learner["feature_names"]) == len(learner["feature_types"]) == 0
        and set(booster) == {"model", "name"}
        and booster["name"] == "gbtree"
        and set(model) <= {"cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees"}
        and all(len(part) == 0 for part in model.get("cats", {}).values())
        and model["gbtree_model_param"] == {"num_parallel_tree": "1", "num_trees": str(n)}
        and list(model["iteration_indptr"]) == list(range(n + 1))
        and list(model["tree_info"]) == [0] * n
        and outputs["num_class"] == "0"
        and outputs.get("num_target", "1") == "1"
        and outputs.get("boost_from_average", "0") in ("0", "1")
        and _SCORE.fullmatch(outputs["base_score"])
        and math.isfinite(float(outputs["base_score"].strip("[]")))
        and isinstance(objective["name"], str)
        and all(isinstance(value, str) and len(value) < 64
                for part in numbers for value in part.values())
        and [tree["id"] for tree in trees] == list(range(n))
        and all(_is_tree(tree, n_features) for tree in trees)
    )  # fmt: skip


def _is_tree(tree: Mapping[str, Any], n_features: int) -> bool:
    if set(tree) != {*_TREE, "id", "tree_param"}:
        return False
    array = {name: np.asarray(tree[name]) for name in _TREE}
    told = tree["tree_param"]
    n = len(array["left_children"])
    plain = all(
        value.ndim == 1
        and len(value) == (0 if name.startswith("categories") else n)
        and (n == 0 or len(value) == 0 or value.dtype.kind in ("f" if _TREE[name] == "f" else "iu"))
        for name, value in array.items()
    )
    if not plain or n == 0:
        return False
    if told != {"num_deleted": "0", "num_feature": str(n_features), "num_nodes": str(n),
                "size_leaf_vector": told["size_leaf_vector"]}:  # fmt: skip
        return False
    floats = [value for name, value in array.items() if _TREE[name] == "f"]
    return bool(
        told["size_leaf_vector"] in ("0", "1")
        and all(np.isfinite(value).all() for value in floats)
        and (array["sum_hessian"] >= 0).all()
        and not array["split_type"].any()
        and np.isin(array["default_left"], (0, 1)).all()
        and ((array["split_indices"] >= 0) & (array["split_indices"] < n_features)).all()
        and _hangs_together(
            *(array[f"{name}"].astype(np.int64) for name in ("left_children", "right_children",
                                                            "parents"))
        )
    )  # fmt: skip


def _hangs_together(
    left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], parents: npt.NDArray[np.int64]
) -> bool:
    """Whether every node but the first is the child of one other, and all hang on the first."""
    n = len(left)
    inner = left != -1
    if not np.array_equal(inner, right != -1) or parents[0] not in (_ROOT, -1):
        return False
    children = np.concatenate([left[inner], right[inner]])
    if not np.array_equal(np.sort(children), np.arange(1, n)):
        return False
    if not np.array_equal(parents[children], np.tile(np.flatnonzero(inner), 2)):
        return False
    # Each has one parent: a loop would be a part that the root does not reach.
    reached, here = 1, np.zeros(1, np.int64)
    for _ in range(_LONGEST_PATH):
        here = here[inner[here]]
        if len(here) == 0:
            return reached == n
        here = np.concatenate([left[here], right[here]])
        reached += len(here)
    return False
