"""Means: what one run may use, where that is not what its job says: a budget of its own, a share of the quota."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from mediascribe import budget as budgets
from mediascribe.job_sections import Caps
from mediascribe.lanes import Lanes

if TYPE_CHECKING:
    from mediascribe.job import Job
    from mediascribe.job_sections import LimitsSection, ModelLimits
    from mediascribe.session import Session


class Means(BaseModel):
    """What a run may spend, and how much of the quota it takes.

    The share is of requests and tokens a minute, and of requests in flight where the job gives a number; where the
    quota is learned from refusals there is nothing to take a share of. Of a quota in common with other runs
    (`limits.common`) it is what this run gets while those want theirs, and all that they leave. Caps of day and month
    hold as they are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget: Caps | None = Field(None, title="Budget", description="of this run, in place of the job's")
    share: float = Field(1.0, gt=0, le=1, title="Share of the quota", description="0.3 leaves 70 % to other runs")

    def of(self, job: Job) -> Job:
        """*job* within these means."""
        changes: dict[str, Any] = {}
        if self.budget is not None:
            changes["budget"] = job.budget.model_copy(update=dict(self.budget))
        if self.share < 1:
            common = job.limits.common is not None
            changes["limits"] = (
                job.limits.model_copy(update={"share": self.share}) if common else _scaled(job.limits, self.share)
            )
        return job.model_copy(update=changes)


FULL: Final = Means()


def within(session: Session, means: Means) -> Session:
    """*session*, before anything is sent, for a run within *means*.

    Raises:
        ConfigError: the budget is in USD, and a model has no price.
    """
    if means == FULL:
        return session
    inputs = replace(session.inputs, job=means.of(session.inputs.job))
    job = inputs.job
    budgets.check(job.budget, [job.model, *job.fallback], inputs.prices, datetime.now(UTC).date())
    return replace(session, inputs=inputs, lanes=Lanes(job.limits))


def _scaled(limits: LimitsSection, share: float) -> LimitsSection:
    concurrency = limits.concurrency
    own = {model: one.model_copy(update=_quota(one, share)) for model, one in limits.models.items()}
    changes = _quota(limits, share) | {
        "models": own,
        "concurrency": concurrency if concurrency == "auto" else max(1, round(concurrency * share)),
    }
    return limits.model_copy(update=changes)


def _quota(limits: ModelLimits, share: float) -> dict[str, Any]:
    quota = {
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
    }
    return {name: per_minute and per_minute * share for name, per_minute in quota.items()}
