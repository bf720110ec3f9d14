import io

from pipelines.terminal import Progress, table


def test_long_cells_wrap_and_numbers_stand_right():
    """A table stays readable whatever a cell holds."""
    text = table([{"what": "word " * 30, "n": 5}, {"what": "short", "n": 12345}])
    lines = text.splitlines()
    assert max(map(len, lines)) < 60
    assert lines[0].endswith("    n")
    assert any(line.endswith("    5") for line in lines)


def test_no_rows_is_said():
    """An empty table prints a word, not a bare header."""
    assert table([]) == "(none)"


def test_progress_on_a_file_is_one_line_a_stage_without_escapes():
    """Logs of an unattended run hold no carriage returns."""
    stream = io.StringIO()
    progress = Progress(stream)
    progress.stage("first")
    progress.step(1, 2)
    progress.stage("second")
    progress.done()
    lines = stream.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["first", "second"]
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_progress_on_a_terminal_rewrites_its_line():
    """A person sees a bar that moves."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    progress = Progress(stream)
    progress.stage("fits")
    progress.step(5, 5)
    progress.done()
    assert "[####################] 5/5" in stream.getvalue()


def test_quiet_progress_says_nothing():
    """A library call writes nothing to stderr."""
    stream = io.StringIO()
    progress = Progress(stream, quiet=True)
    progress.stage("x")
    progress.done()
    assert stream.getvalue() == ""
