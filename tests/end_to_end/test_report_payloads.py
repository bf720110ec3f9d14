"""Sixty hostile names in columns, ids, categories and titles: shown as text, obeyed nowhere."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker import Cohort, Study
from pipelines.report import render_evidence, render_report
from pipelines.results import StudyRun
from pipelines.summary import summarise
from tests.pipelines.report.payloads import PAYLOADS
from tests.pipelines.report.runs import model_run, small_run

pytestmark = pytest.mark.browser

# Kinds of element no report has; a payload that got through would make one.
STRANGE = (
    "img, iframe, object, embed, video, audio, source, form, base, select, textarea, marquee, "
    "dialog, math, animate, set, foreignObject, custom-tag, noscript, "
    "a[href]:not([href^='#']), link:not([rel=icon])"
)
_ROWS = 240


def clean(name: str) -> str:
    """A name a column may bear: TOML and the cohort take it as it is."""
    return json.dumps(name)


def _study() -> Study:
    """Every payload is the name of a column, and a level of one categorical column."""
    columns = "".join(
        f'[columns.{clean(name)}]\nrole = "covariate"\nkind = "continuous"\n' for name in PAYLOADS
    )
    levels = ", ".join(map(clean, PAYLOADS))
    return Study.from_toml(
        f"""
format_version = 1
name = "hostile"
title = {clean(" ".join(PAYLOADS))}
[columns.pid]
role = "id"
[columns.arm]
role = "arm"
levels = [{clean(PAYLOADS[0])}, {clean(PAYLOADS[6])}]
control = {clean(PAYLOADS[0])}
randomised = true
[columns.kind]
role = "covariate"
kind = "categorical"
label = {clean(PAYLOADS[41])}
levels = [{levels}]
{columns}
[columns.t]
role = "endpoint"
[columns.d]
role = "endpoint"
[endpoints.os]
type = "survival"
label = {clean(PAYLOADS[28])}
duration = "t"
event = "d"
event_values = ["1"]
censored_values = ["0"]
unit = "months"
horizons = [12]
"""
    )


@functools.cache
def hostile_run() -> StudyRun:
    """A trained run whose every column, level and patient id is a payload."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=(_ROWS, len(PAYLOADS)))
    # Strong, so that attribution is not withheld and its figures are drawn too.
    time = rng.exponential(14 * np.exp(-values[:, :8].sum(axis=1)))
    censored = rng.uniform(6, 40, _ROWS)
    frame = pd.DataFrame({name: [f"{v:.3f}" for v in values[:, i]]
                          for i, name in enumerate(PAYLOADS)})  # fmt: skip
    frame["pid"] = [f"{PAYLOADS[i % 60]} {i}" for i in range(_ROWS)]
    frame["arm"] = np.array([PAYLOADS[0], PAYLOADS[6]], dtype=object)[rng.integers(0, 2, _ROWS)]
    frame["kind"] = np.array(PAYLOADS, dtype=object)[np.arange(_ROWS) % 60]
    frame["t"] = [f"{max(v, 0.05):.3f}" for v in np.minimum(time, censored)]
    frame["d"] = np.where(time <= censored, "1", "0")
    frame.loc[rng.random(_ROWS) < 0.1, list(PAYLOADS[:3])] = ""
    cohort = Cohort.from_frame(frame, _study())
    small = small_run()
    model = model_run(cohort, "os", "cox")
    return replace(
        small,
        cohort=cohort,
        summary=summarise(cohort),
        models=(model,),
        best={"os": "cox"},
        time_plans={"os": small.time_plans["os"]},
        limits=PAYLOADS,
        software=dict.fromkeys(PAYLOADS, PAYLOADS[0]),
        source_name=PAYLOADS[5],
    )


@pytest.fixture(scope="module")
def unguarded(browser: Any) -> Iterator[Any]:
    """A page whose policy is switched off: here a payload that got through would run."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    page = context.new_page()
    page.said = []
    page.on("dialog", lambda dialog: (page.said.append("dialog"), dialog.dismiss()))
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    # Nothing may be asked for: the document itself is set, not fetched.
    context.route("**/*", lambda route: (page.said.append(route.request.url), route.abort()))
    yield page
    context.close()


def _load(page: Any, text: str) -> None:
    page.said.clear()
    page.goto("about:blank")
    page.set_content(text, wait_until="load")


def _assert_inert(page: Any) -> None:
    """Nothing ran, nothing was asked for, no element or handler is there that should not be."""
    assert page.evaluate("window.__hit") is None
    assert page.said == []
    assert page.evaluate(f"document.querySelectorAll({STRANGE!r}).length") == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("document.querySelectorAll('style').length") == 1
    handlers = (
        "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])"
        ".filter(a => /^on/i.test(a.name) || a.name === 'autofocus' || a.name === 'srcdoc').length"
    )
    assert page.evaluate(handlers) == 0


def test_a_payload_that_got_through_would_be_noticed(unguarded: Any) -> None:
    """The same page with a payload left unescaped runs it: the other tests here can fail."""
    text = render_report(small_run())
    _load(unguarded, text.replace("</main>", f"{PAYLOADS[5]}</main>"))
    unguarded.wait_for_function("window.__hit === 1", timeout=5000)
    assert unguarded.evaluate(f"document.querySelectorAll({STRANGE!r}).length") > 0


def test_sixty_payloads_in_columns_levels_and_ids_do_nothing(unguarded: Any) -> None:
    """Loaded, sorted, searched and read by arrow keys, a page full of payloads stays still."""
    assert len(set(PAYLOADS)) == 60
    run = hostile_run()
    text = render_report(run)
    assert not [pid for pid in run.cohort.ids if f">{pid}<" in text]
    _load(unguarded, text)
    _assert_inert(unguarded)
    unguarded.evaluate(
        "document.querySelectorAll('details').forEach(d => { d.open = true; });"
        "document.querySelectorAll('thead button').forEach(b => { b.click(); b.click(); });"
    )
    unguarded.fill("#search", PAYLOADS[5])
    unguarded.keyboard.press("Enter")
    unguarded.keyboard.press("Escape")
    for drawn in unguarded.query_selector_all(".drawn[tabindex]"):
        drawn.focus()
        unguarded.keyboard.press("ArrowRight")
        unguarded.keyboard.press("ArrowLeft")
    _assert_inert(unguarded)
    shown = " ".join(unguarded.inner_text("main").split())
    for payload in PAYLOADS:
        if payload.isprintable():
            assert " ".join(payload.split()) in shown


def test_sixty_payloads_in_the_title_do_nothing(unguarded: Any) -> None:
    """As study title, file name and reason of a refusal every payload is text."""
    from pipelines.evidence_results import Evidence

    cohort = small_run().cohort
    for payload in PAYLOADS:
        study = cohort.study.model_copy(update={"title": payload})
        alone = Evidence(replace(cohort, study=study), None, 0.05, 0, refused=payload)
        _load(unguarded, render_evidence(alone, payload, "2026-11-22"))
        _assert_inert(unguarded)
        if payload.isprintable():
            assert " ".join(unguarded.inner_text("h1").split()) == " ".join(payload.split())
