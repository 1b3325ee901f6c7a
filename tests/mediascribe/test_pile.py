"""The rows of a part come off the pile by number, each as it was put there."""

import pyarrow as pa
import pytest

from mediascribe.pile import Pile

SCHEMA = pa.schema([pa.field("row_number", pa.int64(), nullable=False), ("urls", pa.list_(pa.string()))])


@pytest.fixture
def pile():
    """A pile without rows."""
    return Pile(SCHEMA)


def batch(*rows):
    """A batch of rows with these numbers, and URLs that name each; of uneven numbers there are none."""
    urls = {row: [f"https://cdn.example.com/pictures/{row}-{side}.png" for side in ("front", "back")] for row in rows}
    return pa.RecordBatch.from_pylist(
        [{"row_number": row, "urls": None if row % 2 else urls[row]} for row in rows], schema=SCHEMA
    )


def test_rows_come_in_the_order_of_the_manifest(pile):
    """Whatever the order of the batches, and within them."""
    pile.add(batch(9, 2))
    pile.add(batch(4))
    pile.add(batch(1, 8))
    assert pile.take().to_pylist() == batch(1, 2, 4, 8, 9).to_pylist()


def test_an_empty_pile_has_all_columns(pile):
    """A shard without a result has a table all the same."""
    assert pile.take().schema == SCHEMA


def test_many_batches_take_less_than_their_arrays(pile):
    """What waits for its part is compressed."""
    batches = [batch(*range(start, start + 128)) for start in range(0, 12_800, 128)]
    for one in batches:
        pile.add(one)
    held = sum(one.nbytes for one in batches)
    assert pile.size_bytes < held / 2
