"""What a finished HTML page says: its prose by passage, and the cells of its tables as values."""

from __future__ import annotations

import html.parser
import re

from pipelines.pack.claims import Passage

__all__ = ["PageText", "read_page"]

_VOID = frozenset(("meta", "link", "br", "hr", "img", "input", "col", "wbr", "use", "path", "rect"))
_SILENT = frozenset(("script", "style", "head"))
_BLOCKS = frozenset(
    ("p", "li", "dd", "dt", "figcaption", "caption", "summary", "div", "article", "section", "ul",
     "ol", "dl", "details", "figure", "table", "thead", "tbody", "tr", "header", "footer", "main",
     "nav", "h1", "h2", "h3", "h4", "h5", "h6", "button", "label", "output", "title", "body",
     "text")
)  # fmt: skip
_HEADING = re.compile(r"h[1-6]")
_EXPLAINS = re.compile(
    r"(?i)attribut|importan|stabilit|\bshap|explain|moved the forecast|benefit split|over time"
    r"|prognostic and predictive part"
)


class PageText(html.parser.HTMLParser):
    """A page as passages and table rows.

    Attributes
    ----------
    passages : list of Passage
        Prose, alternative texts included, each under its headings. Table rows and texts inside
        drawings come too, their numbers not asked for.
    rows : list of list of str
        Cells of every table row: computed values as printed.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.passages: list[Passage] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self._words: list[str] = []
        self._headings: dict[int, str] = {}
        self._cells: list[str] | None = None
        self._caption = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element; a block ends the passage before it."""
        if tag in _BLOCKS:
            self._flush()
        if tag == "tr":
            self._cells = []
        if tag == "table":
            self._caption = ""
        for name, value in attrs:
            if name in ("aria-label", "alt", "title") and value and tag not in ("svg",):
                self._add(value)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element that closes itself holds no text."""

    def handle_endtag(self, tag: str) -> None:
        """End an element; the end of a block ends its passage."""
        if tag in ("td", "th") and self._cells is not None:
            self._cells.append(self._taken())
        elif tag == "tr" and self._cells is not None:
            self._row(self._cells)
            self._cells = None
        elif _HEADING.fullmatch(tag):
            self._heading(int(tag[1]))
        elif tag == "caption":
            self._caption = " ".join("".join(self._words).split())
            self._flush()
        elif tag in _BLOCKS:
            self._flush()
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Keep what a reader sees; code and keys are identifiers, not claims."""
        if _SILENT.intersection(self._open) and "title" not in self._open:
            return
        self._words.append("·" if "code" in self._open and data.strip() else data)

    def _taken(self) -> str:
        text = " ".join("".join(self._words).split())
        self._words = []
        return text

    def _flush(self) -> None:
        text = self._taken()
        if text:
            self._add(text, numbers="svg" not in self._open)

    def _heading(self, level: int) -> None:
        text = self._taken()
        self._headings = {k: v for k, v in self._headings.items() if k < level} | {level: text}
        self._add(text)

    def _row(self, cells: list[str]) -> None:
        if any(cells):
            self.rows.append(cells)
            self._add(" | ".join(cells), numbers=False, more=self._caption)

    def _add(self, text: str, numbers: bool = True, more: str = "") -> None:
        above = [self._headings[level] for level in sorted(self._headings)]
        where = " › ".join([*above, more] if more else above)
        self.passages.append(Passage(where, text, bool(_EXPLAINS.search(where)), numbers))


def read_page(page: str) -> PageText:
    """Read a page's prose and tables.

    Examples
    --------
    >>> page = read_page("<h2>Patients</h2><p>In all <b>12</b>.</p><table><tr><th>n</th><td>12</td>"
    ...                  "</tr></table>")
    >>> [(p.where, p.text, p.numbers) for p in page.passages][1:]
    [('Patients', 'In all 12.', True), ('Patients', 'n | 12', False)]
    >>> page.rows
    [['n', '12']]
    """
    reader = PageText()
    reader.feed(page)
    reader.close()
    reader._flush()
    return reader
