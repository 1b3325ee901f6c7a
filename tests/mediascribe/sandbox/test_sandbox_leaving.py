"""Clients that leave before their answer, and answers that never come."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from mediascribe.sandbox import Behaviour, Fault
from mediascribe.sandbox.replies import Reply, stall


def test_stall(sandbox):
    """A stalled request is billed although its client never hears of it."""
    sandbox.behave("*", Behaviour(faults=(Fault("stall"),)))
    with pytest.raises(httpx.ReadTimeout):
        ask_briefly(sandbox)
    sandbox.drain()
    (entry,) = sandbox.ledger()
    assert (entry.billed, entry.status, entry.finished) == (True, None, False)


def ask_briefly(sandbox, timeout_s=0.1, model="gemini-2.0-flash"):
    """Ask and leave after a moment."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    url = sandbox.url + "/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=httpx.Timeout(5, read=timeout_s), trust_env=False)


async def test_stall_is_bounded():
    """A stall ends by itself, with the connection, also when the client waits for ever."""
    ended = []

    class Connection:
        def get_extra_info(self, _name):
            return self

        def setsockopt(self, *_option):
            pass

        def abort(self):
            ended.append(True)

    class Request:
        transport = Connection()

    sent = await stall(Request(), Reply(body=b""), 0, at_most_s=0)
    assert ended == [True]
    assert (sent.status, sent.finished) == (None, False)


def test_clients_that_left_are_billed(sandbox):
    """A client that leaves before the answer is billed, and the ledger says that the answer did not arrive."""
    names = [f"gemini-2.0-flash+slow=0.5+fault={fault}" for fault in ("slow_body", "cut_body", "length")]
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask_briefly, sandbox, 0.05, model) for model in names]
    assert [type(one.exception()) for one in asked] == [httpx.ReadTimeout] * 3
    sandbox.drain()
    assert [(entry.billed, entry.finished, entry.status) for entry in sandbox.ledger()] == [(True, False, None)] * 3


def test_drain_has_an_end(sandbox):
    """Waiting for a request that does not end is given up."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask_briefly, sandbox, 0.5, "gemini-2.0-flash+fault=stall")
        until(sandbox.ledger)
        with pytest.raises(TimeoutError):
            sandbox.drain(timeout_s=0.01)


def until(happened):
    """Return when *happened* gives something true."""
    while not happened():
        pass
