"""A plan is the same whether its items come many at a time or one by one."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediascribe import plan
from mediascribe.domain import REASONS
from mediascribe.job_sections import ManifestSection
from mediascribe.manifest import open_manifest
from mediascribe.store import open_store

pytestmark = pytest.mark.wide

RUN_1, RUN_2 = "20261101T000000Z-aaaaaa", "20261102T000000Z-bbbbbb"
urls = st.sampled_from(
    ["https://h/a.jpg", "https://h/b?w=1", "https://h/b?sig=1", "https://h/b?sig=2", "HTTP://h", "", "x y", "data:,x"]
)
tables = st.lists(
    st.fixed_dictionaries(
        {
            "item_id": st.sampled_from(["a", "b", "c", "a#2", " ", "d", "é"]) | st.integers(1, 3),
            "image_url": urls | st.lists(urls, max_size=2) | st.none(),
            "audio_url": urls,
            "n": st.sampled_from(["1", "x", 2, None, 0.5]),
        }
    ),
    max_size=8,
)


@given(before=tables, after=tables, case=st.tuples(st.booleans(), st.integers(1, 4)))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_give_one_plan(tmp_path_factory, build, before, after, case):
    """Same rows, ids, reasons, problems, shards and counts, on an empty output and on one with results."""
    ids, shard_rows = case
    folder = tmp_path_factory.mktemp("ways")
    made = []
    for way in (lambda items: items, list):
        store = open_store(str(folder / way.__name__.strip("<>")))
        made.append([])
        for run_id, rows in ((RUN_1, before), (RUN_2, after)):
            items = way(manifest(folder / f"{run_id}.jsonl", rows, ids=ids))
            order = plan.Order(reasons=REASONS, shard_rows=shard_rows, config_sha256="c" * 64)
            planned = plan.make(items, build.facts(run_id=run_id, carry={"n": "int64"}), order, store)
            shards = [list(plan.read(shard)) for shard in planned.shards]
            made[-1].append((planned.counts, planned.rows, shards))
            answer(build, store, planned, shards)
    assert made[0] == made[1]


def manifest(path, rows, *, ids):
    head = {"item_id": "z", "image_url": "https://h/z", "audio_url": "", "n": "1"}
    kept = [{name: row[name] for name in row if ids or name != "item_id"} for row in [head, *rows]]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    section = ManifestSection(path=str(path), carry={"n": "int64"})
    return open_manifest(section, variables=frozenset({"n"})).checked(lambda _: None)


def answer(build, store, planned, shards):
    """Every row has a result; every third one failed."""
    from mediascribe.part import write_part  # noqa: PLC0415 - beside its one use

    for shard, rows in zip(planned.shards, shards, strict=True):
        records = [
            build.record(
                item=item,
                reason=reason,
                outcome=item.problem or (build.failure() if item.row_number % 3 == 0 else build.completion()),
            )
            for item, reason in ((due.item, due.reason) for due in rows)
        ]
        write_part(store, planned.facts, shard, records)
