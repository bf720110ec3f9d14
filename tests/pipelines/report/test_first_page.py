"""The first page answers a reviewer: in whom, for which use, how sure; and it makes nothing up."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from biomarker.reporting import Reporting
from pipelines.report import render_report
from pipelines.report.document import endpoint_pages
from pipelines.report.first_page import answers, whom
from pipelines.report.words import interval_words
from tests.pipelines.report.demo_runs import demo_run
from tests.pipelines.report.runs import small_run


def first(page: str) -> str:
    """The first section in words."""
    section = re.findall(r'<section id="summary">.*?</section>', page, flags=re.S)[0]
    return " ".join(re.sub(r"<[^>]+>", " ", section).split())


def test_without_the_authors_words_the_page_says_that_they_are_missing() -> None:
    """Nothing is guessed of who could enter or what the numbers are for."""
    told = whom(small_run().cohort.study)
    assert [one.heading for one in told] == ["In whom", "For which use"]
    assert not any(one.by_author for one in told)
    assert "does not say who could enter" in told[0].words


def test_the_authors_words_are_printed_as_theirs() -> None:
    """Eligibility, setting, use and what it is not for, marked as the author's."""
    said = Reporting(
        eligibility="Adults with <b>measurable</b> disease", setting="12 centres",
        intended_use="Planning a trial", not_for="Choosing treatment",
    )  # fmt: skip
    run = small_run()
    study = run.cohort.study.model_copy(update={"reporting": said})
    page = render_report(replace(run, cohort=replace(run.cohort, study=study)))
    told = first(page)
    assert "Adults with &lt;b&gt;measurable&lt;/b&gt; disease. 12 centres." in told
    assert "For which use Planning a trial." in told
    assert "Not for Choosing treatment." in told
    assert '<span class="key">Planning a trial.</span>' in page


@pytest.mark.parametrize("name", ["gbsg2", "il2"])
def test_each_answer_leads_to_a_place_and_carries_its_interval(name: str) -> None:
    """Calibration with interval, the leading columns with theirs, or that they are withheld."""
    run = demo_run(name)
    page = render_report(run)
    for one in endpoint_pages(run):
        best = next(m for m in run.models if (m.endpoint, m.name) == (one.name, run.best[one.name]))
        found = answers(run, one)
        for answer in found:
            assert page.count(f'id="{answer.place}"') == 1
        slope = [p for p in best.nested.performance if p.metric == "calibration_slope"][-1]
        assert interval_words(slope.value, slope.low, slope.high) in found[0].words
        if one.explanation.withheld:
            assert found[1].words.startswith("Withheld")
        else:
            label = one.explanation.overview[1].numbers
            assert label is not None
            assert re.search(r"\d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\)", found[1].words)
        assert all(answer.words in " ".join(page.split()) for answer in found[2:])


def test_without_refits_the_page_says_that_the_ranking_was_not_tried() -> None:
    """Limits over patients alone are called that."""
    run = small_run()
    one = endpoint_pages(run)[0]
    assert "No refits were made" in answers(run, one)[1].words
