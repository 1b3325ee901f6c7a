"""The plan says of every row whether it is asked, and why."""

import dataclasses
from pathlib import Path

import pytest

from mediascribe import plan
from mediascribe.domain import REASONS, Failure, Item, Media
from mediascribe.errors import ConfigError

pytestmark = pytest.mark.wide

RUN_1, RUN_2, RUN_3 = ("20261101T000000Z-aaaaaa", "20261102T000000Z-bbbbbb", "20261103T000000Z-cccccc")


@pytest.fixture
def make(store, build):
    def _make(items, *, reasons=("new",), shard_rows=None, **facts):
        order = plan.Order(reasons=reasons, shard_rows=shard_rows, config_sha256="c" * 64)
        return plan.make(items, build.facts(**{"run_id": RUN_3} | facts), order, store)

    return _make


def asked(made):
    return {due.item.item_id: due.reason for shard in made.shards for due in plan.read(shard)}


def test_an_empty_output_makes_every_row_new(make, build):
    """The first run asks everything, in manifest order."""
    made = make([build.item("a", 1), build.item("b", 2)])
    assert made.counts == {"new": 2}
    assert list(asked(made).items()) == [("a", "new"), ("b", "new")]


def test_items_come_back_from_the_plan_as_they_went_in(make):
    """Media, variables, carried values and problems survive the file, signatures included."""
    problem = Failure(error_class="row", code="no_media", message="row 2 has no media URL")
    items = [
        Item(
            item_id="a",
            row_number=1,
            media=(Media(kind="image", url="https://h/a.jpg?X-Amz-Signature=s3cret"), Media(kind="audio", url="b.wav")),
            variables={"title": 'zwölf "Äpfel"', "n": 3, "none": None, "list": [1, "a"]},
            carried={"weight": 1.5, "ok": True},
        ),
        Item(item_id="row-2", row_number=2, problem=problem),
    ]
    made = make(items)
    assert list(plan.items(made.shards[0])) == items


def test_a_plan_is_private(make, build):
    """It holds signed URLs, so only its owner may read it."""
    made = make([build.item()])
    assert Path(made.path).stat().st_mode & 0o777 == 0o600


def test_rows_with_a_result_are_done(make, build, publish):
    """What was answered, refused, cut or skipped is not asked again."""
    items = [build.item(name, number) for number, name in enumerate("abcd", 1)]
    problem = build.failure(error_class="row", code="no_media")
    items[3] = dataclasses.replace(items[3], problem=problem)
    outcomes = [build.completion(), build.completion(status="truncated"), build.completion(status="refused"), problem]
    publish(
        [build.record(item=item, outcome=outcome) for item, outcome in zip(items, outcomes, strict=True)], run_id=RUN_1
    )
    made = make(items, reasons=REASONS)
    assert (made.counts, made.rows, made.shards) == ({"done": 4}, 0, [])


def test_a_failed_row_is_asked_only_when_failed_is_a_reason(make, build, publish):
    """A failure is a result: a run leaves it alone, a backfill takes it up."""
    publish([build.record("a", outcome=build.failure())], run_id=RUN_1)
    assert make([build.item("a")]).rows == 0
    assert asked(make([build.item("a")], reasons=("failed",))) == {"a": "failed"}


def test_a_repaired_row_is_new(make, build, publish):
    """A row that could not be asked was never asked: once it can be, a run takes it."""
    publish([build.record("a", outcome=build.failure(error_class="row"))], run_id=RUN_1)
    assert asked(make([build.item("a")])) == {"a": "new"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "gemini-2.5-flash"}, "stale_model"),
        ({"prompt_sha256": "1" * 64}, "stale_prompt"),
        ({"parameters_sha256": "2" * 64}, "stale_parameters"),
        ({"model": "m", "prompt_sha256": "1" * 64}, "stale_model"),
    ],
)
def test_an_answer_to_another_question_is_stale(make, build, publish, changes, reason):
    """Model, prompt and parameters are part of the question; the first that differs is the reason."""
    publish([build.record("a")], run_id=RUN_1)
    assert asked(make([build.item("a")], reasons=REASONS, **changes)) == {"a": reason}
    assert make([build.item("a")], **changes).counts == {reason: 1}


def test_other_media_are_a_reason_but_another_signature_is_none(make, build, publish):
    """Signing a URL again changes nothing; another picture does."""
    signed = build.item("a", media=(Media(kind="image", url="https://h/a.jpg?X-Amz-Signature=one"),))
    publish([build.record(item=signed)], run_id=RUN_1)
    again = build.item("a", media=(Media(kind="image", url="https://h/a.jpg?X-Amz-Signature=two"),))
    other = build.item("a", media=(Media(kind="image", url="https://h/b.jpg?X-Amz-Signature=one"),))
    assert make([again], reasons=REASONS).rows == 0
    assert asked(make([other], reasons=REASONS)) == {"a": "media_changed"}


def test_an_answer_counts_before_a_failure(make, build, publish):
    """Failed first and answered later is done, and so is answered first and failed later."""
    publish([build.record("a", 1, outcome=build.failure()), build.record("b", 2)], run_id=RUN_1)
    publish([build.record("a", 1), build.record("b", 2, outcome=build.failure())], run_id=RUN_2)
    made = make([build.item("a", 1), build.item("b", 2)], reasons=("failed",))
    assert asked(made) == {}
    assert made.counts == {"done": 2}


def test_a_repeated_id_becomes_a_row_that_cannot_be_asked(make, build):
    """The first row with an id keeps it; a later one gets an id of its own and says where the first is."""
    made = make([build.item("a", 1), build.item("b", 2), build.item("a", 3)])
    items = list(plan.items(made.shards[0]))
    assert [item.item_id for item in items] == ["a", "b", "a#3"]
    assert items[2].problem.code == "duplicate_id"
    assert items[2].problem.message == "row 3: its id 'a' stands in row 1 already; give every row an id of its own"


def test_a_repeated_id_is_asked_about_once_for_ever(make, build, publish):
    """The second run finds a result for both rows."""
    first = make([build.item("a", 1), build.item("a", 2)])
    records = [
        build.record(item=item, outcome=item.problem or build.completion()) for item in plan.items(first.shards[0])
    ]
    publish(records, run_id=RUN_1)
    assert make([build.item("a", 1), build.item("a", 2)]).counts == {"done": 2}


def test_shards_cut_the_plan_in_manifest_order(make, build):
    """Five rows in shards of two: two, two, one."""
    made = make([build.item(f"i{number}", number) for number in range(1, 6)], shard_rows=2)
    assert [[item.row_number for item in plan.items(shard)] for shard in made.shards] == [[1, 2], [3, 4], [5]]
    assert [shard.rows for shard in made.shards] == [2, 2, 1]
    assert [shard.name for shard in made.shards] == [f"{RUN_3}-0000{number}" for number in range(3)]


@pytest.mark.wide
def test_order_holds_over_many_batches(make, build):
    """Rows come back in file order, whatever DuckDB's threads did."""
    made = make(build.item(f"i{number}", number) for number in range(1, 12_001))
    assert [item.row_number for shard in made.shards for item in plan.items(shard)] == list(range(1, 12_001))
    assert [shard.rows for shard in made.shards] == [10_000, 2_000]


@pytest.mark.parametrize(
    ("rows", "shard_rows"), [(1, 10_000), (2_000_000, 10_000), (4_000_000, 20_000), (10**8, 100_000)]
)
def test_a_long_plan_has_larger_shards(rows, shard_rows):
    """Prefect sees a few hundred shards, and a part stays under 100,000 rows."""
    assert plan.default_shard_rows(rows) == shard_rows


def test_an_unfinished_plan_is_found_and_forgotten(make, build, store):
    """A plan stays until its run is closed."""
    made = make([build.item()])
    assert plan.unfinished(store) == [made]
    plan.remove(made, store)
    assert plan.unfinished(store) == []
    assert list(plan.folder(store).iterdir()) == []


def test_a_manifest_that_breaks_leaves_no_plan(make, build, store):
    """The manifest's own error comes out, and nothing is left behind."""

    def items():
        yield build.item()
        raise ConfigError("m.parquet: cut off")

    with pytest.raises(ConfigError, match=r"m\.parquet: cut off"):
        make(items())
    assert plan.unfinished(store) == []
    assert not (store.work / "duckdb").exists()


def test_a_defect_in_the_reader_is_not_hidden(make, build, store):
    """Anything but our own errors comes out as itself."""

    def items():
        yield build.item()
        raise ZeroDivisionError("reader")

    with pytest.raises(ZeroDivisionError, match="reader"):
        make(items())
    assert list((store.work / "staging").iterdir()) == []
