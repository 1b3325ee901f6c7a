"""What a bill has more or less than our rows, and which rule makes how much of it; every figure worked by hand.

The plain row has 263 tokens in (5 text, 258 image) and 20 out: 34,300 nano-dollars at 0.10 and 0.40 USD a million. The
gateway's ratios 0.05 and 4 say the same: (263 + 20 x 4) x 0.05 = 17.15 quota, charged as 17, which are 34,000.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from mediascribe.cost.reconciliation import Export, reconcile
from mediascribe.dataset import write_run
from mediascribe.domain import Cost

pytestmark = [pytest.mark.wide, pytest.mark.long]

RUN_ID = "20261123T014500Z-3fa9c1"
AT = int(datetime(2026, 11, 23, 1, 45, tzinfo=UTC).timestamp())
TERMS = {
    "model_ratio": 0.05,
    "completion_ratio": 4,
    "group_ratio": 1,
    "cache_tokens": 0,
    "cache_ratio": 0.25,
    "model_price": -1,
}
SOUND = {"prompt_tokens": 180, "prompt_image_tokens": 0, "prompt_audio_tokens": 175, "total_tokens": 200}


def line(request_id="r1", *, other=None, **changes):
    """A line of the log: the plain answer's, unless said."""
    plain = {"created_at": AT, "type": 2, "model_name": "gemini-2.0-flash", "quota": 17, "token_name": "k"}
    plain |= {"prompt_tokens": 263, "completion_tokens": 20, "request_id": request_id}
    terms = json.dumps(TERMS | other) if isinstance(other, dict) else json.dumps(TERMS) if other is None else other
    return plain | {"other": terms} | changes


@pytest.fixture
def row(build):
    """`row("a", 1, usage=..., nano_usd=...)`: a row whose request had the id `r<number>`."""

    def _row(item="a", number=1, *, usage=None, nano_usd=34_300, outcome=None, **changes):
        cost = None if nano_usd is None else Cost(nano_usd=nano_usd, price_version="2025-02-05 google")
        answer = outcome or build.completion(usage=build.usage(**usage or {}), gateway_request_id=f"r{number}")
        return build.record(item, number, outcome=answer, cost=cost, **changes)

    return _row


@pytest.fixture
def reconciled(store, publish, tmp_path):
    """`reconciled([records], [lines])`: what comes of them, beside a run that has `in_doubt` requests in doubt."""

    def _reconciled(records, lines, *, in_doubt=0, token=None, finished="2026-11-23T01:46:00Z"):
        publish(records, run_id=RUN_ID)
        run = {"run_id": RUN_ID, "model": "gemini-2.0-flash", "in_doubt": in_doubt}
        write_run(store, RUN_ID, run | {"started_at": "2026-11-23T01:45:00Z", "finished_at": finished})
        path = tmp_path / "bill.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)))
        return reconcile([store], Export(path=path, name="bill.jsonl", token=token))

    return _reconciled


def effects(found):
    """The shares of the gap that are not nothing; they add up to it."""
    assert sum(found.effects.values()) == found.billed - found.own
    return {name: amount for name, amount in found.effects.items() if amount}


@pytest.mark.parametrize(
    "case",
    [
        ({}, 34_300, {}, {"rounding": -300}),
        # 17.15 x 0.8 = 13.72 quota, which are 27,440
        ({}, 34_300, {"quota": 14, "other": {"group_ratio": 0.8}}, {"rounding": 560, "key_group": -6_860}),
        # twice the ratio: 34.3 quota
        ({}, 34_300, {"quota": 34, "other": {"model_ratio": 0.1}}, {"rounding": -600, "price": 34_300}),
        # ours: 5 x 100 + 175 x 700 + 20 x 400; the gateway: (5 + 175 x 20) x 0.05 = 175.25 quota, and no answer
        (
            SOUND,
            131_000,
            {
                "quota": 175,
                "prompt_tokens": 180,
                "other": {"audio": True, "text_input": 5, "audio_input": 175, "audio_ratio": 20, "text_output": 0},
            },
            {"rounding": -500, "audio": 219_500},
        ),
        # sound at a price of its own: (5 + 80) x 0.05 + 175 x 0.7 / 2 = 65.5 quota
        (
            SOUND,
            131_000,
            {"quota": 66, "prompt_tokens": 180, "other": {"audio_input_price": 0.7, "audio_input_token_count": 175}},
            {"rounding": 1_000},
        ),
        # the gateway has no price of sound: (180 + 80) x 0.05 = 13 quota
        (SOUND, 131_000, {"quota": 13, "prompt_tokens": 180}, {"audio": -105_000}),
        # 200 cached at a quarter: (63 + 50 + 80) x 0.05 = 9.65 quota
        ({}, 34_300, {"quota": 10, "other": {"cache_tokens": 200}}, {"rounding": 700, "cached": -15_000}),
        # told to us, and charged in full
        ({"cached_tokens": 200}, 19_300, {}, {"rounding": -300, "cached": 15_000}),
        # Claude's prompt is without the 200 that were cached
        (
            {"cached_tokens": 200},
            19_300,
            {"quota": 10, "prompt_tokens": 63, "other": {"claude": True, "cache_tokens": 200}},
            {"rounding": 700},
        ),
        # 100 written to the cache at 1.25: (163 + 125 + 80) x 0.05 = 18.4 quota
        (
            {},
            34_300,
            {"quota": 18, "other": {"cache_creation_tokens": 100, "cache_creation_ratio": 1.25}},
            {"rounding": -800, "cached": 2_500},
        ),
        # pictures at twice the ratio: (5 + 516 + 80) x 0.05 = 30.05 quota
        (
            {},
            34_300,
            {"quota": 30, "other": {"image_output": 258, "image_ratio": 2}},
            {"rounding": -100, "price": 25_800},
        ),
        # ten tokens more than were reported: 19.15 quota
        ({}, 34_300, {"quota": 19, "completion_tokens": 30}, {"rounding": -300, "tokens": 4_000}),
        # by the call: 0.02 USD
        ({}, 34_300, {"quota": 10_000, "other": {"model_price": 0.02}}, {"price": 19_965_700}),
        # no terms, and no more than rounded off; and more than that
        ({}, 34_300, {"other": ""}, {"rounding": -300}),
        ({}, 34_300, {"other": "", "quota": 20}, {"unexplained": 5_700}),
        ({}, 34_300, {"other": {"billing_mode": "tiered_expr"}}, {"rounding": -300}),
        # terms that do not give the charge
        ({}, 34_300, {"quota": 25}, {"unexplained": 15_700}),
        # our own row says less than its price makes of its tokens
        ({}, 30_000, {}, {"rounding": -300, "unexplained": 4_300}),
        # a row without a price
        ({}, None, {}, {"rounding": -300, "unpriced": 34_300}),
        # a price that is in no book any more is taken as it stands
        (
            {},
            34_300,
            {"model_name": "gemini-2.0-flash", "other": {"completion_ratio": 5}, "quota": 18},
            {"rounding": -300, "price": 2_000},
        ),
    ],
)
def test_one_answer(row, reconciled, case):
    """Each rule makes the share of the gap that is its own."""
    usage, cost, charged, shares = case
    found = reconciled([row(usage=usage, nano_usd=cost)], [line(**charged)])
    assert effects(found) == shares
    assert found.ways == {"request id": 1, "tokens": 0, "time": 0, "wasted": 0, "in doubt": 0}
    assert found.ok == ("unexplained" not in shares)


class TestAttempts:
    """One row, several billed requests."""

    def test_wasted_attempts_that_both_sides_count(self, row, reconciled):
        """Two answers of 34,300, one of them not kept: both lines are matched, and differ by what was rounded off."""
        wasteful = row(nano_usd=68_600, attempts=2, wasted_tokens=283)
        found = reconciled([wasteful], [line(), line("other", created_at=AT - 1)])
        assert effects(found) == {"rounding": -600}
        assert (found.ways["request id"], found.ways["wasted"], found.own) == (1, 1, 68_600)

    def test_wasted_attempts_of_several_answers(self, row, reconciled):
        """Two wasted answers of the same prompt: their sum is the row's, and each line is one of them."""
        wasteful = row(nano_usd=106_900, attempts=3, wasted_tokens=566 + 10)
        lines = [line(), line("x"), line("y", completion_tokens=30, quota=19)]
        found = reconciled([wasteful], lines)
        assert effects(found) == {"rounding": -900}
        assert found.ways["wasted"] == 2

    def test_a_wasted_attempt_that_is_not_on_the_bill(self, row, reconciled):
        """We counted 34,300 more than was charged."""
        found = reconciled([row(nano_usd=68_600, attempts=2, wasted_tokens=283)], [line()])
        assert effects(found) == {"rounding": -300, "retries": -34_300}
        assert found.unbilled_rows == 0
        assert found.by_day["unbilled_rows"].tolist() == [0]

    def test_a_row_without_any_line_is_unbilled_with_its_wasted_attempts(self, row, reconciled):
        """Its answer and the one before it: 68,600 that are nowhere on the bill, which has another row's line."""
        rows = [row(), row("b", 2, nano_usd=68_600, attempts=2, wasted_tokens=283)]
        found = reconciled(rows, [line()])
        assert effects(found) == {"rounding": -300, "unexplained": -68_600}
        assert (found.own, found.unbilled_rows) == (34_300 + 68_600, 1)

    def test_a_second_question_is_a_wasted_attempt_with_a_prompt_of_its_own(self, row, reconciled):
        """A first answer of 100 and 4 tokens, by their sum: (100 + 16) x 0.05 = 5.8 quota."""
        asked_again = row(nano_usd=34_300 + 11_600, attempts=2, wasted_tokens=104)
        found = reconciled([asked_again], [line(), line("x", prompt_tokens=100, completion_tokens=4, quota=6)])
        assert effects(found) == {"rounding": 100}

    def test_a_request_in_doubt_that_was_charged(self, row, reconciled):
        """The same prompt, no answer of ours, an attempt to spare."""
        found = reconciled([row(attempts=2)], [line(), line("x")])
        assert effects(found) == {"rounding": -600, "in_doubt": 34_300}
        assert found.ok

    def test_a_request_in_doubt_of_a_row_without_an_answer(self, row, build, reconciled):
        """A failed row says nothing of its tokens; its run has one request in doubt, and no more."""
        failed = row("b", 2, outcome=build.failure(), nano_usd=None, attempts=2)
        found = reconciled([row(), failed], [line(), line("x"), line("y")], in_doubt=1)
        assert effects(found) == {"rounding": -600, "in_doubt": 34_300, "unexplained": 34_000}
        assert found.unmatched["request_id"].tolist() == ["y"]
        assert (found.rows, found.matched_lines, found.ok) == (1, 2, False)

    def test_an_answer_that_failed_and_was_charged(self, row, build, reconciled):
        """Its id is known, its tokens are not: it is one of the requests of which no whole answer came."""
        failed = row(outcome=build.failure(gateway_request_id="r1", http_status=524), nano_usd=None)
        assert effects(reconciled([failed], [line()])) == {"rounding": -300, "in_doubt": 34_300}

    def test_two_charges_for_one_request(self, row, reconciled):
        """The second line of an id is one that we did not count."""
        found = reconciled([row()], [line(), line(quota=18, created_at=AT + 1)])
        assert effects(found) == {"rounding": 1_400, "retries": 34_300}

    def test_a_refund_takes_back(self, row, reconciled):
        """What the gateway gave back has a sign."""
        found = reconciled([row()], [line(), line(type=6)])
        assert effects(found) == {"rounding": -300, "refunds": -34_000}
        assert found.billed == 0


class TestWithoutIds:
    """Lines of older gateways, which name no request."""

    def test_tokens_and_time_do_as_well(self, row, reconciled):
        """The model, the tokens, and a moment within five minutes."""
        other = row("b", 2, usage={"completion_tokens": 30, "total_tokens": 293}, nano_usd=38_300)
        lines = [line(None), line(None, completion_tokens=30, quota=19)]
        found = reconciled([row(), other], lines)
        assert effects(found) == {"rounding": -600}
        assert found.ways["tokens"] == 2

    def test_another_time_is_another_request(self, row, reconciled):
        """Ten minutes are too far; the row is of another time than the bill, and in no sum."""
        found = reconciled([row()], [line(None, created_at=AT + 600)])
        assert effects(found) == {"unexplained": 34_000}
        assert (found.rows_outside, found.unbilled_rows, found.own) == (1, 0, 0)

    def test_ids_of_another_kind_are_no_hindrance(self, row, reconciled):
        """Where no id is known on both sides, the ids say nothing."""
        assert reconciled([row()], [line("upstream-1")]).ways["tokens"] == 1

    def test_where_ids_are_good_another_id_is_another_request(self, row, reconciled):
        """The same tokens at the same time, but an id that is none of ours."""
        found = reconciled([row(), row("b", 2)], [line(), line("foreign")])
        assert (found.matched_lines, found.unbilled_rows) == (1, 1)

    def test_a_row_without_an_id_takes_a_line_of_its_tokens(self, row, build, reconciled):
        """A header that was lost is no lost line."""
        nameless = row("b", 2, outcome=build.completion())
        found = reconciled([row(), nameless], [line(), line("lost")])
        assert (found.ways["request id"], found.ways["tokens"], found.ok) == (1, 1, True)

    def test_an_answer_without_tokens_is_known_by_its_time(self, row, build, reconciled):
        """It reported none, so all of its charge is what we could not price."""
        silent = row(outcome=build.completion(usage=build.usage(source="missing")), nano_usd=None)
        found = reconciled([silent], [line(None)])
        assert effects(found) == {"rounding": -300, "unpriced": 34_300}
        assert found.ways["time"] == 1

    def test_an_answer_without_tokens_after_a_wasted_one_is_known_by_its_time_as_well(self, row, build, reconciled):
        """The line of its other attempt is known by the tokens that were wasted, and leaves the row to be found."""
        silent = build.completion(usage=build.usage(source="missing"))
        found = reconciled([row(outcome=silent, attempts=2, wasted_tokens=283)], [line(None), line(None)])
        assert effects(found) == {"rounding": -600, "unpriced": 34_300}
        assert (found.ways["wasted"], found.ways["time"], found.unbilled_rows) == (1, 1, 0)


class TestOtherSide:
    """Lines and rows that have none."""

    def test_a_foreign_line_and_an_unbilled_row_are_named(self, row, reconciled):
        """Each with what it is worth, and why it stands there."""
        found = reconciled([row(), row("b", 2)], [line(), line("foreign", model_name="gpt-4o")])
        told = found.unmatched[["side", "model", "amount_usd", "request_id", "item_id"]].astype(object)
        assert told.where(told.notna(), None).to_numpy().tolist() == [
            ["bill", "gpt-4o", 0.000034, "foreign", None],
            ["output", "gemini-2.0-flash", 0.0000343, "r2", "b"],
        ]
        assert effects(found) == {"rounding": -300, "unexplained": -300}
        assert found.strayed == 68_300  # over and under do not cancel out
        assert found.explained_share == pytest.approx(1 - 68_300 / 68_600)
        assert (found.matched_share, found.ok) == (0.5, False)

    def test_an_unbilled_row_without_a_price_is_named_too(self, row, reconciled):
        """It is worth nobody knows what."""
        found = reconciled([row(), row("b", 2, nano_usd=None)], [line()])
        assert (found.unbilled_rows, effects(found)) == (1, {"rounding": -300})

    def test_rows_that_asked_nothing_are_not_expected(self, row, build, reconciled):
        """A skipped row was never sent."""
        skipped = row("b", 2, outcome=build.failure(error_class="row"), nano_usd=None, attempts=0)
        assert reconciled([row(), skipped], [line()]).rows == 1

    def test_lines_of_other_keys_and_kinds_are_left_out(self, row, reconciled):
        """Of four lines one is another key's, one is an error, one stands twice."""
        lines = [line(), line(), line("x", token_name="theirs"), line("y", type=5, quota=0)]
        found = reconciled([row()], lines, token="k")
        assert (found.lines, found.other_lines, found.repeated_lines, found.ok) == (1, 2, 1, True)


def test_days_and_models_have_their_own_lines(row, reconciled):
    """A line counts on its own day; its row goes with it. All sums are in dollars."""
    late = datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)
    midnight = row("b", 2, requested_at=late, completed_at=late + timedelta(seconds=2))
    after = int(late.timestamp()) + 1
    found = reconciled([row(), midnight], [line(), line("r2", created_at=after)])
    told = found.by_day[["day", "model", "lines", "matched_lines", "billed_usd", "own_usd", "rounding_usd"]]
    assert told.to_numpy().tolist() == [
        ["2026-11-23", "gemini-2.0-flash", 1, 1, 0.000034, 0.0000343, -0.0000003],
        ["2026-11-24", "gemini-2.0-flash", 1, 1, 0.000034, 0.0000343, -0.0000003],
    ]
    assert found.to_json()["gap_usd"] == -0.0000006


def test_an_answer_of_a_fallback_goes_by_the_model_that_gave_it(row, build, reconciled):
    """Its row names the first model, and the price of the second: 263 x 300 + 20 x 2,500 = 128,900."""
    answer = build.completion(flags=("fallback",), model_returned="gemini-2.5-flash")
    price = Cost(nano_usd=128_900, price_version="genai-prices of some day")
    fallen = build.record("a", 1, outcome=answer, cost=price, attempts=2)
    terms = {"model_ratio": 0.15, "completion_ratio": 25 / 3}
    found = reconciled([fallen], [line("x", model_name="gemini-2.5-flash", quota=64, other=terms)])
    assert effects(found) == {"rounding": -900}
    assert found.ways["tokens"] == 1
