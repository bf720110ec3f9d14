"""A scored file's drift as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Iterator

from biomarker.features.support import ColumnSupport
from biomarker.figures.drift import MOST_ROWS, stability_bars
from biomarker.metrics.drift import Check, Drift
from pipelines.bundle import Bundle
from pipelines.drift_words import change_words
from pipelines.report.parts import Figure, Table
from pipelines.report.words import percent, significant

__all__ = ["render_drift"]

METHOD = (
    "Each column’s known values were counted in up to ten ranges that hold equally many training "
    "rows, or at each level. The population stability index (PSI) sums, over these cells, the "
    "change of share times the change of its logarithm; 0 is no change, and readings beyond a "
    "detection limit have a cell of their own.",
    "A small file differs from the training rows by sampling alone, and a small training set from "
    "the patients it stands for. Beside each number stands the size that 95% of files of this n "
    "without drift stay at or below, from redrawn files; of the PSI, this takes the place of an "
    "interval.",
    "A verdict needs two things: a size from its threshold on, and a p-value of at most 0.05 after "
    "Holm’s correction over all checks of the file. So at most one file in twenty without drift is "
    "expected to bear any verdict. That none is given does not prove that nothing changed.",
    "The distance is Mahalanobis’, over all features as the model sees them, from the training "
    "mean with the training correlations; its limit is what 99% of training rows lie within, each "
    "judged by the others. In a part of 4,096 rows or more it is taken on evenly spaced rows.",
    "The arm is not compared: it is assigned. Outcomes are not read, so that nothing here says "
    "whether the model still predicts well; it says whether the patients are like those it knows.",
)


def render_drift(drift: Drift, bundle: Bundle, source_name: str) -> str:
    """Write a drift report as one HTML document.

    Parameters
    ----------
    drift : Drift
    bundle : Bundle
        With a support.
    source_name : str
        Name of what was scored.

    Returns
    -------
    str
        The document; counts and shares alone, every name escaped.
    """
    from pipelines.report.document import environment, page

    support = bundle.support
    assert support is not None
    units = {column.name: column.plan.rule.unit for column in bundle.encoder.columns}
    labels = {
        column.name: f"{column.name}, {units[column.name]}" if units[column.name] else column.name
        for column in support.columns
    }
    drifting = {check.column for check in drift.drifting if check.what == "psi"}
    distance = next((check for check in drift.checks if check.what == "distance"), None)
    return page(
        "drift.html.j2",
        environment(),
        drift=drift,
        headline=_headline(drift),
        source_name=source_name,
        model=bundle.description["name"],
        digest=bundle.digest,
        found=[
            (labels.get(check.column, "All columns together"), check.verdict, change_words(check))
            for check in drift.drifting
        ],
        figure=_figure(drift, labels, support.thresholds["psi"]),
        shares=_share_table(drift, labels, support.columns),
        distance=distance,
        distance_words="" if distance is None else _sentence(change_words(distance)),
        cells=[
            _cells_table(column, drift.counts[column.name], labels[column.name])
            for column in support.columns
            if column.name in drifting and column.name in drift.counts
        ],
        method=METHOD,
    )  # fmt: skip


def _headline(drift: Drift) -> str:
    n = len({check.column for check in drift.drifting})
    if n == 0:
        return "No drift established."
    columns = f"{n} column{'s' if n != 1 else ''}"
    if any(check.column == "" for check in drift.drifting):
        columns = "all columns together" if n == 1 else f"{n - 1} of the columns, and all together"
    return f"{drift.verdict.capitalize()} drift: {columns}."


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _of(drift: Drift, what: str) -> Iterator[Check]:
    return (check for check in drift.checks if check.what == what)


def _figure(drift: Drift, labels: dict[str, str], marks: tuple[float, float]) -> Figure | None:
    """Bars of the columns' indices, largest first, with all of them in the numbers behind."""
    checks = sorted(_of(drift, "psi"), key=lambda check: -check.value)
    rows = [
        (labels[check.column], check.value, check.by_chance, check.verdict != "none")
        for check in checks
    ]
    if not rows:
        return None
    more = f" The {MOST_ROWS} largest are drawn." if len(rows) > MOST_ROWS else ""
    said = "; ".join(f"{name} {value:.2f} (chance {chance:.2f})" for name, value, chance, _ in rows)
    return Figure(
        "drift-figure",
        "Stability of each column",
        stability_bars(rows, marks),
        f"Bars of the population stability index: {said}.",
        "A bar that ends before its upright tick is no larger than sampling alone makes it in a "
        f"file of this size.{more}",
        _index_table(checks, labels),
    )


def _index_table(checks: list[Check], labels: dict[str, str]) -> Table:
    rows = [
        (
            labels[check.column],
            check.verdict,
            f"{check.value:.3f}",
            f"{check.by_chance:.3f}",
            f"{check.n:,}",
            f"{check.n_training:,}",
        )
        for check in checks
    ]
    return Table(
        "Population stability index (PSI), by column.",
        ("Column", "Verdict", "PSI", "By chance, up to", "Known values", "In training"),
        tuple(rows),
    )


def _share_table(drift: Drift, labels: dict[str, str], columns: tuple[ColumnSupport, ...]) -> Table:
    names = {
        "missing": "missing",
        "below_detection": "below detection",
        "above_detection": "above detection",
        "outside_training_range": "outside training range",
    }
    ranges = {c.name: (c.low, c.high) for c in columns if c.low is not None}
    rows = []
    for check in drift.checks:
        if check.what not in names or (not check.share and not check.training):
            continue
        assert check.low is not None
        assert check.high is not None
        what = names[check.what]
        if check.what == "outside_training_range":
            low, high = (significant(float(bound or 0)) for bound in ranges[check.column])
            what += f" ({low} to {high})"
            change = f"{_points(check.value)} ({_points(check.low)} to {_points(check.high)})"
        else:
            change = f"{_signed(check.value)} ({_signed(check.low)} to {_signed(check.high)})"
        rows.append(
            (
                f"{labels[check.column]}: {what}",
                check.verdict,
                percent(check.training or 0, 1),
                percent(check.share or 0, 1),
                change,
                f"{check.n:,}",
            )
        )
    return Table(
        "Shares of rows, in the training rows and in this file.",
        ("Column", "Verdict", "Training", "File", "Change in points (95% interval)", "n"),
        tuple(rows),
        note="Of missing values, n is rows; else it is known values. A share that is 0 in both is "
        "left out. Outside the training range, the change is the share itself.",
    )


def _points(share: float) -> str:
    return f"{100 * share:.1f}".replace("-", "−")


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _cells_table(column: ColumnSupport, counts: tuple[int, ...], label: str) -> Table:
    total, known = sum(counts), column.n_known
    rows = [
        (cell, f"{old:,} ({percent(old, known)})", f"{new:,} ({percent(new, total)})")
        for cell, old, new in zip(column.cells, column.counts, counts, strict=True)
    ]
    return Table(f"{label}: known values by cell.", ("Cell", "Training", "File"), tuple(rows))
