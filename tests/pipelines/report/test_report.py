"""The report: complete, byte-stable, escaped, small, and careful with its words."""

from __future__ import annotations

import hashlib
import html.parser
import re
from base64 import b64encode
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from biomarker.explain.by_value import by_value
from biomarker.figures.caution import PLOT_CAUTION
from biomarker.figures.performance import number
from pipelines.report import render_report, report_figures
from pipelines.report.words import amount, interval_words, percent, significant, time_words
from tests.pipelines.report.demo_runs import demo_run
from tests.pipelines.report.runs import HORIZON, assessed_run, small_run

VOID = {"meta", "link", "br", "hr", "img", "input"}

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- <script>alert(1)</script> -->",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    'x" onmouseover="alert(1)',
    "$\\frac{1}{0}$ <b>bold</b>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "a;background:url(https://example.com/x)",
]


class Reader(html.parser.HTMLParser):
    """Collects tags with their attributes, visible text, headings and nesting faults."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Note the tag and remember that it is open."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """Note a tag that closes itself."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost open tag, or note that another was closed."""
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        """Keep what a reader sees."""
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        """Visible text and alternative texts in one line."""
        said = [a["aria-label"] or "" for _, a in self.tags if "aria-label" in a]
        return " ".join(" ".join(self.words + said).split())


@pytest.fixture(scope="module")
def page() -> str:
    """The report of the small run, evidence included."""
    return render_report(assessed_run())


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    """The same, parsed."""
    return Reader(page)


def test_the_same_run_gives_the_same_bytes(page: str) -> None:
    """Nothing of the clock, the machine or what was drawn before enters the page."""
    assert render_report(replace(assessed_run())) == page


def test_tags_are_closed_in_order(read: Reader) -> None:
    """Every element closes what it opened, the drawings included."""
    assert read.faults == []
    assert read.open == []


def test_the_page_needs_no_network(page: str, read: Reader) -> None:
    """No tag fetches anything and the policy in force allows no request."""
    policy = next(a["content"] for t, a in read.tags if a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "form-action 'none'" in policy
    assert not [t for t, _ in read.tags if t in ("iframe", "object", "embed", "form", "base")]
    for tag, attributes in read.tags:
        assert "src" not in attributes, tag
        href = attributes.get("href") or attributes.get("xlink:href") or "#"
        assert href.startswith("#") or href == "data:,", href
        assert not [name for name in attributes if name.startswith("on")], tag
    assert set(re.findall(r"url\(([^)#]{0,9})", page)) <= {""}
    assert "@import" not in page


def test_only_the_pages_own_script_may_run(page: str, read: Reader) -> None:
    """The policy names the hash of the one script, so that an injected one stays dead."""
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.S)
    assert len(scripts) == 1
    digest = b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(a["content"] for _, a in read.tags if a.get("http-equiv"))
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy


def test_a_typical_report_is_under_three_megabytes() -> None:
    """Two thousand patients do not make the page larger than a reader can mail."""
    assert len(render_report(small_run(n=2000)).encode()) < 3_000_000


def test_no_id_and_no_row_of_the_file_is_on_the_page(page: str) -> None:
    """No patient id appears, and no patient's pair of exact values."""
    run = small_run()
    assert not [i for i in run.cohort.ids if i in page]
    vegf, age = run.cohort.columns["vegf"].values, run.cohort.columns["age"].values
    both = [f"{v:.3f}" in page and f"{a:.1f}" in page for v, a in zip(vegf, age, strict=True)]
    assert not any(both)


def test_every_estimate_is_printed_with_its_interval_and_its_patients(read: Reader) -> None:
    """Each number of each model stands on the page as the result object has it."""
    for model in small_run().models:
        for found in model.nested.performance:
            if found.value is not None:
                words = interval_words(found.value, found.low, found.high)
                assert words in read.text, (model.name, found.metric)
        assert f"Out-of-fold performance in {model.nested.n_patients:,} patients" in read.text
        for found in model.nested.performance:
            assert found.low is None or found.covers in read.text


def test_the_summary_states_question_data_performance_and_limits(page: str) -> None:
    """One can stop after the first section and know the headline."""
    run = small_run()
    first = Reader(page[page.index('<section id="summary">') : page.index('<section id="cohort">')])
    main = next(p for p in run.models[0].nested.performance if p.metric == "uno_concordance_index")
    assert f"{main.value:.3f}" in first.text
    assert f"95%: {main.low:.3f} to {main.high:.3f}" in first.text
    assert "A model that ignores the patient scores 0.50" in first.text
    assert "120" in first.text
    for limit in run.limits[:3]:
        assert limit in first.text


def test_the_flow_counts_every_row_and_reason(read: Reader) -> None:
    """Rows read, left out with reasons, and analysed are all said, by arm too."""
    summary = small_run().summary
    assert f"{summary.n_rows} rows read" in read.text
    for endpoint in summary.endpoints:
        for reason, count in endpoint.excluded.items():
            assert f"{count} {reason}" in read.text
        assert f"{endpoint.n_patients} analysed, {endpoint.n_events}" in read.text


def test_table_one_holds_the_cohorts_own_medians_and_counts(read: Reader) -> None:
    """Median, quartiles, level counts and missing values are those of the file."""
    cohort = small_run().cohort
    values = cohort.columns["age"].values
    low, middle, high = (significant(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    assert f"{middle} ({low} to {high})" in read.text
    papillary = int((cohort.columns["histology"].values == 1).sum())
    assert f"{papillary} ({percent(papillary, 120)})" in read.text
    missing = int(np.isnan(cohort.columns["vegf"].values).sum())
    assert f"{missing} ({percent(missing, 120)})" in read.text


def test_follow_up_is_the_reverse_kaplan_meier_median_by_arm(read: Reader) -> None:
    """Follow-up of each arm is printed with its interval."""
    from biomarker.survival.curves import reverse_kaplan_meier

    run = small_run()
    outcome, treated = run.cohort.outcomes["os"], run.cohort.treated
    assert treated is not None
    for mask in (treated, ~treated):
        median = reverse_kaplan_meier(outcome.y[mask[outcome.included]]).median
        words = f"{amount(median.value)} ({amount(median.low)} to {amount(median.high)})"
        assert words in read.text


def test_every_figure_has_words_and_every_table_scoped_headers(read: Reader) -> None:
    """A screen reader is told what each drawing shows and which header a cell belongs to."""
    drawn = [a for t, a in read.tags if a.get("role") == "img"]
    assert drawn
    assert all(len(a.get("aria-label") or "") > 40 for a in drawn)
    assert all(a.get("scope") in ("row", "col") for t, a in read.tags if t == "th")
    assert dict(read.tags)["html"] == {"lang": "en"}
    hidden = [a for t, a in read.tags if t == "svg"]
    assert all(a.get("aria-hidden") == "true" for a in hidden)


def test_every_figure_of_a_real_report_has_its_numbers_and_each_mark_a_row_of_them() -> None:
    """One click away stands a table, and every mark tied to a row finds it; no figure is spared."""
    found = {}
    for name in ("gbsg2", "il2"):
        page = render_report(demo_run(name))
        for figure in re.findall(r"<figure .*?</figure>", page, flags=re.S):
            key = (name, re.findall(r' id="([^"]+)"', figure)[0])
            fold = re.findall(r"<details>.*?</details>", figure, flags=re.S)
            assert len(fold) == 1, key
            rows = re.findall(r"<tr>(.*?)</tr>", fold[0].split("<tbody>", 1)[1], flags=re.S)
            own = [row for row in rows if 'class="inner"' not in row]
            marks = {int(row) for row in re.findall(r'data-row="(\d+)"', figure)}
            assert marks, key
            assert max(marks) < len(own), key
            found[key] = rows
    assert {key.rsplit("-", 1)[0] for _, key in found} >= {
        "endpoint-1-dependence", "endpoint-1-patient", "evidence-1-curve", "endpoint-1-stability"
    }  # fmt: skip
    assert ("gbsg2", "endpoint-1-beeswarm") in found


def test_a_beeswarms_table_holds_each_columns_means_by_fifth_or_level() -> None:
    """As by_value gives them, with the number of patients; a level under its own name."""
    run = demo_run("gbsg2")
    attribution = next(m.attribution for m in run.models if m.name == run.best["rfs"])
    page = render_report(run)
    figure = re.findall(r'<figure id="endpoint-1-beeswarm".*?</figure>', page, flags=re.S)[0]
    said = [
        [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", figure.split("<tbody>", 1)[1], flags=re.S)
    ]
    at = 0
    for item in attribution.importance:
        assert said[at][2:] == [number(item.value), f"{len(attribution.values)}"]
        at += 1
        for group in by_value(attribution, item.source):
            mean = number(group.mean).lstrip("−")
            assert said[at][0] == group.label
            assert said[at][1].lstrip("+−") == mean
            assert said[at][3] == f"{group.n_rows}"
            at += 1
    assert at == len(said)


def test_headings_never_skip_a_level_and_ids_are_unique(read: Reader) -> None:
    """The outline is whole and every id stands once; every link has a target."""
    levels = [int(t[1]) for t, _ in read.tags if re.fullmatch(r"h[1-6]", t)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    ids = [a["id"] for _, a in read.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for t, a in read.tags if t == "a" and a.get("href")}  # type: ignore[index]
    assert targets <= set(ids)


def test_the_caution_stands_under_every_group_of_attribution_figures() -> None:
    """Overview, dependence, patients and other models each carry the fixed words."""
    page = render_report(small_run(strength=1.3))  # where every model beats chance
    assert page.count("Attribution describes this model, not biology and not treatment") >= 8


FORBIDDEN = (
    r"\bpredictive\b",
    r"\bvalidated\b",
    r"\bcaus(?:e|es|ed|al|ally|ing)\b",
    r"\bdrivers?\b|\bdrives?\b|\bdriven\b",
    r"\bdue to\b|\bleads? to\b|\bresults? in\b|\bresponsible for\b",
    r"\b(?:improves?|worsens?|prolongs?|shortens?) (?:survival|response|outcome)",
    r"\beffects? of (?:VEGF|Histology|age)\b",
    r"\bimpacts?\b|\binfluences?\b",
    r"\bsignificant(?:ly)?\b",
    r"\bprotective\b|\brisk factors?\b",
)


def without_evidence(page: str) -> str:
    """The page without the parts whose verdicts have paid for their words."""
    page = re.sub(r'<section id="evidence">.*?</section>', "", page, flags=re.S)
    return re.sub(r'<article class="card found".*?</article>', "", page, flags=re.S)


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_no_causal_or_unearned_word_is_on_the_page(page: str, pattern: str) -> None:
    """No causal verb, no claim about the treatment outside the evidence section."""
    for text in (page, render_report(small_run())):
        # The one sentence that denies what it names.
        said = Reader(without_evidence(text)).text.replace(PLOT_CAUTION, "")
        found = re.search(pattern, said, flags=re.I)
        assert found is None, said[max(0, found.start() - 60) : found.end() + 60] if found else ""


def test_the_wording_lint_can_fail() -> None:
    """The patterns do find the sentences they are there to forbid."""
    sentence = "VEGF is a predictive marker that drives and causes progression"
    assert sum(bool(re.search(p, sentence, flags=re.I)) for p in FORBIDDEN) == 3


def test_the_reader_is_told_where_interactions_are_asked_or_that_they_are_not(read: Reader) -> None:
    """With evidence the limits point to it; without, they say it is not here."""
    assert "is asked under evidence , marker by marker" in read.text
    said = Reader(render_report(small_run())).text
    assert "Whether a treatment works better for some patients" in said
    assert "not assessed in this report" in said


def test_attribution_is_withheld_when_performance_reaches_chance() -> None:
    """Without signal the attribution figures are absent and the page says why."""
    run = small_run(strength=0.0)
    chance = [
        next(
            p for p in model.nested.performance if p.metric in ("uno_concordance_index", "roc_auc")
        )
        for model in run.models
        if run.best[model.endpoint] == model.name
    ]
    assert all(p.low is not None and p.low <= 0.5 for p in chance)
    text = render_report(run)
    assert text.count("Withheld: out of fold") == len(chance)
    assert 'id="endpoint-1-beeswarm"' not in text
    assert 'id="endpoint-1-beeswarm"' in render_report(small_run())


def test_a_model_beside_the_kept_one_shows_attributions_only_above_chance() -> None:
    """Other models are held to the same rule as the one kept."""
    run = small_run(strength=1.3)
    other = next(m for m in run.models if run.best[m.endpoint] != m.name)
    shown = f"Mean absolute attribution: {other.name}"
    assert shown in render_report(run)
    poor = tuple(
        replace(p, low=0.4) if p.metric in ("uno_concordance_index", "roc_auc") else p
        for p in other.nested.performance
    )
    dulled = replace(other, nested=replace(other.nested, performance=poor))
    models = tuple(dulled if m is other else m for m in run.models)
    text = render_report(replace(run, models=models))
    assert shown not in text
    assert f"Importance is withheld for {other.name}: out of fold" in text


def test_rows_are_not_called_patients_where_a_patient_has_several(read: Reader) -> None:
    """Counts of rows say so, and the limits say what that does to the bands."""
    run = small_run()
    summary = replace(run.summary, n_patients=run.summary.n_rows - 20)
    said = Reader(render_report(replace(run, summary=summary))).text
    assert re.search(r"At risk at t: rows with T ≥ t", said)
    assert not re.search(r"\d patients, \d+ (events|responses)", said)
    assert re.search(r"\d patients, \d+ events", read.text)


def test_what_could_not_be_estimated_is_said_and_not_drawn() -> None:
    """Without a single estimate the page stands, gives the reason and shows no attribution."""
    run = small_run()
    models = []
    for model in run.models:
        none = tuple(
            replace(p, value=None, low=None, high=None, reason="too few events", covers="")
            for p in model.nested.performance
        )
        models.append(replace(model, nested=replace(model.nested, performance=none)))
    text = render_report(replace(run, models=tuple(models)))
    found = Reader(text)
    assert found.faults == []
    assert "too few events" in found.text
    assert "not estimable" in found.text
    assert "It could not be estimated from these data." in found.text
    assert 'id="endpoint-1-beeswarm"' not in text


def test_hostile_names_stay_text(read: Reader) -> None:
    """In titles, columns, labels, levels, limits and versions markup is shown, never obeyed."""
    names = ("title", "marker", "label", "level", "endpoint")
    run = assessed_run(**dict(zip(names, HOSTILE, strict=False)))
    run = replace(
        run,
        source_name=HOSTILE[5],
        limits=tuple(HOSTILE),
        software=dict.fromkeys(HOSTILE, HOSTILE[6]),
    )
    text = render_report(run)
    found = Reader(text)
    assert found.faults == []
    assert len(re.findall(r"<script", text)) == 1
    attributes = {name for _, a in found.tags for name in a}
    assert attributes <= {name for _, a in read.tags for name in a}
    assert {t for t, _ in found.tags} <= {t for t, _ in read.tags}
    for payload in HOSTILE:
        assert " ".join(payload.split()) in found.text


def test_control_characters_in_names_are_made_visible() -> None:
    """A reversed reading direction or an escape sequence does not reach the page."""
    text = render_report(replace(small_run(), source_name="a‮b\x1b[2J.csv"))
    assert "‮" not in text
    assert "\x1b" not in text


def test_figures_for_the_store_stand_alone_under_speaking_names() -> None:
    """Every drawing of the page is offered by name, one <svg> element each."""
    found = report_figures(small_run())
    assert {"os-km-risk", "os-km-arm", "os-beeswarm", "os-importance", "os-performance",
            "os-calibration-0", "response-calibration-0", "os-patient-0"} <= set(found)  # fmt: skip
    assert all(svg.startswith("<svg ") and svg.endswith("</svg>") for svg in found.values())


def test_horizons_settings_and_hashes_are_on_the_page(read: Reader) -> None:
    """Methods come from the run's own settings; the data can be checked by digest."""
    run = small_run()
    assert time_words(HORIZON, "months") in read.text
    assert run.summary.dataset_digest in read.text
    assert run.summary.study_digest in read.text
    assert "1 × 3-fold cross-validation" in read.text
    assert run.time_plans["os"].notes[0] in read.text


def test_a_run_without_arms_has_no_arm_curves() -> None:
    """Without an arm column nothing is said by arm."""
    run = small_run()
    cohort = run.cohort
    columns = {k: v for k, v in cohort.columns.items() if k != "arm"}
    alone = replace(cohort, columns=columns)
    from pipelines.summary import summarise

    text = render_report(replace(run, cohort=alone, summary=summarise(alone)))
    assert "km-risk" in text
    assert "km-arm" not in text


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0"), (1095.0, "1,095"), (23.562, "23.6"), (float("inf"), "not reached"),
     (0.05, "0.05"), (-1.5, "−1.5")],
)  # fmt: skip
def test_times_are_printed_at_three_digits(value: float, words: str) -> None:
    """A time is rounded to what it can carry; infinity is said in words."""
    assert amount(value) == words
