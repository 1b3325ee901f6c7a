"""The composition root: what a job file names is opened here, once, and handed to the modules that do the work."""

from __future__ import annotations

import os
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mediascribe import job, manifest, plan, pricing, prompt, run, store
from mediascribe.client import Client
from mediascribe.dataset import RunFacts, schema
from mediascribe.describe import Describer, Landing, Question, Reach
from mediascribe.errors import ConfigError
from mediascribe.limiter import Limiter
from mediascribe.plan import Order, Plan
from mediascribe.run import Outcome, RunFile
from mediascribe.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from mediascribe.domain import Reason, Record
    from mediascribe.job import GatewaySection, Job
    from mediascribe.manifest import Manifest
    from mediascribe.pricing import PriceBook
    from mediascribe.prompt import Prompt
    from mediascribe.store import Store

PRICES: Final = Path("configs/prices.toml")
SAMPLES: Final = Path("data/samples")
_QUICKLY_PLANNED_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a job file names, found good; nothing is sent yet. `key` is None where the sandbox brings its own."""

    job_path: str
    job: Job
    prompt: Prompt
    manifest: Manifest
    store: Store
    key: str | None

    def plan(self, reasons: tuple[Reason, ...]) -> Plan:
        """Compare the manifest with the current results: a new run's plan, of the rows due for one of *reasons*."""
        order = Order(reasons=reasons, shard_rows=self.job.shard_rows, config_sha256=self.job.config_sha256)
        return plan.make(self.manifest.read(), self._facts(), order, self.store)

    def outcome(self, made: Plan, *, recovered: Sequence[RunFile] = (), closed: RunFile | None = None) -> Outcome:
        """What the caller is told: how the run of *made* ended, and what was recovered before it."""
        return Outcome(
            job=self.job_path,
            output=self.job.output,
            counts=made.counts,
            reasons=made.reasons,
            recovered=list(recovered),
            run=closed,
        )

    def _facts(self) -> RunFacts:
        return RunFacts(
            run_id=run.new_id(datetime.now(UTC)),
            job=self.job.name,
            model=self.job.model,
            dialect=self.job.gateway.dialect,
            prompt_id=self.prompt.id,
            prompt_sha256=self.prompt.sha256,
            parameters_sha256=self.job.parameters_sha256,
            carry=self.job.manifest.carry,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An output that is ours for now, a gateway that is connected, and the one quota that all shards share."""

    inputs: Inputs
    client: Client
    limiter: Limiter
    prices: PriceBook
    media_base_url: str | None

    def landing(self) -> Landing:
        """Where answers go."""
        return Landing(store=self.inputs.store, prices=self.prices)

    def describer(self, made: Plan, announce: Callable[[Record], None]) -> Describer:
        """The one describer of the run of *made*; *announce* hears of every record."""
        question = Question(
            job=self.inputs.job, facts=made.facts, prompt=self.inputs.prompt, media_base_url=self.media_base_url
        )
        return Describer(question, Reach(client=self.client, limiter=self.limiter), self.landing(), announce)


def check(job_path: str) -> Inputs:
    """Read the job file at *job_path* and look at all that it names.

    Raises:
        ConfigError: anything that a person can have got wrong; nothing was sent.
    """
    read = job.load(job_path)
    _check_together(read, job_path)
    asked = prompt.load(read.prompt, job_path=job_path)
    relative_urls = read.media.base_url is not None
    rows = manifest.open_manifest(read.manifest, variables=asked.variables, relative_urls=relative_urls)
    key = None if read.gateway.base_url == job.SANDBOX_URL else _key(read.gateway, job_path)
    return Inputs(
        job_path=job_path, job=read, prompt=asked, manifest=rows, store=store.open_store(read.output), key=key
    )


def nothing_to_ask(inputs: Inputs, reasons: tuple[Reason, ...]) -> Outcome | None:
    """The outcome of a run that would ask nothing, found without starting one; None when there is, or may be, work.

    Only for a short manifest, which is planned in less time than a flow takes to start.

    Raises:
        ConfigError: another run holds the output.
    """
    if Path(inputs.job.manifest.path).stat().st_size > _QUICKLY_PLANNED_BYTES or plan.unfinished(inputs.store):
        return None
    with store.lease(inputs.store, holder="mediascribe: planning"):
        made = inputs.plan(reasons)
        plan.remove(made, inputs.store)
    return None if made.rows else inputs.outcome(made)


@asynccontextmanager
async def session(job_path: str) -> AsyncIterator[Session]:
    """Hold the output's lease and the gateway's connections for the run of one job.

    Raises:
        ConfigError: see `check`; or another run holds the output.
    """
    inputs = check(job_path)
    with ExitStack() as stack:
        stack.enter_context(store.lease(inputs.store, holder=f"mediascribe run {job_path}"))
        inputs.store.clear_staging()
        gateway, key, media_base_url = _reach(inputs, stack)
        prices = pricing.load(PRICES if PRICES.is_file() else None)
        async with Client(gateway, key, connections=inputs.job.limits.concurrency) as client:
            limiter = Limiter(inputs.job.limits)
            yield Session(inputs=inputs, client=client, limiter=limiter, prices=prices, media_base_url=media_base_url)


def _check_together(read: Job, job_path: str) -> None:
    """What no section of the job can see alone."""
    if read.media.base_url == job.SANDBOX_URL != read.gateway.base_url:
        raise ConfigError(
            f'{job_path}: `media.base_url` is the sandbox, which runs for `gateway.base_url` = "sandbox" only;'
            " say where your media are, or leave it out where the manifest has whole URLs"
        )
    try:
        schema(read.manifest.carry)
    except ConfigError as error:
        raise ConfigError(f"{job_path}: {error}") from None


def _key(gateway: GatewaySection, job_path: str) -> str:
    key = os.environ.get(gateway.api_key_env, "").strip()
    if not key:
        raise ConfigError(
            f"{job_path}: no key for {gateway.base_url}: the environment variable {gateway.api_key_env} is not set;"
            f" set it with: export {gateway.api_key_env}=... (never write the key into a file that is committed)"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{job_path}: the key in {gateway.api_key_env} has characters that no key has; copy it again")
    return key


def _reach(inputs: Inputs, stack: ExitStack) -> tuple[GatewaySection, str, str | None]:
    """The gateway to ask, its key, and the base of relative URLs; starts the sandbox where the job asks for it."""
    gateway, media_base_url = inputs.job.gateway, inputs.job.media.base_url
    if inputs.key is not None:
        return gateway, inputs.key, media_base_url
    sandbox = stack.enter_context(Sandbox(samples=SAMPLES))
    if media_base_url == job.SANDBOX_URL:
        media_base_url = sandbox.media_url
    return gateway.model_copy(update={"base_url": sandbox.url}), sandbox.api_key, media_base_url
