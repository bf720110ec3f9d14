"""The tables of the evidence section: verdicts, what stands beside them, and who was analysed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from biomarker.evidence.sentences import level_words
from biomarker.evidence.verdict import Verdict, of_hazards
from pipelines.evidence_text import VERDICTS, p_words, ratio_words
from pipelines.report.parts import Table
from pipelines.report.words import percent, significant, time_words
from pipelines.summary import CohortSummary

__all__ = ["absolute_table", "checks_table", "measured_table", "one_arm_table", "verdict_table"]


def verdict_table(verdicts: Sequence[Verdict], labels: dict[str, str], label: str) -> Table:
    """One row a marker of a comparison: interaction, association under control, and their p."""
    scale = verdicts[0].scale
    hazards, level = of_hazards(scale), level_words(verdicts[0].alpha)
    ratio = f"Ratio of {scale}s"
    what = "events" if hazards else "responses"
    rows = [
        (
            labels[v.marker],
            f"{VERDICTS[v.verdict]} ({'confirmatory' if v.confirmatory else 'exploratory'})",
            "; ".join(
                _per(ratio_words(*values), name)
                for name, values in (*v.others, (v.contrast, (v.ratio, v.ratio_low, v.ratio_high)))
            ),
            _both(v.p_interaction, v.p_adjusted),
            f"{v.events_treated:,}/{v.n_treated:,} v {v.events_control:,}/{v.n_control:,}",
            ratio_words(v.hr_control, v.hr_control_low, v.hr_control_high),
            _both(v.p_prognostic, v.p_prognostic_adjusted),
        )
        for v in verdicts
    ]
    return Table(
        f"{label}: one verdict a marker.",
        (
            "Marker",
            "Verdict (standing)",
            f"{ratio} ({level} interval)",
            "Its p; adjusted",
            f"{what.capitalize()}/patients, treated v control",
            f"{scale.capitalize()} under control ({level} interval)",
            "Its p; adjusted",
        ),
        tuple(rows),
        numeric=False,
        note="The ratio is the interaction: the factor by which the effect of treatment (treated "
        "against control) changes per unit of the marker; 1 is no change. Intervals are of one "
        "test each; the adjusted p counts every test made.",
    )


def one_arm_table(verdicts: Sequence[Verdict], labels: dict[str, str], label: str) -> Table:
    """One row a marker where all patients are in one arm: association alone."""
    scale = verdicts[0].scale
    what = "Events" if of_hazards(scale) else "Responses"
    rows = [
        (
            labels[v.marker],
            VERDICTS[v.verdict],
            _per(ratio_words(v.hr_control, v.hr_control_low, v.hr_control_high), v.contrast),
            _both(v.p_prognostic, v.p_prognostic_adjusted),
            f"{v.events_treated + v.events_control:,} of {v.n_treated + v.n_control:,}",
        )
        for v in verdicts
    ]
    return Table(
        f"{label}: one verdict a marker; all patients are in one arm.",
        (
            "Marker",
            "Verdict",
            f"{scale.capitalize()} ({level_words(verdicts[0].alpha)} interval)",
            "p; adjusted",
            f"{what} of patients",
        ),
        tuple(rows),
        numeric=False,
        note="Association with the outcome in the one arm there is. Without a second arm nothing "
        "can be told about what the treatment does.",
    )


def _per(words: str, contrast: str) -> str:
    return f"{words}, {contrast}" if contrast else words


def _both(own: float | None, adjusted: float | None) -> str:
    return f"{p_words(own)}; {p_words(adjusted)}"


def absolute_table(verdicts: Sequence[Verdict], labels: dict[str, str], unit: str) -> Table:
    """The treatment's gain in time, survival or response, and how it changes with the marker."""
    rows = []
    for v in verdicts:
        for effect in v.absolute_effects:
            factor, what = 100.0, "share responding, points"
            if effect.measure == "restricted_mean":
                factor, what = 1.0, f"mean time up to {time_words(effect.at, unit)}, {unit}"
            elif effect.measure == "survival":
                what = f"share event-free at {time_words(effect.at, unit)}, points"
            quartiles = (effect.quartiles, effect.quartiles_low, effect.quartiles_high)
            rows.append(
                (
                    labels[v.marker],
                    what,
                    f"{_change(factor, effect.value, effect.low, effect.high)}, {effect.contrast}",
                    # No middle half where the marker has no order.
                    "–" if math.isnan(effect.quartiles) else _change(factor, *quartiles),
                    p_words(effect.p),
                    f"{v.n_treated:,} v {v.n_control:,}",
                )
            )
    return Table(
        "Absolute scale: how the gain (treated minus control) changes with the marker.",
        (
            "Marker",
            "Gain in",
            f"Change ({level_words(verdicts[0].alpha)} interval)",
            "From the marker's lower to its upper quartile",
            "p, unadjusted",
            "Patients",
        ),
        tuple(rows),
        numeric=False,
        note="No hazards are assumed proportional here, and covariates are not adjusted for. The "
        "absolute scale creates and upgrades no verdict; in a randomised comparison a finding on "
        "one scale only is flagged.",
    )


def _change(factor: float, *ends: float) -> str:
    """A change with its interval, in the unit printed."""
    value, low, high = (significant(factor * end) for end in ends)
    return f"{value} ({low} to {high})"


def checks_table(verdicts: Sequence[Verdict], labels: dict[str, str], one_arm: bool) -> Table:
    """Numbers that stand beside the verdict and decide nothing."""
    rows = []
    for v in verdicts:
        found = v.detectable_ratio_80
        error = "" if v.monte_carlo_error is None else f" ± {v.monte_carlo_error:.4f}"
        detectable = "–" if found is None else f"{significant(found)} or {significant(1 / found)}"
        rows.append(
            (
                labels[v.marker],
                *(() if one_arm else (detectable,)),
                p_words(v.ph_p),
                *(() if one_arm else (p_words(v.p_asymptotic), p_words(v.p_spline))),
                p_words(v.p_bend),
                f"{v.n_draws:,}{error}",
                p_words(v.p_false_discovery),
                "; ".join(filter(None, (v.reason, v.flag))) or "–",
            )
        )
    return Table(
        "Beside the verdict: these numbers create and upgrade no verdict.",
        (
            "Marker",
            *(() if one_arm else ("Ratio detectable with 80% power",)),
            "Proportionality p",
            *(() if one_arm else ("Asymptotic p", "Interaction along a curve, p")),
            "Curve against line, p",
            "Redrawn outcomes (error of p)",
            "False discovery rate",
            "Withheld, limited or flagged because",
        ),
        tuple(rows),
        numeric=False,
    )


def measured_table(
    summary: CohortSummary, verdicts: Sequence[Verdict], labels: dict[str, str], one_arm: bool
) -> Table:
    """Who was analysed, and the share without the marker by arm and by outcome."""
    columns = {column.name: column for column in summary.columns}
    survival = of_hazards(verdicts[0].scale)
    rows = []
    for v in verdicts:
        here, n_here, other, n_other = columns[v.marker].missing_by_outcome[v.endpoint]
        arms = [
            f"{missing:,} of {n + missing:,} ({percent(missing, n + missing)})"
            for missing, n in (
                (v.missing_treated, v.n_treated),
                (v.missing_control, v.n_control),
            )
        ]
        by_arm = [] if one_arm else arms
        rows.append(
            (
                labels[v.marker],
                f"{v.n_treated + v.n_control:,}",
                *by_arm,
                f"{here:,} of {n_here:,} ({percent(here, n_here)})",
                f"{other:,} of {n_other:,} ({percent(other, n_other)})",
            )
        )
    return Table(
        "Patients analysed, and those left out because the marker is missing.",
        (
            "Marker",
            "Analysed",
            *([] if one_arm else ["Missing: treated", "Missing: control"]),
            "Missing: with the event" if survival else "Missing: responders",
            "Missing: without" if survival else "Missing: non-responders",
        ),
        tuple(rows),
        note="All patients as randomised, or as treated where nobody was randomised. Where the "
        "missing share differs by arm or outcome, a result is exploratory at best.",
    )
