"""A figure is one SVG element: the same bytes each time, its text safe, its ids its own."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.figures.canvas import INK, SERIES, canvas, dots, markup, plain, thinned


def draw(text: str = "axis", name: str = "one") -> str:
    """A line, a band and a label."""
    with canvas(2.0) as figure:
        axes = figure.add_axes((0.15, 0.2, 0.8, 0.7))
        axes.plot([0, 1, 2], [0.1, 0.2, 0.123456789], color=SERIES[0])
        axes.fill_between([0, 1, 2], [0, 0, 0], [1, 1, 1], color=SERIES[1], alpha=0.2)
        dots(axes, [0.5, 1.5], [0.5, 0.5], SERIES[2])
        axes.set_xlabel(text)
        return markup(figure, name)


def test_the_same_drawing_gives_the_same_bytes_without_a_date() -> None:
    """Two drawings of the same thing are equal and carry neither date nor program name."""
    assert draw() == draw()
    assert "metadata" not in draw()
    assert "matplotlib" not in draw().lower()


def test_it_is_one_scalable_well_formed_element() -> None:
    """The text parses as XML, starts with <svg>, has a view box and no fixed size."""
    root = ET.fromstring(draw())
    assert root.tag.endswith("svg")
    assert "viewBox" in root.attrib
    assert "width" not in root.attrib


def test_ids_carry_the_figures_name_and_every_reference_resolves() -> None:
    """Two figures on one page share no id, and nothing points outside its own figure."""
    first, second = draw(name="one"), draw(name="two")
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', first))
    assert used == ids[0]


def test_colours_are_variables_with_the_printed_colour_as_fallback() -> None:
    """A page may restyle a figure; alone it keeps its own colours."""
    assert f"var(--fig-series-1, {SERIES[0]})" in draw()
    assert f"var(--fig-ink, {INK})" in draw()


def test_nothing_in_a_figure_is_fetched() -> None:
    """No address, style sheet, script or font stands in the drawing."""
    text = draw()
    found = set(re.findall(r'https?://[^"\s]+', text))
    assert found == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"<script|<style|@import|font-family", text)


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=60))
def test_any_text_stays_text(name: str) -> None:
    """Whatever a column is called, the figure parses and shows the cleaned name as one text."""
    root = ET.fromstring(draw(plain(name)))
    shown = {"".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")}
    expected = plain(name)
    if expected.strip():
        assert expected.strip() in {text.strip() for text in shown}


def test_mathematics_in_a_name_is_not_typeset() -> None:
    r"""A dollar sign is a dollar sign, so that $\frac$ in a column name breaks nothing."""
    assert r"$\frac{a}$" in draw(r"$\frac{a}$")


@pytest.mark.parametrize("text", ["\x00", "\x1b[2J", "‮", "\ud800", "a\tb"])
def test_control_and_direction_characters_are_replaced(text: str) -> None:
    """Characters that break XML or turn the reading direction do not get through."""
    assert "\N{REPLACEMENT CHARACTER}" in plain(text)
    assert all(c.isprintable() for c in plain(text))


def test_long_names_are_cut_with_an_ellipsis() -> None:
    """A name longer than its place ends in an ellipsis."""
    assert plain("x" * 100, 10) == "x" * 9 + "…"


def test_a_name_that_is_no_id_is_refused() -> None:
    """The figure's name becomes part of ids, so it must be one."""
    with canvas(1.0) as figure, pytest.raises(ValueError, match="letters, digits and hyphens"):
        markup(figure, 'x" onload="')


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(2, 50))
def test_thinning_keeps_both_extremes_and_the_limit(values: list[float], most: int) -> None:
    """At most the wanted number of points is drawn, smallest and largest among them."""
    array = np.array(values)
    kept = thinned(array, most)
    assert len(kept) == min(len(array), most)
    assert array[kept].min() == array.min()
    assert array[kept].max() == array.max()


def test_settings_of_the_process_are_left_alone() -> None:
    """Drawing changes no global matplotlib setting."""
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw()
    assert dict(matplotlib.rcParams) == before


def test_drawing_never_loads_pyplot_and_importing_never_loads_matplotlib() -> None:
    """The global figure list stays out of it; importing the room costs nothing."""
    code = (
        "import sys, biomarker.figures.survival, biomarker.figures.attribution as room\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from biomarker.figures.canvas import canvas, markup\n"
        "with canvas(1.0) as figure:\n"
        "    figure.text(0.5, 0.5, 'x'); markup(figure, 'a')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
