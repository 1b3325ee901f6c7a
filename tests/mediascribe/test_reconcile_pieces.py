"""A row that was asked in pieces beside the bill, which has a line for each piece; every figure worked by hand.

A piece has 263 tokens in and 20 out, unless said: 34,300 nano-dollars at 0.10 and 0.40 USD a million. The gateway's
ratios 0.05 and 4 say the same: (263 + 20 x 4) x 0.05 = 17.15 quota, charged as 17, which are 34,000. The row has the
sums of three pieces: 789 and 60 tokens, 102,900 nano-dollars (gateway notes 2.2).
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

import pytest

from mediascribe.cost.reconciliation import Export, reconcile
from mediascribe.dataset import write_run
from mediascribe.domain import Cost
from mediascribe.pricing import Price, PriceBook, Rate

pytestmark = pytest.mark.wide

RUN_ID = "20261123T014500Z-3fa9c1"
AT = int(datetime(2026, 11, 23, 1, 45, tzinfo=UTC).timestamp())
TERMS = {"model_ratio": 0.05, "completion_ratio": 4, "group_ratio": 1, "model_price": -1}
LISTED = "2025-02-05 google"


def price(version, **rates):
    """A price of our own, which holds since ever."""
    return Price(model="gemini-2.0-flash", from_date=None, version=version, source="s", **rates)


FREE = Rate(Decimal(0))
BOOK = PriceBook(
    version="of a test",
    entries={
        "gemini-2.0-flash": (
            price("calls", input=FREE, output=FREE, per_call=Decimal("0.02")),
            price("tiers", input=Rate(Decimal(1), ((300, Decimal(2)),)), output=Rate(Decimal(4))),
        )
    },
)


def line(request_id="r1", *, other=MappingProxyType({}), **changes):
    """A line of the log: a piece's, unless said; *other* None: without terms."""
    plain = {"created_at": AT, "type": 2, "model_name": "gemini-2.0-flash", "quota": 17, "token_name": "k"}
    plain |= {"prompt_tokens": 263, "completion_tokens": 20, "request_id": request_id}
    return plain | {"other": "" if other is None else json.dumps(TERMS | {**other})} | changes


@pytest.fixture
def row(build):
    """`row("r1 r2 r3", nano_usd=..., usage={...})`: a row of three pieces, with the ids of its answers."""

    def _row(ids="r1 r2 r3", *, nano_usd=102_900, version=LISTED, usage=None, answer=None, **changes):
        counts = {"prompt_tokens": 789, "completion_tokens": 60, "prompt_image_tokens": 0} | (usage or {})
        total = counts["prompt_tokens"] + counts["completion_tokens"]
        outcome = build.completion(
            usage=build.usage(**counts | {"total_tokens": total}), gateway_request_id=ids, **answer or {}
        )
        cost = None if nano_usd is None else Cost(nano_usd=nano_usd, price_version=version)
        return build.record(outcome=outcome, cost=cost, **{"attempts": 3} | changes)

    return _row


@pytest.fixture
def reconciled(store, publish, tmp_path):
    """`reconciled([records], [lines])`: what comes of them, beside a run that has `in_doubt` requests in doubt."""

    def _reconciled(records, lines, *, in_doubt=0, prices=None):
        publish(records, run_id=RUN_ID)
        run = {"run_id": RUN_ID, "model": "gemini-2.0-flash", "in_doubt": in_doubt}
        write_run(store, RUN_ID, run | {"started_at": "2026-11-23T01:45:00Z", "finished_at": "2026-11-23T01:46:00Z"})
        path = tmp_path / "bill.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)))
        return reconcile([store], Export(path=path, name="bill.jsonl"), prices=prices)

    return _reconciled


def effects(found):
    """The shares of the gap that are not nothing; they add up to it."""
    assert sum(found.effects.values()) == found.billed - found.own
    return {name: amount for name, amount in found.effects.items() if amount}


def lines(*changed):
    """The lines of three pieces, with what is *changed* of each."""
    return [line(f"r{number}", **changes) for number, changes in enumerate([*changed, {}, {}, {}][:3], 1)]


def by(found):
    """How many lines were matched in each of the ways that were taken."""
    return {way: count for way, count in found.ways.items() if count}


SOUND = {"audio_input_price": 0.7, "audio_input_token_count": 175}
BY_SOUND = {"audio": True, "text_input": 5, "audio_input": 175, "audio_ratio": 20, "text_output": 0}
# Two pieces of 175 tokens of sound, and a question of text that joins them: 2 x 131,000 + 34,300.
JOINED = {"nano_usd": 296_300, "usage": {"prompt_tokens": 623, "prompt_audio_tokens": 350}}


@pytest.mark.long
@pytest.mark.parametrize(
    "case",
    [
        ({}, [], {"rounding": -900}, 900),
        # 100 and 10, 263 and 20, 400 and 30: 7, 17.15 and 26 quota; 14,000 + 34,300 + 52,000
        (
            {"nano_usd": 100_300, "usage": {"prompt_tokens": 763}},
            [
                {"prompt_tokens": 100, "completion_tokens": 10, "quota": 7},
                {},
                {"prompt_tokens": 400, "completion_tokens": 30, "quota": 26},
            ],
            {"rounding": -300},
            300,
        ),
        # 17.15 x 0.8 = 13.72 quota, which are 27,440; each is charged as 28,000
        (
            {},
            [{"quota": 14, "other": {"group_ratio": 0.8}}] * 3,
            {"rounding": 1_680, "key_group": -20_580},
            18_900,
        ),
        # one of them by another group than the others
        (
            {},
            [{}, {"quota": 14, "other": {"group_ratio": 0.8}}],
            {"rounding": -40, "key_group": -6_860},
            6_900,
        ),
        # one of them at twice the ratio: 34.3 quota
        ({}, [{"quota": 34, "other": {"model_ratio": 0.1}}], {"rounding": -1_200, "price": 34_300}, 34_300),
        # ten tokens more than were reported: 19.15 quota; the row's tokens are divided as the bill's are
        ({}, [{}, {"quota": 19, "completion_tokens": 30}], {"rounding": -900, "tokens": 4_000}, None),
        # 200 of one piece were cached, at a quarter: (63 + 50 + 80) x 0.05 = 9.65 quota
        (
            {"nano_usd": 87_900, "usage": {"cached_tokens": 200}},
            [{}, {"quota": 10, "other": {"cache_tokens": 200, "cache_ratio": 0.25}}],
            {"rounding": 100},
            1_300,
        ),
        # sound at a price of its own: 65.5 quota, which are 131,000
        (
            JOINED,
            [{"quota": 66, "prompt_tokens": 180, "other": SOUND}] * 2,
            {"rounding": 1_700},
            2_300,
        ),
        # through the audio path: 175.25 quota
        (
            JOINED,
            [{"quota": 175, "prompt_tokens": 180, "other": BY_SOUND}] * 2,
            {"rounding": -1_300, "audio": 439_000},
            438_300,
        ),
        # the gateway has no price of sound: 13 quota; what sound costs with us is 105,000 a piece
        (JOINED, [{"quota": 13, "prompt_tokens": 180}] * 2, {"rounding": -300, "audio": -210_000}, None),
        # no line says how its charge came about: together they are what the row cost, rounded off
        (
            JOINED,
            [{"quota": 66, "prompt_tokens": 180, "other": None}] * 2 + [{"other": None}],
            {"rounding": 1_700},
            1_700,
        ),
        # or more than that: 3 x 80 quota are 480,000
        ({}, [{"quota": 80, "other": None}] * 3, {"unexplained": 377_100}, 377_100),
        # a row without a price
        ({"nano_usd": None}, [], {"rounding": -900, "unpriced": 102_900}, 102_000),
        # a price that is in no book any more is divided by tokens
        ({"version": "a list of old"}, [], {"rounding": -900}, 900),
        # our own row says less than its price makes of its tokens
        ({"nano_usd": 90_000}, [], {"rounding": -900, "unexplained": 12_900}, None),
        # and where one piece was answered by another model, its price is not known: our cost is what the row says
        (
            {"nano_usd": 90_000, "answer": {"flags": ("fallback",), "model_returned": "gemini-2.0-flash"}},
            [],
            {"rounding": -900, "price": 12_900},
            None,
        ),
    ],
)
def test_every_piece_has_its_line(row, reconciled, case):
    """Three lines are matched by id, and each rule makes the share of the gap that is its own."""
    of_row, changed, shares, differing = case
    found = reconciled([row(**of_row)], lines(*changed))
    assert effects(found) == shares
    assert differing is None or found.differing == differing
    assert (by(found), found.lines, found.rows, found.unbilled_rows) == ({"request id": 3}, 3, 1, 0)
    assert found.by_day[["lines", "matched_lines", "unbilled_rows"]].to_numpy().tolist() == [[3, 3, 0]]
    assert (found.ok, found.explained_share == 1) == ("unexplained" not in shares,) * 2


@pytest.mark.long
class TestPrices:
    """Prices that are not those of a sum of tokens."""

    @pytest.mark.parametrize("tokens", [{}, {"prompt_tokens": 0, "completion_tokens": 0}])
    def test_a_price_by_the_call_is_paid_by_each_piece(self, row, reconciled, tokens):
        """0.02 USD a call are 10,000 quota; some gateways count no tokens then."""
        charged = {"quota": 10_000, "other": {"model_price": 0.02}, **tokens}
        found = reconciled([row(nano_usd=60_000_000, version="calls")], lines(*[charged] * 3), prices=BOOK)
        assert (effects(found), found.ok, found.own) == ({}, True, 60_000_000)

    @pytest.mark.parametrize("wasted", [0, 283])
    def test_a_call_that_is_not_on_the_bill(self, row, reconciled, wasted):
        """Its 0.02 USD are missing; what a wasted attempt cost is not among them."""
        charged = {"quota": 10_000, "other": {"model_price": 0.02}}
        calls, attempts = (80_000_000, 4) if wasted else (60_000_000, 3)
        asked = row(nano_usd=calls, version="calls", wasted_tokens=wasted, attempts=attempts)
        found = reconciled([asked], lines(*[charged] * 3)[:2], prices=BOOK)
        assert effects(found) == {"unexplained": -20_000_000} | ({"retries": -20_000_000} if wasted else {})

    @pytest.mark.parametrize(
        ("quota", "ratios", "shares"),
        [
            (420, {"model_ratio": 1, "completion_ratio": 2}, {}),
            (220, {"model_ratio": 0.5, "completion_ratio": 4}, {"price": -400_000}),
        ],
        ids=["both have it", "the gateway has none"],
    )
    def test_a_tier_is_for_a_piece_and_not_for_the_row(self, row, reconciled, quota, ratios, shares):
        """Beyond 300 tokens the prompt costs 2 USD a million and not 1: 400 do, twice 200 do not, nor does an answer.

        2 x (200,000 + 40,000) + (800,000 + 40,000); the gateway: (200 + 10 x 4) x 0.5 = 120 quota, 400 + 10 x 2 = 420.
        """
        short = {"prompt_tokens": 200, "completion_tokens": 10, "quota": 120, "other": {"model_ratio": 0.5}}
        long = {"prompt_tokens": 400, "completion_tokens": 10, "quota": quota, "other": ratios}
        usage = {"prompt_tokens": 800, "completion_tokens": 30}
        asked = row(nano_usd=1_320_000, version="tiers", usage=usage)
        found = reconciled([asked], lines(short, long, short), prices=BOOK)
        assert effects(found) == shares
        assert found.differing == abs(sum(shares.values()))


class TestMissing:
    """Pieces without a line, and lines without a piece."""

    def test_a_piece_that_is_not_on_the_bill(self, row, reconciled):
        """The row is unbilled by what that piece cost, which is not explained, and told with its id."""
        found = reconciled([row()], lines()[::2])
        assert effects(found) == {"rounding": -600, "unexplained": -34_300}
        assert (found.rows, found.unbilled_rows, found.matched_share, found.own) == (1, 1, 1, 102_900)
        (told,) = found.unmatched.to_dict("records")
        assert (told["side"], told["request_id"], told["item_id"]) == ("output", "r2", "a")
        assert (told["prompt_tokens"], told["completion_tokens"], told["amount_usd"]) == (263, 20, 0.0000343)
        assert told["why"] == "the bill has no line for 1 of the 3 pieces of this row"
        assert not found.ok

    def test_none_of_the_pieces_is_on_the_bill(self, row, build, reconciled):
        """The row is unbilled as a whole."""
        other = build.record("b", 2, outcome=build.completion(gateway_request_id="r9"), nano_usd=34_300)
        found = reconciled([row(), other], [line("r9")])
        assert effects(found) == {"rounding": -300, "unexplained": -102_900}
        assert found.unmatched["request_id"].tolist() == ["r1 r2 r3"]

    def test_pieces_without_a_price_that_are_not_on_the_bill(self, row, reconciled):
        """They are worth nobody knows what."""
        found = reconciled([row(nano_usd=None)], lines()[:1])
        assert effects(found) == {"rounding": -300, "unpriced": 34_300}
        assert found.unmatched["why"].tolist() == ["the bill has no line for 2 of the 3 pieces of this row"]

    def test_pieces_of_before_the_bill(self, row, reconciled):
        """A bill that begins while a row is asked has nothing to say of what was before."""
        early = row(requested_at=datetime(2026, 11, 23, 1, 30, tzinfo=UTC))
        found = reconciled([early], lines()[1:])
        assert (effects(found), found.ok, found.own) == ({"rounding": -600}, True, 68_600)

    def test_a_bill_without_ids(self, row, reconciled):
        """No line can be told from another request's: lines and row stand for themselves, and none is lost."""
        found = reconciled([row()], [line(None) for _ in range(3)])
        assert effects(found) == {"unexplained": -900}
        assert (found.matched_lines, found.unbilled_rows, len(found.unmatched)) == (0, 1, 4)
        assert (found.strayed, found.billed, found.own) == (204_900, 102_000, 102_900)

    @pytest.mark.parametrize("last", ["lost", None])
    def test_one_piece_without_an_id_is_known_by_the_tokens_that_are_left(self, row, reconciled, last):
        """The row names two of three; the third line has what they leave."""
        found = reconciled([row("r1 r2")], [*lines()[:2], line(last)])
        assert (effects(found), by(found), found.ok) == ({"rounding": -900}, {"request id": 2, "tokens": 1}, True)

    def test_a_row_may_have_the_id_of_one_piece_only(self, row, reconciled):
        """It looks like any row, until the tokens that are left find their line."""
        of_two = {"prompt_tokens": 526, "completion_tokens": 40}
        found = reconciled([row("r1", usage=of_two, nano_usd=68_600, attempts=2)], [line("r1"), line("lost")])
        assert (effects(found), by(found), found.ok) == ({"rounding": -600}, {"request id": 1, "tokens": 1}, True)

    def test_a_line_without_an_id_where_the_row_has_it(self, row, reconciled):
        """The row has three ids and three attempts: only a line that names none can be the third."""
        assert reconciled([row()], [*lines()[:2], line(None)]).ok

    def test_a_line_of_another_id_is_another_request(self, row, reconciled):
        """The row has all of its ids: one of them is not on the bill, and the other line is nobody's."""
        found = reconciled([row()], [*lines()[:2], line("foreign")])
        assert effects(found) == {"rounding": -600, "unexplained": -300}
        assert found.unmatched["request_id"].tolist() == ["foreign", "r3"]

    def test_two_pieces_without_an_id(self, row, reconciled):
        """Which lines they are is not known; what is left of the row's tokens is the gap's, and the sums hold.

        526 x 100 + 40 x 400 are ours alone, two lines of 34,000 are the bill's alone.
        """
        found = reconciled([row("r1")], [line("r1"), line("x"), line("y")])
        assert effects(found) == {"rounding": -300, "tokens": -68_600, "unexplained": 68_000}
        assert not found.ok


@pytest.mark.long
class TestAttempts:
    """More requests than pieces."""

    def test_a_wasted_attempt_at_a_piece(self, row, reconciled):
        """Four answers of 34,300, one of them not kept."""
        wasteful = row(nano_usd=137_200, attempts=4, wasted_tokens=283)
        found = reconciled([wasteful], [*lines(), line("other", created_at=AT - 1)])
        assert effects(found) == {"rounding": -1_200}
        assert (by(found), found.own) == ({"request id": 3, "wasted": 1}, 137_200)

    def test_a_wasted_attempt_that_is_not_on_the_bill(self, row, reconciled):
        """We counted 34,300 more than was charged."""
        found = reconciled([row(nano_usd=137_200, attempts=4, wasted_tokens=283)], lines())
        assert effects(found) == {"rounding": -900, "retries": -34_300}
        assert found.unbilled_rows == 0

    def test_a_piece_and_a_wasted_attempt_are_told_apart(self, row, reconciled):
        """A line of the first is missing, that of the other is there."""
        wasteful = row(nano_usd=137_200, attempts=4, wasted_tokens=283)
        found = reconciled([wasteful], [*lines()[:2], line("x", prompt_tokens=253, completion_tokens=30, quota=19)])
        # (253 + 30 x 4) x 0.05 = 18.65 quota, of which we counted 34,300
        assert effects(found) == {"rounding": 100, "retries": 3_000, "unexplained": -34_300}
        assert by(found) == {"request id": 2, "wasted": 1}

    def test_no_more_attempts_than_there_were(self, row, reconciled):
        """Three attempts are three pieces: a fourth line of the same prompt is not the row's."""
        found = reconciled([row(wasted_tokens=283, nano_usd=137_200)], [*lines(), line("x")])
        assert found.matched_lines == 3

    def test_an_attempt_in_doubt_has_the_prompt_of_a_piece(self, row, reconciled):
        """No answer came of it; the row has an attempt to spare."""
        found = reconciled([row(attempts=4)], [*lines(), line("x", completion_tokens=7, quota=15)])
        # (263 + 7 x 4) x 0.05 = 14.55 quota
        assert (effects(found), found.ok) == ({"in_doubt": 29_100}, True)

    def test_attempts_to_spare_are_those_of_all_pieces_together(self, row, reconciled):
        """One attempt, and two lines that could be its: of one piece's prompt, and of another's."""
        short = {"prompt_tokens": 100, "completion_tokens": 5, "quota": 6}
        asked = row(attempts=4, nano_usd=80_600, usage={"prompt_tokens": 626, "completion_tokens": 45})
        found = reconciled([asked], [*lines(short), line("x"), line("y", **short)])
        # 12,000 + 2 x 34,300; (100 + 5 x 4) x 0.05 = 6 quota
        assert effects(found) == {"rounding": -900, "in_doubt": 34_300, "unexplained": 12_000}

    def test_wasted_attempts_at_pieces_of_other_prompts(self, row, reconciled):
        """Their sum is the row's; each is known by the prompt of its piece, other lines by none."""
        short = {"prompt_tokens": 100, "completion_tokens": 5, "quota": 6}
        usage = {"prompt_tokens": 626, "completion_tokens": 45}
        asked = row(nano_usd=80_600 + 46_300, usage=usage, attempts=5, wasted_tokens=388)
        found = reconciled([asked], [*lines(short), line("x"), line("y", **short)])
        assert (effects(found), by(found)) == ({"rounding": -900}, {"request id": 3, "wasted": 2})

    def test_a_failed_row_is_charged_for_the_pieces_that_it_names(self, build, reconciled):
        """Its tokens are not known: they are requests of which no whole answer came."""
        failed = build.record(outcome=build.failure(gateway_request_id="r1 r2"), attempts=2)
        found = reconciled([failed], lines()[:2])
        assert (effects(found), found.ok) == ({"rounding": -600, "in_doubt": 68_600}, True)

    def test_a_failed_row_that_reports_tokens_is_like_any_other(self, build, reconciled):
        """Each of its pieces was answered and charged, the one that failed it as well."""
        usage = build.usage(prompt_tokens=789, completion_tokens=60, prompt_image_tokens=0)
        failure = build.failure(usage=usage, gateway_request_id="r1 r2 r3")
        failed = build.record(outcome=failure, cost=Cost(nano_usd=102_900, price_version=LISTED), attempts=3)
        found = reconciled([failed], lines())
        assert (effects(found), found.ok, found.own) == ({"rounding": -900}, True, 102_900)

    def test_a_second_charge_of_one_piece(self, row, reconciled):
        """It is one that we did not count."""
        found = reconciled([row()], [*lines(), line("r2", quota=18, created_at=AT + 1)])
        assert effects(found) == {"rounding": 800, "retries": 34_300}
        assert found.matched_lines == 4

    def test_a_refund_of_one_piece(self, row, reconciled):
        """What the gateway gave back has a sign."""
        found = reconciled([row()], [*lines(), line("r2", type=6)])
        assert effects(found) == {"rounding": -900, "refunds": -34_000}
        assert found.matched_lines == 4


def test_pieces_go_with_the_days_of_their_lines(row, reconciled):
    """Two before midnight, one after it."""
    late = datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)
    at = {"created_at": int(late.timestamp())}
    asked = row(requested_at=late, completed_at=late + timedelta(seconds=2))
    found = reconciled([asked], lines(at, at, {"created_at": at["created_at"] + 1}))
    told = found.by_day[["day", "lines", "matched_lines", "own_usd", "rounding_usd"]]
    assert told.to_numpy().tolist() == [
        ["2026-11-23", 2, 2, 0.0000686, -0.0000006],
        ["2026-11-24", 1, 1, 0.0000343, -0.0000003],
    ]


@pytest.mark.long
def test_whatever_a_bill_lacks_the_sums_are_exact(build, reconciled):
    """Of 60 rows of up to five pieces of any size, a fifth of the lines is lost: nothing is counted twice, or not."""
    chance = random.Random(7)  # noqa: S311 - no secret
    rows, bill, own = [], [], 0
    for number in range(60):
        sizes = [(chance.randrange(1, 900), chance.randrange(90)) for _ in range(chance.randrange(2, 6))]
        cost = sum(prompt * 100 + said * 400 for prompt, said in sizes)
        prompt, said = (sum(one) for one in zip(*sizes, strict=True))
        usage = build.usage(prompt_tokens=prompt, completion_tokens=said, prompt_image_tokens=prompt // 3)
        ids = [f"r{number}-{place}" for place in range(len(sizes))]
        answer = build.completion(usage=usage, gateway_request_id=" ".join(ids))
        paid = Cost(nano_usd=cost, price_version=LISTED)
        rows.append(build.record(f"i{number}", number + 1, outcome=answer, cost=paid, attempts=len(sizes)))
        own += cost
        for name, (prompt, said) in zip(ids, sizes, strict=True):
            quota = max(1, (prompt + said * 4) // 20)
            bill.append(line(name, prompt_tokens=prompt, completion_tokens=said, quota=quota))
    kept = [one for one in bill if chance.random() < 0.8]
    found = reconciled(rows, kept)
    effects(found)
    assert (found.own, found.billed) == (own, sum(one["quota"] for one in kept) * 2_000)
    assert (found.lines, found.matched_lines) == (len(kept), len(kept))
    lost = [one for one in bill if one not in kept]
    assert found.unbilled_rows == len({one["request_id"].partition("-")[0] for one in lost})
    assert -found.effects["unexplained"] == sum(
        one["prompt_tokens"] * 100 + one["completion_tokens"] * 400 for one in lost
    )
