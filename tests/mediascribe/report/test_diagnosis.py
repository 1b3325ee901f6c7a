"""The doctor's lines."""

import io

from rich.console import Console

from mediascribe.doctor import Check
from mediascribe.report.diagnosis import print_check


def printed(**changes):
    console = Console(file=io.StringIO(), width=40)
    print_check(Check(**{"name": "key", "verdict": "fail", "said": "refused"} | changes), console)
    return console.file.getvalue().splitlines()


def test_a_check_is_a_line():
    """Verdict, name, and what was seen, however narrow the terminal."""
    said = "a long sentence that does not fit into forty columns"
    assert printed(verdict="pass", said=said) == [f"pass    key      {said}"]


def test_advice_is_a_line_below():
    """What to do stands under what was seen; nothing in it acts on the terminal."""
    assert printed(advice="copy\x1b[2J it again") == ["fail    key      refused", f"{'':17}copy [2J it again"]
