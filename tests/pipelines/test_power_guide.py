"""The guide to power is true: its commands run and say what it prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from pipelines.cli_generate import power

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "power.md").read_text("utf-8")
EXAMPLES = re.findall(
    r"^    biomarker (power [^\n]*)\n\n```text\n(.*?)```", GUIDE, flags=re.M | re.S
)
QUICK = [pair for pair in EXAMPLES if "--cohorts" not in pair[0]]
SIMULATED = [pair for pair in EXAMPLES if "--cohorts" in pair[0]]


def run(command: str) -> Result:
    """Call the command in this process."""
    return CliRunner().invoke(main, shlex.split(command))


@pytest.mark.parametrize(("command", "said"), QUICK)
def test_formulas_print_what_the_guide_shows(command: str, said: str) -> None:
    """Word for word, refusals included."""
    done = run(command)
    assert (done.stdout or done.stderr).strip() == said.strip()


@pytest.mark.parametrize(("command", "said"), SIMULATED)
def test_simulations_run_and_print_the_same_columns(
    command: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With one small cohort: every flag is understood, and the words around the numbers stay."""
    monkeypatch.chdir(tmp_path)
    command = re.sub(r"--cohorts \d+", "--cohorts 1", command)
    command = re.sub(r"--patients [\d,]+", "--patients 120", command).replace("--jobs 2", "")
    done = run(command)
    assert done.exit_code == 0, done.output

    def words(text: str) -> list[str]:
        lines = [
            line for line in text.strip().splitlines() if line and line[0] not in "-0123456789"
        ]
        return re.sub(r"[\d.,]+", "", " ".join(lines)).split()

    assert words(done.stdout) == words(said)
    assert ("--out" in command) == (tmp_path / "curve.svg").exists()


def test_every_example_is_tested_and_every_flag_it_uses_exists() -> None:
    """Five examples with their output; options named in prose are the command's."""
    assert len(QUICK) == 4
    assert len(SIMULATED) == 2
    known = {name for option in power.params if isinstance(option, click.Option)
             for name in option.opts}  # fmt: skip
    named = set(re.findall(r"--[a-z][a-z-]+", GUIDE)) - {"--list"}
    assert named <= known, named - known
    drawing = re.search(r"\]\((images/.*?)\)", GUIDE)
    assert drawing is not None
    assert (DOCS / drawing[1]).exists()
