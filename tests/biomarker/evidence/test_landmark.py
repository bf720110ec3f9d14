"""Post-baseline groups: refused without a landmark, fixed at it, and who was left out is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort, Study, survival_outcome
from biomarker.errors import CohortError, NotEstimableError, UsageError
from biomarker.evidence.landmark import (
    landmark_association,
    landmark_response,
    refuse_post_baseline,
)

Declared = Callable[..., dict[str, Any]]


def responders(seed: int = 0, n: int = 120) -> tuple[Any, np.ndarray, np.ndarray]:
    """Exponential survival, response by lot, seen between 1 and 9 if the patient is still there."""
    rng = np.random.default_rng(seed)
    event_at, follow_up = rng.exponential(12.0, n), rng.uniform(6.0, 40.0, n)
    y = survival_outcome(event_at <= follow_up, np.minimum(event_at, follow_up) + 1e-6)
    seen_at = rng.uniform(1.0, 9.0, n)
    responded = (rng.random(n) < 0.4) & (seen_at < y["duration"])
    return y, responded, np.where(responded, seen_at, np.nan)


def test_a_comparison_from_the_start_is_refused_and_the_fix_is_named() -> None:
    """Neither a missing landmark nor a missing time of joining passes."""
    y, responded, seen_at = responders()
    with pytest.raises(UsageError, match=r"landmark must be given.*Name a landmark"):
        landmark_association(y, responded)
    with pytest.raises(UsageError, match=r"landmark must be given"):
        landmark_association(y, responded, known_at=seen_at)
    with pytest.raises(UsageError, match=r"known_at must be given"):
        landmark_association(y, responded, landmark=6.0)


def test_the_result_counts_who_was_used_and_who_was_left_out() -> None:
    """Every patient is used or excluded; late joiners count among the others."""
    y, responded, seen_at = responders()
    found = landmark_association(y, responded, landmark=6.0, known_at=seen_at)
    used = y["duration"] > 6.0
    assert found.landmark == 6.0
    assert found.n_used == used.sum()
    assert found.n_excluded == (~used).sum() == found.n_excluded_events + found.n_excluded_censored
    early = responded & (seen_at <= 6.0)
    assert found.n_members == (early & used).sum()
    assert found.n_others == found.n_used - found.n_members
    assert found.n_later == (responded & ~early & used).sum() > 0
    assert found.events_members + found.events_others == y["event"][used].sum()
    assert f"{found.n_excluded} excluded" in found.sentence
    assert "landmark of 6" in found.sentence
    assert "not an effect" in found.sentence


def test_what_happens_after_joining_late_or_before_the_landmark_changes_nothing() -> None:
    """Only patients at risk at the landmark, and membership known by then, enter the ratio."""
    y, responded, seen_at = responders()
    found = landmark_association(y, responded, landmark=6.0, known_at=seen_at)
    late = responded & (seen_at > 6.0)
    gone = y["duration"] <= 6.0
    again = y.copy()
    again["event"][gone] = ~again["event"][gone]
    same = landmark_association(again, responded & ~late, landmark=6.0, known_at=seen_at)
    assert same.hazard_ratio == found.hazard_ratio
    assert same.n_later == 0


def test_the_interval_excludes_one_exactly_when_p_is_below_alpha() -> None:
    """One test, one interval."""
    decided = []
    for seed in range(12):
        y, responded, seen_at = responders(seed)
        found = landmark_association(y, responded, landmark=6.0, known_at=seen_at, alpha=0.3)
        decided.append(found.p < 0.3)
        assert decided[-1] == (not found.low <= 1.0 <= found.high)
    assert len(set(decided)) == 2


def test_a_group_settled_after_the_landmark_cannot_be_fixed_there() -> None:
    """One time for everybody must lie at or before the landmark."""
    y, responded, _ = responders()
    with pytest.raises(UsageError, match="settled later"):
        landmark_association(y, responded, landmark=3.0, known_at=6.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"known_at": np.full(120, np.nan)}, "finite for every member"),
        ({"known_at": np.full(120, 1e6)}, "after leaving follow-up"),
        ({"known_at": np.ones(3)}, "one time or 120"),
        ({"group": np.full(120, 2)}, "only 0/1"),
        ({"group": np.ones(3)}, "shape"),
        ({"strata": np.zeros(3)}, "120 labels"),
    ],
)
def test_malformed_groups_are_refused(change: dict[str, Any], message: str) -> None:
    """With what is wrong and how many, never a patient's value."""
    y, responded, seen_at = responders()
    call = {"group": responded, "known_at": seen_at, "landmark": 6.0} | change
    with pytest.raises(CohortError, match=message):
        landmark_association(y, call.pop("group"), **call)


def test_an_empty_group_at_the_landmark_is_not_estimable() -> None:
    """Nobody has responded by then, or nobody is left."""
    y, responded, seen_at = responders()
    with pytest.raises(NotEstimableError, match="0 member"):
        landmark_association(y, responded, landmark=0.5, known_at=seen_at)
    with pytest.raises(UsageError, match="greater than 0"):
        landmark_association(y, responded, landmark=0.0, known_at=seen_at)


def test_patients_are_compared_within_arm(trial: Any, declared: Declared) -> None:
    """A drug that prolongs life and brings response makes no responder live longer by itself."""
    study, frame = _with_response(declared, n=2000)
    cohort = Cohort.from_frame(frame, study)
    found = landmark_response(cohort, "orr", "os", landmark=0.5, known_at=0.5)
    assert found.low < 1.0 < found.high
    pooled = landmark_association(
        cohort.outcomes["os"].y, cohort.outcomes["orr"].y, landmark=0.5, known_at=0.5
    )
    assert pooled.high < 1.0
    assert (found.group, found.endpoint, found.unit) == ("orr", "os", "months")


def test_a_response_endpoint_needs_its_landmark_too(trial: Any, declared: Declared) -> None:
    """The cohort's own response is refused as a grouping like any other."""
    study, frame = _with_response(declared, n=120)
    cohort = Cohort.from_frame(frame, study)
    with pytest.raises(UsageError, match="landmark must be given"):
        landmark_response(cohort, "orr", "os")
    with pytest.raises(UsageError, match="must be a response endpoint"):
        landmark_response(cohort, "os", "orr", landmark=0.5, known_at=0.5)
    with pytest.raises(CohortError, match="one time a row"):
        landmark_response(cohort, "orr", "os", landmark=0.5, known_at=[0.2])
    doubled = replace(cohort, ids=np.array(["p"] * cohort.n_rows, dtype=object))
    with pytest.raises(UsageError, match="one row a patient"):
        landmark_response(doubled, "orr", "os", landmark=0.5, known_at=0.5)


def test_times_of_response_follow_their_rows_where_outcomes_are_missing(
    declared: Declared,
) -> None:
    """A patient left out for want of a response takes the time of joining along."""
    study, frame = _with_response(declared, n=300)
    joined = np.where(frame["orr"] == "yes", 0.3 * frame["months"], np.nan)
    whole = Cohort.from_frame(frame, study)
    lacking = frame.copy()
    lacking.loc[:9, "orr"] = ""
    part = Cohort.from_frame(lacking, study)
    found = landmark_response(part, "orr", "os", landmark=0.4, known_at=joined)
    kept = Cohort.from_frame(frame.iloc[10:], study)
    expected = landmark_response(kept, "orr", "os", landmark=0.4, known_at=joined[10:])
    assert found.hazard_ratio == expected.hazard_ratio
    assert (
        found.n_used
        == expected.n_used
        < landmark_response(whole, "orr", "os", landmark=0.4, known_at=joined).n_used
    )


def test_only_what_formed_after_the_start_is_refused(declared: Declared) -> None:
    """Post-baseline columns, endpoint columns and endpoints; markers pass."""
    study = declared()
    study["columns"]["cr"] = {"role": "post_baseline"}
    checked = Study.from_dict(study)
    for name in ("cr", "months", "os"):
        with pytest.raises(UsageError, match="landmark_association"):
            refuse_post_baseline(checked, name)
    refuse_post_baseline(checked, "m1")


def _with_response(declared: Declared, n: int) -> tuple[Study, pd.DataFrame]:
    """A drug that doubles response and life; within arm response means nothing."""
    study = declared()
    study["columns"]["orr"] = {"role": "endpoint"}
    study["endpoints"]["orr"] = {
        "type": "response", "column": "orr", "positive": ["yes"], "negative": ["no"],
    }  # fmt: skip
    rng = np.random.default_rng(4)
    drug = np.arange(n) % 2 == 1
    event_at = rng.exponential(np.where(drug, 2.5, 0.8))
    frame = pd.DataFrame(
        {
            "pid": [f"p{i}" for i in range(n)],
            "arm": np.where(drug, "drug", "placebo"),
            "m1": rng.normal(size=n),
            "m2": np.where(rng.random(n) < 0.5, "high", "low"),
            "age": rng.normal(60, 5, n),
            "months": np.minimum(event_at, 3.0) + 1e-6,
            "died": (event_at <= 3.0).astype(int).astype(str),
            "orr": np.where(rng.random(n) < np.where(drug, 0.7, 0.2), "yes", "no"),
        }
    )
    return Study.from_dict(study), frame
