"""Two runs compared, as one HTML page that needs no network."""

from __future__ import annotations

from pipelines.compare_rows import SECTIONS, Comparison
from pipelines.compare_text import METHOD, difference_words, footnotes

__all__ = ["render_comparison"]


def render_comparison(found: Comparison) -> str:
    """Write a comparison as one HTML document.

    Parameters
    ----------
    found : Comparison

    Returns
    -------
    str
        The document; holds no patient values, and every name from a study or a run is escaped.
    """
    from pipelines.report.document import environment, page
    from pipelines.report.words import CAUTION

    parts = []
    for name, title in SECTIONS.items():
        rows = found.section(name)
        parts.append(
            {
                "key": name,
                "title": title,
                "rows": rows,
                "judged": any(row.judgement != "fact" for row in rows),
                "difference": "B over A" if name == "verdicts" else "B − A",
            }
        )
    studies = dict.fromkeys((found.a.study, found.b.study))
    return page(
        "compare.html.j2",
        environment(),
        title=" and ".join(studies),
        runs=(("A", found.a), ("B", found.b)),
        headline=found.headline(),
        opening=found.opening,
        exceeding=[row for row in found.rows if row.judgement == "exceeds"],
        parts=parts,
        notes=footnotes(found),
        method=METHOD,
        difference=difference_words,
        attribution=bool(found.section("attribution")),
        caution=CAUTION,
    )
