r"""Log-likelihood, score and information of a replicate's Cox model, compiled.

A replicate is a list of rows sorted as in :mod:`biomarker.survival.partial_likelihood_sweeps`
(stratum, falling duration, deaths last within a tie), each row standing for ``weight`` identical
patients. Over a death time with d deaths (copies counted) the Efron terms are
z_m = 1 / (S0 - f_m D0), f_m = m/d, m = 0..d-1, where S and D sum risk times 1, x, x x' over the
risk set and over the deaths; Breslow's have f = 0. With h = sum z, k = sum f z the time adds
h S1 - k D1 to the expected score and h S2 - k D2 - sum z^2 (S1 - f D1)(S1 - f D1)' to the
information. Only products of denominators are needed for the likelihood: logs are taken of runs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from biomarker.survival.batched_cox_work import COMPILE, Floats, Work

__all__ = ["evaluate", "null_value"]

_FAR = 200.0  # |x'b| beyond which a step is refused: risks would lose every digit
_HUGE, _SMALL = 1e150, 1e-150
_ROUNDING = 1e-13

_LOG2E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_MAGIC = 6755399441055744.0  # 1.5 * 2**52: adding it leaves the nearest integer in the low bits


@njit(**COMPILE)
def _risks(work: Work, coef: Floats, p: int, m: int) -> bool:
    """Fill ``risk`` with weight times exp(x'b); False where some x'b is out of reach.

    exp by range reduction and a polynomial, in loops that vectorise: within 2 units in the last
    place of the library's.
    """
    share, bits, risk, weight = work.share, work.bits, work.risk, work.weight
    eta = risk
    if p <= 3:
        c0, c1, c2 = work.columns[0], work.columns[1], work.columns[2]
        b0, b1, b2 = coef[0], coef[1], coef[2]
        for i in range(m):
            eta[i] = b0 * c0[i] + b1 * c1[i] + b2 * c2[i]
    else:
        c = work.columns[0]
        for i in range(m):
            eta[i] = coef[0] * c[i]
        for j in range(1, p):
            c = work.columns[j]
            b = coef[j]
            for i in range(m):
                eta[i] += b * c[i]
    out = 0
    for i in range(m):
        out += not abs(eta[i]) < _FAR
    if out > 0:
        return False
    for i in range(m):
        x = eta[i]
        t = x * _LOG2E + _MAGIC
        share[i] = t
        k = t - _MAGIC
        r = (x - k * _LN2_HIGH) - k * _LN2_LOW
        q = 1.0 / 6227020800.0
        q = q * r + 1.0 / 479001600.0
        q = q * r + 1.0 / 39916800.0
        q = q * r + 1.0 / 3628800.0
        q = q * r + 1.0 / 362880.0
        q = q * r + 1.0 / 40320.0
        q = q * r + 1.0 / 5040.0
        q = q * r + 1.0 / 720.0
        q = q * r + 1.0 / 120.0
        q = q * r + 1.0 / 24.0
        q = q * r + 1.0 / 6.0
        q = q * r + 0.5
        q = q * r + 1.0
        q = q * r + 1.0
        risk[i] = weight[i] * q
    for i in range(m):
        bits[i] = (bits[i] + 1023) << 52
    for i in range(m):
        risk[i] *= share[i]
    return True


@njit(**COMPILE)
def _evaluate_three(work: Work, risk: Floats, m: int, n_times: int, efron: bool) -> float:
    """Return the sum of log denominators; fill gradient and information of three columns.

    One sweep up gives the squares of risk-set means, one sweep down the hazard that each row
    accrues, whose weighted squares are the rest of the information.
    """
    c0, c1, c2 = work.columns[0], work.columns[1], work.columns[2]
    begin, mid, end, first, deaths = work.begin, work.mid, work.end, work.first, work.deaths
    s = sa = sb = sc = 0.0
    haa = hab = hac = hbb = hbc = hcc = 0.0
    logs = 0.0
    product = 1.0
    for k in range(n_times):
        if first[k]:
            s = sa = sb = sc = 0.0
        for i in range(begin[k], end[k]):
            r = risk[i]
            s += r
            sa += r * c0[i]
            sb += r * c1[i]
            sc += r * c2[i]
        d = deaths[k]
        if d == 1 or not efron:
            v = 1.0 / s
            a, b, c = v * sa, v * sb, v * sc
            w = float(d)
            haa += w * a * a
            hab += w * a * b
            hac += w * a * c
            hbb += w * b * b
            hbc += w * b * c
            hcc += w * c * c
            work.hazard[k] = work.hazard_dying[k] = w * v
            for _ in range(d):
                product *= s
                if not _SMALL < product < _HUGE:
                    logs += np.log(product)
                    product = 1.0
            continue
        i = mid[k]
        t = risk[i]
        ta, tb, tc = t * c0[i], t * c1[i], t * c2[i]
        for i in range(mid[k] + 1, end[k]):
            r = risk[i]
            t += r
            ta += r * c0[i]
            tb += r * c1[i]
            tc += r * c2[i]
        h = hf = h2 = hf2 = hff2 = 0.0
        part = 1.0 / d
        for q in range(d):
            f = q * part
            u = s - f * t
            product *= u
            v = 1.0 / u
            h += v
            hf += f * v
            v *= v
            h2 += v
            v *= f
            hf2 += v
            hff2 += f * v
            if not _SMALL < product < _HUGE:
                logs += np.log(product)
                product = 1.0
        work.hazard[k] = h
        work.hazard_dying[k] = h - hf
        ua, va = h2 * sa - hf2 * ta, hf2 * sa - hff2 * ta
        ub, vb = h2 * sb - hf2 * tb, hf2 * sb - hff2 * tb
        uc, vc = h2 * sc - hf2 * tc, hf2 * sc - hff2 * tc
        haa += ua * sa - va * ta
        hab += ua * sb - va * tb
        hac += ua * sc - va * tc
        hbb += ub * sb - vb * tb
        hbc += ub * sc - vb * tc
        hcc += uc * sc - vc * tc
    _accrue(work, risk, m, n_times)
    _sum_three(work, m)
    information = work.information
    information[0, 0] -= haa
    information[1, 1] -= hbb
    information[2, 2] -= hcc
    information[0, 1] -= hab
    information[0, 2] -= hac
    information[1, 2] -= hbc
    return logs + np.log(product)


@njit(**COMPILE)
def _accrue(work: Work, risk: Floats, m: int, n_times: int) -> None:
    """Fill ``share`` with each row's expected events: its risk times the hazard it accrues.

    Rows that left before any death of their stratum accrue none.
    """
    share, begin, mid, end = work.share, work.begin, work.mid, work.end
    level = 0.0
    later = m
    for back in range(n_times):
        k = n_times - 1 - back
        if k == n_times - 1 or work.first[k + 1]:
            level = 0.0
            for i in range(end[k], later):
                share[i] = 0.0
        later = begin[k]
        dying = level + work.hazard_dying[k]
        for i in range(mid[k], end[k]):
            share[i] = risk[i] * dying
        level += work.hazard[k]
        for i in range(begin[k], mid[k]):
            share[i] = risk[i] * level
    for i in range(later):
        share[i] = 0.0


@njit(forceinline=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _sum_three(work: Work, m: int) -> None:
    """Start gradient and information from the rows' expected events.

    Sums may be taken in another order, so that they vectorise; the order is the compiler's, once
    and for all.
    """
    c0, c1, c2 = work.columns[0], work.columns[1], work.columns[2]
    share, information, observed = work.share, work.information, work.observed
    ga = gb = gc = haa = hab = hac = hbb = hbc = hcc = 0.0
    for i in range(m):
        e, x, y, z = share[i], c0[i], c1[i], c2[i]
        ex, ey, ez = e * x, e * y, e * z
        ga += ex
        gb += ey
        gc += ez
        haa += ex * x
        hab += ex * y
        hac += ex * z
        hbb += ey * y
        hbc += ey * z
        hcc += ez * z
    work.gradient[0] = observed[0] - ga
    work.gradient[1] = observed[1] - gb
    work.gradient[2] = observed[2] - gc
    information[0, 0], information[1, 1], information[2, 2] = haa, hbb, hcc
    information[0, 1], information[0, 2], information[1, 2] = hab, hac, hbc


@njit(**COMPILE)
def _evaluate_many(work: Work, risk: Floats, p: int, m: int, n_times: int, efron: bool) -> float:
    """As :func:`_evaluate_three` for any number of columns."""
    rows, begin, mid, end, first = work.rows, work.begin, work.mid, work.end, work.first
    total, dying, one, two = work.sums[0], work.sums[1], work.sums[2], work.sums[3]
    gradient, information = work.gradient, work.information
    for j in range(p):
        gradient[j] = work.observed[j]
        for k in range(j, p):
            information[j, k] = 0.0
    s = logs = 0.0
    product = 1.0
    for k in range(n_times):
        if first[k]:
            s = 0.0
            total[:p] = 0.0
        for i in range(begin[k], end[k]):
            r = risk[i]
            s += r
            for j in range(p):
                total[j] += r * rows[i, j]
        d = work.deaths[k]
        if d == 1 or not efron:
            v = 1.0 / s
            work.hazard[k] = d * v
            work.hazard_dying[k] = d * v
            v *= np.sqrt(float(d))
            for j in range(p):
                one[j] = v * total[j]
            _subtract_square(information, one, p)
            for _ in range(d):
                product *= s
                if not _SMALL < product < _HUGE:
                    logs += np.log(product)
                    product = 1.0
            continue
        t = 0.0
        dying[:p] = 0.0
        for i in range(mid[k], end[k]):
            r = risk[i]
            t += r
            for j in range(p):
                dying[j] += r * rows[i, j]
        h = hf = h2 = hf2 = hff2 = 0.0
        part = 1.0 / d
        for q in range(d):
            f = q * part
            u = s - f * t
            product *= u
            if not _SMALL < product < _HUGE:
                logs += np.log(product)
                product = 1.0
            v = 1.0 / u
            h += v
            hf += f * v
            v *= v
            h2 += v
            v *= f
            hf2 += v
            hff2 += f * v
        work.hazard[k] = h
        work.hazard_dying[k] = h - hf
        slope = hf2 / h2
        root, rest = np.sqrt(h2), np.sqrt(max(hff2 - hf2 * slope, 0.0))
        for j in range(p):
            one[j] = root * (total[j] - slope * dying[j])
            two[j] = rest * dying[j]
        _subtract_square(information, one, p)
        _subtract_square(information, two, p)
    _accrue(work, risk, m, n_times)
    for i in range(m):
        _add_row(work, rows, i, work.share[i], p)
    return logs + np.log(product)


@njit(**COMPILE)
def _subtract_square(out: Floats, vector: Floats, p: int) -> None:
    """Take v v' off the upper triangle."""
    for j in range(p):
        a = vector[j]
        for k in range(j, p):
            out[j, k] -= a * vector[k]


@njit(**COMPILE)
def _add_row(work: Work, rows: Floats, i: int, expected: float, p: int) -> None:
    """Let a row's expected events enter gradient and information."""
    for j in range(p):
        a = expected * rows[i, j]
        work.gradient[j] -= a
        for k in range(j, p):
            work.information[j, k] += a * rows[i, k]


@njit(**COMPILE)
def evaluate(
    work: Work, coef: Floats, p: int, m: int, n_times: int, efron: bool, at_start: bool
) -> tuple[float, float]:
    """Log-likelihood and the size of its rounding error; -inf where out of reach."""
    risk = work.risk_start
    if not at_start:
        if not _risks(work, coef, p, m):
            return -np.inf, 0.0
        risk = work.risk
    if p <= 3:
        logs = _evaluate_three(work, risk, m, n_times, efron)
    else:
        logs = _evaluate_many(work, risk, p, m, n_times, efron)
    gains = 0.0
    for j in range(p):
        gains += coef[j] * work.observed[j]
    value = gains - logs
    if not np.isfinite(value):
        return -np.inf, 0.0
    return value, _ROUNDING * (abs(gains) + abs(logs))


@njit(**COMPILE)
def null_value(work: Work, n_times: int, efron: bool) -> float:
    """Log-likelihood at zero of rows of weight 1: every denominator is a number of patients."""
    logs = 0.0
    start = 0
    for k in range(n_times):
        if work.first[k]:
            start = work.begin[k]
        at_risk = work.end[k] - start
        for q in range(work.deaths[k]):
            logs += np.log(float(at_risk - q if efron else at_risk))
    return -logs
