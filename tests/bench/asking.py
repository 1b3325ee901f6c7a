"""A crowd of rows that ask through the product's own path: retry policy, budget, limiter, journal, client, decoder."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mediascribe import models, pricing, prompt
from mediascribe.attempts import Attempts, Reach
from mediascribe.budget import Budget
from mediascribe.case import Case
from mediascribe.client import Client
from mediascribe.columns import RunFacts
from mediascribe.domain import Failure, Item
from mediascribe.errors import DrainError
from mediascribe.job import Job
from mediascribe.journal import Journal
from mediascribe.lanes import Lanes
from mediascribe.question import Question
from mediascribe.weights import Weights

if TYPE_CHECKING:
    from served import Served

    from mediascribe.job_sections import LimitsSection

MODEL = "gemini-2.0-flash"
MODELS = Path(__file__).parents[2] / "configs/models.toml"
OVER = Failure(error_class="config", message="the time is over")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What became of the rows, and the processor time that the asking side took."""

    succeeded: int
    failed: tuple[str, ...]
    cpu_s: float


class Crowd:
    """*rows* rows at a time, each followed by another, until the time is over. They ask about a text alone."""

    def __init__(self, limits: LimitsSection, *, rows: int = 1000, max_tokens: int = 16) -> None:
        self._limits, self._rows, self._max_tokens = limits, rows, max_tokens
        self._prices = pricing.load()
        self._succeeded = 0
        self._failed: list[str] = []

    async def ask(self, served: Served, seconds: float) -> Asked:
        """Ask for *seconds*; what is in flight then still lands."""
        job, began_s = self._job(served.url), time.process_time()
        question = _question(job)
        with tempfile.TemporaryDirectory() as folder:
            async with Client(job.gateway, served.key, connections=self._rows) as client:
                attempts = Attempts(question, self._reach(job, client, question))
                with Journal(Path(folder)) as log:
                    async with asyncio.TaskGroup() as group:
                        for number in range(self._rows):
                            group.create_task(self._ask_on(number, question, attempts, log))
                        await asyncio.sleep(seconds)
                        attempts.stop(DrainError(OVER))
        return Asked(succeeded=self._succeeded, failed=tuple(self._failed), cpu_s=time.process_time() - began_s)

    async def _ask_on(self, number: int, question: Question, attempts: Attempts, log: Journal) -> None:
        while not attempts.stopped:
            number += self._rows
            item = Item(item_id=f"i{number}", row_number=number, media=())
            case = Case(item, "new", question.request(item), self._prices)
            await attempts.take(case, log)
            if isinstance(case.outcome, Failure):
                self._failed.append(case.outcome.message)
            self._succeeded += case.outcome is not None and not isinstance(case.outcome, Failure)

    def _job(self, url: str) -> Job:
        return Job.model_validate(
            {
                "name": "bench",
                "model": MODEL,
                "output": "out",
                "manifest": {"path": "m.csv"},
                "gateway": {"base_url": url},
                "prompt": {"text": "Describe it."},
                "parameters": {"max_tokens": self._max_tokens},
                "limits": self._limits,
            }
        )

    def _reach(self, job: Job, client: Client, question: Question) -> Reach:
        budget = Budget(job.budget, None, spent=(), now=lambda: datetime.now(UTC))
        weights = Weights(question.models, self._prices, None)
        return Reach(client=client, lanes=Lanes(job.limits), budget=budget, weights=weights)


def _question(job: Job) -> Question:
    asked = prompt.load(job.prompt)
    facts = RunFacts(
        run_id="20261123T014500Z-3fa9c1",
        job=job.name,
        model=job.model,
        dialect="chat",
        prompt_id=job.prompt.id,
        prompt_sha256=asked.sha256,
        parameters_sha256="0" * 64,
        carry={},
    )
    return Question(job=job, facts=facts, prompt=asked, models=models.load(MODELS), schema=None, media_base_url=None)
