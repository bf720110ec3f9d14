r"""A booster with the arm held fixed: every split on the arm is replaced by the branch it takes.

What is left explains f(., control) or f(., treated) alone. A branch that takes the place of a split
keeps the training weight the split had as seen from above, and its own proportions below: where a
feature is not known, a row still goes each way as often as training patients did who got there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from biomarker.explain.tree_paths import TreePaths, compile_paths, paths_of

__all__ = ["paths_with_arm_fixed"]


def paths_with_arm_fixed(booster: Any, fixed: Mapping[int, float]) -> TreePaths:
    r"""Compile a booster whose rows all have these values of these features.

    With :math:`v` the booster's path-dependent game, its contributions are the Shapley values of
    :math:`S \mapsto v(S \cup \{\text{arm}\})` over the other features.

    Parameters
    ----------
    booster : xgboost.Booster
        As in :func:`biomarker.explain.tree_paths.compile_paths`.
    fixed : mapping of int to float
        Feature position to its value, such as 0 under control and 1 under treatment; finite.

    Returns
    -------
    TreePaths
        Contributions of the fixed features are 0; the base value is the expectation with them
        known.

    Raises
    ------
    UnsupportedTreesError
        As in :func:`biomarker.explain.tree_paths.compile_paths`.

    Notes
    -----
    One pass over the nodes; tables are then made as for any booster.

    Examples
    --------
    >>> import xgboost
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.integers(0, 2, 200), rng.normal(size=(200, 2))])
    >>> y = X[:, 0] * X[:, 1] + X[:, 2]
    >>> booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(X, y), 20)
    >>> there = X.copy()
    >>> there[:, 0] = 1.0
    >>> gap = paths_with_arm_fixed(booster, {0: 1.0}).margin(X) - booster.predict(
    ...     xgboost.DMatrix(there))
    >>> bool(np.abs(gap).max() < 1e-5)
    True
    """
    # Refuses trees whose nodes have no weight or point outside, before they are walked below.
    whole = compile_paths(booster)
    model = json.loads(bytes(booster.save_raw("json")))
    trees = model["learner"]["gradient_booster"]["model"]["trees"]
    values = {feature: np.float32(value) for feature, value in fixed.items()}
    before = sum(_pruned(tree, {})[1] for tree in trees)
    pruned = [_pruned(tree, values) for tree in trees]
    model["learner"]["gradient_booster"]["model"]["trees"] = [tree for tree, _ in pruned]
    after = sum(expectation for _, expectation in pruned)
    return paths_of(json.dumps(model).encode(), whole.base_value + after - before)


def _pruned(tree: dict[str, Any], fixed: Mapping[int, np.float32]) -> tuple[dict[str, Any], float]:
    """One tree without splits on the fixed features, and the expectation of its value."""
    left, right = tree["left_children"], tree["right_children"]
    cover = tree["sum_hessian"]
    kept: dict[str, list[Any]] = {
        name: []
        for name in (
            "left_children", "right_children", "split_indices", "split_conditions",
            "default_left", "sum_hessian", "split_type",
        )
    }  # fmt: skip
    expectation = 0.0

    def add(node: int, weight: float) -> int:
        """Append a node and all below it; ``weight`` is what reaches it."""
        nonlocal expectation
        while left[node] >= 0 and tree["split_indices"][node] in fixed:
            below = fixed[tree["split_indices"][node]] < np.float32(tree["split_conditions"][node])
            node = left[node] if below else right[node]
        place = len(kept["left_children"])
        for name in ("split_indices", "split_conditions", "default_left", "split_type"):
            kept[name].append(tree[name][node])
        kept["sum_hessian"].append(weight)
        kept["left_children"].append(-1)
        kept["right_children"].append(-1)
        if left[node] < 0:
            share = weight / cover[0] if cover[0] > 0 else 1.0
            expectation += share * float(np.float32(tree["split_conditions"][node]))
            return place
        part = weight / cover[node]
        kept["left_children"][place] = add(left[node], part * cover[left[node]])
        kept["right_children"][place] = add(right[node], part * cover[right[node]])
        return place

    add(0, cover[0])
    return {"tree_param": tree["tree_param"], **kept}, expectation
