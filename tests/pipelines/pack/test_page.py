"""What is prose, what is a value, and where a sentence stands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.pack.page import read_page

PAGE = """
<!doctype html><html><head><title>Trial: report</title><style>p { margin: 12px }</style></head>
<body>
<script>var x = 99;</script>
<h1>Trial</h1>
<section><h2>Performance</h2><p>Index <b>0.68</b> in <code>abc123</code>.</p>
<table><caption>Numbers</caption><thead><tr><th>Metric</th><th>Value</th></tr></thead>
<tbody><tr><th>AUC</th><td>0.68 <span>(0.6 to 0.7)</span></td></tr></tbody></table></section>
<section><h2>Attribution</h2><p>Columns.</p>
<figure><h4>Importance</h4>
<div role="img" aria-label="Bars 0.4."><svg><g><text>0.5</text></g></svg></div>
<figcaption>One point.<br>Two.</figcaption></figure></section>
<section><h2>Methods</h2><p>Cox.</p></section></body></html>
"""


def test_prose_tables_and_drawings_are_told_apart() -> None:
    """Scripts and styles are silent; cells and axis labels are not asked for their numbers."""
    page = read_page(PAGE)
    asked = {p.text for p in page.passages if p.numbers}
    assert "Index 0.68 in ·." in asked
    assert "Bars 0.4." in asked
    assert not any("99" in p.text or "12px" in p.text for p in page.passages)
    unasked = {p.text for p in page.passages if not p.numbers}
    assert unasked == {"Metric | Value", "AUC | 0.68 (0.6 to 0.7)", "0.5"}
    assert page.rows == [["Metric", "Value"], ["AUC", "0.68 (0.6 to 0.7)"]]


def test_a_passage_knows_its_headings_and_whether_it_explains() -> None:
    """Attribution ends with its section."""
    told = {p.text: p for p in read_page(PAGE).passages}
    assert told["Index 0.68 in ·."].where == "Trial › Performance"
    assert not told["Index 0.68 in ·."].attribution
    assert told["0.5"].attribution
    assert told["Bars 0.4."].where == "Trial › Attribution › Importance"
    assert told["AUC | 0.68 (0.6 to 0.7)"].where == "Trial › Performance › Numbers"
    assert not told["Cox."].attribution


@given(st.text(max_size=60), st.sampled_from(["p", "td", "h3", "b", "svg", "li", "/p", "/tr"]))
def test_any_page_can_be_read(text: str, tag: str) -> None:
    """Broken nesting loses order at worst, never the reader."""
    read_page(f"<table><tr><{tag}>{text}</{tag}>")
