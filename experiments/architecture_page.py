"""Keep docs/architecture.md true: one line a file, taken from the file's own first sentence.

Run ``python -m experiments.architecture_page`` after adding or renaming a file.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- files: begin -->", "<!-- files: end -->"
PACKAGES = ("biomarker", "synthetic_data", "pipelines", "experiments")


def first_sentence(file: Path) -> str:
    """The first line of a module's docstring."""
    text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return text.splitlines()[0] if text else ""


def listing() -> str:
    """Rooms as headings, files as rows."""
    parts = []
    for package in PACKAGES:
        folders = sorted({file.parent for file in (ROOT / package).rglob("*.py")})
        for folder in folders:
            room = folder.relative_to(ROOT).as_posix()
            opening = folder / "__init__.py"
            parts.append(f"### `{room}/`\n")
            if opening.exists():
                parts.append(f"{first_sentence(opening)}\n")
            files = [f for f in sorted(folder.glob("*.py")) if f.name != "__init__.py"]
            if files:
                rows = [f"| `{file.name}` | {first_sentence(file)} |" for file in files]
                parts.append("\n".join(["| file | what it is for |", "| --- | --- |", *rows, ""]))
    return "\n".join(parts)


def page() -> str:
    """The architecture page with its file list renewed."""
    text = PAGE.read_text("utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{listing()}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
