"""A part: whole or absent, complete in its columns, checked when read."""

from __future__ import annotations

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.exceptions import PermissionDeniedError

from mediascribe import part
from mediascribe.columns import SCHEMA, schema
from mediascribe.dataset import parts
from mediascribe.errors import ConfigError, CorruptError, StoreError
from mediascribe.part import has_part, open_part, part_name, parts_schema, read_part, write_part
from mediascribe.store import objects

NAME = "results/v1/date=2026-11-23/20260101T000000Z-aaaaaa-00000.parquet"


def column_chunks(path):
    """All column chunks of a file."""
    footer = pq.read_metadata(path)
    for group in range(footer.num_row_groups):
        yield from (footer.row_group(group).column(column) for column in range(footer.num_columns))


def flip_in_description(path):
    """Flip one bit in the middle of the descriptions."""
    chunk = next(one for one in column_chunks(path) if one.path_in_schema == "description")
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    path.write_bytes(content)


class TestName:
    """`part_name`, `parts`, `has_part`."""

    def test_a_part_lies_in_the_folder_of_its_runs_first_day(self, build):
        """The date is the run's, whatever day it is now."""
        shard = build.shard("20261123T235959Z-3fa9c1", 7)
        assert part_name(shard) == "results/v1/date=2026-11-23/20261123T235959Z-3fa9c1-00007.parquet"

    def test_parts_are_listed_by_run_and_shard(self, store, build, publish):
        """Earlier runs come first, then earlier shards; other files are no parts."""
        for run_id, number in (("20261124T000000Z-a", 0), ("20261123T000000Z-b", 1), ("20261123T000000Z-b", 0)):
            publish([build.record()], run_id=run_id, number=number)
        store.put_bytes("results/v1/date=2026-11-23/notes.txt", b"")
        assert [name.rpartition("/")[2] for name in parts(store)] == [
            "20261123T000000Z-b-00000.parquet",
            "20261123T000000Z-b-00001.parquet",
            "20261124T000000Z-a-00000.parquet",
        ]

    def test_an_output_without_results_has_no_parts(self, store):
        """Before the first shard is done, there is nothing to list."""
        assert parts(store) == []

    def test_a_shard_is_done_when_its_part_exists(self, store, build, publish):
        """Only the shard that was written is done."""
        publish([build.record()], number=1)
        assert has_part(store, build.shard(number=1))
        assert not has_part(store, build.shard(number=0))


class TestWriting:
    """`write_part`."""

    def test_every_column_is_there_with_its_type_even_when_all_null(self, store, build, publish):
        """A part of one skipped row has the whole schema, carried columns included."""
        skipped = build.record(item=build.item(media=()), outcome=build.failure(error_class="row"), request_key=None)
        carry = {"tag": "string", "taken": "timestamp"}
        name = publish([skipped], carry=carry)
        assert pq.read_schema(store.path(name)).remove_metadata() == schema(carry)

    def test_rows_come_back_in_their_order(self, store, build, publish):
        """Batches and row groups leave the order alone."""
        name = publish([build.record(f"i{number}", number) for number in range(1, 2_502)])
        assert read_part(store, name, SCHEMA)["row_number"].to_pylist() == list(range(1, 2_502))

    def test_batches_are_gathered_into_row_groups(self, store, build, publish, monkeypatch):
        """Records are turned into rows in small batches, and written in large groups."""
        monkeypatch.setattr(part, "BATCH_ROWS", 10)
        monkeypatch.setattr(part, "ROW_GROUP_ROWS", 20)
        name = publish([build.record(f"i{number}", number) for number in range(45)])
        footer = pq.read_metadata(store.path(name))
        assert [footer.row_group(group).num_rows for group in range(footer.num_row_groups)] == [20, 20, 5]

    def test_a_row_group_ends_early_when_its_rows_are_large(self, store, build, publish, monkeypatch):
        """Long answers do not pile up in memory."""
        monkeypatch.setattr(part, "BATCH_ROWS", 10)
        monkeypatch.setattr(part, "ROW_GROUP_BYTES", 1)
        name = publish([build.record(f"i{number}", number) for number in range(25)])
        assert pq.read_metadata(store.path(name)).num_row_groups == 3

    def test_pages_are_compressed_and_indexed(self, store, build, publish):
        """Zstandard in every column, and a page index."""
        chunks = list(column_chunks(store.path(publish([build.record()]))))
        assert {chunk.compression for chunk in chunks} == {"ZSTD"}
        assert all(chunk.has_offset_index for chunk in chunks)

    def test_the_footer_says_where_the_part_comes_from(self, store, build, publish):
        """A part that is found alone names its schema, writer, run, job, prompt and price book."""
        name = publish([build.record(nano_usd=1), build.record("b", 2)])
        footer = pq.read_metadata(store.path(name)).metadata
        ours = {key.decode(): value.decode() for key, value in footer.items() if key.startswith(b"mediascribe.")}
        assert ours.pop("mediascribe.writer").startswith("mediascribe ")
        assert ours == {
            "mediascribe.schema": "1",
            "mediascribe.run_id": "20261123T014500Z-3fa9c1",
            "mediascribe.job": "demo",
            "mediascribe.prompt_sha256": "9" * 64,
            "mediascribe.price_versions": "2026-11-01",
        }

    def test_an_empty_shard_is_an_empty_part(self, store, publish):
        """No records make a readable part without rows."""
        assert read_part(store, publish([]), SCHEMA).num_rows == 0

    def test_an_error_among_the_records_publishes_nothing(self, store, build):
        """After a batch has been written, an error leaves neither a part nor a staged file."""

        def records():
            for number in range(1_500):
                yield build.record(f"i{number}", number)
            raise OSError("journal unreadable")

        with pytest.raises(OSError, match="journal unreadable"):
            write_part(store, build.facts(), build.shard(rows=2_000), records())
        assert list(store.list("")) == []

    @pytest.mark.parametrize("rows", [1, 3])
    def test_a_part_has_as_many_rows_as_its_shard(self, store, build, rows):
        """Neither a lost nor a doubled record is published."""
        records = [build.record("a", 1), build.record("b", 2)]
        with pytest.raises(CorruptError, match=f"2 records for a shard of {rows} rows: nothing published"):
            write_part(store, build.facts(), build.shard(rows=rows), records)
        assert list(store.list("")) == []

    def test_the_first_publisher_wins(self, store, build, publish):
        """A second part of the same shard gives the same name, and is dropped."""
        first = publish([build.record("first")])
        second = publish([build.record("second")])
        assert first == second
        assert read_part(store, first, SCHEMA)["item_id"].to_pylist() == ["first"]
        assert list(store.list("")) == [first]

    def test_a_carried_column_that_collides_publishes_nothing(self, store, build, publish):
        """The collision is an error of the job, not a broken part."""
        with pytest.raises(ConfigError, match="collides"):
            publish([build.record()], carry={"model": "string"})
        assert list(store.list("")) == []


class TestReading:
    """`read_part` and `parts_schema`."""

    def test_a_flipped_bit_is_found(self, store, build, publish):
        """A page that is not what was written is refused by name, not read."""
        name = publish([build.record(f"i{number}", number) for number in range(100)])
        flip_in_description(store.path(name))
        with pytest.raises(CorruptError, match=f"^{name} cannot be read: "):
            read_part(store, name, SCHEMA)

    def test_a_file_that_is_no_parquet_is_refused_by_name(self, store):
        """A torn or foreign file is named."""
        store.put_bytes(NAME, b"PAR1 torn")
        with pytest.raises(CorruptError, match=f"^{NAME} cannot be read: "):
            parts_schema(store, [NAME])

    def test_a_column_that_a_part_lacks_is_null_in_it(self, store, build, publish):
        """Later columns are null in earlier parts."""
        wanted = pa.schema([SCHEMA.field("item_id"), pa.field("tag", pa.string())])
        assert read_part(store, publish([build.record()]), wanted).to_pylist() == [{"item_id": "a", "tag": None}]

    def test_only_absent_columns_still_have_a_row_for_each_item(self, store, build, publish):
        """A part keeps its number of rows where it has none of the columns."""
        wanted = pa.schema([pa.field("tag", pa.string())])
        assert read_part(store, publish([build.record()]), wanted).to_pylist() == [{"tag": None}]

    def test_the_carried_columns_of_all_parts_are_known(self, store, build, publish):
        """What any part carries stands after `reason`; a column whose type changed is a string."""
        publish([build.record()], carry={"n": "int64", "tag": "string"})
        publish([build.record()], number=1, carry={"n": "float64", "new": "bool"})
        expected = schema({"n": "string", "tag": "string", "new": "bool"})
        assert parts_schema(store, parts(store)) == expected


class TestBuckets:
    """Parts in a bucket."""

    @pytest.fixture
    def part_there(self, bucket_store, build):
        """A part of two rows."""
        records = [build.record("a", 1), build.record("b", 2)]
        return write_part(bucket_store, build.facts(), build.shard(rows=2), records)

    @pytest.mark.parametrize("whole_bytes", [0, 2**20])
    def test_a_part_comes_back(self, bucket_store, build, part_there, monkeypatch, whole_bytes):
        """Read whole, or by ranges."""
        monkeypatch.setattr(objects, "_READ_WHOLE_BYTES", whole_bytes)
        assert read_part(bucket_store, part_there, SCHEMA)["item_id"].to_pylist() == ["a", "b"]
        assert parts(bucket_store) == [part_there]
        assert has_part(bucket_store, build.shard())

    def test_the_first_publisher_wins(self, bucket_store, build, part_there):
        """The second one's file is dropped, here and there."""
        write_part(bucket_store, build.facts(), build.shard(), [build.record("later")])
        assert read_part(bucket_store, part_there, SCHEMA)["item_id"].to_pylist() == ["a", "b"]
        assert list(bucket_store.list("_work/staging/")) == []

    def test_a_store_that_fails_is_no_damaged_part(self, bucket_store, part_there, monkeypatch):
        """Whoever reads can tell a network from a bad file, also in the middle of reading."""
        monkeypatch.setattr(objects, "_READ_WHOLE_BYTES", 0)
        with open_part(bucket_store, part_there) as opened:
            refuse(monkeypatch, "get_range")
            with pytest.raises(StoreError, match="permission denied"):
                opened.read()
        refuse(monkeypatch, "head")
        with pytest.raises(StoreError, match="permission denied"):
            read_part(bucket_store, part_there, SCHEMA)


def refuse(monkeypatch, call):
    """Let the store refuse a *call*."""

    def refused(*_, **__):
        raise PermissionDeniedError("status code: 403 F")

    monkeypatch.setattr(obstore, call, refused)
