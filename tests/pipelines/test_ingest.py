"""From a file and a study's name to a cohort, and from a fault to a line in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biomarker.errors import CohortError, StudyError
from biomarker.study import Study
from pipelines.ingest import BUILT_IN, fault_rows, load_cohort, study


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_studies_are_found_by_name(name: str) -> None:
    """Each ready study reads without a fault."""
    assert study(name).name == name


def test_a_study_that_is_not_there_says_what_would_be(tmp_path: Path) -> None:
    """The message lists the built-in names and how to draft one; no path of the machine."""
    for wrong in ("il3", tmp_path / "no.toml", tmp_path):
        with pytest.raises(StudyError, match="il2, actg175, gbsg2 or a TOML file") as caught:
            study(wrong)
        assert "study --from" in str(caught.value)
        assert str(tmp_path.parent) not in str(caught.value)


def test_a_study_file_must_be_text(tmp_path: Path) -> None:
    """A study saved in another encoding is named."""
    (tmp_path / "s.toml").write_bytes("title = 'Köln'".encode("latin-1"))
    with pytest.raises(StudyError, match="must be UTF-8"):
        study(tmp_path / "s.toml")


def test_a_file_a_frame_and_a_table_are_one_cohort(ward: Any, tmp_path: Path) -> None:
    """Every source of the same rows gives the same digest, whichever way the study is named."""
    frame, spec = ward.frame(50), Study.from_toml(ward.study_text)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    (tmp_path / "x.csv").write_bytes(ward.csv(frame))
    (tmp_path / "x.tsv").write_text(frame.to_csv(index=False, sep="\t"))
    (tmp_path / "s.toml").write_text(ward.study_text)
    pq.write_table(table, tmp_path / "x.parquet")
    sources = [frame, table, *(tmp_path / f"x.{kind}" for kind in ("csv", "tsv", "parquet"))]
    digests = {load_cohort(source, spec).digest for source in sources}
    digests |= {load_cohort(str(tmp_path / "x.csv"), str(tmp_path / "s.toml")).digest}
    assert len(digests) == 1


def test_undeclared_columns_can_be_allowed(ward: Any) -> None:
    """The study's own rule stands unless the caller lifts it."""
    frame = ward.frame(50).assign(extra="1")
    spec = Study.from_toml(ward.study_text)
    with pytest.raises(CohortError, match="1 undeclared column"):
        load_cohort(frame, spec)
    assert "extra" in load_cohort(frame, spec, allow_undeclared=True).notices[0]


def broken(ward: Any) -> pd.DataFrame:
    """Two values wrong: rows 3 and 7, counted from 0."""
    frame = ward.frame(50)
    frame.loc[3, "age"], frame.loc[7, "sex"] = "sécret1", "sécret2"
    frame.loc[1, "site"] = "a\nname\nover lines"
    return pd.DataFrame(frame)


def test_faults_become_lines_of_the_file(ward: Any, tmp_path: Path) -> None:
    """Quoted line ends above a fault are counted; a Parquet file counts rows."""
    (tmp_path / "x.csv").write_bytes(ward.csv(broken(ward)))
    pq.write_table(
        pa.Table.from_pandas(broken(ward)[ward.frame(1).columns]), tmp_path / "x.parquet"
    )
    for name, place, expected in (("x.csv", "line", ["7", "11"]), ("x.parquet", "row", ["4", "8"])):
        with pytest.raises(CohortError) as caught:
            load_cohort(tmp_path / name, Study.from_toml(ward.study_text))
        rows = fault_rows(caught.value.faults, caught.value.file)  # type: ignore[arg-type, attr-defined]
        assert [row[place] for row in rows] == expected
        assert "cret" not in str(rows)


def test_values_are_shown_only_when_asked_for(ward: Any, tmp_path: Path) -> None:
    """``values=True`` is for a person at their own terminal."""
    (tmp_path / "x.csv").write_bytes(ward.csv(broken(ward)))
    with pytest.raises(CohortError) as caught:
        load_cohort(tmp_path / "x.csv", Study.from_toml(ward.study_text))
    rows = fault_rows(caught.value.faults, caught.value.file, values=True)  # type: ignore[arg-type, attr-defined]
    assert [row["found"].split(" = ")[1] for row in rows] == ["'sécret1'", "'sécret2'"]
