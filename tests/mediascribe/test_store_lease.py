"""The lease of a folder: one holder, and a word to the second one."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from mediascribe.errors import OutputInUse
from mediascribe.store import lease

HOLD_UNTIL_KILLED = """
import sys
from mediascribe.store import lease, open_store
with lease(open_store(sys.argv[1]), holder="run A"):
    print("held", flush=True)
    sys.stdin.read()
"""


class TestLease:
    """`lease`."""

    def test_a_second_holder_is_told_who_holds_it(self, store):
        """The message names holder, host, process, time and the way out; nothing was sent."""
        with lease(store, holder="run A"), pytest.raises(OutputInUse) as refused, lease(store, holder="run B"):
            pass  # pragma: no cover - never reached
        message = str(refused.value)
        assert f"run A (process {os.getpid()} on {socket.gethostname()}) since {datetime.now(UTC):%Y-}" in message
        assert message.endswith(f"UTC; nothing was sent: wait, or stop process {os.getpid()} on {socket.gethostname()}")
        assert str(store.root) in message

    def test_the_lease_is_free_after_its_block(self, store):
        """The next holder's name replaces the last one's, however long that was."""
        with lease(store, holder="a run with quite a long name"):
            pass
        with lease(store, holder="B"):
            assert json.loads((store.work / "lease").read_bytes())["holder"] == "B"

    def test_the_lease_is_free_after_an_error(self, store):
        """A run that fails does not keep the next one out."""
        with pytest.raises(ZeroDivisionError), lease(store, holder="A"):
            raise ZeroDivisionError
        with lease(store, holder="B"):
            pass

    def test_a_holder_that_has_not_written_its_name_yet_still_holds(self, store):
        """Between the lock and the name the message does without the name."""
        with (store.work / "lease").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(OutputInUse, match="held by another run"), lease(store, holder="B"):
                pass  # pragma: no cover - never reached

    def test_a_killed_holder_leaves_no_lease(self, store):
        """While it lives another process is kept out; after kill -9 the kernel lets it in."""
        command = [sys.executable, "-c", HOLD_UNTIL_KILLED, str(store.root)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(OutputInUse, match=f"run A .process {holder.pid} on"), lease(store, holder="run B"):
                pass  # pragma: no cover - never reached
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            with lease(store, holder="run B"):
                pass

    def test_what_a_killed_holder_left_half_written_is_removed(self, store):
        """The next holder clears the staging folder."""
        store.staged("x.parquet").write_bytes(b"half")
        with lease(store, holder="B"):
            assert list(store.list("_work/staging/")) == []

    def test_the_epoch_grows_with_each_holder(self, store):
        """A later holder can be told from an earlier one; what is no lease of ours begins anew."""
        with lease(store, holder="A") as first:
            assert not first.lost
        with lease(store, holder="B") as second:
            pass
        (store.work / "lease").write_text("[]")
        with lease(store, holder="C") as third:
            pass
        assert (first.epoch, second.epoch, third.epoch) == (1, 2, 1)
