"""Server: the routes of the sandbox (gateway notes 2.2, 2.5), and its admin calls.

    POST   /v1/chat/completions   a completion; these four are the requests that the ledger holds
    POST   /v1/responses          likewise
    POST   /v1/messages           likewise; the key may be in `x-api-key`
    POST   /v1beta/models/<model>:generateContent, :streamGenerateContent (also under /v1)
                                  likewise; the key may be in `x-goog-api-key` or in `?key=`
    GET    /v1/models             what is served; wants the key
    GET    /api/pricing           what it costs
    GET    /api/log/token         what was charged, line by line; the key is a bearer token, or in `?key=`
    GET    /samples/<path>        the files that media URLs may point to
    GET    /sandbox/ledger        {"max_in_flight", "entries"}; DELETE begins a new one
    PUT    /sandbox/behaviour     {"model": "*", ... members of Behaviour}; DELETE forgets all of them

The admin calls want no key: this is a development server. As on the real gateway an unknown path under /v1 or /api is a
404 with an error object, and any other an index page with status 200.
"""

from __future__ import annotations

import html
import json
import secrets
import string
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web

from mediascribe.errors import ConfigError
from mediascribe.sandbox import chat, generate_content, messages, responses
from mediascribe.sandbox.behaviour import from_members
from mediascribe.sandbox.billing import log_lines
from mediascribe.sandbox.desk import EVERY_MODEL
from mediascribe.sandbox.exchange import DESK, MAX_BODY_BYTES, REQUEST_ID, SESSION, authorise, complete
from mediascribe.sandbox.faults import FAULTS, bills
from mediascribe.sandbox.fetch import OCTETS, TYPES
from mediascribe.sandbox.models import MODELS, listing, pricing
from mediascribe.sandbox.refusals import RefusedError, refused
from mediascribe.sandbox.replies import json_reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mediascribe.sandbox.desk import Desk

_HEADER: Final = "X-Oneapi-Request-Id"
_ALPHABET: Final = string.ascii_letters + string.digits
_GOOGLE: Final = "/{version:v1|v1beta}/models/{model}:{action:generateContent|streamGenerateContent}"
_PAGE: Final = """<!doctype html>
<html><head><title>mediascribe sandbox</title></head><body>
<h1>mediascribe sandbox</h1>
<p>This is a development server for tests and demos. It describes media by measuring them; no model is behind it.</p>
<p>Models: {models}</p>
<p>Faults (those marked * are billed): {faults}</p>
</body></html>
"""


def application(desk: Desk) -> web.Application:
    """The server's routes over *desk*."""
    app = web.Application(middlewares=[_numbered], client_max_size=MAX_BODY_BYTES)
    app[DESK] = desk
    app.cleanup_ctx.append(_session)
    app.on_response_prepare.append(_signed)
    app.add_routes(
        [
            web.post("/v1/chat/completions", complete(chat.DIALECT)),
            web.post("/v1/responses", complete(responses.DIALECT)),
            web.post("/v1/messages", complete(messages.DIALECT)),
            web.post(_GOOGLE, complete(generate_content.DIALECT)),
            web.get("/v1/models", _models),
            web.get("/api/pricing", _pricing),
            web.get("/api/log/token", _log),
            web.get("/samples/{path:.*}", _sample),
            web.get("/sandbox/ledger", _ledger),
            web.delete("/sandbox/ledger", _forget),
            web.put("/sandbox/behaviour", _behave),
            web.delete("/sandbox/behaviour", _behave_well),
            web.route("*", "/{path:.*}", _anything),
        ]
    )
    return app


def new_request_id() -> str:
    """An id of the shape that the reference answer has: `toio`, a time of 23 digits, 8 letters or digits."""
    now = time.time_ns()
    clock = time.strftime("%Y%m%d%H%M%S", time.gmtime(now // 10**9))
    letters = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in secrets.token_bytes(8))
    return f"toio{clock}{now % 10**9:09d}{letters}"


async def _session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(auto_decompress=True) as session:
        app[SESSION] = session
        yield


@web.middleware
async def _numbered(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give the request its id, and make an answer of a refusal."""
    request[REQUEST_ID] = new_request_id()
    try:
        return await handler(request)
    except RefusedError as refusal:
        return refusal.reply(request[REQUEST_ID]).response()


async def _signed(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[_HEADER] = request.get(REQUEST_ID) or new_request_id()


async def _models(request: web.Request) -> web.Response:
    authorise(request)
    return json_reply(listing()).response()


async def _pricing(_request: web.Request) -> web.Response:
    return json_reply(pricing()).response()


async def _log(request: web.Request) -> web.Response:
    """The log of the key; `/api` says with status 200 what is wrong (gateway notes 2.5)."""
    desk, query = request.app[DESK], request.query
    billing = desk.billing
    try:
        authorise(request, generate_content.DIALECT)
    except RefusedError as refusal:
        return json_reply({"success": False, "message": refusal.refusal.message}).response()
    if not billing.is_open or not (billing.bearer or "key" in query):
        return json_reply({"success": False, "message": "record not found"}).response()
    lines: Any = log_lines(desk.ledger.entries(), billing)
    if billing.paged:
        page, size = int(query.get("p", 1)), int(query.get("page_size", 10))
        items = lines[(page - 1) * size : page * size]
        lines = {"page": page, "page_size": size, "total": len(lines), "items": items}
    return json_reply({"success": True, "message": "", "data": lines}).response()


async def _sample(request: web.Request) -> web.StreamResponse:
    """A file of the samples folder, or a page with status 404, as web servers have it."""
    folder = request.app[DESK].samples
    path = folder / request.match_info["path"] if folder else None
    if folder is None or path is None or not path.resolve().is_relative_to(folder) or not path.is_file():
        page = "<!doctype html><html><head><title>404 Not Found</title></head><body>404 Not Found</body></html>"
        return web.Response(status=404, text=page, content_type="text/html")
    return web.FileResponse(path, headers={"Content-Type": TYPES.get(path.suffix.lower(), OCTETS)})


async def _ledger(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    entries = [entry.to_json() for entry in desk.ledger.entries()]
    return json_reply({"max_in_flight": desk.max_in_flight, "entries": entries}).response()


async def _forget(request: web.Request) -> web.Response:
    request.app[DESK].forget()
    return json_reply({"success": True}).response()


async def _behave(request: web.Request) -> web.Response:
    """Set a behaviour; what is wrong with it is said with status 400."""
    try:
        members = _object(await request.read())
        model = members.pop("model", EVERY_MODEL)
        request.app[DESK].behave(model, from_members(members))
    except ConfigError as error:
        return json_reply({"success": False, "message": str(error)}, 400).response()
    return json_reply({"success": True}).response()


def _object(content: bytes) -> dict[str, Any]:
    try:
        members = json.loads(content)
    except ValueError:
        raise ConfigError("behaviour: the body is no JSON") from None
    if not isinstance(members, dict) or not isinstance(members.get("model", EVERY_MODEL), str):
        raise ConfigError("behaviour: the body must be an object, its member `model` a text")
    return members


async def _behave_well(request: web.Request) -> web.Response:
    request.app[DESK].behave_well()
    return json_reply({"success": True}).response()


async def _anything(request: web.Request) -> web.Response:
    if request.path.split("/")[1] in {"v1", "v1beta", "api"}:
        raise refused("invalid_url", why=f"{request.method} {request.path}")
    faults = ", ".join(f"{name}*" if bills(name) else name for name in FAULTS)
    page = _PAGE.format(models=html.escape(", ".join(MODELS)), faults=html.escape(faults))
    return web.Response(text=page, content_type="text/html")
