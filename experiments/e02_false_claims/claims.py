"""Rows 6, 7 and 8 of the threats, the ratio's coverage, and what happens off proportionality.

Most cohorts are quiet, and :func:`biomarker.evidence.calibration.surely_quiet` finds that out in
few draws; the whole procedure, every rule of a claim in force, runs on the others. A test holds the
two together.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy.stats import chi2

from biomarker.errors import NotEstimableError
from biomarker.evidence import assess
from biomarker.evidence.analysis_set import AnalysisSet
from biomarker.evidence.calibration import surely_quiet
from biomarker.evidence.family import Question, adjust
from biomarker.evidence.interaction import ask_interaction, interaction_test, regression_of
from biomarker.evidence.multiplicity import Ledger
from biomarker.evidence.robustness import p_without_influential, same_sign_on_ranks
from biomarker.resampling import spawn
from experiments.cells import Parts, Row, rate_row, replicates
from experiments.e02_false_claims.trials import Design, analysis_sets, cohort_of, draw

__all__ = ["PARTS"]

ALPHA = 0.05
KEY = ("interaction", "os")
SIZE = "3.5% to 6.0%"


# -- row 6: a prognostic marker under treatment that works for everybody ---------------------------


def grid() -> list[Design]:
    """72 cells."""
    return [
        Design(n, events, treatment, (marker,))
        for n in (60, 120, 300, 700)
        for marker in ("normal", "lognormal", "binary")
        for events in (0.3, 0.5, 0.7)
        for treatment in (1.0, 0.6)
    ]


def one_claim(design: Design, b: int, seed: int) -> tuple[bool, bool, bool, bool, int]:
    """Asymptotic p, calibrated p and claim below alpha; whether it could be fitted; events."""
    drawn = draw(design, spawn(seed, "row 6", repr(design), b))
    (data,) = analysis_sets(design, drawn)
    events = int(drawn.event.sum())
    try:
        question = ask_interaction(data)
    except NotEstimableError:
        return False, False, False, False, events
    asymptotic = question.p_asymptotic < ALPHA
    if surely_quiet([question], b, [KEY], ALPHA):
        return asymptotic, False, False, True, events
    ((asked, claimed),) = judge([data], b)
    assert asked.test is not None
    return asymptotic, asked.test.p < ALPHA, claimed, True, events


def ask(data: AnalysisSet) -> Question:
    """One marker's interaction as ``assess`` asks it."""
    return Question("interaction", data.marker, "os", data.marker, ask_interaction(data))


def judge(sets: list[AnalysisSet], b: int) -> list[tuple[Question, bool]]:
    """Each marker's question and whether every rule of a claim is met: ``assess`` without words.

    A test holds it to ``assess``.
    """
    asked = [ask(data) for data in sets]
    adjust(asked, Ledger(), "", b, ALPHA)
    return [
        (question, _claimed(data, question, b)) for data, question in zip(sets, asked, strict=True)
    ]


def _claimed(data: AnalysisSet, asked: Question, b: int) -> bool:
    test = asked.test
    assert test is not None
    assert asked.p_adjusted is not None
    if not (test.p < ALPHA and asked.p_adjusted < ALPHA):
        return False
    return p_without_influential(data, test, b, ALPHA) < ALPHA and same_sign_on_ranks(data, test)


def claims(design: Design, n_cohorts: int, workers: int, seed: int) -> list[Row]:
    """Claim rate, size, and what could not be fitted, of one cell of the grid."""
    found = np.array(replicates(one_claim, design, n_cohorts, workers, seed))
    fitted, enough = found[:, 3] == 1, found[:, 4] >= 15
    cell = {"marker": design.markers[0], "n": design.n, "events": design.events,
            "treatment": design.treatment,
            "mean_events": round(float(found[:, 4].mean()), 1)}  # fmt: skip
    n = int(fitted.sum())
    return [
        rate_row("6", cell, "claims", int(found[:, 2].sum()), len(found), "at most 6.0%",
                 lambda s: s <= 0.06),
        rate_row("6", cell, "calibrated p < .05", int(found[fitted, 1].sum()), n, SIZE,
                 lambda s: 0.035 <= s <= 0.06),
        rate_row("6", cell, "asymptotic p < .05", int(found[fitted, 0].sum()), n, "reported"),
        rate_row("6", cell, "not estimable, 15 events or more",
                 int((~fitted & enough).sum()), int(enough.sum()), "at most 2%",
                 lambda s: not s > 0.02),
    ]  # fmt: skip


def responses() -> list[Design]:
    """Row 6 for a response: odds ratios for hazard ratios."""
    return [
        Design(n, share, treatment, (marker,), shape="response")
        for n in (60, 120, 300)
        for marker in ("normal", "lognormal", "binary")
        for share in (0.2, 0.5)
        for treatment in (1.0, 3.0)
    ]


def response_claims(design: Design, n_cohorts: int, workers: int, seed: int) -> list[Row]:
    """Claims, size and refusals of one cell where the outcome is a response."""
    rows = claims(design, n_cohorts, workers, seed)
    return [row | {"row": "response"} for row in rows]


def bends() -> list[Design]:
    """Row 6 for a marker whose own effect is on its logarithm, entered as it is."""
    return [
        Design(n, events, treatment, ("lognormal, acting by its logarithm",))
        for n, events in ((60, 0.3), (60, 0.5), (60, 0.7), (120, 0.5), (300, 0.5))
        for treatment in (1.0, 0.6)
    ]


def bent_claims(design: Design, n_cohorts: int, workers: int, seed: int) -> list[Row]:
    """The same; the size is reported, since the line that is tested is not the truth."""
    rows = claims(design, n_cohorts, workers, seed)
    freed = {"limit": "reported", "passed": True}
    return [
        row | {"row": "bends"} | (freed if row["measure"] == "calibrated p < .05" else {})
        for row in rows
    ]


# -- row 7: significant in one subgroup only -------------------------------------------------------


def one_subgroup(design: Design, b: int, seed: int) -> tuple[bool, bool]:
    """Whether treatment is significant in one half of the marker only; whether we claim."""
    drawn = draw(design, spawn(seed, "row 7", b))
    (data,) = analysis_sets(design, drawn)
    high = data.marker_columns[:, 0] > np.median(data.marker_columns[:, 0])
    significant = []
    for side in (high, ~high):
        part = data.where(side)
        regression = regression_of(part)
        assert part.arm is not None
        fit = regression.fit(part.arm[:, None])
        gain = 2.0 * (
            fit.log_likelihood - regression.fit(np.empty((len(part.arm), 0))).log_likelihood
        )
        significant.append(chi2.sf(gain, 1) < ALPHA)
    claimed = False
    if not surely_quiet([ask_interaction(data)], b, [KEY], ALPHA):
        claimed = assess(cohort_of(design, drawn), ["m0"], ALPHA, None, b, curves=False)[0].claimed
    return significant[0] != significant[1], claimed


def halves() -> list[Design]:
    """One cell: treatment helps everybody alike."""
    return [Design(300, 0.7, 0.7, ("normal",), prognostic=1.0)]


def subgroups(design: Design, n_cohorts: int, workers: int, seed: int) -> list[Row]:
    """The rule that compares two p-values, beside ours."""
    found = np.array(replicates(one_subgroup, design, n_cohorts, workers, seed))
    cell = {"n": design.n, "events": design.events, "treatment": design.treatment}
    return [
        rate_row("7", cell, "significant in one half only", int(found[:, 0].sum()), len(found),
                 "reported"),
        rate_row("7", cell, "claims", int(found[:, 1].sum()), len(found), "at most 6.0%",
                 lambda s: s <= 0.06),
    ]  # fmt: skip


# -- row 8: many correlated markers ----------------------------------------------------------------


def families() -> list[Design]:
    """5 and 50 markers, half lognormal; the first, prognostic one is normal."""
    return [
        Design(120, 0.6, treatment, (("normal", "lognormal") * count)[:count], correlation)
        for count in (5, 50)
        for correlation in (0.3, 0.7)
        for treatment in (1.0, 0.5)
    ]  # fmt: skip


def one_family(design: Design, b: int, seed: int) -> tuple[bool, bool, bool]:
    """Any claim; any adjusted p below alpha; any unadjusted asymptotic p below alpha."""
    # Cohorts of "row 8" taught the rule that is judged here: these are others.
    drawn = draw(design, spawn(seed, "row 8, redrawn with a curve", repr(design), b))
    sets = analysis_sets(design, drawn)
    questions = [ask_interaction(data) for data in sets]
    loose = any(q.p_asymptotic < ALPHA for q in questions)
    if surely_quiet(questions, b, [KEY] * len(questions), ALPHA):
        return False, False, loose
    found = judge(sets, b)
    adjusted = any(q.p_adjusted is not None and q.p_adjusted < ALPHA for q, _ in found)
    return any(claimed for _, claimed in found), adjusted, loose


def one_discovery(design: Design, b: int, seed: int) -> tuple[float, bool]:
    """Share of false discoveries of Benjamini and Hochberg at 5%; marker m0 may be a true one."""
    drawn = draw(design, spawn(seed, "discovery", repr(design), b))
    asked = [ask(data) for data in analysis_sets(design, drawn)]
    adjust(asked, Ledger(), "", b, ALPHA)
    found = [q.p_false_discovery is not None and q.p_false_discovery < ALPHA for q in asked]
    false = sum(found) - (found[0] if design.ratio != 1.0 else 0)
    return false / max(1, sum(found)), found[0]


def many_markers(design: Design, n_cohorts: int, workers: int, seed: int) -> list[Row]:
    """Family-wise claim rate."""
    found = np.array(replicates(one_family, design, n_cohorts, workers, seed))
    cell = {"markers": len(design.markers), "correlation": design.correlation, "n": design.n,
            "treatment": design.treatment}  # fmt: skip
    return [
        rate_row("8", cell, "any claim", int(found[:, 0].sum()), len(found), "at most 6.0%",
                 lambda s: s <= 0.06),
        rate_row("8", cell, "any adjusted p < .05", int(found[:, 1].sum()), len(found),
                 "at most 6.0%", lambda s: s <= 0.06),
        rate_row("8", cell, "any unadjusted asymptotic p < .05", int(found[:, 2].sum()),
                 len(found), "reported"),
    ]  # fmt: skip


def five() -> list[Design]:
    """Five markers without, and with, one true interaction.

    A marker correlated with the true one differs by treatment too, and is no false discovery: the
    second cell has independent markers.
    """
    kinds = ("normal", "lognormal", "normal", "lognormal", "normal")
    return [Design(120, 0.6, 0.5, kinds, 0.3), Design(120, 0.6, 0.5, kinds, ratio=0.5)]


def discoveries(design: Design, n_cohorts: int, workers: int, seed: int) -> list[Row]:
    """False discovery rate of what is shown beside the verdicts."""
    found = np.array(replicates(one_discovery, design, n_cohorts, workers, seed))
    rate, error = float(found[:, 0].mean()), float(found[:, 0].std() / np.sqrt(len(found)))
    cell = {"markers": 5, "correlation": design.correlation, "n": 120, "ratio": design.ratio}
    return [
        {"row": "8", "cell": cell, "measure": "false discovery rate", "value": rate,
         "low": rate - 1.96 * error, "high": rate + 1.96 * error, "n": len(found),
         "limit": "at most 6.0%", "passed": rate <= 0.06}
    ]  # fmt: skip


# -- coverage of the ratio -------------------------------------------------------------------------


def one_interval(design: Design, b: int, seed: int) -> bool:
    """Whether the calibrated interval holds the planted ratio, in the marker's population SD."""
    drawn = draw(design, spawn(seed, "ratio", repr(design), b))
    (data,) = analysis_sets(design, drawn)
    test = interaction_test(data, b, ALPHA)
    unit = 1.0 / 0.4 if design.markers[0] == "binary" else _sample_sd(design, drawn.markers[:, 0])
    truth = design.ratio**unit
    return test.low <= truth <= test.high


def _sample_sd(design: Design, column: Any) -> float:
    """The sample's SD, which the ratio is per, in population SD."""
    population = {"normal": 1.0, "lognormal": float(np.sqrt((np.e - 1.0) * np.e))}
    return float(column.std(ddof=1)) / population[design.markers[0]]


def ratios() -> list[Design]:
    """Three markers, without and with a difference."""
    return [
        Design(300, 0.6, 0.6, (marker,), prognostic=1.5, ratio=ratio)
        for marker, ratio in itertools.product(("normal", "lognormal", "binary"), (1.0, 0.7))
    ]


def coverage(design: Design, n_cohorts: int, workers: int, seed: int) -> list[Row]:
    """The interval of the ratio of hazard ratios at 300 patients."""
    found = replicates(one_interval, design, n_cohorts, workers, seed)
    cell = {"interval": "ratio of hazard ratios", "marker": design.markers[0], "n": 300,
            "ratio": design.ratio}  # fmt: skip
    return [rate_row("coverage", cell, "covers", sum(found), len(found), "95 +/- 1.5%",
                     lambda s: 0.935 <= s <= 0.965)]  # fmt: skip


# -- where hazards are not proportional ------------------------------------------------------------


def one_shape(design: Design, b: int, seed: int) -> tuple[bool, bool, bool, bool]:
    """Claimed; proportionality doubted; the wording limited for it; the scale named."""
    drawn = draw(design, spawn(seed, "shape", repr(design), b))
    verdict = assess(cohort_of(design, drawn), ["m0"], ALPHA, random_state=b, curves=False)[0]
    doubted = verdict.ph_p is not None and verdict.ph_p < ALPHA
    said = verdict.sentence.lower()
    limited, named = "hazards are not proportional" in said, "on the hazard-ratio scale" in said
    return verdict.claimed, doubted, limited, named


def curved() -> list[Design]:
    """A cured share that the marker moves, and hazards that cross."""
    return [
        Design(700, 0.5, 0.5, ("normal",), shape="cure"),
        Design(700, 0.6, 1.0, ("normal",), shape="crossing"),
    ]


def shapes(design: Design, n_cohorts: int, workers: int, seed: int) -> list[Row]:
    """Claims are reported without a limit; the check must fire and the words must follow it."""
    found = np.array(replicates(one_shape, design, n_cohorts, workers, seed))
    cell = {"shape": design.shape, "n": design.n, "events": design.events}
    claimed, doubted = found[:, 0], found[:, 1]
    return [
        rate_row("shapes", cell, "claims", int(claimed.sum()), len(found), "reported"),
        rate_row("shapes", cell, "scale named where claimed",
                 int((found[:, 3] & claimed).sum()), int(claimed.sum()), "always",
                 lambda s: s == 1.0),
        rate_row("shapes", cell, "doubted where claimed",
                 int((doubted & claimed).sum()), int(claimed.sum()), "reported"),
        rate_row("shapes", cell, "proportionality doubted", int(doubted.sum()), len(found),
                 "at least 80%", lambda s: s >= 0.8),
        rate_row("shapes", cell, "limited wording where doubted",
                 int((found[:, 2] & doubted).sum()), int(doubted.sum()), "always",
                 lambda s: s == 1.0),
    ]  # fmt: skip


PARTS: Parts = {
    "coverage": (ratios, coverage),
    "shapes": (curved, shapes),
    "subgroups": (halves, subgroups),
    "discoveries": (five, discoveries),
    "many_markers": (families, many_markers),
    "claims": (grid, claims),
    "responses": (responses, response_claims),
    "bends": (bends, bent_claims),
}
