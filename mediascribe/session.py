"""The composition root: what a job file names is opened here, once, and handed to the modules that do the work."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mediascribe import (
    doctor,
    job,
    models,
    plan,
    replacement,
    store,
    takedown,
    telemetry,
    trial_spending,
)
from mediascribe.attempts import Reach
from mediascribe.ballast import Ballast
from mediascribe.client import Client
from mediascribe.describe import Describer, workers
from mediascribe.fleet import common, takeover
from mediascribe.inputs import Inputs, check, named
from mediascribe.landing import Landing
from mediascribe.lanes import Lanes
from mediascribe.media.address import is_ours
from mediascribe.question import Question
from mediascribe.store import LocalStore, shipping
from mediascribe.store.terms import Terms
from mediascribe.weights import Weights

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mediascribe.dataset import RunFacts
    from mediascribe.domain import Reason, Record
    from mediascribe.job_sections import GatewaySection
    from mediascribe.media.prepared import Preparation
    from mediascribe.plan import Plan
    from mediascribe.run import Outcome
    from mediascribe.store import Lease
    from mediascribe.store.shipping import Shipper
    from mediascribe.telemetry import Telemetry

SAMPLES: Final = Path("data/samples")
_ANSWER_BYTES: Final = 2**18  # of the longest answers that are usual
# By default a third of the time at 5,000 in flight went into looking for cycles, 0.3 s on end.
_COLLECT_AFTER: Final = (250_000, 20, 100)
_QUICKLY_PLANNED_BYTES: Final = 8 * 2**20


def _nobody(_: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What a run holds of its output: the lease, what ships its journal, and room for the answers in flight."""

    lease: Lease
    shipper: Shipper
    ballast: Ballast

    def lost(self) -> str | None:
        """Why nothing may be sent any more, if so."""
        if not self.lease.lost:
            return None
        return self.shipper.problem or "the lease of the output could not be renewed: another run may hold it by now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A gateway that is connected, and the one quota that all shards share."""

    inputs: Inputs
    client: Client
    lanes: Lanes
    media_base_url: str | None
    media: Preparation | None = None
    hold: Hold | None = None
    telemetry: Telemetry = telemetry.OFF
    sandbox_key: str | None = None  # of the embedded one

    def landing(self) -> Landing:
        """Where answers go."""
        return Landing(
            store=self.inputs.store, prices=self.inputs.prices, ballast=self.hold.ballast if self.hold else None
        )

    def question(self, facts: RunFacts) -> Question:
        """What the run of *facts* asks."""
        return Question(
            job=self.inputs.job,
            facts=facts,
            prompt=self.inputs.prompt,
            models=self.inputs.models,
            schema=self.inputs.schema,
            media_base_url=self.media_base_url,
        )

    def describer(self, made: Plan, announce: Callable[[Record], None]) -> Describer:
        """The one describer of the run of *made*; *announce* hears of every record.

        Earlier runs must be closed by now: what they spent counts.
        """
        inputs = self.inputs
        weights = Weights(inputs.models, inputs.prices, inputs.job.budget.media_tokens)
        reach = Reach(
            client=self.client,
            lanes=self.lanes,
            budget=inputs.budget(),
            weights=weights,
            lost=self.hold.lost if self.hold else _nothing,
            media=self.media,
            telemetry=self.telemetry,
        )

        def landed(record: Record) -> None:
            self.telemetry.landed(record)
            announce(record)

        describer = Describer(self.question(made.facts), reach, self.landing(), landed)
        self.telemetry.watching(describer.watch, self.lanes.uses)
        return describer


def _nothing() -> None:
    """Nothing is lost where nothing is held."""


def nothing_to_ask(inputs: Inputs, reasons: tuple[Reason, ...]) -> Outcome | None:
    """The outcome of a run that would ask nothing, found without starting one; None when there is, or may be, work.

    Only for a short manifest, which is planned in less time than a flow takes to start.

    Raises:
        ConfigError: another run holds the output.
    """
    quick = isinstance(inputs.store, LocalStore) and inputs.manifest.size_bytes <= _QUICKLY_PLANNED_BYTES
    if not quick or plan.unfinished(inputs.store):
        return None
    with store.lease(inputs.store, holder="mediascribe: planning"):
        made = inputs.plan(reasons)
        plan.remove(made, inputs.store)
    return None if made.rows else inputs.outcome(made)


@asynccontextmanager
async def session(job_path: str, tell: Callable[[str], None] = _nobody) -> AsyncIterator[Session]:
    """Hold the output's lease and the gateway's connections for the run of one job; *tell* hears what is waited for.

    Raises:
        ConfigError: see `check`; or another run holds the output, or the place of a common quota cannot be used.
        StoreError: the output's bucket cannot be reached.
    """
    inputs = check(job_path)
    with named(job_path):
        await asyncio.to_thread(common.place, inputs.job.limits)
    with ExitStack() as stack:
        holding = store.lease(inputs.store, holder=f"mediascribe run {job_path}", tell=tell)
        held = await asyncio.to_thread(stack.enter_context, holding)
        await asyncio.to_thread(takeover.clear, inputs.store, Terms(ttl_s=inputs.job.engine.dead_after_s), tell)
        for line in await asyncio.to_thread(shipping.fetch, inputs.store):
            tell(line)
        await asyncio.to_thread(_tidy, inputs)
        shipper = stack.enter_context(shipping.Shipper(inputs.store, epoch=held.epoch))
        ballast = Ballast(inputs.store.work, workers(inputs.job.limits.concurrency) * _ANSWER_BYTES)
        ballast.lay()
        stack.callback(ballast.free)
        async with connected(inputs) as opened, telemetry.opened(inputs.job, opened.client.base_url, tell) as told:
            _spare_collector(stack)
            hold = Hold(lease=held, shipper=shipper, ballast=ballast)
            yield replace(opened, hold=hold, telemetry=told)


@asynccontextmanager
async def connected(inputs: Inputs) -> AsyncIterator[Session]:
    """The gateway's connections without the output's lease: for looking, not for writing."""
    async with AsyncExitStack() as stack:
        gateway, key, media_base_url = _reach(inputs, stack)
        limits = inputs.job.limits
        client = await stack.enter_async_context(Client(gateway, key, connections=workers(limits.concurrency)))
        if inputs.model is None and inputs.job.gateway.dialect == "auto":
            inputs = replace(inputs, dialect=await _served_dialect(inputs, client))
        yield Session(
            inputs=inputs,
            client=client,
            lanes=Lanes(limits),
            media_base_url=media_base_url,
            media=await _media(inputs, media_base_url, stack),
            sandbox_key=None if inputs.key else key,
        )


async def _media(inputs: Inputs, base_url: str | None, stack: AsyncExitStack) -> Preparation | None:
    """What looks at media before their rows are asked; None where they go to the gateway unseen."""
    section = inputs.job.media
    if section.mode == "url" and not is_ours(base_url):
        return None
    # HTTP and decoders, for those who look.
    from mediascribe.media.fetch import Fetcher  # noqa: PLC0415 - as above
    from mediascribe.media.guard import guard  # noqa: PLC0415 - as above
    from mediascribe.media.lane import MediaLane  # noqa: PLC0415 - as above
    from mediascribe.media.places import Places  # noqa: PLC0415 - as above
    from mediascribe.media.pool import Pool  # noqa: PLC0415 - as above

    ours = section.base_url == job.SANDBOX_URL and base_url
    reached = guard(section, own=[urlsplit(base_url).netloc] if ours and base_url else [])
    fetcher = await stack.enter_async_context(Fetcher(section, reached))
    pool = await stack.enter_async_context(Pool())
    folder = Path(base_url) if base_url and base_url.startswith((".", "/")) else None
    return MediaLane(section, inputs.model, inputs.dialect, Places(section, fetcher, folder), pool)


async def _served_dialect(inputs: Inputs, client: Client) -> str:
    """The dialect in which the gateway says that it serves a model which the table does not know; else as it was."""
    listed = await doctor.listed(client)
    if isinstance(listed, doctor.Check) or inputs.job.model not in listed:
        return inputs.dialect
    served = listed[inputs.job.model].get("supported_endpoint_types") or ()
    with named(inputs.job_path):
        return models.choose_dialect(None, "auto", inputs.manifest.kinds, served)


def _spare_collector(stack: ExitStack) -> None:
    """Have Python look for cycles less often: thousands of rows in flight are long-lived, and are none."""
    stack.callback(gc.set_threshold, *gc.get_threshold())
    gc.collect()
    gc.freeze()  # what is there by now stays
    stack.callback(gc.unfreeze)
    gc.set_threshold(*_COLLECT_AFTER)


def _tidy(inputs: Inputs) -> None:
    """Finish what a compaction, a takedown or a trial that was killed had left to do."""
    replacement.settle(inputs.store)
    takedown.resume(inputs.store)
    trial_spending.settle(inputs.store, inputs.prices)


def _reach(inputs: Inputs, stack: AsyncExitStack) -> tuple[GatewaySection, str, str | None]:
    """The gateway to ask, its key, and the base of relative URLs; starts the sandbox where the job asks for it."""
    gateway, media_base_url = inputs.job.gateway, inputs.job.media.base_url
    if inputs.key is not None:
        return gateway, inputs.key, media_base_url
    from mediascribe.sandbox import Sandbox  # noqa: PLC0415 - decoders and a server, for those who develop

    sandbox = stack.enter_context(Sandbox(samples=SAMPLES))
    if media_base_url == job.SANDBOX_URL:
        media_base_url = sandbox.media_url
    return gateway.model_copy(update={"base_url": sandbox.url}), sandbox.api_key, media_base_url
