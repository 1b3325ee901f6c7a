"""The commands try, diff, replay and init as the command line calls them: what they print, and their exit status."""

import csv
import json
from pathlib import Path

import pytest
from cyclopts import App

from flows.commands import trying
from mediascribe import dataset
from mediascribe.errors import ConfigError
from mediascribe.sandbox import Behaviour, Fault
from mediascribe.store import open_store
from mediascribe.takedown import mark

KEY = "sk-canary0123456789abcdef"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("MEDIASCRIBE_API_KEY", KEY)


@pytest.fixture
def ran(job, capsys):
    """`ran(rows=3)`: a job whose rows have their results; its path."""

    def _ran(**job_changes):
        path = Path(job(**job_changes))
        assert trying.try_(path, rows=99, keep=True, json=True) == 0
        capsys.readouterr()
        return path

    return _ran


def printed(capsys):
    """What was printed, which has no key in it."""
    said = capsys.readouterr()
    assert KEY not in said.out + said.err
    return said


def test_try_shows_answers_tokens_and_cost(job, gateway, capsys):
    """And what the whole manifest would cost at that rate: 20 rows, ten times what two did."""
    path = Path(job(rows=20))
    assert trying.try_(path, rows=2) == 0
    shown = printed(capsys).out
    spent = sum(entry.nano_usd for entry in gateway.ledger())
    assert len(gateway.ledger()) == 2
    assert "The image is a PNG of 64 by 48 pixels" in shown
    assert f"2 rows, ${spent / 1e9:.7f}".rstrip("0") in shown
    assert f"all 20 rows of the manifest at that rate: about ${spent / 1e8:.7f}".rstrip("0") in shown
    assert list(open_store("out").list("results/")) == []


def test_try_tells_programs(job, capsys):
    """The rows with the columns of the dataset, the run, and the estimate."""
    assert trying.try_(Path(job(rows=4)), rows=3, seed=5, json=True) == 0
    told = json.loads(printed(capsys).out)
    assert {row["status"] for row in told["rows"]} == {"ok"}
    assert set(dataset.SCHEMA.names) <= set(told["rows"][0])
    assert (told["run"]["rows_planned"], told["manifest"]["rows"]) == (3, 4)


def test_a_kept_try_is_a_run(job, capsys):
    """Its answers are results, and it asks what has none."""
    path = Path(job(rows=5))
    assert trying.try_(path, rows=3, keep=True) == 0
    assert trying.try_(path, rows=3, keep=True) == 0
    assert "2 rows, $" in printed(capsys).out
    assert len(dataset.current("out")) == 5


def test_a_try_that_had_to_stop_says_why(job, gateway, capsys):
    """Status 1, with what was answered; a budget that is used up, for one."""
    path = Path(job(rows=5, more="[budget]\nrequests = 2\n[limits]\nconcurrency = 1"))
    assert trying.try_(path, rows=4) == 1
    shown = printed(capsys).out
    assert "stopped before the end: the budget is spent: budget.requests is 2" in shown
    assert "2 rows, $" in shown
    assert len(gateway.ledger()) == 2


def test_requests_in_doubt_are_told(job, gateway, capsys):
    """They may have been billed."""
    gateway.behave("*", Behaviour(faults=(Fault("reset_after", times=1),)))
    assert trying.try_(Path(job(rows=1)), rows=1) == 0
    assert "1 requests were sent and not answered: they may have been billed" in printed(capsys).out


def test_a_model_without_a_price_has_an_unknown_cost(job, capsys):
    """Never 0."""
    path = Path(job(rows=2))
    path.write_text(path.read_text().replace("gemini-2.0-flash", "gemini-2.0-flash+slow=0"))
    assert trying.try_(path, rows=1) == 0
    assert "unknown cost, for want of a price" in printed(capsys).out


def test_a_kind_that_was_not_asked_is_named(job, capsys):
    """One row of two kinds says nothing about the other."""
    path = Path(job(manifest="item_id,image_url,audio_url\na,https://h/a.png,\nb,,https://h/b.mp3\n"))
    trying.try_(path, rows=1)
    assert "was asked: take more, with -n" in printed(capsys).out


@pytest.mark.parametrize("rows", [0, -3])
def test_a_number_of_rows_is_one_or_more(job, rows):
    """Else nothing is sent."""
    with pytest.raises(ConfigError, match=f"--rows {rows}: wants a number of rows"):
        trying.try_(Path(job()), rows=rows)


def test_an_empty_manifest_has_nothing_to_try(job):
    """The message names it."""
    with pytest.raises(ConfigError, match=r"m\.csv: has no row that may be asked"):
        trying.try_(Path(job(rows=0)))


def test_warnings_come_first(job, monkeypatch, capsys):
    """What is known to be wrong with the model is told on the side."""
    trying.try_(Path(job(rows=1)), rows=1, json=True)
    assert "warning: `gemini-2.0-flash`" in printed(capsys).err


def test_diff_shows_two_sides(job, gateway, tmp_path, capsys):
    """The same rows by two prompts: answers beside each other, and what changed."""
    (tmp_path / "a.md").write_text("What is it?")
    (tmp_path / "b.md").write_text("What is it, in detail?")
    path = Path(job(rows=6))
    assert trying.diff(path, variants=trying.Variants(prompt=["a.md", "b.md"]), drawn=trying.Drawn(rows=3)) == 0
    shown = printed(capsys).out
    assert "a.md" in shown
    assert "of the answers are identical" in shown
    assert "cost usd" in shown
    assert len({entry.prompt_sha256 for entry in gateway.ledger()}) == 2
    assert len(gateway.ledger()) == 6


def test_diff_writes_a_table(job, tmp_path, capsys):
    """A line for each item, as CSV or Parquet; and one JSON object for programs."""
    path, variants = Path(job(rows=3)), trying.Variants(parameters=["max_tokens=3", "max_tokens=300"])
    assert trying.diff(path, variants=variants, out=Path("d.csv"), json=True) == 0
    told = json.loads(printed(capsys).out)
    with (tmp_path / "d.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["first_status"], line["second_status"], line["identical"]) for line in lines] == [
        ("truncated", "ok", "False")
    ] * 3
    assert [side["name"] for side in told["sides"]] == ["max_tokens=3", "max_tokens=300"]
    assert (told["identical"], len(told["rows"])) == (0.0, 3)
    assert trying.diff(path, variants=variants, out=Path("d.parquet")) == 0
    assert (tmp_path / "d.parquet").stat().st_size


def test_diff_that_stops_says_why_once(job, gateway, capsys):
    """One side's balance is empty: the reason is told, not that the other side was told to stop."""
    gateway.behave("gemini-2.5-flash", Behaviour(faults=(Fault("balance_empty"),)))
    assert trying.diff(Path(job(rows=2)), variants=trying.Variants(model=["gemini-2.5-flash"]), out=Path("d.csv")) == 1
    shown = printed(capsys).out
    assert shown.count("stopped before the end") == 1
    assert "the run is over" not in shown


def test_diff_wants_something_to_differ(job):
    """And a file of a known kind."""
    with pytest.raises(ConfigError, match="nothing to compare"):
        trying.diff(Path(job()))
    with pytest.raises(ConfigError, match=r"d\.xls: no format"):
        trying.diff(Path(job()), variants=trying.Variants(model=["x"]), out=Path("d.xls"))


def test_replay_shows_what_is_known_of_a_row(ran, capsys):
    """Without the job: what the Parquet has, the price by rate, every run; that the journal is gone."""
    ran(rows=2)
    assert trying.replay("i0000", output="out") == 0
    shown = printed(capsys).out
    assert "red.png" in shown
    assert "journal" in shown
    assert "USD per million" in shown
    assert "by the price" in shown
    assert "POST" not in shown


def test_replay_shows_the_request_as_it_was_sent(ran, gateway, capsys):
    """With the job; nothing is asked."""
    path = ran(rows=2)
    gateway.reset()
    assert trying.replay("i0000", output="out", again=trying.Again(job=path)) == 0
    shown = printed(capsys).out
    assert "the request, as it was sent" in shown
    assert f"POST {gateway.url}/chat/completions" in shown
    assert '"text": "What is it?"' in shown
    assert gateway.ledger() == []


def test_replay_says_when_the_job_asks_something_else_now(ran, capsys):
    """And what of it was changed."""
    path = ran(rows=1)
    path.write_text(path.read_text().replace("What is it?", "What is that?"))
    assert trying.replay("i0000", output="out", again=trying.Again(job=path)) == 0
    assert "which is another one: prompt" in printed(capsys).out


def test_replay_asks_again_and_compares(ran, gateway, capsys):
    """One request, no new row; identical answers are told so."""
    path = ran(rows=2)
    gateway.reset()
    assert trying.replay("i0000", output="out", again=trying.Again(job=path, send=True)) == 0
    shown = printed(capsys).out
    assert "the answers are identical" in shown
    assert len(gateway.ledger()) == 1
    assert len(dataset.history("out")) == 2
    assert trying.replay("i0001", output="out", again=trying.Again(job=path, send=True), json=True) == 0
    told = json.loads(printed(capsys).out)
    assert (told["identical"], told["now"]["status"], told["request"]["is_same"]) == (True, "ok", True)
    assert [line["kind"] for line in told["price"]["lines"]] == ["input", "image_in", "output"]


def test_replay_shows_other_answers_as_others(ran, gateway, capsys):
    """One that was cut, for instance."""
    path = ran(rows=1)
    gateway.behave("*", Behaviour(faults=(Fault("length"),)))
    trying.replay("i0000", output="out", again=trying.Again(job=path, send=True))
    assert "the answers differ" in printed(capsys).out


def test_replay_of_a_row_that_was_not_billed(job, gateway, capsys):
    """A skipped row costs nothing, and has no request."""
    path = Path(job(manifest="item_id,image_url\na,\n"))
    trying.try_(path, keep=True, json=True)
    printed(capsys)
    assert trying.replay("a", output="out") == 0
    shown = printed(capsys).out
    assert "none: nothing was billed" in shown
    assert "no_media" in shown
    with pytest.raises(ConfigError, match="nothing is sent about `a`"):
        trying.replay("a", output="out", again=trying.Again(job=path))


def test_replay_of_a_fallbacks_answer_has_no_rates(job, gateway, capsys):
    """It was billed at that model's price."""
    gateway.behave("gemini-2.0-flash", Behaviour(faults=(Fault("content_filter"),)))
    path = Path(job(rows=1, top='fallback = ["gemini-2.5-flash"]'))
    trying.try_(path, keep=True, json=True)
    printed(capsys)
    assert trying.replay("i0000", output="out") == 0
    assert "a fallback model answered" in printed(capsys).out


def test_replay_refuses_what_it_cannot_ask(ran, tmp_path):
    """--send without a job, an item that the manifest has not any more, and one that was taken down."""
    path = ran(rows=2)
    with pytest.raises(ConfigError, match="--send asks what a job asks: name it with --job"):
        trying.replay("i0000", output="out", again=trying.Again(send=True))
    lines = (tmp_path / "m.csv").read_text().splitlines()
    (tmp_path / "m.csv").write_text("\n".join([lines[0], lines[2]]) + "\n")
    with pytest.raises(ConfigError, match=r"m\.csv: has no item `i0000` any more"):
        trying.replay("i0000", output="out", again=trying.Again(job=path))


def test_an_item_that_was_taken_down_is_not_sent(ran, tmp_path, monkeypatch):
    """Not even where a copy of its row is at hand."""
    path = ran(rows=2)
    monkeypatch.setattr("mediascribe.takedown.forgotten", lambda _: frozenset({mark("i0000")}))
    with pytest.raises(ConfigError, match="`i0000` was taken down by `mediascribe forget`: it is not asked again"):
        trying.replay("i0000", output="out", again=trying.Again(job=path, send=True))


def test_init_writes_a_job_that_can_be_tried(gateway, tmp_path, capsys):
    """From flags alone; a second time it refuses."""
    (tmp_path / "m.csv").write_text(f"sku,photo,title\n1,{gateway.media_url}red.png,A\n")
    given = trying.Given(manifest="m.csv", base_url=gateway.url, model="gemini-2.0-flash", output="out")
    assert trying.init(Path("shop.toml"), given=given) == 0
    shown = printed(capsys).out
    assert "wrote shop.toml" in shown
    assert "next:  mediascribe doctor shop.toml" in shown
    assert trying.try_(Path("shop.toml"), json=True) == 0
    assert json.loads(printed(capsys).out)["rows"][0]["item_id"] == "1"
    with pytest.raises(ConfigError, match="never overwrites"):
        trying.init(Path("shop.toml"), given=given)
    assert trying.init(given=given, json=True) == 0
    told = json.loads(printed(capsys).out)
    assert (told["path"], told["found"]["media"]) == ("job.toml", {"image": ["photo"]})


def test_init_asks_at_a_terminal(tmp_path, monkeypatch, capsys):
    """For what is missing; Enter takes what is usual, and an answer that must be is asked for again."""
    (tmp_path / "m.csv").write_text("url,media_kind\nhttps://h/1,image\n")
    said = iter(["", "m.csv", "sandbox", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(said))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert trying.init(Path("shop.toml"), given=trying.Given(model="gemini-2.5-flash")) == 0
    written = (tmp_path / "shop.toml").read_text()
    assert 'output = "data/shop"' in written
    assert 'model = "gemini-2.5-flash"' in written
    assert "url of the kind in media_kind" in printed(capsys).out


def test_init_without_a_terminal_names_what_is_missing(monkeypatch):
    """By its options."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(ConfigError, match="init needs --base-url, --output: there is no terminal"):
        trying.init(Path("shop.toml"), given=trying.Given(manifest="m.csv", model="m"))


def test_the_commands_have_the_options_that_are_documented(job, capsys):
    """`try JOB -n 1`, `diff JOB --prompt a --prompt b`, `replay ITEM --output OUT --run R --job J --send`."""
    app = App(result_action="return_value")
    app.command(trying.try_, name="try")
    for command in (trying.diff, trying.replay, trying.init):
        app.command(command)
    path = job(rows=2)
    quiet = {"exit_on_error": False, "print_error": False}
    assert app(["try", path, "-n", "1", "--keep", "--seed", "3", "--json"], **quiet) == 0
    row = json.loads(printed(capsys).out)["rows"][0]
    assert (
        app(
            ["diff", path, "--model", "gemini-2.0-flash", "--model", "gemini-2.5-flash", "-n", "1", "-o", "d.md"],
            **quiet,
        )
        == 0
    )
    words = ["replay", row["item_id"], "--output", "out", "--run", row["run_id"][:8], "--job", path, "--send"]
    assert app(words, **quiet) == 0
    words = ["init", "b.toml", "--manifest", "m.csv", "--base-url", "sandbox", "--model", "m", "--output", "o"]
    assert app(words, **quiet) == 0
