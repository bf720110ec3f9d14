"""The report in a real browser with the network blocked: quiet, reachable, printable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.report import render_report
from tests.pipelines.report.runs import assessed_run

pytestmark = pytest.mark.browser

PAYLOAD = '"><img src=x onerror=window.hit=1><script>window.hit=1</script><svg onload=window.hit=1>'


@dataclass
class Visit:
    """An open page and everything it said or asked for."""

    page: Any
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open a document from disk at a width; every request but the file itself is refused."""
    contexts = []

    def open_at(text: str, width: int, **options: Any) -> Visit:
        file = tmp_path / "report.html"
        file.write_text(text, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        found = Visit(context.new_page())
        found.page.on("console", lambda message: found.console.append(message.text))
        found.page.on("pageerror", lambda error: found.console.append(str(error)))

        def judge(route: Any) -> None:
            if route.request.url == file.as_uri():
                route.continue_()
            else:
                found.requests.append(route.request.url)
                route.abort()

        context.route("**/*", judge)
        found.page.goto(file.as_uri(), wait_until="load")
        return found

    yield open_at
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def text() -> str:
    """The report of the small run, evidence included."""
    return render_report(assessed_run())


@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_without_a_word_on_the_console_and_without_a_request(
    visit: Any, text: str, width: int
) -> None:
    """Opened from disk the page says nothing to the console and asks for nothing."""
    found = visit(text, width)
    assert found.console == []
    assert found.requests == []
    assert found.page.evaluate("document.documentElement.className") == "js"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_never_scrolls_sideways(visit: Any, text: str, width: int) -> None:
    """Wide tables scroll in their own box; the page itself fits the screen."""
    found = visit(text, width)
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(browser: Any, visit: Any, text: str, scheme: str) -> None:
    """Contrast, names, headings and tables pass in light and in dark, folded parts opened."""
    from axe_playwright_python.sync_playwright import Axe

    found = visit(text, 1280, color_scheme=scheme, bypass_csp=True)
    found.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    results = Axe().run(found.page).response
    assert {"color-contrast", "heading-order"} <= {rule["id"] for rule in results["passes"]}
    serious = [
        (v["id"], v["nodes"][0]["html"][:120], v["nodes"][0].get("failureSummary", "")[:300])
        for v in results["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_markup_in_names_executes_nothing(visit: Any) -> None:
    """A payload in title, column, label, level, endpoint and file name stays text."""
    from dataclasses import replace

    run = assessed_run(
        title=PAYLOAD, marker=f"m{PAYLOAD}", label=PAYLOAD, level=PAYLOAD, endpoint=PAYLOAD
    )
    found = visit(render_report(replace(run, source_name=PAYLOAD)), 1280)
    assert found.page.evaluate("window.hit") is None
    assert found.console == []
    assert found.requests == []


def test_the_policy_stops_a_script_and_an_image_that_got_in(visit: Any, text: str) -> None:
    """Were something injected after all, the page's own policy would not run or fetch it."""
    evil = "<script>window.hit=1</script><img alt='' src='https://example.com/x.png'></main>"
    found = visit(text.replace("</main>", evil), 1280)
    assert found.page.evaluate("window.hit") is None
    assert found.requests == []
    assert any("Content Security Policy" in line for line in found.console)


def test_the_keyboard_reaches_every_control(visit: Any, text: str) -> None:
    """Tabbing through the page visits every link, fold and wide table."""
    found = visit(text, 390)
    wanted = found.page.evaluate(
        "[...document.querySelectorAll('a[href], summary, .scroll[tabindex]')]"
        ".filter(e => e.checkVisibility()).length"
    )
    seen = set()
    for _ in range(wanted + 5):
        found.page.keyboard.press("Tab")
        mark = found.page.evaluate(
            "(() => { const e = document.activeElement; if (!e || e === document.body) return '';"
            " window.n = (window.n || 0); e.dataset.n = e.dataset.n || String(++window.n);"
            " return e.dataset.n; })()"
        )
        if mark:
            seen.add(mark)
    assert wanted > 20
    assert len(seen) == wanted


def test_folded_numbers_are_printed_and_no_figure_is_cut(visit: Any, text: str) -> None:
    """The print view opens every fold and keeps every drawing within the sheet."""
    found = visit(text, 1280)
    found.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert found.page.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    found.page.emulate_media(media="print")
    found.page.set_viewport_size({"width": 680, "height": 960})
    widest = found.page.evaluate(
        "Math.max(...[...document.querySelectorAll('svg.drawing')]"
        ".map(e => e.getBoundingClientRect().right))"
    )
    assert widest <= 680
    pdf = found.page.pdf(format="A4", prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
