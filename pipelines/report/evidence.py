"""The evidence section: verdicts first, then what they rest on and what else was looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from biomarker.evidence.multiplicity import LedgerRow
from biomarker.evidence.sentences import level_words
from biomarker.evidence.verdict import Verdict, of_hazards
from biomarker.figures.evidence import forest
from biomarker.study import Hypothesis
from pipelines.evidence_results import Evidence
from pipelines.evidence_text import VERDICTS, p_words, ratio_words
from pipelines.report.evidence_benefit import BenefitPart, benefit_part
from pipelines.report.evidence_looks import (
    curve_figures,
    cut_table,
    milestone_table,
    side_table,
)
from pipelines.report.evidence_tables import (
    absolute_table,
    checks_table,
    measured_table,
    one_arm_table,
    verdict_table,
)
from pipelines.report.parts import Figure, Table
from pipelines.report.tables import label_of
from pipelines.report.words import labelled, lower_first, significant
from pipelines.summary import CohortSummary, design_words, summarise

__all__ = ["EndpointEvidence", "EvidencePage", "evidence_page"]

_NAMED, _FEW = 6, 3
_PLAUSIBLE = 10.0


@dataclass(frozen=True)
class EndpointEvidence:
    """Everything the section shows of one endpoint.

    Attributes
    ----------
    headline : tuple of (str, str)
        What was found, and of which markers; for the first page of the report.
    sentences : tuple of (str, str, str)
        Marker, verdict, and the sentence with its numbers.
    """

    key: str
    label: str
    headline: tuple[tuple[str, str], ...]
    verdicts: Table
    sentences: tuple[tuple[str, str, str], ...]
    forest: Figure
    curves: tuple[Figure, ...]
    cuts: Table | None
    sides: Table | None
    milestones: Table | None
    benefit: BenefitPart | None
    absolute: Table | None
    checks: Table
    measured: Table
    not_shown: tuple[str, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Every figure of the section."""
        benefit = () if self.benefit is None else self.benefit.calibration
        return (self.forest, *self.curves, *benefit)


@dataclass(frozen=True)
class EvidencePage:
    """The whole section; ``refused`` says why there is none.

    Attributes
    ----------
    one_arm : bool
        All patients are in one arm: nothing is said of what the treatment does.
    """

    refused: str
    one_arm: bool
    design: str
    alpha: str
    ledger: str
    endpoints: tuple[EndpointEvidence, ...]
    hypotheses: tuple[str, ...]
    methods: tuple[str, ...]

    def drawings(self) -> dict[str, str]:
        """Every drawing under the name the store keeps it by."""
        return {figure.key: figure.svg for part in self.endpoints for figure in part.figures}


# The page and the store show the same figures: drawn once, forgotten with the assessment.
_DRAWN: WeakKeyDictionary[Evidence, EvidencePage] = WeakKeyDictionary()


def evidence_page(evidence: Evidence) -> EvidencePage:
    """Gather the section from an assessment; nothing is estimated here."""
    if evidence not in _DRAWN:
        _DRAWN[evidence] = _gather(evidence)
    return _DRAWN[evidence]


def _gather(evidence: Evidence) -> EvidencePage:
    cohort, verdicts = evidence.cohort, evidence.verdicts
    summary = summarise(cohort)
    names = list(dict.fromkeys(verdict.endpoint for verdict in verdicts))
    return EvidencePage(
        refused=evidence.refused,
        one_arm=cohort.treated is None,
        design=design_words(cohort),
        alpha=f"{evidence.alpha:g}",
        ledger=evidence.ledger_words(),
        endpoints=tuple(
            _endpoint(
                evidence,
                summary,
                [verdict for verdict in verdicts if verdict.endpoint == name],
                f"evidence-{i + 1}",
            )
            for i, name in enumerate(names)
        ),
        hypotheses=tuple(_hypothesis(evidence, h) for h in cohort.study.hypotheses),
        methods=_methods(evidence),
    )


def _endpoint(
    evidence: Evidence, summary: CohortSummary, verdicts: Sequence[Verdict], key: str
) -> EndpointEvidence:
    name = verdicts[0].endpoint
    label = next(e.label for e in summary.endpoints if e.name == name)
    labels = {v.marker: label_of(evidence.cohort, v.marker) for v in verdicts}
    one_arm = evidence.cohort.treated is None
    endpoint = evidence.cohort.study.endpoints[name]
    unit = endpoint.unit if endpoint.type == "survival" else ""
    return EndpointEvidence(
        key=key,
        label=label,
        headline=_headline(verdicts, labels, one_arm),
        verdicts=one_arm_table(verdicts, labels, label)
        if one_arm
        else verdict_table(verdicts, labels, label),
        sentences=tuple(
            (
                labels[v.marker],
                VERDICTS[v.verdict],
                labelled(v.sentence, v.marker, name, (labels[v.marker], lower_first(label))),
            )
            for v in verdicts
        ),
        forest=_forest(verdicts, labels, label, f"{key}-forest", one_arm),
        curves=curve_figures(evidence, name, labels, key),
        cuts=cut_table(evidence, name, labels),
        sides=side_table(evidence, name, labels),
        milestones=milestone_table(evidence, name, labels),
        benefit=benefit_part(evidence, name, labels, key),
        absolute=None if one_arm else absolute_table(verdicts, labels, unit),
        checks=checks_table(verdicts, labels, one_arm),
        not_shown=_not_shown(evidence, name, labels),
        measured=measured_table(summary, verdicts, labels, one_arm),
    )


def _headline(
    verdicts: Sequence[Verdict], labels: dict[str, str], one_arm: bool
) -> tuple[tuple[str, str], ...]:
    """Each verdict with its markers; what is not shown is counted, never called absent."""
    found: dict[str, list[str]] = {}
    for verdict in verdicts:
        words = labels[verdict.marker] + _how_sure(verdict)
        found.setdefault(VERDICTS[verdict.verdict], []).append(words)
    lines = [(words, _named(names, len(verdicts))) for words, names in found.items()]
    open_ = [verdict for verdict in verdicts if not verdict.claimed]
    if not one_arm and open_:
        of = f"{len(open_)} of {len(verdicts)} markers{_detectable(open_)}"
        lines.append(("predictive effect not established", of))
    return tuple(lines)


def _how_sure(verdict: Verdict) -> str:
    """The numbers of a finding, in brackets; nothing of what is not established."""
    found = []
    if verdict.claimed:
        ratio = ratio_words(verdict.ratio, verdict.ratio_low, verdict.ratio_high)
        adjusted = p_words(verdict.p_adjusted)
        found.append(f"ratio of {verdict.scale}s {ratio}, adjusted p {adjusted}")
    if "prognostic" in verdict.verdict:
        ratio = ratio_words(verdict.hr_control, verdict.hr_control_low, verdict.hr_control_high)
        where = " in the only arm" if verdict.design.startswith("single_arm") else " under control"
        adjusted = p_words(verdict.p_prognostic_adjusted)
        found.append(f"{verdict.scale}{where} {ratio}, adjusted p {adjusted}")
    return f" ({'; '.join(found)}; {verdict.contrast})" if found else ""


def _detectable(verdicts: Sequence[Verdict]) -> str:
    """From which ratio on a difference would probably have been seen."""
    known = [v.detectable_ratio_80 for v in verdicts if v.detectable_ratio_80 is not None]
    found = sorted(ratio for ratio in known if math.isfinite(ratio))
    if not found:
        return ""
    best, worst = significant(found[0]), significant(found[-1])
    if found[-1] > _PLAUSIBLE:
        worst = "none that is plausible"
    said = best if len(found) == 1 else f"{best} for the surest marker, {worst} for the least sure"
    return f" (ratio of ratios detectable with 80% power, either way: {said})"


def _named(names: Sequence[str], n_all: int) -> str:
    """The markers of one verdict; where it is that of all of many, their number."""
    if len(names) == n_all > _FEW:
        return f"all {n_all} markers"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _not_shown(evidence: Evidence, endpoint: str, labels: dict[str, str]) -> tuple[str, ...]:
    """What could not be looked at, and why."""
    if evidence.looks is None:
        return ()
    return tuple(
        f"{labels[item.marker]}, {item.what}: {item.reason}"
        for item in evidence.looks.not_shown
        if item.endpoint == endpoint
    )


# --- figures ------------------------------------------------------------------------------------


def _forest(
    verdicts: Sequence[Verdict], labels: dict[str, str], label: str, key: str, one_arm: bool
) -> Figure:
    said, rows = [], []
    for v in verdicts:
        ratio = (
            ratio_words(v.hr_control, v.hr_control_low, v.hr_control_high)
            if one_arm
            else ratio_words(v.ratio, v.ratio_low, v.ratio_high)
        )
        p = v.p_prognostic_adjusted if one_arm else v.p_adjusted
        said.append(f"{labels[v.marker]} {ratio}, adjusted p {p_words(p)}")
        rows.append((labels[v.marker], ratio, p_words(p)))
    hazard, level = of_hazards(verdicts[0].scale), level_words(verdicts[0].alpha)
    if one_arm:
        title = f"Association with {label}"
        caption = f"Dots: ratio per unit of the marker. Bars: {level} intervals of one test each."
    else:
        title = "Interaction of treatment and marker"
        side = "left" if hazard else "right"
        caption = (
            "Dots: effect in the treated over effect in control, per unit of the marker. Bars: "
            f"{level} intervals of one test each. Dashed line: no difference; {side} of it the "
            "treated do relatively better where the marker is higher."
        )
    if any(v.claimed for v in verdicts):
        caption += " Highlighted: a claim that met every condition."
    return Figure(
        key,
        title,
        forest(verdicts, labels, name=key),
        f"Forest plot, {label}. {'; '.join(said)}.",
        caption,
        Table(
            f"{title}.", ("Marker", f"{_ratio_name(one_arm)} ({level})", "Adjusted p"), tuple(rows)
        ),
    )


def _ratio_name(one_arm: bool) -> str:
    return "Ratio" if one_arm else "Ratio of ratios"


# --- words --------------------------------------------------------------------------------------

_CLAIMS = {
    "prognostic": "association with the outcome whatever the treatment",
    "predictive": "a treatment effect that differs by the marker",
}
_FAMILIES = {"prognostic": "association", "predictive": "interaction"}


def _hypothesis(evidence: Evidence, hypothesis: Hypothesis) -> str:
    """A claim written down beforehand, when it was recorded, and its standing now."""
    cohort = evidence.cohort
    label = label_of(cohort, hypothesis.marker)
    endpoint = cohort.study.endpoints[hypothesis.endpoint].label or hypothesis.endpoint
    direction = str(hypothesis.direction or "no direction stated").replace("_", " ")
    said = f"{label} and {endpoint}: {_CLAIMS[hypothesis.claim]}, {direction}"
    row = _recorded(evidence.recorded_hypotheses, hypothesis)
    if evidence.result is None:
        return f"{said}; not assessed"
    if hypothesis.claim == "predictive" and evidence.cohort.treated is None:
        return f"{said}; it cannot be asked of one arm"
    if row is None:
        return f"{said}; not recorded before the first test of these data, so exploratory"
    when = f" {row.recorded}" if row.recorded else ""
    verdict = next(
        (
            v
            for v in evidence.verdicts
            if (v.marker, v.endpoint) == (hypothesis.marker, hypothesis.endpoint)
        ),
        None,
    )
    if verdict is None:
        return f"{said}; recorded{when}, not asked in this run"
    p = verdict.p_adjusted if hypothesis.claim == "predictive" else verdict.p_prognostic_adjusted
    return f"{said}; recorded{when}, before the first test of these data; adjusted p {p_words(p)}"


def _recorded(rows: Sequence[LedgerRow], hypothesis: Hypothesis) -> LedgerRow | None:
    wanted = (hypothesis.marker, hypothesis.endpoint, _FAMILIES[hypothesis.claim])
    return next((r for r in rows if (r.marker, r.endpoint, r.family) == wanted), None)


def _methods(evidence: Evidence) -> tuple[str, ...]:
    """How the numbers of this section came about."""
    if not evidence.verdicts:
        return ()
    ways = ", ".join(dict.fromkeys(v.adjustment for v in evidence.verdicts if v.adjustment))
    draws = max(v.n_draws for v in evidence.verdicts)
    one_arm = evidence.cohort.treated is None
    family = "The family" if one_arm else "Each family (interactions; associations under control)"
    found = [
        f"p-values compare the likelihood ratio with up to {draws:,} outcomes redrawn under the "
        f"fitted null model (seed {evidence.seed}); adjusted by {ways or 'nothing'}.",
        f"{family} is two-sided at {evidence.alpha:g}, over all markers and endpoints.",
        f"The ledger counts {evidence.ledger_words()}. Asking again adds nothing; asking more is "
        "paid for.",
    ]
    if not one_arm:
        found.append(
            "Outcomes are redrawn with the marker's own effect as a curve; a claim about treatment "
            "must also hold without the most influential patients, and on ranks."
        )
        found.append(
            "Without a hypothesis recorded before the first test of these data a result is "
            "exploratory; confirm it on other patients."
        )
    return tuple(found)
