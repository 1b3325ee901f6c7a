"""What a person hears of a run: a note when it ends, and before, when budget or deadline call for it.

Where to is said by the environment of the run, or by Prefect variables of the same names in lower case:

- `MEDIASCRIBE_NOTIFY_URL` (environment only, for it is a secret): gets the note as JSON.
- `MEDIASCRIBE_NOTIFY_BLOCK`: a Prefect block, such as `email/on-call` or `slack-webhook/on-call`, which tells it in its
  own way; or `secret/on-call`, which holds such an URL.
- `MEDIASCRIBE_NOTIFY_FORMAT`: `json` or `slack`; by default as the URL looks.
- `MEDIASCRIBE_NOTIFY_EVENTS`: which notes, such as `failed,crashed,deadline`; by default all.

A receiver that is slow or gone costs a run a few seconds at its end, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import shlex
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args
from urllib.parse import urlsplit

import httpx
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger
from prefect.logging.loggers import flow_run_logger
from prefect.variables import Variable

from flows.terminal import mute_broken
from mediascribe import job as jobs
from mediascribe import plan as plans
from mediascribe.errors import MediascribeError
from mediascribe.report import notes
from mediascribe.report.notes import Alarms, Note
from mediascribe.report.standing import Pauses
from mediascribe.store import store_at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.logging.loggers import LoggingAdapter

    from mediascribe.report.standing import Standing
    from mediascribe.run import Outcome

UNREACHED: Final = (httpx.HTTPError, PrefectException, OSError, TimeoutError)
"""What talking to Prefect's server ends in, where that is slow, gone or of another mind."""
_SEND_S: Final = 5.0
_ASK_S: Final = 3.0
_LOOK_EVERY_S: Final = 1.0
_NEVER: Final = logging.CRITICAL + 1
_ENV: Final = "MEDIASCRIBE_NOTIFY_"
_SLACK_HOSTS: Final = ("hooks.slack.com", "hooks.slack-gov.com")


class Ended(NamedTuple):
    """How the run of this context ended, and what is to be told of it."""

    outcome: Outcome
    note: Note


ended: Final[ContextVar[Ended | None]] = ContextVar("ended", default=None)
"""Set as soon as a run has ended: before Prefect's server knows of it, if it ever will."""


async def outcome_of(running: Awaitable[State[Any]]) -> Outcome:
    """What a flow run came to, or its error as itself.

    Prefect waits for its server for some minutes before a run may end, and then fails; by then the run itself has told
    how it ended, and that counts.
    """
    try:
        given = await (await running).aresult(raise_on_failure=False)
    except UNREACHED:
        known = ended.get()
        if known is None:
            raise
        return known.outcome
    while isinstance(given, BaseExceptionGroup):
        given = given.exceptions[0]
    if isinstance(given, BaseException):
        raise given
    outcome: Outcome = given
    return outcome


class Receivers(NamedTuple):
    """Who gets which notes. The URL is a secret."""

    url: str | None
    block: str | None
    form: str | None
    events: frozenset[str]

    def want(self, note: Note) -> bool:
        """Whether anybody is to get *note*."""
        return bool(self.url or self.block) and note.event in self.events


class Watcher:
    """Looks at a run every second while it is at work: what is worth a message is logged, and told; each thing once."""

    def __init__(self, look: Callable[[], Standing], deadline_at: datetime | None, resume: str) -> None:
        """Watch what *look* sees; *resume* is the command that would go on with the run."""
        self._look, self._resume = look, resume
        self._alarms, self._pauses = Alarms(deadline_at=deadline_at), Pauses()
        self._sending: set[asyncio.Task[list[str]]] = set()
        self.standing = look()
        self.deadline = f"{deadline_at:%Y-%m-%d %H:%M %Z}" if deadline_at else None

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_EVERY_S)

    def look(self) -> None:
        """Look once; what is to be sent is sent by a task of its own."""
        mute_broken()
        self.standing = self._look()
        if line := self._pauses.line(self.standing):
            logger().warning(line)
        for alarm in self._alarms.due(self.standing, datetime.now(UTC)):
            logger().warning("%s: %s", alarm.state, alarm.reason)
            if alarm.event == "deadline":
                self.deadline = alarm.reason
            note = notes.on_the_way(alarm, self.standing, f"it goes on; to go on after a stop: {self._resume}")
            self._sending.add(asyncio.create_task(send(note)))

    async def delivered(self) -> None:
        """Wait for what is being sent, which takes a few seconds at most."""
        for told in await asyncio.gather(*self._sending, return_exceptions=True):
            for line in [repr(told)] if isinstance(told, BaseException) else told:
                logger().warning(line)


async def name_run(job: str, rows: int) -> None:
    """Let the flow run's name say how many *rows* of the *job* it is about, where Prefect's server can be reached."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow is None:
        return
    with contextlib.suppress(*UNREACHED):
        async with asyncio.timeout(_ASK_S), get_client() as client:
            await client.set_flow_run_name(context.flow_run.id, f"{context.flow.name} {job}: {rows:,} rows")


async def is_being_cancelled() -> bool:
    """Whether somebody has asked Prefect to cancel the flow run; False where its server cannot be asked."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return False
    try:
        async with asyncio.timeout(_ASK_S), get_client() as client:
            state = (await client.read_flow_run(context.flow_run.id)).state
    except UNREACHED:
        return False
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def logger() -> logging.Logger | LoggingAdapter:
    """Where a line about the run goes: to Prefect's server; nowhere outside a flow run."""
    if FlowRunContext.get() is not None:
        return get_run_logger()
    return logging.Logger("mediascribe", _NEVER)  # noqa: LOG001 - one that nobody else has, and that says nothing


async def tell_end(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell how a run ended: a hook of Prefect's, for completion, failure and crash.

    Where the run's own process was killed, Prefect's worker calls it, which knows of the job's file only.
    """
    known = ended.get()
    note = known.note if known else await asyncio.to_thread(_of_state, flow_run, state)
    for line in await send(note):
        flow_run_logger(flow_run, flow).warning(line)


async def send(note: Note) -> list[str]:
    """Send *note* to whoever is to get it, in a few seconds at most; gives what went wrong, without secrets.

    Whatever a receiver does, or a block that anybody may have written: nothing is raised.
    """
    who = await receivers()
    if not who.want(note):
        return []
    ways = {_host(who.url): _by_url(who.url, who.form, note)} if who.url else {}
    ways |= {f"the block {who.block}": _by_block(who.block, who.form, note)} if who.block else {}
    results = await asyncio.gather(*(asyncio.wait_for(way, _SEND_S) for way in ways.values()), return_exceptions=True)
    wrong = {name: _wrong(result) for name, result in zip(ways, results, strict=True)}
    return [f"the note did not reach {name}: {why}" for name, why in wrong.items() if why]


async def receivers() -> Receivers:
    """Who gets notes, as the environment or Prefect's variables say."""
    url, block = os.environ.get(f"{_ENV}URL"), await _setting("BLOCK")
    if not url and not block:
        return Receivers(None, None, None, frozenset())
    form, events = await asyncio.gather(_setting("FORMAT"), _setting("EVENTS"))
    wanted = frozenset(events.replace(",", " ").split()) if events else frozenset(get_args(notes.Event))
    return Receivers(url, block, form, wanted)


async def _setting(name: str) -> str | None:
    """What the environment says, else Prefect's variable; None where that cannot be asked."""
    if given := os.environ.get(f"{_ENV}{name}"):
        return given
    try:
        async with asyncio.timeout(_ASK_S):
            value = await Variable.aget(f"{_ENV}{name}".lower())
    except UNREACHED:
        return None
    return value if isinstance(value, str) and value else None


async def _by_url(url: str, form: str | None, note: Note) -> str | None:
    """Post *note* to *url*; gives what is wrong with the answer."""
    slack = form == "slack" if form else _is_slacks(url)
    body = notes.to_slack(note) if slack else notes.to_json(note)
    async with httpx.AsyncClient(timeout=_SEND_S) as client:
        answer = await client.post(url, json=body)
    return None if answer.is_success else f"status {answer.status_code}"


async def _by_block(name: str, form: str | None, note: Note) -> str | None:
    """Let the Prefect block *name* tell *note*; gives what is wrong with the block."""
    from prefect.blocks import notifications  # noqa: F401, PLC0415 - makes its classes known; takes a moment

    block: Any = await Block.aload(name)
    if isinstance(block, Secret):
        return await _by_url(str(block.get()), form, note)
    tell = getattr(block, "notify", None)
    if tell is None:
        return "it cannot notify: name one of a kind that can, or a secret with an URL"
    head, *rest = note.lines
    telling = tell("\n".join(rest), head)
    if inspect.isawaitable(telling):
        await telling
    return None


def _wrong(result: str | BaseException | None) -> str | None:
    """What *result* of sending says is wrong; of an error only the name, for its words may have the URL in them."""
    return type(result).__name__ if isinstance(result, BaseException) else result


def _of_state(flow_run: FlowRun, state: State[Any]) -> Note:
    """What is known of a run that said nothing of its end itself."""
    job = str(flow_run.parameters.get("job") or flow_run.name)
    event: notes.Event = "completed" if state.is_completed() else "crashed" if state.is_crashed() else "failed"
    return Note(
        event=event,
        job=job,
        state=state.name or event,
        done=None,
        failed=None,
        total=_planned(job) if event == "crashed" else 0,
        spent="as the run file says"
        if event != "crashed"
        else "not known yet; what was in flight may have been billed",
        reason=state.message or "nothing was said",
        next_step=f"mediascribe run {shlex.quote(job)}",
    )


def _planned(job: str) -> int | None:
    """How many rows the killed runs of *job* had before them; None where nobody knows."""
    try:
        left = plans.unfinished(store_at(jobs.load(job).output))
    except (MediascribeError, OSError, ValueError):
        return None
    return sum(plan.rows for plan in left) or None


def _is_slacks(url: str) -> bool:
    parts = urlsplit(url)
    return parts.hostname in _SLACK_HOSTS or parts.path.endswith("/slack")


def _host(url: str) -> str:
    """The host of *url*: all that may be shown, for the path may be the secret."""
    try:
        return urlsplit(url).hostname or "the receiver"
    except ValueError:
        return "the receiver"
