import hashlib
import json

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from biomarker.errors import StudyError, UsageError
from pipelines.cli import main
from pipelines.simulate import write_cohort


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    """A cohort can be drawn again anywhere, byte for byte, and another seed differs."""
    digests = []
    for place, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / place).mkdir()
        out = tmp_path / place / "c.csv"
        write_cohort("il2-rcc", 300, seed, [], out, tmp_path / place / "t.parquet")
        files = (out, tmp_path / place / "t.parquet")
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_csv_and_parquet_hold_the_same_cohort_and_units(tmp_path):
    """Parquet carries units in its fields; CSV prints readings below the limit as such."""
    write_cohort("il2-rcc", 400, 3, [], tmp_path / "c.csv")
    write_cohort("il2-rcc", 400, 3, [], tmp_path / "c.parquet")
    text = pd.read_csv(tmp_path / "c.csv", dtype=str, keep_default_na=False)
    table = pq.read_table(tmp_path / "c.parquet")
    assert text["patient_id"].tolist() == table["patient_id"].to_pylist()
    assert table.schema.field("vegf").metadata[b"unit"] == b"pg/mL"
    below = table["vegf"].to_pandas() < 15
    assert below.any() == text["vegf"].str.startswith("<").any()


def test_declared_effects_reach_the_truth_file_and_not_the_cohort(tmp_path):
    """The truth names the effect with its unit; the cohort file and its study do not."""
    out, truth = tmp_path / "c.parquet", tmp_path / "t.json"
    written = write_cohort("il2-rcc", 50, 1, ["vegf=predictive:0.5"], out, truth)
    declared = json.loads(truth.read_text())["effects"]
    assert [(e["marker"], e["kind"], e["value"]) for e in declared] == [("vegf", "predictive", 0.5)]
    assert declared[0]["unit"]
    for file in (out, tmp_path / "c.study.toml"):
        assert b"predictive" not in file.read_bytes()
    assert set(written) == {"cohort", "study", "truth"}


def test_a_dirty_cohort_lists_what_was_planted_and_check_sees_faults(tmp_path):
    """Planted faults are written apart; most of them make check refuse the file."""
    out, planted = tmp_path / "c.csv", tmp_path / "planted.csv"
    written = write_cohort("il2-rcc", 300, 5, [], out, dirty=planted)
    listed = pd.read_csv(planted, dtype=str)
    assert len(listed) > 10
    assert {"row", "column", "fault", "clean", "dirty"} <= set(listed.columns)
    done = CliRunner().invoke(main, ["check", str(out), "--study", written["study"], "--json"])
    assert done.exit_code == 3
    faults = json.loads(done.stdout)["faults"]
    assert {fault["column"] for fault in faults} <= {*listed["column"], "(file)"}


def test_a_published_study_defaults_to_its_published_size(tmp_path):
    """Without --patients a published recipe has the patients it was printed with."""
    done = CliRunner().invoke(main, ["simulate", "select", "--out", str(tmp_path / "s.csv")])
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(tmp_path / "s.csv")) == 120


def test_an_unknown_recipe_effect_or_ending_is_named(tmp_path):
    """A typo writes nothing."""
    with pytest.raises(StudyError, match="il2-rcc"):
        write_cohort("il2-rc", 10, 1, [], tmp_path / "c.csv")
    with pytest.raises(StudyError, match="vegff"):
        write_cohort("il2-rcc", 10, 1, ["vegff=predictive:1"], tmp_path / "c.csv")
    with pytest.raises(UsageError, match=r"\.csv or \.parquet"):
        write_cohort("il2-rcc", 10, 1, [], tmp_path / "c.xlsx")
    assert not list(tmp_path.iterdir())
