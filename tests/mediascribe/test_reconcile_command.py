"""The command reconcile, called as the command line calls it, and what it shows."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pandas as pd
import pytest
from rich.console import Console

from flows.commands import reconciling
from flows.commands.reconciling import Billed, reconcile
from mediascribe.cost.reconciliation import EFFECTS, Reconciliation
from mediascribe.cost.reconciliation.log import Fetched
from mediascribe.errors import ConfigError
from mediascribe.report.reconciled import print_reconciliation

AT = int(datetime(2026, 11, 23, 1, 45, tzinfo=UTC).timestamp())
HEAD = "created_at,model_name,prompt_tokens,completion_tokens,quota,trace\n"
JOB = """
name = "j"
model = "gemini-2.0-flash"
output = "out"
[manifest]
path = "m.csv"
[gateway]
base_url = "sandbox"
[prompt]
text = "Describe it."
"""


@pytest.fixture
def output(store, build, publish):
    """Seven rows of 34,300 nano-dollars, with the ids r1 to r7."""
    records = []
    for number in range(1, 8):
        answer = build.completion(gateway_request_id=f"r{number}")
        records.append(build.record(f"i{number}", number, outcome=answer, nano_usd=34_300))
    publish(records)
    return str(store.root)


@pytest.fixture
def bill(tmp_path):
    """`bill(ids)`: a bill with a line for each of *ids*."""

    def _bill(ids):
        path = tmp_path / "bill.csv"
        path.write_text(HEAD + "".join(f"{AT},gemini-2.0-flash,263,20,17,{one}\n" for one in ids))
        return Billed(bill=path, column=["request_id=trace"])

    return _bill


def told(found):
    """What a terminal shows of *found*."""
    console = Console(file=io.StringIO(), width=200)
    print_reconciliation(found, console)
    return console.file.getvalue()


@pytest.mark.wide
def test_a_bill_in_order(output, bill, capsys):
    """Status 0, and the sums as JSON with the days."""
    assert reconcile(output, billed=bill([f"r{number}" for number in range(1, 8)]), json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["matched_share"], found["billed_usd"], found["own_usd"]) == (
        True,
        1,
        0.000238,
        0.0002401,
    )
    assert (found["by_day"][0]["day"], found["by_day"][0]["rounding_usd"]) == ("2026-11-23", -0.0000021)


@pytest.mark.wide
def test_a_bill_that_lacks_rows(output, bill, capsys, tmp_path):
    """Status 1; five of the six rows are shown, and the file has them all."""
    left = tmp_path / "left.csv"
    assert reconcile(output, billed=bill(["r1"]), out=left) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 of 1 lines matched (100.00%): 1 by request id; 1 of 7 rows are on the bill" in shown
    assert "the bill is not in order" in shown
    assert "and 1 more without another side" in shown
    assert pd.read_csv(left)["item_id"].tolist() == [f"i{number}" for number in range(2, 8)]


@pytest.mark.parametrize(
    ("outputs", "billed", "said"),
    [
        ((), Billed(), "name the output"),
        (("out",), None, "say where the bill is: --bill FILE, or --from-gateway JOB"),
        (("out",), Billed(bill="a", from_gateway="b"), "say where the bill is"),
        (("out",), Billed(bill="a", column=["request_id"]), "--column request_id: write a part of the bill and its"),
    ],
)
def test_calls_that_make_no_sense(outputs, billed, said):
    """Nothing is read."""
    with pytest.raises(ConfigError, match=said):
        reconcile(*outputs, billed=billed)


def test_the_log_of_an_embedded_sandbox_is_gone(tmp_path, monkeypatch):
    """It ran as long as its run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text("image_url\nhttps://cdn.example/a.jpg\n")
    (tmp_path / "j.toml").write_text(JOB)
    with pytest.raises(ConfigError, match="its log is gone"):
        reconcile("out", billed=Billed(from_gateway=tmp_path / "j.toml"))


@pytest.mark.wide
def test_a_log_that_may_be_cut_is_told_of(output, bill, capsys, monkeypatch, tmp_path):
    """Beside the product, so that programs are not confused."""
    path = bill(["r1"]).bill

    async def fetched(_, to):
        to.write_bytes(path.read_bytes().replace(b"trace", b"request_id"))
        return Fetched(lines=1000, is_cut=True)

    monkeypatch.setattr(reconciling, "_fetch", fetched)
    reconcile(output, billed=Billed(from_gateway=tmp_path / "job.toml"), json=True)
    assert "the gateway gave 1,000 lines; there may be older ones" in capsys.readouterr().err


def made(**changes):
    """A reconciliation of one line."""
    by_day = {"day": "2026-11-23", "model": "m", "lines": 1, "matched_lines": 1, "unbilled_rows": 0}
    by_day |= {"billed_usd": 0.001, "own_usd": 0.0004, "gap_usd": 0.0006}
    shares = dict.fromkeys(EFFECTS, 0) | {"price": 500_000, "rounding": 100_000}
    by_day |= {f"{name}_usd": amount / 1e9 for name, amount in shares.items()}
    plain = {
        "lines": 1,
        "ways": {"request id": 0, "tokens": 1},
        "rows": 1,
        "unbilled_rows": 0,
        "rows_outside": 0,
        "other_lines": 0,
        "repeated_lines": 0,
        "billed": 1_000_000,
        "own": 400_000,
        "effects": shares,
        "strayed": 0,
        "differing": 600_000,
        "by_day": pd.DataFrame([by_day]),
        "unmatched": pd.DataFrame({"side": []}),
    }
    return Reconciliation(**plain | changes)


def test_what_a_terminal_shows():
    """What matched and how, each day's gap with its shares, largest first, and what each share means."""
    shown = told(made())
    assert "1 of 1 lines matched (100.00%): 1 by model, tokens and time; 1 of 1 rows are on the bill" in shown
    assert "price 0.0005, rounding 0.0001" in shown
    assert "the gateway's rates of text and answer are not those of our price" in shown
    assert "100.00% of what differs is explained; the bill is in order" in shown
    assert "refunds" not in shown


def test_what_was_left_out_is_told_of():
    """Rows of another time, lines that stood twice, lines that charge nothing."""
    shown = told(made(rows_outside=2, repeated_lines=3, other_lines=4))
    assert "2 rows are of another time than the bill is about, and in no sum" in shown
    assert "3 lines stand twice in the bill, and count once" in shown
    assert "4 lines charge nothing, or are of another key, and were left out" in shown


def test_where_nothing_differs_all_is_explained():
    """No gap, no share of it."""
    assert made(differing=0).explained_share == 1


def test_a_line_without_another_side_is_shown_by_its_place():
    """With the bill's line, and why."""
    lost = {
        "side": "bill",
        "bill_line": 7,
        "model": "m",
        "amount_usd": 0.1,
        "item_id": None,
        "run_id": None,
        "why": "so",
    }
    assert "bill: line 7, m, 0.1000 USD: so" in told(made(unmatched=pd.DataFrame([lost])))
