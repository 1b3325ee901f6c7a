"""The budget is never passed: not by a crowd, not over midnight, not by answers as long as can be."""

import asyncio
import random
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mediascribe import pricing
from mediascribe.budget import Budget, BudgetView, check, since, worst_cost
from mediascribe.domain import Usage
from mediascribe.errors import ConfigError, DrainError, SpentError
from mediascribe.job_sections import BudgetSection
from mediascribe.media.tokens import Weight
from mediascribe.pricing import Price, PriceBook, Rate
from mediascribe.spending import Spend, Spent

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
DAY = date(2026, 11, 30)
NOTHING = Spend(0, 0, 0)


class Calendar:
    """The clock on the wall, moved by the test."""

    def __init__(self, now=NOON):
        self.at = now

    def now(self):
        return self.at


def budget(calendar=None, *, quota=None, spent=(), **caps):
    section = BudgetSection.model_validate(caps)
    return Budget(section, quota, spent=spent, now=(calendar or Calendar()).now)


def usd(amount, tokens=0):
    """One request of *amount* USD."""
    return Spend(round(amount * 10**9), tokens, 1)


def requests(number):
    return Spend(0, 0, number)


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


async def refused(ledger, worst):
    with pytest.raises(SpentError) as error:
        await ledger.reserve(worst)
    return error.value.failure


# Reserve, settle, release


async def test_without_caps_everybody_goes_and_is_counted():
    """A run without a budget still knows what it spent."""
    ledger = budget()
    first, second = await ledger.reserve(usd(5.0, 10)), await ledger.reserve(usd(1.0, 10))
    ledger.settle(first, usd(2.0, 7))
    ledger.settle(second, None)
    assert ledger.view() == BudgetView(
        spent=Spend(3 * 10**9, 17, 2),
        in_doubt=Spend(10**9, 10, 1),
        reserved=NOTHING,
        waiting=0,
        beyond=0,
        nearest=None,
        share=None,
    )


async def test_what_is_reserved_and_what_is_spent_share_a_cap():
    """The third request waits for the answer of the first, and takes what it left over."""
    ledger = budget(usd="1.00")
    first, _ = await ledger.reserve(usd(0.4)), await ledger.reserve(usd(0.4))
    third = asyncio.create_task(ledger.reserve(usd(0.4)))
    await turns()
    assert not third.done()
    assert ledger.view().waiting == 1
    ledger.settle(first, usd(0.2))
    assert (await third).worst == usd(0.4)
    assert ledger.view().reserved == Spend(8 * 10**8, 0, 2)
    assert ledger.view().nearest == "20 % of budget.usd"
    assert ledger.view().share == pytest.approx(0.2)


async def test_a_cap_may_be_used_up_to_its_last_token():
    """Exactly the cap is not too much."""
    ledger = budget(tokens=100)
    ledger.settle(await ledger.reserve(Spend(0, 60, 1)), Spend(0, 60, 1))
    ledger.settle(await ledger.reserve(Spend(0, 40, 1)), Spend(0, 40, 1))
    assert ledger.view().share == 1


async def test_what_was_never_sent_comes_back():
    """A released reservation leaves no trace."""
    ledger = budget(requests=1)
    ledger.release(await ledger.reserve(requests(1)))
    assert ledger.view().spent == ledger.view().reserved == NOTHING
    await ledger.reserve(requests(1))


async def test_what_is_in_doubt_stays_spent():
    """A request without an answer may have been billed in full."""
    ledger = budget(usd="1.00")
    ledger.settle(await ledger.reserve(usd(0.6)), None)
    failure = await refused(ledger, usd(0.5))
    assert "0.6 USD are spent" in failure.message


@pytest.mark.parametrize("end", [lambda ledger, held: ledger.settle(held, None), Budget.release])
async def test_a_reservation_ends_once(end):
    """A second end would give back what another request holds."""
    ledger = budget(requests=2)
    held = await ledger.reserve(requests(1))
    ledger.settle(held, requests(1))
    with pytest.raises(ValueError, match="settled or released already"):
        end(ledger, held)


async def test_more_than_was_reserved_is_counted_as_it_is():
    """A bound that was wrong is shown, and the truth is in the account."""
    ledger = budget(tokens=100)
    ledger.settle(await ledger.reserve(Spend(0, 10, 1)), Spend(0, 30, 1))
    assert (ledger.view().spent.tokens, ledger.view().beyond) == (30, 1)


# Who waits


async def test_who_came_first_goes_first():
    """A small request does not pass a large one that waits."""
    ledger, order = budget(tokens=100), []

    async def one(tokens):
        await ledger.reserve(Spend(0, tokens, 1))
        order.append(tokens)

    held = await ledger.reserve(Spend(0, 60, 1))
    crowd = [asyncio.create_task(one(tokens)) for tokens in (50, 10, 20)]
    await turns()
    assert order == []
    ledger.release(held)
    await asyncio.gather(*crowd)
    assert order == [50, 10, 20]


async def test_when_nothing_can_come_free_everybody_who_waits_is_told():
    """The spent part alone leaves no room, whatever the others give back."""
    ledger = budget(tokens=100)
    first, second = await ledger.reserve(Spend(0, 50, 1)), await ledger.reserve(Spend(0, 50, 1))
    crowd = [asyncio.create_task(ledger.reserve(Spend(0, 50, 1))) for _ in range(3)]
    await turns()
    ledger.settle(first, Spend(0, 50, 1))
    await turns()
    assert not any(task.done() for task in crowd)  # the second may still turn out to be small
    ledger.settle(second, Spend(0, 1, 1))
    failures = [error.failure for error in await asyncio.gather(*crowd, return_exceptions=True)]
    assert {failure.message.split(";")[0] for failure in failures} == {
        "the budget is spent: budget.tokens is 100 tokens, 51 tokens are spent, and the next request may cost 50 tokens"
    }


async def test_a_smaller_request_may_still_go():
    """What has no room for one has room for another that asks later."""
    ledger = budget(tokens=100)
    ledger.settle(await ledger.reserve(Spend(0, 90, 1)), Spend(0, 90, 1))
    await refused(ledger, Spend(0, 20, 1))
    await ledger.reserve(Spend(0, 10, 1))


async def test_who_is_cancelled_makes_room_for_the_next():
    """A large request that gives up does not hold up the small one behind it."""
    ledger = budget(tokens=100)
    await ledger.reserve(Spend(0, 60, 1))
    large = asyncio.create_task(ledger.reserve(Spend(0, 50, 1)))
    small = asyncio.create_task(ledger.reserve(Spend(0, 10, 1)))
    await turns()
    large.cancel()
    assert (await small).worst.tokens == 10


async def test_who_is_cancelled_when_granted_gives_it_back():
    """Between the grant and the caller's next step nothing is lost."""
    ledger = budget(tokens=100)
    held = await ledger.reserve(Spend(0, 60, 1))
    waiting = asyncio.create_task(ledger.reserve(Spend(0, 50, 1)))
    await turns()
    ledger.release(held)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ledger.view().reserved == NOTHING


async def test_who_is_cancelled_behind_others_is_passed_over():
    """And one who is cancelled when all are told is told nothing."""
    ledger = budget(tokens=100)
    held = await ledger.reserve(Spend(0, 60, 1))
    crowd = [asyncio.create_task(ledger.reserve(Spend(0, 50, 1))) for _ in range(4)]
    await turns()
    crowd[1].cancel()
    await turns()
    assert ledger.view().waiting == 3
    ledger.settle(held, Spend(0, 60, 1))
    crowd[2].cancel()
    ends = await asyncio.gather(*crowd, return_exceptions=True)
    kinds = [SpentError, asyncio.CancelledError, asyncio.CancelledError, SpentError]
    assert [type(end) for end in ends] == kinds


async def test_closing_lets_everybody_go():
    """When the run is over nobody waits any more, and nobody gets a reservation."""
    ledger = budget(tokens=100)
    held = await ledger.reserve(Spend(0, 60, 1))
    waiting = asyncio.create_task(ledger.reserve(Spend(0, 50, 1)))
    await turns()
    ledger.close()
    for late in (waiting, ledger.reserve(Spend(0, 1, 1))):
        with pytest.raises(DrainError, match="the run is over"):
            await late
    ledger.settle(held, Spend(0, 1, 1))
    assert ledger.view().spent.tokens == 1


# Days and months


async def test_earlier_runs_count_in_their_day_and_month():
    """Of three days, one is today and two are in this month."""
    spends = [
        {"2026-11-30": Spent(nano_usd=5, tokens=6, requests=7)},
        {"2026-11-30": Spent(nano_usd=1, tokens=1, requests=1), "2026-11-01": Spent(nano_usd=10)},
        {"2026-10-31": Spent(nano_usd=100)},
    ]
    assert since(spends, DAY) == (Spend(6, 7, 8), Spend(16, 7, 8))
    assert since([], DAY) == (NOTHING, NOTHING)


async def test_the_day_holds_all_runs_of_the_job():
    """What this morning's run spent is not there any more; the run's own cap is another matter."""
    ledger = budget(spent=[{"2026-11-30": Spent(requests=9)}], requests=9, day={"requests": 10})
    ledger.settle(await ledger.reserve(requests(1)), requests(1))
    assert ledger.view().spent.requests == 1
    assert ledger.view().nearest == "100 % of budget.day.requests"
    failure = await refused(ledger, requests(1))
    assert failure.message.startswith("the budget is spent: budget.day.requests is 10 requests, 10 requests are spent")


async def test_at_midnight_the_day_begins_anew():
    """What is in flight is carried into the new day, what is spent is not; the run and the month go on."""
    calendar = Calendar(datetime(2026, 11, 29, 23, 59, tzinfo=UTC))
    ledger = budget(calendar, requests=100, day={"requests": 3}, month={"requests": 100})
    early, over_midnight = await ledger.reserve(requests(1)), await ledger.reserve(requests(1))
    ledger.settle(early, requests(1))
    calendar.at += timedelta(minutes=2)
    last = await ledger.reserve(requests(2))  # beside the one in flight, the day's three
    ledger.settle(last, requests(2))
    ledger.settle(over_midnight, requests(1))
    await refused(ledger, requests(1))
    assert ledger.view().spent.requests == 4


async def test_a_new_month_begins_anew():
    """At the end of November both the day's and the month's accounts are closed."""
    calendar = Calendar()
    ledger = budget(calendar, day={"requests": 1}, month={"requests": 1})
    ledger.settle(await ledger.reserve(requests(1)), requests(1))
    await refused(ledger, requests(1))
    calendar.at += timedelta(days=1)
    await ledger.reserve(requests(1))


async def test_midnight_is_that_of_utc():
    """A clock in another zone changes nothing: 1 h in Berlin is 0 h UTC in winter."""
    berlin = timezone(timedelta(hours=1))
    calendar = Calendar(datetime(2026, 12, 1, 0, 59, tzinfo=berlin))
    ledger = budget(calendar, spent=[{"2026-11-30": Spent(requests=1)}], day={"requests": 1})
    await refused(ledger, requests(1))
    calendar.at += timedelta(minutes=1)
    await ledger.reserve(requests(1))


async def test_who_waits_at_midnight_goes_with_the_new_day():
    """The first reservation that comes back in the new day lets them go."""
    calendar = Calendar()
    ledger = budget(calendar, day={"requests": 3})
    held = await ledger.reserve(requests(1))
    ledger.settle(await ledger.reserve(requests(1)), requests(1))
    waiting = asyncio.create_task(ledger.reserve(requests(2)))
    await turns()
    assert not waiting.done()
    calendar.at += timedelta(days=1)
    ledger.settle(held, None)
    await refused(ledger, requests(3))
    assert (await waiting).worst == requests(2)


# What is said


@pytest.mark.parametrize(
    ("caps", "worst", "said"),
    [
        (
            {"usd": "0.05"},
            usd(0.105),
            (
                "budget.usd is 0.05 USD, 0 USD are spent, and the next request may cost 0.105 USD; raise budget.usd"
                " to go on; a smaller budget.media_tokens or max_tokens makes a request's worst case smaller"
            ),
        ),
        (
            {"day": {"tokens": 1_000_000}},
            Spend(0, 1_000_001, 1),
            (
                "budget.day.tokens is 1,000,000 tokens, 0 tokens are spent today, and the next request may cost"
                " 1,000,001 tokens; raise budget.day.tokens, or run again after 2026-12-01 00:00 UTC; a smaller"
                " budget.media_tokens or max_tokens makes a request's worst case smaller"
            ),
        ),
        (
            {"month": {"requests": 1}},
            requests(2),
            (
                "budget.month.requests is 1 request, 0 requests are spent this month, and the next request may cost 2"
                " requests; raise budget.month.requests, or run again after 2026-12-01 00:00 UTC"
            ),
        ),
    ],
)
async def test_a_full_cap_says_how_to_go_on(caps, worst, said):
    """Which cap, its value, what is spent, what comes next, and what to do."""
    failure = await refused(budget(**caps), worst)
    assert failure.message == f"the budget is spent: {said}"
    assert (failure.error_class, failure.code) == ("quota", "budget_spent")


async def test_the_end_of_a_budget_is_no_fault_of_the_worst_case():
    """Where 97 % are used, smaller reservations would gain nothing, and are not recommended."""
    ledger = budget(usd="1")
    ledger.settle(await ledger.reserve(usd(0.98)), usd(0.98))
    assert (await refused(ledger, usd(0.03))).message.endswith("; raise budget.usd to go on")


async def test_the_quota_of_the_day_is_no_budget():
    """It cannot be raised here: the message speaks of tomorrow only."""
    ledger = budget(quota=1000, spent=[{"2026-11-30": Spent(requests=1000)}])
    assert (await refused(ledger, requests(1))).message == (
        "the quota of the day is used up: limits.requests_per_day is 1,000, 1,000 were sent today;"
        " run again after 2026-12-01 00:00 UTC"
    )


# The worst case in money

OWN = """
[[price]]
model = "m"
from = "2026-01-01"
list = "own"
source = "a test"
input = { 0 = "1", 1000 = "2" }
cached = "0.1"
cache_write = "1.25"
audio_in = "7"
image_in = "3"
output = "10"
audio_out = "80"

[[price]]
model = "plain"
from = "2026-01-01"
list = "own"
source = "a test"
input = "0.10"
output = "0.40"
"""


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(OWN, encoding="utf-8")
    return pricing.load(path)


def weight(text=0, *, prompt=None, answer=0, **media):
    prompt = text + sum(media.values()) if prompt is None else prompt
    return Weight(text=text, media=media, answer=answer, prompt=prompt, text_expected=1)


@pytest.mark.parametrize(
    ("model", "heavy", "nano_usd"),
    [
        ("plain", weight(100, image=258, answer=20), 35_800 + 8_000),
        ("plain", weight(1, answer=1), 500),
        ("m", weight(100), 125_000),  # written to the cache
        ("m", weight(1_001), 2_002_000),  # the tier of long prompts
        ("m", weight(100, image=100), 125_000 + 300_000),
        ("m", weight(100, audio=100), 125_000 + 700_000),
        ("m", weight(100, video=100), 125_000 + 700_000),  # its sound is billed as sound
        ("m", weight(100, image=100, audio=100, prompt=150), 700_000 + 150_000),  # the dearest fill the context first
        ("m", weight(answer=100), 8_000_000),  # spoken
    ],
)
def test_each_token_pays_the_dearest_rate_that_it_may(prices, model, heavy, nano_usd):
    """Whole nano-dollars, worked by hand from USD per million tokens."""
    assert worst_cost(heavy, model, prices, DAY) == nano_usd


def test_a_fraction_of_a_nano_dollar_is_one(prices):
    """A bound is rounded up: 3 tokens at 0.1 thousandths."""
    cheap = Price(
        model="c", from_date=None, version="v", source="s", input=Rate(Decimal("0.0001")), output=Rate(Decimal(0))
    )
    assert worst_cost(weight(3), "c", PriceBook(version="v", entries={"c": (cheap,)}), DAY) == 1


def test_an_unknown_price_has_no_worst_case(prices):
    """None, never 0."""
    assert worst_cost(weight(1), "no-such-model", prices, DAY) is None


USD = st.integers(0, 100_000).map(lambda thousandths: Decimal(thousandths) / 1000)
RATES = st.builds(lambda base, dear: Rate(base, ((500, dear),) if dear else ()), USD, st.none() | USD)
PRICES = st.builds(
    Price,
    model=st.just("m"),
    from_date=st.none(),
    version=st.just("v"),
    source=st.just("s"),
    input=RATES,
    output=RATES,
    **dict.fromkeys(("cached", "cache_write", "audio_in", "cached_audio", "image_in", "audio_out"), st.none() | RATES),
)


@pytest.mark.wide
@given(price=PRICES, draw=st.data())
@settings(max_examples=100, deadline=None)
def test_no_usage_within_the_weight_costs_more(price, draw):
    """Whatever the rates, the split by kind and the cache's part: the bill is not above the worst case."""
    count = st.integers(0, 800)
    text, image, audio, video, answer = (draw.draw(count) for _ in range(5))
    heavy = weight(text, image=image, audio=audio, video=video, answer=answer)
    seen, heard, filmed = (draw.draw(st.integers(0, most)) for most in (image, audio, video))
    as_sound = draw.draw(st.integers(0, filmed))
    prompt = draw.draw(st.integers(0, text)) + seen + heard + filmed
    cached = draw.draw(st.integers(0, prompt))
    usage = Usage(
        prompt_tokens=prompt,
        prompt_image_tokens=seen,
        prompt_audio_tokens=heard + as_sound,
        prompt_video_tokens=filmed - as_sound,
        cached_tokens=cached,
        cache_write_tokens=draw.draw(st.integers(0, prompt - cached)),
        completion_tokens=answer,
        completion_audio_tokens=draw.draw(st.integers(0, answer)),
    )
    book = PriceBook(version="v", entries={"m": (price,)})
    assert price.nano_usd(usage) <= worst_cost(heavy, "m", book, DAY)


# At planning


@pytest.mark.parametrize("caps", [{}, {"tokens": 5}, {"requests": 5, "day": {"tokens": 5}}])
def test_without_a_cap_in_usd_no_price_is_needed(prices, caps):
    """Tokens and requests can be counted without one."""
    check(BudgetSection.model_validate(caps), ["no-such-model"], prices, DAY)


def test_priced_models_pass(prices):
    """And so do their fallbacks."""
    check(BudgetSection.model_validate({"usd": "5"}), ["m", "plain"], prices, DAY)


@pytest.mark.parametrize(("section", "name"), [("", "budget."), ("day", "budget.day."), ("month", "budget.month.")])
def test_a_cap_in_usd_needs_every_price(prices, section, name):
    """Model, cap and the file to mend are named."""
    caps = {section: {"usd": "5"}} if section else {"usd": "5"}
    with pytest.raises(ConfigError) as error:
        check(BudgetSection.model_validate(caps), ["m", "no-model", "none-either", "no-model"], prices, DAY)
    assert str(error.value) == (
        f"`{name}usd` cannot be kept: no price of `no-model` and `none-either` is known; add a [[price]] to"
        f" configs/prices.toml, or set `{name}tokens` instead"
    )


# A crowd


@pytest.mark.parametrize(
    "answers", ["either", *(pytest.param(one, marks=pytest.mark.wide) for one in ("least", "most", "any", "doubt"))]
)
async def test_500_at_once_use_the_cap_and_never_pass_it(answers):
    """Answers come in any order and as long as can be; with a worst case of 1 % at least 97 % of the cap are used."""
    chance, cap, worst = random.Random(answers), 10_000, 100  # noqa: S311 - seeded, not secret
    sizes = {
        "least": lambda: 20,
        "most": lambda: worst,
        "either": lambda: chance.choice((1, worst)),
        "any": lambda: chance.randint(1, worst),
        "doubt": lambda: chance.choice((None, 10)),
    }
    ledger, in_flight = budget(tokens=cap), []
    billed = SimpleNamespace(tokens=0)

    async def one():
        while True:
            held = await ledger.reserve(Spend(0, worst, 1))
            answer = asyncio.get_running_loop().create_future()
            in_flight.append(answer)
            size = await answer
            billed.tokens += worst if size is None else size
            ledger.settle(held, None if size is None else Spend(0, size, 1))

    crowd = [asyncio.create_task(one()) for _ in range(500)]
    await turns()
    while in_flight:
        assert billed.tokens + len(in_flight) * worst <= cap
        chance.shuffle(in_flight)
        in_flight.pop().set_result(sizes[answers]())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    ends = await asyncio.gather(*crowd, return_exceptions=True)
    assert {type(end) for end in ends} == {SpentError}
    assert 0.97 * cap <= billed.tokens <= cap
    assert ledger.view().spent.tokens == billed.tokens


# Anything at any time

AMOUNTS = st.builds(Spend, st.integers(0, 60), st.sampled_from([1, 20, 40, 60]), st.integers(0, 3))
CAP = st.integers(1, 150)
CAPS = st.fixed_dictionaries({}, optional={"usd": CAP, "tokens": CAP, "requests": CAP})
TIGHT = st.fixed_dictionaries({"tokens": st.integers(60, 150)}, optional={"usd": CAP})


class Ledger(RuleBasedStateMachine):
    """Reserve, settle, lose sight of, release, cancel, in any order and over any midnight.

    It keeps its own accounts: what was granted and not ended, and what was billed in the run, the day and the month.
    """

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.calendar = Calendar()
        self.held, self.waiting, self.granted = [], [], []
        self.billed = {"run": NOTHING, "day": NOTHING, "month": NOTHING}
        self.caps, self.quota = {"run": {}, "day": {}, "month": {}}, None
        self.asked = 0

    @initialize(
        caps=st.tuples(TIGHT, CAPS, CAPS) | st.tuples(CAPS, TIGHT, CAPS),
        quota=st.none() | st.integers(1, 20),
    )
    def open(self, caps, quota):
        run, day, month = ({**one, "usd": Decimal(one["usd"]) / 10**9} if "usd" in one else one for one in caps)
        self.caps = {"run": caps[0], "day": caps[1], "month": caps[2]}
        self.quota = quota
        self.ledger = budget(self.calendar, quota=quota, **run, day=day, month=month)

    @rule(crowd=st.lists(AMOUNTS, min_size=1, max_size=4))
    def reserve(self, crowd):
        for worst in crowd:
            self.waiting.append((self.asked, self.loop.create_task(self.ledger.reserve(worst))))
            self.asked += 1
        self.look()

    @precondition(lambda self: self.held)
    @rule(choice=st.integers(0), share=st.none() | st.integers(0, 100))
    def end(self, choice, share):
        held = self.held.pop(choice % len(self.held))
        worst = held.worst
        actual = share if share is None else Spend(*(one * share // 100 for one in (worst.nano_usd, worst.tokens)), 1)
        if actual and actual.requests > worst.requests:
            actual = Spend(actual.nano_usd, actual.tokens, worst.requests)
        self.ledger.settle(held, actual)
        self.billed = {period: billed + (actual or worst) for period, billed in self.billed.items()}
        self.look()

    @precondition(lambda self: self.held)
    @rule(choice=st.integers(0))
    def release(self, choice):
        self.ledger.release(self.held.pop(choice % len(self.held)))
        self.look()

    @precondition(lambda self: self.waiting)
    @rule(choice=st.integers(0))
    def cancel(self, choice):
        self.waiting.pop(choice % len(self.waiting))[1].cancel()
        self.look()

    @rule(hours=st.sampled_from([6, 24, 24 * 31]))
    def wait(self, hours):
        before, self.calendar.at = self.calendar.at, self.calendar.at + timedelta(hours=hours)
        if before.date() != self.calendar.at.date():
            self.billed["day"] = NOTHING
        if before.month != self.calendar.at.month:
            self.billed["month"] = NOTHING

    def look(self):
        """Let the tasks run, and see who was granted what."""
        self.loop.run_until_complete(turns())
        for place, task in [one for one in self.waiting if one[1].done()]:
            self.waiting.remove((place, task))
            if task.exception() is None:
                self.granted.append(place)
                self.held.append(task.result())
            else:
                assert isinstance(task.exception(), SpentError)

    @invariant()
    def nothing_passes_a_cap(self):
        held = sum((one.worst for one in self.held), NOTHING)
        for period, billed in self.billed.items():
            both, caps = billed + held, self.caps[period]
            assert both.nano_usd <= caps.get("usd", both.nano_usd)
            assert both.tokens <= caps.get("tokens", both.tokens)
            assert both.requests <= caps.get("requests", both.requests)
            assert period != "day" or both.requests <= (self.quota or both.requests)

    @invariant()
    def nobody_waits_for_nothing(self):
        assert self.held or not self.waiting

    @invariant()
    def who_came_first_went_first(self):
        assert self.granted == sorted(self.granted)

    def teardown(self):
        for _, task in self.waiting:
            task.cancel()
        self.loop.run_until_complete(turns())
        self.loop.close()


TestLedger = pytest.mark.wide(Ledger.TestCase)
TestLedger.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
