"""What a person fills in for one run: which rows, what budget, which share of the quota."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from mediascribe.inputs import check
from mediascribe.job_sections import Caps, LimitsSection
from mediascribe.means import FULL, Means, within
from mediascribe.session import connected
from mediascribe.wanted import EVERYTHING, Wanted

JOB = """
name = "t"
model = "{model}"
output = "{folder}/out"
[manifest]
path = "{folder}/m.csv"
[gateway]
base_url = "https://h/v1"
[prompt]
text = "What is it?"
[limits]
concurrency = {concurrency}
requests_per_minute = 100
[limits.models.other]
tokens_per_minute = 1000
[budget]
usd = 5
day = {{ usd = 50 }}
"""


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """`inputs(concurrency=10, model=...)`: a job with limits and a budget."""
    monkeypatch.setenv("MEDIASCRIBE_API_KEY", "sk-1")

    def _inputs(*, concurrency="10", model="gemini-2.0-flash"):
        (tmp_path / "m.csv").write_text("item_id,image_url\na,https://h/a.png\n")
        path = tmp_path / "job.toml"
        path.write_text(JOB.format(folder=tmp_path, concurrency=concurrency, model=model))
        return check(str(path))

    return _inputs


def test_a_share_scales_every_quota_of_a_minute(inputs):
    """0.3 of 100 requests, of 1,000 tokens of the other model, and of 10 in flight."""
    limits = Means(share=0.3).of(inputs().job).limits
    assert (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency) == (30, None, 3)
    assert limits.models["other"].tokens_per_minute == 300


def test_a_share_of_a_common_quota_scales_nothing(inputs):
    """It is what the run gets while others want theirs; what they leave is its own, up to all."""
    job = inputs().job
    common = job.limits.model_copy(update={"common": "quota"})
    limits = Means(share=0.3).of(job.model_copy(update={"limits": common})).limits
    assert (limits.share, limits.requests_per_minute, limits.concurrency) == (0.3, 100, 10)


def test_one_request_is_always_in_flight(inputs):
    """However small the share."""
    assert Means(share=0.01).of(inputs().job).limits.concurrency == 1


def test_a_learned_concurrency_stays_learned(inputs):
    """There is nothing to take a share of."""
    assert Means(share=0.3).of(inputs(concurrency='"auto"').job).limits.concurrency == "auto"


def test_a_budget_takes_the_place_of_the_runs_alone(inputs):
    """The caps of the day hold as they are."""
    budget = Means(budget=Caps(tokens=1000, usd=None, requests=None)).of(inputs().job).budget
    assert (budget.usd, budget.tokens, budget.day.usd) == (None, 1000, Decimal(50))


def test_without_means_nothing_changes(inputs):
    """The job itself."""
    job = inputs().job
    assert FULL.of(job) == job
    session = SimpleNamespace()
    assert within(session, FULL) is session


async def test_a_session_within_means_has_its_own_lanes(inputs):
    """What the describer is made of later: the limits and the budget of the run."""
    async with connected(inputs()) as opened:
        found = within(opened, Means(share=0.5, budget=Caps(usd=Decimal(1), tokens=None, requests=None)))
    assert found.inputs.job.limits == LimitsSection.model_validate(found.inputs.job.limits)
    assert found.inputs.job.budget.usd == 1
    assert found.lanes.of("gemini-2.0-flash").window == 5


@pytest.mark.parametrize("share", [0, -1, 1.1])
def test_a_share_is_a_share(share):
    """Above 0, up to 1."""
    with pytest.raises(ValidationError):
        Means(share=share)


def test_wanted_becomes_an_order(inputs):
    """Every field arrives in the plan's order."""
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    wanted = Wanted(
        where="attempts > 1",
        since=moment,
        until=moment,
        ids=["a"],
        error_classes=["media"],
        sample=3,
        seed=4,
        limit=5,
    )
    order = inputs().order(("failed",), wanted, examples=2)
    assert (order.reasons, order.where, order.since, order.until) == (("failed",), "attempts > 1", moment, moment)
    assert (order.ids, order.error_classes) == (frozenset("a"), frozenset({"media"}))
    assert (order.sample, order.seed, order.limit, order.examples) == (3, 4, 5, 2)


def test_ids_may_stand_in_a_file():
    """But not in two places."""
    assert Wanted(ids_file="x.txt").named == Path("x.txt")
    assert (EVERYTHING.named, EVERYTHING.classes) == (None, None)
    with pytest.raises(ValidationError, match="has items twice"):
        Wanted(ids=["a"], ids_file="x.txt")


@pytest.mark.wide
def test_a_plan_takes_what_is_wanted(inputs):
    """`Inputs.plan` with a filter asks fewer rows."""
    assert inputs().plan(("new",), Wanted(ids=["b"])).rows == 0
    assert inputs().plan(("new",)).rows == 1
