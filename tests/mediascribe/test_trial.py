"""Rows are really asked, over real HTTP, before a run is paid for; what that spends counts, and nothing else stays."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from mediascribe import columns, dataset, pairs, plan, run, sampling, takedown, trial, trial_spending, variants
from mediascribe.domain import Item, Media, Usage
from mediascribe.errors import ConfigError, DiskError, OutputInUse
from mediascribe.inputs import check
from mediascribe.journal import Journal, Sent, place
from mediascribe.plan import Order
from mediascribe.report import trials as report
from mediascribe.sampling import Draw
from mediascribe.sandbox import Behaviour, Fault, Sandbox
from mediascribe.spending import Spent
from mediascribe.store import LocalStore, lease
from mediascribe.variants import Changes, parameters, sides
from mediascribe.verification import verify

GEMINI = "gemini-2.0-flash"
JOB = """
name = "t"
model = "gemini-2.0-flash"
output = "{output}"
[manifest]
path = "{manifest}"
[gateway]
base_url = "{base_url}"
[media]
mode = "url"
[prompt]
text = "What is it?"
[parameters]
max_tokens = 300
{more}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    Image.new("RGB", (64, 48), "red").save(folder / "red.png")
    with Sandbox(samples=folder) as sandbox:
        yield sandbox


@pytest.fixture
def job(tmp_path, gateway, monkeypatch):
    """`job(rows=4, more="[budget]...")`: the path of a job about so many pictures and one row without media."""

    def _job(*, rows=4, more="", base_url=None):
        gateway.reset()
        monkeypatch.setenv("MEDIASCRIBE_API_KEY", gateway.api_key)
        lines = [
            {"item_id": f"i{n}", "image_url": gateway.media_url + "red.png", "title": f"no. {n}"} for n in range(rows)
        ]
        lines.append({"item_id": "bare", "image_url": None, "title": "none"})
        manifest, path = tmp_path / "m.jsonl", tmp_path / "job.toml"
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
        path.write_text(
            JOB.format(output=tmp_path / "out", manifest=manifest, base_url=base_url or gateway.url, more=more)
        )
        return str(path)

    return _job


async def asked(inputs, *, rows=3, **ears):
    items = sampling.draw(inputs, Draw(rows=rows))
    one = [trial.Side(name="job", inputs=inputs)]
    async with trial.bench(one, items, holder="test", ears=trial.Ears(**ears)) as bench:
        return (await bench.ask())[0]


def spent(inputs):
    """What the run files of the output say that was spent, in nano-dollars and requests."""
    days = [day for one in dataset.runs(inputs.store) for day in one["spent"].values()]
    return sum(day["nano_usd"] for day in days), sum(day["requests"] for day in days)


@pytest.mark.wide
async def test_a_trial_answers_and_leaves_no_row(job, gateway):
    """Two pictures and the bare row; the dataset has no part, and the trial's folder is gone."""
    inputs, heard = check(job()), []
    found = await asked(inputs, announce=heard.append)
    assert [row["status"] for row in found.rows] == ["ok", "ok", "skipped"]
    assert [row["row_number"] for row in found.rows] == sorted(row["row_number"] for row in found.rows)
    assert (len(heard), found.run.wrote.rows, len(gateway.ledger())) == (3, 3, 2)
    assert list(inputs.store.list("results/")) == []
    assert list((inputs.store.work / "trials").iterdir()) == []


@pytest.mark.wide
async def test_what_a_trial_spends_counts(job, gateway):
    """Its run file has no rows, the reason `trial`, and in `spent` what the gateway billed."""
    inputs = check(job())
    await asked(inputs)
    (counted,) = dataset.runs(inputs.store)
    assert (counted["reasons"], counted["rows_planned"], counted["wrote"]["rows"]) == (["trial"], 0, 0)
    assert counted["complete"] is True
    assert spent(inputs) == (sum(entry.nano_usd for entry in gateway.ledger()), 2)


@pytest.mark.wide
async def test_a_trial_sends_within_the_quota_that_runs_have_in_common(job, gateway, tmp_path):
    """It joins where they meet, is lent its share there, and leaves nothing behind."""
    place = tmp_path / "quota"
    inputs = check(job(more=f'[limits]\nrequests_per_minute = 6000\ncommon = "{place}"'))
    notes, seen = place / "_work" / "common" / "notes", []
    await asked(inputs, announce=lambda _: seen.append([one.name for one in notes.iterdir()]))
    assert (len(gateway.ledger()), [len(names) for names in seen[1:]]) == (2, [1, 1])
    assert list(notes.iterdir()) == []


@pytest.mark.wide
async def test_the_cap_of_a_day_holds_over_trials(job, gateway):
    """Three requests a day: the second trial may send one more, stops, and says why."""
    inputs = check(job(more="[budget]\nday = { requests = 3 }"))
    await asked(inputs)
    second = await asked(inputs)
    assert len(gateway.ledger()) == 3
    assert second.run.status == "stopped"
    assert "budget.day.requests" in second.run.stopped
    assert spent(inputs)[1] == 3


@pytest.mark.wide
async def test_a_trial_leaves_a_sound_dataset_as_it_is(job):
    """Beside a kept run, the trial's run file is no defect."""
    path = job()
    async with trial.kept(path, Draw(rows=5)) as bench:
        (kept,) = await bench.ask()
    inputs = check(path)
    await asked(inputs)
    found = verify(inputs.store.root)
    assert (found.ok, found.rows, kept.run.complete) == (True, 5, True)


@pytest.mark.wide
async def test_kept_answers_are_results_and_are_not_asked_again(job, gateway):
    """A sample of three of the five rows, then of the rest; then nothing is left, and the trial says so."""
    path = job()
    for rows, total in ((3, 3), (3, 5)):
        async with trial.kept(path, Draw(rows=rows)) as bench:
            await bench.ask()
        assert len(dataset.current(check(path).store)) == total
    assert len(gateway.ledger()) == 4
    with pytest.raises(ConfigError, match="every row has its result: leave out --keep"):
        async with trial.kept(path, Draw(rows=3)):
            pytest.fail("nothing is left to ask")
    assert plan.unfinished(check(path).store) == []


@pytest.mark.wide
async def test_a_kept_sample_recovers_an_interrupted_run_first(job):
    """Its plan is closed, as any run does."""
    path = job()
    inputs = check(path)
    inputs.plan(("new",))
    async with trial.kept(path, Draw(rows=2)) as bench:
        await bench.ask()
    assert sorted(one["status"] for one in dataset.runs(inputs.store)) == ["completed", "interrupted"]


@pytest.mark.wide
async def test_a_killed_trial_is_counted_by_the_next(job, gateway):
    """Its journal says that a request left: it counts at its worst, in doubt, and the folder goes."""
    inputs = check(job())
    left = LocalStore(root=inputs.store.work / "trials" / "killed")
    left.prepare()
    made = plan.make(inputs.items(), inputs.facts(), Order(reasons=("new",), shard_rows=None, config_sha256="c"), left)
    with Journal(place(left.work, made.shards[0])) as log:
        log.append(Sent(row=1, key="k", at=1_800_000_000.0, nano_usd=5_000, tokens=70))
    (inputs.store.work / "trials" / "empty").mkdir()
    trial_spending.settle(inputs.store, inputs.prices)
    (counted,) = dataset.runs(inputs.store)
    assert (counted["run_id"], counted["status"], counted["in_doubt"]) == (made.run_id, "interrupted", 1)
    assert [day["in_doubt_nano_usd"] for day in counted["spent"].values()] == [5_000]
    assert list((inputs.store.work / "trials").iterdir()) == []
    assert run.spent_before(inputs.store, run.started_at(made.run_id).date())


@pytest.mark.wide
async def test_a_trial_waits_for_no_other_run(job):
    """Who holds the output is named, and nothing is sent."""
    inputs = check(job())
    with lease(inputs.store, holder="mediascribe run x"), pytest.raises(OutputInUse, match="mediascribe run x"):
        await asked(inputs)


@pytest.mark.parametrize("more", ["[budget]\nday = { usd = 1.0 }", "[limits]\nrequests_per_day = 9"])
@pytest.mark.wide
async def test_caps_of_a_day_want_every_run_to_be_counted(job, more):
    """What an interrupted run spent is in no run file yet: it is to be gone on with first."""
    path = job(more=more)
    inputs = check(path)
    inputs.plan(("new",))
    with pytest.raises(
        ConfigError, match=f"was interrupted, and what it spent .* first go on with it: mediascribe run {path}"
    ):
        await asked(inputs)


@pytest.mark.wide
async def test_without_such_caps_an_interrupted_run_is_no_hindrance(job):
    """The cap of one run is the trial's own."""
    inputs = check(job(more="[budget]\nusd = 1.0"))
    inputs.plan(("new",))
    assert (await asked(inputs)).run.status == "completed"
    assert len(plan.unfinished(inputs.store)) == 1


@pytest.mark.wide
async def test_a_drained_trial_ends_as_interrupted(job):
    """What was not sent yet is not sent any more."""
    inputs = check(job())
    items, one = sampling.draw(inputs, Draw(rows=3)), [trial.Side(name="job", inputs=inputs)]
    async with trial.bench(one, items, holder="test") as bench:
        assert (bench.rows, bench.watch().budget.waiting) == (3, 0)
        bench.drain("interrupted by Ctrl-C")
        (found,) = await bench.ask()
    assert (found.run.status, found.run.stopped, found.rows) == ("interrupted", "interrupted by Ctrl-C", [])


@pytest.mark.wide
async def test_a_broken_disk_is_told_as_itself(job, monkeypatch):
    """Not as a group of exceptions."""
    inputs = check(job())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "append", full)
    with pytest.raises(DiskError, match="No space left"):
        await asked(inputs)


@pytest.mark.wide
async def test_rows_that_were_taken_down_are_not_asked(job, tmp_path):
    """Neither drawn nor, when named, sent."""
    path = job(rows=1)
    inputs = check(path)
    items = list(inputs.items())
    _take_down(path, tmp_path, "i0")
    assert [item.item_id for item in sampling.draw(inputs, Draw(rows=9))] == ["bare"]
    async with trial.bench([trial.Side(name="x", inputs=inputs)], items[:1], holder="test") as bench:
        assert bench.rows == 0
        (found,) = await bench.ask()
    assert (found.rows, found.run.rows_planned) == ([], 0)


def _take_down(path, tmp_path, item_id):
    store = check(path).store
    (tmp_path / "ids").write_text(item_id)
    with lease(store, holder="test"):
        takedown.forget(store, takedown.read_ids(tmp_path / "ids"), datetime.now(UTC))


@pytest.mark.wide
def test_a_draw_is_the_same_for_a_seed_and_spread_over_kinds(job):
    """Of twenty pictures and a bare row, four: three pictures and the bare one; another seed, other pictures."""
    inputs = check(job(rows=20))
    drawn = {seed: [one.item_id for one in sampling.draw(inputs, Draw(rows=4, seed=seed))] for seed in range(3)}
    assert drawn[0] == [one.item_id for one in sampling.draw(inputs, Draw(rows=4))]
    assert all(len(ids) == 4 and "bare" in ids for ids in drawn.values())
    assert len({tuple(ids) for ids in drawn.values()}) > 1


@pytest.mark.wide
def test_kinds_are_counted_as_the_dataset_names_them(job, tmp_path):
    """Two pictures are `image`, whatever their order with a sound `image+audio`, none is None."""
    path = job()
    rows = [
        {"image_url": ["https://h/a.png", "https://h/b.png"]},
        {"image_url": "https://h/a.png", "audio_url": "https://h/a.mp3"},
        {"audio_url": "https://h/a.mp3"},
        {"image_url": None},
    ]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert sampling.kinds(check(path).items()) == {"image": 1, "image+audio": 1, "audio": 1, None: 1}


def row(**changes):
    plain = {"item_id": "a", "media_kind": "image", "status": "ok", "description": "A dog.", "answer_json": None}
    plain |= {"cost_usd": 0.001, "usage_source": "reported", "total_tokens": 100, "wasted_tokens": 0}
    plain |= {"prompt_tokens": 90, "completion_tokens": 10, "latency_s": 1.0}
    return plain | changes


def test_an_estimate_is_made_kind_by_kind():
    """Two pictures at 0.001 and 0.003 stand for 100, one sound at 0.01 for 10: 100 x 0.002 + 10 x 0.01 = 0.3 USD."""
    sample = [row(), row(cost_usd=0.003, total_tokens=290, wasted_tokens=10), row(media_kind="audio", cost_usd=0.01)]
    found = sampling.estimate(sample, {"image": 100, "audio": 10})
    assert (found.rows, found.cost_usd, found.tokens) == (110, 0.3, 100 * 200 + 10 * 100)


def test_a_skipped_row_costs_nothing_and_a_row_without_a_price_is_unknown():
    """Nothing billed is 0; billed at no known price leaves the sum unknown, and the tokens known."""
    nothing = row(status="skipped", cost_usd=None, usage_source="missing", total_tokens=0)
    assert sampling.estimate([row(), nothing], {"image": 10}).cost_usd == 0.005
    assert sampling.estimate([row(cost_usd=None)], {"image": 10}) == sampling.Estimate(
        rows=10, cost_usd=None, tokens=1000
    )
    assert sampling.nano_usd_of([row(cost_usd=None, usage_source="missing")]) is None


def test_a_kind_that_was_not_asked_leaves_the_estimate_unknown():
    """It is named."""
    found = sampling.estimate([row()], {"image": 10, "video": 1, None: 2})
    assert (found.cost_usd, found.tokens, found.unasked) == (None, None, ["video", "no media"])


def test_pairs_are_the_items_of_both_sides():
    """In the order of the first; an item of one side only is left out."""
    found = pairs.pairs([row(item_id="b"), row(item_id="a"), row(item_id="c")], [row(item_id="a"), row(item_id="b")])
    assert [(pair.first["item_id"], pair.second["item_id"]) for pair in found] == [("b", "b"), ("a", "a")]


def test_identical_is_said_of_two_answers_only():
    """Half of the two pairs that have two answers; structured ones are compared as JSON; none is None."""
    failed = row(status="failed", description="no JSON")
    found = [
        pairs.Pair(first=row(answer_json='{"a":1}', description='{"a": 1}'), second=row(answer_json='{"a":1}')),
        pairs.Pair(first=row(), second=row(description="A cat.")),
        pairs.Pair(first=row(), second=failed),
    ]
    assert [pair.is_identical for pair in found] == [True, False, None]
    assert pairs.identical(found) == 0.5
    assert pairs.identical(found[2:]) is None


def test_measures_say_what_the_second_side_has_more():
    """Worked by hand: 0.003 USD and 12 tokens more, answers of 6 and 8 letters, one row failed."""
    second = row(cost_usd=0.004, completion_tokens=22, description="Two dogs", latency_s=1.5)
    failed = row(status="failed", cost_usd=None, usage_source="missing", latency_s=None, completion_tokens=0)
    found = {
        one.name: one
        for one in pairs.measures([pairs.Pair(first=row(), second=second), pairs.Pair(first=failed, second=failed)])
    }
    assert (found["cost_usd"].first, found["cost_usd"].second, found["cost_usd"].change) == (0.001, 0.004, 0.003)
    assert (found["completion_tokens"].change, found["answer_characters"].change) == (12, 2.0)
    assert (found["failed"].first, found["ok"].second, found["latency_s"].change) == (1, 1, 0.5)


def test_what_nobody_knows_has_no_change():
    """Without a price on one side, or without any answer, a difference is None, not 0."""
    unknown = row(cost_usd=None)
    bare = row(status="failed", cost_usd=None, usage_source="missing", latency_s=None)
    found = {one.name: one for one in pairs.measures([pairs.Pair(first=row(), second=unknown)])}
    assert (found["cost_usd"].second, found["cost_usd"].change) == (None, None)
    found = {one.name: one for one in pairs.measures([pairs.Pair(first=bare, second=bare)])}
    assert (found["answer_characters"].first, found["latency_s"].change) == (None, None)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("temperature=0.2", {"temperature": 0.2}),
        ("a=1, b=x ,c=null,d=true", {"a": 1, "b": "x", "c": None, "d": True}),
        (' {"stop": ["a", "b"]}', {"stop": ["a", "b"]}),
        ("a=", {"a": ""}),
    ],
)
def test_parameters_are_pairs_or_an_object(text, members):
    """A value is JSON where it can be, else the text."""
    assert parameters(text) == members


@pytest.mark.parametrize("text", ["temperature", "=1", "a=1,,b=2", '{"a": }', "{1: 2}"])
def test_other_words_are_no_parameters(text):
    """The message quotes them."""
    with pytest.raises(ConfigError, match="--parameters "):
        parameters(text)


@pytest.mark.wide
def test_two_sides_differ_in_what_was_said(job, tmp_path):
    """One value stands against the job's own; null takes a parameter away; the manifest has both prompts' columns."""
    (tmp_path / "my prompt.md").write_text("What is {{ title }}?")
    inputs = check(job())
    changes = Changes(
        prompts=[str(tmp_path / "my prompt.md")],
        models=["gemini-2.5-flash", "claude-sonnet-4-5-20250929"],
        parameters=["max_tokens=null,seed=7"],
    )
    first, second = sides(inputs, changes)
    assert first.name == "prompt default, gemini-2.5-flash, the job's parameters"
    assert (first.inputs.job.model, first.inputs.prompt.id, first.inputs.dialect) == (
        "gemini-2.5-flash",
        "default",
        "chat",
    )
    assert (second.inputs.prompt.id, second.inputs.dialect) == ("my-prompt", "messages")
    assert (first.inputs.job.parameters, second.inputs.job.parameters) == ({"max_tokens": 300}, {"seed": 7})
    assert {side.inputs.manifest.layout.wanted[-1] for side in (first, second)} == {"title"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (Changes(), "nothing to compare"),
        (Changes(models=["a", "b", "c"]), "--model stands 3 times"),
        (Changes(prompts=["none.md"]), "none.md: there is no such file"),
        (Changes(parameters=["stream=true"]), "--parameters stream=true: .*may not set stream"),
    ],
)
@pytest.mark.wide
def test_sides_that_cannot_be_are_refused(job, changes, message):
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=message):
        sides(check(job()), changes)


@pytest.mark.wide
def test_a_model_without_a_price_cannot_keep_a_cap_in_usd(job):
    """As in a run."""
    with pytest.raises(ConfigError, match=r"budget\.usd. cannot be kept: no price of `nobody-knows-it`"):
        sides(check(job(more="[budget]\nusd = 1.0")), Changes(models=["nobody-knows-it"]))


@pytest.mark.wide
async def test_two_sides_ask_the_same_rows(job, gateway):
    """Each row once a side, by its own model, in one trial; both count."""
    inputs = check(job())
    two = sides(inputs, Changes(models=["gemini-2.5-flash"]))
    async with trial.bench(two, sampling.draw(two[0].inputs, Draw(rows=3)), holder="test") as bench:
        first, second = await bench.ask()
    assert [one["item_id"] for one in first.rows] == [one["item_id"] for one in second.rows]
    assert sorted(entry.model for entry in gateway.ledger()) == ["gemini-2.0-flash"] * 2 + ["gemini-2.5-flash"] * 2
    assert spent(inputs) == (sum(entry.nano_usd for entry in gateway.ledger()), 4)
    assert len(dataset.runs(inputs.store)) == 2


@pytest.mark.wide
async def test_a_side_that_has_to_stop_stops_both(job, gateway):
    """A model that the gateway does not serve: the comparison is over, and the reason is told."""
    inputs = check(job())
    gateway.behave("gemini-2.5-flash", Behaviour(faults=(Fault("balance_empty"),)))
    two = sides(inputs, Changes(models=["gemini-2.5-flash"]))
    async with trial.bench(two, sampling.draw(inputs, Draw(rows=3)), holder="test") as bench:
        _, second = await bench.ask()
    assert second.run.status == "stopped"


@pytest.mark.wide
async def test_media_that_one_side_cannot_take_are_skipped_there_only(job):
    """Claude takes no sound: its row has the reason, and the other side's is sent."""
    inputs = check(job())
    sound = Item(item_id="s", row_number=1, media=(Media(kind="audio", url="https://h/s.mp3"),))
    first, second = sides(inputs, Changes(models=["claude-sonnet-4-5-20250929"]))
    async with trial.bench([second], [sound], holder="test") as bench:
        (found,) = await bench.ask()
    assert (found.rows[0]["status"], found.rows[0]["error_code"]) == ("skipped", "unsupported_media")
    assert first.inputs.model.media == ("image", "audio", "video")


@pytest.mark.wide
def test_run_files_of_trials_are_run_files(job):
    """They decode as any other."""
    empty = msgspec.json.encode(trial_spending._NO_ROWS)  # noqa: SLF001 - what every such file has
    assert msgspec.json.decode(empty, type=run.Tally).rows == 0
    assert Path(check(job()).store.work).is_dir()


@pytest.mark.wide
def test_a_variant_keeps_the_job(job):
    """What was not changed is as it was."""
    inputs = check(job())
    first, _ = variants.sides(inputs, Changes(parameters=["seed=1", "seed=2"]))
    assert first.inputs.job.model_copy(update={"parameters": inputs.job.parameters}) == inputs.job


@pytest.mark.wide
async def test_what_a_start_waits_for_is_told(job, monkeypatch):
    """Lines about runs that a lost machine left in the bucket reach the person."""
    monkeypatch.setattr(trial.shipping, "fetch", lambda _: ["brought run x"])
    said = []
    await asked(check(job(rows=1)), rows=1, tell=said.append)
    assert said == ["brought run x"]


@pytest.fixture
def made(build):
    """`made(record, ..., stopped=...)`: a trial of these records, as it would have ended."""

    def _made(*records, name="one", status="completed", stopped=None, in_doubt=0):
        facts = build.facts()
        table = columns.to_batch(facts, build.shard(rows=len(records)), records)
        plain = dict.fromkeys(("job", "model", "config_sha256", "prompt_sha256", "parameters_sha256"), "")
        at = datetime(2026, 11, 23, tzinfo=UTC)
        closed = run.RunFile(
            **plain,
            run_id=facts.run_id,
            status=status,
            stopped=stopped,
            versions={},
            started_at=at,
            finished_at=at,
            reasons=("trial",),
            plan={},
            rows_planned=len(records),
            wrote=trial_spending._NO_ROWS,  # noqa: SLF001 - no row is in a dataset
            in_doubt=in_doubt,
            torn=[],
            complete=True,
            spent={"2026-11-23": Spent(nano_usd=1_500_000), "2026-11-24": Spent(nano_usd=500_000)},
        )
        return trial.Trial(name=name, facts=facts, rows=table.to_pylist(), run=closed)

    return _made


def shown(show, *what, width=160):
    """What *show* prints."""
    console = Console(file=io.StringIO(), width=width)
    show(*what, console)
    return console.file.getvalue()


def test_a_trial_is_shown_with_what_it_spent(made, build):
    """Answers free of what a terminal would act on, failures with their reason, flags, and the sum over all days."""
    one = build.record("a", nano_usd=42_000, outcome=build.completion(text="[red]A\x1b dog.", flags=("zero_usage",)))
    two = build.record("b", 2, outcome=build.failure(usage=Usage()))
    said = shown(report.print_trial, made(one, two), sampling.Estimate(rows=1000, cost_usd=0.042, tokens=9))
    assert "[red]A dog." in said
    assert "zero_usage" in said
    assert "media: HTTP 404 at https://cdn.example/a.jpg" in said
    assert "0.000042" in said
    assert "2 rows, $0.0020 spent at list price" in said
    assert "all 1,000 rows of the manifest at that rate: about $0.0420, 9 tokens" in said


@pytest.mark.parametrize(
    ("whole", "words"),
    [
        (sampling.Estimate(rows=1, cost_usd=None, tokens=5), "all 1 row of the manifest at that rate: unknown cost"),
        (
            sampling.Estimate(rows=9, cost_usd=None, tokens=None, unasked=["video", "audio"]),
            "no row with video or with",
        ),
    ],
)
def test_what_the_manifest_costs_may_be_unknown(made, build, whole, words):
    """For want of a price, or of rows."""
    assert words in shown(report.print_trial, made(build.record()), whole)


def test_a_sum_with_an_unknown_price_is_unknown(made, build):
    """Not what the other rows came to."""
    rows = build.record("a", nano_usd=42_000), build.record("b", 2)
    said = shown(report.print_trial, made(*rows), sampling.Estimate(rows=2, cost_usd=None, tokens=9))
    assert "2 rows, unknown cost, for want of a price; it counts" in said


def test_an_early_end_is_told_once(made, build):
    """The side that had to stop says why, not the one that was told to; what is in doubt is summed up."""
    first = made(build.record(nano_usd=1_000), status="interrupted", stopped="the run is over", in_doubt=1)
    second = made(build.record(nano_usd=3_000), status="stopped", stopped="the balance is empty", in_doubt=1)
    said = shown(report.print_diff, (first, second), pairs.pairs(first.rows, second.rows))
    assert said.count("stopped before the end") == 1
    assert "stopped before the end: the balance is empty" in said
    assert "2 requests were sent and not answered" in said
    assert "0.000002" in said  # what the second side cost more


def test_two_sides_stand_beside_each_other(made, build):
    """Both answers, whether they are the same, and the measures; one that is 0 on both sides is left out."""
    cat = build.completion(text="A cat.")
    first = made(build.record("a", nano_usd=42_000), build.record("b", 2), name="x.md")
    second = made(build.record("a", nano_usd=42_000), build.record("b", 2, outcome=cat), name="y.md")
    said = shown(report.print_diff, (first, second), pairs.pairs(first.rows, second.rows))
    assert "x.md" in said
    assert "A cat." in said
    assert said.count("identical") == 2  # beside the one item, and in the share
    assert "50% of the answers are identical" in said
    assert "unknown" in said  # the cost of b
    assert "refused" not in said


def test_sides_without_two_answers_have_no_share(made, build):
    """There is nothing to compare."""
    failed = made(build.record(outcome=build.failure()))
    said = shown(report.print_diff, (failed, failed), pairs.pairs(failed.rows, failed.rows))
    assert "identical" not in said


def test_a_comparison_is_a_table_for_programs(made, build):
    """A line for each item, what nobody knows empty; none without rows; and as one object."""
    first, second = made(build.record("a", nano_usd=42_000)), made(build.record("a", outcome=build.failure()))
    found = pairs.pairs(first.rows, second.rows)
    (line,) = report.diff_frame(found).to_dict("records")
    assert (line["item_id"], line["first_cost_usd"], line["second_status"]) == ("a", 0.000042, "failed")
    assert pd.isna(line["identical"])
    assert report.diff_frame([]).empty
    facts = report.diff_facts((first, second), found)
    assert (facts["identical"], facts["sides"][0]["spent"]["2026-11-24"]["nano_usd"]) == (None, 500_000)
    assert facts["rows"][0]["identical"] is None
