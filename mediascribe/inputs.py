"""Inputs: what a job file names, opened and found good before anything is sent."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mediascribe import answer, budget, job, manifest, models, plan, pricing, prompt, run, store, takedown
from mediascribe.budget import Budget
from mediascribe.dataset import RunFacts, schema
from mediascribe.errors import ConfigError, DiskError
from mediascribe.media.guard import guard
from mediascribe.plan import Order, Plan, apart
from mediascribe.pricing import places
from mediascribe.run import Outcome, RunFile
from mediascribe.wanted import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from mediascribe.answer import Schema
    from mediascribe.domain import Failure, Item, MediaKind, Reason
    from mediascribe.job import Job
    from mediascribe.job_sections import GatewaySection, MediaSection
    from mediascribe.manifest import Manifest
    from mediascribe.manifest.listing import Items
    from mediascribe.models import Model, ModelTable
    from mediascribe.pricing import PriceBook
    from mediascribe.prompt import Prompt
    from mediascribe.store import Store
    from mediascribe.wanted import Wanted

_LONG_BYTES: Final = 2**19  # of a manifest, some 5,000 rows: below that a process of its own takes longer than its work


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
    prices: PriceBook
    key: str | None

    def plan(self, reasons: tuple[Reason, ...], wanted: Wanted = EVERYTHING) -> Plan:
        """Compare the manifest with the current results: a new run's plan, of the rows due for one of *reasons*."""
        is_local = isinstance(self.manifest.path, Path)
        draw_up = apart.draw_up if is_local and self.manifest.size_bytes > _LONG_BYTES else plan.draw_up
        order, into = self.order(reasons, wanted), plan.folder(self.store)
        try:
            made = draw_up(self.items(), self.facts(), order, self.store, into)
            plan.begin(made, self.store)
        except OSError as error:
            said = error.strerror or str(error)
            raise DiskError(f"{self.store.work} cannot take the plan: {said}: free space there") from None
        return made

    def order(self, reasons: tuple[Reason, ...], wanted: Wanted, *, examples: int = 0) -> Order:
        """What to plan: of the rows due for one of *reasons* those *wanted*; *examples* of each are kept."""
        return Order(
            reasons=reasons,
            shard_rows=self.job.shard_rows,
            config_sha256=self.job.config_sha256,
            where=wanted.where,
            since=wanted.since,
            until=wanted.until,
            ids=wanted.named,
            error_classes=wanted.classes,
            sample=wanted.sample,
            seed=wanted.seed,
            limit=wanted.limit,
            forgotten=takedown.forgotten(self.store),
            same_once=self.job.media.same_once,
            examples=examples,
        )

    def items(self) -> Items:
        """The manifest's items; one whose media the model or the dialect cannot take has that as its problem."""
        return self.manifest.checked(_Check(self.model, self.dialect, self.job.media))

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

    def budget(self) -> Budget:
        """The job's budget, beside what its runs and trials have spent; those must be closed by now."""
        now = datetime.now(UTC)
        spent = run.spent_before(self.store, now.date())
        return Budget(self.job.budget, self.job.limits.requests_per_day, spent=spent, now=lambda: datetime.now(UTC))

    def facts(self) -> RunFacts:
        """The constant columns of a new run that begins now."""
        return RunFacts(
            run_id=run.new_id(datetime.now(UTC), behind=run.newest_id(self.store)),
            job=self.job.name,
            model=self.job.model,
            dialect=self.dialect,
            prompt_id=self.prompt.id,
            prompt_sha256=self.prompt.sha256,
            parameters_sha256=self.job.parameters_sha256,
            carry=self.job.manifest.carry,
            answer=self.schema.columns if self.schema else {},
        )


@dataclass(frozen=True, slots=True)
class _Check:
    """What `models.refusal` finds; a value, so that it can go to another process."""

    model: Model | None
    dialect: str
    media: MediaSection

    def __call__(self, item: Item) -> Failure | None:
        return models.refusal(self.model, self.dialect, item, self.media)


def check(job_path: str, *, keyless: bool = False) -> Inputs:
    """Read the job file at *job_path* and look at all that it names; *keyless*: nothing will be asked.

    Raises:
        ConfigError: anything that a person can have got wrong; nothing was sent.
    """
    read = job.load(job_path)
    _check_together(read, job_path)
    fits = answer.load_schema(read.answer.schema_, read.answer.schema_file, job_path=job_path)
    with named(job_path):
        schema(read.manifest.carry, fits.columns if fits else {})
    asked = prompt.load(read.prompt, job_path=job_path)
    relative_urls = read.media.base_url is not None
    rows = manifest.open_manifest(read.manifest, variables=asked.variables, relative_urls=relative_urls)
    table = models.load(places.found("models.toml"))
    model = table.get(read.model)
    prices = pricing.in_force(read.gateway.base_url)
    with named(job_path):
        budget.check(read.budget, [read.model, *read.fallback], prices, datetime.now(UTC).date())
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
        prices=prices,
        key=None if keyless or read.gateway.base_url == job.SANDBOX_URL else key_of(read.gateway, job_path),
    )


@contextmanager
def named(job_path: str) -> Iterator[None]:
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
    try:
        guard(read.media)
    except ValueError as error:
        raise ConfigError(f"{job_path}: [media] {error}") from None
    if read.media.base_url == job.SANDBOX_URL != read.gateway.base_url:
        raise ConfigError(
            f'{job_path}: `media.base_url` is the sandbox, which runs for `gateway.base_url` = "sandbox" only;'
            " say where your media are, or leave it out where the manifest has whole URLs"
        )


def key_of(gateway: GatewaySection, job_path: str) -> str:
    """The key for *gateway*, from the environment; *job_path* is for messages.

    Raises:
        ConfigError: there is none, or it cannot be one.
    """
    key = os.environ.get(gateway.api_key_env, "").strip()
    if not key:
        raise ConfigError(
            f"{job_path}: no key for {gateway.base_url}: the environment variable {gateway.api_key_env} is not set;"
            f" set it with: export {gateway.api_key_env}=... (never write the key into a file that is committed)"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{job_path}: the key in {gateway.api_key_env} has characters that no key has; copy it again")
    return key
