"""A shard's rows are asked over real HTTP, journalled, priced and published; the sandbox's ledger is the judge."""

import asyncio
import base64
import dataclasses
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from mediascribe import answer, dataset, models, plan, pricing, prompt, recovery, run, verification
from mediascribe.attempts import Reach
from mediascribe.budget import Budget
from mediascribe.client import Client
from mediascribe.describe import Describer
from mediascribe.domain import Item, Media
from mediascribe.job import Job
from mediascribe.journal import Answered, GaveUp, Journal, Sent, Unanswered, place
from mediascribe.landing import Landing
from mediascribe.lanes import Lanes
from mediascribe.question import Question
from mediascribe.sandbox import Behaviour, Fault, Sandbox
from mediascribe.weights import Weights

pytestmark = pytest.mark.wide

RUN = "20261123T014500Z-3fa9c1"
GEMINI = "gemini-2.0-flash"
MODELS = Path(__file__).parents[2] / "configs/models.toml"


@pytest.fixture(scope="module")
def gateway():
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _clean(gateway):
    gateway.reset()


def picture(colour="red", size=(64, 48)):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def items(*names, **changes):
    media = (Media(kind="image", url=picture()),)
    return [
        Item(**{"item_id": name, "row_number": number, "media": media, "variables": {"title": name}} | changes)
        for number, name in enumerate(names, 1)
    ]


@pytest.fixture
def bench(store, gateway, build):
    """`bench(items, **sections)`: plan, describe every shard, and give what came of it."""

    async def _bench(rows, *, key=None, shard_rows=None, before=None, **sections):
        model, run_id = sections.pop("model", GEMINI), sections.pop("run_id", RUN)
        dialect = sections.pop("dialect", "chat")
        job = Job.model_validate(
            {
                "name": "demo",
                "model": model,
                "output": str(store.root),
                "manifest": {"path": "m.csv"},
                "gateway": {"base_url": gateway.url, "total_timeout_s": 5.0},
                "prompt": {"text": "What is it, {{ title }}?"},
                "retry": {"first_wait_s": 0.0},
            }
            | sections
        )
        asked = prompt.load(job.prompt)
        schema = answer.load_schema(job.answer.schema_, None, job_path="job.toml")
        columns = schema.columns if schema else {}
        facts = build.facts(run_id=run_id, model=model, dialect=dialect, prompt_sha256=asked.sha256, answer=columns)
        order = plan.Order(reasons=("new",), shard_rows=shard_rows, config_sha256="c", same_once=job.media.same_once)
        made = plan.make(rows, facts, order, store)
        if before:
            before(made)
        question = Question(
            job=job, facts=facts, prompt=asked, models=models.load(MODELS), schema=schema, media_base_url=None
        )
        landing = Landing(store=store, prices=pricing.load())
        seen = []
        async with Client(job.gateway, key or gateway.api_key, connections=job.limits.concurrency) as client:
            reach = Reach(
                client=client,
                lanes=Lanes(job.limits),
                budget=Budget(job.budget, None, spent=[], now=lambda: datetime.now(UTC)),
                weights=Weights(question.models, landing.prices, None),
            )
            describer = Describer(question, reach, landing, seen.append)
            reports = await asyncio.gather(*map(describer.describe, made.shards))
        return made, reports, seen, run.close(made, reports, landing)

    return _bench


def rows_of(store):
    return {row["item_id"]: row for row in dataset.history(store.root).to_pylist()}


async def test_every_row_is_answered_and_published(bench, store, gateway):
    """Ten rows, one part, ten answers; what the Parquet says was billed is what the gateway billed."""
    _, (report,), seen, closed = await bench(items(*"abcdefghij"))
    rows = rows_of(store)
    assert [row["status"] for row in rows.values()] == ["ok"] * 10
    assert (report.rows, len(seen), report.in_doubt, report.stopped) == (10, 10, 0, None)
    ledger = gateway.ledger()
    assert len(ledger) == 10
    assert sum(row["total_tokens"] for row in rows.values()) == sum(
        e.prompt_tokens + e.completion_tokens for e in ledger
    )
    assert closed.wrote.cost_usd == sum(entry.nano_usd for entry in ledger) / 1e9
    assert closed.complete
    assert verification.verify(store.root).ok


async def test_a_closed_run_leaves_no_working_files(bench, store):
    """Journal, plan and staging are gone; the run file is there."""
    made, *_ = await bench(items("a"))
    assert plan.unfinished(store) == []
    assert list((store.work / "journal").iterdir()) == []
    assert json.loads(store.read(f"runs/{made.run_id}.json"))["complete"] is True


async def test_the_prompt_is_rendered_for_each_row(bench, store, gateway):
    """Two rows with different titles are two questions, with two keys."""
    await bench(items("a", "b"))
    assert len({entry.prompt_sha256 for entry in gateway.ledger()}) == 2
    assert len({row["request_key"] for row in rows_of(store).values()}) == 2


async def test_a_row_that_cannot_be_asked_is_skipped_and_costs_nothing(bench, store, build, gateway):
    """It has its record, its reason, and no request."""
    problem = build.failure(error_class="row", code="no_media", message="row 1 has no media URL")
    await bench(items("a", problem=problem))
    row = rows_of(store)["a"]
    assert (row["status"], row["error_code"], row["attempts"], row["cost_usd"]) == ("skipped", "no_media", 0, None)
    assert gateway.ledger() == []


async def test_a_prompt_that_cannot_be_filled_skips_its_row(bench, store):
    """A template that breaks on one row's value costs that row only."""
    media = items("a")[0].media
    rows = [
        Item(item_id="a", row_number=1, media=media, variables={"size": 1.5}),
        Item(item_id="b", row_number=2, media=media, variables={"size": "large"}),
    ]
    await bench(rows, prompt={"text": "It is {{ size | round }} m wide."})
    assert {name: row["status"] for name, row in rows_of(store).items()} == {"a": "ok", "b": "skipped"}
    assert rows_of(store)["b"]["error_code"] == "prompt"


async def test_transient_errors_are_tried_again(bench, store, gateway):
    """Two bad gateways and an answer: one row, three attempts, nothing wasted."""
    gateway.behave("*", Behaviour(faults=(Fault("bad_status", times=2),)))
    await bench(items("a"))
    row = rows_of(store)["a"]
    assert (row["status"], row["attempts"], row["wasted_tokens"]) == ("ok", 3, 0)


async def test_a_row_that_keeps_failing_is_a_failed_row(bench, store, gateway):
    """Four attempts, and its record says what the last one met."""
    gateway.behave("*", Behaviour(faults=(Fault("bad_body"),)))
    _, _, _, closed = await bench(items("a"))
    row = rows_of(store)["a"]
    assert (row["status"], row["error_class"], row["http_status"], row["attempts"]) == ("failed", "server", 500, 4)
    assert len(gateway.ledger()) == 4
    assert closed.complete


async def test_media_that_cannot_be_used_are_not_tried_again(bench, store, gateway):
    """A picture that is none fails its row at once."""
    broken = (Media(kind="image", url="data:image/png;base64,AAAA"),)
    await bench(items("a", media=broken))
    row = rows_of(store)["a"]
    assert (row["status"], row["error_class"], row["error_code"]) == ("failed", "media", "convert_request_failed")
    assert len(gateway.ledger()) == 1


async def test_answers_that_were_billed_and_not_kept_are_counted(bench, store, gateway):
    """An empty answer costs: its tokens are wasted tokens, its price is in the row's cost."""
    gateway.behave("*", Behaviour(faults=(Fault("empty_content", times=1),)))
    _, _, _, closed = await bench(items("a"))
    row, ledger = rows_of(store)["a"], gateway.ledger()
    assert (row["status"], row["attempts"], len(ledger)) == ("ok", 2, 2)
    assert row["wasted_tokens"] == ledger[0].prompt_tokens + ledger[0].completion_tokens
    assert round(row["cost_usd"] * 1e9) == sum(entry.nano_usd for entry in ledger)
    assert closed.wrote.cost_usd == row["cost_usd"]


async def test_the_last_empty_answer_keeps_its_own_tokens(bench, store, gateway):
    """A row that stays empty fails with the usage of its last answer; the one before is wasted."""
    gateway.behave("*", Behaviour(faults=(Fault("empty_content"),)))
    await bench(items("a"))
    row, ledger = rows_of(store)["a"], gateway.ledger()
    billed = [entry.prompt_tokens + entry.completion_tokens for entry in ledger]
    assert (row["status"], row["error_class"], len(ledger)) == ("failed", "empty", 2)
    assert [row["wasted_tokens"], row["total_tokens"]] == billed


async def test_a_rate_limit_fails_no_row(bench, store, gateway):
    """Two refusals, then answers: nothing failed, and refusals used up no attempt."""
    gateway.behave("*", Behaviour(faults=(Fault("rate_limited", times=2),)))
    await bench(items(*"abcd"), limits={"concurrency": 2})
    assert {row["status"] for row in rows_of(store).values()} == {"ok"}
    assert sum(entry.status == 429 for entry in gateway.ledger()) == 2


async def test_a_broken_connection_is_in_doubt_and_tried_once_more(bench, store, gateway):
    """The gateway billed an answer that never came: the row is answered, the doubt is counted."""
    gateway.behave("*", Behaviour(faults=(Fault("reset_after", times=1),)))
    _, (report,), _, closed = await bench(items("a"))
    assert rows_of(store)["a"]["status"] == "ok"
    assert (report.in_doubt, closed.in_doubt) == (1, 1)


async def test_a_rejected_key_stops_the_run(bench, store, gateway):
    """No row can succeed: the run stops after at most the requests in flight, and no row is marked failed."""
    _, _, _, closed = await bench(items(*"abcdefghijkl"), key="sk-wrong", limits={"concurrency": 3})
    assert closed.status == "stopped"
    assert "无效的令牌" in closed.stopped
    assert (closed.wrote.rows, closed.complete) == (0, False)
    assert len(gateway.ledger()) <= 3


async def test_rows_before_the_stop_are_kept_and_the_rest_is_asked_next_time(bench, store, gateway):
    """A balance that runs out after five rows leaves five results; the next run asks the other seven."""
    gateway.behave("*", Behaviour(faults=(Fault("balance_empty", skip=5),)))
    _, _, _, closed = await bench(items(*"abcdefghijkl"), limits={"concurrency": 1})
    assert (closed.status, closed.wrote.rows, closed.rows_planned) == ("stopped", 5, 12)
    gateway.reset()
    _, _, _, closed = await bench(items(*"abcdefghijkl"), run_id="20261124T014500Z-000000")
    assert (closed.status, closed.wrote.rows, len(gateway.ledger())) == ("completed", 7, 7)
    assert dataset.current(store.root).num_rows == 12


async def test_a_stop_ends_the_wait_for_the_next_attempt(bench, gateway):
    """A row that waits a minute for its second attempt does not hold up a run that has stopped."""
    gateway.behave("*", Behaviour(faults=(Fault("bad_status", times=1), Fault("balance_empty"))))
    slow = {"retry": {"first_wait_s": 3600.0, "max_wait_s": 3600.0}, "limits": {"concurrency": 2}}
    async with asyncio.timeout(20):
        _, _, _, closed = await bench(items("a", "b"), **slow)
    assert closed.status == "stopped"


async def test_answers_in_the_journal_are_not_asked_again(bench, store, gateway):
    """A resumed shard takes the answers that it finds, and asks about the rest."""
    answer = json.dumps(
        {
            "id": "chatcmpl-x",
            "model": GEMINI,
            "choices": [{"message": {"content": "From the journal."}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
    )

    def killed_before(made):
        with Journal(place(store.work, made.shards[0])) as log:
            log.append(Sent(row=1, key="k", at=1.0))
            log.append(
                Answered(
                    row=1, at=2.0, latency_s=1.0, status=200, headers={"content-type": "application/json"}, text=answer
                )
            )
            log.append(Sent(row=2, key="k", at=1.0))

    _, (report,), _, _ = await bench(items("a", "b"), before=killed_before)
    rows = rows_of(store)
    assert (rows["a"]["description"], rows["a"]["total_tokens"], rows["a"]["attempts"]) == ("From the journal.", 15, 1)
    assert (rows["b"]["status"], rows["b"]["attempts"]) == ("ok", 2)
    assert len(gateway.ledger()) == 1
    assert report.in_doubt == 1


async def test_a_finished_shard_is_left_alone(bench, store, build, publish, gateway):
    """Where the part is, nothing is asked."""

    def published_before(made):
        publish([build.record("a"), build.record("b", 2)], run_id=made.run_id)

    _, (report,), seen, _ = await bench(items("a", "b"), before=published_before)
    assert (report.part, report.rows, seen) == (f"results/v1/date=2026-11-23/{RUN}-00000.parquet", 0, [])
    assert gateway.ledger() == []


async def test_shards_become_parts(bench, store):
    """Five rows in shards of two are three parts."""
    _, reports, _, closed = await bench(items(*"abcde"), shard_rows=2)
    assert closed.wrote.parts == [report.part for report in reports] == dataset.parts(store)
    assert [report.rows for report in reports] == [2, 2, 1]


async def test_a_killed_run_is_recovered_without_asking(store, gateway, build):
    """What was received is published, what was sent and silent is in doubt, the rest is left for the next plan."""
    rows = items(*"abc")
    order = plan.Order(reasons=("new",), shard_rows=2, config_sha256="c")
    made = plan.make(rows, build.facts(run_id=RUN), order, store)
    with Journal(place(store.work, made.shards[0])) as log:
        for row in (1, 2):
            log.append(Sent(row=row, key=f"key-{row}", at=1764000000.0))
        body = {"choices": [{"message": {"content": "Kept."}, "finish_reason": "stop"}]}
        headers = {"content-type": "application/json"}
        log.append(Answered(row=1, at=1764000001.0, latency_s=1.0, status=200, headers=headers, text=json.dumps(body)))
    landing = Landing(store=store, prices=pricing.load())
    (unfinished,) = plan.unfinished(store)
    closed = run.close(unfinished, recovery.recover(unfinished, landing), landing, interrupted=True)
    assert (closed.status, closed.wrote.rows, closed.in_doubt, closed.complete) == ("interrupted", 1, 1, False)
    row = rows_of(store)["a"]
    assert (row["description"], row["request_key"], row["usage_source"]) == ("Kept.", "key-1", "missing")
    assert plan.unfinished(store) == []
    assert gateway.ledger() == []


async def test_a_run_that_was_killed_before_any_answer_leaves_no_part(store, build):
    """Nothing received, nothing published, and the run is closed."""
    order = plan.Order(reasons=("new",), shard_rows=None, config_sha256="c")
    made = plan.make(items("a"), build.facts(run_id=RUN), order, store)
    with Journal(place(store.work, made.shards[0])) as log:
        log.append(Sent(row=1, key="k", at=1764000000.0))
    landing = Landing(store=store, prices=pricing.load())
    closed = run.close(made, recovery.recover(made, landing), landing, interrupted=True)
    assert (closed.wrote.rows, closed.wrote.parts, closed.in_doubt) == (0, [], 1)


async def test_a_model_without_a_price_has_no_cost(bench, store, gateway):
    """Unknown is not free: the cost is null, and the run file says how many rows have none."""
    _, _, _, closed = await bench(items("a", "b"), model="qwen3-omni-flash-2025-12-01")
    assert {row["cost_usd"] for row in rows_of(store).values()} == {None}
    assert (closed.wrote.cost_usd, closed.wrote.unpriced_rows) == (None, 2)


async def test_a_cut_answer_is_asked_once_more_with_more_room(bench, store, gateway):
    """With five tokens it is cut; with the job's longer limit it is whole; both are paid and counted."""
    await bench(items("a"), parameters={"max_tokens": 5}, retry={"longer_max_tokens": 500, "first_wait_s": 0.0})
    row, ledger = rows_of(store)["a"], gateway.ledger()
    assert (row["status"], row["flags"], len(ledger)) == ("ok", ["longer"], 2)
    assert row["wasted_tokens"] == ledger[0].prompt_tokens + 5
    assert round(row["cost_usd"] * 1e9) == sum(entry.nano_usd for entry in ledger)


async def test_a_cut_answer_is_kept_when_the_job_says_nothing(bench, store, gateway):
    """Off by default."""
    await bench(items("a"), parameters={"max_tokens": 5})
    assert (rows_of(store)["a"]["status"], len(gateway.ledger())) == ("truncated", 1)


async def test_a_second_model_answers_where_the_first_refuses(bench, store, gateway):
    """The row keeps the question's model, says whose answer it is, and costs both."""
    gateway.behave(GEMINI, Behaviour(faults=(Fault("content_filter"),)))
    await bench(items("a"), fallback=["gemini-2.5-flash"])
    row, ledger = rows_of(store)["a"], gateway.ledger()
    assert (row["status"], row["model"], row["model_returned"]) == ("ok", GEMINI, "gemini-2.5-flash")
    assert row["flags"] == ["fallback"]
    assert [entry.model for entry in ledger] == [GEMINI, "gemini-2.5-flash"]
    assert round(row["cost_usd"] * 1e9) == sum(entry.nano_usd for entry in ledger)


async def test_no_second_model_is_asked_about_bad_media(bench, store, gateway):
    """The next model would meet the same dead link."""
    broken = (Media(kind="image", url="data:image/png;base64,AAAA"),)
    await bench(items("a", media=broken), fallback=["gemini-2.5-flash"])
    assert (rows_of(store)["a"]["error_class"], len(gateway.ledger())) == ("media", 1)


async def test_a_second_model_that_cannot_take_the_media_is_passed_over(bench, store, gateway):
    """A text model sees no picture; without another, the refusal stands."""
    gateway.behave(GEMINI, Behaviour(faults=(Fault("content_filter"),)))
    await bench(items("a"), fallback=["deepseek-chat"])
    assert (rows_of(store)["a"]["status"], len(gateway.ledger())) == ("refused", 1)


@pytest.mark.parametrize("stream", ["never", "always"])
@pytest.mark.parametrize(
    "asked",
    [
        ("chat", GEMINI),
        ("chat", "gpt-4o-mini"),
        ("responses", "gpt-5.1-codex"),
        ("messages", "claude-sonnet-4-5-20250929"),
        ("generate_content", GEMINI),
    ],
)
async def test_every_dialect_tells_the_same_story(bench, store, gateway, asked, stream):
    """Streamed or not, the text is there, and the tokens are those of the gateway's books."""
    dialect, model = asked
    section = {"base_url": gateway.url, "total_timeout_s": 5.0, "stream": stream}
    await bench(items("a", "b"), dialect=dialect, model=model, gateway=section)
    rows, ledger = rows_of(store).values(), gateway.ledger()
    assert {row["status"] for row in rows} == {"ok"}
    assert all("red" in row["description"] for row in rows)
    assert sorted(row["total_tokens"] for row in rows) == sorted(e.prompt_tokens + e.completion_tokens for e in ledger)
    assert {(entry.dialect, entry.stream) for entry in ledger} == {(dialect, stream == "always")}


async def test_a_stream_that_was_cut_is_not_taken_for_an_answer(bench, store, gateway):
    """The gateway ends a cut stream with [DONE] and an estimate: the row is asked again, the cut one is in doubt."""
    gateway.behave("*", Behaviour(faults=(Fault("stream_cut", times=1),)))
    section = {"base_url": gateway.url, "total_timeout_s": 5.0, "stream": "always"}
    _, (report,), _, _ = await bench(items("a"), gateway=section)
    row = rows_of(store)["a"]
    assert (row["status"], row["attempts"], report.in_doubt) == ("ok", 2, 1)
    assert row["wasted_tokens"] > 0


SCHEMA = {
    "type": "object",
    "properties": {"subject": {"type": "string"}, "people": {"type": "integer"}, "tags": {"type": "array"}},
    "required": ["subject", "people"],
}


@pytest.mark.parametrize("dialect", ["chat", "generate_content"])
async def test_a_structured_answer_becomes_columns(bench, store, dialect):
    """The whole answer as JSON, its scalars as typed columns."""
    await bench(items("a"), dialect=dialect, answer={"schema": SCHEMA})
    row = rows_of(store)["a"]
    assert (row["status"], type(row["answer_subject"]), type(row["answer_people"])) == ("ok", str, int)
    assert json.loads(row["answer_json"])["subject"] == row["answer_subject"]


async def test_an_answer_that_does_not_fit_the_schema_is_a_failure_that_keeps_its_text(bench, store, gateway):
    """Some channels drop the schema silently: the answer is looked at always."""
    gateway.behave("*", Behaviour(faults=(Fault("wrong_schema"),)))
    await bench(items("a"), answer={"schema": SCHEMA})
    row = rows_of(store)["a"]
    assert (row["status"], row["error_class"], len(gateway.ledger())) == ("failed", "schema", 1)
    assert row["description"]
    assert row["cost_usd"] > 0


async def test_an_answer_that_does_not_fit_may_be_repaired_once(bench, store, gateway):
    """The second question says what is wrong; both answers are paid."""
    gateway.behave("*", Behaviour(faults=(Fault("broken_json", times=1),)))
    await bench(items("a"), answer={"schema": SCHEMA, "repair": True})
    row, ledger = rows_of(store)["a"], gateway.ledger()
    assert (row["status"], row["flags"], len(ledger)) == ("ok", ["repaired"], 2)
    assert ledger[0].prompt_sha256 != ledger[1].prompt_sha256
    assert round(row["cost_usd"] * 1e9) == sum(entry.nano_usd for entry in ledger)


async def test_a_fenced_answer_fits_all_the_same(bench, store, gateway):
    """Models like to wrap JSON in a fence."""
    gateway.behave("*", Behaviour(faults=(Fault("fenced_json"),)))
    await bench(items("a"), answer={"schema": SCHEMA})
    assert rows_of(store)["a"]["status"] == "ok"


async def test_a_stop_between_two_questions_keeps_the_first_answer(bench, store, gateway):
    """The balance runs out before the longer answer: the cut one, which was paid for, is the result."""
    gateway.behave("*", Behaviour(faults=(Fault("balance_empty", skip=1),)))
    retry = {"longer_max_tokens": 500, "first_wait_s": 0.0}
    _, _, _, closed = await bench(items("a"), parameters={"max_tokens": 5}, retry=retry)
    row = rows_of(store)["a"]
    assert (closed.status, row["status"], row["wasted_tokens"]) == ("stopped", "truncated", 0)
    assert round(row["cost_usd"] * 1e9) == sum(entry.nano_usd for entry in gateway.ledger())


@pytest.mark.parametrize(
    "answers", [pytest.param("least", marks=pytest.mark.long), "random", pytest.param("most", marks=pytest.mark.long)]
)
async def test_no_answer_length_passes_the_budget(bench, store, gateway, answers):
    """Many at a time, answers as long as the gateway likes: its ledger stays within the cap, and near it."""
    gateway.behave("*", Behaviour(answer_tokens=answers, latency_s=0.5))
    cap = 0.03
    rows = items(*(f"i{number}" for number in range(1_300)))
    patient = {"base_url": gateway.url, "total_timeout_s": 120.0}
    limits, parameters = {"concurrency": 300}, {"max_tokens": 100}
    _, (report,), _, closed = await bench(
        rows, gateway=patient, limits=limits, parameters=parameters, budget={"usd": cap}
    )
    billed = sum(entry.nano_usd for entry in gateway.ledger()) / 1e9
    assert 0.97 * cap <= billed <= cap
    assert "budget.usd" in report.stopped
    assert report.over_budget
    assert closed.wrote.cost_usd == pytest.approx(billed, abs=1e-9)
    assert gateway.max_in_flight > 50


async def test_the_same_question_is_asked_once(bench, store, gateway):
    """Of five rows three ask the same: three requests, five answers; the two say whose answer they have."""
    rows = [*items(*"abc"), *(dataclasses.replace(items("a")[0], item_id=f"a{n}", row_number=3 + n) for n in (1, 2))]
    *_, closed = await bench(rows)
    found = rows_of(store)
    assert len(gateway.ledger()) == 3
    assert [found[name]["answered_by"] for name in ("a", "b", "c", "a1", "a2")] == [None, None, None, "a", "a"]
    assert found["a1"]["description"] == found["a"]["description"]
    assert (found["a1"]["cost_usd"], found["a1"]["saved_usd"]) == (0.0, found["a"]["cost_usd"])
    assert closed.wrote.cost_usd == sum(entry.nano_usd for entry in gateway.ledger()) / 1e9
    assert closed.complete
    assert verification.verify(store.root).ok


async def test_each_row_may_be_asked(bench, store, gateway):
    """With `same_once = false` equal rows are asked one by one."""
    rows = [dataclasses.replace(items("a")[0], item_id=f"a{n}", row_number=n) for n in (1, 2)]
    await bench(rows, media={"same_once": False})
    assert len(gateway.ledger()) == 2
    assert {row["answered_by"] for row in rows_of(store).values()} == {None}


@pytest.mark.parametrize(
    ("leaders", "status"),
    [
        pytest.param(
            [Unanswered(row=1, at=2.0, error_class="server", message="500", in_doubt=False), GaveUp(row=1, at=2.0)],
            "failed",
            id="its leader has failed",
        ),
        pytest.param([], "ok", id="its leader is still asked"),
    ],
)
async def test_a_resumed_row_that_was_asked_itself_stands_once(bench, store, gateway, leaders, status):
    """Its own answer is its result, whatever has become of its leader; a third row gets the answer of one of them."""
    rows = [dataclasses.replace(items("a")[0], item_id=f"a{n}", row_number=n) for n in (1, 2, 3)]
    answer = {
        "id": "chatcmpl-x",
        "model": GEMINI,
        "choices": [{"message": {"content": "From the journal."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 270, "completion_tokens": 5, "total_tokens": 275},
    }

    def killed_before(made):
        with Journal(place(store.work, made.shards[0])) as log:
            log.append(Sent(row=1, key="k", at=1.0))
            for entry in leaders:
                log.append(entry)
            log.append(Sent(row=2, key="k", at=3.0))
            log.append(Answered(row=2, at=4.0, latency_s=1.0, status=200, headers={}, text=json.dumps(answer)))

    *_, closed = await bench(rows, before=killed_before)
    found = rows_of(store)
    assert {name: row["status"] for name, row in found.items()} == {"a1": status, "a2": "ok", "a3": "ok"}
    assert (found["a2"]["description"], found["a2"]["answered_by"]) == ("From the journal.", None)
    assert found["a3"]["answered_by"] in {"a1", "a2"}
    assert (closed.wrote.rows, closed.wrote.duplicates) == (3, 0)
    assert len(gateway.ledger()) == (1 if status == "ok" else 0)
