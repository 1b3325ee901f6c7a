"""Rows that ask the same about the same media stand together in the plan, behind the first of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe import plan
from mediascribe.domain import Item, Media
from mediascribe.plan import same
from mediascribe.store import open_store

pytestmark = pytest.mark.wide
RUN = "20261103T000000Z-cccccc"


def item(number, url, *, title="t", kind="image"):
    media = (Media(kind=kind, url=f"https://h/{url}"),)
    return Item(item_id=f"i{number}", row_number=number, media=media, variables={"title": title})


def drawn_up(items, store, build, *, shard_rows=None, same_once=True, **order):
    wanted = plan.Order(reasons=("new",), shard_rows=shard_rows, config_sha256="c", same_once=same_once, **order)
    return plan.make(items, build.facts(run_id=RUN), wanted, store)


def rows(made):
    return [[(due.item.row_number, due.leader) for due in plan.read(shard)] for shard in made.shards]


def test_the_same_rows_stand_behind_the_first_one(store, build):
    """Rows 1, 3 and 5 ask the same: 3 and 5 follow row 1, and two of five rows are shared."""
    made = drawn_up([item(1, "a"), item(2, "b"), item(3, "a"), item(4, "c"), item(5, "a")], store, build)
    assert rows(made) == [[(1, 1), (3, 1), (5, 1), (2, None), (4, None)]]
    assert (made.rows, made.shared) == (5, 2)


def test_only_media_and_prompt_make_rows_the_same(store, build):
    """Another title, another kind, another path: three questions. Another signature, other carried values: the same."""
    items = [item(1, "a"), item(2, "a", title="u"), item(3, "a", kind="video"), item(4, "b")]
    signed = [item(5, "s?X-Amz-Signature=1"), item(6, "s?X-Amz-Signature=2")]
    made = drawn_up([*items, *signed], store, build)
    assert rows(made) == [[(1, None), (2, None), (3, None), (4, None), (5, 5), (6, 5)]]


def test_a_job_may_want_each_row_asked(store, build):
    """With `same_once = false` nothing is shared, and the manifest's order holds."""
    made = drawn_up([item(1, "a"), item(2, "b"), item(3, "a")], store, build, same_once=False)
    assert rows(made) == [[(1, None), (2, None), (3, None)]]
    assert made.shared == 0


def test_rows_that_cannot_be_asked_are_not_the_same(store, build):
    """A repeated id makes a row of its own, which is skipped."""
    made = drawn_up([item(1, "a"), item(2, "a"), build.item("i1", 3)], store, build)
    assert rows(made) == [[(1, 1), (2, 1), (3, None)]]


def test_a_group_that_lies_across_shards_is_led_in_each(store, build):
    """Five equal rows in shards of two: the first of each shard leads."""
    made = drawn_up([item(number, "a") for number in range(1, 6)], store, build, shard_rows=2)
    assert rows(made) == [[(1, 1), (2, 1)], [(3, 3), (4, 3)], [(5, 5)]]


def test_a_very_long_group_is_led_anew(store, build, monkeypatch):
    """No more rows than `GROUP_ROWS` follow one leader, so that memory stays bounded."""
    monkeypatch.setattr(same, "GROUP_ROWS", 3)
    made = drawn_up([item(number, "a") for number in range(1, 8)], store, build)
    assert rows(made) == [[(1, 1), (2, 1), (3, 1), (4, 4), (5, 4), (6, 4), (7, 7)]]


def test_of_chosen_rows_the_first_leads(store, build):
    """Where only rows 2 and 3 are wanted, row 2 leads, whatever row 1 asks."""
    made = drawn_up([item(number, "a") for number in (1, 2, 3)], store, build, ids=frozenset({"i2", "i3"}))
    assert rows(made) == [[(2, 2), (3, 2)]]


@settings(max_examples=25, deadline=None)
@given(urls=st.lists(st.sampled_from("abcdef"), max_size=40), shard_rows=st.integers(1, 12))
def test_every_row_is_there_once_and_behind_its_like(tmp_path_factory, build, urls, shard_rows):
    """Whatever the manifest: each row once; in a shard a row's leader stands before it and asks the same."""
    store = open_store(str(tmp_path_factory.mktemp("same")))
    items = [item(number, url) for number, url in enumerate(urls, 1)]
    made = drawn_up(items, store, build, shard_rows=shard_rows)
    shards = rows(made)
    assert sorted(number for shard in shards for number, _ in shard) == list(range(1, len(urls) + 1))
    for shard in shards:
        before = []
        for number, leader in shard:
            before.append(number)
            if leader is not None:
                assert leader in before
                assert urls[leader - 1] == urls[number - 1]
        first = [number for number, leader in shard if leader in (None, number)]
        assert len({urls[number - 1] for number in first}) == len(first)
