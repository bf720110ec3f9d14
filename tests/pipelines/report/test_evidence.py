"""The evidence section: first, complete, honest in its words, and silent where it must be."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import pytest

from biomarker import Cohort, Study
from biomarker.evidence.verdict import Verdict
from pipelines.evidence_results import Evidence
from pipelines.evidence_text import evidence_text, p_words, ratio_words
from pipelines.report import render_evidence, render_report, report_figures
from pipelines.report.words import labelled, significant
from pipelines.results import StudyRun
from pipelines.summary import summarise
from tests.pipelines.report.runs import assessed, assessed_run, frame, small_run, study
from tests.pipelines.report.test_report import HOSTILE, Reader

WORD = "predictive"


@pytest.fixture(scope="module")
def page() -> str:
    """The report of the small run with its evidence."""
    return render_report(assessed_run())


def section(page: str) -> str:
    """The evidence section alone."""
    found = re.search(r'<section id="evidence">.*?</section>', page, flags=re.S)
    assert found is not None
    return found.group(0)


def evidence_of(run: StudyRun) -> Evidence:
    """The assessment a run carries."""
    assert run.evidence is not None
    return run.evidence


@cache
def one_arm_run() -> StudyRun:
    """The small run without its arm column: everybody was treated."""
    run = small_run()
    cohort = run.cohort
    columns = {name: column for name, column in cohort.columns.items() if name != "arm"}
    study = cohort.study
    declared = {name: column for name, column in study.columns.items() if name != "arm"}
    alone: Cohort = replace(
        cohort,
        columns=columns,
        study=study.model_copy(update={"columns": declared, "single_arm": "treated"}),
    )
    return replace(run, cohort=alone, summary=summarise(alone), evidence=assessed(alone))


def test_the_section_stands_right_after_the_summary_and_opens_with_the_verdicts(page: str) -> None:
    """Sections in order; in the section the verdicts, then the forest, then the sentences."""
    order = re.findall(r'<section id="([a-z0-9-]+)"', page)
    assert order[:3] == ["summary", "evidence", "cohort"]
    told = section(page)
    first_table = told.index("<table")
    assert "one verdict a marker" in told[first_table : first_table + 200]
    assert first_table < told.index("<figure") < told.index('<ul class="plain verdicts">')


def test_the_first_page_names_every_verdict_and_the_ledger(page: str) -> None:
    """One can stop after the summary."""
    summary = page[page.index('<section id="summary">') : page.index('<section id="evidence">')]
    said = Reader(summary).text
    evidence = evidence_of(assessed_run())
    assert "What the markers carry" in said
    assert evidence.ledger_words() in said
    assert f"{WORD} effect not established 1 of 1 markers" in said


def test_every_number_of_a_verdict_is_printed_as_the_record_has_it(page: str) -> None:
    """Ratio with interval, both p-values, events and patients by arm, and the sentence."""
    said = Reader(section(page)).text
    label = {"os": "overall survival", "response": "objective response"}
    for v in evidence_of(assessed_run()).verdicts:
        assert ratio_words(v.ratio, v.ratio_low, v.ratio_high) in said
        assert ratio_words(v.hr_control, v.hr_control_low, v.hr_control_high) in said
        assert f"{p_words(v.p_interaction)}; {p_words(v.p_adjusted)}" in said
        assert f"{v.events_treated}/{v.n_treated} v {v.events_control}/{v.n_control}" in said
        names = (v.marker, v.endpoint, ("VEGF, serum", label[v.endpoint]))
        assert " ".join(labelled(v.sentence, *names).split()) in said
    assert evidence_of(assessed_run()).ledger_words() in said


def test_missing_values_are_counted_by_arm_and_outcome(page: str) -> None:
    """Those left out for want of the marker, with the share."""
    said = Reader(section(page)).text
    v = evidence_of(assessed_run()).verdicts[0]
    assert v.missing_treated + v.missing_control > 0
    for missing, n in ((v.missing_treated, v.n_treated), (v.missing_control, v.n_control)):
        assert f"{missing} of {n + missing} (" in said


def test_the_cut_box_shows_its_numbers_together(page: str) -> None:
    """Scanned range, number of cuts, corrected p, the cut's interval and the shrunken ratio."""
    told = section(page)
    looks = evidence_of(assessed_run()).looks
    assert looks is not None
    assert looks.cuts
    at = told.index("Cut-points, exploratory")
    box = Reader(told[told.rindex("<table", 0, at) : told.index("</table>", at) + 8]).text
    for head in ("Scanned; cuts tried", "Corrected p", "Best cut (95% interval)", "Shrunken"):
        assert head in box
    for cut in looks.cuts:
        if cut.endpoint == "os":
            assert f"{cut.n_cuts} cuts" in box
            assert p_words(cut.p_corrected) in box
    assert p_words(min(cut.p_minimal for cut in looks.cuts)) not in box.split()


def test_the_effect_along_the_marker_has_its_numbers_one_click_away(page: str) -> None:
    """Every window with its interval, its band, and events and patients of each arm."""
    looks = evidence_of(assessed_run()).looks
    assert looks is not None
    curve = looks.curves[0]
    found = re.search(r'<figure id="evidence-1-curve-1"[^>]*>.*?</figure>', page, flags=re.S)
    assert found is not None
    figure = Reader(found.group(0)).text
    for i in range(len(curve.at)):
        assert f"{int(curve.events_treated[i])} of {int(curve.n_treated[i])}" in figure
        ends = (float(x[i]) for x in (curve.ratio, curve.ratio_low, curve.ratio_high))
        assert ratio_words(*ends) in figure
    assert f"p of no variation {p_words(curve.p)}" in figure


def test_the_word_stands_only_where_it_is_denied_or_earned(page: str) -> None:
    """Without a claim every mention says 'effect not established'."""
    assert not any(v.claimed for v in evidence_of(assessed_run()).verdicts)
    said = Reader(page).text
    mentions = re.findall(rf"{WORD}(.{{0,24}})", said, flags=re.I)
    assert mentions
    assert all(words.startswith(" effect not established") for words in mentions)
    assert f"not {WORD}" not in said


def test_a_single_arm_never_yields_the_word_and_claims_nothing_of_treatment() -> None:
    """Neither page, nor figures, nor terminal, though the study declared such a hypothesis."""
    run = one_arm_run()
    evidence = evidence_of(run)
    assert evidence.verdicts
    assert any(h.claim == WORD for h in run.cohort.study.hypotheses)
    page = render_report(run)
    everything = [
        page,
        render_evidence(evidence, "cohort.csv", "now"),
        evidence_text(evidence),
        *report_figures(run).values(),
    ]
    for text in everything:
        assert WORD not in text.lower()
    told = Reader(section(page)).text
    assert "associated under treatment" in told
    assert "treated v control" not in told
    assert "Interaction" not in told
    assert "ratio of hazard ratios" not in told.lower()


def test_a_claim_and_its_standing_are_said(page: str) -> None:
    """A verdict that paid for the word has it in table, sentence and first page."""
    run = assessed_run()
    evidence = evidence_of(run)
    assert evidence.result is not None

    def claimed(v: Verdict) -> Verdict:
        return replace(v, verdict=WORD, confirmatory=True, sentence="It differs.")  # type: ignore[arg-type]

    changed = replace(evidence.result, verdicts=tuple(claimed(v) for v in evidence.result.verdicts))
    said = Reader(render_report(replace(run, evidence=replace(evidence, result=changed)))).text
    assert f"{WORD} (confirmatory)" in said
    assert "effect not established" not in said
    assert page


def test_a_recorded_hypothesis_is_said_with_its_date(page: str) -> None:
    """What was written down before the first test, and what became of it."""
    run = assessed_run()
    evidence = evidence_of(run)
    assert evidence.result is not None
    ledger = evidence.result.ledger
    rows = tuple(replace(row, recorded="2026-01-02T03:04:05Z") for row in ledger)
    dated = replace(evidence, result=replace(evidence.result, ledger=replace(ledger, rows=rows)))
    said = Reader(section(render_report(replace(run, evidence=dated)))).text
    assert "recorded 2026-01-02T03:04:05Z, before the first test of these data" in said
    alone = replace(ledger, rows=tuple(row for row in rows if row.kind == "test"))
    late = replace(evidence, result=replace(evidence.result, ledger=alone))
    said = Reader(section(render_report(replace(run, evidence=late)))).text
    assert "not recorded before the first test of these data, so exploratory" in said


def test_a_refusal_is_said_and_the_rest_of_the_report_stands() -> None:
    """Reason in the section, none of its tables, no verdicts on the first page."""
    run = assessed_run()
    refused = replace(evidence_of(run), result=None, looks=None, refused="patients <b>repeat</b>.")
    page = render_report(replace(run, evidence=refused))
    found = Reader(page)
    assert found.faults == []
    assert "Not assessed: patients <b>repeat</b>." in found.text
    assert "What the markers carry" not in found.text
    assert "<table" not in section(page)


def test_the_page_of_its_own_is_whole_and_needs_no_network() -> None:
    """The same section, policy and style as in the report; ids once, links with targets."""
    text = render_evidence(evidence_of(assessed_run()), "cohort.csv", "now")
    found = Reader(text)
    assert found.faults == []
    assert section(text) == section(render_report(assessed_run()))
    policy = next(a["content"] for _, a in found.tags if a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for t, a in found.tags if t == "a"]
    assert all(link and link[1:] in ids for link in links)


def test_hostile_names_stay_text_on_the_page_of_its_own() -> None:
    """Title, marker, label, level, endpoint and file name are shown, never obeyed."""
    names = dict(
        zip(("title", "marker", "label", "level", "endpoint", "unit"), HOSTILE, strict=False)
    )
    text = render_evidence(evidence_of(assessed_run(**names)), HOSTILE[6], "now")
    found = Reader(text)
    assert found.faults == []
    assert len(re.findall(r"<script", text)) == 1
    assert {t for t, _ in found.tags} <= {t for t, _ in Reader(render_report(small_run())).tags}
    assert " ".join(HOSTILE[2].split()) in found.text


def test_figures_for_the_store_include_the_evidence() -> None:
    """Forest and curves under names of their own, each one <svg> element."""
    found = report_figures(assessed_run())
    assert {"evidence-1-forest", "evidence-2-forest", "evidence-1-curve-1"} <= set(found)
    assert all(svg.startswith("<svg ") and svg.endswith("</svg>") for svg in found.values())


def test_a_rule_by_the_marker_stands_beside_its_null_and_creates_no_verdict(page: str) -> None:
    """Randomised arms only, the primary endpoint only; every measure beside what chance gives."""
    looks = evidence_of(assessed_run()).looks
    assert looks is not None
    (found,) = looks.benefits
    assert (found.endpoint, found.markers) == ("os", ("vegf",))
    told = Reader(section(page)).text
    for measure in (found.c_for_benefit, found.calibration_slope, found.gain_over_none):
        said = significant(measure.value)
        alike = f"if alike {significant(measure.null_value)}"
        assert re.search(rf"{re.escape(said)}[^;]*; {re.escape(alike)}", told)
    assert "no verdict rests on it" in told
    figure = re.search(r'<figure id="evidence-1-rule-1"[^>]*>.*?</figure>', page, flags=re.S)
    assert figure is not None
    for i in range(len(found.groups.predicted)):
        assert significant(float(found.groups.observed[i])) in Reader(figure.group(0)).text


def test_no_rule_is_judged_where_arms_were_not_randomised() -> None:
    """The declaration decides, not the balance of the arms."""
    cohort = small_run().cohort
    column = cohort.study.columns["arm"].model_copy(update={"randomised": False})
    columns = {**cohort.study.columns, "arm": column}
    watched = replace(cohort, study=cohort.study.model_copy(update={"columns": columns}))
    looks = assessed(watched).looks
    assert looks is not None
    assert looks.benefits == ()


def test_predictions_of_patients_are_in_no_record() -> None:
    """What a store keeps of a benefit are its measures and groups."""
    looks = evidence_of(assessed_run()).looks
    assert looks is not None
    (kept,) = looks.to_dict()["benefits"]
    assert "predictions" not in kept
    assert len(kept["groups"]["observed"]) == len(looks.benefits[0].groups.observed)
    assert kept["c_for_benefit"]["value"] == looks.benefits[0].c_for_benefit.value


def test_a_cause_specific_hazard_is_told_as_a_hazard() -> None:
    """Events and not responses, lower is better, milestones shown: in every table and figure."""
    run = small_run()
    declared = study().to_dict()
    declared["endpoints"]["os"]["competing"] = True
    cohort = Cohort.from_frame(frame(120, 0.9, "vegf", "papillary"), Study.from_dict(declared))
    run = replace(run, cohort=cohort, summary=summarise(cohort), evidence=assessed(cohort))
    said = Reader(section(render_report(run))).text
    survival = said[: said.index("Objective response: one verdict")]
    assert "Ratio of cause-specific hazard ratios" in survival
    assert "Events/patients, treated v control" in survival
    assert "left of it the treated do relatively better" in survival
    assert "Missing: with the event" in survival
    assert "odds" not in survival[: survival.index("Missing: with the event")]


def test_intervals_are_named_by_their_level() -> None:
    """At alpha .01 nothing in the section is called 95%."""
    run = small_run()
    found = assessed(run.cohort, alpha=0.01)
    said = Reader(section(render_report(replace(run, evidence=found)))).text
    assert "99% interval" in said
    assert "95%" not in said
