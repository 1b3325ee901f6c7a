"""An order narrows down what is asked; what it leaves out stays in the counts."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from mediascribe import plan
from mediascribe.domain import REASONS, Failure
from mediascribe.errors import ConfigError, CorruptError
from mediascribe.job_sections import ManifestSection
from mediascribe.manifest import open_manifest
from mediascribe.part import write_part
from mediascribe.store import open_store

pytestmark = pytest.mark.wide

RUN_1, RUN_3 = ("20261101T000000Z-aaaaaa", "20261103T000000Z-cccccc")


@pytest.fixture
def opened(tmp_path):
    """`opened(rows)`: the items of a JSONL manifest of these rows, with a price carried."""

    def _opened(rows):
        path = tmp_path / "m.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        section = ManifestSection(path=str(path), carry={"price": "float64"})
        return open_manifest(section, variables=frozenset()).checked(lambda _: None)

    return _opened


@pytest.fixture
def planned(store, build):
    """`planned(items, where=..., ...)`: the plan of all reasons."""

    def _planned(items, *, run_id=RUN_3, model="gemini-2.0-flash", **order):
        order = {"reasons": REASONS, "shard_rows": None, "config_sha256": "c" * 64} | order
        facts = build.facts(run_id=run_id, model=model, carry={"price": "float64"})
        return plan.make(items, facts, plan.Order(**order), store)

    return _planned


def asked(made):
    return [item.item_id for shard in made.shards for item in plan.items(shard)]


def rows(names, **more):
    return [
        {"item_id": name, "image_url": f"https://h/{name}.jpg", "price": number, "site": "x y"} | more
        for number, name in enumerate(names)
    ]


@pytest.fixture
def three(opened, publish, build):
    """A manifest of a to d: a was answered, b failed by time, c failed at the server, d is new."""
    publish(
        [
            build.record("a", 1),
            build.record(
                "b", 2, outcome=build.failure(error_class="timeout"), completed_at=datetime(2026, 11, 2, tzinfo=UTC)
            ),
            build.record(
                "c", 3, outcome=build.failure(error_class="server"), completed_at=datetime(2026, 11, 3, tzinfo=UTC)
            ),
        ],
        run_id=RUN_1,
        carry={"price": "float64"},
    )
    return opened([{"item_id": "a", "image_url": "https://cdn.example/a.jpg", "price": 1.5, "site": "x"}, *rows("bcd")])


def test_failed_rows_are_counted_by_class(three, planned):
    """The plan tells why rows failed."""
    made = planned(three)
    assert made.counts == {"new": 1, "failed": 2, "done": 1}
    assert made.failed == {"server": 1, "timeout": 1}


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ({"error_classes": frozenset({"timeout"})}, ["b", "d"]),
        ({"error_classes": frozenset()}, ["d"]),
        ({"ids": frozenset({"c", "d", "a", "z"})}, ["c", "d"]),
        ({"since": datetime(2026, 11, 3, tzinfo=UTC)}, ["c"]),
        ({"until": datetime(2026, 11, 3)}, ["b"]),  # noqa: DTZ001 - a time without zone is UTC
        ({"limit": 2}, ["b", "c"]),
        ({"limit": 0}, []),
        ({"where": "status is null"}, ["d"]),
        ({"where": "error_class = 'server' and manifest.price < 1.5"}, ["c"]),
        ({"where": "manifest.price < 1.5"}, ["b", "c"]),
        ({"where": "site = 'x y' -- all of them"}, ["b", "c", "d"]),
        ({"where": "lower(ITEM_ID) in ('b', 'd') or row_number = 1"}, ["b", "d"]),
        ({"where": "result.price is null and manifest.item_id <> 'd'", "limit": 1}, ["b"]),
    ],
)
def test_filters(three, planned, order, ids):
    """Each takes away rows that are due, and never adds one; counts are those of the whole manifest."""
    made = planned(three, **order)
    assert (asked(made), made.rows) == (ids, len(ids))
    assert made.counts == {"new": 1, "failed": 2, "done": 1}


def test_a_result_without_a_time_is_of_no_time(planned, publish, build, opened):
    """A row that was skipped last is not taken for the time of its earlier failure."""
    publish([build.record("a", outcome=build.failure())], run_id=RUN_1)
    skipped = build.failure(error_class="row")
    publish([build.record("a", outcome=skipped, completed_at=None)], run_id="20261102T000000Z-bbbbbb")
    items = opened(rows("a"))
    assert asked(planned(items)) == ["a"]
    assert asked(planned(items, since=datetime(2000, 1, 1, tzinfo=UTC))) == []
    assert asked(planned(items, until=datetime(2100, 1, 1, tzinfo=UTC))) == []


def test_ids_from_a_file(three, planned, tmp_path):
    """One a line; blank lines and white space around an id do not count."""
    (tmp_path / "ids.txt").write_text("\ufeffc\r\n\n d \n")
    assert asked(planned(three, ids=tmp_path / "ids.txt")) == ["c", "d"]
    with pytest.raises(ConfigError, match=r"none\.txt: cannot be read as a list of ids, one a line"):
        planned(three, ids=tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("status =", "is no SQL condition: syntax error"),
        ("true; drop table verdicts", "is no SQL condition: syntax error"),
        ("true) limit (5", "is more than one condition"),
        ("true) union select 1 where (true", "is more than one condition"),
        ("exists (select 1)", "has a subquery in it"),
        ("item_id in (select content from read_text('x'))", "has a subquery in it"),
        ("row_number() over () = 1", "has a window in it"),
        ("count(*) > 1", "WHERE clause cannot contain aggregates"),
        ("read_text('x') = 'y'", "read_text"),
        ("title = 'x'", "there is no column `title`; did you mean"),
        ("manifest.status = 'ok'", "there is no column `status`"),
        ("price > 1", "manifest and result both have `price`; write manifest.price or result.price"),
        ("site > 1", "Cannot compare values of type VARCHAR"),
        ("site::int = 1", " to INT32 when casting from source column site"),
        ("nosuch(site)", "nosuch does not exist"),
    ],
)
def test_a_condition_that_is_none_is_refused(three, planned, where, message):
    """The refusal quotes it and says what is wrong; nothing is left behind."""
    with pytest.raises(ConfigError) as caught:
        planned(three, where=where)
    assert str(caught.value).startswith(f"where `{where}`: ")
    assert message in str(caught.value)
    assert "LINE" not in str(caught.value)


def test_a_condition_on_items_that_come_one_by_one(planned, build):
    """Without a manifest there are its ids and row numbers only."""
    assert asked(planned([build.item("a", 1), build.item("b", 2)], where="row_number > 1")) == ["b"]


def test_an_unknown_error_class_is_refused(three, planned):
    """With the list of those that there are."""
    with pytest.raises(ConfigError, match=r"there is no error class `slow`; there are: row, media, "):
        planned(three, error_classes=frozenset({"slow"}))


def test_forgotten_items_are_never_asked(planned, opened):
    """Whatever the reason, and the later rows of the same id too; they are counted."""
    forgotten = frozenset({hashlib.sha256(b"b").hexdigest()})
    made = planned(opened([*rows("abc"), *rows("b")]), forgotten=forgotten)
    assert asked(made) == ["a", "c"]
    assert made.counts == {"new": 2, "forgotten": 2}


def test_a_sample_has_its_share_of_each_kind(planned, opened):
    """Of eight images and two sounds, five rows are four and one; the same seed draws the same rows."""
    audio = [{"item_id": f"s{number}", "audio_url": f"https://h/{number}.wav"} for number in range(2)]
    items = opened(rows("abcdefgh") + audio)
    drawn = [asked(planned(items, sample=5, seed=seed)) for seed in (1, 1, *range(2, 9))]
    assert drawn[0] == drawn[1]
    assert len({tuple(ids) for ids in drawn}) > 2
    assert {(sum(name[0] != "s" for name in ids), len(ids)) for ids in drawn} == {(4, 5)}
    assert all(ids == sorted(ids) for ids in drawn)


@pytest.mark.parametrize(("size", "expected"), [(1, 1), (2, 2), (3, 3), (99, 6), (0, 0)])
def test_a_sample_has_the_size_that_was_asked_for(planned, opened, size, expected):
    """One of each kind at least where there is room, never more than asked for or than there is."""
    audio = [{"item_id": "s", "audio_url": "https://h/s.wav"}, {"item_id": "none"}]
    assert len(asked(planned(opened(rows("abcd") + audio), sample=size))) == expected


def test_examples_say_what_was_and_what_is(opened, planned, publish, build):
    """The first rows of each reason, with the old value and the new."""
    publish(
        [
            build.record("a", 1),
            build.record("b", 2, outcome=build.failure(error_class="server", message="HTTP 500")),
            build.record(item=build.item("c", 3, media=())),
            build.record("d", 4, outcome=build.failure(error_class="row", message="row 4 has no media")),
        ],
        run_id=RUN_1,
        model="old",
    )
    media = {"image_url": "https://cdn.example/a.jpg?token=s3cret"}
    made = planned(opened([{"item_id": "a"} | media, *rows("bcd"), {"item_id": "e"}, *rows("a")]), examples=9)
    found = {example.item_id: (example.reason, example.old, example.new) for example in plan.explain(made, 9)}
    assert found == {
        "b": ("failed", "server: HTTP 500", None),
        "c": ("media_changed", "", "https://h/c.jpg"),
        "d": ("new", "skipped: row 4 has no media", None),
        "e": ("new", None, "row 5 has no media: nothing in `image_url`"),
        "a#6": ("new", None, "row 6: its id 'a' stands in row 1 already; give every row an id of its own"),
        "a": ("media_changed", "https://cdn.example/a.jpg", "https://cdn.example/a.jpg?token=REDACTED"),
    }
    assert [example.item_id for example in plan.explain(made, 1)] == ["d", "b", "a"]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"model": "m"}, ("stale_model", "gemini-2.0-flash", "m")),
        ({"prompt_sha256": "1" * 64}, ("stale_prompt", "9" * 64, "1" * 64)),
        ({"parameters_sha256": "2" * 64}, ("stale_parameters", "8" * 64, "2" * 64)),
    ],
)
def test_examples_of_another_question(store, build, publish, facts, expected):
    """Model, prompt and parameters stand beside what they were."""
    publish([build.record("a")], run_id=RUN_1)
    order = plan.Order(reasons=REASONS, shard_rows=None, config_sha256="c" * 64, examples=1)
    (example,) = plan.make([build.item("a")], build.facts(run_id=RUN_3, **facts), order, store).examples
    assert (example.reason, example.old, example.new) == expected


def test_a_plan_knows_what_it_was_made_from(three, planned, store):
    """A plan file says which of job and manifest was changed since."""
    made = planned(three)
    now = {"config_sha256": "c" * 64, "manifest_sha256": three.fingerprint()}
    assert plan.unfinished(store) == [made]
    assert plan.changes(made, **now) == []
    assert plan.changes(made, **now | {"config_sha256": "d"}) == ["the job file was changed"]
    assert plan.changes(made, **now | {"manifest_sha256": "d"}) == ["the manifest was changed"]


def test_a_manifest_that_changes_while_it_is_read_gives_no_plan(opened, planned, tmp_path, store):
    """Half of the old and half of the new would be neither."""

    def check(item):
        with (tmp_path / "m.jsonl").open("a") as stream:
            stream.write("\n")
        return Failure(error_class="row", code="x", message="x")

    items = opened(rows("a"))
    changing = open_manifest(ManifestSection(path=str(items.source.path)), variables=frozenset()).checked(check)
    with pytest.raises(ConfigError, match=r"m\.jsonl: the manifest was changed while it was read: plan again"):
        planned(changing)
    assert plan.unfinished(store) == []


def test_results_in_a_bucket_are_compared_too(three, build, tmp_path):
    """An object store gives the same plan as a folder."""
    store = open_store("memory://plan-selection")
    facts = build.facts(run_id=RUN_1, carry={"price": "float64"})
    write_part(store, facts, build.shard(RUN_1, rows=1), [build.record("b", 2, outcome=build.failure())])
    order = plan.Order(
        reasons=REASONS, shard_rows=None, config_sha256="c" * 64, where="http_status is null", examples=1
    )
    made = plan.make(three, build.facts(run_id=RUN_3, carry={"price": "float64"}), order, store)
    assert made.counts == {"new": 3, "failed": 1}
    assert asked(made) == ["a", "b", "c", "d"]


def test_a_damaged_part_gives_no_plan(three, planned, store):
    """It may hold answers that were paid for."""
    (part,) = store.root.rglob("*.parquet")
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(CorruptError, match="the results cannot be compared: "):
        planned(three)
    assert list((store.work / "staging").iterdir()) == []
