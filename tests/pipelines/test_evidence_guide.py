"""The guide to the evidence is true: its commands run and print what it shows, no word left out."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from biomarker.evidence.verdict import RECORD_FIELDS, Code, Design
from pipelines.cli import main

GUIDE = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text("utf-8")


@pytest.mark.slow
def test_the_commands_and_the_python_run_and_print_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    empty_store: Path,
) -> None:  # fmt: skip
    """Line for line but for the numbers, which belong to the release."""
    import shutil

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(empty_store, tmp_path / "biomarker-runs")
    commands = re.findall(r"^    biomarker (.*)$", GUIDE, flags=re.MULTILINE)
    assert [shlex.split(command)[0] for command in commands] == ["simulate", "evidence"]
    for command in commands:
        done = CliRunner().invoke(main, shlex.split(command))
        assert done.exit_code == 0, done.output
    shown = re.findall(r"```console\n(.*?)```", GUIDE, flags=re.DOTALL)[0].splitlines()
    printed = done.stdout.splitlines()[: len(shown)]

    def without_numbers(line: str) -> str:
        return re.sub(r"[\d.]+|-+", "#", " ".join(line.split()))

    assert [*map(without_numbers, printed)] == [*map(without_numbers, shown)]
    records = json.loads((tmp_path / "evidence" / "evidence.json").read_text())["records"]
    assert (tmp_path / "evidence" / "evidence.html").exists()
    said = next(line for line in done.stdout.splitlines() if line.startswith("Ledger "))
    assert re.search(rf"^    {re.escape(said)}$", GUIDE, flags=re.MULTILINE)
    (block,) = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    exec(compile(block, "docs/evidence.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        [record["endpoint"], record["verdict"]] for record in records
    ]
    assert "of them made before" in lines[-1]


def test_every_field_verdict_and_design_is_told() -> None:
    """A field added to the record and left out of the guide fails here."""
    for word in [*RECORD_FIELDS, *get_args(Code), *get_args(Design)]:
        assert f"`{word}`" in GUIDE, word
