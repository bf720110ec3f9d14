"""Parts on the disk, and texts that a spreadsheet must not run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.bundle import load_bundle
from pipelines.score_parts import formulas_in, marked_formulas
from pipelines.scoring_job import score_file

# The characters that OWASP's ASVS 1.2.10 and CWE-1236 name, line ends and the wide forms beside.
RUN = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1+1", "\r=1", "\n=1", "＝1", "＠A1"]
QUIET = ["a=1", " =1+1", "P-001", "00123", "", "1e5", "é"]


def test_a_formula_is_marked_and_nothing_else_is() -> None:
    """An apostrophe first, which a spreadsheet takes as text; null stays null."""
    table = pa.table({"id": [*RUN, *QUIET, None], "=risk": [0.5] * (len(RUN) + len(QUIET) + 1)})
    assert formulas_in(table) == len(RUN)
    marked = marked_formulas(table)
    assert marked["id"].to_pylist() == ["'" + text for text in RUN] + QUIET + [None]
    assert marked.column_names == ["id", "'=risk"]
    assert marked.column(1).equals(table.column(1))
    assert formulas_in(marked) == 0


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_taking_one_apostrophe_off_gives_every_text_back(texts: list[str]) -> None:
    """Apostrophes of the text's own included: no two texts become one."""
    marked = marked_formulas(pa.table({"id": pa.array(texts, pa.string())}))["id"].to_pylist()
    assert [text[1:] if text.startswith("'") else text for text in marked] == texts


def test_numbers_are_no_formulas() -> None:
    """Whole-number ids below zero stay numbers."""
    table = pa.table({"id": pa.array([-1, 2])})
    assert formulas_in(table) == 0
    assert marked_formulas(table).equals(table)


@pytest.mark.parametrize("chunk_rows", [3, 1000])
def test_a_csv_for_spreadsheets_runs_nothing(
    chunk_rows: int, ward: Any, ward_bundle: Path, tmp_path: Path
) -> None:
    """Marked on request alone; either way the number of such ids is told."""
    rows = [text for text in RUN if "\r" not in text] + QUIET
    frame = ward.frame(len(rows), seed=3).drop(columns=["months", "died", "best", "site", "later"])
    frame["pid"] = rows
    source = tmp_path / "in.csv"
    frame.to_csv(source, index=False, quoting=csv.QUOTE_ALL)
    bundle = load_bundle(ward_bundle)
    for spreadsheet in (False, True):
        out = tmp_path / f"{spreadsheet}.csv"
        done = score_file(
            source, bundle, out, chunk_rows=chunk_rows, single_file=True, spreadsheet=spreadsheet
        )
        assert done.formulas == len(rows) - len(QUIET)
        with out.open(newline="", encoding="utf-8") as handle:
            found = [row[0] for row in csv.reader(handle)][1:]
        if spreadsheet:
            assert all(text[:1] not in set("=+-@\t\n＝＠") for text in found)
            found = [text[1:] if text.startswith("'") else text for text in found]
        assert found == rows
