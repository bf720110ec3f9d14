"""Every page in a real browser with the network blocked: quiet, reachable, printable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.report import render_report
from tests.end_to_end.pages import PAGES, page
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


@pytest.fixture(scope="module", params=PAGES)
def document(request: Any) -> str:
    """A page of each kind: reports of demonstration studies, a pack, a comparison, drift."""
    return page(request.param)


def test_each_page_is_quiet_reachable_and_whole(visit: Any, document: str) -> None:
    """No word, no request, no serious axe finding, every control by keyboard, no cut figure."""
    assert len(document.encode()) < 3_000_000
    found = visit(document, 1280, bypass_csp=True)
    assert (found.console, found.requests) == ([], [])
    assert _tabbed(found.page) == _controls(found.page) > 5
    found.page.evaluate(OPEN)
    assert _serious(found.page) == []
    _assert_prints_whole(found.page)
    phone = visit(document, 390, color_scheme="dark", bypass_csp=True)
    assert (phone.console, phone.requests) == ([], [])
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    phone.page.evaluate(OPEN)
    assert _serious(phone.page) == []


def _serious(opened: Any) -> list[tuple[str, str, str]]:
    """Serious findings of axe, each with the first element it is about."""
    from axe_playwright_python.sync_playwright import Axe

    results = Axe().run(opened).response
    assert {"color-contrast", "heading-order"} <= {rule["id"] for rule in results["passes"]}
    return [
        (v["id"], v["nodes"][0]["html"][:120], v["nodes"][0].get("failureSummary", "")[:300])
        for v in results["violations"]
        if v["impact"] in ("serious", "critical")
    ]


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
def test_axe_finds_no_serious_violation(visit: Any, text: str, scheme: str) -> None:
    """Contrast, names, headings and tables pass in light and in dark, folded parts opened."""
    found = visit(text, 1280, color_scheme=scheme, bypass_csp=True)
    found.page.evaluate(OPEN)
    assert _serious(found.page) == []


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


CONTROLS = (
    "[...document.querySelectorAll('a[href], summary, button, input, [tabindex]')]"
    ".filter(e => e.checkVisibility() && e.tabIndex >= 0)"
)
OPEN = "document.querySelectorAll('details').forEach(d => { d.open = true; })"


def _controls(page: Any) -> int:
    """How many links, folds, buttons, fields and figures there are to reach."""
    return int(page.evaluate(f"{CONTROLS}.length"))


def _tabbed(page: Any) -> int:
    """How many distinct elements the tab key visits in one round."""
    seen = set()
    for _ in range(_controls(page) + 5):
        page.keyboard.press("Tab")
        mark = page.evaluate(
            "(() => { const e = document.activeElement; if (!e || e === document.body) return '';"
            " window.n = (window.n || 0); e.dataset.n = e.dataset.n || String(++window.n);"
            " return e.dataset.n; })()"
        )
        if mark:
            seen.add(mark)
    return len(seen)


def _assert_prints_whole(opened: Any) -> None:
    """Every fold open on paper, every drawing within the sheet and shorter than a page."""
    opened.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert opened.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    opened.emulate_media(media="print")
    opened.set_viewport_size({"width": 680, "height": 960})
    boxes = opened.evaluate(
        "[...document.querySelectorAll('svg.drawing')].map(e => e.getBoundingClientRect())"
        ".map(b => [b.right, b.height])"
    )
    assert max((right for right, _ in boxes), default=0) <= 680
    assert max((height for _, height in boxes), default=0) < 960
    wide = opened.evaluate(
        "[...document.querySelectorAll('table')].filter(e => e.getBoundingClientRect().right > 681)"
        ".map(e => [e.caption.textContent, e.getBoundingClientRect().right])"
    )
    assert wide == []
    kept = opened.evaluate(
        "[...document.querySelectorAll('.drawn')].every(e =>"
        " getComputedStyle(e).breakInside === 'avoid')"
    )
    assert kept
    assert opened.pdf(format="A4", prefer_css_page_size=True).startswith(b"%PDF")
    opened.emulate_media(media="screen")


def test_the_keyboard_reaches_every_control(visit: Any, text: str) -> None:
    """Tabbing through the page visits every link, fold, button, field, figure and wide table."""
    page = visit(text, 390).page
    assert _tabbed(page) == _controls(page) > 20


def test_folded_numbers_are_printed_and_no_figure_is_cut(visit: Any, text: str) -> None:
    """The print view opens every fold and keeps every drawing whole and within the sheet."""
    _assert_prints_whole(visit(text, 1280).page)


SORTED = """() => {
  const body = document.querySelector('.probe tbody');
  return [...body.rows].map(r => r.cells[0].textContent).join('');
}"""


def test_tables_sort_by_number_stably_and_back(visit: Any, text: str) -> None:
    """Numbers by value, intervals by estimate, silence last, ties as they stood, then back."""
    cells = ["0.12 (0.1 to 0.2)", "−3", "1,234", "–", "<0.001", "0.12 (0.0 to 9)", "not reached"]
    rows = "".join(f"<tr><th scope=row>{'abcdefg'[i]}</th><td>{c}</td></tr>"
                   for i, c in enumerate(cells))  # fmt: skip
    probe = (
        "<table class=probe><thead><tr><th scope=col>x</th><th scope=col>y</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></main>"
    )
    page = visit(text.replace("</main>", probe), 1280).page
    button = page.locator(".probe thead button").nth(1)
    header = page.locator(".probe thead th").nth(1)
    found = []
    for _ in range(3):
        button.focus()
        page.keyboard.press("Enter")
        found.append((header.get_attribute("aria-sort"), page.evaluate(SORTED)))
    assert found == [("ascending", "beafcgd"), ("descending", "gcafebd"), (None, "abcdefg")]


def test_levels_travel_with_their_column(visit: Any, text: str) -> None:
    """Sorting Table 1 keeps every set-in row under the column it belongs to."""
    page = visit(text, 1280).page
    table = page.locator("#baseline + .scroll table")
    read = "e => [...e.tBodies[0].rows].map(r => r.cells[0].textContent)"
    table.locator("thead button").first.click()
    table.locator("thead button").first.click()
    names = table.evaluate(read)
    at = names.index("Histology")
    assert names[at + 1 : at + 4] == ["clear", "papillary", "other"]


def test_the_search_filters_counts_and_clears_by_keyboard_alone(visit: Any, text: str) -> None:
    """Typing hides other rows and figures and says how many are left; Escape brings all back."""
    page = visit(text, 1280).page
    page.focus("#search")
    page.keyboard.type("vegf")
    said = page.inner_text("#search-count")
    assert "row" in said
    assert "match" in said
    assert page.locator("table.by-column tbody tr:not(.filtered)").count() > 0
    assert page.locator("table.by-column tbody tr.filtered").count() > 0
    assert page.locator("figure.filtered").count() > 0
    page.keyboard.press("Enter")
    assert page.inner_text("#search-count").startswith("Match 1 of")
    assert page.locator(".hit").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".filtered").count() == 0
    assert page.inner_text("#search-count") == ""
    page.keyboard.type("no such column")
    assert page.inner_text("#search-count") == "Nothing matches."


@pytest.mark.parametrize("figure", ["performance", "beeswarm", "importance"])
def test_a_figure_is_read_by_arrow_keys_and_under_the_pointer(
    visit: Any, text: str, figure: str
) -> None:
    """Arrow keys and hovering show the row of numbers behind each mark; Escape hides it."""
    page = visit(text, 1280).page
    place = f"#endpoint-1-{figure}"
    page.focus(f"{place} .drawn")
    page.keyboard.press("ArrowRight")
    tip = page.inner_text(".tip")
    row = page.locator(f"{place} table tbody tr").first
    assert row.locator("td").nth(1).text_content() in tip
    assert page.locator(f"{place} .lit").count() > 0
    page.keyboard.press("Escape")
    second = page.locator(f"{place} table tbody tr:not(:has(th.inner))").nth(1)
    mark = page.locator(f'{place} [data-row="1"]').last
    # Forced hovering does not wait for the page to stop scrolling.
    mark.evaluate("mark => mark.scrollIntoView({block: 'center', behavior: 'instant'})")
    mark.hover(force=True)
    assert second.locator("td").last.text_content() in page.inner_text(".tip")
    page.keyboard.press("Escape")
    assert not page.locator(".tip").is_visible()


def test_light_and_dark_follow_the_system_until_told_otherwise(visit: Any, text: str) -> None:
    """The page takes the system's scheme; the button overrides it and gives it back."""
    page = visit(text, 1280, color_scheme="dark").page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) == dark
    page.click("#theme")
    light = page.evaluate(ground)
    assert light != dark
    page.click("#theme")
    assert page.evaluate(ground) == dark


def test_without_script_everything_is_there(visit: Any, text: str) -> None:
    """With scripts off the page is whole: no dead control, every table and figure readable."""
    page = visit(text, 1280, java_script_enabled=False).page
    assert not page.locator("#search").is_visible()
    assert not page.locator("#theme").is_visible()
    assert page.locator("svg.drawing").count() > 10
    assert page.locator("table").count() > 10
