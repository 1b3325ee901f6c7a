"""Pile: the rows of a part while its shard is asked about, a few hundred bytes each.

As Arrow arrays they would take three times as much, and by their many small buffers twice that: batches go into one
stream, compressed, as soon as they are made.
"""

from __future__ import annotations

import pyarrow as pa


class Pile:
    """Batches of rows, in any order."""

    def __init__(self, schema: pa.Schema) -> None:
        """No row yet; all batches have this *schema*."""
        self._schema, self._held = schema, pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._stream = pa.ipc.new_stream(self._held, schema, options=options)

    def add(self, batch: pa.RecordBatch) -> None:
        """Put *batch* on the pile."""
        self._stream.write_batch(batch)

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return self._held.tell()

    def take(self) -> pa.Table:
        """All rows, by row number; the pile is gone then."""
        self._stream.close()
        return pa.ipc.open_stream(self._held.getvalue()).read_all().sort_by("row_number")
