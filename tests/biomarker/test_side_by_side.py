"""Calls run side by side give what they give one after another, and their errors arrive."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker.errors import NotEstimableError
from biomarker.side_by_side import other_workers, side_by_side, workers_are_set


def fails(number: int) -> int:
    """Refuse one number in words of its own."""
    if number == 3:
        raise NotEstimableError("three cannot be estimated")
    return number


def backend_inside() -> str:
    """What joblib would use for a call made inside a call."""
    from joblib import Parallel

    return type(Parallel(n_jobs=2)._backend).__name__


def backend_here() -> str:
    """What joblib would use for a call of another library."""
    return backend_inside()


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=20))
def test_results_stand_in_the_order_of_the_calls(calls):
    """Whatever is done first, the first call's result comes first."""
    with other_workers("threading"):
        assert list(side_by_side(operator.sub, calls, 2)) == [a - b for a, b in calls]


def test_without_order_every_result_comes_once():
    """Nothing is lost or doubled where results come as they are done."""
    with other_workers("threading"):
        found = list(side_by_side(abs, [(-k,) for k in range(30)], 2, in_order=False))
    assert sorted(found) == list(range(30))


def test_an_error_arrives_as_it_was_raised():
    """The caller meets the house's error, not the backend's words on it."""
    with (
        other_workers("threading"),
        pytest.raises(NotEstimableError, match="three cannot be estimated"),
    ):
        list(side_by_side(fails, [(k,) for k in range(6)], 2))


def test_a_call_keeps_its_own_parallel_parts_to_itself():
    """A library that uses joblib inside a call runs there in turn, and hands nothing on."""
    with other_workers("threading"):
        assert list(side_by_side(backend_inside, [()], 2)) == ["SequentialBackend"]


def test_other_libraries_calls_stay_on_this_machine():
    """Only whole calls travel: what scikit-learn gives to joblib meets no setting of ours."""
    before = backend_here()
    with other_workers("threading"):
        calls = side_by_side(abs, [(-1,), (-2,)], 2)
        assert next(calls) == 1
        assert backend_here() == before
        assert list(calls) == [2]


def test_workers_are_set_inside_the_block_alone():
    """Also where the block fails."""
    assert not workers_are_set()
    with other_workers("threading"):
        assert workers_are_set()
    with pytest.raises(ZeroDivisionError), other_workers("threading"):
        raise ZeroDivisionError
    assert not workers_are_set()
