"""What is drawn is what the result says: curves, counts, dots, bars and their words."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from biomarker import survival_outcome
from biomarker.explain.attribution import Attribution, SourceImportance
from biomarker.explain.by_value import by_value
from biomarker.explain.illustrations import Illustration
from biomarker.figures.attribution import beeswarm, dependence, importance, value_words, waterfall
from biomarker.figures.cohort import missing_shares
from biomarker.figures.performance import Mark, Panel, calibration_plot, interval_panels, number
from biomarker.figures.survival import at_risk, survival_curves
from biomarker.metrics.calibration_measures import response_calibration
from biomarker.survival.curves import at_risk_table, kaplan_meier

LABELS = {"vegf": "VEGF, serum"}


def texts(svg: str) -> list[str]:
    """Every text of a drawing, in order."""
    root = ET.fromstring(svg)
    return ["".join(e.itertext()).strip() for e in root.iter() if e.tag.endswith("text")]


def paths(svg: str, colour: str) -> list[list[tuple[float, float]]]:
    """Corner points of every unfilled path stroked in a colour variable."""
    found = []
    for data, style in re.findall(r'<path d="([^"]+)"[^>]*style="([^"]*)"', svg):
        if f"stroke: var(--fig-{colour}," in style and "fill: none" in style:
            numbers = re.findall(r"-?\d+\.?\d*", data.replace("h0", ""))
            found.append(
                [(float(x), float(y)) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
            )
    return found


def explained(n: int = 60) -> Attribution:
    """An attribution made by hand: one strong, one weak, one categorical column."""
    rng = np.random.default_rng(5)
    columns = np.column_stack([np.exp(rng.normal(5, 1, n)), rng.normal(size=n), np.arange(n) % 3.0])
    columns[4, 0] = np.nan
    values = np.column_stack(
        [0.8 * (np.nan_to_num(np.log(columns[:, 0]), nan=5) - 5), 0.1 * columns[:, 1],
         0.4 * (columns[:, 2] == 1)]
    )  # fmt: skip
    return Attribution(
        sources=("vegf", "age", "histology"),
        values=values,
        base_value=0.25,
        margin=values.sum(axis=1) + 0.25,
        scale="log hazard",
        direction="higher = worse",
        method="by hand",
        columns=columns,
        kinds=("continuous", "continuous", "categorical"),
        levels=((), (), ("clear", "papillary", "other")),
        units=("pg/mL", None, None),
        importance=(
            SourceImportance("vegf", 0.6, 0.5, 0.7, n),
            SourceImportance("histology", 0.13, 0.1, 0.2, n),
            SourceImportance("age", 0.08, 0.06, 0.1, n),
        ),
        correlated=(),
        illustrations=(Illustration("patient A", "low", 1),),
        n_patients=n,
        n_bootstrap=10,
        interval_covers="nothing",
    )


def outcome(n: int = 80, seed: int = 0) -> Any:
    """Exponential times with uniform censoring, some tied."""
    rng = np.random.default_rng(seed)
    time, stop = rng.exponential(10, n), rng.uniform(2, 25, n)
    return survival_outcome(time <= stop, np.ceil(np.minimum(time, stop) * 4) / 4)


def test_a_kaplan_meier_curve_steps_exactly_where_and_as_deep_as_the_estimate() -> None:
    """Read back from the drawing, the corners are the event times and survival values."""
    curve = kaplan_meier(outcome())
    svg = survival_curves({"all": curve}, unit="months", name="km", limit=20.0)
    line = max(paths(svg, "series-1"), key=len)
    # The axes: survival 1 at the first corner, time 0 there; time 20 at the right end.
    box = ET.fromstring(svg).attrib["viewBox"].split()
    left, right = 0.21 * float(box[2]), 0.975 * float(box[2])
    x0, y1 = line[0]
    assert x0 == pytest.approx(left, abs=0.05)
    shown = (curve.n_events > 0) & (curve.times <= 20.0)
    times = np.array([(x - left) / (right - left) * 20.0 for x, _ in line])
    for time in curve.times[shown]:
        assert np.min(np.abs(times - time)) < 0.01
    height = line[-1][1] - y1
    depth = 1 - curve.survival[shown][-1]
    drawn = [(y - y1) / height * depth for _, y in line]
    for survival in curve.survival[shown]:
        assert np.min(np.abs(1 - np.array(drawn) - survival)) < 0.002


def test_at_risk_means_t_or_later_and_is_printed_under_the_ticks() -> None:
    """Counts equal the table of T >= t, on ties and past the end too."""
    y = outcome()
    curve = kaplan_meier(y)
    times = [0.0, 0.25, 5.0, 10.0, float(y["duration"].max()), 99.0]
    np.testing.assert_array_equal(at_risk(curve, times), at_risk_table(y, times))
    svg = survival_curves({"all": curve}, unit="months", name="km", limit=20.0)
    shown = texts(svg)
    for count in at_risk_table(y, [0, 5, 10, 15, 20]):
        assert str(count) in shown
    assert "At risk (T ≥ t)" in shown


def test_many_event_times_are_thinned_without_moving_the_curve() -> None:
    """Ten thousand distinct times draw a small figure that ends at the same survival."""
    rng = np.random.default_rng(1)
    y = survival_outcome(np.ones(10_000), rng.exponential(10, 10_000))
    svg = survival_curves({"all": kaplan_meier(y)}, unit="days", name="km")
    assert len(svg) < 120_000


def test_curves_are_told_apart_without_colour() -> None:
    """Each curve has its own dash pattern and its name in the legend."""
    curves = {f"group {i}": kaplan_meier(outcome(seed=i)) for i in range(3)}
    svg = survival_curves(curves, unit="months", name="km")
    dashes = {
        re.search(r"stroke-dasharray: [^;\"]*", style)
        and re.search(r"stroke-dasharray: [^;\"]*", style).group(0)  # type: ignore[union-attr]
        for style in re.findall(r'style="([^"]*stroke: var\(--fig-series[^"]*)"', svg)
    }
    assert len(dashes) >= 3
    assert all(name in texts(svg) for name in curves)


def test_too_many_curves_are_refused() -> None:
    """More curves than styles is an error, not a repeated colour."""
    curve = kaplan_meier(outcome())
    with pytest.raises(ValueError, match="1 to 6"):
        survival_curves({str(i): curve for i in range(7)}, unit="months", name="km")


def test_performance_prints_every_estimate_with_its_interval() -> None:
    """Numbers stand beside their dots; one without interval stands alone."""
    marks = (Mark("cox", 0.6812, 0.6251, 0.7333, True), Mark("trees", 0.65, None, None))
    shown = texts(interval_panels([Panel("Concordance", "higher", 0.5, marks)], name="p"))
    assert "0.681 (0.625 to 0.733)" in shown
    assert "0.650" in shown
    assert "higher is better" in shown
    assert {"cox", "trees"} <= set(shown)


def test_performance_dots_and_null_line_stand_in_the_order_of_their_values() -> None:
    """The null line lies left of the interval that excludes it, the dot inside the interval."""
    mark = Mark("cox", 0.68, 0.62, 0.74, True)
    svg = interval_panels([Panel("Concordance", "higher", 0.5, (mark,))], name="p")
    (null,) = [p for p in paths(svg, "muted") if len(p) == 2 and p[0][0] == p[1][0]][:1]
    (bar,) = [p for p in paths(svg, "series-1") if len(p) == 2]
    dot = float(re.findall(r'<use [^>]*x="([\d.]+)"[^>]*series-1', svg)[0])
    assert null[0][0] < bar[0][0] < dot < bar[1][0]
    share = (dot - bar[0][0]) / (bar[1][0] - bar[0][0])
    assert share == pytest.approx((0.68 - 0.62) / (0.74 - 0.62), abs=0.01)


def test_numbers_use_a_true_minus_and_say_when_there_is_none() -> None:
    """A missing number is an en dash."""
    assert number(-1.23456) == "−1.235"
    assert number(None) == number(float("nan")) == "–"


def test_calibration_dots_are_the_predicted_and_observed_shares() -> None:
    """The dots drawn are the groups' predicted and observed shares on equal axes."""
    rng = np.random.default_rng(2)
    p = rng.uniform(0.1, 0.9, 600)
    found = response_calibration(rng.random(600) < p, p)
    svg = calibration_plot(found, risk=p, name="c", outcome="response")
    diagonal = next(q for q in paths(svg, "muted") if len(q) == 2 and q[0][0] != q[1][0])
    (x0, y0), (x1, y1) = diagonal
    uses = re.findall(r'<use xlink:href="[^"]+" x="([\d.]+)" y="([\d.]+)"[^>]*fig-ground', svg)
    at = {
        words: float(x)
        for x, words in re.findall(r'text-anchor: middle[^>]* x="([\d.]+)"[^>]*>(\d+%)<', svg)
    }
    end = (x1 - x0) / (at["40%"] - at["20%"]) * 0.2
    dots = [(end * (float(x) - x0) / (x1 - x0), end * (float(y) - y0) / (y1 - y0)) for x, y in uses]
    assert len(dots) == len(found.groups.predicted)
    np.testing.assert_allclose(
        dots, np.column_stack([found.groups.predicted, found.groups.observed]), atol=0.005
    )


def test_a_beeswarm_draws_every_patient_of_every_column() -> None:
    """One round stroke a patient and column, missing ones in their own colour."""
    found = explained()
    svg = beeswarm(found, LABELS, name="b")
    assert svg.count("h0") == found.values.size
    assert "var(--fig-missing" in svg
    assert texts(svg).index("VEGF, serum") < texts(svg).index("age")


def test_a_beeswarm_of_many_patients_stays_small_and_keeps_its_ends() -> None:
    """Twenty thousand patients draw at most 500 points a row; the most extreme stay."""
    found = explained(20_000)
    svg = beeswarm(found, LABELS, name="b")
    assert 3 * 400 < svg.count("h0") <= 3 * 500
    assert len(svg) < 60_000


def test_importance_bars_are_as_long_as_the_values() -> None:
    """Interval ends and values are drawn to one scale, in order of size."""
    found = explained()
    svg = importance(found, LABELS, name="i")
    bars = [p for p in paths(svg, "series-1") if len(p) == 2]
    widths = [p[1][0] - p[0][0] for p in bars]
    expected = [i.high - i.low for i in found.importance]
    np.testing.assert_allclose(np.array(widths) / widths[0], np.array(expected) / expected[0],
                               atol=0.01)  # fmt: skip
    shown = [t for t in texts(svg) if t in ("VEGF, serum", "histology", "age")]
    assert sorted(shown) == ["VEGF, serum", "age", "histology"]


def test_dependence_names_the_unit_and_draws_levels_by_name() -> None:
    """A continuous column shows its unit; a categorical one its levels."""
    found = explained()
    assert "VEGF, serum (pg/mL)" in texts(dependence(found, "vegf", LABELS, name="d"))
    shown = texts(dependence(found, "histology", LABELS, name="d"))
    assert {"clear", "papillary", "other"} <= set(shown)


def test_a_waterfall_adds_up_and_shows_no_measured_value() -> None:
    """Signed shares stand beside the bars; values appear as fifths or levels only."""
    found = explained()
    patient = found.illustrations[0]
    shown = texts(waterfall(found, patient, LABELS, name="w"))
    for j in range(3):
        assert f"{found.values[patient.row, j]:+.2f}".replace("-", "−") in shown
    assert any(text.endswith("fifth") for text in shown)
    raw = found.columns[patient.row, 0]
    assert not any(f"{raw:.{d}f}" in " ".join(shown) for d in (0, 1, 2))


def test_a_waterfall_of_many_columns_sums_the_rest_in_one_bar() -> None:
    """Seven bars and one for all other columns."""
    found = explained()
    names = tuple(f"c{i}" for i in range(12))
    wide = replace(
        found,
        sources=names,
        values=np.tile(np.linspace(0.9, -0.2, 12), (60, 1)),
        columns=np.zeros((60, 12)),
        levels=((),) * 12,
    )
    shown = texts(waterfall(wide, Illustration("patient A", "low", 0), {}, name="w"))
    assert "5 other columns" in shown


def test_a_patients_value_is_said_as_fifth_level_or_missing() -> None:
    """The words follow the rank of the value among the patients explained."""
    found = explained()
    order = np.argsort(np.where(np.isnan(found.columns[:, 0]), np.inf, found.columns[:, 0]))
    assert value_words(found, 0, int(order[0])) == "lowest fifth"
    assert value_words(found, 0, int(order[-2])) == "highest fifth"
    assert value_words(found, 0, 4) == "missing"
    assert value_words(found, 2, 1) == "papillary"


def test_missing_shares_name_columns_and_groups() -> None:
    """Both outcome groups and every column are named."""
    shown = texts(missing_shares([("VEGF", 0.2, 0.1)], ("responders", "non-responders"), name="m"))
    assert {"VEGF", "responders", "non-responders", "missing (%)"} <= set(shown)


@pytest.mark.parametrize(
    "payload",
    [
        "<script>alert(1)</script>",
        '"><a href="x">',
        "</text></svg><p>",
        "&amp;&#60;b>",
        "<!-- x -->",
        "]]><b>",
        'x" onload="a',
    ],
)
def test_markup_in_a_name_stays_text_in_every_drawing(payload: str) -> None:
    """A hostile label adds no element and no attribute to any figure."""
    found = replace(
        explained(), levels=((), (), (payload, "papillary", "other")), units=(payload,) * 3
    )
    panel = Panel(payload, "higher", 0.5, (Mark(payload, 0.6, 0.5, 0.7, True),))
    curve = kaplan_meier(outcome())

    def drawings(name: str) -> list[str]:
        words = {"vegf": name, "histology": name}
        return [
            importance(found, words, name="i"),
            beeswarm(found, words, name="b"),
            dependence(found, "vegf", words, name="d"),
            dependence(found, "histology", words, name="e"),
            waterfall(found, found.illustrations[0], words, name="w"),
            interval_panels([panel], name="p"),
            survival_curves({name: curve}, unit=name, name="k"),
            missing_shares([(name, 0.1, 0.2)], (name, "b"), name="m"),
        ]

    def names(svg: str) -> set[str]:
        parts = list(ET.fromstring(svg).iter())
        return {str(e.tag) for e in parts} | {a for e in parts for a in e.attrib}

    for hostile, calm in zip(drawings(payload), drawings("calm"), strict=True):
        # A name on two lines is placed by a transform, where a short one has x and y.
        assert names(hostile) <= names(calm) | {"transform"}


def test_no_exact_value_and_no_row_can_be_read_out_of_a_drawing() -> None:
    """Points stand at cell centres, sorted by place: no value and no patient's row is kept."""
    import re

    from biomarker.figures.canvas import CELLS, canvas, dots, markup

    rng = np.random.default_rng(4)
    x, y = rng.lognormal(6.0, 0.8, 200), rng.normal(size=200)

    def drawn(order: np.ndarray) -> list[tuple[float, float]]:
        with canvas(3.0) as figure:
            axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
            dots(axes, x[order], y[order], "#000000")
            axes.set_xlim(0.0, x.max())
            axes.set_ylim(y.min(), y.max())
            text = markup(figure, "d")
        return [
            (float(a), float(b)) for a, b in re.findall(r"M ?(-?[\d.]+)[ ,](-?[\d.]+) ?h0", text)
        ]

    points = drawn(np.arange(200))
    assert len(points) > 150
    assert points == drawn(rng.permutation(200))
    assert [a for a, _ in points] == sorted(a for a, _ in points)
    # As many distinct places as cells, not as patients.
    assert len({a for a, _ in points}) < CELLS


def marked(svg: str) -> list[int]:
    """Rows of the numbers that the drawing's marks stand for, each once."""
    return sorted({int(row) for row in re.findall(r'data-row="(\d+)"', svg)})


def test_every_row_of_an_importance_figure_leads_to_its_numbers() -> None:
    """Each column's row in beeswarm, bars and waterfall carries the row it stands for."""
    found = explained()
    assert marked(beeswarm(found, LABELS, name="b")) == [0, 1, 2]
    assert marked(importance(found, LABELS, name="i")) == [0, 1, 2]
    assert marked(waterfall(found, found.illustrations[0], LABELS, name="w")) == [0, 1, 2]


@pytest.mark.parametrize("source", ["vegf", "histology"])
def test_dependence_draws_each_groups_mean_at_its_height(source: str) -> None:
    """Bars rise and fall as the means do; a missing group has a row and no bar."""
    found = explained()
    groups = by_value(found, source, rng=np.random.default_rng(0))
    svg = dependence(found, source, LABELS, groups, name="d")
    shown = [i for i, g in enumerate(groups) if g.label != "missing" and g.mean is not None]
    assert marked(svg) == shown
    heights = {}
    for row, part in re.findall(r'<g data-row="(\d+)">(.*?)</g>', svg, flags=re.S):
        if "stroke: var(--fig-ink" in part:
            y = re.findall(r"-?\d+\.?\d*", re.findall(r' d="([^"]+)"', part)[0])[1]
            heights[int(row)] = float(y)
    means = [groups[row].mean for row in shown]
    assert sorted(shown, key=lambda row: -heights[row]) == [
        shown[k] for k in np.argsort(means, kind="stable")
    ]


def test_a_patients_point_never_leads_to_a_row() -> None:
    """Marks tied to numbers are means, names and strips, not points."""
    svg = beeswarm(explained(), LABELS, name="b")
    for part in re.findall(r'<g data-row="\d+">(.*?)</g>', svg, flags=re.S):
        assert "h0" not in part
