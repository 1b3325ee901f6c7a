"""The composition root: what a job file names is opened here, once, and handed to the modules that do the work."""

from __future__ import annotations

import os
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mediascribe import answer, doctor, job, manifest, models, plan, pricing, prompt, run, store
from mediascribe.client import Client
from mediascribe.dataset import RunFacts, schema
from mediascribe.describe import Describer, Landing, Reach
from mediascribe.errors import ConfigError
from mediascribe.limiter import Limiter
from mediascribe.plan import Order, Plan
from mediascribe.question import Question
from mediascribe.run import Outcome, RunFile
from mediascribe.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence

    from mediascribe.answer import Schema
    from mediascribe.domain import Item, MediaKind, Reason, Record
    from mediascribe.job import Job
    from mediascribe.job_sections import GatewaySection
    from mediascribe.manifest import Manifest
    from mediascribe.models import Model, ModelTable
    from mediascribe.pricing import PriceBook
    from mediascribe.prompt import Prompt
    from mediascribe.store import Store

_CONFIGS: Final = (Path("configs"), Path(__file__).parent / "configs", Path(__file__).parents[1] / "configs")
SAMPLES: Final = Path("data/samples")
_QUICKLY_PLANNED_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a job file names, found good; nothing is sent yet.

    `dialect` is the job's, or what the table of models says; `model` is None where that table does not know it; `key`
    is None where the sandbox brings its own.
    """

    job_path: str
    job: Job
    prompt: Prompt
    manifest: Manifest
    store: Store
    models: ModelTable
    model: Model | None
    dialect: str
    schema: Schema | None
    key: str | None

    def plan(self, reasons: tuple[Reason, ...]) -> Plan:
        """Compare the manifest with the current results: a new run's plan, of the rows due for one of *reasons*."""
        order = Order(reasons=reasons, shard_rows=self.job.shard_rows, config_sha256=self.job.config_sha256)
        return plan.make(self.items(), self.facts(), order, self.store)

    def items(self) -> Iterator[Item]:
        """The manifest's items; one whose media the model or the dialect cannot take has that as its problem."""
        for item in self.manifest.read():
            problem = item.problem or models.refusal(self.model, self.dialect, item)
            yield item if problem is item.problem else replace(item, problem=problem)

    def warnings(self) -> list[str]:
        """What is known to be wrong with the model and these parameters; nothing of the sandbox's, which serves all."""
        if self.job.gateway.base_url == job.SANDBOX_URL:
            return []
        today = datetime.now(UTC).date()
        return models.warnings(self.model, self.job.parameters, today, thinking=self.job.thinking)

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

    def facts(self) -> RunFacts:
        """The constant columns of a new run that begins now."""
        return RunFacts(
            run_id=run.new_id(datetime.now(UTC)),
            job=self.job.name,
            model=self.job.model,
            dialect=self.dialect,
            prompt_id=self.prompt.id,
            prompt_sha256=self.prompt.sha256,
            parameters_sha256=self.job.parameters_sha256,
            carry=self.job.manifest.carry,
            answer=self.schema.columns if self.schema else {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A gateway that is connected, and the one quota that all shards share."""

    inputs: Inputs
    client: Client
    limiter: Limiter
    prices: PriceBook
    media_base_url: str | None

    def landing(self) -> Landing:
        """Where answers go."""
        return Landing(store=self.inputs.store, prices=self.prices)

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
        """The one describer of the run of *made*; *announce* hears of every record."""
        reach = Reach(client=self.client, limiter=self.limiter)
        return Describer(self.question(made.facts), reach, self.landing(), announce)


def check(job_path: str) -> Inputs:
    """Read the job file at *job_path* and look at all that it names.

    Raises:
        ConfigError: anything that a person can have got wrong; nothing was sent.
    """
    read = job.load(job_path)
    _check_together(read, job_path)
    fits = answer.load_schema(read.answer.schema_, read.answer.schema_file, job_path=job_path)
    with _named(job_path):
        schema(read.manifest.carry, fits.columns if fits else {})
    asked = prompt.load(read.prompt, job_path=job_path)
    relative_urls = read.media.base_url is not None
    rows = manifest.open_manifest(read.manifest, variables=asked.variables, relative_urls=relative_urls)
    table = models.load(config("models.toml"))
    model = table.get(read.model)
    with _named(job_path):
        dialect = models.choose_dialect(model, read.gateway.dialect, _kinds(model, rows))
    return Inputs(
        job_path=job_path,
        job=read,
        prompt=asked,
        manifest=rows,
        store=store.open_store(read.output),
        models=table,
        model=model,
        dialect=dialect,
        schema=fits,
        key=None if read.gateway.base_url == job.SANDBOX_URL else _key(read.gateway, job_path),
    )


def config(name: str) -> Path | None:
    """The table *name*: that of the folder in which the command runs, else that of the installation."""
    return next((folder / name for folder in _CONFIGS if (folder / name).is_file()), None)


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
    with store.lease(inputs.store, holder=f"mediascribe run {job_path}"):
        async with connected(inputs) as opened:
            yield opened


@asynccontextmanager
async def connected(inputs: Inputs) -> AsyncIterator[Session]:
    """The gateway's connections without the output's lease: for looking, not for writing."""
    with ExitStack() as stack:
        gateway, key, media_base_url = _reach(inputs, stack)
        prices = pricing.load(config("prices.toml"))
        async with Client(gateway, key, connections=inputs.job.limits.concurrency) as client:
            limiter = Limiter(inputs.job.limits)
            if inputs.model is None and inputs.job.gateway.dialect == "auto":
                inputs = replace(inputs, dialect=await _served_dialect(inputs, client))
            yield Session(inputs=inputs, client=client, limiter=limiter, prices=prices, media_base_url=media_base_url)


async def _served_dialect(inputs: Inputs, client: Client) -> str:
    """The dialect in which the gateway says that it serves a model which the table does not know; else as it was."""
    listed = await doctor.listed(client)
    if isinstance(listed, doctor.Check) or inputs.job.model not in listed:
        return inputs.dialect
    served = listed[inputs.job.model].get("supported_endpoint_types") or ()
    with _named(inputs.job_path):
        return models.choose_dialect(None, "auto", inputs.manifest.kinds, served)


@contextmanager
def _named(job_path: str) -> Iterator[None]:
    """An error of the job's that does not know the job's name gets it."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{job_path}: {error}") from None


def _kinds(model: Model | None, rows: Manifest) -> Collection[MediaKind]:
    """The kinds of media that the run may send: a row with another kind is skipped, and does not stop the rest."""
    taken = rows.kinds & frozenset(model.media) if model else rows.kinds
    return taken or rows.kinds


def _check_together(read: Job, job_path: str) -> None:
    """What no section of the job can see alone."""
    if read.media.base_url == job.SANDBOX_URL != read.gateway.base_url:
        raise ConfigError(
            f'{job_path}: `media.base_url` is the sandbox, which runs for `gateway.base_url` = "sandbox" only;'
            " say where your media are, or leave it out where the manifest has whole URLs"
        )


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
