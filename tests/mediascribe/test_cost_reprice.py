"""What the same usage would have cost: SQL and the price book agree to the nano-dollar."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediascribe.columns import USAGE_COLUMNS
from mediascribe.cost import REPRICED, Reprice, cost_table, cost_total
from mediascribe.cost.money import Branch, cost_sql
from mediascribe.domain import Cost, Usage
from mediascribe.errors import ConfigError
from mediascribe.pricing import KINDS, Price, Rate, load

pytestmark = pytest.mark.wide

BOOK = """
[[price]]
model = "dear"
from = 2026-11-01
list = "own"
input = "10"
output = "20"
source = "a contract"
batch = "0.5"

[[price]]
model = "dear"
from = 2026-11-24
list = "own"
input = { 0 = "20", 300 = "40" }
output = "20"
source = "a contract"

[[price]]
model = "gemini-2.0-flash"
from = 2026-11-01
list = "ours"
input = "0.3"
output = "0.7"
source = "a contract"
"""
TOKENS = st.integers(0, 10**7)
RATES = st.decimals(0, 1000, places=5)
STARTS = (1_000, 200_000)


@pytest.fixture(scope="module")
def connection():
    """DuckDB, in memory."""
    with duckdb.connect() as opened:
        yield opened


@pytest.fixture
def book(tmp_path):
    """Two prices of one model, one of another."""
    path = tmp_path / "book.toml"
    path.write_text(BOOK)
    return load(path)


@pytest.fixture
def filled(store, build, publish):
    """An output with one row."""
    publish([build.record()])
    return store


@st.composite
def prices(draw):
    """Any price: rates for some kinds, tiers, a price by the call."""
    kinds = {"input", "output", *draw(st.sets(st.sampled_from(KINDS)))}
    starts = draw(st.sets(st.sampled_from(STARTS)))
    rates = {kind: Rate(draw(RATES), tuple((start, draw(RATES)) for start in sorted(starts))) for kind in kinds}
    per_call = draw(st.none() | RATES)
    return Price(model="m", from_date=None, version="v", source="s", per_call=per_call, **rates)


USAGES = st.builds(
    Usage,
    **dict.fromkeys(USAGE_COLUMNS, TOKENS),
    source=st.sampled_from(("reported", "derived", "estimated")),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(price=prices(), usages=st.lists(USAGES, min_size=1, max_size=12))
def test_sql_and_python_agree_on_any_usage(connection, price, usages):
    """Whatever the usage is, even one that does not add up, both come to the same whole number."""
    rows = [dataclasses.asdict(usage) | {"usage_source": usage.source} for usage in usages]
    connection.register("usages", pa.Table.from_pylist(rows))
    sql = cost_sql([Branch(rows="true", price=price)])
    found = [amount for (amount,) in connection.execute(f"select cast({sql} as hugeint) from usages").fetchall()]  # noqa: S608 - our own SQL
    assert found == [price.nano_usd(usage) for usage in usages]


def test_halves_are_rounded_to_the_even_one_in_sql_too(connection):
    """0.5, 1.5, 2.5 and 3.5 nano-dollars are 0, 2, 2 and 4, as in the book."""
    price = Price(
        model="m", from_date=None, version="v", source="s", input=Rate(Decimal("0.0005")), output=Rate(Decimal(0))
    )
    usages = [Usage(prompt_tokens=tokens, source="reported") for tokens in (1, 3, 5, 7)]
    rows = [dataclasses.asdict(usage) | {"usage_source": "reported"} for usage in usages]
    connection.register("usages", pa.Table.from_pylist(rows))
    sql = cost_sql([Branch(rows="true", price=price)])
    assert connection.execute(f"select cast({sql} as bigint) from usages").fetchall() == [(0,), (2,), (2,), (4,)]  # noqa: S608 - our own SQL


def test_tokens_that_nobody_reported_have_no_other_price(connection):
    """A missing usage stays unknown, and a row that no branch is for as well."""
    price = Price(model="m", from_date=None, version="v", source="s", input=Rate(Decimal(1)), output=Rate(Decimal(1)))
    rows = [dataclasses.asdict(Usage()) | {"usage_source": source} for source in ("missing", "reported")]
    connection.register("usages", pa.Table.from_pylist(rows))
    for branch in (Branch(rows="true", price=price), Branch(rows="false", price=price)):
        found = connection.execute(f"select {cost_sql([branch])} from usages").fetchall()  # noqa: S608 - our own SQL
        assert found[0] == (None,)
    assert found[1] == (None,)
    assert connection.execute(f"select {cost_sql([])}").fetchall() == [(None,)]


class TestTable:
    """`cost_table(..., reprice=...)`."""

    def test_a_model_at_the_price_of_each_rows_day(self, store, build, publish, book):
        """263 and 20 tokens: 263 x 10 + 20 x 20 micro-dollars on the 23rd, 263 x 20 + 400 from the 24th on."""
        later = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
        publish([build.record("a", nano_usd=1_000_000), build.record("b", nano_usd=2_000_000, completed_at=later)])
        frame = cost_table([str(store.root)], by=["item_id"], reprice=Reprice(book=book, model="dear"))
        assert dict(zip(frame["item_id"], frame["repriced_usd"], strict=True)) == {"a": 0.00303, "b": 0.00566}
        assert dict(zip(frame["item_id"], frame["change_usd"], strict=True)) == {"a": 0.00203, "b": 0.00366}

    def test_a_model_at_the_price_of_one_day(self, store, build, publish, book):
        """With a day, that day's price holds for all rows; in a batch it is half."""
        publish([build.record("a", nano_usd=1), build.record("b", nano_usd=1)])
        at = Reprice(book=book, model="dear", on=date(2026, 11, 1))
        assert cost_table([str(store.root)], by=[], reprice=at)["repriced_usd"].item() == 0.00606
        halved = dataclasses.replace(at, batch=True)
        assert cost_table([str(store.root)], by=[], reprice=halved)["repriced_usd"].item() == 0.00303

    def test_each_model_at_its_own_price_of_another_book(self, store, build, publish, book):
        """Models that no list has are counted, not guessed."""
        publish([build.record("a", nano_usd=1_000)])
        publish([build.record("b", nano_usd=1_000)], number=1, model="nobody-lists-this")
        frame = cost_table([str(store.root)], by=["model"], reprice=Reprice(book=book))
        told = frame.set_index("model")
        assert told.loc["gemini-2.0-flash", "repriced_usd"] == pytest.approx((263 * 0.3 + 20 * 0.7) / 1e6, abs=1e-12)
        assert list(told["unrepriced_rows"]) == [0, 1]
        assert told["repriced_usd"].isna().tolist() == [False, True]

    def test_every_row_agrees_with_the_price_book(self, store, build, publish, book):
        """Two days, two tiers, parts of every kind: row by row what `PriceBook.cost` says."""
        usages = [
            build.usage(
                prompt_tokens=100 * number,
                prompt_audio_tokens=7 * number,
                cached_tokens=3 * number,
                completion_tokens=number,
                source="derived",
            )
            for number in range(1, 8)
        ]
        days = [datetime(2026, 11, 23 + number % 2, 5, tzinfo=UTC) for number in range(1, 8)]
        records = [
            build.record(f"i{number}", number, outcome=build.completion(usage=usage), completed_at=day)
            for number, (usage, day) in enumerate(zip(usages, days, strict=True))
        ]
        publish(records)
        frame = cost_table([str(store.root)], by=["item_id"], reprice=Reprice(book=book, model="dear"))
        found = dict(zip(frame["item_id"], frame["repriced_usd"], strict=True))
        for number, (usage, day) in enumerate(zip(usages, days, strict=True)):
            assert round(found[f"i{number}"] * 1e9) == book.cost(usage, "dear", day.date()).nano_usd

    def test_attempts_that_were_not_kept_are_no_part_of_the_change(self, store, build, publish, book):
        """The row paid 500 for what was not kept: the kept answer cost the rest, by the price that it names."""
        ours = book.price_of("gemini-2.0-flash", date(2026, 11, 23))
        kept = ours.nano_usd(build.usage())
        record = build.record(nano_usd=None, wasted_tokens=5)
        paid = dataclasses.replace(record, cost=Cost(nano_usd=kept + 500, price_version=ours.version))
        publish([paid])
        frame = cost_table([str(store.root)], by=[], reprice=Reprice(book=book), prices=book)
        assert frame["change_usd"].item() == 0
        assert frame["wasted_usd"].item() == 500 / 1e9

    def test_what_a_fallback_answered_has_no_other_price_of_its_models(self, store, build, publish, book):
        """Its row has the first model's name: that price is not what it would have paid; any one model's is."""
        publish([build.record(outcome=build.completion(flags=("fallback",)), nano_usd=1)])
        own = cost_table([str(store.root)], by=[], reprice=Reprice(book=book))
        assert (own["repriced_usd"].isna().item(), own["unrepriced_rows"].item()) == (True, 1)
        other = cost_table([str(store.root)], by=[], reprice=Reprice(book=book, model="dear"))
        assert (other["repriced_usd"].item(), other["unrepriced_rows"].item()) == (0.00303, 0)

    def test_a_total_has_the_other_price_too(self, store, build, publish, book):
        """The total of a repriced table has its columns."""
        publish([build.record("a", nano_usd=1), build.record("b", nano_usd=1)])
        total = cost_total(cost_table([str(store.root)], by=["item_id"], reprice=Reprice(book=book, model="dear")))
        assert [total[name] for name in REPRICED] == [0.00606, 0.006059998, 0]

    @pytest.mark.parametrize(
        ("reprice", "says"),
        [
            ({"model": "nobody-lists-this"}, "nobody lists a price of `nobody-lists-this`: add a"),
            ({"model": "dear", "on": date(2026, 1, 1)}, "nobody lists a price of `dear` on 2026-01-01"),
            ({"model": "gemini-2.0-flash", "batch": True}, "nobody lists a batch price of `gemini-2.0-flash`"),
        ],
    )
    def test_a_price_that_nobody_lists_is_refused(self, filled, book, reprice, says):
        """Not a column of nulls: the model is named."""
        with pytest.raises(ConfigError, match=says):
            cost_table([filled], by=[], reprice=Reprice(book=book, **reprice))
