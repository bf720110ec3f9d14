"""The guide to comparing runs is true: its command runs, its words are the command's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
from click.testing import CliRunner

from pipelines.cli import main, report
from pipelines.compare_rows import JUDGEMENTS

GUIDE = (Path(__file__).parents[2] / "docs" / "comparing_runs.md").read_text("utf-8")


def test_the_command_of_the_guide_is_understood(store) -> None:
    """On a store without the runs it is the runs that are missing, not the flags."""
    (command,) = re.findall(r"^    biomarker (report [^\n]*)$", GUIDE, flags=re.M)
    words = shlex.split(command.replace("--store runs", f"--store {shlex.quote(str(store))}"))
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 6
    assert "must hold a finished run 'small~1'" in done.stderr


def test_its_judgements_are_the_commands() -> None:
    """Every judgement is in the table, in the words that are printed."""
    table = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", GUIDE, flags=re.M)
    assert set(table) - {"judgement", "---"} == set(JUDGEMENTS.values())


def test_every_flag_it_names_exists() -> None:
    """Of report, or of training for --refits."""
    known = {n for o in report.params if isinstance(o, click.Option) for n in o.opts}
    known |= {n for o in main.commands["train"].params for n in o.opts}
    named = set(re.findall(r"--[a-z][a-z-]+", GUIDE))
    assert named <= known, named - known
