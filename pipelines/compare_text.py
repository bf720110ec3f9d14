"""A comparison of two runs in words, for a terminal, and the sentences its page shares."""

from __future__ import annotations

import textwrap

from pipelines.compare_rows import SECTIONS, Comparison, Row
from pipelines.evidence_text import p_words
from pipelines.terminal import table

__all__ = ["METHOD", "comparison_text", "difference_words", "footnotes"]

_WIDTH = 96

METHOD = (
    "Resampling noise: what the same procedure would show with other patients of the same "
    "population and other random splits.",
    "Paired: on the same patients the shared error cancels; what is left is judged by differences "
    "of sums over parts of ten patients or more, between repeats of the splits, and between models "
    "trained without a part of the patients.",
    "Otherwise the noise is bounded from the two intervals as if no patient were shared: where "
    "patients are shared, a real change may then go unseen.",
    "A change exceeds noise where its p-value, two-sided, is below 0.05 after Holm over all that "
    "differ in its family: performance, calibration, shares of the data, importance, ratios of the "
    "verdicts, each a family of its own. The 95% interval of a difference is of one comparison.",
    "No more than resampling noise does not mean that nothing changed: these runs cannot show it.",
)


def comparison_text(found: Comparison) -> str:
    """What ``biomarker report --compare`` prints: both runs, what differs, how it was judged."""
    lines = [
        f"{letter}  {run.name}, run {run.run_id}"
        for letter, run in (("A", found.a), ("B", found.b))
    ]
    lines.append("")
    for sentence in (*found.opening, found.headline()):
        lines += _wrapped(sentence)
    notes = footnotes(found)
    for name, title in SECTIONS.items():
        rows = found.section(name)
        shown = [_row(row, notes) for row in rows]
        judged = any(row.judgement != "fact" for row in rows)
        columns = ["", "A", "B", *(("B − A", "judgement") if judged else ())]
        lines += ["", title, table(shown, columns) if shown else "No difference."]
    lines.append("")
    for basis, number in notes.items():
        lines += _wrapped(f"[{number}] {basis}.")
    lines.append("")
    for sentence in METHOD:
        lines += _wrapped(sentence)
    return "\n".join(lines)


def footnotes(found: Comparison) -> dict[str, int]:
    """How each row was judged, or why not, numbered in order of first use."""
    bases = dict.fromkeys(row.basis for row in found.rows if row.basis)
    return {basis: number for number, basis in enumerate(bases, 1)}


def difference_words(row: Row) -> str:
    """B minus A (a ratio: B over A) with its interval and Holm's p; empty where there is none.

    Examples
    --------
    >>> difference_words(Row("data", "", "", "", "within", "", -0.02, -0.051, 0.012, 0.2, 0.4))
    '−0.020 (−0.051 to 0.012), p 0.400'
    """
    if row.difference is None or row.low is None or row.high is None:
        return ""
    value, low, high = (
        f"{number:.3f}".replace("-", "−") for number in (row.difference, row.low, row.high)
    )
    words = f"{value} ({low} to {high})"
    return words if row.p_adjusted is None else f"{words}, p {p_words(row.p_adjusted)}"


def _row(row: Row, notes: dict[str, int]) -> dict[str, str]:
    cells = {"": row.what, "A": row.before, "B": row.after}
    mark = f" [{notes[row.basis]}]" if row.basis else ""
    return cells | {"B − A": difference_words(row), "judgement": row.verdict + mark}


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False)
