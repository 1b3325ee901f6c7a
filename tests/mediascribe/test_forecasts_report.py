"""The table that says what a plan comes to, as a person reads it."""

import io

import pytest
from rich.console import Console

from mediascribe.forecast import Duration, Expectation, Forecast, Line, Range
from mediascribe.plan import Example
from mediascribe.report.forecasts import print_examples, print_forecast


def shown(draw, *args):
    to = io.StringIO()
    draw(*args, Console(file=to, width=200))
    return to.getvalue()


def expectation(expected=1000.0, usd=0.5, hours=1.5):
    around = None if usd is None else Range(low=usd / 2, expected=usd, high=usd * 2)
    took = None if hours is None else Duration(hours=hours, bound_by="requests_per_minute")
    return Expectation(tokens=Range(low=900, expected=expected, high=1100), usd=around, duration=took)


def found(**changes):
    here = changes.pop("here", expectation())
    beside = changes.pop("beside", [])
    lines = [
        Line(reason="new", error_class=None, rows=1200, as_it_is=here, what_if=beside),
        Line(reason="failed", error_class="media", rows=3, as_it_is=here, what_if=beside),
    ]
    total = Line(reason=None, error_class=None, rows=1203, as_it_is=here, what_if=beside)
    plain = {"model": "m", "price_version": "v", "lines": lines, "total": total, "what_ifs": []}
    return Forecast(**plain | {"basis": {}, "notes": []} | changes)


def cells(text, name):
    (line,) = [line for line in text.splitlines() if line.startswith(f"│ {name}")]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_every_reason_has_a_line_and_there_is_a_total():
    """Rows, tokens and dollars with their interval, and the time."""
    text = shown(print_forecast, found(), {})
    numbers = ["900", "1,000", "1,100", "0.2500", "0.5000", "1.0000", "1:30:00"]
    assert cells(text, "new") == ["new", "1,200", *numbers]
    assert cells(text, "failed") == ["failed (media)", "3", *numbers]
    assert cells(text, "total") == ["total", "1,203", *numbers]


def test_what_is_not_asked_is_said():
    """Rows of the manifest that no line has."""
    assert "not asked: 7 done, 2 stale_prompt" in shown(
        print_forecast, found(), {"new": 1200, "done": 7, "failed": 3, "stale_prompt": 2, "forgotten": 0}
    )


@pytest.mark.parametrize(
    ("basis", "said"),
    [
        ({"learned": 5}, "5 rows: media from earlier results of this job\n"),
        ({"rules": 1}, "1 row: media by the vendor's rules\n"),
        ({"guess": 5}, "5 rows: media a guess; `mediascribe plan JOB --pilot 50` asks a few rows first"),
        ({"rules+learned": 5}, "where the media are known, else from earlier results"),
    ],
)
def test_where_the_numbers_are_from_is_said(basis, said):
    """And what would make a guess better."""
    assert said in shown(print_forecast, found(basis=basis), {})


def test_unknown_is_said_and_never_zero():
    """No price, and no speed."""
    text = shown(print_forecast, found(here=expectation(usd=None, hours=None), notes=["no price of m is known"]), {})
    assert cells(text, "total")[5:] == ["unknown"] * 4
    assert "time: unknown: the job has no quota ([limits]), and no earlier run tells" in text
    assert "no price of m is known" in text


def test_a_what_if_has_columns_of_its_own():
    """Tokens, dollars and the change; what it is stands below."""
    beside = [expectation(500.0, 0.25)]
    text = shown(print_forecast, found(beside=beside, what_ifs=["max_tokens=9"]), {})
    assert cells(text, "total")[-3:] == ["500", "0.2500", "-50 %"]
    assert "what if: max_tokens=9" in text


def test_two_what_ifs_have_numbers():
    """And a change that is unknown is said to be."""
    beside = [expectation(500.0, 150.0), expectation(usd=None)]
    text = shown(print_forecast, found(beside=beside, what_ifs=["max_tokens=9", "model=x"]), {})
    assert cells(text, "new")[-6:] == ["500", "150.00", "+29900 %", "1,000", "unknown", "unknown"]
    assert "what if 1: max_tokens=9" in text
    assert "what if 2: model=x" in text


def test_examples_say_what_was_and_what_is():
    """On one line each, without what a terminal would act on, and short."""
    rows = [
        Example(row_number=1000, item_id="a\x1b[31m", reason="stale_model", old="gpt-4o", new="m"),
        Example(row_number=2, item_id="b", reason="failed", old="x" * 200, new=None),
        Example(row_number=3, item_id="c", reason="new", old=None, new=None),
        Example(row_number=4, item_id="d", reason="new", old=None, new="row 4 has no media"),
    ]
    lines = shown(print_examples, rows).splitlines()
    assert lines[0] == "row 1,000  a [31m  stale_model: gpt-4o -> m"
    assert lines[1] == f"row 2  b  failed: {'x' * 99}…"
    assert lines[2:] == ["row 3  c  new", "row 4  d  new: row 4 has no media"]
