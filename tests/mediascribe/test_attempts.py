"""Many rows at a gateway in memory, in virtual time: what is sent when, what it costs a row, and what ends the run."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import virtual_time

from mediascribe import journal, models, pricing
from mediascribe.attempts import Attempts, Reach
from mediascribe.blame import SAME_REFUSALS, FirstAnswers
from mediascribe.budget import Budget
from mediascribe.case import Case
from mediascribe.domain import Failure, Item, Request
from mediascribe.errors import DrainError, InDoubtError, SpentError, TransientError
from mediascribe.job import Job
from mediascribe.journal import Excused, Journal
from mediascribe.lanes import Lanes
from mediascribe.weights import Weights
from mediascribe.wire import Answer

GEMINI = "gemini-2.0-flash"
BOOK = pricing.load()
MODELS = models.load(Path(__file__).parents[2] / "configs/models.toml")
JSON = {"content-type": "application/json"}


def ok(prompt=10, answer=5):
    usage = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
    return reply(200, {"choices": [{"message": {"content": "A square."}, "finish_reason": "stop"}], "usage": usage})


def refusal(status, code="", headers=()):
    return reply(status, {"error": {"message": f"no ({status})", "type": "new_api_error", "code": code}}, headers)


def reply(status, body, headers=()):
    return Answer(status=status, headers=JSON | dict(headers), body=json.dumps(body).encode())


class Gateway:
    """Answers as `says(number, now)` says: an Answer, or an error to raise; each after a second."""

    base_url = "http://gateway.test/v1"

    def __init__(self, says):
        self.says, self.at, self.in_flight, self.most_in_flight = says, [], 0, 0

    async def post(self, _url, _body, _headers):
        now = asyncio.get_running_loop().time()
        self.at.append(now)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            said = self.says(len(self.at), now)
            await asyncio.sleep(1.0)
        finally:
            self.in_flight -= 1
        if isinstance(said, Exception):
            raise said
        return said


class Bench:
    """A run of *rows* rows of text at *gateway*; `cases` has what came of them, `entries` what the journal holds."""

    def __init__(self, folder, gateway, rows, **sections):
        self.folder, self.gateway = folder, gateway
        plain = {"name": "t", "model": GEMINI, "output": "out", "manifest": {"path": "m"}, "prompt": {"text": "?"}}
        self.job = Job.model_validate(plain | {"gateway": {"base_url": gateway.base_url}} | sections)
        self.cases = [self._case(number) for number in range(1, rows + 1)]

    def _case(self, number):
        asked = Request(model=GEMINI, dialect="chat", prompt="?", media=(), identity=(), parameters=self.job.parameters)
        return Case(Item(item_id=f"i{number}", row_number=number), "new", asked, BOOK)

    def run(self, meanwhile=None):
        virtual_time.run(self._run(meanwhile))
        return self

    async def _run(self, meanwhile):
        loop = asyncio.get_running_loop()
        reach = Reach(
            client=self.gateway,
            lanes=Lanes(self.job.limits, clock=loop.time),
            budget=Budget(self.job.budget, self.job.limits.requests_per_day, spent=[], now=lambda: datetime.now(UTC)),
            weights=Weights(MODELS, BOOK, None),
        )
        self.attempts = Attempts(SimpleNamespace(job=self.job), reach, clock=loop.time)
        with Journal(self.folder) as log:
            async with asyncio.TaskGroup() as group:
                for case in self.cases:
                    group.create_task(self.attempts.take(case, log))
                if meanwhile:
                    group.create_task(meanwhile(self.attempts))
        self.seconds = loop.time()

    @property
    def statuses(self):
        return [case.outcome.status if case.outcome else None for case in self.cases]

    @property
    def entries(self):
        return [entry for entries in journal.replay(self.folder).rows.values() for entry in entries]


@pytest.fixture
def bench(tmp_path):
    """`bench(rows, says, **sections)`: not yet run."""

    def _bench(rows, says, **sections):
        return Bench(tmp_path, Gateway(says), rows, **sections)

    return _bench


def test_every_row_is_asked_once(bench):
    """A gateway that answers is asked as often as there are rows, and no more at a time than the window holds."""
    done = bench(100, lambda *_: ok(), limits={"concurrency": 10}).run()
    assert done.statuses == ["ok"] * 100
    assert (len(done.gateway.at), done.gateway.most_in_flight) == (100, 10)
    assert done.seconds == pytest.approx(10.0, abs=0.1)


def test_an_outage_costs_no_row_an_attempt(bench):
    """Two minutes of 503: every row waits, one probe leaves every five seconds, and all are answered in the end."""

    def says(_, now):
        return refusal(503) if 5 <= now < 125 else ok()

    done = bench(200, says, limits={"concurrency": 10}, retry={"attempts": 2}).run()
    assert done.statuses == ["ok"] * 200
    assert sum(5 <= at < 125 for at in done.gateway.at) <= 10 + 120 / 4 + 5
    assert next(at for at in done.gateway.at if at >= 125) < 130


def test_attempts_excused_in_an_outage_are_excused_on_replay(bench, tmp_path):
    """The journal says which attempts cost their row nothing: a resumed run counts as the live one did."""
    done = bench(20, lambda _, now: refusal(503) if now < 60 else ok(), limits={"concurrency": 4}).run()
    assert any(isinstance(entry, Excused) for entry in done.entries)
    found = journal.replay(tmp_path).rows
    for case in done.cases:
        again = Case(case.item, "new", case.request, BOOK)
        again.replay(found[case.item.row_number])
        assert (again.used, again.account.attempts) == (case.used, case.account.attempts)


def test_a_long_outage_ends_the_run_and_fails_no_row(bench):
    """After `outage_stop_s` the run stops with the reason; the rows are as they were."""
    limits = {"concurrency": 4, "outage_stop_s": 60.0}
    done = bench(20, lambda *_: refusal(503), limits=limits).run()
    assert set(done.statuses) == {None}
    assert "the gateway has been down for 1 min: no (503)" in str(done.attempts.stopped)
    assert 60 <= done.seconds <= 75


def by_row(says):
    """What `says(row)` says, by the order in which rows are first asked."""
    rows: dict[object, int] = {}

    def _says(*_):
        return says(rows.setdefault(asyncio.current_task(), len(rows) + 1))

    return _says


def test_poison_rows_fail_alone(bench):
    """Rows that the gateway answers with 500, while it answers others, fail after two tries; nobody else waits."""
    poison = {3, 17}
    done = bench(60, by_row(lambda row: refusal(500) if row in poison else ok()), limits={"concurrency": 5}).run()
    assert (done.statuses.count("failed"), done.statuses.count("ok")) == (2, 58)
    assert {case.account.attempts for case in done.cases if case.outcome.status == "failed"} == {2}
    assert done.attempts.stopped is None
    assert not any(isinstance(entry, Excused) for entry in done.entries)


def test_a_gateway_that_fails_now_and_then_costs_no_row(bench):
    """A fifth of all requests meets a 500: no row is taken for poison, and none is lost."""
    done = bench(200, lambda number, _: refusal(500) if number % 5 == 0 else ok(), limits={"concurrency": 20}).run()
    assert done.statuses == ["ok"] * 200


def test_the_same_refusal_of_every_first_row_ends_the_run(bench):
    """Twenty rows refused alike: it is the job that is wrong, and the manifest is not burnt."""
    done = bench(500, lambda *_: refusal(400, "bad_request_body"), limits={"concurrency": 4}).run()
    assert "the first 20 rows were all refused alike" in str(done.attempts.stopped)
    assert "no (400)" in str(done.attempts.stopped)
    assert len(done.gateway.at) <= SAME_REFUSALS + 4


def test_one_good_answer_keeps_the_run_going(bench):
    """Rows that are refused after a success are refused for themselves."""
    done = bench(60, lambda number, _: ok() if number == 7 else refusal(400, "x"), limits={"concurrency": 1}).run()
    assert (done.attempts.stopped, done.statuses.count("failed")) == (None, 59)


def failure(status=400, code="x", error_class="request"):
    return Failure(error_class=error_class, message="no", http_status=status, code=code)


def test_refusals_of_several_kinds_are_the_rows_own():
    """Another code, or trouble with the media, and the job is not to blame."""
    for other in (failure(code="y"), failure(status=422), failure(error_class="media")):
        first = FirstAnswers()
        assert not any(first.refused(failure()) for _ in range(SAME_REFUSALS - 1))
        assert not first.refused(other)
        assert not any(first.refused(failure()) for _ in range(SAME_REFUSALS))


def test_what_is_in_flight_lands_when_the_run_is_told_to_stop(bench):
    """Ten are in flight at the stop: they are answered, nobody else is asked."""

    async def stop(attempts):
        await asyncio.sleep(2.5)
        attempts.stop(DrainError(Failure(error_class="config", message="interrupted by Ctrl-C")))

    done = bench(100, lambda *_: ok(), limits={"concurrency": 10}).run(stop)
    assert done.statuses.count("ok") == len(done.gateway.at) == 30
    assert done.statuses.count(None) == 70
    assert sum(case.account.in_doubt for case in done.cases) == 0
    assert done.seconds == pytest.approx(3.0, abs=0.1)


@pytest.mark.wide
def test_a_rate_limit_costs_no_attempt_and_pauses_everybody(bench):
    """The gateway takes 10 requests a second: every row is answered in the end, with one attempt to lose."""
    taken = {}

    def says(_, now):
        taken[int(now)] = taken.get(int(now), 0) + 1
        return ok() if taken[int(now)] <= 10 else refusal(429)

    done = bench(300, says, limits={"concurrency": 50}, retry={"attempts": 1}).run()
    assert done.statuses == ["ok"] * 300


def test_a_broken_request_is_sent_once_more_and_counted_at_its_worst(bench):
    """It may have been billed: two attempts, then the row fails in doubt, and its worst stays spent."""
    broken = InDoubtError(Failure(error_class="network", message="the connection broke"))
    parameters = {"max_tokens": 100}
    done = bench(1, lambda *_: broken, parameters=parameters, retry={"first_wait_s": 0.0}).run()
    (case,) = done.cases
    assert (case.outcome.status, case.outcome.code, case.account.attempts) == ("failed", "in_doubt", 2)
    (spent,) = case.account.spent.values()
    assert spent.nano_usd == spent.in_doubt_nano_usd >= 2 * 100 * 400


def test_a_request_that_never_left_is_spent_by_nobody(bench):
    """No connection, no bill: the budget has it back."""
    unsent = TransientError(Failure(error_class="network", message="no connection"))
    done = bench(
        1,
        lambda number, _: unsent if number == 1 else ok(),
        budget={"requests": 2},
        retry={"first_wait_s": 0.0},
    ).run()
    assert done.statuses == ["ok"]


@pytest.mark.parametrize("answer_tokens", [1, 99, 100])
@pytest.mark.wide
def test_a_budget_is_used_up_and_never_passed(bench, answer_tokens):
    """Fifty at a time, answers as long as they like: the sum stays within the cap, and nearly all of it is used."""
    price = 10 * 100 + answer_tokens * 400
    cap = 4_200_000
    done = bench(
        3_010,
        lambda *_: ok(answer=answer_tokens),
        parameters={"max_tokens": 100},
        budget={"usd": cap / 1e9},
        limits={"concurrency": 50},
    ).run()
    billed = len(done.gateway.at) * price
    assert billed <= cap
    assert isinstance(done.attempts.stopped, SpentError)
    assert billed >= 0.97 * cap
    assert done.statuses.count("ok") == len(done.gateway.at)


def test_a_budget_of_requests_counts_retries(bench):
    """Every request sent counts, whatever came of it."""
    done = bench(
        10,
        lambda number, _: refusal(502) if number % 2 else ok(),
        budget={"requests": 7},
        limits={"concurrency": 1},
        retry={"first_wait_s": 0.0},
    ).run()
    assert len(done.gateway.at) == 7
    assert isinstance(done.attempts.stopped, SpentError)


@pytest.mark.wide
def test_rows_that_retry_leave_room_for_first_attempts(bench):
    """Half of all answers are errors: no minute has more retries than a tenth of its requests, or ten."""
    done = bench(
        400,
        lambda number, _: refusal(502) if number % 2 else ok(),
        limits={"concurrency": 20, "requests_per_minute": 600},
        retry={"first_wait_s": 0.0, "attempts": 20, "row_deadline_s": 100_000.0},
    ).run()
    assert done.statuses == ["ok"] * 400
    sent = len(done.gateway.at)
    retries = sent - 400
    assert done.seconds >= (retries - 40) / 10 * 60 - 60
