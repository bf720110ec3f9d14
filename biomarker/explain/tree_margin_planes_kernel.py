"""Compiled sums of leaves for trees of four splits or fewer, 64 rows to a whole number.

Every test of a feature against a threshold is asked once for all trees that share it, and gives one
bit a row: whether the row goes right. Which way a row goes at each level of a tree is then a choice
between such bits, made for 64 rows at a time, and four of them are the number of its leaf.

numba has no vectors of its own; those of LLVM are written out, in terms that every processor has.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["DEPTH", "ROWS", "Planes", "add_leaves"]

DEPTH = 4  # splits on the way to a leaf at most
ROWS = 64  # that share a whole number
_WORDS = 8  # whole numbers of a test that are held at a time: one line of the cache
_LANES = 16

Singles = npt.NDArray[np.float32]
Places = npt.NDArray[np.uint64]

_I1, _I8, _I32, _F32 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.FloatType()


class Planes(NamedTuple):
    """Tests of all trees, each once, and the trees as full ones that refer to them.

    Tests are grouped by feature and by where a missing value goes. A split that a tree lacks is
    the test after the last, at which every row goes left.
    """

    feature: Places  # (n_groups,)
    left: npt.NDArray[np.bool_]  # (n_groups,) whether a missing value goes left
    begin: Places  # (n_groups + 1,) first test of each group
    threshold: Singles  # (n_tests,) a value below it goes left
    node: Places  # (n_trees, 15) number of each split's test, level by level
    value: Singles  # (n_trees, 16) of each leaf, from left to right


def _vector(builder: Any, pointer: Any, n: int) -> Any:
    """Load so many numbers."""
    found = builder.load(builder.bitcast(pointer, ir.VectorType(_F32, n).as_pointer()))
    found.align = 4
    return found


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _goes_right(compared: str) -> Any:
    """Bits of 64 values that are at or above a threshold, a missing one by the comparison."""

    @intrinsic
    def ask(typing: Any, x: Any, at: Any, threshold: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            place = _place(context, builder, signature.args[0], given[0], given[1])
            values = _vector(builder, place, ROWS)
            wide = ir.VectorType(_F32, ROWS)
            first = builder.insert_element(
                ir.Constant(wide, ir.Undefined), given[2], ir.Constant(_I32, 0)
            )
            everywhere = ir.Constant(ir.VectorType(_I32, ROWS), [0] * ROWS)
            level = builder.shuffle_vector(first, ir.Constant(wide, ir.Undefined), everywhere)
            hit = getattr(builder, compared)(">=", values, level)
            return builder.bitcast(hit, ir.IntType(ROWS))

        return types.uint64(x, types.uint64, types.float32), code

    return ask


_right_if_missing, _left_if_missing = _goes_right("fcmp_unordered"), _goes_right("fcmp_ordered")


@intrinsic
def _add_64(
    typing: Any, out: Any, at: Any, value: Any, first: Any, b3: Any, b2: Any, b1: Any, b0: Any
) -> Any:
    """Add to 64 numbers the leaves whose number's four bits are given, highest first."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        out, at, value, first, *bits = given
        singles, whole = ir.VectorType(_F32, _LANES), ir.VectorType(_I32, _LANES)
        leaves = _vector(builder, _place(context, builder, signature.args[2], value, first), _LANES)
        small = ir.VectorType(_I8, ROWS)
        numbers = ir.Constant(small, [0] * ROWS)
        for weight, word in zip((8, 4, 2, 1), bits, strict=True):
            hit = builder.bitcast(word, ir.VectorType(_I1, ROWS))
            step = ir.Constant(small, [weight] * ROWS)
            kept = builder.select(hit, step, ir.Constant(small, [0] * ROWS))
            numbers = builder.or_(numbers, kept)
        for begin in range(0, ROWS, _LANES):
            lanes = ir.Constant(whole, list(range(begin, begin + _LANES)))
            number = builder.zext(builder.shuffle_vector(numbers, numbers, lanes), whole)
            # LLVM knows sixteen picks from one register by numbers in another as one step.
            picked = ir.Constant(singles, ir.Undefined)
            for lane in range(_LANES):
                here = ir.Constant(_I32, lane)
                leaf = builder.extract_element(leaves, builder.extract_element(number, here))
                picked = builder.insert_element(picked, leaf, here)
            index = builder.add(at, ir.Constant(at.type, begin))
            place = _place(context, builder, signature.args[0], out, index)
            total = builder.fadd(_vector(builder, place, _LANES), picked)
            builder.store(total, builder.bitcast(place, singles.as_pointer())).align = 4
        return context.get_dummy_value()

    eight, word = types.uint64, types.uint64
    return types.void(out, eight, value, eight, word, word, word, word), code


@njit(cache=True, nogil=True)
def _ask(x: Singles, at: Any, n: Any, width: Any, planes: Planes, bits: Places) -> None:
    """One bit for each test and row of a block; ``n`` rows lie between a feature and the next."""
    for group in range(np.uint64(len(planes.feature))):
        base = planes.feature[group] * n + at
        for w in range(width):
            here = base + np.uint64(ROWS) * w
            begin, end = planes.begin[group], planes.begin[group + np.uint64(1)]
            if planes.left[group]:
                for test in range(begin, end):
                    bits[test * np.uint64(_WORDS) + w] = _left_if_missing(
                        x, here, planes.threshold[test]
                    )
            else:
                for test in range(begin, end):
                    bits[test * np.uint64(_WORDS) + w] = _right_if_missing(
                        x, here, planes.threshold[test]
                    )


@njit(cache=True, nogil=True, inline="always")
def _either(chosen: Any, left: Any, right: Any) -> Any:
    """Bits of ``right`` where a row goes right, else of ``left``."""
    return left ^ (chosen & (left ^ right))


@njit(cache=True, nogil=True)
def add_leaves(x: Singles, n: int, rows: int, planes: Planes, out: Singles) -> None:
    """Add every tree's leaf to the first ``rows`` of ``out``, in the trees' order.

    ``x`` holds ``n`` values of each feature side by side; ``rows`` is a multiple of 64.
    """
    tests = np.uint64(len(planes.threshold))
    bits = np.zeros((tests + np.uint64(1)) * np.uint64(_WORDS), np.uint64)
    step, value = np.uint64(_WORDS), planes.value.ravel()
    b3, b2, b1, b0 = (
        np.empty(_WORDS, np.uint64), np.empty(_WORDS, np.uint64),
        np.empty(_WORDS, np.uint64), np.empty(_WORDS, np.uint64),
    )  # fmt: skip
    for block in range(np.uint64(0), np.uint64(rows), np.uint64(ROWS * _WORDS)):
        width = min(step, (np.uint64(rows) - block) // np.uint64(ROWS))
        _ask(x, block, np.uint64(n), width, planes, bits)
        for tree in range(np.uint64(len(planes.node))):
            node = planes.node[tree]
            for w in range(step):
                s0 = bits[node[0] * step + w]
                s1, s2 = bits[node[1] * step + w], bits[node[2] * step + w]
                s3, s4 = bits[node[3] * step + w], bits[node[4] * step + w]
                s5, s6 = bits[node[5] * step + w], bits[node[6] * step + w]
                s7, s8 = bits[node[7] * step + w], bits[node[8] * step + w]
                s9, s10 = bits[node[9] * step + w], bits[node[10] * step + w]
                s11, s12 = bits[node[11] * step + w], bits[node[12] * step + w]
                s13, s14 = bits[node[13] * step + w], bits[node[14] * step + w]
                b3[w] = s0
                b2[w] = _either(s0, s1, s2)
                b1[w] = _either(s0, _either(s1, s3, s4), _either(s2, s5, s6))
                under_left = _either(s1, _either(s3, s7, s8), _either(s4, s9, s10))
                under_right = _either(s2, _either(s5, s11, s12), _either(s6, s13, s14))
                b0[w] = _either(s0, under_left, under_right)
            for w in range(width):
                _add_64(
                    out, block + np.uint64(ROWS) * w, value, tree * np.uint64(2**DEPTH),
                    b3[w], b2[w], b1[w], b0[w],
                )  # fmt: skip
