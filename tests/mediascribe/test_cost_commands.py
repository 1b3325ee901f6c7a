"""The commands about money, called as the command line calls them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from flows.commands.costs import Asked, Chosen, Shown, cost
from flows.commands.prices import check, print_pull, pull, show
from mediascribe.errors import ConfigError
from mediascribe.pricing import Price, Rate
from mediascribe.pricing.gateway import Change, Pulled

pytestmark = pytest.mark.wide

FIRST, SECOND = "20261123T010000Z-aaaaaa", "20261124T010000Z-bbbbbb"
JOB = """
name = "j"
model = "{model}"
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
    """Two runs, a day apart, of 30 and 5 nano-dollars."""
    publish([build.record("a", 1, nano_usd=10), build.record("b", 2, nano_usd=20)], run_id=FIRST)
    later = datetime(2026, 11, 24, 2, tzinfo=UTC)
    publish([build.record("a", 1, nano_usd=5, completed_at=later)], run_id=SECOND)
    return str(store.root)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a job of the sandbox's, and no configs of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text("image_url\nhttps://cdn.example/a.jpg\n")
    return tmp_path


def job(home, model="gemini-2.0-flash"):
    """A job file that asks *model*."""
    path = home / f"{model}.toml"
    path.write_text(JOB.format(model=model))
    return path


@pytest.fixture
def build_price():
    """A price of a model: 1 and 2 USD per million unless said."""

    def build(model, **amounts):
        said = {name: Decimal(amount) for name, amount in ({"input": "1", "output": "2"} | amounts).items()}
        rates = {name: Rate(amount) for name, amount in said.items() if name != "per_call"}
        return Price(model=model, from_date=None, version="v", source="s", per_call=said.get("per_call"), **rates)

    return build


class TestCost:
    """`cost`."""

    def test_a_table_is_for_people_unless_said(self, output, capsys):
        """By model, with the total."""
        assert cost(output) == 0
        assert "gemini-2.0-flash" in capsys.readouterr().out

    def test_json_is_for_programs(self, output, capsys):
        """Days, a condition, several keys, the dearest line only."""
        chosen = Chosen(since="2026-11-23", until="2026-11-23", where="item_id <> 'c'")
        assert cost(output, by="day, item_id", chosen=chosen, shown=Shown(limit=1), json=True) == 0
        (line,) = json.loads(capsys.readouterr().out)
        assert (line["day"], line["item_id"], line["cost_usd"]) == ("2026-11-23", "b", 2e-8)

    def test_a_file_takes_the_answer(self, output, tmp_path, capsys):
        """Its suffix says the format; nothing is printed."""
        assert cost(output, by="day", shown=Shown(sort="day", out=tmp_path / "costs.parquet")) == 0
        assert pd.read_parquet(tmp_path / "costs.parquet")["day"].tolist() == ["2026-11-23", "2026-11-24"]
        assert capsys.readouterr().out == ""

    def test_another_price_outliers_and_two_runs_can_be_asked_for(self, output, capsys):
        """One of them at a time."""
        assert cost(output, asked=Asked(reprice="gpt-4o@2026-01-01"), json=True) == 0
        (line,) = json.loads(capsys.readouterr().out)
        assert line["repriced_usd"] == pytest.approx(3 * (263 * 2.5 + 20 * 10) / 1e6)
        prices = Path("configs/prices.toml")
        assert cost(output, by="", asked=Asked(reprice_book=prices), json=True) == 0
        assert json.loads(capsys.readouterr().out)[0]["repriced_usd"] == pytest.approx(3 * 34_300e-9)
        assert cost(output, asked=Asked(outliers=True)) == 0
        assert capsys.readouterr().out == "nothing costs far above its group\n"
        assert cost(output, asked=Asked(compare=(FIRST, SECOND)), shown=Shown(format="csv")) == 0
        assert "\ncost_usd,0.000000030,0.000000005,-0.000000025," in capsys.readouterr().out
        with pytest.raises(ConfigError, match="--reprice and --outliers: ask one"):
            cost(output, asked=Asked(reprice="gpt-4o", outliers=True))

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"asked": Asked(batch=True)}, "--batch says how to reprice"),
            ({"shown": Shown(limit=0)}, "--limit 0: wants"),
            ({"chosen": Chosen(since="yesterday")}, "--since yesterday: write a day"),
            ({"chosen": Chosen(since="2026-11-24", until="2026-11-23")}, "there are no such days"),
            ({"asked": Asked(reprice="gpt-4o@soon")}, "--reprice soon: write a day"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, output, given, says):
        """With the option and its value."""
        with pytest.raises(ConfigError, match=says):
            cost(output, **given)


class TestPrices:
    """`prices show`, `check`, `pull`."""

    def test_a_price_is_shown_with_its_history(self, capsys, monkeypatch):
        """The one in force on that day, its layer and source, and the others."""
        monkeypatch.setenv("COLUMNS", "200")
        assert show("qwen3-vl-plus", on="2026-01-01") == 0
        shown = capsys.readouterr().out
        for words in ("in force", "2025-12-26", "file", "over 32,000", "Alibaba Cloud Model Studio"):
            assert words in shown
        assert show("gemini-2.0-flash", json=True) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["in_force"]["input"], told["in_force"]["layer"]) == ("0.10", "file")
        assert len(told["history"]) > 1

    def test_an_unknown_price_is_said_loudly(self, capsys):
        """Exit status 1, and what to do."""
        assert show("nobody-lists-this") == 1
        assert "nobody lists a price on" in capsys.readouterr().out
        assert show("nobody-lists-this", json=True) == 1
        assert json.loads(capsys.readouterr().out) == {"in_force": None, "history": []}

    def test_every_part_of_a_price_is_shown(self, home, capsys, monkeypatch):
        """Calls, batches, and rates of kinds that have no column."""
        monkeypatch.setenv("COLUMNS", "200")
        (home / "configs").mkdir()
        (home / "configs/prices.toml").write_text(
            '[[price]]\nmodel = "m"\nfrom = 2026-01-01\nlist = "own"\ninput = "1"\noutput = "2"\nsource = "s"\n'
            'image_in = "3"\nper_call = "0.01"\nbatch = "0.5"\n'
        )
        assert show("m") == 0
        assert "image_in 3, per call 0.01, batch x 0.5" in capsys.readouterr().out

    def test_a_jobs_models_are_checked(self, home, capsys):
        """A model without a price is a defect, one with a price is not."""
        assert check(job(home, "nobody-lists-this")) == 1
        assert "unpriced  nobody-lists-this: nobody lists" in capsys.readouterr().out
        assert check(job(home, "gpt-4o"), json=True) == 0
        assert json.loads(capsys.readouterr().out) == []

    def test_without_a_job_every_known_model_is_checked(self, capsys):
        """The table's models, of which some have no price."""
        assert check() == 1
        assert " models, " in capsys.readouterr().out

    def test_a_gateways_prices_are_pulled_into_a_file_of_its_own(self, home, capsys):
        """Once; the second pull finds nothing new, and the price is on top from then on."""
        assert pull(job(home)) == 0
        shown = capsys.readouterr().out
        assert "gemini-2.0-flash: 0.1 in, 0.4 out, as in the book" in shown
        assert "added to configs/prices-sandbox.toml" in shown
        assert pull(job(home), json=True) == 0
        assert json.loads(capsys.readouterr().out) == {
            "file": "configs/prices-sandbox.toml",
            "written": [],
            "unread": [],
        }
        assert show("gemini-2.0-flash", job=job(home), json=True) == 0
        assert json.loads(capsys.readouterr().out)["in_force"]["layer"] == "gateway"

    def test_what_a_pull_found_is_shown(self, capsys, build_price):
        """What changed, what costs by the call, what was not understood."""
        now, call = build_price("m", input="2"), build_price("n", input="0", per_call="0.02")
        changes = (Change(model="m", before=build_price("m"), now=now), Change(model="n", before=None, now=call))
        print_pull(Pulled(changes=changes, unread=("o", "p")), list(changes), Path("configs/prices-g.toml"))
        assert capsys.readouterr().out.splitlines() == [
            "m: 1 in, 2 out -> 2 in, 2 out",
            "n: unknown -> 0.02 a call",
            "told in a form that is not known here, or not for this group: o, p",
            "2 prices told, 2 added to configs/prices-g.toml",
        ]
