"""A proxy in front of an object store that misbehaves on request, as networks and stores do."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from aiohttp import ClientSession, web

ERROR = "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
HOP_BY_HOP = {"host", "content-length", "transfer-encoding", "connection", "expect"}


class FaultyProxy:
    """Forwards to *target*. Each name in `faults` befalls one request, in order.

    `error` answers 500 and forwards nothing; `lost` forwards, and closes the connection without an answer; `cut` sends
    half of the answer's body; `slow` sends the body a few bytes at a time; `refused` answers 403.
    """

    def __init__(self, target):
        self.target = target
        self.faults = deque()
        self.seen = []
        self._ready, self._loop = threading.Event(), None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    async def _serve(self):
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with ClientSession(auto_decompress=False) as self._client:
            self._ready.set()
            await self._done.wait()
        await runner.cleanup()

    async def _answer(self, request):
        fault = self.faults.popleft() if self.faults else None
        self.seen.append((request.method, request.path, fault))
        if fault == "error":
            return web.Response(status=500, text=ERROR)
        if fault == "refused":
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        body = await request.read()
        async with self._client.request(
            request.method, f"{self.target}{request.raw_path}", headers=headers, data=body
        ) as answer:
            content = await answer.read()
        if fault == "lost":
            request.transport.close()
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        reply = web.StreamResponse(status=answer.status, headers=kept)
        reply.content_length = int(answer.headers.get("Content-Length", len(content)))
        await reply.prepare(request)
        await _send(reply, content, fault)
        if fault == "cut":
            request.transport.close()
        return reply


async def _send(reply, content, fault):
    if fault == "cut":
        await reply.write(content[: len(content) // 2])
    elif fault == "slow":
        for start in range(0, len(content), 64):
            await reply.write(content[start : start + 64])
            await asyncio.sleep(0)
    else:
        await reply.write(content)
