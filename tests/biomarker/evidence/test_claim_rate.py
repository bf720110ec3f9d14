"""The procedure run on simulated cohorts: what is counted, and that workers do not matter."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker import Cohort, Study
from biomarker.errors import UsageError
from biomarker.evidence import claim_rate as module
from biomarker.evidence.claim_rate import ClaimRate, claim_rate, power_curve
from biomarker.evidence.power import interaction_power, response_interaction_power

_STUDY: dict[str, Any] = {
    "format_version": 1,
    "name": "small",
    "columns": {
        "pid": {"role": "id"},
        "arm": {
            "role": "arm",
            "levels": ["placebo", "drug"],
            "control": "placebo",
            "randomised": True,
        },
        "m": {"role": "marker", "kind": "continuous"},
        "months": {"role": "endpoint"},
        "died": {"role": "endpoint"},
    },
    "endpoints": {
        "os": {
            "type": "survival",
            "duration": "months",
            "event": "died",
            "event_values": ["1"],
            "censored_values": ["0"],
            "unit": "months",
        }
    },
}


def cohort(n: int, seed: int, predictive: float = 0.0) -> Cohort:
    """A randomised trial of one marker; a log ratio of hazard ratios per SD."""
    rng = np.random.default_rng(seed)
    arm, m = rng.permutation(np.arange(n) % 2), rng.normal(size=n)
    time = rng.exponential(size=n) * np.exp(-predictive * m * arm)
    limit = rng.uniform(0.5, 2.0, size=n)
    frame = pd.DataFrame(
        {
            "pid": [f"p{i}" for i in range(n)],
            "arm": np.where(arm == 1, "drug", "placebo"),
            "m": m,
            "months": np.minimum(time, limit),
            "died": (time <= limit).astype(int).astype(str),
        }
    )
    return Cohort.from_frame(frame, Study.from_dict(_STUDY))


def test_claims_are_counted_with_patients_and_events() -> None:
    """A strong planted interaction is claimed nearly always."""
    found = claim_rate(partial(cohort, 200, predictive=-1.1), 8, "m", "os")
    assert found.share >= 0.8
    assert found.low <= found.share <= found.high
    assert found.n_not_estimable == 0
    assert found.mean_patients == 200
    assert found.mean_treated == 100
    assert 0 < found.mean_events_treated < found.mean_events < 200


def test_a_curve_has_the_formula_and_the_false_claims_beside_it() -> None:
    """At each size the formula at the mean events; without an interaction few claims."""
    told: list[tuple[int, int]] = []
    curve = power_curve(
        partial(cohort, predictive=-1.0), cohort, (60, 160), 4, "m", "os", ratio=float(np.exp(-1)),
        seed=3, progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert [p.n_patients for p in curve.points] == [60, 160]
    assert told == [(k, 16) for k in range(1, 17)]
    for point in curve.points:
        rate = point.power
        treated = rate.mean_events_treated / rate.mean_events
        assert point.formula == interaction_power(np.exp(-1), rate.mean_events, treated)
        assert point.false_claims is not None
        assert point.false_claims.share <= 2 / 4
    assert curve.points[1].power.share >= 0.75


def test_worker_processes_change_nothing() -> None:
    """Every cohort has its own seed, whoever draws it."""
    words = (partial(cohort, predictive=-0.8), cohort, (60,), 3, "m", "os")
    assert power_curve(*words, seed=5) == power_curve(*words, seed=5, n_jobs=2)


def test_another_seed_draws_other_cohorts() -> None:
    """The seed is not ignored."""
    words = (partial(cohort, 60), 2, "m", "os")
    assert claim_rate(*words, seed=1).mean_events != claim_rate(*words, seed=2).mean_events


def test_one_arm_is_refused_at_any_size() -> None:
    """SELECT's design: no number of patients helps."""
    study = {**_STUDY, "single_arm": "treated", "columns": dict(_STUDY["columns"])}
    del study["columns"]["arm"]

    def single(seed: int) -> Cohort:
        frame = pd.DataFrame(
            {"pid": ["a", "b", "c"], "m": [1.0, 2.0, 3.0], "months": [1.0, 2.0, 3.0],
             "died": ["1", "0", "1"]}
        )  # fmt: skip
        return Cohort.from_frame(frame, Study.from_dict(study))

    with pytest.raises(UsageError, match="one arm"):
        claim_rate(single, 1, "m", "os")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_cohorts": 0}, "n_cohorts"),
        ({"markers": ("other",)}, "marker one of markers"),
        ({"endpoint": "pfs"}, "endpoint"),
        ({"sizes": ()}, "sizes"),
        ({"sizes": (60, 60)}, "sizes"),
    ],
)
def test_impossible_requests_are_named(change: dict[str, Any], words: str) -> None:
    """By the argument at fault."""
    asked: dict[str, Any] = {
        "generate": cohort, "twin": None, "sizes": (60,), "n_cohorts": 1, "marker": "m",
        "endpoint": "os",
    }  # fmt: skip
    with pytest.raises(UsageError, match=words):
        power_curve(**(asked | change))


def test_every_fate_of_a_claim_is_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claimed, withheld by a rule, not significant, not estimable: only the first is a claim."""
    fates = ["claimed"] * 5 + ["withheld"] * 3 + ["not significant"] * 10 + ["not estimable"] * 2
    seen = iter(module._Seen(fate, 10, 12, 4, 6) for fate in fates)
    monkeypatch.setattr(module, "_assess", lambda task: next(seen))
    found = claim_rate(partial(cohort, 60), 20, "m", "os")
    # Clopper-Pearson, R: binom.test(5, 20)$conf.int
    assert found == ClaimRate(
        0.25, pytest.approx(0.08657147), pytest.approx(0.4910459), 20, 2, 3, 22.0, 10.0, 10.0, 4.0
    )


def test_response_cohorts_take_the_odds_formula() -> None:
    """Patients and response shares by arm; nothing where nobody responds."""
    rate = ClaimRate(0.5, 0.2, 0.8, 10, 0, 0, 200.0, 40.0, 100.0, 25.0)
    found = module._formula(rate, "response", 0.5, 1.0, 0.05)
    assert found == response_interaction_power(0.5, 200, 0.25, 0.15)
    nobody = ClaimRate(0.0, 0.0, 0.3, 10, 10, 0, 200.0, 0.0, 100.0, 0.0)
    assert module._formula(nobody, "response", 0.5, 1.0, 0.05) is None
    assert module._formula(rate, "response", None, 1.0, 0.05) is None


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=50)
def test_the_exact_interval_holds_the_share_and_mirrors(counts: tuple[int, int]) -> None:
    """Clopper-Pearson: claims and non-claims have mirrored intervals."""
    k, n = counts
    fates = ["claimed"] * k + ["not significant"] * (n - k)
    rate = module._rate([module._Seen(f, 1, 1, 0, 1) for f in fates])
    other = module._rate([module._Seen(f, 1, 1, 0, 1) for f in
                          ["claimed"] * (n - k) + ["not significant"] * k])  # fmt: skip
    assert 0.0 <= rate.low <= rate.share <= rate.high <= 1.0
    assert rate.low == pytest.approx(1.0 - other.high, abs=1e-9)
