"""The stability figure: well formed, themable, and quiet about hostile names."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET

import pytest

from biomarker.figures.drift import MOST_ROWS, stability_bars

ROWS = [("vegf", 0.41, 0.06, True), ("age", 0.03, 0.06, False)]
NS = "{http://www.w3.org/2000/svg}"


def test_a_bar_is_as_long_as_its_index() -> None:
    """Lengths are in proportion; a drifting column has a second mark besides its colour."""
    svg = ET.fromstring(stability_bars(ROWS, (0.1, 0.25)))
    bars = [rect for rect in svg.iter(f"{NS}rect") if "data-row" in rect.attrib]
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths[0] / widths[1] == pytest.approx(0.41 / 0.03, rel=0.01)
    assert len(list(svg.iter(f"{NS}rect"))) == 3
    assert "--fig-series-2" in bars[0].attrib["style"]
    words = [text.text for text in svg.iter(f"{NS}text")]
    assert "moderate, 0.1" in words
    assert "major, 0.25" in words


def test_names_are_text_and_nothing_else() -> None:
    """Markup in a column's name is shown, not obeyed; control characters are covered."""
    svg = stability_bars([("<script>&\u202e", 0.1, 0.1, False)], (0.1, 0.25))
    assert "<script>" not in svg
    assert "\u202e" not in svg
    assert ET.fromstring(svg) is not None


def test_only_the_first_columns_are_drawn() -> None:
    """A file of many columns still gives a small figure; one of none gives an empty one."""
    many = [(f"x{i}", 3.0 / (i + 1), 0.1, False) for i in range(100)]
    svg = ET.fromstring(stability_bars(many, (0.1, 0.25)))
    assert len([r for r in svg.iter(f"{NS}rect") if "data-row" in r.attrib]) == MOST_ROWS
    assert ET.fromstring(stability_bars([], (0.1, 0.25))) is not None
    assert len(stability_bars(many, (0.1, 0.25))) < 20_000


def test_all_marks_lie_inside_the_drawing() -> None:
    """Also where an index is far beyond every mark."""
    svg = ET.fromstring(
        stability_bars([("x", 9.7, 0.2, True), ("y", 0.0, 12.0, False)], (0.1, 0.25))
    )
    width = float(svg.attrib["viewBox"].split()[2])
    for rect in svg.iter(f"{NS}rect"):
        assert 0 <= float(rect.attrib["x"]) <= width - float(rect.attrib["width"])


def test_drawing_loads_no_plotting_library() -> None:
    """A scoring job does not wait for one."""
    import subprocess

    script = (
        "import sys; from biomarker.figures.drift import stability_bars; "
        "stability_bars([('x', 1.0, 1.0, True)], (0.1, 0.25)); "
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
